//! Standard streams that are the null device: the caller's node of it gives way to the container's.
//!
//! Engines hand the host's `/dev/null` to what nobody types for. Its fd leads back to a mount of the
//! host's, which no checkpoint finds again, and shares a node with whoever changes its mode.

use crate::devices::{NULL, check_character_device};
use dhow_base::{Doing, Result};
use dhow_sys::{
    fds::leave_to_exec,
    root::{Last, Root},
};
use rustix::fs::{CWD, OFlags};
use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
};

/// Replaces those that are. A container without a null device of its own keeps what it was given.
pub(crate) fn replace() -> Result<()> {
    let is_null = |stream: BorrowedFd<'_>| check_character_device(stream, NULL).is_ok();
    let input = is_null(rustix::stdio::stdin());
    let output = is_null(rustix::stdio::stdout());
    let errors = is_null(rustix::stdio::stderr());
    if !(input || output || errors) {
        return Ok(());
    }
    let Some(own) = own_device() else { return Ok(()) };
    let doing = || "give the container its own null device";
    if input {
        rustix::stdio::dup2_stdin(&own).doing(doing)?;
    }
    if output {
        rustix::stdio::dup2_stdout(&own).doing(doing)?;
    }
    if errors {
        rustix::stdio::dup2_stderr(&own).doing(doing)?;
    }
    leave_to_exec(own);
    Ok(())
}

/// The container's, proven to be one: an image may have put anything there. The working directory is
/// the root still.
fn own_device() -> Option<OwnedFd> {
    let flags = OFlags::RDWR | OFlags::NOCTTY;
    let own = Root::new(CWD).open(Path::new("/dev/null"), flags, Last::NoLinks).ok()?;
    check_character_device(own.as_fd(), NULL).ok()?;
    Some(own)
}
