//! A file that gets its name when it is whole.
//!
//! It is written without a name where the file system can do that, so that even a `kill -9` leaves
//! nothing; elsewhere under a temporary name, which goes when the attempt ends.

use dhow_base::{
    Doing, Result,
    file::{self, create_new, temporary_beside},
};
use dhow_sys::{host_path::Place, output::Destination};
use rustix::{
    fs::{AtFlags, CWD, Mode, OFlags},
    io::Errno,
};
use std::{
    fs::File,
    os::fd::AsRawFd,
    path::{Path, PathBuf},
};

const MODE: u32 = 0o644;

/// A file on its way to `target`.
#[derive(Debug)]
pub(crate) struct Landing {
    file: File,
    target: PathBuf,
    /// Its name until then, where it must have one.
    temporary: Option<PathBuf>,
    /// What holds the directory of a target that a user has named.
    way: Way,
}

/// How the target was found.
#[derive(Debug)]
enum Way {
    /// It is a path of ours.
    Ours,
    /// The target leads through this.
    Named { _place: Place },
    /// There is something that is no file, which is written into.
    Straight,
}

/// What to do where the name is taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Taken {
    /// It is the same content: leave it.
    Keep,
    /// Put ours in its place.
    Replace,
}

impl Landing {
    /// Opens a file for a user who has named it: whatever is there and is no file stays, and is written
    /// into.
    pub(crate) fn for_user(path: &Path) -> Result<Self> {
        match Destination::find(path).doing(|| format!("write {}", path.display()))? {
            Destination::Open(file) => {
                Ok(Self { file, target: path.to_owned(), temporary: None, way: Way::Straight })
            }
            Destination::Name(place) => {
                let mut landing = Self::begin(&place.path())?;
                landing.way = Way::Named { _place: place };
                Ok(landing)
            }
        }
    }

    /// Opens a file that will be called `target`, in a directory that is there.
    pub(crate) fn begin(target: &Path) -> Result<Self> {
        let flags = OFlags::RDWR | OFlags::TMPFILE | OFlags::CLOEXEC;
        match rustix::fs::open(parent(target), flags, Mode::from_raw_mode(MODE)) {
            Ok(fd) => {
                let (file, target) = (File::from(fd), target.to_owned());
                Ok(Self { file, target, temporary: None, way: Way::Ours })
            }
            Err(Errno::OPNOTSUPP | Errno::ISDIR) => {
                let temporary = temporary_beside(target)?;
                let file = create_new(&temporary, MODE)?;
                let (target, temporary) = (target.to_owned(), Some(temporary));
                Ok(Self { file, target, temporary, way: Way::Ours })
            }
            Err(errno) => Err(errno).doing(|| format!("create {}", target.display())),
        }
    }

    /// The open file.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Gives the file its name.
    pub(crate) fn land(mut self, taken: Taken) -> Result<()> {
        self.name(taken).doing(|| format!("name {}", self.target.display()))
    }

    fn name(&mut self, taken: Taken) -> Result<()> {
        if matches!(self.way, Way::Straight) {
            return Ok(());
        }
        if self.temporary.is_none() {
            match self.link(&self.target) {
                Err(Errno::EXIST) if taken == Taken::Keep => return Ok(()),
                Err(Errno::EXIST) => {}
                result => return result.doing(|| "link it"),
            }
            // A link does not replace what is there; a rename does.
            let temporary = temporary_beside(&self.target)?;
            self.link(&temporary).doing(|| "link it")?;
            self.temporary = Some(temporary);
        }
        let Some(temporary) = &self.temporary else { return Ok(()) };
        rustix::fs::rename(temporary, &self.target).doing(|| "rename it")?;
        self.temporary = None;
        Ok(())
    }

    /// By way of procfs, since a link from an fd alone needs a capability.
    fn link(&self, name: &Path) -> rustix::io::Result<()> {
        let own = format!("/proc/self/fd/{}", self.file.as_raw_fd());
        rustix::fs::linkat(CWD, own, CWD, name, AtFlags::SYMLINK_FOLLOW)
    }
}

impl Drop for Landing {
    fn drop(&mut self) {
        if let Some(temporary) = &self.temporary {
            // The attempt's own error is the one to tell; the name says that it is a leftover.
            let _removed = file::remove_if_there(temporary);
        }
    }
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, io::Write};

    #[test]
    fn a_file_is_whole_or_absent() {
        let directory = tempfile::tempdir().unwrap();
        let target = directory.path().join("blob");
        let names = || fs::read_dir(directory.path()).unwrap().count();
        let begin = |text: &[u8]| {
            let landing = Landing::begin(&target).unwrap();
            landing.file().write_all(text).unwrap();
            landing
        };

        drop(begin(b"half"));
        assert_eq!(names(), 0);
        begin(b"one").land(Taken::Keep).unwrap();
        begin(b"two").land(Taken::Keep).unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"one");
        begin(b"three").land(Taken::Replace).unwrap();

        assert_eq!(fs::read(&target).unwrap(), b"three");
        assert_eq!(names(), 1);
    }

    #[test]
    fn a_file_with_a_temporary_name_is_whole_or_absent_too() {
        let directory = tempfile::tempdir().unwrap();
        let target = directory.path().join("blob");
        let begin = || {
            let temporary = temporary_beside(&target).unwrap();
            let file = create_new(&temporary, MODE).unwrap();
            Landing { file, target: target.clone(), temporary: Some(temporary), way: Way::Ours }
        };

        drop(begin());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
        begin().land(Taken::Keep).unwrap();

        assert!(target.exists());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }
}
