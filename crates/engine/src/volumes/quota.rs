//! The size of a volume that is a plain directory, bounded by its file system.

use super::local::Plan;
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
pub(super) fn new_project() -> Result<u32> {
    let number = u32::from_str_radix(&random_hex(4)?, 16)
        .map_err(|error| Error::new(Kind::Internal, "make a random number").because(error))?;
    Ok(0x4000_0000 | (number & 0x3fff_ffff))
}

/// Gives an empty directory to a project that may have as much as `plan` says.
pub(super) fn bound(directory: &Path, project: u32, plan: &Plan) -> Result<()> {
    let place = open(directory)?;
    let limits = Limits { bytes: plan.bytes.unwrap_or(0), inodes: plan.inodes.unwrap_or(0) };
    limit_project(place.as_fd(), project, limits)
        .and_then(|()| give_to_project(place.as_fd(), project))
        .doing(|| format!("bound the size of {}", directory.display()))
        .map_err(|error| {
            let none = [Errno::SRCH, Errno::NOSYS, Errno::OPNOTSUPP, Errno::NOTTY, Errno::INVAL];
            let errno = error.errno().map(Errno::from_raw_os_error);
            if errno.is_some_and(|errno| none.contains(&errno)) {
                let text = "bound the size of a volume: its file system keeps no project quotas";
                return Error::new(Kind::Unsupported, text)
                    .because(error)
                    .hint("ext4 and xfs have them, mounted with the option prjquota");
            }
            error
        })
}

/// Lets go of a project; it has nothing any more.
pub(super) fn release(directory: &Path, project: u32) -> Result<()> {
    match open(directory) {
        Ok(place) => limit_project(place.as_fd(), project, Limits::default())
            .doing(|| format!("forget the bound of {}", directory.display())),
        Err(error) if error.kind() == Kind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

fn open(directory: &Path) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::open(directory, flags, Mode::empty())
        .doing(|| format!("open {}", directory.display()))
}
