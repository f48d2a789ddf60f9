//! Addresses that are taken, as the reference plugin host-local keeps them.
//!
//! ```text
//! <directory>/<network>/<address>            the container's id and the device, a line each
//! <directory>/<network>/last_reserved_ip.<n> the last one given of the n-th range set
//! <directory>/<network>/lock                 held (flock) while anything is changed
//! ```
//!
//! A colon is no character for every file system's names; there the reference writes an underscore.
//! On Linux it does not, and neither do we.

use dhow_base::{
    Doing, Kind, Result,
    file::{self, Durability},
};
use rustix::fs::{FlockOperation, Mode, OFlags};
use std::{
    collections::HashMap,
    fs,
    net::IpAddr,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

/// An id and a name.
const FILE_BYTES: u64 = 4096;

/// A network's addresses, locked.
#[derive(Debug)]
pub(super) struct Store {
    directory: PathBuf,
    _lock: OwnedFd,
}

impl Store {
    /// Makes the directory where it is missing, and waits for the lock.
    pub(super) fn open(root: &Path, network: &str) -> Result<Self> {
        let directory = root.join(network);
        file::make_directories(&directory, 0o755)?;
        let path = directory.join("lock");
        let doing = || format!("lock {}", path.display());
        let flags = OFlags::CREATE | OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let lock = rustix::fs::open(&path, flags, Mode::from_raw_mode(0o640)).doing(doing)?;
        rustix::fs::flock(&lock, FlockOperation::LockExclusive).doing(doing)?;
        Ok(Self { directory, _lock: lock })
    }

    /// Whether a network has any; looking makes nothing.
    pub(super) fn is_there(root: &Path, network: &str) -> bool {
        root.join(network).is_dir()
    }

    /// Who has what.
    pub(super) fn taken(&self) -> Result<HashMap<IpAddr, (String, String)>> {
        let doing = || format!("list the addresses in {}", self.directory.display());
        let mut taken = HashMap::new();
        for entry in fs::read_dir(&self.directory).doing(doing)? {
            let entry = entry.doing(doing)?;
            let Ok(address) = entry.file_name().to_string_lossy().parse() else { continue };
            let bytes = match file::read_limited(&entry.path(), FILE_BYTES) {
                Err(error) if error.kind() == Kind::NotFound => continue,
                bytes => bytes?,
            };
            let text = String::from_utf8_lossy(&bytes);
            let mut lines = text.lines().map(|line| line.trim().to_owned());
            let container = lines.next().unwrap_or_default();
            taken.insert(address, (container, lines.next().unwrap_or_default()));
        }
        Ok(taken)
    }

    /// The last address that was given of a range set.
    pub(super) fn last(&self, set: usize) -> Option<IpAddr> {
        let path = self.directory.join(format!("last_reserved_ip.{set}"));
        let bytes = file::read_limited(&path, FILE_BYTES).ok()?;
        String::from_utf8_lossy(&bytes).trim().parse().ok()
    }

    /// Writes down that an address is somebody's.
    pub(super) fn take(&self, address: IpAddr, owner: (&str, &str), set: usize) -> Result<()> {
        let path = self.directory.join(address.to_string());
        let text = format!("{}\r\n{}", owner.0, owner.1);
        file::write_new(&path, text.as_bytes(), 0o644, Durability::Cached)?;
        let last = self.directory.join(format!("last_reserved_ip.{set}"));
        let text = address.to_string();
        file::write_atomically(&last, text.as_bytes(), 0o644, Durability::Cached)
    }

    /// Gives an address back.
    pub(super) fn free(&self, address: IpAddr) -> Result<()> {
        file::remove_if_there(&self.directory.join(address.to_string()))
    }
}
