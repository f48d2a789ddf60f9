//! Our own binary, out of reach of the containers that we touch.
//!
//! A process in a container sees our `/proc/<pid>/exe` while we are about to become its program,
//! and could open the host's file for writing once we are gone (CVE-2019-5736). So whoever touches
//! a container first runs again from a copy that cannot be written: a detached read-only mount of
//! the binary, which costs no memory, or a sealed copy in memory where mounting is not allowed.

use crate::{exec, mount};
use rustix::{
    fs::{MemfdFlags, OFlags, SealFlags},
    mount::MountAttrFlags,
};
use std::{
    ffi::CStr,
    io,
    os::fd::{AsFd, OwnedFd},
};

const OWN_BINARY: &CStr = c"/proc/self/exe";
/// `TMPFS_MAGIC` (linux/magic.h), also of the kernel's files in memory.
const TMPFS_MAGIC: rustix::fs::FsWord = 0x0102_1994;
/// `ST_RDONLY` (statfs(2)).
const READ_ONLY: rustix::fs::FsWord = 1;

/// Whether the running binary is such a copy already: on a mount that no path leads to and that is
/// read-only, or sealed.
pub fn is_sealed() -> io::Result<bool> {
    // A read-only mount in the tree could be made writable again by the host's root, who needs no
    // container for that; containers see it through our `exe` link only, as it is.
    let status = rustix::fs::statfs(OWN_BINARY)?;
    if status.f_flags & READ_ONLY != 0 {
        return Ok(true);
    }
    // What can be sealed lives in memory; most binaries do not, and one question is enough.
    if status.f_type != TMPFS_MAGIC {
        return Ok(false);
    }
    let own =
        rustix::fs::open(OWN_BINARY, OFlags::RDONLY | OFlags::CLOEXEC, rustix::fs::Mode::empty())?;
    let all = SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW;
    Ok(rustix::fs::fcntl_get_seals(&own).is_ok_and(|seals| seals.contains(all)))
}

/// Runs the binary again, sealed, with these arguments and this environment; returns at once where
/// it is sealed already, and with an error where it cannot be.
pub fn ensure(arguments: &exec::Strings, environment: &exec::Strings) -> io::Result<()> {
    if is_sealed()? {
        return Ok(());
    }
    let sealed = read_only_mount().or_else(|_| sealed_copy())?;
    Err(exec::fexecve(sealed.as_fd(), arguments, environment))
}

/// An fd of the binary through a detached read-only mount. Needs CAP_SYS_ADMIN. Linux 5.12.
pub fn read_only_mount() -> io::Result<OwnedFd> {
    let read_only = mount::Attributes::setting(MountAttrFlags::MOUNT_ATTR_RDONLY);
    let copy =
        |path: &CStr| mount::copy_at(rustix::fs::CWD, path, read_only, mount::Reach::ThisMount);
    copy(OWN_BINARY).or_else(|refused| {
        // Who has joined another mount namespace runs a file of a mount that is not in it. There it
        // has the same path, mostly; that it is the same file is proven.
        let path = rustix::fs::readlink(OWN_BINARY, Vec::new())?;
        let found = copy(&path)?;
        let (own, other) = (rustix::fs::stat(OWN_BINARY)?, rustix::fs::fstat(&found)?);
        let is_same = (own.st_dev, own.st_ino) == (other.st_dev, other.st_ino);
        if is_same { Ok(found) } else { Err(refused) }
    })
}

/// A sealed copy of the binary in memory.
pub fn sealed_copy() -> io::Result<OwnedFd> {
    let own =
        rustix::fs::open(OWN_BINARY, OFlags::RDONLY | OFlags::CLOEXEC, rustix::fs::Mode::empty())?;
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let copy = rustix::fs::memfd_create("dhow", flags | MemfdFlags::EXEC)
        // Linux before 6.3 does not know MFD_EXEC, and needs it not.
        .or_else(|_| rustix::fs::memfd_create("dhow", flags))?;
    while rustix::fs::sendfile(&copy, &own, None, 1 << 30)? > 0 {}
    let seals = SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
    rustix::fs::fcntl_add_seals(&copy, seals)?;
    Ok(copy)
}
