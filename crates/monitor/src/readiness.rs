//! The socket on which a container says that it serves, as services of systemd do (`sd_notify`).

use dhow_base::{Doing, Result};
use rustix::{
    fs::{Mode, OFlags},
    net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType},
};
use std::{
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::fs::PermissionsExt,
    },
    path::Path,
};

/// The directory that the container gets, and the socket in it.
pub const READINESS: [&str; 2] = ["notify", "notify.sock"];

/// Listens in a directory of the container's.
pub fn listen_for_readiness(place: &Path) -> Result<OwnedFd> {
    let [directory, name] = READINESS;
    let path = place.join(directory);
    let doing = || format!("listen on {}", path.join(name).display());
    let socket = rustix::net::socket_with(
        AddressFamily::UNIX,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC,
        None,
    )
    .doing(doing)?;
    // A socket's address is at most 107 bytes long, a record's path may be longer.
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = rustix::fs::open(&path, flags, Mode::empty()).doing(doing)?;
    let short = format!("/proc/self/fd/{}/{name}", opened.as_raw_fd());
    let address = SocketAddrUnix::new(&short).doing(doing)?;
    rustix::net::bind(&socket, &address).doing(doing)?;
    // Whoever the container's user is may write.
    std::fs::set_permissions(&short, std::fs::Permissions::from_mode(0o777)).doing(doing)?;
    Ok(socket)
}
