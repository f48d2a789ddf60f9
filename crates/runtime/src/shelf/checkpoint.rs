//! A running container becomes files, by CRIU.

use super::{Record, Shelf, external};
use crate::criu::{
    self, Criu, Streams,
    message::{CgroupMode, ExternalMount, Features, Matter, Options, PageServer, Request},
};
use dhow_base::{
    Doing, Error, Kind, Result,
    file::{self, Durability},
};
use dhow_cgroup::Cgroup;
use dhow_spec::runtime::{NamespaceKind, Status};
use dhow_sys::procfs::Procfs;
use rustix::fs::{Mode, OFlags};
use std::{
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    path::Path,
};

/// What the standard streams were, so that a restore can give the process others: runc's file.
pub(super) const DESCRIPTORS: &str = "descriptors.json";
/// CRIU's own configuration for runtimes, which it reads where it is there.
const CONFIGURATION: &str = "/etc/criu/runc.conf";
/// The annotation that names another one, or none.
const CONFIGURATION_ANNOTATION: &str = "org.criu.config";
/// All that CRIU has to say.
pub(super) const LOG_LEVEL: i32 = 4;

/// What a checkpoint and a restore are told alike.
#[derive(Clone, Copy, Debug)]
pub struct Revival<'a> {
    /// CRIU.
    pub program: &'a Path,
    /// The directory of the files.
    pub images: &'a Path,
    /// Where CRIU works and writes its log; the files' directory where missing.
    pub work: Option<&'a Path>,
    /// How cgroups are restored: `soft`, `full`, `strict`, `ignore`, or as CRIU likes.
    pub cgroups: Option<&'a str>,
    /// Open connections come along.
    pub tcp_established: bool,
    /// Unix sockets whose other ends are outside come along.
    pub external_unix_sockets: bool,
    /// The process has a terminal of the caller's.
    pub shell_job: bool,
    /// Locks of files come along.
    pub file_locks: bool,
    /// Pages that were written twice are thrown away.
    pub auto_dedup: bool,
    /// Pages come when they are touched.
    pub lazy_pages: bool,
    /// Files that are unlinked and open are linked again.
    pub link_remap: bool,
    /// Connections that were open come back closed.
    pub tcp_close: bool,
    /// The network namespace comes back empty.
    pub empty_network: bool,
}

/// What a checkpoint is told besides.
#[derive(Clone, Copy, Debug)]
pub struct Checkpoint<'a> {
    /// What a restore is told as well.
    pub revival: Revival<'a>,
    /// An earlier one, relative to the files' directory: only what changed since is written.
    pub parent: Option<&'a str>,
    /// The container goes on.
    pub leave_running: bool,
    /// Only its memory is written, and it goes on.
    pub pre_dump: bool,
    /// Connections that are being made do not stop it.
    pub tcp_skip_in_flight: bool,
    /// Pages go to this server and not into files.
    pub page_server: Option<(&'a str, u16)>,
    /// Is told, with a zero byte, that lazy pages can be asked for.
    pub status_fd: Option<i32>,
}

impl Shelf {
    /// Writes a running container down. Unless it is to go on, its processes end; what is left of
    /// it is for [`delete`](Self::delete).
    pub fn checkpoint(&self, id: &str, checkpoint: &Checkpoint<'_>) -> Result<()> {
        let doing = || format!("checkpoint container {id}");
        let record = self.record(id).doing(doing)?;
        let status = self.status(&record.outline());
        if !matches!(status, Status::Running | Status::Paused) {
            let text = format!("container cannot be checkpointed in {status} state");
            return Err(Error::new(Kind::Conflict, text)).doing(doing);
        }
        record.dump(checkpoint).doing(doing)
    }
}

impl Record {
    /// Writes the processes down. That they run is the caller's to know.
    pub fn dump(&self, checkpoint: &Checkpoint<'_>) -> Result<()> {
        let record = self;
        let revival = &checkpoint.revival;
        let pid = record.init.map_or(0, |init| init.pid);
        let images = directory(revival.images)?;
        let work = revival.work.map(directory).transpose()?;
        let mut options = revival.options(record, images.as_fd(), work.as_ref(), "dump.log")?;
        options.pid = Some(pid);
        options.root = Some(record.rootfs().to_string_lossy().into_owned());
        options.leave_running = Some(checkpoint.leave_running);
        options.tcp_skip_in_flight = Some(checkpoint.tcp_skip_in_flight);
        options.page_server = checkpoint.page_server.map(|(address, port)| PageServer {
            address: Some(address.to_owned()),
            port: Some(i32::from(port)),
        });
        options.parent_img = checkpoint.parent.map(str::to_owned);
        options.track_mem = checkpoint.parent.map(|_| true);
        options.status_fd = checkpoint.status_fd;
        self.describe(pid, checkpoint, &mut options)?;
        revival.check_features(checkpoint.pre_dump)?;
        let matter = if checkpoint.pre_dump { Matter::PreDump } else { Matter::Dump };
        let request =
            Request { matter: matter as i32, options: Some(options), ..Request::default() };
        let mut criu = Criu::start(revival.program, Streams::None, &[])?;
        criu.ask(&request, &mut |_, _| Ok(()))
            .map_err(|error| criu::explained(error, &revival.log("dump.log")))?;
        match matter {
            // It waits for the rest, which another process will ask another one for.
            Matter::PreDump => Ok(()),
            _ => criu.finish(),
        }
    }

    /// Tells what is not the container's own, and keeps what a restore must know.
    fn describe(&self, pid: i32, checkpoint: &Checkpoint<'_>, options: &mut Options) -> Result<()> {
        let record = self;
        let cgroup = record.outline().cgroup()?;
        checkpoint.revival.settle_cgroups(options, &cgroup);
        options.freeze_cgroup =
            cgroup.freezer_directory().map(|path| path.to_string_lossy().into_owned());
        for (kind, name, key) in EXTERNAL_NAMESPACES {
            if let Some(path) = external::own(&record.spec, kind).and_then(|own| own.path.as_ref())
            {
                let status = rustix::fs::stat(path)
                    .doing(|| format!("look at the {name} namespace {}", path.display()))?;
                options.external.push(format!("{name}[{}]:{key}", status.st_ino));
            }
        }
        if checkpoint.pre_dump {
            return Ok(());
        }
        let root = external::open_root(record)?;
        let host = Procfs::of_host().doing(|| "check /proc")?;
        let inside = host.root_of(pid).doing(|| "open the container's root")?;
        let mounts = external::mounts(record, root.as_fd(), &cgroup).into_iter();
        // When written, a mount from outside is called by its own place.
        let mounts =
            mounts.map(|mount| ExternalMount { key: mount.place.clone(), value: mount.place });
        let masks = external::masks(&record.spec, inside.as_fd()).into_iter();
        let masks = masks.map(|mask| ExternalMount { key: mask.place, value: mask.source });
        options.external_mounts = mounts.chain(masks).collect();
        keep_descriptors(pid, checkpoint.revival.images)
    }
}

/// Namespaces that CRIU can leave alone: kind, its word for it, and the key of a restore.
pub(super) const EXTERNAL_NAMESPACES: [(NamespaceKind, &str, &str); 2] =
    [(NamespaceKind::Network, "net", "extRootNetNS"), (NamespaceKind::Pid, "pid", "extRootPidNS")];

fn keep_descriptors(pid: i32, images: &Path) -> Result<()> {
    let names: Vec<String> = (0..3)
        .map(|number| {
            let link = std::fs::read_link(format!("/proc/{pid}/fd/{number}"));
            link.map_or_else(|_| String::new(), |path| path.to_string_lossy().into_owned())
        })
        .collect();
    let bytes = serde_json::to_vec(&names)
        .map_err(|error| Error::new(Kind::Internal, "write down the streams").because(error))?;
    file::write_atomically(&images.join(DESCRIPTORS), &bytes, 0o600, Durability::Cached)
}

/// Opens a directory of the user's, made where it is missing.
fn directory(path: &Path) -> Result<OwnedFd> {
    let doing = || format!("open the directory {}", path.display());
    match rustix::fs::mkdir(path, Mode::from_raw_mode(0o700)) {
        Ok(()) | Err(rustix::io::Errno::EXIST) => {}
        Err(errno) => return Err(errno).doing(|| format!("make the directory {}", path.display())),
    }
    open_directory(path).doing(doing)
}

pub(super) fn open_directory(path: &Path) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).doing(|| format!("open {}", path.display()))
}

impl Revival<'_> {
    /// Where CRIU writes its log.
    pub(super) fn log(&self, name: &str) -> std::path::PathBuf {
        self.work.unwrap_or(self.images).join(name)
    }

    /// What both directions have in common.
    pub(super) fn options(
        &self,
        record: &Record,
        images: BorrowedFd<'_>,
        work: Option<&OwnedFd>,
        log: &str,
    ) -> Result<Options> {
        let configuration = match record.spec.annotations.get(CONFIGURATION_ANNOTATION) {
            None => Some(CONFIGURATION.to_owned()),
            Some(path) => Some(path.clone()).filter(|path| !path.is_empty()),
        };
        Ok(Options {
            images_dir_fd: images.as_raw_fd(),
            work_dir_fd: work.map(AsRawFd::as_raw_fd),
            log_level: Some(LOG_LEVEL),
            log_file: Some(log.to_owned()),
            manage_cgroups: Some(true),
            manage_cgroups_mode: Some(self.cgroup_mode()? as i32),
            notify_scripts: Some(true),
            shell_job: Some(self.shell_job),
            tcp_established: Some(self.tcp_established),
            ext_unix_sk: Some(self.external_unix_sockets),
            file_locks: Some(self.file_locks),
            auto_dedup: Some(self.auto_dedup),
            lazy_pages: Some(self.lazy_pages),
            link_remap: Some(self.link_remap),
            tcp_close: Some(self.tcp_close),
            empty_ns: Some(if self.empty_network { NEW_NETWORK } else { 0 }),
            orphan_pts_master: Some(true),
            config_file: configuration,
            ..Options::default()
        })
    }

    /// Leaves cgroups to us where nobody said otherwise and the container has none in version 2's
    /// tree: CRIU would write down that whole tree, others' cgroups too, and make them again. What it
    /// restores is in the container's cgroup as it is itself.
    pub(super) fn settle_cgroups(&self, options: &mut Options, cgroup: &Cgroup) {
        if self.cgroups.is_none_or(str::is_empty) && !cgroup.is_in_version_2() {
            options.manage_cgroups_mode = Some(CgroupMode::Ignore as i32);
        }
    }

    fn cgroup_mode(&self) -> Result<CgroupMode> {
        Ok(match self.cgroups.unwrap_or("") {
            "" => CgroupMode::Default,
            "soft" => CgroupMode::Soft,
            "full" => CgroupMode::Full,
            "strict" => CgroupMode::Strict,
            "ignore" => CgroupMode::Ignore,
            other => {
                let text = format!("invalid manage-cgroups-mode value: {other:?}");
                return Err(
                    Error::new(Kind::Invalid, text).hint("it is soft, full, strict or ignore")
                );
            }
        })
    }

    /// Asks CRIU whether the kernel can do what is rarely there.
    fn check_features(&self, pre_dump: bool) -> Result<()> {
        if !pre_dump && !self.lazy_pages {
            return Ok(());
        }
        let asked = Features {
            memory_tracking: pre_dump.then_some(true),
            lazy_pages: self.lazy_pages.then_some(true),
        };
        let request = Request {
            matter: Matter::FeatureCheck as i32,
            features: Some(asked),
            ..Request::default()
        };
        let mut criu = Criu::start(self.program, Streams::None, &[])?;
        let found = criu.ask(&request, &mut |_, _| Ok(()))?.features.unwrap_or_default();
        let lacks =
            |asked: Option<bool>, found: Option<bool>| asked == Some(true) && found != Some(true);
        let missing = [
            (lacks(asked.memory_tracking, found.memory_tracking), "tracking of changed memory"),
            (lacks(asked.lazy_pages, found.lazy_pages), "pages that come when they are touched"),
        ];
        match missing.iter().find(|(is_missing, _)| *is_missing) {
            None => Ok(()),
            Some((_, what)) => {
                Err(Error::new(Kind::Unsupported, format!("criu is missing features: {what}")))
            }
        }
    }
}

/// `CLONE_NEWNET`.
const NEW_NETWORK: u32 = 0x4000_0000;
