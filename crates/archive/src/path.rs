//! A path inside an archive: relative, without `.`, `..`, NUL or empty components.
//!
//! Parsed once, when a header is read. Code that holds an [`ArchivePath`] need not ask again whether
//! it climbs out; symlinks on the disk are another matter, which the tree resolves.

use crate::limits::{Limits, exceeded};
use dhow_base::{Error, Kind, Result};
use std::{ffi::OsStr, fmt, os::unix::ffi::OsStrExt, path::Path};

/// A checked path. The empty one is the directory that the archive is unpacked to.
#[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ArchivePath(Vec<u8>);

impl ArchivePath {
    /// Strips leading `/` and `./`, drops `.` and doubled slashes, refuses `..` and NUL.
    ///
    /// Other tools fold `a/../b` together. No packer writes it, and what folding means depends on
    /// whether `a` is a symlink, so it is refused here.
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Self> {
        let corrupt =
            |why: &str| Error::new(Kind::Corrupt, format!("archive entry {}: {why}", Shown(bytes)));
        let object = || format!("archive entry {}", Shown(bytes));
        if bytes.len() > limits.path_bytes {
            return Err(exceeded(object(), "bytes of path", limits.path_bytes));
        }
        if bytes.contains(&0) {
            return Err(corrupt("its path has a NUL byte"));
        }
        let mut clean = Vec::with_capacity(bytes.len());
        let mut depth = 0_usize;
        for component in bytes.split(|byte| *byte == b'/') {
            match component {
                b"" | b"." => continue,
                b".." => return Err(corrupt("its path has a \"..\" component")),
                _ => {}
            }
            if component.len() > limits.component_bytes {
                return Err(exceeded(object(), "bytes of path component", limits.component_bytes));
            }
            depth += 1;
            if depth > limits.depth {
                return Err(exceeded(object(), "path components", limits.depth));
            }
            if !clean.is_empty() {
                clean.push(b'/');
            }
            clean.extend_from_slice(component);
        }
        Ok(Self(clean))
    }

    /// The path as bytes, `usr/bin/env`.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The path for `std`'s functions; relative.
    pub fn as_path(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.0))
    }

    /// Is it the directory that the archive is unpacked to?
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The directory part (empty for the root) and the last component.
    pub fn split(&self) -> (&[u8], &[u8]) {
        split(&self.0)
    }
}

impl fmt::Display for ArchivePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&Shown(&self.0), f)
    }
}

impl fmt::Debug for ArchivePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&Shown(&self.0), f)
    }
}

/// The directory part (empty at the top) and the last component of a clean path.
pub(crate) fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (&[], path),
    }
}

/// `directory` and `name` as one path; either may be empty.
pub(crate) fn join(directory: &[u8], name: &[u8]) -> Vec<u8> {
    let mut path = Vec::with_capacity(directory.len() + 1 + name.len());
    path.extend_from_slice(directory);
    if !directory.is_empty() && !name.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(name);
    path
}

/// A name from outside, fit for a message: quoted, escaped, and its middle left out if long.
pub(crate) struct Shown<'a>(pub(crate) &'a [u8]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const HALF: usize = 60;
        let bytes = self.0;
        if bytes.len() <= 2 * HALF {
            return write!(f, "\"{}\"", bytes.escape_ascii());
        }
        let (head, tail) = (&bytes[..HALF], &bytes[bytes.len() - HALF..]);
        write!(f, "\"{}…{}\"", head.escape_ascii(), tail.escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cleaned_or_refused() {
        let cases: [(&[u8], Option<&[u8]>); 14] = [
            (b"a/b", Some(b"a/b")),
            (b"./a/b/", Some(b"a/b")),
            (b"/etc/passwd", Some(b"etc/passwd")),
            (b"//a//./b", Some(b"a/b")),
            (b"./", Some(b"")),
            (b"/", Some(b"")),
            (b"", Some(b"")),
            (b"a/...", Some(b"a/...")),
            (b"a\xff\n", Some(b"a\xff\n")),
            (b"..", None),
            (b"../x", None),
            (b"a/../b", None),
            (b"a/..", None),
            (b"a\0b", None),
        ];
        for (raw, expected) in cases {
            let parsed = ArchivePath::parse(raw, &Limits::default()).ok();

            assert_eq!(parsed.as_ref().map(ArchivePath::as_bytes), expected, "{}", Shown(raw));
        }
    }

    #[test]
    fn long_paths_are_refused_by_the_limit_they_exceed() {
        let limits = Limits::default();
        let cases = [
            (vec![b'a'; 256], "bytes of path component"),
            ("a/".repeat(257).into_bytes(), "path components"),
            (vec![b'/'; 4097], "bytes of path"),
        ];
        for (raw, name) in cases {
            let error = ArchivePath::parse(&raw, &limits).unwrap_err();

            assert_eq!(error.kind(), Kind::Exhausted);
            assert!(error.to_string().ends_with(name), "{error}");
        }
    }

    #[test]
    fn a_name_is_shown_escaped_and_short() {
        assert_eq!(Shown(b"a\x1b[2J\n").to_string(), r#""a\x1b[2J\n""#);
        assert_eq!(Shown(&[b'x'; 5000]).to_string().chars().count(), 123);
    }
}
