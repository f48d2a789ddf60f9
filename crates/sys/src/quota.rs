//! Project quotas: a tree of files that may take so much of its file system.
//!
//! ext4 and xfs have them where they were mounted with `prjquota`. What is made in a directory with
//! a project that is passed on belongs to that project.

use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd},
};

/// How much a project may have; 0 is no limit.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Limits {
    /// Bytes on disk.
    pub bytes: u64,
    /// Files of any kind.
    pub inodes: u64,
}

/// `struct fsxattr` of `linux/fs.h`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
struct Attributes {
    flags: u32,
    extent_size: u32,
    extents: u32,
    project: u32,
    cow_extent_size: u32,
    padding: [u8; 8],
}

const FS_IOC_FSGETXATTR: libc::Ioctl = 0x801c_581f;
const FS_IOC_FSSETXATTR: libc::Ioctl = 0x401c_5820;
const FS_XFLAG_PROJINHERIT: u32 = 0x200;
const PRJQUOTA: u32 = 2;
const Q_SETQUOTA: u32 = 0x80_0008;
/// Quotas count in these.
const BLOCK_BYTES: u64 = 1024;

/// Gives a directory, and all that is made in it from now on, to a project.
pub fn give_to_project(directory: BorrowedFd<'_>, project: u32) -> io::Result<()> {
    let mut attributes = Attributes::default();
    // SAFETY: the request writes one `struct fsxattr`, whose layout ours is, on this stack.
    let read =
        unsafe { libc::ioctl(directory.as_raw_fd(), FS_IOC_FSGETXATTR, &raw mut attributes) };
    if read == -1 {
        return Err(io::Error::last_os_error());
    }
    attributes.project = project;
    attributes.flags |= FS_XFLAG_PROJINHERIT;
    // SAFETY: the request reads one `struct fsxattr`, whose layout ours is, on this stack.
    let written =
        unsafe { libc::ioctl(directory.as_raw_fd(), FS_IOC_FSSETXATTR, &raw const attributes) };
    if written == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Limits a project on the file system of `place`. `ESRCH` says that it keeps no such quotas.
/// Linux 5.14.
pub fn limit_project(place: BorrowedFd<'_>, project: u32, limits: Limits) -> io::Result<()> {
    let blocks = limits.bytes.div_ceil(BLOCK_BYTES);
    let quota = libc::dqblk {
        dqb_bhardlimit: blocks,
        dqb_bsoftlimit: blocks,
        dqb_curspace: 0,
        dqb_ihardlimit: limits.inodes,
        dqb_isoftlimit: limits.inodes,
        dqb_curinodes: 0,
        dqb_btime: 0,
        dqb_itime: 0,
        dqb_valid: QIF_BLIMITS | QIF_ILIMITS,
    };
    let command = (Q_SETQUOTA << 8) | PRJQUOTA;
    // SAFETY: the command reads one `struct if_dqblk`, which `dqblk` is, on this stack; it writes
    // no memory of ours.
    let result = unsafe {
        libc::syscall(libc::SYS_quotactl_fd, place.as_raw_fd(), command, project, &raw const quota)
    };
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

const QIF_BLIMITS: u32 = 1;
const QIF_ILIMITS: u32 = 4;
