//! A path of the host's that somebody with rights was given, through directories that may be
//! somebody else's.
//!
//! The kernel follows every link on the way, whoever made it, so a user who owns one directory of
//! a path decides where root writes. Here a link is followed only where it belongs to root or to
//! the caller: `/var/run` is a link of root's, and one's own links are one's own business. Each
//! step is taken from the fd of the last one, and what a link says is read from the link that was
//! looked at, so nothing can be swapped in between.

use rustix::{
    fs::{CWD, FileType, Mode, OFlags},
    io::Errno,
};
use std::{
    collections::VecDeque,
    ffi::{OsStr, OsString},
    fs::File,
    io,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::ffi::{OsStrExt, OsStringExt},
    },
    path::{Component, Path, PathBuf},
};

/// What happens at a link in the last place.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LastLink {
    /// It is followed, if it may be.
    Followed,
    /// It is meant itself: it will be replaced.
    Kept,
}

/// A name in a directory that is held open; the file need not exist.
#[derive(Debug)]
pub struct Place {
    directory: OwnedFd,
    name: OsString,
    /// A link of procfs, which leads to an open file and has no path of its own.
    is_magic: bool,
}

/// As many links as the kernel follows.
const LINKS: u32 = 40;

impl Place {
    /// Goes the way that `path` says.
    pub fn find(path: &Path, last: LastLink) -> io::Result<Self> {
        let mut ahead: VecDeque<OsString> = steps(path);
        let mut directory = start(path)?;
        let mut links = 0;
        while let Some(name) = ahead.pop_front() {
            let is_last = ahead.is_empty();
            if is_last && last == LastLink::Kept {
                return Ok(Self { directory, name, is_magic: false });
            }
            let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let step = match rustix::fs::openat(&directory, &name, flags, Mode::empty()) {
                Err(Errno::NOENT) if is_last => {
                    return Ok(Self { directory, name, is_magic: false });
                }
                step => step?,
            };
            let status = rustix::fs::fstat(&step)?;
            if FileType::from_raw_mode(status.st_mode) != FileType::Symlink {
                if is_last {
                    return Ok(Self { directory, name, is_magic: false });
                }
                directory = step;
                continue;
            }
            links += 1;
            if links > LINKS {
                return Err(Errno::LOOP.into());
            }
            check_owner(&name, status.st_uid)?;
            if rustix::fs::fstatfs(&step)?.f_type == rustix::fs::PROC_SUPER_MAGIC {
                if is_last {
                    return Ok(Self { directory, name, is_magic: true });
                }
                let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
                directory = rustix::fs::openat(&directory, &name, flags, Mode::empty())?;
                continue;
            }
            let target = rustix::fs::readlinkat(&step, "", Vec::new())?.into_bytes();
            let target = PathBuf::from(OsString::from_vec(target));
            if target.is_absolute() {
                directory = start(&target)?;
            }
            for step in steps(&target).into_iter().rev() {
                ahead.push_front(step);
            }
        }
        // The path ends at a directory that has no name here: `/`, or a link to it.
        Ok(Self { directory, name: OsString::from("."), is_magic: false })
    }

    /// A path that leads here while this value lives, without going the way again. What is in the
    /// last place is for the user of the path to take or to refuse.
    pub fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.directory.as_raw_fd())).join(&self.name)
    }

    /// Whether it is a link of procfs, to what somebody has open.
    pub(crate) fn is_magic(&self) -> bool {
        self.is_magic
    }

    /// Opens the file to write at its end; makes it where it is missing. A FIFO without a reader is
    /// an error and no wait.
    pub fn append(&self, mode: u32) -> io::Result<File> {
        let mut flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE | OFlags::CLOEXEC;
        flags |= OFlags::NOCTTY | OFlags::NONBLOCK;
        if !self.is_magic {
            flags |= OFlags::NOFOLLOW;
        }
        let mode = Mode::from_raw_mode(mode);
        Ok(rustix::fs::openat(&self.directory, &self.name, flags, mode)?.into())
    }

    /// Opens what is there as a place only, to look at it or to connect to it.
    pub fn existing(&self) -> io::Result<OwnedFd> {
        let mut flags = OFlags::PATH | OFlags::CLOEXEC;
        if !self.is_magic {
            flags |= OFlags::NOFOLLOW;
        }
        Ok(rustix::fs::openat(&self.directory, &self.name, flags, Mode::empty())?)
    }
}

fn start(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let top = if path.is_absolute() { "/" } else { "." };
    Ok(rustix::fs::openat(CWD, top, flags, Mode::empty())?)
}

fn steps(path: &Path) -> VecDeque<OsString> {
    let steps = path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name),
        Component::ParentDir => Some(OsStr::new("..")),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    });
    steps.map(OsStr::to_owned).collect()
}

fn check_owner(name: &OsStr, owner: u32) -> io::Result<()> {
    if owner == 0 || owner == rustix::process::geteuid().as_raw() {
        return Ok(());
    }
    // Inside a user namespace the host's root is nobody, and there are no rights to abuse.
    if owner == NOBODY && is_in_user_namespace()? {
        return Ok(());
    }
    let name = String::from_utf8_lossy(name.as_bytes()).into_owned();
    let text = format!("the link {name} on the way belongs to user {owner}");
    Err(io::Error::new(io::ErrorKind::PermissionDenied, text))
}

/// What the kernel shows for ids that the namespace does not have.
const NOBODY: u32 = 65_534;

fn is_in_user_namespace() -> io::Result<bool> {
    let map = std::fs::read_to_string("/proc/self/uid_map")?;
    let mut numbers = map.split_whitespace();
    Ok((numbers.next(), numbers.next(), numbers.next())
        != (Some("0"), Some("0"), Some("4294967295")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::symlink};

    #[test]
    fn own_links_are_followed_and_the_rest_of_the_path_is_gone_as_written() {
        let directory = std::env::temp_dir().join(format!("dhow-place-{}", std::process::id()));
        fs::create_dir_all(directory.join("a/b")).unwrap();
        symlink("a/../a/b", directory.join("way")).unwrap();
        symlink(directory.join("way/../b/file"), directory.join("last")).unwrap();
        symlink("loop", directory.join("loop")).unwrap();
        let find = |name: &str, last| Place::find(&directory.join(name), last);

        for name in ["a/b/file", "way/file", "way/./file", "last"] {
            let file = find(name, LastLink::Followed).unwrap().append(0o600).unwrap();
            drop(file);
            assert!(directory.join("a/b/file").is_file(), "{name}");
            fs::remove_file(directory.join("a/b/file")).unwrap();
        }
        assert!(find("last", LastLink::Kept).unwrap().append(0o600).is_err());
        assert_eq!(find("loop", LastLink::Followed).unwrap_err().raw_os_error(), Some(40));
        assert!(find("none/file", LastLink::Followed).is_err());
        assert!(find("a/b/none", LastLink::Followed).unwrap().existing().is_err());
        assert!(Place::find(Path::new("/"), LastLink::Followed).unwrap().existing().is_ok());
        assert!(Place::find(Path::new("/proc/self/fd/0"), LastLink::Followed).unwrap().is_magic);

        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn a_link_of_somebody_else_s_is_refused_in_any_place() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let directory = std::env::temp_dir().join(format!("dhow-link-{}", std::process::id()));
        fs::create_dir_all(directory.join("a")).unwrap();
        symlink("a", directory.join("way")).unwrap();
        std::os::unix::fs::lchown(directory.join("way"), Some(1234), None).unwrap();

        for name in ["way/file", "way"] {
            let error = Place::find(&directory.join(name), LastLink::Followed).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::PermissionDenied, "{name}");
        }
        assert!(Place::find(&directory.join("way"), LastLink::Kept).is_ok());

        fs::remove_dir_all(directory).unwrap();
    }
}
