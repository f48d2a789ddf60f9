//! Containers that outlive the command that made them: the runtime's own command line keeps a
//! record of each, since no process of the runtime stays.
//!
//! ```text
//! <root>/<id>/           made first, removed last: whoever makes it owns the id
//!     state.json         the record, replaced as a whole
//!     start              the socket on which the first process waits for its start
//!     notify/            where the container finds a socket to say that it is ready, if asked for
//! ```
//!
//! The record says who the first process is; whether it runs is asked of the kernel each time.
//! Engines that keep records of their own do not need this module.
//!
//! What engines look for in an error's text is as runc says it: `container does not exist`,
//! `container not running` and the like.

mod checkpoint;
mod external;
mod restore;

pub use checkpoint::{Checkpoint, Revival};
pub use restore::Restore;

use crate::{
    ExecRequest, Executed, Hold, Init, Keyring, Leftovers, Paused, Request, Stdio, Subgroup, check,
    container, create, delete, exec,
    handover::Handover,
    hooks::{Round, Subject, Who},
    init::hooks,
    resctrl::GroupChange,
};
use dhow_base::{
    Doing, Error, Kind, Result,
    clock::Moment,
    file::{self, Durability},
};
use dhow_cgroup::{Cgroup, Driver};
use dhow_spec::runtime::{
    Linux, MountPoint, NamespaceKind, Process, Resources, Spec, State, Status,
};
use dhow_sys::host_path::{LastLink, Place};
use rustix::{
    event::Timespec,
    fs::{Mode, OFlags},
    io::Errno,
    net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType},
    process::{Pid, PidfdFlags, Signal},
};
use serde::{Deserialize, Serialize};
use std::{
    os::fd::{AsFd, AsRawFd, OwnedFd},
    path::{Path, PathBuf},
};

/// The longest configuration or record that is read.
const LIMIT_BYTES: u64 = 16 << 20;

/// The form of the records that this build writes. It reads all before.
const VERSION: u32 = 1;

/// Where a container finds the socket to say that it is ready, and the name below it.
const NOTIFY_PLACE: &str = "/run/notify";
const NOTIFY_NAME: &str = "notify.sock";

/// What the runtime knows of a container.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// The record's form.
    #[serde(default)]
    pub version: u32,
    /// The id.
    pub id: String,
    /// The first process; nothing while the container is being created.
    pub init: Option<Init>,
    /// The bundle, absolute.
    pub bundle: PathBuf,
    /// Who made its cgroup.
    #[serde(default)]
    pub driver: Driver,
    /// When it was created, RFC 3339.
    pub created: String,
    /// The configuration that it was created with, whatever the bundle holds by now.
    pub spec: Spec,
}

/// Where records are kept.
#[derive(Clone, Debug)]
pub struct Shelf {
    root: PathBuf,
}

/// A container that was just created. The caller is its first process's parent.
#[derive(Debug)]
pub struct Created {
    /// Its record.
    pub record: Record,
    /// A handle on its first process: readable when that has ended.
    pub pidfd: OwnedFd,
    /// The master of its terminal, where it has one and nobody else has got it.
    pub terminal: Option<OwnedFd>,
}

/// How a container is created.
#[derive(Clone, Copy, Debug)]
pub struct Creation<'a> {
    /// Its id: letters, digits and `_+-.`.
    pub id: &'a str,
    /// Its bundle, absolute.
    pub bundle: &'a Path,
    /// Who makes its cgroup.
    pub driver: &'a Driver,
    /// Who gets the master of the process's terminal.
    pub terminal: TerminalTo<'a>,
    /// A unix socket that takes a handle on the first process.
    pub pidfd_socket: Option<&'a Path>,
    /// A file for the first process's number.
    pub pid_file: Option<&'a Path>,
    /// How many fds, from 3 on, the process keeps.
    pub preserve_fds: u32,
    /// How many of those are sockets that a service manager opened for it.
    pub listen_fds: u32,
    /// Whether the process can say that it is ready.
    pub readiness: Readiness,
    /// Whether the process gets a session keyring of its own.
    pub keyring: Keyring,
}

impl<'a> Creation<'a> {
    /// A creation without anything that can be left out.
    pub fn new(id: &'a str, bundle: &'a Path) -> Self {
        Self {
            id,
            bundle,
            driver: &Driver::Files,
            terminal: TerminalTo::Nobody,
            pidfd_socket: None,
            pid_file: None,
            preserve_fds: 0,
            listen_fds: 0,
            readiness: Readiness::Unasked,
            keyring: Keyring::New,
        }
    }
}

/// Who gets the master of a process's terminal.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TerminalTo<'a> {
    /// The caller, who stays with the process.
    Caller,
    /// Whoever listens on this unix socket, for a process that nobody stays with.
    Socket(&'a Path),
    /// As [`TerminalTo::Socket`], by a caller who stays: there is no sense in that.
    SocketOf(&'a Path),
    /// There is nobody, so the process can have no terminal.
    Nobody,
}

/// Whether a service manager wants to hear that a container is ready.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Readiness {
    /// It listens: the container gets a directory with a socket, and its name by NOTIFY_SOCKET.
    Asked,
    /// Nobody does.
    Unasked,
}

/// How a process is run in a container.
#[derive(Clone, Copy, Debug)]
pub struct Visit<'a> {
    /// The container.
    pub id: &'a str,
    /// Who gets the master of the process's terminal.
    pub terminal: TerminalTo<'a>,
    /// A unix socket that takes a handle on the process.
    pub pidfd_socket: Option<&'a Path>,
    /// A file for the process's number.
    pub pid_file: Option<&'a Path>,
    /// How many fds, from 3 on, the process keeps.
    pub preserve_fds: u32,
    /// Whether a paused container is entered.
    pub paused: Paused,
    /// Where below the container's cgroup it is to be.
    pub subgroups: &'a [Subgroup],
}

/// What is sent to a container's processes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Message {
    /// A signal.
    Signal(Signal),
    /// Nothing: it is only asked whether they are there (signal 0).
    Nothing,
}

/// What changes of a container's limits; the rest stays.
#[derive(Clone, Copy, Debug)]
pub struct Change<'a> {
    /// What the cgroup limits.
    pub resources: &'a Resources,
    /// `linux.intelRdt.l3CacheSchema`.
    pub l3_cache_schema: Option<&'a str>,
    /// `linux.intelRdt.memBwSchema`.
    pub mem_bw_schema: Option<&'a str>,
}

impl Change<'_> {
    /// Changes the limits, and says how the configuration is by now.
    fn apply(&self, cgroup: &Cgroup, record: &Record) -> Result<Linux> {
        let mut linux = record.spec.linux.clone().unwrap_or_default();
        let group = self.group(&record.id, &mut linux)?;
        let before = linux.resources.take().unwrap_or_default();
        let after = before.overlaid(self.resources);
        let set = cgroup.update(&self.resources.with_quota_of(&after));
        let set = set.and_then(|()| group.map_or(Ok(()), |change| change.write()));
        if let Err(error) = set {
            // Rules for devices were not in question, unless they were among what failed.
            let devices =
                if self.resources.devices.is_empty() { Vec::new() } else { before.devices };
            // The failure that brought us here is the one to tell of.
            let _kept = cgroup.update(&Resources { devices, ..before });
            return Err(error);
        }
        linux.resources = Some(after);
        Ok(linux)
    }

    /// The change of the share of caches and memory bandwidth, checked; what of it is not named
    /// stays.
    fn group(&self, id: &str, linux: &mut Linux) -> Result<Option<GroupChange>> {
        let (l3, bandwidth) = (self.l3_cache_schema, self.mem_bw_schema);
        if l3.is_none() && bandwidth.is_none() {
            return Ok(None);
        }
        GroupChange::prepare(id, linux.intel_rdt.as_mut(), l3, bandwidth).map(Some)
    }
}

/// Whether a container that runs may be deleted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Force {
    /// It is killed first.
    Kill,
    /// It is refused.
    Refuse,
}

impl Shelf {
    /// The records below `root`, which need not exist.
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// Creates a container that waits for [`start`](Self::start). On failure nothing is left.
    pub fn create(&self, creation: &Creation<'_>) -> Result<Created> {
        let doing = || format!("create container {}", creation.id);
        let Claim { place, spec, sockets } = self.claim(creation).doing(doing)?;
        let created = self.fill(&place, spec, creation, &sockets).doing(doing);
        if created.is_err() {
            // The error to report is the one that brought us here.
            let _left = std::fs::remove_dir_all(&place);
        }
        created
    }

    /// Checks what is asked for and takes the id.
    fn claim(&self, creation: &Creation<'_>) -> Result<Claim> {
        let place = self.place(creation.id)?;
        let spec = read_spec(creation.bundle)?;
        check::configuration(&spec)?;
        let process = spec.process.as_ref();
        let sockets = Sockets::dial(
            process.is_some_and(|process| process.terminal),
            creation.terminal,
            creation.pidfd_socket,
        )?;
        let make = || rustix::fs::mkdir(&place, Mode::from_raw_mode(0o700));
        let made = match make() {
            // The first container since the machine began.
            Err(Errno::NOENT) => {
                file::make_directories(&self.root, 0o711)?;
                make()
            }
            made => made,
        };
        match made {
            Ok(()) => Ok(Claim { place, spec, sockets }),
            Err(Errno::EXIST) => {
                let text = "container with given ID already exists";
                Err(Error::new(Kind::AlreadyExists, text))
            }
            Err(errno) => Err(errno).doing(|| format!("make {}", place.display())),
        }
    }

    fn fill(
        &self,
        place: &Path,
        spec: Spec,
        creation: &Creation<'_>,
        sockets: &Sockets,
    ) -> Result<Created> {
        let mut record = Record::new(creation, spec);
        self.write(&record)?;
        let changed = serviced(&record.spec, creation, place)?;
        let listener = listen(place)?;
        let mountpoint = record.rootfs();
        let container = create(&Request {
            id: &record.id,
            spec: changed.as_ref().unwrap_or(&record.spec),
            driver: &record.driver,
            bundle: &record.bundle,
            rootfs: None,
            mountpoint: &mountpoint,
            stdio: Stdio::Inherit,
            hold: Hold::UntilDialled(listener.as_fd()),
            preserve_fds: creation.preserve_fds,
            keyring: creation.keyring,
        })?;
        record.init = Some(container.init);
        if let Some(path) = &container.cgroups_path {
            let linux = record.spec.linux.get_or_insert_default();
            linux.cgroups_path = Some(path.clone());
        }
        if let Err(error) = self.publish(&record, &container, creation.pid_file, sockets) {
            container.end();
            let _left = delete(&leftovers(&record));
            return Err(error);
        }
        let container::Container { pidfd, terminal, .. } = container;
        Ok(Created { record, pidfd, terminal: terminal.filter(|_| sockets.terminal.is_none()) })
    }

    fn publish(
        &self,
        record: &Record,
        container: &container::Container,
        pid_file: Option<&Path>,
        sockets: &Sockets,
    ) -> Result<()> {
        sockets.send(container.terminal.as_ref(), &container.pidfd)?;
        self.write(record)?;
        write_pid(pid_file, container.init.pid)
    }

    /// Runs the program of a created container. Where a hook of the start fails, the container is
    /// destroyed (runtime.md, Lifecycle, 7 and 9).
    pub fn start(&self, id: &str) -> Result<()> {
        let doing = || format!("start container {id}");
        let record = self.record(id).doing(doing)?;
        let refuse = |text: &str| Err(Error::new(Kind::Conflict, text)).doing(doing);
        match status_of_process(&record) {
            // Whether it is created or runs, the socket tells.
            Status::Running => {}
            Status::Stopped => return refuse("cannot start a container that has stopped"),
            other => return refuse(&format!("cannot start a container in the {other} state")),
        }
        let place = self.place(id)?;
        let socket = match dial(&place) {
            Err(error) if is_not_listening(&error) => {
                return refuse("cannot start an already running container");
            }
            result => result.doing(doing)?,
        };
        let ran = container::start_dialled(socket).and_then(|()| match record.init {
            Some(init) => container::running(init.pid).map(drop).or_else(ended),
            None => Ok(()),
        });
        let has_hooks = !hooks(&record.spec, |hooks| &hooks.start_container).is_empty();
        // Its process ends where a hook fails. One that stays was started by somebody else.
        if ran.is_err() && has_hooks && record.init.is_none_or(ends_soon) {
            let _cleaned = self.delete(id, Force::Kill);
        }
        ran.doing(doing)?;
        file::remove_if_there(&place.join("start")).doing(doing)?;
        let poststart = hooks(&record.spec, |hooks| &hooks.poststart);
        let round = Round::new("poststart", poststart, Some(&record.bundle));
        let who = record.init.map_or(Who::Nobody, |init| Who::Process(init.pid));
        subject(&record).run(&round, Status::Running, who).doing(doing).inspect_err(|_failed| {
            // A container without what its hooks do for it must not go on. The failure that brought
            // us here is the one to tell of.
            let _cleaned = self.delete(id, Force::Kill);
        })
    }

    /// What the specification's `state` shows, and all else that is known.
    pub fn state(&self, id: &str) -> Result<(Record, State)> {
        let record = self.record(id).doing(|| format!("read the state of container {id}"))?;
        let state = self.state_of(&record);
        Ok((record, state))
    }

    /// All containers, by id; `NotFound` where there is no place for records yet.
    pub fn list(&self) -> Result<Vec<(Record, State)>> {
        let entries =
            std::fs::read_dir(&self.root).doing(|| format!("open {}", self.root.display()))?;
        let mut listed = Vec::new();
        for entry in entries.filter_map(std::result::Result::ok) {
            // What is no record is not ours; what is being made or removed is not to be listed.
            if let Some(id) = entry.file_name().to_str()
                && let Ok(record) = self.record(id)
            {
                let state = self.state_of(&record);
                listed.push((record, state));
            }
        }
        listed.sort_by(|a, b| a.0.id.cmp(&b.0.id));
        Ok(listed)
    }

    /// Where a container's record lies; whoever owns it owns the container.
    pub fn directory(&self, id: &str) -> Result<PathBuf> {
        self.place(id)
    }

    /// Sends a signal to the first process. A container whose processes share the machine's PID
    /// namespace has nobody with whom they end, so there a kill is for all.
    pub fn kill(&self, id: &str, message: Message) -> Result<()> {
        let number = match message {
            Message::Signal(signal) => signal.as_raw(),
            Message::Nothing => 0,
        };
        let doing = || format!("send signal {number} to container {id}");
        let record = self.record(id).doing(doing)?;
        let is_kill = message == Message::Signal(Signal::KILL);
        if is_kill && !has_own_pids(&record.spec) {
            match container::cgroup(id, &record.spec, &record.driver) {
                Ok(cgroup) => return cgroup.kill_all().doing(doing),
                // An ordinary user's container may have none.
                Err(error) if error.kind() == Kind::NotFound => {}
                Err(error) => return Err(error).doing(doing),
            }
        }
        let Some(pidfd) = record.init.and_then(pidfd) else {
            return Err(not_running()).doing(doing);
        };
        let Message::Signal(signal) = message else { return Ok(()) };
        match rustix::process::pidfd_send_signal(&pidfd, signal) {
            Err(Errno::SRCH) => return Err(not_running()).doing(doing),
            result => result.doing(doing)?,
        }
        if is_kill { thaw_dying(&record).doing(doing) } else { Ok(()) }
    }

    /// Removes a container that does not run, with all that is left of it. What is to be warned of
    /// is returned.
    pub fn delete(&self, id: &str, force: Force) -> Result<Vec<Error>> {
        let doing = || format!("delete container {id}");
        let record = match self.record(id) {
            Err(error) if error.kind() == Kind::NotFound && force == Force::Kill => {
                // A creation that was cut short before its record was written.
                let place = self.place(id).doing(doing)?;
                return match std::fs::remove_dir_all(&place) {
                    Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                        Err(error).doing(|| format!("remove {}", place.display()))
                    }
                    _ => Ok(Vec::new()),
                };
            }
            result => result.doing(doing)?,
        };
        let status = self.status(&record);
        if !matches!(status, Status::Created | Status::Stopped) && force == Force::Refuse {
            let text = format!("cannot delete container {id} that is not stopped: {status}");
            return Err(Error::new(Kind::Conflict, text).hint("kill it first, or use --force"));
        }
        if status != Status::Stopped {
            end(&record).doing(doing)?;
        }
        let cleaned = delete(&leftovers(&record)).doing(doing);
        let place = self.place(id)?;
        let removed = match remove_place(&place) {
            // Somebody else deletes it too.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            result => result.doing(|| format!("remove the record {}", place.display())),
        };
        cleaned.and_then(|warnings| removed.map(|()| warnings))
    }

    /// Runs one more process. The caller reaps it.
    pub fn exec(&self, visit: &Visit<'_>, process: &Process) -> Result<Executed> {
        let id = visit.id;
        let record = self.record(id)?;
        let refuse = |text: &str| Error::new(Kind::Conflict, text);
        let init = match self.status(&record) {
            Status::Paused if visit.paused == Paused::Refused => {
                let text = "cannot exec in a paused container (use --ignore-paused to override)";
                return Err(refuse(text));
            }
            Status::Created | Status::Running | Status::Paused => record.init,
            Status::Creating | Status::Stopped => None,
        };
        let init = init.ok_or_else(|| refuse("cannot exec in a stopped container"))?;
        check::process(process)?;
        let sockets = Sockets::dial(process.terminal, visit.terminal, visit.pidfd_socket)?;
        let mut executed = exec(&ExecRequest {
            id,
            init,
            spec: &record.spec,
            bundle: &record.bundle,
            driver: &record.driver,
            process,
            stdio: Stdio::Inherit,
            preserve_fds: visit.preserve_fds,
            paused: visit.paused,
            subgroups: visit.subgroups,
        })?;
        sockets.send(executed.terminal.as_ref(), &executed.pidfd)?;
        write_pid(visit.pid_file, executed.pid)?;
        executed.terminal = executed.terminal.filter(|_| sockets.terminal.is_none());
        Ok(executed)
    }

    /// Stops all processes of a container.
    pub fn pause(&self, id: &str) -> Result<()> {
        let doing = || format!("pause container {id}");
        let record = self.record(id).doing(doing)?;
        match self.status(&record) {
            Status::Running | Status::Created => {
                self.cgroup(&record).and_then(|cgroup| cgroup.freeze()).doing(doing)
            }
            Status::Creating | Status::Paused | Status::Stopped => Err(not_running()).doing(doing),
        }
    }

    /// Lets all processes of a paused container go on.
    pub fn resume(&self, id: &str) -> Result<()> {
        let doing = || format!("resume container {id}");
        let record = self.record(id).doing(doing)?;
        if self.status(&record) != Status::Paused {
            return Err(Error::new(Kind::Conflict, "container not paused")).doing(doing);
        }
        self.cgroup(&record).and_then(|cgroup| cgroup.thaw()).doing(doing)
    }

    /// Changes a container's limits, and the record of them. On failure they are as they were, as
    /// far as the record says how that was.
    pub fn update(&self, id: &str, change: &Change<'_>) -> Result<()> {
        let doing = || format!("update container {id}");
        let mut record = self.record(id).doing(doing)?;
        if matches!(self.status(&record), Status::Creating | Status::Stopped) {
            return Err(not_running()).doing(doing);
        }
        let changed = change.apply(&self.cgroup(&record).doing(doing)?, &record).doing(doing)?;
        record.spec.linux = Some(changed);
        self.write(&record).doing(doing)
    }

    /// The numbers of all processes of a container.
    pub fn processes(&self, id: &str) -> Result<Vec<i32>> {
        let doing = || format!("find the processes of container {id}");
        let record = self.record(id).doing(doing)?;
        let mut pids = match self.cgroup(&record) {
            Ok(cgroup) => cgroup.processes().doing(doing)?,
            // It has ended, and its cgroup with it.
            Err(error) if error.kind() == Kind::NotFound => Vec::new(),
            Err(error) => return Err(error).doing(doing),
        };
        pids.sort_unstable_by_key(|pid| pid.as_raw_pid());
        Ok(pids.into_iter().map(Pid::as_raw_pid).collect())
    }

    /// A handle on the first process of a container that has one.
    pub fn watch(&self, id: &str) -> Result<OwnedFd> {
        let doing = || format!("watch container {id}");
        let record = self.record(id).doing(doing)?;
        record.init.and_then(pidfd).ok_or_else(not_running).doing(doing)
    }

    /// The cgroup of a container, to measure it.
    pub fn measure(&self, id: &str) -> Result<Cgroup> {
        let doing = || format!("measure container {id}");
        let record = self.record(id).doing(doing)?;
        self.cgroup(&record).doing(doing)
    }

    fn cgroup(&self, record: &Record) -> Result<Cgroup> {
        container::cgroup(&record.id, &record.spec, &record.driver)
    }

    /// The record of a container.
    pub fn record(&self, id: &str) -> Result<Record> {
        let path = self.place(id)?.join("state.json");
        let missing = || Error::new(Kind::NotFound, "container does not exist");
        let bytes = match file::read_limited(&path, LIMIT_BYTES) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == Kind::NotFound => return Err(missing()),
            Err(error) => return Err(error),
        };
        let record: Record = serde_json::from_slice(&bytes).map_err(|error| {
            Error::new(Kind::Corrupt, format!("parse {}", path.display())).because(error)
        })?;
        if record.version > VERSION {
            let text = format!("read {}: a newer dhow has made it", path.display());
            return Err(Error::new(Kind::Unsupported, text));
        }
        Ok(record)
    }

    fn write(&self, record: &Record) -> Result<()> {
        let bytes = serde_json::to_vec(record).map_err(|error| {
            Error::new(Kind::Internal, format!("write the record of {}", record.id)).because(error)
        })?;
        let path = self.place(&record.id)?.join("state.json");
        // Whoever owns the id is the only one who writes here.
        file::replace(&path, &bytes, 0o600)
    }

    /// A container's directory; an id is never a path.
    fn place(&self, id: &str) -> Result<PathBuf> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_+-.".contains(&byte);
        if id.is_empty() || id.len() > 1024 || matches!(id, "." | "..") || !id.bytes().all(is_plain)
        {
            return Err(Error::new(Kind::Invalid, format!("invalid container ID format: {id:?}"))
                .hint("an id has letters, digits and _ + - . only"));
        }
        Ok(self.root.join(id))
    }

    fn status(&self, record: &Record) -> Status {
        match status_of_process(record) {
            Status::Running if self.root.join(&record.id).join("start").exists() => Status::Created,
            status => status,
        }
    }

    fn state_of(&self, record: &Record) -> State {
        let status = self.status(record);
        let pid = record.init.map(|init| init.pid).filter(|_| status != Status::Stopped);
        State {
            oci_version: record.spec.oci_version.clone(),
            id: record.id.clone(),
            status,
            pid,
            bundle: record.bundle.clone(),
            annotations: record.spec.annotations.clone(),
        }
    }
}

impl Record {
    /// The record of a container that has no process yet.
    fn new(creation: &Creation<'_>, spec: Spec) -> Self {
        Self {
            version: VERSION,
            id: creation.id.to_owned(),
            init: None,
            bundle: creation.bundle.to_owned(),
            driver: creation.driver.clone(),
            created: Moment::now().rfc3339(),
            spec,
        }
    }

    /// The root filesystem, absolute.
    pub fn rootfs(&self) -> PathBuf {
        let path = self.spec.root.as_ref().map_or(Path::new("rootfs"), |root| &root.path);
        self.bundle.join(path)
    }
}

fn read_spec(bundle: &Path) -> Result<Spec> {
    let path = bundle.join("config.json");
    let bytes = file::read_limited(&path, LIMIT_BYTES).map_err(|error| match error.kind() {
        Kind::NotFound => {
            let text = format!("JSON specification file {} not found", path.display());
            Error::new(Kind::NotFound, text).because(error)
        }
        _ => error,
    })?;
    Spec::parse(&bytes).doing(|| format!("read {}", path.display()))
}

/// The configuration with what a service manager has for the container; nothing where that is
/// nothing. The record keeps the configuration as it was written.
fn serviced(spec: &Spec, creation: &Creation<'_>, place: &Path) -> Result<Option<Spec>> {
    if creation.listen_fds == 0 && creation.readiness == Readiness::Unasked {
        return Ok(None);
    }
    let mut changed = spec.clone();
    let mut variables = Vec::new();
    if creation.listen_fds > 0 {
        variables.push(format!("LISTEN_FDS={}", creation.listen_fds));
        variables.push("LISTEN_PID=1".to_owned());
    }
    if creation.readiness == Readiness::Asked {
        let directory = place.join("notify");
        rustix::fs::mkdir(&directory, Mode::from_raw_mode(0o755))
            .doing(|| format!("make {}", directory.display()))?;
        changed.mounts.push(MountPoint {
            destination: NOTIFY_PLACE.into(),
            source: Some(directory),
            options: ["bind", "nosuid", "noexec", "nodev", "ro"].map(str::to_owned).to_vec(),
            ..MountPoint::default()
        });
        variables.push(format!("NOTIFY_SOCKET={NOTIFY_PLACE}/{NOTIFY_NAME}"));
    }
    if let Some(process) = &mut changed.process {
        process.env.extend(variables);
    }
    Ok(Some(changed))
}

/// An id that is taken, for a container that is still to be made.
#[derive(Debug)]
struct Claim {
    place: PathBuf,
    spec: Spec,
    sockets: Sockets,
}

/// Sockets of the caller's that are connected before anything exists, so that a wrong path costs
/// nothing.
#[derive(Debug)]
struct Sockets {
    terminal: Option<Handover>,
    pidfd: Option<Handover>,
}

impl Sockets {
    fn dial(wants: bool, terminal: TerminalTo<'_>, pidfd: Option<&Path>) -> Result<Self> {
        let refuse = |text: &str| Err(Error::new(Kind::Invalid, text));
        let path = match (wants, terminal) {
            (true, TerminalTo::Nobody) => {
                let text = "cannot allocate tty if the runtime will detach without setting console \
                            socket";
                return refuse(text);
            }
            (_, TerminalTo::SocketOf(_)) | (false, TerminalTo::Socket(_)) => {
                let text =
                    "cannot use console socket if the runtime will not detach or allocate tty";
                return refuse(text);
            }
            (true, TerminalTo::Socket(path)) => Some(path),
            (_, TerminalTo::Caller | TerminalTo::Nobody) => None,
        };
        let dial = |path: Option<&Path>| path.map(Handover::dial).transpose();
        Ok(Self { terminal: dial(path)?, pidfd: dial(pidfd)? })
    }

    fn send(&self, terminal: Option<&OwnedFd>, pidfd: &OwnedFd) -> Result<()> {
        if let (Some(socket), Some(terminal)) = (&self.terminal, terminal) {
            socket.send(b"/dev/pts/ptmx", terminal.as_fd())?;
        }
        match &self.pidfd {
            Some(socket) => socket.send(b"pidfd", pidfd.as_fd()),
            None => Ok(()),
        }
    }
}

fn write_pid(path: Option<&Path>, pid: i32) -> Result<()> {
    let Some(path) = path else { return Ok(()) };
    let doing = || format!("write the process's number to {}", path.display());
    let place = Place::find(path, LastLink::Kept).doing(doing)?;
    let text = pid.to_string();
    file::write_atomically(&place.path(), text.as_bytes(), 0o644, Durability::Cached).doing(doing)
}

fn not_running() -> Error {
    Error::new(Kind::Conflict, "container not running")
}

/// Whether the first process's end is the end of all.
fn has_own_pids(spec: &Spec) -> bool {
    let linux = spec.linux.as_ref();
    let namespace = linux.and_then(|linux| linux.namespace(NamespaceKind::Pid));
    namespace.is_some_and(|namespace| namespace.path.is_none())
}

/// What the first process and its cgroup tell; a container that waits for its start runs, by that.
fn status_of_process(record: &Record) -> Status {
    let Some(init) = record.init else { return Status::Creating };
    if !init.is_alive() {
        return Status::Stopped;
    }
    match container::frozen_cgroup(&record.id, &record.spec, &record.driver) {
        Ok(Some(_frozen)) => Status::Paused,
        _ => Status::Running,
    }
}

/// Removes a container's directory. Mostly nothing but the record is in it.
fn remove_place(place: &Path) -> std::io::Result<()> {
    let record = rustix::fs::unlink(place.join("state.json"));
    match record.and_then(|()| rustix::fs::rmdir(place)) {
        Ok(()) => Ok(()),
        Err(_more) => std::fs::remove_dir_all(place),
    }
}

/// By version 1 a frozen process does not even die.
fn thaw_dying(record: &Record) -> Result<()> {
    match container::frozen_cgroup(&record.id, &record.spec, &record.driver) {
        Ok(Some(cgroup)) => match cgroup.thaw() {
            // Whoever stayed with the container has removed it meanwhile.
            Err(error) if error.kind() == Kind::NotFound => Ok(()),
            result => result,
        },
        _ => Ok(()),
    }
}

fn leftovers(record: &Record) -> Leftovers<'_> {
    Leftovers { id: &record.id, spec: &record.spec, driver: &record.driver, bundle: &record.bundle }
}

fn subject(record: &Record) -> Subject<'_> {
    Subject { id: &record.id, bundle: &record.bundle, annotations: &record.spec.annotations }
}

/// A handle on the process, if it is still that one.
fn pidfd(init: Init) -> Option<OwnedFd> {
    let pidfd = rustix::process::pidfd_open(Pid::from_raw(init.pid)?, PidfdFlags::empty()).ok()?;
    init.is_alive().then_some(pidfd)
}

/// A short program can be gone before anybody looks; it ran all the same.
fn ended(error: Error) -> Result<()> {
    if error.kind() == Kind::NotFound { Ok(()) } else { Err(error) }
}

/// Kills the first process, where it is alive, and waits until it is gone. Its parent reaps it.
fn end(record: &Record) -> Result<()> {
    let Some(pidfd) = record.init.and_then(pidfd) else { return Ok(()) };
    match rustix::process::pidfd_send_signal(&pidfd, Signal::KILL) {
        Ok(()) | Err(Errno::SRCH) => {}
        Err(errno) => return Err(errno).doing(|| "kill its process"),
    }
    thaw_dying(record)?;
    wait_for_end(&pidfd, None).map(drop)
}

/// How long the process of a failed start may take to be gone.
const LAST_BREATH: Timespec = Timespec { tv_sec: 5, tv_nsec: 0 };

/// Whether the process is gone, or is about to be.
fn ends_soon(init: Init) -> bool {
    let Some(pidfd) = pidfd(init) else { return true };
    wait_for_end(&pidfd, Some(&LAST_BREATH)).unwrap_or(false)
}

/// Whether the process has ended by then.
fn wait_for_end(pidfd: &OwnedFd, limit: Option<&Timespec>) -> Result<bool> {
    let mut polled = [rustix::event::PollFd::new(pidfd, rustix::event::PollFlags::IN)];
    loop {
        match rustix::event::poll(&mut polled, limit) {
            Ok(count) => return Ok(count > 0),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno).doing(|| "wait for its process"),
        }
    }
}

fn listen(place: &Path) -> Result<OwnedFd> {
    let doing = || "make the socket for the start";
    let socket = seqpacket().doing(doing)?;
    let (_directory, address) = address(place).doing(doing)?;
    rustix::net::bind(&socket, &address).doing(doing)?;
    rustix::net::listen(&socket, 1).doing(doing)?;
    Ok(socket)
}

fn dial(place: &Path) -> Result<OwnedFd> {
    let doing = || "reach its process";
    let socket = seqpacket().doing(doing)?;
    let (_directory, address) = address(place).doing(doing)?;
    rustix::net::connect(&socket, &address).doing(doing)?;
    Ok(socket)
}

fn seqpacket() -> rustix::io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC;
    rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)
}

/// Whether nobody waits for a start: the socket is gone, or nobody is behind it.
fn is_not_listening(error: &Error) -> bool {
    let errno = error.errno().map(Errno::from_raw_os_error);
    matches!(errno, Some(Errno::NOENT | Errno::CONNREFUSED))
}

/// A socket's address is at most 107 bytes long. A record's path may be longer; there the address
/// goes by an fd of the directory.
fn address(place: &Path) -> rustix::io::Result<(Option<OwnedFd>, SocketAddrUnix)> {
    if let Ok(address) = SocketAddrUnix::new(place.join("start")) {
        return Ok((None, address));
    }
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = rustix::fs::open(place, flags, Mode::empty())?;
    let path = format!("/proc/self/fd/{}/start", directory.as_raw_fd());
    let address = SocketAddrUnix::new(path)?;
    Ok((Some(directory), address))
}
