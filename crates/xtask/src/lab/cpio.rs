//! An initial file system for a kernel: files of the host's and texts of ours, as one cpio archive.
//!
//! The format is the kernel's own ("newc": Documentation/driver-api/early-userspace/buffer-format).
//! Everything belongs to root and has no time, so the same files give the same bytes. Parents come
//! before their children, which the kernel needs and the sorted order gives.

use dhow_base::{Doing, Result};
use std::{
    collections::BTreeMap,
    fs,
    os::unix::{ffi::OsStringExt, fs::MetadataExt},
    path::Path,
};

const DIRECTORY: usize = 0o040_000;
const FILE: usize = 0o100_000;
const LINK: usize = 0o120_000;

/// What stands at a path: type and rights, and the content or where a link leads.
#[derive(Debug)]
struct Entry {
    mode: usize,
    content: Vec<u8>,
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
        self.insert(path, FILE | mode, content);
    }

    fn insert(&mut self, path: &str, mode: usize, content: Vec<u8>) {
        self.make_parents(path);
        self.entries.insert(path.to_owned(), Entry { mode, content });
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

    /// Adds a copy of a directory of the host's and what is below it: directories, files and links.
    /// What `skips` names, relative to it, stays out.
    pub(super) fn copy_tree(&mut self, path: &str, source: &Path, skips: &[&str]) -> Result<()> {
        let mode = fs::metadata(source).doing(|| format!("look at {}", source.display()))?.mode();
        self.insert(path, DIRECTORY | (mode & 0o7777) as usize, Vec::new());
        self.copy_below(path, source, "", skips)
    }

    fn copy_below(&mut self, path: &str, source: &Path, at: &str, skips: &[&str]) -> Result<()> {
        let doing = || format!("read {}", source.join(at).display());
        for entry in fs::read_dir(source.join(at)).doing(doing)? {
            let entry = entry.doing(doing)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let below = if at.is_empty() { name } else { format!("{at}/{name}") };
            if skips.contains(&below.as_str()) {
                continue;
            }
            let (place, kind) = (format!("{path}/{below}"), entry.file_type().doing(doing)?);
            if kind.is_dir() {
                let mode = entry.metadata().doing(doing)?.mode() & 0o7777;
                self.insert(&place, DIRECTORY | mode as usize, Vec::new());
                self.copy_below(path, source, &below, skips)?;
            } else if kind.is_symlink() {
                let target = fs::read_link(entry.path()).doing(doing)?;
                self.insert(&place, LINK | 0o777, target.into_os_string().into_vec());
            } else if kind.is_file() {
                self.copy(&place, &entry.path())?;
            }
        }
        Ok(())
    }

    fn make_parents(&mut self, path: &str) {
        for (end, _) in path.match_indices('/') {
            let parent = || Entry { mode: DIRECTORY | 0o755, content: Vec::new() };
            self.entries.entry(path[..end].to_owned()).or_insert_with(parent);
        }
    }

    /// The archive.
    pub(super) fn archive(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (number, (path, entry)) in (1..).zip(&self.entries) {
            put(&mut bytes, number, entry.mode, path, &entry.content);
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

    #[test]
    fn a_directory_comes_with_its_links_and_without_what_is_skipped() {
        let source = tempfile::tempdir().unwrap();
        fs::create_dir_all(source.path().join("a/doc")).unwrap();
        fs::write(source.path().join("a/file"), "x").unwrap();
        fs::write(source.path().join("a/doc/page"), "x").unwrap();
        std::os::unix::fs::symlink("file", source.path().join("a/link")).unwrap();
        let mut tree = Tree::default();

        tree.copy_tree("root", source.path(), &["a/doc"]).unwrap();

        let paths: Vec<&str> = tree.entries.keys().map(String::as_str).collect();
        assert_eq!(paths, ["root", "root/a", "root/a/file", "root/a/link"]);
        let link = &tree.entries["root/a/link"];
        assert_eq!((link.mode, link.content.as_slice()), (LINK | 0o777, b"file".as_slice()));
    }
}
