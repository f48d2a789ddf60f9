//! Closing a file without waiting for what its end takes.
//!
//! The end of some files is slow: the kernel lets the last owner of a netlink socket of netfilter
//! wait until every processor has forgotten the rules that were deleted, 10 ms and more. So does the
//! exit of a process that has one open. Here the file is handed to the kernel, whose own workers
//! close it.

use rustix::io_uring::{IoringRegisterOp, io_uring_params, io_uring_register, io_uring_setup};
use std::{
    io,
    os::fd::{AsRawFd, OwnedFd},
};

/// Has the kernel close a file behind our back (Linux 5.1). Where it does not do that for us
/// (`kernel.io_uring_disabled`), the file is closed here.
pub fn leave_to_kernel(file: OwnedFd) {
    // Dropped in the one case as in the other: with the ring as its second owner that is no end yet.
    let ring = give_to_ring(&file);
    drop(file);
    drop(ring);
}

/// A ring of `io_uring(7)` that owns a file too; when its last owner goes, the ring is taken down by a
/// worker of the kernel's.
fn give_to_ring(file: &OwnedFd) -> io::Result<OwnedFd> {
    let mut parameters = io_uring_params::default();
    // SAFETY: the call reads and writes the parameters, which live on this stack and are of the
    // kernel's layout; without flags they hold no address and no fd of ours.
    let ring = unsafe { io_uring_setup(1, &mut parameters) }?;
    let files = [file.as_raw_fd()];
    // SAFETY: this registration reads one number, which lives on this stack and is an open fd while
    // the call lasts. The kernel takes a reference of its own to the file, and keeps no address.
    let registered = unsafe {
        io_uring_register(&ring, IoringRegisterOp::RegisterFiles, files.as_ptr().cast(), 1)
    };
    registered?;
    Ok(ring)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn a_file_is_closed_before_long() {
        let (mut reader, writer) = io::pipe().unwrap();

        leave_to_kernel(writer.into());

        // The end of the pipe comes when nobody has its other end any more.
        assert_eq!(reader.read(&mut [0; 8]).unwrap(), 0);
    }
}
