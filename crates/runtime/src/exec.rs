//! One more process in a running container.

use crate::{
    Stdio,
    affinity::{self, Affinity},
    console::Console,
    container::{Newborn, Whereabouts, cgroup, running, without_listener},
    hooks::{Subject, Who},
    line::{self, Ask, ChildEnd, Heard, ParentEnd},
    mappings,
    namespaces::{become_root, born_beyond, born_in, flag},
    request::{Init, Paused},
    resctrl::Group,
    task::Task,
};
use dhow_base::{Doing, Error, Kind, Result};
use dhow_cgroup::{Cgroup, Driver, Subgroup};
use dhow_spec::runtime::{Linux, NamespaceKind, Process, Spec, State, Status};
use dhow_sys::{
    clone::{Side, clone3},
    procfs::Procfs,
    root::Root,
};
use rustix::{
    fs::{Mode, OFlags},
    io::Errno,
    process::{DumpableBehavior, Pid, PidfdFlags},
    thread::{CapabilitySet, ThreadNameSpaceType},
};
use std::{
    os::fd::{AsFd, OwnedFd},
    panic::AssertUnwindSafe,
    path::Path,
};

/// A process to run in a container.
#[derive(Clone, Copy, Debug)]
pub struct ExecRequest<'a> {
    /// The container's id.
    pub id: &'a str,
    /// Its first process.
    pub init: Init,
    /// Its `config.json`: names the cgroup, the seccomp filter, the namespaces.
    pub spec: &'a Spec,
    /// Its bundle, of which a seccomp agent is told.
    pub bundle: &'a Path,
    /// Who made its cgroup.
    pub driver: &'a Driver,
    /// The process to run.
    pub process: &'a Process,
    /// The standard streams, where the process has no terminal of its own.
    pub stdio: Stdio<'a>,
    /// How many fds, from 3 on, the process keeps.
    pub preserve_fds: u32,
    /// What becomes of it where the container is paused.
    pub paused: Paused,
    /// Where below the container's cgroup it is to be.
    pub subgroups: &'a [Subgroup],
}

/// A process that runs. The caller is its parent and reaps it.
#[derive(Debug)]
pub struct Executed {
    /// The process id, in the caller's PID namespace.
    pub pid: i32,
    /// A handle on it: readable when it has ended.
    pub pidfd: OwnedFd,
    /// The master of its terminal, where it has one.
    pub terminal: Option<OwnedFd>,
}

/// Runs a process in a container and returns when its program runs, or when it cannot.
///
/// The calling binary must be sealed (`dhow_sys::seal`): the container's processes see it.
pub fn exec(request: &ExecRequest<'_>) -> Result<Executed> {
    let none = Linux::default();
    let linux = request.spec.linux.as_ref().unwrap_or(&none);
    let task = Task::prepare(request.spec, request.process, request.stdio)?;
    let affinity = affinity(request)?;
    let kinds = own_kinds(linux);
    let way = Way::of(kinds)?;
    let mut visit = Visit { request, task, affinity, target: target(request)?, kinds, way };
    let cgroup = match cgroup(&Whereabouts::new(request.id, request.spec, request.driver)) {
        Ok(cgroup) => Some(cgroup),
        // An ordinary user's container may have none.
        Err(error)
            if error.kind() == Kind::NotFound
                && (*request.driver == Driver::Nobody || mappings::is_ordinary_user()) =>
        {
            None
        }
        Err(error) => return Err(error),
    };
    if request.paused == Paused::Refused {
        refuse_frozen(request.id, cgroup.as_ref())?;
    }
    let cgroup = match (cgroup, request.subgroups) {
        (None, [first, ..]) => {
            let text = format!("enter sub-cgroup {}: the container has no cgroup", first.path);
            return Err(Error::new(Kind::NotFound, text));
        }
        (cgroup, subgroups) => cgroup.map(|cgroup| cgroup.descend(subgroups)).transpose()?,
    };
    let group = Group::open(request.id, linux.intel_rdt.as_ref())?;
    let (parent, child) = line::pair()?;
    let elsewhere = visit.affinity.as_ref().map(Affinity::begin).transpose()?;
    let (side, cgroup) = visit.bear_in(cgroup)?;
    match side {
        Side::Child => {
            drop(parent);
            // A panic must not run the parent's code a second time, in the child.
            let _lost =
                std::panic::catch_unwind(AssertUnwindSafe(|| visit.live(cgroup.as_ref(), &child)));
            dhow_sys::process::leave(1)
        }
        Side::Parent { pid, pidfd } => {
            drop(child);
            drop(elsewhere);
            let newborn = Newborn { pid, pidfd };
            let grouped = group.map_or(Ok(()), |group| group.add(pid));
            match grouped
                .and_then(|()| accompany(&visit, cgroup.as_ref(), pid, parent))
                .and_then(|terminal| running(pid).map(|_| terminal))
            {
                Ok(terminal) => Ok(Executed { pid, pidfd: newborn.pidfd, terminal }),
                Err(error) => {
                    newborn.end();
                    Err(error)
                }
            }
        }
    }
}

/// The processors for the process: its own word, else the container's.
fn affinity(request: &ExecRequest<'_>) -> Result<Option<Affinity>> {
    let own = request.spec.process.as_ref().and_then(|own| own.exec_cpu_affinity.as_ref());
    request.process.exec_cpu_affinity.as_ref().or(own).map(Affinity::parse).transpose()
}

/// A handle on the container's first process, proven to be that one and no later one with its
/// number.
fn target(request: &ExecRequest<'_>) -> Result<OwnedFd> {
    let stopped = || {
        let text = format!("execute in container {}: it is not running", request.id);
        Error::new(Kind::Conflict, text)
    };
    let pid = Pid::from_raw(request.init.pid).ok_or_else(stopped)?;
    let pidfd = rustix::process::pidfd_open(pid, PidfdFlags::empty()).map_err(|_gone| stopped())?;
    match Init::of_pid(request.init.pid) {
        Ok(init) if init == request.init => Ok(pidfd),
        _ => Err(stopped()),
    }
}

/// A process that enters a frozen cgroup freezes too, and its caller would wait for it for ever.
fn refuse_frozen(id: &str, cgroup: Option<&Cgroup>) -> Result<()> {
    match cgroup.map(Cgroup::is_frozen).transpose()? {
        Some(true) => {
            Err(Error::new(Kind::Conflict, format!("execute in container {id}: it is paused")))
        }
        _ => Ok(()),
    }
}

/// The kinds of namespace that the container does not share with the host.
fn own_kinds(linux: &Linux) -> ThreadNameSpaceType {
    linux
        .namespaces
        .iter()
        .fold(ThreadNameSpaceType::empty(), |kinds, namespace| kinds | flag(namespace.kind))
}

/// Nobody but root moves a process from what somebody else has into what was handed over to them.
fn out_of_reach(error: Error) -> Error {
    match error.kind() == Kind::Denied && mappings::is_ordinary_user() {
        true => error.hint(
            "it is in a cgroup that was handed over to another session; `systemd-run --user --scope` \
             before the command brings it there",
        ),
        false => error,
    }
}

fn accompany(
    visit: &Visit<'_>,
    cgroup: Option<&Cgroup>,
    pid: i32,
    mut line: ParentEnd,
) -> Result<Option<OwnedFd>> {
    let mut terminal = None;
    loop {
        match line.hear()? {
            Heard::Asked(Ask::Ready, master) => terminal = master,
            Heard::Asked(Ask::Listener, listener) => {
                let listener = listener.ok_or_else(without_listener)?;
                visit.task.introduce(listener.as_fd(), pid, visit.container())?;
                line.go()?;
            }
            Heard::Asked(Ask::NeedIdMaps, _) if let Some(cgroup) = cgroup => {
                let process = Pid::from_raw(pid).expect("a child's id is not zero");
                if let Err(error) = cgroup.add(process) {
                    let beside = visit.beside_init(Some(cgroup), &error)?;
                    beside
                        .ok_or(error)
                        .and_then(|beside| beside.add(process))
                        .map_err(out_of_reach)?;
                }
                line.go()?;
            }
            Heard::Asked(..) => {
                let text = "hear the container's process: it asks for what it needs not";
                return Err(Error::new(Kind::Internal, text));
            }
            Heard::Closed => return Ok(terminal),
        }
    }
}

/// A process on its way into a container.
#[derive(Debug)]
struct Visit<'a> {
    request: &'a ExecRequest<'a>,
    task: Task<'a>,
    affinity: Option<Affinity>,
    target: OwnedFd,
    kinds: ThreadNameSpaceType,
    way: Way,
}

/// How a process comes into a container's namespaces.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Way {
    /// It joins them itself; the caller has the right to bear it in the PID namespace.
    Direct,
    /// The rights over the others are those of the user namespace's root: a helper becomes that, and
    /// bears the process there.
    ThroughUser,
}

impl Way {
    fn of(kinds: ThreadNameSpaceType) -> Result<Self> {
        if !kinds.contains(ThreadNameSpaceType::USER) {
            return Ok(Self::Direct);
        }
        let own = rustix::thread::capabilities(None).doing(|| "read the own capabilities")?;
        let may_join = own.effective.contains(CapabilitySet::SYS_ADMIN);
        Ok(if may_join { Self::Direct } else { Self::ThroughUser })
    }
}

impl Visit<'_> {
    /// Starts the process in the cgroup, or beside the container's first one where that cgroup
    /// takes none.
    fn bear_in(&self, cgroup: Option<Cgroup>) -> Result<(Side, Option<Cgroup>)> {
        match self.bear(cgroup.as_ref()) {
            Err(error) => match self.beside_init(cgroup.as_ref(), &error)? {
                Some(beside) => Ok((self.bear(Some(&beside))?, Some(beside))),
                None => Err(out_of_reach(error)),
            },
            Ok(side) => Ok((side, cgroup)),
        }
    }

    /// Where to go from a cgroup that was refused as busy; nowhere from one that was asked for.
    fn beside_init(&self, cgroup: Option<&Cgroup>, refusal: &Error) -> Result<Option<Cgroup>> {
        let is_busy = refusal.errno() == Some(Errno::BUSY.raw_os_error());
        match (cgroup, Pid::from_raw(self.request.init.pid)) {
            (Some(cgroup), Some(init)) if is_busy && self.request.subgroups.is_empty() => {
                cgroup.beside(init)
            }
            _ => Ok(None),
        }
    }

    fn bear(&self, cgroup: Option<&Cgroup>) -> Result<Side> {
        if self.way == Way::ThroughUser {
            let enter = || {
                self.prepare_outside(cgroup)?;
                // The mount namespace hides the host's procfs, so it is left to the process.
                self.join(self.kinds - ThreadNameSpaceType::MOUNT)?;
                become_root()
            };
            return born_beyond(enter, ThreadNameSpaceType::empty());
        }
        let joins_pid = self.kinds.contains(ThreadNameSpaceType::PROCESS_ID);
        let targets = joins_pid.then(|| (NamespaceKind::Pid, self.target.as_fd()));
        born_in(targets.as_slice(), || {
            clone3(ThreadNameSpaceType::empty(), cgroup.and_then(Cgroup::fd_for_clone))
                .doing(|| format!("start a process in container {}", self.request.id))
        })
    }

    /// What needs the caller's place in the host.
    fn prepare_outside(&self, cgroup: Option<&Cgroup>) -> Result<()> {
        if let Some(cgroup) = cgroup {
            cgroup.join()?;
        }
        match &self.affinity {
            Some(affinity) => affinity.settle()?,
            None => affinity::reset(),
        }
        self.task.grant_itself()?;
        // Before the container's processes can see this one.
        rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
            .doing(|| "keep others from looking into the process")
    }

    fn join(&self, kinds: ThreadNameSpaceType) -> Result<()> {
        if kinds.is_empty() {
            return Ok(());
        }
        dhow_sys::namespace::join(self.target.as_fd(), kinds)
            .doing(|| format!("join the namespaces of container {}", self.request.id))
    }

    /// The state of the container, which runs.
    fn container(&self) -> State {
        let ExecRequest { id, bundle, spec, init, .. } = *self.request;
        let subject = Subject { id, bundle, annotations: &spec.annotations };
        subject.state(Status::Running, Who::Process(init.pid))
    }

    /// Lives the process's life up to its program. Comes back only to end.
    fn live(&mut self, cgroup: Option<&Cgroup>, line: &ChildEnd) {
        let error = match self.enter(cgroup, line) {
            Ok((console, procfs)) => self.become_program(console.as_ref(), procfs.as_ref(), line),
            Err(error) => error,
        };
        line.fail(&error);
    }

    /// Everything that needs rights.
    fn enter(
        &self,
        cgroup: Option<&Cgroup>,
        line: &ChildEnd,
    ) -> Result<(Option<Console>, Option<Procfs>)> {
        let first = self.request.preserve_fds.saturating_add(3);
        dhow_sys::fds::close_at_exec_from(first).doing(|| "mark fds to be closed")?;
        rustix::process::setsid().doing(|| "start a session")?;
        match self.way {
            Way::Direct => {
                self.prepare_outside(cgroup)?;
                self.join(self.kinds - ThreadNameSpaceType::PROCESS_ID)?;
                if self.joins_user() {
                    become_root()?;
                }
            }
            Way::ThroughUser => self.join(self.kinds & ThreadNameSpaceType::MOUNT)?,
        }
        // Who could not be born in the cgroup is moved there by the parent.
        if let Some(cgroup) = cgroup
            && (cgroup.needs_add() || self.way == Way::ThroughUser)
        {
            line.ask(Ask::NeedIdMaps)?;
        }
        let procfs = self.task.procfs_for_labels()?;
        Ok((self.make_console()?, procfs))
    }

    fn joins_user(&self) -> bool {
        self.kinds.contains(flag(NamespaceKind::User))
    }

    fn make_console(&self) -> Result<Option<Console>> {
        if !self.task.wants_terminal() {
            return Ok(None);
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let top = rustix::fs::open("/", flags, Mode::empty()).doing(|| "open the root")?;
        let task = &self.task;
        Console::make(Root::new(top.as_fd()), task.console_size(), task.line_ends()).map(Some)
    }

    fn become_program(
        &mut self,
        console: Option<&Console>,
        procfs: Option<&Procfs>,
        line: &ChildEnd,
    ) -> Error {
        let joins_user = self.joins_user();
        let equipped = self.task.equip(console);
        let settled = equipped.and_then(|()| self.task.settle(joins_user, line));
        let settled = settled.and_then(|()| match console {
            Some(console) => line.tell(Ask::Ready, Some(console.master.as_fd())),
            None => Ok(()),
        });
        match settled {
            Ok(()) => self.task.run(procfs),
            Err(error) => error,
        }
    }
}
