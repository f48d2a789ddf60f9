//! A directory to unpack to, beside a canary that nothing may touch.

use dhow_archive::{Limits, Summary, Unpack, Whiteouts};
use dhow_base::Result;
use std::{
    collections::BTreeMap,
    fs,
    os::{
        fd::AsFd,
        unix::{ffi::OsStrExt, fs::MetadataExt},
    },
    path::{Path, PathBuf},
};
use tempfile::TempDir;

/// `outside/` is the canary, `root/` is unpacked to.
pub(crate) struct Target {
    directory: TempDir,
    canary: BTreeMap<PathBuf, String>,
}

impl Target {
    /// Nothing where the test does not run as root, which owners, devices and whiteouts need.
    pub(crate) fn new() -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: needs root");
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("root")).unwrap();
        let outside = directory.path().join("outside");
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("secret"), "untouched").unwrap();
        fs::create_dir(outside.join("inner")).unwrap();
        fs::write(outside.join("inner/file"), "untouched too").unwrap();
        let mut target = Self { directory, canary: BTreeMap::new() };
        target.canary = target.outside();
        Some(target)
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.directory.path().join("root")
    }

    pub(crate) fn at(&self, path: &str) -> PathBuf {
        self.root().join(path)
    }

    /// The canary's path, as an attacker who knows it writes it.
    pub(crate) fn outside_path(&self) -> String {
        self.directory.path().join("outside").to_str().unwrap().to_owned()
    }

    pub(crate) fn unpack(&self, tar: &[u8], whiteouts: Whiteouts) -> Result<Summary> {
        self.unpack_within(tar, whiteouts, Limits::default())
    }

    pub(crate) fn unpack_within(
        &self,
        mut tar: &[u8],
        whiteouts: Whiteouts,
        limits: Limits,
    ) -> Result<Summary> {
        let root = fs::File::open(self.root()).unwrap();
        Unpack::new(root.as_fd(), whiteouts, limits).apply(&mut tar)
    }

    pub(crate) fn is_untouched(&self) -> bool {
        let names = fs::read_dir(self.directory.path()).unwrap().count();
        names == 2 && self.outside() == self.canary
    }

    fn outside(&self) -> BTreeMap<PathBuf, String> {
        tree(&self.directory.path().join("outside"))
    }

    pub(crate) fn text(&self, path: &str) -> String {
        fs::read_to_string(self.at(path)).unwrap()
    }

    pub(crate) fn names(&self, path: &str) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.at(path))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    pub(crate) fn status(&self, path: &str) -> fs::Metadata {
        fs::symlink_metadata(self.at(path)).unwrap()
    }

    pub(crate) fn exists(&self, path: &str) -> bool {
        fs::symlink_metadata(self.at(path)).is_ok()
    }

    /// The form that overlayfs gives to a whiteout.
    pub(crate) fn is_whiteout(&self, path: &str) -> bool {
        let status = self.status(path);
        status.mode() & 0o170_000 == 0o020_000 && status.rdev() == 0
    }

    pub(crate) fn is_opaque(&self, path: &str) -> bool {
        self.xattr(path, "trusted.overlay.opaque").as_deref() == Some(b"y")
    }

    pub(crate) fn xattr(&self, path: &str, name: &str) -> Option<Vec<u8>> {
        let mut value = vec![0; 4096];
        let length = rustix::fs::lgetxattr(self.at(path), name, &mut value[..]).ok()?;
        value.truncate(length);
        Some(value)
    }
}

/// Everything below a directory: type, mode, owner, times, links and content.
pub(crate) fn tree(directory: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut pending = vec![directory.to_owned()];
    while let Some(path) = pending.pop() {
        let status = fs::symlink_metadata(&path).unwrap();
        let mut text = format!(
            "{:o} {}:{} {}.{} {} {}",
            status.mode(),
            status.uid(),
            status.gid(),
            status.mtime(),
            status.mtime_nsec(),
            status.rdev(),
            status.nlink(),
        );
        if status.is_dir() {
            pending.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if status.is_file() {
            text.push_str(&fs::read(&path).unwrap().escape_ascii().to_string());
        } else if status.is_symlink() {
            let target = fs::read_link(&path).unwrap();
            text.push_str(&target.as_os_str().as_bytes().escape_ascii().to_string());
        }
        found.insert(path.strip_prefix(directory).unwrap().to_owned(), text);
    }
    found
}
