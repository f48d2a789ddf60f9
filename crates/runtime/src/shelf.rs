//! Containers that outlive the command that made them: the runtime's own command line keeps a
//! record of each, since no process of the runtime stays.
//!
//! ```text
//! <root>/<id>/           made first, removed last: whoever makes it owns the id
//!     state.json         the record, replaced as a whole
//!     start              the socket on which the first process waits for its start
//! ```
//!
//! The record says who the first process is; whether it runs is asked of the kernel each time.
//! Engines that keep records of their own do not need this module.

use crate::{
    ExecRequest, Executed, Hold, Init, Keyring, Leftovers, Request, Stdio,
    attend::Attendant,
    container, create, delete, exec,
    hooks::{Round, Subject, Who},
    init::hooks,
};
use dhow_base::{
    Doing, Error, Kind, Result,
    clock::Moment,
    file::{self, Durability},
};
use dhow_cgroup::Driver;
use dhow_spec::runtime::{OCI_VERSION, Process, Spec, State, Status};
use rustix::{
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

/// What the runtime knows of a container.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
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

/// How a container is created.
#[derive(Clone, Copy, Debug)]
pub struct Creation<'a> {
    /// Its id: letters, digits and `_+-.`.
    pub id: &'a str,
    /// Its bundle, absolute.
    pub bundle: &'a Path,
    /// Who makes its cgroup.
    pub driver: &'a Driver,
    /// A unix socket that takes the terminal's master, where the process has a terminal.
    pub console_socket: Option<&'a Path>,
    /// A file for the first process's number.
    pub pid_file: Option<&'a Path>,
    /// How many fds, from 3 on, the process keeps.
    pub preserve_fds: u32,
    /// Whether the process gets a session keyring of its own.
    pub keyring: Keyring,
}

/// Which processes a signal goes to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reach {
    /// The first one.
    Init,
    /// All in the cgroup.
    All,
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
    pub fn create(&self, creation: &Creation<'_>) -> Result<Record> {
        let doing = || format!("create container {}", creation.id);
        let place = self.place(creation.id).doing(doing)?;
        let spec = read_spec(creation.bundle).doing(doing)?;
        check_console(&spec, creation).doing(doing)?;
        file::make_directories(&self.root, 0o711).doing(doing)?;
        match rustix::fs::mkdir(&place, Mode::from_raw_mode(0o700)) {
            Ok(()) => {}
            Err(Errno::EXIST) => {
                let text = format!("create container {}: the id is in use", creation.id);
                return Err(Error::new(Kind::AlreadyExists, text));
            }
            Err(errno) => return Err(errno).doing(doing),
        }
        let created = self.fill(&place, spec, creation).doing(doing);
        if created.is_err() {
            // The error to report is the one that brought us here.
            let _left = std::fs::remove_dir_all(&place);
        }
        created
    }

    fn fill(&self, place: &Path, spec: Spec, creation: &Creation<'_>) -> Result<Record> {
        let mut record = Record {
            id: creation.id.to_owned(),
            init: None,
            bundle: creation.bundle.to_owned(),
            driver: creation.driver.clone(),
            created: Moment::now().rfc3339(),
            spec,
        };
        self.write(&record)?;
        let listener = listen(place)?;
        let root = record.spec.root.as_ref().map_or(Path::new("rootfs"), |root| &root.path);
        let mountpoint = record.bundle.join(root);
        let container = create(&Request {
            id: &record.id,
            spec: &record.spec,
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
        let published = self.publish(&record, container.terminal.as_ref(), creation);
        if let Err(error) = published {
            container.end();
            let _left = delete(&leftovers(&record));
            return Err(error);
        }
        Ok(record)
    }

    fn publish(
        &self,
        record: &Record,
        terminal: Option<&OwnedFd>,
        creation: &Creation<'_>,
    ) -> Result<()> {
        if let (Some(terminal), Some(socket)) = (terminal, creation.console_socket) {
            hand_out(terminal, socket)?;
        }
        self.write(record)?;
        if let (Some(path), Some(init)) = (creation.pid_file, record.init) {
            let text = init.pid.to_string();
            file::write_atomically(path, text.as_bytes(), 0o644, Durability::Cached)?;
        }
        Ok(())
    }

    /// Runs the program of a created container.
    pub fn start(&self, id: &str) -> Result<()> {
        let doing = || format!("start container {id}");
        let record = self.record(id)?;
        let status = self.status(&record);
        if status != Status::Created {
            return Err(Error::new(Kind::Conflict, format!("{}: it is {status}", doing())));
        }
        let place = self.place(id)?;
        let socket = dial(&place).doing(doing)?;
        container::start_dialled(socket).doing(doing)?;
        if let Some(init) = record.init {
            container::running(init.pid).map(drop).or_else(ended).doing(doing)?;
        }
        file::remove_if_there(&place.join("start")).doing(doing)?;
        let poststart = hooks(&record.spec, |hooks| &hooks.poststart);
        let round = Round::new("poststart", poststart, Some(&record.bundle));
        let who = record.init.map_or(Who::Nobody, |init| Who::Process(init.pid));
        subject(&record).run(&round, Status::Running, who).doing(doing)
    }

    /// Creates, starts, stays until the end, deletes; the exit code.
    pub fn run(&self, creation: &Creation<'_>) -> Result<u8> {
        let attendant = Attendant::new()?;
        let record = self.create(creation)?;
        let ended = self.start(creation.id).and_then(|()| {
            let pidfd = record.init.and_then(pidfd_of_child).ok_or_else(|| {
                Error::new(Kind::Internal, format!("stay with container {}", creation.id))
            })?;
            attendant.stay(pidfd.as_fd())
        });
        // What went wrong first is what the user must hear of.
        let deleted = self.delete(creation.id, Force::Kill);
        let code = ended?;
        deleted.map(|()| code)
    }

    /// What the specification's `state` shows.
    pub fn state(&self, id: &str) -> Result<State> {
        let record = self.record(id)?;
        Ok(self.state_of(&record))
    }

    /// All containers, by id.
    pub fn list(&self) -> Result<Vec<(Record, State)>> {
        let entries = match std::fs::read_dir(&self.root) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error).doing(|| format!("read {}", self.root.display())),
        };
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

    /// Sends a signal.
    pub fn kill(&self, id: &str, signal: Signal, reach: Reach) -> Result<()> {
        let doing = || format!("send signal {} to container {id}", signal.as_raw());
        let record = self.record(id)?;
        if reach == Reach::All {
            return kill_all(&record, signal).doing(doing);
        }
        let stopped = || Error::new(Kind::Conflict, format!("{}: it is not running", doing()));
        let init = record.init.filter(Init::is_alive).ok_or_else(stopped)?;
        let pidfd = pidfd(init).ok_or_else(stopped)?;
        rustix::process::pidfd_send_signal(&pidfd, signal).doing(doing)
    }

    /// Removes a container that does not run, with all that is left of it.
    pub fn delete(&self, id: &str, force: Force) -> Result<()> {
        let doing = || format!("delete container {id}");
        let record = match self.record(id) {
            Err(error) if error.kind() == Kind::NotFound && force == Force::Kill => return Ok(()),
            result => result?,
        };
        let status = self.status(&record);
        if matches!(status, Status::Running | Status::Paused) && force == Force::Refuse {
            let text = format!("{}: it is {status}", doing());
            return Err(Error::new(Kind::Conflict, text).hint("kill it first, or use --force"));
        }
        end(&record).doing(doing)?;
        let cleaned = delete(&leftovers(&record)).doing(doing);
        let place = self.place(id)?;
        let removed = std::fs::remove_dir_all(&place)
            .doing(|| format!("remove the record {}", place.display()));
        cleaned.and(removed)
    }

    /// Runs one more process. The caller reaps it.
    pub fn exec(&self, id: &str, process: &Process, preserve_fds: u32) -> Result<Executed> {
        let record = self.record(id)?;
        let status = self.status(&record);
        let (Status::Running, Some(init)) = (status, record.init) else {
            let text = format!("execute in container {id}: it is {status}");
            return Err(Error::new(Kind::Conflict, text));
        };
        exec(&ExecRequest {
            id,
            init,
            spec: &record.spec,
            bundle: &record.bundle,
            driver: &record.driver,
            process,
            stdio: Stdio::Inherit,
            preserve_fds,
        })
    }

    /// Stops or continues all processes of a running container.
    pub fn freeze(&self, id: &str, is_frozen: bool) -> Result<()> {
        let record = self.record(id)?;
        let status = self.status(&record);
        let wanted = if is_frozen { Status::Running } else { Status::Paused };
        if status != wanted {
            let verb = if is_frozen { "pause" } else { "resume" };
            let text = format!("{verb} container {id}: it is {status}");
            return Err(Error::new(Kind::Conflict, text));
        }
        let cgroup = container::cgroup(id, &record.spec, &record.driver)?;
        if is_frozen { cgroup.freeze() } else { cgroup.thaw() }
    }

    /// The record of a container.
    pub fn record(&self, id: &str) -> Result<Record> {
        let path = self.place(id)?.join("state.json");
        let missing = || Error::new(Kind::NotFound, format!("container {id} does not exist"));
        let bytes = match file::read_limited(&path, LIMIT_BYTES) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == Kind::NotFound => return Err(missing()),
            Err(error) => return Err(error),
        };
        serde_json::from_slice(&bytes).map_err(|error| {
            Error::new(Kind::Corrupt, format!("parse {}", path.display())).because(error)
        })
    }

    fn write(&self, record: &Record) -> Result<()> {
        let bytes = serde_json::to_vec(record).map_err(|error| {
            Error::new(Kind::Internal, format!("write the record of {}", record.id)).because(error)
        })?;
        let path = self.place(&record.id)?.join("state.json");
        file::write_atomically(&path, &bytes, 0o600, Durability::Cached)
    }

    /// A container's directory; an id is never a path.
    fn place(&self, id: &str) -> Result<PathBuf> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_+-.".contains(&byte);
        if id.is_empty() || id.len() > 1024 || matches!(id, "." | "..") || !id.bytes().all(is_plain)
        {
            return Err(Error::new(Kind::Invalid, format!("use {id:?} as a container's id"))
                .hint("an id has letters, digits and _ + - . only"));
        }
        Ok(self.root.join(id))
    }

    fn status(&self, record: &Record) -> Status {
        let Some(init) = record.init else { return Status::Creating };
        if !init.is_alive() {
            return Status::Stopped;
        }
        if self.root.join(&record.id).join("start").exists() {
            return Status::Created;
        }
        let cgroup = container::cgroup(&record.id, &record.spec, &record.driver);
        if cgroup.is_ok_and(|cgroup| cgroup.is_frozen().unwrap_or(false)) {
            return Status::Paused;
        }
        Status::Running
    }

    fn state_of(&self, record: &Record) -> State {
        let status = self.status(record);
        let pid = record.init.map(|init| init.pid).filter(|_| status != Status::Stopped);
        State {
            oci_version: OCI_VERSION.to_owned(),
            id: record.id.clone(),
            status,
            pid,
            bundle: record.bundle.clone(),
            annotations: record.spec.annotations.clone(),
        }
    }
}

fn read_spec(bundle: &Path) -> Result<Spec> {
    let path = bundle.join("config.json");
    Spec::parse(&file::read_limited(&path, LIMIT_BYTES)?)
        .doing(|| format!("read {}", path.display()))
}

fn check_console(spec: &Spec, creation: &Creation<'_>) -> Result<()> {
    let wants = spec.process.as_ref().is_some_and(|process| process.terminal);
    let text = match (wants, creation.console_socket) {
        (true, None) => "give the process its terminal: there is no --console-socket",
        (false, Some(_)) => "use --console-socket: process.terminal is not set",
        _ => return Ok(()),
    };
    Err(Error::new(Kind::Invalid, text))
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

/// A handle on our own child, which can have ended but keeps its number until it is reaped.
fn pidfd_of_child(init: Init) -> Option<OwnedFd> {
    rustix::process::pidfd_open(Pid::from_raw(init.pid)?, PidfdFlags::empty()).ok()
}

fn kill_all(record: &Record, signal: Signal) -> Result<()> {
    let cgroup = container::cgroup(&record.id, &record.spec, &record.driver)?;
    if signal == Signal::KILL {
        return cgroup.kill_all();
    }
    for pid in cgroup.processes()? {
        match rustix::process::kill_process(pid, signal) {
            Ok(()) | Err(Errno::SRCH) => {}
            Err(errno) => return Err(errno).doing(|| format!("signal process {pid:?}")),
        }
    }
    Ok(())
}

/// A short program can be gone before anybody looks; it ran all the same.
fn ended(error: Error) -> Result<()> {
    if error.kind() == Kind::NotFound { Ok(()) } else { Err(error) }
}

/// Kills the first process, where it is alive, and waits until it is gone. Its parent reaps it.
fn end(record: &Record) -> Result<()> {
    let Some(pidfd) = record.init.and_then(pidfd) else { return Ok(()) };
    rustix::process::pidfd_send_signal(&pidfd, Signal::KILL).doing(|| "kill its process")?;
    let mut polled = [rustix::event::PollFd::new(&pidfd, rustix::event::PollFlags::IN)];
    loop {
        match rustix::event::poll(&mut polled, None) {
            Ok(_) => return Ok(()),
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

/// A socket's address is at most 107 bytes long, a record's path may be longer, so the address goes
/// by an fd of the directory.
fn address(place: &Path) -> rustix::io::Result<(OwnedFd, SocketAddrUnix)> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = rustix::fs::open(place, flags, Mode::empty())?;
    let path = format!("/proc/self/fd/{}/start", directory.as_raw_fd());
    let address = SocketAddrUnix::new(path)?;
    Ok((directory, address))
}

/// Sends the terminal's master to whoever listens (runc's protocol: one message with the fd).
fn hand_out(terminal: &OwnedFd, path: &Path) -> Result<()> {
    let doing = || format!("send the terminal to {}", path.display());
    let flags = SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
        .doing(doing)?;
    let address = SocketAddrUnix::new(path).doing(doing)?;
    rustix::net::connect(&socket, &address).doing(doing)?;
    crate::line::send(socket.as_fd(), b"/dev/pts/ptmx", Some(terminal.as_fd())).doing(doing)
}
