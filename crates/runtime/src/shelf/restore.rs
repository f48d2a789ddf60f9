//! A container is made again from files, by CRIU.
//!
//! CRIU wants the root to be a mount whose place nobody covers. It gets one in a mount namespace of
//! its own, so that nothing of this is ever among the host's mounts. The restored first process is
//! our child, as a created one is.

use super::{
    Created, Creation, Record, Shelf,
    checkpoint::{self, Revival},
    external, leftovers, subject, write_pid,
};
use crate::{
    cgroup_owner, container,
    criu::{
        self, Criu, Streams,
        message::{CgroupRoot, ExternalMount, InheritFd, JoinNamespace, Matter, Options, Request},
    },
    delete, mounts,
    request::Init,
};
use dhow_base::{Doing, Error, Kind, Result, file};
use dhow_spec::runtime::{Namespace, NamespaceKind, Spec};
use dhow_sys::procfs::Procfs;
use rustix::{
    fs::{CWD, Mode, OFlags},
    mount::MountFlags,
    process::{Pid, PidfdFlags},
    thread::ThreadNameSpaceType,
};
use std::{
    os::fd::{AsFd, AsRawFd, OwnedFd},
    path::Path,
};

/// The most that is read of the file of streams.
const LIMIT_BYTES: u64 = 64 << 10;

/// What a restore is told besides.
#[derive(Clone, Copy, Debug)]
pub struct Restore<'a> {
    /// What a checkpoint is told as well.
    pub revival: Revival<'a>,
    /// The AppArmor profile or SELinux label, instead of the one that was written down.
    pub lsm_profile: Option<&'a str>,
    /// The SELinux label of mounts.
    pub lsm_mount_context: Option<&'a str>,
}

/// What CRIU has made so far.
#[derive(Debug, Default)]
struct Revived {
    init: Option<Init>,
    terminal: Option<OwnedFd>,
}

impl Shelf {
    /// Makes a container again. It runs when this returns; on failure nothing is left.
    pub fn restore(&self, creation: &Creation<'_>, restore: &Restore<'_>) -> Result<Created> {
        let doing = || format!("restore container {}", creation.id);
        let claim = self.claim(creation).doing(doing)?;
        let mut record = Record::new(creation, claim.spec);
        let revived = self
            .write(&record)
            .and_then(|()| self.revive(&claim.place, &mut record, restore))
            .doing(doing);
        let published = revived.and_then(|revived| {
            let init = revived.init.ok_or_else(|| {
                Error::new(Kind::Internal, format!("{}: CRIU told of no process", doing()))
            })?;
            let pid = Pid::from_raw(init.pid);
            let pidfd = pid.map(|pid| rustix::process::pidfd_open(pid, PidfdFlags::empty()));
            let pidfd = pidfd.ok_or(rustix::io::Errno::SRCH).flatten().doing(doing)?;
            claim.sockets.send(revived.terminal.as_ref(), &pidfd)?;
            write_pid(creation.pid_file, init.pid)?;
            let terminal = revived.terminal.filter(|_| claim.sockets.terminal.is_none());
            Ok((pidfd, terminal))
        });
        match published {
            Ok((pidfd, terminal)) => Ok(Created { record, pidfd, terminal }),
            Err(error) => {
                // The error to report is the one that brought us here.
                let _left = super::end(&record.outline());
                let _left = delete(&leftovers(&record));
                let _left = std::fs::remove_dir_all(&claim.place);
                Err(error)
            }
        }
    }

    fn revive(&self, place: &Path, record: &mut Record, restore: &Restore<'_>) -> Result<Revived> {
        let revival = &restore.revival;
        let images = checkpoint::open_directory(revival.images)?;
        let work = revival.work.map(checkpoint::open_directory).transpose()?;
        let root = external::open_root(record)?;
        external::make_places(record, root.as_fd())?;
        let cgroup = container::make_cgroup(&record.id, &record.spec, &record.driver, None)?
            .ok_or_else(|| Error::new(Kind::Unsupported, "make a cgroup: CRIU needs one"))?;
        cgroup_owner::settle(&cgroup, &record.spec)?;
        let mountpoint = place.join("criu-root");
        file::make_directories(&mountpoint, 0o755)?;
        let mut options = revival.options(record, images.as_fd(), work.as_ref(), "restore.log")?;
        revival.settle_cgroups(&mut options, &cgroup);
        options.evasive_devices = Some(true);
        options.restore_sibling = Some(true);
        options.root = Some(mountpoint.to_string_lossy().into_owned());
        options.lsm_profile = restore.lsm_profile.map(str::to_owned);
        options.lsm_mount_context = restore.lsm_mount_context.map(str::to_owned);
        let mounts = external::mounts(record, root.as_fd(), &cgroup).into_iter();
        let mounts = mounts.map(|mount| ExternalMount { key: mount.place, value: mount.source });
        let null = ExternalMount { key: "/dev/null".to_owned(), value: "/dev/null".to_owned() };
        options.external_mounts = mounts.chain([null]).collect();
        options.inherit_fds = streams(revival.images)?;
        let namespaces = join_namespaces(&record.spec, &mut options)?;
        let kept: Vec<_> = namespaces.iter().map(AsFd::as_fd).collect();
        let (mut criu, images, work) = in_own_mounts(|| {
            let source = record.rootfs();
            let flags = MountFlags::BIND | MountFlags::REC;
            rustix::mount::mount(&source, &mountpoint, "", flags, None)
                .doing(|| format!("bind the root {}", source.display()))?;
            // CRIU works in these and mounts below them, so they must be of its own mounts.
            let images = checkpoint::open_directory(revival.images)?;
            let work = revival.work.map(checkpoint::open_directory).transpose()?;
            Ok((Criu::start(revival.program, Streams::Own, &kept)?, images, work))
        })?;
        options.images_dir_fd = images.as_raw_fd();
        options.work_dir_fd = work.as_ref().map(AsRawFd::as_raw_fd);
        let pid = Pid::from_raw(criu.pid().cast_signed()).expect("a child's id is not zero");
        cgroup.add(pid)?;
        options.cgroup_roots = cgroup_roots(pid)?;
        let request = Request {
            matter: Matter::Restore as i32,
            options: Some(options),
            ..Request::default()
        };
        let mut revived = Revived::default();
        let asked = criu.ask(&request, &mut |notify, fd| {
            let script = notify.script.as_deref().unwrap_or("");
            self.notified(script, notify.pid.unwrap_or(0), fd, record, &mut revived)
        });
        asked.map_err(|error| criu::explained(error, &revival.log("restore.log")))?;
        criu.finish()?;
        Ok(revived)
    }

    /// A point of the work is reached.
    fn notified(
        &self,
        script: &str,
        pid: i32,
        fd: Option<OwnedFd>,
        record: &mut Record,
        revived: &mut Revived,
    ) -> Result<()> {
        match script {
            "setup-namespaces" => container::run_runtime_hooks(&subject(record), &record.spec, pid),
            "post-restore" => {
                let init = Init::of_pid(pid)?;
                revived.init = Some(init);
                record.init = Some(init);
                add_time_namespace(&mut record.spec);
                self.write(record)
            }
            "orphan-pts-master" => {
                revived.terminal = fd;
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

/// CRIU restores into a time namespace, which later processes must enter too.
fn add_time_namespace(spec: &mut Spec) {
    let Some(linux) = &mut spec.linux else { return };
    let is_there = Path::new("/proc/self/ns/time").exists();
    if is_there && linux.namespace(NamespaceKind::Time).is_none() {
        linux.namespaces.push(Namespace { kind: NamespaceKind::Time, path: None });
    }
}

/// Our own streams stand for the pipes that were written down.
fn streams(images: &Path) -> Result<Vec<InheritFd>> {
    let path = images.join(checkpoint::DESCRIPTORS);
    let bytes = file::read_limited(&path, LIMIT_BYTES)?;
    let names: Vec<String> = serde_json::from_slice(&bytes).map_err(|error| {
        Error::new(Kind::Corrupt, format!("parse {}", path.display())).because(error)
    })?;
    let numbered = (0..3).zip(names).filter(|(_, name)| name.contains("pipe:"));
    Ok(numbered.map(|(fd, key)| InheritFd { key, fd }).collect())
}

/// The namespaces of others'. Those that CRIU finds by an fd are returned, to be kept open in it.
fn join_namespaces(spec: &Spec, options: &mut Options) -> Result<Vec<OwnedFd>> {
    let mut kept = Vec::new();
    let namespaces = spec.linux.iter().flat_map(|linux| &linux.namespaces);
    for (namespace, path) in namespaces.filter_map(|one| Some((one, one.path.as_ref()?))) {
        let by_fd =
            checkpoint::EXTERNAL_NAMESPACES.iter().find(|(kind, ..)| *kind == namespace.kind);
        let name = namespace.kind.proc_name();
        match by_fd {
            Some((_, _, key)) => {
                let flags = OFlags::RDONLY | OFlags::CLOEXEC;
                let fd = rustix::fs::open(path, flags, Mode::empty())
                    .doing(|| format!("open the {name} namespace {}", path.display()))?;
                options.inherit_fds.push(InheritFd { key: (*key).to_owned(), fd: fd.as_raw_fd() });
                kept.push(fd);
            }
            None if namespace.kind == NamespaceKind::Cgroup => {
                let text = "restore into a cgroup namespace of another's: CRIU cannot";
                return Err(Error::new(Kind::Unsupported, text));
            }
            None => options.join_namespaces.push(JoinNamespace {
                kind: name.to_owned(),
                path: path.to_string_lossy().into_owned(),
            }),
        }
    }
    Ok(kept)
}

/// Where the cgroups of CRIU's process are, which are the container's: `<number>:<controllers>:<path>`.
fn cgroup_roots(pid: Pid) -> Result<Vec<CgroupRoot>> {
    let path = format!("/proc/{}/cgroup", pid.as_raw_pid());
    let bytes = file::read_limited(Path::new(&path), LIMIT_BYTES)?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let root = |line: &str| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controller, path) = (parts.next()?.to_owned(), parts.next()?.to_owned());
        Some(CgroupRoot { controller: Some(controller), path })
    };
    Ok(text.lines().filter_map(root).collect())
}

/// Does something in a copy of the host's mounts that goes with the last process in it.
pub fn in_own_mounts<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    let doing = || "make a mount namespace for CRIU";
    let host = Procfs::of_host().doing(|| "check /proc")?;
    let own = host.namespace("self", "mnt").doing(doing)?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let before = rustix::fs::openat(CWD, ".", flags, Mode::empty()).doing(doing)?;
    dhow_sys::namespace::leave(ThreadNameSpaceType::MOUNT).doing(doing)?;
    let done = mounts::withdraw().and_then(|()| work());
    dhow_sys::namespace::join(own.as_fd(), ThreadNameSpaceType::MOUNT)
        .and_then(|()| Ok(rustix::process::fchdir(&before)?))
        .doing(|| "come back from CRIU's mount namespace")?;
    done
}
