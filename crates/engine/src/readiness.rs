//! Who says that a container is ready, and to whom.
//!
//! ```text
//!  the program ── READY=1 ──▶ /run/notify/notify.sock ──▶ the command that started it ──▶ service manager
//! ```
//!
//! The socket lies in the run directory, and is listened on before the program starts. A later life that
//! the policy starts finds nobody listening, which a program may pass over.

use dhow_base::{Doing, Result, file};
use dhow_monitor::READINESS;
use dhow_spec::runtime::{MountPoint, Spec};
use std::{
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

/// Where the container finds the directory of the socket.
const PLACE: &str = "/run/notify";

/// When a container counts as ready: `--sdnotify`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Readiness {
    /// Nobody has asked.
    #[default]
    Unasked,
    /// When its program says so (`container`).
    ByProgram,
    /// When it has started (`conmon`).
    ByStart,
    /// When its health check has succeeded (`healthy`).
    ByHealth,
    /// Never (`ignore`).
    Never,
}

/// What a program says of its readiness.
#[derive(Debug)]
pub struct Listener {
    /// Where it says it.
    pub socket: OwnedFd,
    /// Its first process.
    pub process: OwnedFd,
}

/// Gives the container its end of the socket.
pub(crate) fn offer(spec: &mut Spec, run: &Path) {
    let [directory, name] = READINESS;
    if let Some(process) = &mut spec.process {
        process.env.push(format!("NOTIFY_SOCKET={PLACE}/{name}"));
    }
    spec.mounts.push(MountPoint {
        destination: PLACE.into(),
        kind: Some("bind".to_owned()),
        source: Some(run.join(directory)),
        options: ["bind", "nosuid", "nodev", "noexec", "rprivate"].map(str::to_owned).to_vec(),
        ..MountPoint::default()
    });
}

/// Listens for a container that is about to start.
pub(crate) fn listen(run: &Path) -> Result<OwnedFd> {
    let [directory, name] = READINESS;
    let place: PathBuf = run.join(directory);
    file::make_directories(&place, 0o755).doing(|| "make a place to hear the container")?;
    file::remove_if_there(&place.join(name))?;
    dhow_monitor::listen_for_readiness(run)
}
