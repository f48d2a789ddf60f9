//! What directories cost on disk, counted as `du` counts.
//!
//! Blocks, not lengths; a file with several names once; directories too. Links are not followed and
//! mounts not entered; a subvolume of btrfs, which has a device number of its own, is no mount. One
//! directory is open at a time, so that a tree deeper than there are fds can be measured: the way
//! back up goes by `..` and is proven by device and inode.

use dhow_base::{Doing, Error, Kind, Result};
use rustix::{
    fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat, StatxAttributes, StatxFlags},
    io::Errno,
};
use std::{
    collections::HashSet,
    ffi::{CStr, CString},
    os::fd::OwnedFd,
    path::Path,
};

/// `st_blocks` counts these, whatever the file system's own blocks are (stat(2)).
const BLOCK_BYTES: u64 = 512;

/// Tries at a tree whose directories are being moved about.
const TRIES: usize = 3;

/// Device and inode.
type Identity = (u64, u64);

/// Measures one thing after another; what it has counted once it does not count again.
///
/// So what is left of a directory whose parts were measured before is had by measuring the
/// directory last.
#[derive(Debug, Default)]
pub struct Meter {
    counted: HashSet<Identity>,
}

impl Meter {
    /// A meter that has counted nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// The bytes that `path` and all below it occupy, without what was counted before. What is not
    /// there, or goes while it is measured, costs nothing.
    pub fn measure(&mut self, path: &Path) -> Result<u64> {
        let doing = || format!("measure {}", path.display());
        let Some(top) = there(rustix::fs::lstat(path)).doing(doing)? else { return Ok(0) };
        let own = bytes_of(&top);
        if !self.counted.insert(identity(&top)) {
            return Ok(0);
        }
        if FileType::from_raw_mode(top.st_mode) != FileType::Directory {
            return Ok(own);
        }
        let mut tries = 1;
        loop {
            let mut linked = Vec::new();
            match self.below(path, &top, &mut linked) {
                Ok(bytes) => return Ok(own + bytes),
                Err(error) if error.kind() == Kind::Conflict && tries < TRIES => {
                    tries += 1;
                    for one in &linked {
                        self.counted.remove(one);
                    }
                }
                Err(error) => return Err(error).doing(doing),
            }
        }
    }

    /// What lies below a directory. `linked` notes what this call has counted for good.
    fn below(&mut self, path: &Path, top: &Stat, linked: &mut Vec<Identity>) -> Result<u64> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = there(rustix::fs::open(path, flags, Mode::empty())).doing(|| "open it")?;
        let Some(mut here) = opened else { return Ok(0) };
        let mut bytes = 0;
        let mut levels = vec![Level { identity: identity(top), directories: Vec::new() }];
        bytes += self.list(&here, &mut levels, linked)?;
        while let Some(level) = levels.last_mut() {
            let Some(name) = level.directories.pop() else {
                levels.pop();
                if let Some(above) = levels.last() {
                    here = up(&here, above.identity)?;
                }
                continue;
            };
            let opened = there(rustix::fs::openat(&here, &name, flags, Mode::empty()));
            let Some(below) = opened.doing(|| format!("open {name:?}"))? else { continue };
            let found = rustix::fs::fstat(&below).doing(|| format!("look at {name:?}"))?;
            if found.st_dev != level.identity.0 && is_mount(&here, &name)? {
                continue;
            }
            levels.push(Level { identity: identity(&found), directories: Vec::new() });
            here = below;
            bytes += self.list(&here, &mut levels, linked)?;
        }
        Ok(bytes)
    }

    /// Counts the entries of a directory and notes which of them to go down into.
    fn list(
        &mut self,
        directory: &OwnedFd,
        levels: &mut [Level],
        linked: &mut Vec<Identity>,
    ) -> Result<u64> {
        let level = levels.last_mut().expect("the caller has pushed this directory's level");
        let mut bytes = 0;
        for entry in Dir::read_from(directory).doing(|| "list a directory")? {
            let entry = entry.doing(|| "list a directory")?;
            let name = entry.file_name();
            if name == c"." || name == c".." {
                continue;
            }
            let found = rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW);
            let Some(found) = there(found).doing(|| format!("look at {name:?}"))? else { continue };
            let (who, is_directory) =
                (identity(&found), FileType::from_raw_mode(found.st_mode) == FileType::Directory);
            if self.counted.contains(&who) {
                continue;
            }
            if found.st_dev != level.identity.0 && is_mount(directory, name)? {
                continue;
            }
            if !is_directory && found.st_nlink > 1 {
                self.counted.insert(who);
                linked.push(who);
            }
            bytes += bytes_of(&found);
            if is_directory {
                level.directories.push(name.to_owned());
            }
        }
        Ok(bytes)
    }
}

/// A directory on the way down.
struct Level {
    identity: Identity,
    /// The names in it that are still to be gone down into.
    directories: Vec<CString>,
}

fn up(directory: &OwnedFd, expected: Identity) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let moved = || Error::new(Kind::Conflict, "its directories are being moved");
    let above = match rustix::fs::openat(directory, c"..", flags, Mode::empty()) {
        Err(Errno::NOENT) => return Err(moved()),
        above => above.doing(|| "go back up")?,
    };
    let found = rustix::fs::fstat(&above).doing(|| "go back up")?;
    if identity(&found) == expected { Ok(above) } else { Err(moved()) }
}

/// Is something mounted at this name? What is gone is no mount. Linux 5.8, as all that dhow mounts
/// needs more.
fn is_mount(directory: &OwnedFd, name: &CStr) -> Result<bool> {
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
    let found = there(rustix::fs::statx(directory, name, flags, StatxFlags::empty()));
    let found = found.doing(|| format!("look whether {name:?} is a mount"))?;
    Ok(found.is_some_and(|found| found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT)))
}

/// What another process has removed in the meantime is no error.
fn there<T>(result: rustix::io::Result<T>) -> rustix::io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(errno),
    }
}

fn identity(stat: &Stat) -> Identity {
    (stat.st_dev, stat.st_ino)
}

fn bytes_of(stat: &Stat) -> u64 {
    stat.st_blocks.cast_unsigned() * BLOCK_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::symlink, process::Command};

    /// What the oracle says; the tests' machines all have one.
    fn du(path: &Path) -> u64 {
        let output = Command::new("du").args(["-s", "-B1"]).arg(path).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        text.split_whitespace().next().unwrap().parse().unwrap()
    }

    fn tree() -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        fs::create_dir_all(at("a/b/c")).unwrap();
        fs::write(at("a/big"), vec![7; 300_000]).unwrap();
        fs::write(at("a/b/small"), b"x").unwrap();
        fs::hard_link(at("a/big"), at("a/b/c/again")).unwrap();
        dhow_base::file::create_new(&at("a/sparse"), 0o600).unwrap().set_len(1 << 30).unwrap();
        symlink("/", at("a/b/away")).unwrap();
        directory
    }

    #[test]
    fn a_tree_costs_what_du_says() {
        let directory = tree();

        let measured = Meter::new().measure(directory.path()).unwrap();

        assert_eq!(measured, du(directory.path()));
    }

    #[test]
    fn what_was_counted_is_not_counted_again() {
        let directory = tree();
        let at = |name: &str| directory.path().join(name);
        let mut meter = Meter::new();

        let parts = meter.measure(&at("a/b")).unwrap() + meter.measure(&at("a/sparse")).unwrap();
        let again = meter.measure(&at("a/b")).unwrap();
        let rest = meter.measure(directory.path()).unwrap();

        assert_eq!(again, 0);
        assert_eq!(parts + rest, du(directory.path()));
    }

    #[test]
    fn a_tree_may_be_deeper_than_there_are_fds_and_path_bytes() {
        let directory = tempfile::tempdir().unwrap();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let mut here = rustix::fs::open(directory.path(), flags, Mode::empty()).unwrap();
        for _ in 0..1200 {
            rustix::fs::mkdirat(&here, c"directory", Mode::RWXU).unwrap();
            here = rustix::fs::openat(&here, c"directory", flags, Mode::empty()).unwrap();
        }

        let measured = Meter::new().measure(directory.path()).unwrap();

        assert_eq!(measured, du(directory.path()));
    }

    #[test]
    fn what_is_not_there_costs_nothing() {
        assert_eq!(Meter::new().measure(Path::new("/nowhere/at/all")).unwrap(), 0);
    }
}
