//! Work inside of another network namespace.
//!
//! A socket belongs for good to the namespace it was made in, so a visit only has to be as long as it
//! takes to make one.

use dhow_base::{Doing, Result};
use dhow_sys::procfs::Procfs;
use rustix::thread::ThreadNameSpaceType;
use std::os::fd::{AsFd, BorrowedFd};

/// Does something in the network namespace behind `namespace`, with the calling thread alone, and
/// comes back.
pub(crate) fn within<T>(namespace: BorrowedFd<'_>, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let own = Procfs::of_host()
        .and_then(|host| host.namespace("thread-self", "net"))
        .doing(|| "open the own net namespace")?;
    dhow_sys::namespace::join(namespace, ThreadNameSpaceType::NETWORK)
        .doing(|| "enter the container's net namespace")?;
    let done = work();
    dhow_sys::namespace::join(own.as_fd(), ThreadNameSpaceType::NETWORK)
        .doing(|| "come back from the container's net namespace")?;
    done
}
