//! The size of a plain directory, a volume's or a root's, bounded by its file system.

use dhow_base::{Doing, Error, Kind, Result, id::random_hex};
use dhow_sys::quota::{Limits, give_to_project, limit_project};
use rustix::{
    fs::{Mode, OFlags},
    io::Errno,
};
use std::{
    os::fd::{AsFd, OwnedFd},
    path::Path,
};

/// A number that nobody else's project has: administrators count from 1, and one of a thousand
/// million is free.
pub(crate) fn new_project() -> Result<u32> {
    let number = u32::from_str_radix(&random_hex(4)?, 16)
        .map_err(|error| Error::new(Kind::Internal, "make a random number").because(error))?;
    Ok(0x4000_0000 | (number & 0x3fff_ffff))
}

/// Gives an empty directory to a project that may have as much as `limits` say.
pub(crate) fn bound(directory: &Path, project: u32, limits: Limits) -> Result<()> {
    let place = open(directory)?;
    limit_project(place.as_fd(), project, limits)
        .and_then(|()| give_to_project(place.as_fd(), project))
        .doing(|| format!("bound the size of {}", directory.display()))
        .map_err(|error| {
            if is_none_kept(&error) {
                let text = format!(
                    "bound the size of {}: its file system keeps no project quotas",
                    directory.display()
                );
                return Error::new(Kind::Unsupported, text)
                    .because(error)
                    .hint("ext4 and xfs have them, mounted with the option prjquota");
            }
            error
        })
}

/// Lets go of a project; it has nothing any more.
pub(crate) fn release(directory: &Path, project: u32) -> Result<()> {
    match open(directory) {
        Ok(place) => limit_project(place.as_fd(), project, Limits::default())
            .doing(|| format!("forget the bound of {}", directory.display()))
            .or_else(|error| if is_none_kept(&error) { Ok(()) } else { Err(error) }),
        Err(error) if error.kind() == Kind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Whether the file system says that it keeps no quotas.
fn is_none_kept(error: &Error) -> bool {
    let none = [Errno::SRCH, Errno::NOSYS, Errno::OPNOTSUPP, Errno::NOTTY, Errno::INVAL];
    error.errno().map(Errno::from_raw_os_error).is_some_and(|errno| none.contains(&errno))
}

fn open(directory: &Path) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::open(directory, flags, Mode::empty())
        .doing(|| format!("open {}", directory.display()))
}
