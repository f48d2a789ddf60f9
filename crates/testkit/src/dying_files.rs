//! A file system whose server is a thread of the test's, and dies when the test says so: then everything that
//! has to ask it waits, as for a server at the other end of a cable that somebody has pulled.
//!
//! It is spoken to through `/dev/fuse` by the kernel's own protocol (`linux/fuse.h`), of which it knows as much
//! as an empty directory with one directory in it needs.

use dhow_base::{Doing, Result};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{Mode, OFlags},
    mount::{MountFlags, UnmountFlags, mount, unmount},
};
use std::{
    ffi::CString,
    os::fd::{AsRawFd, OwnedFd},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
};
use tempfile::TempDir;

/// The directory in it.
const INNER: &[u8] = b"inner";
const ROOT_NODE: u64 = 1;
const INNER_NODE: u64 = 2;

/// A file system that is served until it is not.
#[derive(Debug)]
pub struct DyingFiles {
    directory: TempDir,
    device: Arc<OwnedFd>,
    is_dead: Arc<AtomicBool>,
    server: Option<JoinHandle<()>>,
}

impl DyingFiles {
    /// Whether the machine has what it takes.
    pub fn is_possible() -> bool {
        Path::new("/dev/fuse").exists()
    }

    /// Mounts one, which is served. Needs root.
    pub fn serve() -> Result<Self> {
        let doing = || "serve a file system";
        let directory = tempfile::Builder::new().prefix("s").tempdir().doing(doing)?;
        let device = rustix::fs::open("/dev/fuse", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty());
        let device = Arc::new(device.doing(doing)?);
        let options =
            format!("fd={},rootmode=40000,user_id=0,group_id=0,allow_other", device.as_raw_fd());
        let options = CString::new(options).expect("numbers hold no NUL byte");
        let flags = MountFlags::NOSUID | MountFlags::NODEV;
        mount("dying", directory.path(), "fuse", flags, Some(options.as_c_str())).doing(doing)?;
        let is_dead = Arc::new(AtomicBool::new(false));
        let (its_device, its_end) = (Arc::clone(&device), Arc::clone(&is_dead));
        let server = std::thread::spawn(move || {
            while !its_end.load(Ordering::Acquire) {
                if is_asked(&its_device, 10) {
                    answer(&its_device);
                }
            }
        });
        Ok(Self { directory, device, is_dead, server: Some(server) })
    }

    /// The directory in it.
    pub fn inner(&self) -> PathBuf {
        self.directory.path().join("inner")
    }

    /// From now on nobody answers.
    pub fn die(&mut self) {
        self.is_dead.store(true, Ordering::Release);
        if let Some(server) = self.server.take() {
            server.join().expect("the server ends");
        }
    }

    /// Whether somebody waits for an answer that does not come.
    pub fn is_waited_for(&self) -> bool {
        is_asked(&self.device, 0)
    }
}

impl Drop for DyingFiles {
    fn drop(&mut self) {
        self.die();
        // With the last fd of the device the kernel tells all who wait that nobody is there.
        let _unmounted = unmount(self.directory.path(), UnmountFlags::DETACH);
    }
}

fn is_asked(device: &OwnedFd, patience_ms: i64) -> bool {
    let patience = Timespec { tv_sec: 0, tv_nsec: patience_ms * 1_000_000 };
    poll(&mut [PollFd::new(device, PollFlags::IN)], Some(&patience)).is_ok_and(|count| count > 0)
}

/// Reads a question and answers it. Questions that the kernel has taken back meanwhile are no failures.
fn answer(device: &OwnedFd) {
    const LARGEST: usize = (128 << 10) + 4096;
    let mut question = vec![0_u8; LARGEST];
    let Ok(length) = rustix::io::read(device, &mut question) else { return };
    let Some((header, body)) = question[..length].split_at_checked(40) else { return };
    let number =
        |at: usize| u64::from_le_bytes(header[at..at + 8].try_into().expect("eight bytes"));
    let (unique, node) = (number(8), number(16));
    let operation = u32::from_le_bytes(header[4..8].try_into().expect("four bytes"));
    let answered = match operation {
        // Forgetting and interrupting are not answered.
        2 | 36 | 42 => return,
        26 => Ok(greeting()),
        1 if node == ROOT_NODE && body.strip_suffix(b"\0") == Some(INNER) => Ok(entry()),
        1 => Err(2),
        3 => Ok([&[0; 16][..], &attributes(node)].concat()),
        // Opening and reading directories, of which nothing is shown, and letting them go.
        27 => Ok(vec![0; 16]),
        28 | 29 => Ok(Vec::new()),
        17 => Ok(vec![0; 80]),
        _ => Err(38),
    };
    let (errno, body) = match answered {
        Ok(body) => (0, body),
        Err(errno) => (-errno, Vec::new()),
    };
    let length = u32::try_from(16 + body.len()).expect("answers are short");
    let mut bytes = length.to_le_bytes().to_vec();
    bytes.extend_from_slice(&i32::to_le_bytes(errno));
    bytes.extend_from_slice(&unique.to_le_bytes());
    bytes.extend_from_slice(&body);
    let _written = rustix::io::write(device, &bytes);
}

/// Version 7.31, and no feature.
fn greeting() -> Vec<u8> {
    let mut bytes = [7_u32, 31, 0, 0].map(u32::to_le_bytes).concat();
    bytes.resize(64, 0);
    // What may be written at once.
    bytes[20..24].copy_from_slice(&4096_u32.to_le_bytes());
    bytes
}

/// What is found by a name. It is valid for no time, so that the server is asked again and again.
fn entry() -> Vec<u8> {
    let mut bytes = INNER_NODE.to_le_bytes().to_vec();
    bytes.resize(40, 0);
    bytes.extend_from_slice(&attributes(INNER_NODE));
    bytes
}

/// A directory of root's.
fn attributes(node: u64) -> Vec<u8> {
    let mut bytes = node.to_le_bytes().to_vec();
    bytes.resize(60, 0);
    bytes.extend_from_slice(&0o040_755_u32.to_le_bytes());
    bytes.extend_from_slice(&2_u32.to_le_bytes());
    bytes.resize(88, 0);
    bytes
}
