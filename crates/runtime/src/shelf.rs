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

mod caller;
mod change;
mod checkpoint;
mod creation;
mod external;
mod outline;
mod record;
mod restore;
mod start_socket;

pub use caller::TerminalTo;
pub use change::Change;
pub use checkpoint::{Checkpoint, Revival};
pub use creation::{Created, Creation, Readiness};
pub use outline::{Outline, Sketch};
pub use record::Record;
pub use restore::{Restore, in_own_mounts};

use crate::{
    ExecRequest, Executed, Init, Paused, Subgroup, check, container, delete, exec,
    hooks::{Round, Who},
    init::hooks,
};
use caller::{Sockets, write_pid};
use dhow_base::{Doing, Error, Kind, Result, file};
use dhow_cgroup::Cgroup;
use dhow_spec::runtime::{Process, State, Status};
use record::{leftovers, subject};
use rustix::{
    event::Timespec,
    fs::{FlockOperation, Mode, OFlags},
    io::Errno,
    process::{Pid, PidfdFlags, Signal},
};
use std::{
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

/// Where records are kept.
#[derive(Clone, Debug)]
pub struct Shelf {
    root: PathBuf,
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

    /// Runs the program of a created container. Where a hook of the start fails, the container is
    /// destroyed (runtime.md, Lifecycle, 7 and 9).
    pub fn start(&self, id: &str) -> Result<()> {
        let doing = || format!("start container {id}");
        let record = self.record(id).doing(doing)?;
        let refuse = |text: &str| Err(Error::new(Kind::Conflict, text)).doing(doing);
        match record.outline().status_of_process() {
            // Whether it is created or runs, the socket tells.
            Status::Running => {}
            Status::Stopped => return refuse("cannot start a container that has stopped"),
            other => return refuse(&format!("cannot start a container in the {other} state")),
        }
        let place = self.place(id)?;
        let socket = match start_socket::dial(&place) {
            Err(error) if start_socket::is_not_listening(&error) => {
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
        file::remove_if_there(&place.join(start_socket::NAME)).doing(doing)?;
        let poststart = hooks(&record.spec, |hooks| &hooks.poststart);
        let round = Round::new("poststart", poststart, Some(&record.bundle));
        let who = record.init.map_or(Who::Nobody, |init| Who::Process(init.pid));
        subject(&record).run(&round, Status::Running, who).doing(doing).inspect_err(|_failed| {
            // A container without what its hooks do for it must not go on. The failure that brought
            // us here is the one to tell of.
            let _cleaned = self.delete(id, Force::Kill);
        })
    }

    /// What the specification's `state` shows, and what else is known of where it is.
    pub fn state(&self, id: &str) -> Result<(Outline, State)> {
        let outline = self.outline(id).doing(|| format!("read the state of container {id}"))?;
        let state = self.state_of(&outline);
        Ok((outline, state))
    }

    /// All containers, by id; `NotFound` where there is no place for records yet.
    pub fn list(&self) -> Result<Vec<(Outline, State)>> {
        let entries =
            std::fs::read_dir(&self.root).doing(|| format!("open {}", self.root.display()))?;
        let mut listed = Vec::new();
        for entry in entries.filter_map(std::result::Result::ok) {
            // What is no record is not ours; what is being made or removed is not to be listed.
            if let Some(id) = entry.file_name().to_str()
                && let Ok(outline) = self.outline(id)
            {
                let state = self.state_of(&outline);
                listed.push((outline, state));
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
        let outline = self.outline(id).doing(doing)?;
        let is_kill = message == Message::Signal(Signal::KILL);
        if is_kill && !outline.has_own_pids() {
            match outline.cgroup() {
                Ok(cgroup) => return cgroup.kill_all().doing(doing),
                // An ordinary user's container may have none.
                Err(error) if error.kind() == Kind::NotFound => {}
                Err(error) => return Err(error).doing(doing),
            }
        }
        let Some(pidfd) = outline.init.and_then(pidfd) else {
            return Err(not_running()).doing(doing);
        };
        let Message::Signal(signal) = message else { return Ok(()) };
        match rustix::process::pidfd_send_signal(&pidfd, signal) {
            Err(Errno::SRCH) => return Err(not_running()).doing(doing),
            result => result.doing(doing)?,
        }
        if is_kill { thaw_dying(&outline).doing(doing) } else { Ok(()) }
    }

    /// Removes a container that does not run, with all that is left of it. What is to be warned of
    /// is returned.
    pub fn delete(&self, id: &str, force: Force) -> Result<Vec<Error>> {
        let doing = || format!("delete container {id}");
        let _alone = self.alone(id).doing(doing)?;
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
        let outline = record.outline();
        let status = self.status(&outline);
        if !matches!(status, Status::Created | Status::Stopped) && force == Force::Refuse {
            let text = format!("cannot delete container {id} that is not stopped: {status}");
            return Err(Error::new(Kind::Conflict, text).hint("kill it first, or use --force"));
        }
        if status != Status::Stopped {
            end(&outline).doing(doing)?;
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
        let init = match self.status(&record.outline()) {
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
            stdio: visit.terminal.stdio(),
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
        let outline = self.outline(id).doing(doing)?;
        match self.status(&outline) {
            Status::Running | Status::Created => {
                outline.cgroup().and_then(|cgroup| cgroup.freeze()).doing(doing)
            }
            Status::Creating | Status::Paused | Status::Stopped => Err(not_running()).doing(doing),
        }
    }

    /// Lets all processes of a paused container go on.
    pub fn resume(&self, id: &str) -> Result<()> {
        let doing = || format!("resume container {id}");
        let outline = self.outline(id).doing(doing)?;
        if self.status(&outline) != Status::Paused {
            return Err(Error::new(Kind::Conflict, "container not paused")).doing(doing);
        }
        outline.cgroup().and_then(|cgroup| cgroup.thaw()).doing(doing)
    }

    /// The numbers of all processes of a container.
    pub fn processes(&self, id: &str) -> Result<Vec<i32>> {
        let doing = || format!("find the processes of container {id}");
        let mut pids = match self.outline(id).doing(doing)?.processes() {
            Ok(pids) => pids,
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
        let outline = self.outline(id).doing(doing)?;
        outline.init.and_then(pidfd).ok_or_else(not_running).doing(doing)
    }

    /// The cgroup of a container, to measure it.
    pub fn measure(&self, id: &str) -> Result<Cgroup> {
        let doing = || format!("measure container {id}");
        self.outline(id).doing(doing)?.cgroup().doing(doing)
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

    /// Waits until nobody else removes the container: its hooks are to run once. Who finds it gone
    /// then is told by its record. Nothing where there is no such container.
    fn alone(&self, id: &str) -> Result<Option<OwnedFd>> {
        let place = self.place(id)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let locked = rustix::fs::open(&place, flags, Mode::empty()).and_then(|directory| {
            rustix::fs::flock(&directory, FlockOperation::LockExclusive)?;
            Ok(directory)
        });
        match locked {
            Ok(directory) => Ok(Some(directory)),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(errno).doing(|| format!("lock {}", place.display())),
        }
    }

    fn status(&self, outline: &Outline) -> Status {
        match outline.status_of_process() {
            Status::Running if self.root.join(&outline.id).join(start_socket::NAME).exists() => {
                Status::Created
            }
            status => status,
        }
    }

    fn state_of(&self, outline: &Outline) -> State {
        let status = self.status(outline);
        let pid = outline.init.map(|init| init.pid).filter(|_| status != Status::Stopped);
        State {
            oci_version: outline.spec.oci_version.clone(),
            id: outline.id.clone(),
            status,
            pid,
            bundle: outline.bundle.clone(),
            annotations: outline.spec.annotations.clone(),
        }
    }
}

fn not_running() -> Error {
    Error::new(Kind::Conflict, "container not running")
}

/// Removes a container's directory. Mostly nothing but the record is in it.
fn remove_place(place: &Path) -> std::io::Result<()> {
    let record = rustix::fs::unlink(place.join(record::NAME));
    match record.and_then(|()| rustix::fs::rmdir(place)) {
        Ok(()) => Ok(()),
        Err(_more) => std::fs::remove_dir_all(place),
    }
}

/// By version 1 a frozen process does not even die.
fn thaw_dying(outline: &Outline) -> Result<()> {
    match outline.frozen_cgroup() {
        Ok(Some(cgroup)) => match cgroup.thaw() {
            // Whoever stayed with the container has removed it meanwhile.
            Err(error) if error.kind() == Kind::NotFound => Ok(()),
            result => result,
        },
        _ => Ok(()),
    }
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

/// How long a killed process may take to be gone: as long as runc waits.
const DEATH: Timespec = Timespec { tv_sec: 10, tv_nsec: 0 };

/// Kills the first process, where it is alive, and waits until it is gone. Its parent reaps it.
fn end(outline: &Outline) -> Result<()> {
    let Some(pidfd) = outline.init.and_then(pidfd) else { return Ok(()) };
    match rustix::process::pidfd_send_signal(&pidfd, Signal::KILL) {
        Ok(()) | Err(Errno::SRCH) => {}
        Err(errno) => return Err(errno).doing(|| "kill its process"),
    }
    thaw_dying(outline)?;
    if wait_for_end(&pidfd, &DEATH)? {
        return Ok(());
    }
    Err(Error::new(Kind::Unavailable, "kill its process: it does not end")
        .hint("the kernel, a debugger or a restore may hold it; see /proc/<pid>/status"))
}

/// How long the process of a failed start may take to be gone.
const LAST_BREATH: Timespec = Timespec { tv_sec: 5, tv_nsec: 0 };

/// Whether the process is gone, or is about to be.
fn ends_soon(init: Init) -> bool {
    let Some(pidfd) = pidfd(init) else { return true };
    wait_for_end(&pidfd, &LAST_BREATH).unwrap_or(false)
}

/// Whether the process has ended by then.
fn wait_for_end(pidfd: &OwnedFd, limit: &Timespec) -> Result<bool> {
    let mut polled = [rustix::event::PollFd::new(pidfd, rustix::event::PollFlags::IN)];
    loop {
        match rustix::event::poll(&mut polled, Some(limit)) {
            Ok(count) => return Ok(count > 0),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno).doing(|| "wait for its process"),
        }
    }
}
