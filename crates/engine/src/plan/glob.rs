//! Patterns of paths: `*`, `?` and `[a-z]` within one name, as in Go's `filepath.Glob`.

use dhow_base::{Doing, Error, Kind, Result};
use std::path::{Path, PathBuf};

/// The existing paths that an absolute pattern matches, sorted.
pub(super) fn paths(pattern: &str) -> Result<Vec<PathBuf>> {
    if !pattern.starts_with('/') {
        return Err(Error::new(Kind::Invalid, "the pattern must be an absolute path"));
    }
    let mut found = vec![PathBuf::from("/")];
    for part in pattern.split('/').filter(|part| !part.is_empty()) {
        let name = parse(part)?;
        let mut next = Vec::new();
        for directory in &found {
            step(directory, part, &name, &mut next)?;
        }
        found = next;
    }
    found.sort();
    Ok(found)
}

fn step(directory: &Path, part: &str, name: &[Piece], next: &mut Vec<PathBuf>) -> Result<()> {
    if name.iter().all(|piece| matches!(piece, Piece::Letter(_))) && !part.contains('\\') {
        let path = directory.join(part);
        if rustix::fs::lstat(&path).is_ok() {
            next.push(path);
        }
        return Ok(());
    }
    // What is no directory, or may not be read, has nothing in it that matches.
    let Ok(entries) = std::fs::read_dir(directory) else { return Ok(()) };
    for entry in entries {
        let entry = entry.doing(|| format!("read {}", directory.display()))?;
        let letters: Vec<char> = entry.file_name().to_string_lossy().chars().collect();
        if matches(name, &letters) {
            next.push(entry.path());
        }
    }
    Ok(())
}

/// A piece of a pattern for one name.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Piece {
    Letter(char),
    One,
    Any,
    Of { ranges: Vec<(char, char)>, negated: bool },
}

fn parse(part: &str) -> Result<Vec<Piece>> {
    let bad = |why: &str| Error::new(Kind::Invalid, format!("read the pattern {part:?}: {why}"));
    let mut letters = part.chars().peekable();
    let mut pieces = Vec::new();
    while let Some(letter) = letters.next() {
        pieces.push(match letter {
            '*' => Piece::Any,
            '?' => Piece::One,
            '\\' => Piece::Letter(letters.next().ok_or_else(|| bad("it ends with a backslash"))?),
            '[' => {
                let negated = letters.next_if_eq(&'^').is_some();
                let mut ranges = Vec::new();
                loop {
                    let open = || bad("a bracket is not closed");
                    let from = letters.next().ok_or_else(open)?;
                    if from == ']' && !ranges.is_empty() {
                        break;
                    }
                    let to = match letters.next_if_eq(&'-') {
                        Some(_) => letters.next().ok_or_else(open)?,
                        None => from,
                    };
                    ranges.push((from, to));
                }
                Piece::Of { ranges, negated }
            }
            letter => Piece::Letter(letter),
        });
    }
    Ok(pieces)
}

/// Whether a name matches. At a failure the last `*` takes one letter more, so the work grows with
/// the product of both lengths and not faster.
fn matches(pattern: &[Piece], name: &[char]) -> bool {
    let (mut piece, mut letter) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while letter < name.len() {
        match pattern.get(piece) {
            Some(Piece::Any) => {
                retry = Some((piece + 1, letter));
                piece += 1;
                continue;
            }
            Some(one) if fits(one, name[letter]) => {
                piece += 1;
                letter += 1;
                continue;
            }
            _ => {}
        }
        let Some((after, taken)) = retry else { return false };
        retry = Some((after, taken + 1));
        piece = after;
        letter = taken + 1;
    }
    pattern[piece..].iter().all(|piece| *piece == Piece::Any)
}

fn fits(piece: &Piece, letter: char) -> bool {
    match piece {
        Piece::Letter(own) => *own == letter,
        Piece::One => true,
        Piece::Any => false,
        Piece::Of { ranges, negated } => {
            ranges.iter().any(|(from, to)| (*from..=*to).contains(&letter)) != *negated
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_within_one_name() {
        let cases = [
            ("*.so", "lib.so", true),
            ("*.so", "lib.so.1", false),
            ("lib*.so*", "libfoo.so.1", true),
            ("?", "a", true),
            ("?", "ab", false),
            ("[a-c]x", "bx", true),
            ("[^a-c]x", "bx", false),
            ("a\\*", "a*", true),
            ("a\\*", "ab", false),
            ("*a*b*c", "xaxbxc", true),
            ("*a*b*c", "xaxbx", false),
            ("", "", true),
        ];
        for (pattern, name, expected) in cases {
            let letters: Vec<char> = name.chars().collect();
            assert_eq!(matches(&parse(pattern).unwrap(), &letters), expected, "{pattern} {name}");
        }
        assert!(parse("[a").is_err() && parse("a\\").is_err());
    }

    #[test]
    fn matches_are_looked_up_directory_by_directory() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["a1/x.so", "a2/y.so", "b1/z.so", "a1/no"] {
            let path = directory.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let pattern = format!("{}/a*/*.so", directory.path().display());

        let found = paths(&pattern).unwrap();

        let names: Vec<_> = found.iter().map(|path| path.file_name().unwrap().to_owned()).collect();
        assert_eq!(names, ["x.so", "y.so"]);
        assert!(paths("relative/*").is_err());
    }
}
