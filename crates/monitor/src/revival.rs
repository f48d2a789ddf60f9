//! Checkpoints: a container's processes become files, and are made again of them, by CRIU.
//!
//! ```text
//!   command:  root where only it sees it ─▶ CRIU writes ─▶ processes end (or go on)
//!   monitor:  root where only it sees it ─▶ CRIU makes  ─▶ the first process is the monitor's child
//! ```
//!
//! CRIU gives restored processes the streams that it has itself where they had pipes: so the monitor's
//! own streams are the container's for that moment.

use crate::{Run, bundle, job};
use dhow_base::{Doing, Result, file, id::ContainerId};
use dhow_runtime::{
    Driver, Init,
    shelf::{Checkpoint, Created, Creation, Record, Restore, Shelf, TerminalTo, in_own_mounts},
};
use dhow_spec::{Mount, runtime::Spec};
use rustix::fs::{Mode, OFlags};
use std::{
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

/// A running container that is to become files.
#[derive(Clone, Debug)]
pub struct Dump {
    /// The container.
    pub id: ContainerId,
    /// Its `config.json`.
    pub config: PathBuf,
    /// Its run directory.
    pub directory: PathBuf,
    /// Its first process and that one's start time.
    pub init: (i32, u64),
    /// Its root, to look up places in.
    pub rootfs: Mount,
    /// Who made its cgroup.
    pub driver: Driver,
    /// How it is written.
    pub revival: job::Revival,
    /// Whether its processes go on.
    pub leave_running: bool,
}

/// Writes a container down. The calling process must have one thread.
pub fn checkpoint(dump: &Dump) -> Result<()> {
    let spec = crate::process::read_config(&dump.config)?;
    let home = dump.config.parent().unwrap_or(Path::new("/"));
    in_own_mounts(|| {
        let bundle = bundle::make(&dump.directory, home, Some(&dump.rootfs), spec.clone())?;
        let creation =
            Creation { driver: &dump.driver, ..Creation::new(dump.id.as_str(), &bundle) };
        let init = Init { pid: dump.init.0, started: dump.init.1 };
        let spec = crate::process::read_config(&bundle.join("config.json"))?;
        Record::of_running(&creation, init, spec).dump(&Checkpoint {
            revival: dump.revival.told(),
            parent: None,
            leave_running: dump.leave_running,
            pre_dump: false,
            tcp_skip_in_flight: false,
            page_server: None,
            status_fd: None,
        })
    })
}

/// Makes a container again. Its pipes are `streams`, where it has no terminal.
pub(crate) fn restore(
    run: &Run,
    revival: &job::Revival,
    spec: &Spec,
    streams: Option<[OwnedFd; 3]>,
) -> Result<Created> {
    file::make_directories(&revival.work, 0o700)?;
    in_own_mounts(|| {
        let bundle =
            bundle::make(&run.home.directory, &run.bundle, run.rootfs.as_ref(), spec.clone())?;
        let creation = Creation {
            driver: &run.driver,
            terminal: TerminalTo::Caller,
            ..Creation::new(run.id.as_str(), &bundle)
        };
        let restore =
            Restore { revival: revival.told(), lsm_profile: None, lsm_mount_context: None };
        let shelf = Shelf::new(&run.home.directory.join("runtime"));
        with_streams(streams, || shelf.restore(&creation, &restore))
    })
}

impl job::Revival {
    fn told(&self) -> dhow_runtime::shelf::Revival<'_> {
        dhow_runtime::shelf::Revival {
            program: &self.criu,
            images: &self.images,
            work: Some(&self.work),
            cgroups: None,
            tcp_established: self.tcp_established,
            external_unix_sockets: false,
            shell_job: false,
            file_locks: self.file_locks,
            auto_dedup: false,
            lazy_pages: false,
            link_remap: true,
            tcp_close: self.tcp_close,
            empty_network: false,
        }
    }
}

/// Does something while our standard streams are these; afterwards they are nobody's again.
fn with_streams<T>(streams: Option<[OwnedFd; 3]>, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let Some([input, output, errors]) = streams else { return work() };
    let doing = || "lend our streams to the container";
    let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
        .doing(|| "open /dev/null")?;
    rustix::stdio::dup2_stdin(&input).doing(doing)?;
    rustix::stdio::dup2_stdout(&output).doing(doing)?;
    rustix::stdio::dup2_stderr(&errors).doing(doing)?;
    drop((input, output, errors));
    let done = work();
    rustix::stdio::dup2_stdin(&null).doing(doing)?;
    rustix::stdio::dup2_stdout(&null).doing(doing)?;
    rustix::stdio::dup2_stderr(&null).doing(doing)?;
    done
}
