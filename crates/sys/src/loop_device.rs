//! Loop devices: a file as a disk, for kernels that mount no file itself.
//!
//! A device that is attached here frees itself when its last user goes, which is its fd or a mount
//! of it; so nothing is left after a `kill -9` either. It takes root, and a device node below
//! `/dev`.

use rustix::fs::{CWD, Mode, OFlags};
use std::{
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
};

const GET_FREE: libc::Ioctl = 0x4c82;
/// Linux 5.8; before, three calls did the same, and whoever died in between left the device
/// attached.
const CONFIGURE: libc::Ioctl = 0x4c0a;

const READ_ONLY: u32 = 1;
const AUTOCLEAR: u32 = 4;
/// Pages of the file are then cached once and not twice; ignored where its file system cannot.
const DIRECT_IO: u32 = 16;

/// What direct access to every disk can do.
const BLOCK_BYTES: u32 = 4096;

/// Others look for a free device too, and are sometimes faster.
const TRIES: usize = 64;

/// `struct loop_info64`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Information {
    device: u64,
    inode: u64,
    rdevice: u64,
    offset: u64,
    size_limit: u64,
    number: u32,
    encrypt_type: u32,
    encrypt_key_size: u32,
    flags: u32,
    file_name: [u8; 64],
    crypt_name: [u8; 64],
    encrypt_key: [u8; 32],
    init: [u64; 2],
}

/// `struct loop_config`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Configuration {
    fd: u32,
    block_size: u32,
    info: Information,
    reserved: [u64; 8],
}

/// An attached device. It stays attached as long as this value or a mount of it lives.
#[derive(Debug)]
pub struct LoopDevice {
    path: PathBuf,
    _device: OwnedFd,
}

impl LoopDevice {
    /// Attaches a file for reading to a free device.
    pub fn attach(file: BorrowedFd<'_>) -> io::Result<Self> {
        let open = |path: &Path| {
            rustix::fs::openat(CWD, path, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
        };
        let control = open(Path::new("/dev/loop-control"))?;
        let mut tries = 1;
        loop {
            let path = PathBuf::from(format!("/dev/loop{}", free_number(control.as_fd())?));
            let device = open(&path)?;
            match configure(device.as_fd(), file) {
                Ok(()) => return Ok(Self { path, _device: device }),
                Err(error) if error.raw_os_error() == Some(libc::EBUSY) && tries < TRIES => {
                    tries += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Its node.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn free_number(control: BorrowedFd<'_>) -> io::Result<libc::c_int> {
    // SAFETY: the request has no argument; it returns a number and touches none of our memory. The
    // fd is borrowed, hence open; on anything but the control device the request is unknown.
    let number = unsafe { libc::ioctl(control.as_raw_fd(), GET_FREE) };
    if number < 0 { Err(io::Error::last_os_error()) } else { Ok(number) }
}

fn configure(device: BorrowedFd<'_>, file: BorrowedFd<'_>) -> io::Result<()> {
    let information = Information {
        device: 0,
        inode: 0,
        rdevice: 0,
        offset: 0,
        size_limit: 0,
        number: 0,
        encrypt_type: 0,
        encrypt_key_size: 0,
        flags: READ_ONLY | AUTOCLEAR | DIRECT_IO,
        file_name: [0; 64],
        crypt_name: [0; 64],
        encrypt_key: [0; 32],
        init: [0; 2],
    };
    let configuration = Configuration {
        fd: file.as_raw_fd().unsigned_abs(),
        block_size: BLOCK_BYTES,
        info: information,
        reserved: [0; 8],
    };
    // SAFETY: the request reads one `loop_config` behind the pointer, which `configuration` is by
    // its representation and its size of 304 bytes, and which outlives the call. Both fds are
    // borrowed, hence open; the kernel takes a reference of its own to the file.
    let rc = unsafe { libc::ioctl(device.as_raw_fd(), CONFIGURE, &raw const configuration) };
    if rc == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_size_is_ours() {
        assert_eq!((size_of::<Information>(), size_of::<Configuration>()), (232, 304));
    }
}
