//! A directory tree that its owner may change at any moment, entered without ever leaving it.
//!
//! Every path is resolved by the kernel from the root's fd with `openat2(2)`: an absolute symbolic
//! link starts at the root, `..` at the root stays there, and magic links (those of procfs, which
//! jump anywhere) are refused. A renamed directory cannot widen a lookup (CVE-2021-30465): what
//! comes back is an fd, and the caller goes on from there, never from the path. Linux 5.6.

use rustix::{
    fs::{Mode, OFlags, ResolveFlags},
    io::Errno,
};
use std::{
    ffi::OsStr,
    io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::{Component, Path, PathBuf},
};

/// How many times a lookup is tried again when a rename elsewhere disturbed it (`EAGAIN`).
const PATIENCE: usize = 128;

/// How many links that dangle are followed before they count as a circle; the kernel's own number.
const LINKS: usize = 40;

/// What happens at a symbolic link in a path's last place.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Last {
    /// It is followed, within the root.
    Followed,
    /// No symbolic link may be anywhere in the path.
    NoLinks,
}

/// The root of a tree.
#[derive(Clone, Copy, Debug)]
pub struct Root<'a> {
    directory: BorrowedFd<'a>,
}

impl<'a> Root<'a> {
    /// The tree below `directory`.
    pub fn new(directory: BorrowedFd<'a>) -> Self {
        Self { directory }
    }

    /// Opens what `path` names.
    pub fn open(&self, path: &Path, flags: OFlags, last: Last) -> io::Result<OwnedFd> {
        let mut resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        if last == Last::NoLinks {
            resolve |= ResolveFlags::NO_SYMLINKS;
        }
        let flags = flags | OFlags::CLOEXEC;
        for _ in 0..PATIENCE {
            match rustix::fs::openat2(self.directory, path, flags, Mode::empty(), resolve) {
                Err(Errno::AGAIN | Errno::INTR) => {}
                result => return Ok(result?),
            }
        }
        Err(Errno::AGAIN.into())
    }

    /// Opens what `path` names, as a place only: for mounting on, or to look at.
    pub fn place(&self, path: &Path, last: Last) -> io::Result<OwnedFd> {
        self.open(path, OFlags::PATH, last)
    }

    /// Opens what `path` names as a place, if no step of the way leaves the tree: a link that leads
    /// out is refused with `EXDEV`, and not taken to mean something inside.
    pub fn place_beneath(&self, path: &Path) -> io::Result<OwnedFd> {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        for _ in 0..PATIENCE {
            match rustix::fs::openat2(self.directory, path, flags, Mode::empty(), resolve) {
                Err(Errno::AGAIN | Errno::INTR) => {}
                result => return Ok(result?),
            }
        }
        Err(Errno::AGAIN.into())
    }

    /// Opens a directory as a place, after making it and its missing parents with mode 755.
    ///
    /// Links are followed within the root, those that dangle too: what they name is made, as if it
    /// had been asked for. Each step is resolved from the root again, so a link that is swapped
    /// meanwhile leads somewhere else in the root, and never out of it.
    pub fn make_directories(&self, path: &Path) -> io::Result<OwnedFd> {
        let mut path = path.to_owned();
        for _ in 0..LINKS {
            let flags = OFlags::PATH | OFlags::DIRECTORY;
            match self.open(&path, flags, Last::Followed) {
                Err(error) if is(&error, Errno::NOENT) => {}
                result => return result,
            }
            let (directory, prefix, missing) = self.deepest_directory(&path)?;
            match link_in(directory.as_fd(), missing[0])? {
                None => return make_below(directory, &missing),
                Some(target) => path = prefix.join(target).join(rest(&missing)),
            }
        }
        Err(Errno::LOOP.into())
    }

    /// Opens a file as a place, after making an empty one, and its parents, where it is missing.
    /// Links are as in [`Root::make_directories`].
    pub fn make_file(&self, path: &Path) -> io::Result<OwnedFd> {
        let mut path = path.to_owned();
        for _ in 0..LINKS {
            match self.place(&path, Last::Followed) {
                Err(error) if is(&error, Errno::NOENT) => {}
                result => return result,
            }
            let name = path.file_name().ok_or(Errno::INVAL)?;
            let prefix = path.parent().unwrap_or(Path::new("/"));
            let parent = self.make_directories(prefix)?;
            match link_in(parent.as_fd(), name)? {
                None => {
                    make_file_at(parent.as_fd(), name)?;
                    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                    return Ok(rustix::fs::openat(&parent, name, flags, Mode::empty())?);
                }
                Some(target) => path = prefix.join(target),
            }
        }
        Err(Errno::LOOP.into())
    }

    /// The deepest existing directory on the way to `path`, its own path, and the names below it,
    /// of which there is one at least.
    fn deepest_directory<'p>(
        &self,
        path: &'p Path,
    ) -> io::Result<(OwnedFd, &'p Path, Vec<&'p OsStr>)> {
        let mut missing = Vec::new();
        let mut prefix = path;
        loop {
            // `..` after something missing has no meaning, and `.` none at all.
            match prefix.components().next_back() {
                Some(Component::Normal(name)) => missing.push(name),
                _ => return Err(Errno::NOENT.into()),
            }
            prefix = prefix.parent().unwrap_or(Path::new("/"));
            let shown = if prefix.as_os_str().is_empty() { Path::new("/") } else { prefix };
            match self.open(shown, OFlags::PATH | OFlags::DIRECTORY, Last::Followed) {
                Ok(directory) => {
                    missing.reverse();
                    return Ok((directory, shown, missing));
                }
                Err(error) if is(&error, Errno::NOENT) && shown != Path::new("/") => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// Where a link leads, or nothing where the name is no link, or is not there.
fn link_in(directory: BorrowedFd<'_>, name: &OsStr) -> io::Result<Option<PathBuf>> {
    match rustix::fs::readlinkat(directory, name, Vec::new()) {
        Ok(target) => Ok(Some(PathBuf::from(OsStr::from_bytes(target.as_bytes())))),
        Err(Errno::INVAL | Errno::NOENT) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

/// The names after the first.
fn rest(names: &[&OsStr]) -> PathBuf {
    names.iter().skip(1).collect()
}

/// Makes directories in each other, without following a link.
fn make_below(mut directory: OwnedFd, names: &[&OsStr]) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    for &name in names {
        match rustix::fs::mkdirat(&directory, name, Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno.into()),
        }
        directory = rustix::fs::openat(&directory, name, flags, Mode::empty())?;
    }
    Ok(directory)
}

/// Makes an empty file; one that is there already is fine, a link is not followed.
fn make_file_at(directory: BorrowedFd<'_>, name: &OsStr) -> io::Result<()> {
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::WRONLY;
    match rustix::fs::openat(directory, name, flags, Mode::from_raw_mode(0o644)) {
        Ok(_) | Err(Errno::EXIST) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

fn is(error: &io::Error, errno: Errno) -> bool {
    error.raw_os_error() == Some(errno.raw_os_error())
}
