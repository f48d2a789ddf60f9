//! Links in the documentation lead somewhere.
//!
//! Checked are links to files (`[text](path)`), and every mention of a source file of a crate, since
//! documents name tests as proofs. Addresses on the network are not followed.

use super::{Problem, line_of};
use std::path::{Component, Path, PathBuf};

/// Finds links and mentions whose file does not exist, as `exists` tells.
pub(super) fn check_links(file: &Path, text: &str, exists: &dyn Fn(&Path) -> bool) -> Vec<Problem> {
    let linked = targets(text).map(|(at, target)| (at, beside(file, target)));
    let mentioned = mentions(text).map(|(at, path)| (at, PathBuf::from(path)));
    let broken = linked.chain(mentioned).filter(|(_, path)| !exists(path));
    let remedy = "name a file that is there";
    broken
        .map(|(at, path)| {
            let what = format!("there is no {}", path.display());
            Problem::new(file, line_of(text, at), what, remedy)
        })
        .collect()
}

/// `](target)` with the anchor cut off; addresses and anchors of the same file are left out.
fn targets(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.match_indices("](").filter_map(|(at, _)| {
        let rest = &text[at + 2..];
        let target = &rest[..rest.find([')', '\n'])?];
        let target = target.split(['#', ' ']).next().unwrap_or_default();
        let address = target.contains("://") || target.starts_with("mailto:");
        (!target.is_empty() && !address).then_some((at, target))
    })
}

/// `crates/<folder>/….rs`, wherever it stands.
fn mentions(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.match_indices("crates/").filter_map(|(at, _)| {
        let rest = &text[at..];
        let named = |c: char| c.is_ascii_alphanumeric() || "/_-.".contains(c);
        let path = &rest[..rest.find(|c| !named(c)).unwrap_or(rest.len())];
        path.ends_with(".rs").then_some((at, path))
    })
}

/// The target as seen from the root; links are relative to the file that holds them.
fn beside(file: &Path, target: &str) -> PathBuf {
    let start = file.parent().unwrap_or(Path::new(""));
    let mut path = PathBuf::new();
    for part in start.join(target).components() {
        match part {
            Component::ParentDir => {
                path.pop();
            }
            Component::Normal(name) => path.push(name),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broken_links_and_mentions_are_found_with_their_line() {
        let text = "See [a](../README.md#x), [b](gone.md) and\n`crates/cli/tests/gone.rs`,\n\
                    [c](https://example.org/x) [d](#here) `crates/*/tests/*.rs`.\n";
        let exists = |path: &Path| path == Path::new("README.md");

        let problems = check_links(Path::new("docs/x.md"), text, &exists);

        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(lines.len(), 2, "{lines:#?}");
        assert!(lines[0].starts_with("docs/x.md:1: there is no docs/gone.md"), "{lines:#?}");
        assert!(
            lines[1].starts_with("docs/x.md:2: there is no crates/cli/tests/gone.rs"),
            "{lines:#?}"
        );
    }
}
