//! An initial file system for a kernel: files of the host's and texts of ours, as one cpio archive.
//!
//! The format is the kernel's own ("newc": Documentation/driver-api/early-userspace/buffer-format).
//! Everything belongs to root and has no time, so the same files give the same bytes. Parents come
//! before their children, which the kernel needs and the sorted order gives.

use dhow_base::{Doing, Result};
use std::{collections::BTreeMap, fs, os::unix::fs::MetadataExt, path::Path};

/// What stands at a path.
#[derive(Debug)]
enum Entry {
    Directory,
    Program { mode: usize, content: Vec<u8> },
}

/// A tree on its way to become an archive. Paths are relative to the root.
#[derive(Debug, Default)]
pub(super) struct Tree {
    entries: BTreeMap<String, Entry>,
}

impl Tree {
    /// Adds an executable file with this content, and its parents.
    pub(super) fn add(&mut self, path: &str, content: Vec<u8>) {
        self.put(path, 0o755, content);
    }

    fn put(&mut self, path: &str, mode: usize, content: Vec<u8>) {
        self.make_parents(path);
        self.entries.insert(path.to_owned(), Entry::Program { mode, content });
    }

    /// Adds a copy of a file of the host's, with its mode.
    pub(super) fn copy(&mut self, path: &str, source: &Path) -> Result<()> {
        let doing = || format!("read {}", source.display());
        let content = fs::read(source).doing(doing)?;
        // The bits of a program that runs as its owner come along.
        let mode = fs::metadata(source).doing(doing)?.mode() & 0o7777;
        self.put(path, mode as usize, content);
        Ok(())
    }

    fn make_parents(&mut self, path: &str) {
        for (end, _) in path.match_indices('/') {
            self.entries.entry(path[..end].to_owned()).or_insert(Entry::Directory);
        }
    }

    /// The archive.
    pub(super) fn archive(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (number, (path, entry)) in (1..).zip(&self.entries) {
            let (mode, content) = match entry {
                Entry::Directory => (0o040_755, &[] as &[u8]),
                Entry::Program { mode, content } => (0o100_000 | mode, content.as_slice()),
            };
            put(&mut bytes, number, mode, path, content);
        }
        put(&mut bytes, 0, 0, "TRAILER!!!", &[]);
        bytes
    }
}

/// One entry: thirteen numbers in hexadecimal, the name, the content; both padded to four bytes.
fn put(bytes: &mut Vec<u8>, number: usize, mode: usize, path: &str, content: &[u8]) {
    let numbers = [number, mode, 0, 0, 1, 0, content.len(), 0, 0, 0, 0, path.len() + 1, 0];
    bytes.extend(b"070701");
    for number in numbers {
        bytes.extend(format!("{number:08x}").bytes());
    }
    bytes.extend(path.bytes());
    bytes.push(0);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes.extend(content);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parents_come_first_and_everything_is_padded() {
        let mut tree = Tree::default();
        tree.add("a/b/c", b"12345".to_vec());
        tree.add("a/l", Vec::new());

        let archive = tree.archive();

        assert_eq!(archive.len() % 4, 0);
        let text = String::from_utf8_lossy(&archive).into_owned();
        let places: Vec<usize> = ["a\0", "a/b\0", "a/b/c\0", "a/l\0", "TRAILER!!!\0"]
            .iter()
            .map(|name| text.find(name).expect("it is there"))
            .collect();
        assert!(places.is_sorted(), "{places:?}");
        assert!(text.starts_with("07070100000001000041ed"));
    }
}
