//! A container's birth and end, as its parent sees them.

use crate::{
    Request, cgroup_owner,
    hooks::{self as hook, Round, Subject, Who},
    init::{self, Birth, Filesystem, hooks, subject},
    line::{self, Ask, Heard, ParentEnd},
    mappings,
    namespaces::Namespaces,
    net_devices::{self, Moved},
    request::{Hold, Init},
    resctrl::Group,
    sysctl::Parameters,
    task::Task,
};
use dhow_base::{Doing, Error, Kind, Result};
use dhow_cgroup::{Ahead, Cgroup, Driver, Hierarchies, Location};
use dhow_spec::runtime::{Hook, Linux, NamespaceKind, Resources, Spec, Status};
use dhow_sys::{clone::Side, procfs::Procfs};
use rustix::{
    io::Errno,
    process::{Pid, Signal, WaitId, WaitIdOptions},
};
use std::{
    collections::BTreeMap,
    os::fd::{AsFd, OwnedFd},
    panic::AssertUnwindSafe,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

/// A container whose first process exists. The caller is that process's parent and reaps it.
#[derive(Debug)]
pub struct Container {
    /// The first process.
    pub init: Init,
    /// A handle on it: readable when it has ended.
    pub pidfd: OwnedFd,
    /// The master of its terminal, where it has one.
    pub terminal: Option<OwnedFd>,
    /// Where its cgroup is, for `linux.cgroupsPath` of a record, where that says nothing and what
    /// it means depends on who asks: an ordinary user is given a place near the caller's own.
    pub cgroups_path: Option<String>,
    waiting: Option<Waiting>,
}

/// What a start needs of a container that waits for it.
#[derive(Debug)]
struct Waiting {
    line: ParentEnd,
    id: String,
    bundle: PathBuf,
    annotations: BTreeMap<String, String>,
    poststart: Vec<Hook>,
}

impl Waiting {
    fn new(line: ParentEnd, request: &Request<'_>) -> Self {
        Self {
            line,
            id: request.id.to_owned(),
            bundle: request.bundle.to_owned(),
            annotations: request.spec.annotations.clone(),
            poststart: hooks(request.spec, |hooks| &hooks.poststart).to_vec(),
        }
    }
}

/// Creates a container. On failure nothing of it is left.
///
/// The calling process must have one thread, and its binary should be sealed (`dhow_sys::seal`):
/// processes of joined namespaces see it until the program runs.
pub fn create(request: &Request<'_>) -> Result<Container> {
    let none = Linux::default();
    let linux = request.spec.linux.as_ref().unwrap_or(&none);
    let mut birth = prepare(request, linux)?;
    let group = Group::make(request.id, linux.intel_rdt.as_ref())?;
    let created = create_in(&mut birth, group.as_ref());
    if let (Err(_), Some(group)) = (&created, &group) {
        group.undo();
    }
    created
}

/// The rest of the creation, in its share of the caches, where it has one.
fn create_in(birth: &mut Birth<'_>, group: Option<&Group>) -> Result<Container> {
    let request = birth.request;
    let cgroup = make_cgroup(request.id, request.spec, request.driver, request.made_ahead.cgroup)?;
    let settled =
        cgroup.as_ref().map_or(Ok(()), |cgroup| cgroup_owner::settle(cgroup, request.spec));
    match settled.and_then(|()| bear(birth, cgroup.as_ref(), group)) {
        Ok(container) => {
            let cgroups_path = cgroup.and_then(|cgroup| place_to_keep(request, cgroup.location()));
            Ok(Container { cgroups_path, ..container })
        }
        Err(error) => {
            // The child is gone; what it may have started dies with its PID namespace or here.
            if let Some(cgroup) = cgroup {
                let _left = cgroup.kill_all();
                let _kept = cgroup.delete();
            }
            // They clean up after the hooks that have run, and must bear that some have not. What
            // brought us here is the error to tell.
            let _warnings = run_poststop(&subject(birth.request), birth.request.spec);
            Err(error)
        }
    }
}

/// Where the cgroup is, where the configuration does not say so and it is not in the usual place.
fn place_to_keep(request: &Request<'_>, found: &Location) -> Option<String> {
    if *request.driver != Driver::Files || names_a_place(request.spec) {
        return None;
    }
    let usual = Whereabouts::new(request.id, request.spec, request.driver).location();
    (!usual.is_ok_and(|usual| usual == *found)).then(|| found.to_string())
}

/// The container's cgroup. An ordinary user to whom none was delegated goes without, where the
/// configuration does not ask for one. Directories that were made ahead are used where they are the
/// right ones.
pub(crate) fn make_cgroup(
    id: &str,
    spec: &Spec,
    driver: &Driver,
    ahead: Option<&Ahead>,
) -> Result<Option<Cgroup>> {
    let none = Linux::default();
    let linux = spec.linux.as_ref().unwrap_or(&none);
    let unlimited = Resources::default();
    let resources = linux.resources.as_ref().unwrap_or(&unlimited);
    if *driver == Driver::Nobody {
        if asks_nothing(resources) {
            return Ok(None);
        }
        return Err(Error::new(Kind::Invalid, "limit resources without a cgroup"));
    }
    let detected;
    let hierarchies = match ahead {
        Some(ahead) => ahead.hierarchies(),
        None => {
            detected = Hierarchies::detect()?;
            &detected
        }
    };
    let delegated = match is_delegated(driver, spec) {
        true => dhow_cgroup::delegated(hierarchies, dhow_cgroup::USUAL_PARENT, id)?,
        false => None,
    };
    let location = match delegated {
        Some(location) => location,
        None => {
            Whereabouts::new(id, spec, driver).location()?.with_annotations(&spec.annotations)?
        }
    };
    let created = match ahead.filter(|ahead| *ahead.location() == location) {
        Some(ahead) => Cgroup::create_ahead(ahead, resources),
        None => Cgroup::create(hierarchies, &location, resources),
    };
    match created {
        Ok(cgroup) => Ok(Some(cgroup)),
        Err(error)
            if error.kind() == Kind::Denied
                && mappings::is_ordinary_user()
                && linux.cgroups_path.is_none()
                && asks_nothing(resources) =>
        {
            Ok(None)
        }
        Err(error) if error.kind() == Kind::Denied && mappings::is_ordinary_user() => Err(error
            .hint(
                "limits take a cgroup: users other than root have one where systemd, or whoever \
                 else has cgroups of version 2, delegates it to them",
            )),
        Err(error) => Err(error),
    }
}

/// Whether the place is to be looked for below what the user was given.
fn is_delegated(driver: &Driver, spec: &Spec) -> bool {
    !names_a_place(spec) && *driver == Driver::Files && mappings::is_ordinary_user()
}

/// Whether the configuration says where the cgroup is to be.
fn names_a_place(spec: &Spec) -> bool {
    let path = spec.linux.as_ref().and_then(|linux| linux.cgroups_path.as_ref());
    path.is_some_and(|path| !path.is_empty())
}

/// Whether nothing is limited. Rules for devices do not count: they come unasked, and an ordinary
/// user's container has no devices but those that were bound.
fn asks_nothing(resources: &Resources) -> bool {
    let others = Resources { devices: Vec::new(), ..resources.clone() };
    others == Resources::default()
}

/// Checks and opens everything that can be before a process exists.
fn prepare<'a>(request: &'a Request<'a>, linux: &'a Linux) -> Result<Birth<'a>> {
    let invalid = |what: &str| Error::new(Kind::Invalid, format!("check config.json: {what}"));
    if !request.bundle.is_absolute() {
        return Err(invalid("the bundle's path is not absolute"));
    }
    request.spec.hooks.as_ref().map_or(Ok(()), hook::check)?;
    let process = request.spec.process.as_ref().ok_or_else(|| invalid("there is no process"))?;
    let namespaces = Namespaces::prepare(linux, request.made_ahead.network)?;
    if !namespaces.is_own(NamespaceKind::Mount) {
        let text = "run a container in the caller's mount namespace";
        return Err(Error::new(Kind::Unsupported, text));
    }
    let lacks_mappings = linux.uid_mappings.is_empty() || linux.gid_mappings.is_empty();
    if namespaces.is_new(NamespaceKind::User) && lacks_mappings {
        return Err(invalid("a new user namespace needs linux.uidMappings and gidMappings"));
    }
    let has_mappings = !linux.uid_mappings.is_empty() || !linux.gid_mappings.is_empty();
    if !namespaces.is_own(NamespaceKind::User) && has_mappings {
        return Err(invalid("linux.uidMappings and gidMappings need a user namespace"));
    }
    let names_host = request.spec.hostname.is_some() || request.spec.domainname.is_some();
    if names_host && !namespaces.is_own(NamespaceKind::Uts) {
        return Err(invalid("a host name needs a UTS namespace of the container's own"));
    }
    if request.network.is_some() && !namespaces.is_new(NamespaceKind::Network) {
        return Err(invalid("what is to be set up is a new network namespace, and there is none"));
    }
    if !linux.net_devices.is_empty() && !namespaces.is_own(NamespaceKind::Network) {
        return Err(invalid("linux.netDevices need a network namespace of the container's own"));
    }
    let parameters = Parameters::prepare(&linux.sysctl, &namespaces)?;
    let task = Task::prepare(request.spec, process, request.stdio)?;
    // An ordinary user may mount in a user namespace only, so there the child opens these.
    let early = namespaces.is_new(NamespaceKind::Mount) && rustix::process::geteuid().is_root();
    let filesystem = match early.then(|| Filesystem::open(request, &namespaces)).transpose() {
        Err(error) if error.kind() == Kind::Denied && mappings::is_ordinary_user() => None,
        result => result?,
    };
    Ok(Birth { request, linux, namespaces, parameters, task, filesystem })
}

/// What names a container's cgroup.
#[derive(Clone, Copy, Debug)]
pub struct Whereabouts<'a> {
    /// The container's id.
    pub id: &'a str,
    /// `linux.cgroupsPath` of its configuration.
    pub cgroups_path: Option<&'a str>,
    /// Who makes its cgroup.
    pub driver: &'a Driver,
}

impl<'a> Whereabouts<'a> {
    /// Those of a container of this configuration.
    pub fn new(id: &'a str, spec: &'a Spec, driver: &'a Driver) -> Self {
        let linux = spec.linux.as_ref();
        Self { id, cgroups_path: linux.and_then(|linux| linux.cgroups_path.as_deref()), driver }
    }

    fn location(&self) -> Result<Location> {
        self.driver.locate(self.cgroups_path, dhow_cgroup::USUAL_PARENT, self.id)
    }
}

/// Starts the first process and brings it to where the request holds it.
fn bear(
    birth: &mut Birth<'_>,
    cgroup: Option<&Cgroup>,
    group: Option<&Group>,
) -> Result<Container> {
    let (parent, child) = line::pair()?;
    let side = birth
        .namespaces
        .bear(cgroup.and_then(Cgroup::fd_for_clone), || birth.task.grant_itself())
        .map_err(|error| match cgroup {
            Some(cgroup) => cgroup.explain(error),
            None => error,
        })?;
    match side {
        Side::Child => {
            drop(parent);
            // A panic must not run the parent's code a second time, in the child.
            let _lost = std::panic::catch_unwind(AssertUnwindSafe(|| {
                init::live(birth, cgroup, child);
            }));
            dhow_sys::process::leave(1)
        }
        Side::Parent { pid, pidfd } => {
            drop(child);
            let newborn = Newborn { pid, pidfd };
            let mut moved = None;
            let grouped = group.map_or(Ok(()), |group| group.add(pid));
            match grouped.and_then(|()| accompany(birth, cgroup, &newborn, parent, &mut moved)) {
                Ok((terminal, waiting)) => {
                    newborn.into_container(terminal, waiting, birth.request.hold)
                }
                Err(error) => {
                    newborn.end();
                    if let Some(moved) = moved {
                        moved.restore();
                    }
                    Err(error)
                }
            }
        }
    }
}

/// The devices of the configuration, moved into the container's network namespace.
fn move_devices(birth: &Birth<'_>, pid: i32) -> Result<Moved> {
    let namespace = match birth.namespaces.joined(NamespaceKind::Network) {
        Some(joined) => joined.try_clone().doing(|| "keep the net namespace")?,
        None => network_of(pid)?,
    };
    net_devices::move_in(&birth.linux.net_devices, namespace)
}

/// Has the new network namespace set up, where somebody is to; meanwhile the child mounts.
fn furnish(birth: &Birth<'_>, pid: i32) -> Result<()> {
    let Some(network) = birth.request.network else { return Ok(()) };
    network.furnish(network_of(pid)?.as_fd())
}

fn network_of(pid: i32) -> Result<OwnedFd> {
    Procfs::of_host()
        .and_then(|host| host.namespace(&pid.to_string(), "net"))
        .doing(|| "open the container's net namespace")
}

/// A first process that nobody has heard of yet.
#[derive(Debug)]
pub(crate) struct Newborn {
    pub(crate) pid: i32,
    pub(crate) pidfd: OwnedFd,
}

impl Newborn {
    /// Kills it and takes it from the process table. That it is dead already is fine.
    pub(crate) fn end(self) {
        let _dead = rustix::process::pidfd_send_signal(&self.pidfd, Signal::KILL);
        let target = WaitId::PidFd(self.pidfd.as_fd());
        loop {
            match rustix::process::waitid(target.clone(), WaitIdOptions::EXITED) {
                // A signal of ours: the process is still to be reaped.
                Err(Errno::INTR) => {}
                _ => return,
            }
        }
    }

    fn into_container(
        self,
        terminal: Option<OwnedFd>,
        waiting: Option<Waiting>,
        hold: Hold<'_>,
    ) -> Result<Container> {
        let looked = match hold {
            Hold::Not => running(self.pid),
            Hold::UntilStart | Hold::UntilDialled(_) => Init::of_pid(self.pid),
        };
        match looked {
            Ok(init) => {
                let pidfd = self.pidfd;
                Ok(Container { init, pidfd, terminal, cgroups_path: None, waiting })
            }
            Err(error) => {
                self.end();
                Err(error)
            }
        }
    }
}

/// How long a process may take from the closing of its line to its program or its end.
const EXEC_LIMIT: Duration = Duration::from_secs(10);

/// A process whose line is closed: exec closed it, or death did. The process table tells which: the
/// process has run a program, or has ended and is not reaped. For a moment it may do neither, since
/// the line can be seen closed a little earlier (by a busy Linux 6.1).
pub(crate) fn running(pid: i32) -> Result<Init> {
    let deadline = Instant::now() + EXEC_LIMIT;
    loop {
        let status = dhow_sys::process::status(pid).doing(|| format!("look at process {pid}"))?;
        if !status.is_copy {
            return Ok(Init { pid, started: status.started });
        }
        if status.has_ended() || Instant::now() > deadline {
            break;
        }
        thread::sleep(Duration::from_millis(1));
    }
    let how = end_of_child(pid).map_or_else(String::new, |how| format!(" ({how})"));
    let text = format!("run the program: the process died before it{how}");
    Err(Error::new(Kind::Internal, text).hint(line::DEATHS))
}

/// How a child of ours has ended; nothing for the child of another.
fn end_of_child(pid: i32) -> Option<String> {
    let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    let end = rustix::process::waitid(WaitId::Pid(Pid::from_raw(pid)?), look).ok()??;
    match (end.terminating_signal(), end.exit_status()) {
        (Some(signal), _) => Some(format!("signal {signal} ended it")),
        (None, code) => code.map(|code| format!("it ended with code {code}")),
    }
}

/// Answers what the child asks, until it waits or runs.
fn accompany(
    birth: &Birth<'_>,
    cgroup: Option<&Cgroup>,
    newborn: &Newborn,
    mut line: ParentEnd,
    moved: &mut Option<Moved>,
) -> Result<(Option<OwnedFd>, Option<Waiting>)> {
    let mut terminal = None;
    // Its root has no ids yet in a user namespace of its own: that comes first.
    let asks_first = birth.namespaces.is_own(NamespaceKind::User);
    if !asks_first {
        furnish(birth, newborn.pid)?;
    }
    loop {
        match line.hear()? {
            Heard::Asked(Ask::NeedIdMaps, _) => {
                let pid = Pid::from_raw(newborn.pid).expect("a child's id is not zero");
                if let Some(cgroup) = cgroup {
                    cgroup.add(pid)?;
                }
                if birth.namespaces.is_new(NamespaceKind::User) {
                    birth.task.grant(pid)?;
                    mappings::write(newborn.pid, birth.linux)?;
                }
                line.go()?;
                furnish(birth, newborn.pid)?;
            }
            Heard::Asked(Ask::Surrounded, _) => line.go()?,
            Heard::Asked(Ask::MoveDevices, _) => {
                *moved = Some(move_devices(birth, newborn.pid)?);
                line.go()?;
            }
            Heard::Asked(Ask::RunHooks, _) => {
                run_runtime_hooks(&subject(birth.request), birth.request.spec, newborn.pid)?;
                line.go()?;
            }
            Heard::Asked(Ask::Listener, listener) => {
                let listener = listener.ok_or_else(without_listener)?;
                let who = Who::Process(newborn.pid);
                let state = subject(birth.request).state(Status::Creating, who);
                birth.task.introduce(listener.as_fd(), newborn.pid, state)?;
                line.go()?;
            }
            Heard::Asked(Ask::Ready, master) => {
                terminal = master;
                match birth.request.hold {
                    Hold::Not => {}
                    Hold::UntilStart => {
                        return Ok((terminal, Some(Waiting::new(line, birth.request))));
                    }
                    Hold::UntilDialled(_) => return Ok((terminal, None)),
                }
            }
            Heard::Closed => {
                return match birth.request.hold {
                    Hold::Not => {
                        let hooks = hooks(birth.request.spec, |hooks| &hooks.poststart);
                        run_poststart(&subject(birth.request), hooks, newborn.pid)?;
                        Ok((terminal, None))
                    }
                    _ => Err(line::died()),
                };
            }
        }
    }
}

pub(crate) fn without_listener() -> Error {
    Error::new(Kind::Internal, "hear the container's process: it sends no listener")
}

/// Runs what is due when the namespaces of process `pid` are there.
pub(crate) fn run_runtime_hooks(subject: &Subject<'_>, spec: &Spec, pid: i32) -> Result<()> {
    let bundle = Some(subject.bundle);
    let prestart = hooks(spec, |hooks| &hooks.prestart);
    let create_runtime = hooks(spec, |hooks| &hooks.create_runtime);
    for round in [
        Round::new("prestart", prestart, bundle),
        Round::new("createRuntime", create_runtime, bundle),
    ] {
        subject.run(&round, Status::Creating, Who::Process(pid))?;
    }
    Ok(())
}

fn run_poststart(subject: &Subject<'_>, hooks: &[Hook], pid: i32) -> Result<()> {
    let round = Round::new("poststart", hooks, Some(subject.bundle));
    subject.run(&round, Status::Running, Who::Process(pid))
}

/// What the hooks do wrong is to be warned of; nothing depends on it any more.
fn run_poststop(subject: &Subject<'_>, spec: &Spec) -> Vec<Error> {
    let hooks = hooks(spec, |hooks| &hooks.poststop);
    let round = Round::new("poststop", hooks, Some(subject.bundle));
    subject.run_all(&round, Status::Stopped, Who::Nobody)
}

impl Container {
    /// Runs the program and returns when it runs, or when it cannot; then the process ends, and the
    /// caller reaps it. A container that runs already needs no start.
    pub fn start(&mut self) -> Result<()> {
        let Some(mut waiting) = self.waiting.take() else { return Ok(()) };
        run_program(&mut waiting.line)?;
        running(self.init.pid)?;
        let Waiting { id, bundle, annotations, poststart, .. } = &waiting;
        let subject = Subject { id, bundle, annotations };
        run_poststart(&subject, poststart, self.init.pid)
    }

    /// Kills the first process and takes it from the process table, for a caller who changed its
    /// mind. [`delete`] does the rest.
    pub fn end(self) {
        Newborn { pid: self.init.pid, pidfd: self.pidfd }.end();
    }
}

/// Starts a container that another process created with [`Hold::UntilDialled`]: `socket` is
/// connected to the socket that its first process waits on.
pub fn start_dialled(socket: OwnedFd) -> Result<()> {
    run_program(&mut ParentEnd::on(socket))
}

fn run_program(line: &mut ParentEnd) -> Result<()> {
    line.go()?;
    match line.hear()? {
        Heard::Closed => Ok(()),
        Heard::Asked(..) => {
            Err(Error::new(Kind::Internal, "hear the container's process: it asks after its start"))
        }
    }
}

/// What is needed to clean up after a container, also by another process than its creator.
#[derive(Clone, Copy, Debug)]
pub struct Leftovers<'a> {
    /// The container's id.
    pub id: &'a str,
    /// Its `config.json`: names the cgroup and the poststop hooks.
    pub spec: &'a Spec,
    /// Who made the cgroup.
    pub driver: &'a Driver,
    /// The bundle, which the hooks are told of.
    pub bundle: &'a Path,
}

/// Kills what is left in the cgroup, removes it, runs the poststop hooks. Done twice it does no
/// harm. Everything is tried; the first failure is returned. What hooks do wrong is no failure: it
/// is returned to be warned of.
pub fn delete(leftovers: &Leftovers<'_>) -> Result<Vec<Error>> {
    let cgroup = delete_cgroup(leftovers);
    let subject = Subject {
        id: leftovers.id,
        bundle: leftovers.bundle,
        annotations: &leftovers.spec.annotations,
    };
    let warnings = run_poststop(&subject, leftovers.spec);
    let linux = leftovers.spec.linux.as_ref();
    let group = Group::remove(leftovers.id, linux.and_then(|linux| linux.intel_rdt.as_ref()));
    cgroup.and(group).map(|()| warnings)
}

fn delete_cgroup(leftovers: &Leftovers<'_>) -> Result<()> {
    let location = match Whereabouts::new(leftovers.id, leftovers.spec, leftovers.driver).location()
    {
        Err(error) if error.kind() == Kind::NotFound => return Ok(()),
        result => result?,
    };
    let hierarchies = Hierarchies::detect()?;
    if Cgroup::remove_empty(&hierarchies, &location) {
        return Ok(());
    }
    match Cgroup::open(&hierarchies, &location) {
        Ok(cgroup) => {
            cgroup.kill_all()?;
            cgroup.delete()
        }
        Err(error) if error.kind() == Kind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// The container's cgroup, which exists as long as the container does.
pub fn cgroup(of: &Whereabouts<'_>) -> Result<Cgroup> {
    Cgroup::open(&Hierarchies::detect()?, &of.location()?)
}

/// How many processes of the container the kernel has killed because memory ran out.
pub fn oom_kills(of: &Whereabouts<'_>) -> Result<u64> {
    let location = of.location()?;
    match dhow_cgroup::plain_oom_kills(&location) {
        Some(kills) => Ok(kills),
        None => Cgroup::open(&Hierarchies::detect()?, &location)?.oom_kills(),
    }
}

/// The processes of the container.
pub(crate) fn processes(of: &Whereabouts<'_>) -> Result<Vec<Pid>> {
    let location = of.location()?;
    match dhow_cgroup::plain_processes(&location) {
        Some(found) => Ok(found),
        None => Cgroup::open(&Hierarchies::detect()?, &location)?.processes(),
    }
}

/// The container's cgroup, where its processes stand still or may do so; nothing where it is plain
/// that they do not, which takes far less to find out.
pub(crate) fn frozen_cgroup(of: &Whereabouts<'_>) -> Result<Option<Cgroup>> {
    let location = of.location()?;
    if dhow_cgroup::is_plainly_thawed(&location) {
        return Ok(None);
    }
    let cgroup = Cgroup::open(&Hierarchies::detect()?, &location)?;
    Ok(cgroup.is_frozen().unwrap_or(false).then_some(cgroup))
}
