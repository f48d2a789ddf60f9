//! What a layer has put into the tree so far, as far as later entries depend on it.
//!
//! A directory gets its time when nothing more is made in it. Which directories these are is known
//! for a while only: when they become many they are dated all at once, and whoever then makes
//! something in one of them [touches](Placed::touch) it first, so that its time is read back from
//! the file system. In a tree of several layers a whiteout spares what its own layer has brought,
//! so there every path leaves a mark, which is its hash under a key that nobody knows. So the memory
//! that this takes grows with what is implied or marked and by little for each.

use crate::{
    Allowance,
    entry::Mtime,
    limits::exceeded,
    path::{Shown, split},
};
use dhow_base::Result;
use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    ffi::OsString,
    hash::{BuildHasher, RandomState},
    os::unix::ffi::OsStringExt,
    path::PathBuf,
};

/// What is held of directories that are not dated yet, before they are.
const UNDATED_BYTES: usize = 1 << 20;
/// What a mark takes in a table that is half full, and as much again while it grows.
const MARK_BYTES: usize = 2 * (size_of::<u128>() + 1) + size_of::<u128>();
/// What a path takes beside its bytes: its place in the tree of paths, and the allocator's part.
const PATH_BYTES: usize = 96;
/// The allowance is asked for so much at a time.
const GRANT_BYTES: usize = 256 << 10;

/// Whose the directories are that the layer is unpacked into.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Ground {
    /// The layer's alone.
    Own,
    /// Others' too, and theirs get a new time by what is made in them.
    Shared,
    /// Those of the layers below, from which whiteouts take away what this layer has not placed.
    Layers,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Placed {
    ground: Ground,
    /// Directories that the layer has listed; paths here and below are true ones, without symlinks.
    undated: BTreeMap<Vec<u8>, Mtime>,
    /// Directories that the layer needed and has not listed.
    implied: BTreeSet<Vec<u8>>,
    /// All that the layer has placed, and what leads there.
    marks: Marks,
    /// Directories that have their time already.
    dated: Marks,
    has_dated: bool,
    undated_bytes: usize,
    implied_bytes: usize,
    most_bytes: usize,
    allowance: Allowance,
    granted_bytes: usize,
}

impl Placed {
    pub(crate) fn new(ground: Ground, most_bytes: usize, allowance: Allowance) -> Self {
        Self {
            ground,
            undated: BTreeMap::new(),
            implied: BTreeSet::new(),
            marks: Marks::default(),
            dated: Marks::default(),
            has_dated: false,
            undated_bytes: 0,
            implied_bytes: 0,
            most_bytes,
            allowance,
            granted_bytes: 0,
        }
    }

    /// The layer has brought this, and it is no directory that is to be dated.
    pub(crate) fn list(&mut self, path: &[u8]) -> Result<()> {
        self.forget(path);
        self.mark(path)
    }

    /// The layer has brought this directory.
    pub(crate) fn list_directory(&mut self, path: &[u8], mtime: Mtime) -> Result<()> {
        self.unimply(path);
        self.undate(path, mtime);
        self.mark(path)
    }

    /// The layer needed this directory.
    pub(crate) fn imply(&mut self, path: &[u8]) -> Result<()> {
        if !self.undated.contains_key(path) && self.implied.insert(path.to_vec()) {
            self.implied_bytes += path.len() + PATH_BYTES;
        }
        self.mark(path)
    }

    /// Something is placed below a directory: a whiteout of the directory spares it.
    pub(crate) fn pass(&mut self, directory: &[u8]) -> Result<()> {
        let mut path = directory;
        while self.ground == Ground::Layers && !path.is_empty() && !self.marks.contains(path) {
            self.mark(path)?;
            path = split(path).0;
        }
        Ok(())
    }

    /// Has this layer placed it, or something below it? Known among layers only.
    pub(crate) fn contains(&self, path: &[u8]) -> bool {
        self.marks.contains(path)
    }

    /// Something is about to be made or removed in a directory: must its time be read first, and
    /// given to [`Placed::touch`]?
    pub(crate) fn is_dated(&self, directory: &[u8]) -> bool {
        self.has_dated
            && !self.undated.contains_key(directory)
            && !self.implied.contains(directory)
            && (self.ground == Ground::Own || self.dated.contains(directory))
    }

    /// This directory has to get this time once more.
    pub(crate) fn touch(&mut self, directory: &[u8], mtime: Mtime) {
        self.undate(directory, mtime);
    }

    /// Forgets a path and everything below it: it is removed. Marks of what is below may stay: what
    /// comes to be there again is this layer's as well.
    pub(crate) fn forget_tree(&mut self, path: &[u8]) {
        self.forget(path);
        let below = [path, b"/"].concat();
        let is_below = |inner: &&Vec<u8>| inner.starts_with(&below);
        let undated = self.undated.range(below.clone()..).map(|(inner, _)| inner);
        let mut inner: Vec<Vec<u8>> = undated.take_while(is_below).cloned().collect();
        inner.extend(self.implied.range(below.clone()..).take_while(is_below).cloned());
        inner.iter().for_each(|inner| self.forget(inner));
    }

    /// Forgets that it is implied.
    pub(crate) fn unimply(&mut self, path: &[u8]) {
        if self.implied.remove(path) {
            self.implied_bytes -= path.len() + PATH_BYTES;
        }
    }

    /// Are there so many directories without a time that it is time?
    pub(crate) fn is_crowded(&self) -> bool {
        self.undated_bytes > UNDATED_BYTES
    }

    /// All directories that have to be dated; they are by then, as far as this knows.
    pub(crate) fn take_undated(&mut self) -> Result<BTreeMap<Vec<u8>, Mtime>> {
        let undated = std::mem::take(&mut self.undated);
        self.undated_bytes = 0;
        self.has_dated = true;
        if self.ground != Ground::Own {
            for path in undated.keys() {
                self.dated.insert(path);
            }
            self.check(b"")?;
        }
        Ok(undated)
    }

    /// In the end: what has to be dated still, and the directories that the layer needed and never
    /// listed.
    pub(crate) fn into_rest(mut self) -> (BTreeMap<Vec<u8>, Mtime>, Vec<PathBuf>) {
        let implied = std::mem::take(&mut self.implied);
        let implied = implied.into_iter().map(|path| OsString::from_vec(path).into()).collect();
        (std::mem::take(&mut self.undated), implied)
    }

    fn undate(&mut self, path: &[u8], mtime: Mtime) {
        if self.undated.insert(path.to_vec(), mtime).is_none() {
            self.undated_bytes += path.len() + PATH_BYTES;
        }
    }

    fn forget(&mut self, path: &[u8]) {
        if self.undated.remove(path).is_some() {
            self.undated_bytes -= path.len() + PATH_BYTES;
        }
        self.unimply(path);
        self.marks.remove(path);
        self.dated.remove(path);
    }

    fn mark(&mut self, path: &[u8]) -> Result<()> {
        if self.ground == Ground::Layers {
            self.marks.insert(path);
        }
        self.check(path)
    }

    fn check(&mut self, path: &[u8]) -> Result<()> {
        let marks = self.marks.len() + self.dated.len();
        let bytes = self.implied_bytes + marks * MARK_BYTES;
        if bytes > self.most_bytes {
            let object = format!("the layer at {}", Shown(path));
            return Err(exceeded(object, "bytes of remembered paths", self.most_bytes));
        }
        while bytes > self.granted_bytes {
            self.allowance.take(GRANT_BYTES as u64)?;
            self.granted_bytes += GRANT_BYTES;
        }
        Ok(())
    }
}

impl Drop for Placed {
    fn drop(&mut self) {
        self.allowance.give(self.granted_bytes as u64);
    }
}

/// Paths, each as 128 bits that depend on all of it. The key is new each time, so no archive can be
/// made in which two paths are the same.
#[derive(Debug, Default)]
struct Marks {
    hashes: HashSet<u128>,
    keys: [RandomState; 2],
}

impl Marks {
    fn hash(&self, path: &[u8]) -> u128 {
        let [high, low] = &self.keys;
        u128::from(high.hash_one(path)) << 64 | u128::from(low.hash_one(path))
    }

    fn insert(&mut self, path: &[u8]) {
        self.hashes.insert(self.hash(path));
    }

    fn contains(&self, path: &[u8]) -> bool {
        !self.hashes.is_empty() && self.hashes.contains(&self.hash(path))
    }

    fn remove(&mut self, path: &[u8]) {
        if !self.hashes.is_empty() {
            self.hashes.remove(&self.hash(path));
        }
    }

    fn len(&self) -> usize {
        self.hashes.len()
    }
}
