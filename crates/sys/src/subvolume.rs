//! Subvolumes of btrfs: directories that can be copied at once, and removed with all that is in
//! them.
//!
//! Every call works in a directory behind an fd; names are single components. Linux 3.x; making and
//! snapshotting needs no privilege where the directory may be written to, removing one needs
//! `CAP_SYS_ADMIN` or the mount option `user_subvol_rm_allowed`.

use std::{
    ffi::CStr,
    io,
    os::fd::{AsRawFd, BorrowedFd},
};

/// The magic number of the file system, in `statfs`.
pub const BTRFS_MAGIC: i64 = 0x9123_683e;

/// `_IOW(0x94, 15, btrfs_ioctl_vol_args)` and its newer siblings 23 and 24, of one size.
const SNAP_DESTROY: libc::Ioctl = 0x5000_940f;
const SNAP_CREATE_V2: libc::Ioctl = 0x5000_9417;
const SUBVOL_CREATE_V2: libc::Ioctl = 0x5000_9418;

/// `struct btrfs_ioctl_vol_args`.
#[repr(C)]
struct Arguments {
    fd: i64,
    name: [u8; 4088],
}

/// `struct btrfs_ioctl_vol_args_v2`.
#[repr(C)]
struct ArgumentsV2 {
    fd: i64,
    transid: u64,
    flags: u64,
    unused: [u64; 4],
    name: [u8; 4040],
}

/// Makes an empty subvolume.
pub fn create(directory: BorrowedFd<'_>, name: &CStr) -> io::Result<()> {
    call_v2(directory, SUBVOL_CREATE_V2, 0, name)
}

/// Makes a writable subvolume with everything that `source`, a subvolume of the same file system,
/// has now. Nothing is copied.
pub fn snapshot(directory: BorrowedFd<'_>, name: &CStr, source: BorrowedFd<'_>) -> io::Result<()> {
    call_v2(directory, SNAP_CREATE_V2, source.as_raw_fd().into(), name)
}

/// Removes a subvolume with everything in it; one with subvolumes in it is refused
/// (`ENOTEMPTY`).
pub fn destroy(directory: BorrowedFd<'_>, name: &CStr) -> io::Result<()> {
    let mut arguments = Arguments { fd: 0, name: [0; 4088] };
    put_name(&mut arguments.name, name)?;
    // SAFETY: the call reads one `btrfs_ioctl_vol_args` behind the pointer, which `arguments` is by
    // its representation and its size of 4096 bytes, and which outlives the call. Its name ends with
    // a NUL, since `put_name` leaves the last byte. The fd is borrowed, hence open; on a file system
    // other than btrfs the number is unknown and nothing is read.
    let rc = unsafe { libc::ioctl(directory.as_raw_fd(), SNAP_DESTROY, &raw const arguments) };
    if rc == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn call_v2(
    directory: BorrowedFd<'_>,
    request: libc::Ioctl,
    source: i64,
    name: &CStr,
) -> io::Result<()> {
    let mut arguments =
        ArgumentsV2 { fd: source, transid: 0, flags: 0, unused: [0; 4], name: [0; 4040] };
    put_name(&mut arguments.name, name)?;
    // SAFETY: both requests read and write one `btrfs_ioctl_vol_args_v2` behind the pointer, which
    // `arguments` is by its representation and its size of 4096 bytes; it is exclusively ours and
    // outlives the call. The fd in it is borrowed by our caller, hence open.
    let rc = unsafe { libc::ioctl(directory.as_raw_fd(), request, &raw mut arguments) };
    if rc == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Puts a name before the NUL bytes of a field.
fn put_name(field: &mut [u8], name: &CStr) -> io::Result<()> {
    let bytes = name.to_bytes();
    if bytes.len() >= field.len() {
        return Err(io::Error::from_raw_os_error(libc::ENAMETOOLONG));
    }
    field[..bytes.len()].copy_from_slice(bytes);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn the_kernels_sizes_are_ours() {
        assert_eq!((size_of::<Arguments>(), size_of::<ArgumentsV2>()), (4096, 4096));
    }

    #[test]
    fn another_file_system_refuses() {
        let directory = std::fs::File::open("/proc").unwrap();

        let error = create(directory.as_fd(), c"never").unwrap_err();

        assert_eq!(error.raw_os_error(), Some(libc::ENOTTY));
    }
}
