//! Where a copy comes from and goes to: a directory fd and a name in it that is no link.

use dhow_base::{Doing, Error, Kind, Result};
use dhow_sys::root::{Last, Root};
use rustix::{
    fs::{AtFlags, FileType, OFlags, Stat},
    io::Errno,
};
use std::{
    ffi::{OsStr, OsString},
    os::{
        fd::{BorrowedFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::{Path, PathBuf},
};

/// How many links are followed before they count as a circle; the kernel's own number.
const LINKS: usize = 40;

/// How a path ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Ending {
    /// With a name.
    Name,
    /// With a slash: it is to be a directory.
    Slash,
    /// With `/.`, or with nothing that is a name: what is in it is meant.
    Contents,
}

/// A path as it was written.
#[derive(Clone, Debug)]
pub(super) struct Spot {
    pub(super) path: PathBuf,
    ending: Ending,
}

/// What is copied.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) directory: OwnedFd,
    /// `.` for the directory itself.
    pub(super) name: OsString,
    is_directory: bool,
    contents_only: bool,
}

/// Where it goes.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) directory: OwnedFd,
    /// The name there; empty where the directory itself is filled.
    pub(super) shown: PathBuf,
}

impl Spot {
    pub(super) fn parse(text: &str) -> Self {
        let path = PathBuf::from(text);
        let ending = match () {
            () if text.ends_with("/.") || path.file_name().is_none() => Ending::Contents,
            () if text.ends_with('/') => Ending::Slash,
            () => Ending::Name,
        };
        Self { path, ending }
    }

    /// Finds what is there.
    pub(super) fn source(&self, root: BorrowedFd<'_>, follow: bool) -> Result<Source> {
        let follow = follow || self.ending != Ending::Name;
        let found = find(&Root::new(root), &self.path, follow)?;
        let missing = || Error::new(Kind::NotFound, format!("{}: no such file", self.shown()));
        let stat = found.stat.ok_or_else(missing)?;
        let is_directory = is(&stat, FileType::Directory);
        if self.ending != Ending::Name && !is_directory {
            return Err(self.no_directory());
        }
        if is(&stat, FileType::Socket) {
            let what = format!("{} is a socket, which cannot be copied", self.shown());
            return Err(Error::new(Kind::Unsupported, what));
        }
        Ok(Source {
            directory: found.directory,
            name: found.name,
            is_directory,
            contents_only: self.ending == Ending::Contents,
        })
    }

    /// Finds where a source goes.
    pub(super) fn target(&self, root: BorrowedFd<'_>, source: &Source) -> Result<Target> {
        let found = find(&Root::new(root), &self.path, true)?;
        match found.stat {
            Some(stat) if is(&stat, FileType::Directory) => {
                let shown = if source.contents_only { Path::new("") } else { source.own_name() };
                let directory = enter(&found, &self.shown())?;
                Ok(Target { directory, shown: shown.to_owned() })
            }
            Some(_) if source.is_directory => {
                let what = format!("{} is a file, and what is copied a directory", self.shown());
                Err(Error::new(Kind::Conflict, what))
            }
            Some(_) if self.ending != Ending::Name => Err(self.no_directory()),
            None if self.ending != Ending::Name && !source.is_directory => {
                let what = format!("{}: no such directory", self.shown());
                Err(Error::new(Kind::NotFound, what).hint("the directory must be there"))
            }
            _ => Ok(Target { directory: found.directory, shown: found.name.into() }),
        }
    }

    /// Finds a directory that a stream is unpacked into.
    pub(super) fn directory(&self, root: BorrowedFd<'_>) -> Result<Target> {
        let found = find(&Root::new(root), &self.path, true)?;
        match &found.stat {
            Some(stat) if is(stat, FileType::Directory) => {
                let directory = enter(&found, &self.shown())?;
                Ok(Target { directory, shown: PathBuf::new() })
            }
            Some(_) => Err(self.no_directory()),
            None => {
                let what = format!("{}: no such directory", self.shown());
                Err(Error::new(Kind::NotFound, what).hint("the directory must be there"))
            }
        }
    }

    fn shown(&self) -> String {
        self.path.display().to_string()
    }

    fn no_directory(&self) -> Error {
        Error::new(Kind::Conflict, format!("{} is no directory", self.shown()))
    }
}

impl Source {
    /// The name that it has where nobody gives it another one; none for the root of everything.
    pub(super) fn own_name(&self) -> &Path {
        let is_nameless = self.contents_only || self.name == ".";
        if is_nameless { Path::new("") } else { Path::new(&self.name) }
    }
}

/// What a path leads to: the last directory, and a name in it.
struct FoundAt {
    directory: OwnedFd,
    name: OsString,
    stat: Option<Stat>,
}

/// Goes to the directory that holds what `path` names. A link in the last place is followed by hand,
/// each time from the root, so that the end is a name that is no link, or may not be followed.
fn find(root: &Root<'_>, path: &Path, follow: bool) -> Result<FoundAt> {
    let mut path = path.to_owned();
    for _ in 0..LINKS {
        let (above, name) = match path.file_name() {
            Some(name) => (path.parent().unwrap_or(Path::new("/")).to_owned(), name.to_owned()),
            None => (path.clone(), OsString::from(".")),
        };
        let above = if above.as_os_str().is_empty() { PathBuf::from("/") } else { above };
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        let directory = root
            .open(&above, flags, Last::Followed)
            .doing(|| format!("open {}", above.display()))?;
        let stat = match rustix::fs::statat(&directory, &name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Some(stat),
            Err(Errno::NOENT) => None,
            Err(errno) => return Err(errno).doing(|| format!("look at {}", path.display())),
        };
        if !follow || !stat.as_ref().is_some_and(|stat| is(stat, FileType::Symlink)) {
            return Ok(FoundAt { directory, name, stat });
        }
        let target = rustix::fs::readlinkat(&directory, &name, Vec::new())
            .doing(|| format!("read the link {}", path.display()))?;
        path = above.join(OsStr::from_bytes(target.as_bytes()));
    }
    let what = format!("{}: too many links lead to one another", path.display());
    Err(Error::new(Kind::Invalid, what))
}

fn enter(found: &FoundAt, shown: &str) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(&found.directory, &found.name, flags, rustix::fs::Mode::empty())
        .doing(|| format!("open {shown}"))
}

fn is(stat: &Stat, kind: FileType) -> bool {
    FileType::from_raw_mode(stat.st_mode) == kind
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::fd::AsFd, os::unix::fs::symlink};

    fn root() -> (tempfile::TempDir, OwnedFd) {
        let directory = tempfile::tempdir().unwrap();
        for path in ["dir/inner", "empty"] {
            fs::create_dir_all(directory.path().join(path)).unwrap();
        }
        for path in ["file", "dir/one"] {
            fs::write(directory.path().join(path), path).unwrap();
        }
        symlink("/dir", directory.path().join("link")).unwrap();
        symlink("../../../../file", directory.path().join("dir/up")).unwrap();
        symlink("round", directory.path().join("round")).unwrap();
        let fd = fs::File::open(directory.path()).unwrap().into();
        (directory, fd)
    }

    #[test]
    fn where_things_land_is_dockers_rule() {
        let (_directory, root) = root();
        // From, to, and the name in the directory that it lands in.
        let cases = [
            ("/file", "/new", Some("new")),
            ("/file", "/dir", Some("file")),
            ("/file", "/dir/", Some("file")),
            ("/file", "/link", Some("file")),
            ("/file", "/dir/one", Some("one")),
            ("/file", "/new/", None),
            ("/file", "/none/new", None),
            ("/dir", "/new", Some("new")),
            ("/dir", "/empty", Some("dir")),
            ("/dir/", "/empty", Some("dir")),
            ("/dir/.", "/empty", Some("")),
            ("/dir/.", "/new", Some("new")),
            ("/dir", "/file", None),
            ("/link", "/empty", Some("link")),
            ("/link/", "/empty", Some("dir")),
            ("/file/", "/empty", None),
            ("/round/", "/empty", None),
            ("/none", "/empty", None),
            ("/", "/empty", Some("")),
        ];
        for (from, to, expected) in cases {
            let landed = Spot::parse(from)
                .source(root.as_fd(), false)
                .and_then(|source| Spot::parse(to).target(root.as_fd(), &source))
                .map(|target| target.shown);
            assert_eq!(landed.ok().as_deref(), expected.map(Path::new), "{from} to {to}");
        }
    }

    #[test]
    fn a_link_is_followed_within_the_root_alone() {
        let (_directory, root) = root();

        let followed = Spot::parse("/dir/up").source(root.as_fd(), true).unwrap();
        let kept = Spot::parse("/dir/up").source(root.as_fd(), false).unwrap();

        assert_eq!(
            (followed.name.as_os_str(), kept.name.as_os_str()),
            (OsStr::new("file"), OsStr::new("up"))
        );
    }
}
