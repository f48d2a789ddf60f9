//! A container's first process, from its birth to its program: what runs in the new namespaces.
//!
//! The story is `prepare`: each step needs the ones before it. Until the pivot the host's files are
//! still in sight, and everything that is taken from there is taken by then; after it, every path
//! is the container's.

use crate::{
    Hold, Keyring, Request, affinity,
    cgroupfs::{Membership, View},
    console::Console,
    devices,
    hooks::{Round, Subject, Who},
    line::{Ask, ChildEnd},
    mappings::is_ordinary_user,
    masks::{self, Places},
    mounts::{self, Prepared},
    namespaces::{self, Namespaces},
    rootfs,
    sysctl::Parameters,
    task::Task,
};
use dhow_base::{Doing, Error, Kind, Result};
use dhow_cgroup::Cgroup;
use dhow_spec::runtime::{Linux, NamespaceKind, Spec, Status};
use dhow_sys::{
    mount::{Attributes, Reach},
    procfs::Procfs,
    root::Root,
};
use rustix::{
    fs::{Mode, OFlags},
    mount::{MountAttrFlags, UnmountFlags},
    process::DumpableBehavior,
};
use std::{
    ffi::CString,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
};

/// What the parent has prepared.
#[derive(Debug)]
pub(crate) struct Birth<'a> {
    pub(crate) request: &'a Request<'a>,
    pub(crate) linux: &'a Linux,
    pub(crate) namespaces: Namespaces<'a>,
    pub(crate) parameters: Parameters<'a>,
    pub(crate) task: Task<'a>,
    /// Root filesystem and mounts; absent where the parent may not mount, and where the container
    /// joins a mount namespace that has them.
    pub(crate) filesystem: Option<Filesystem>,
}

/// The container's root, detached, and what is to be mounted below it.
#[derive(Debug)]
pub(crate) struct Filesystem {
    pub(crate) root: OwnedFd,
    pub(crate) mounts: Vec<Prepared>,
}

impl Filesystem {
    /// Opens everything that comes from the host.
    pub(crate) fn open(request: &Request<'_>, namespaces: &Namespaces) -> Result<Self> {
        let spec = request.spec;
        let root = match (request.rootfs, &spec.root) {
            (Some(mount), _) => match spec.linux.as_ref() {
                Some(linux) if !linux.uid_mappings.is_empty() && !is_ordinary_user() => {
                    rootfs::mapped(mount, linux, namespaces.joined(NamespaceKind::User))?
                }
                linux => match (linux.and_then(Linux::label), request.made_ahead.root) {
                    (None, Some(ahead)) if let Some(root) = ahead.take(mount) => root,
                    (label, _) => rootfs::detached(mount, label)?,
                },
            },
            (None, Some(root)) => {
                let propagation = rootfs::Propagates::of(spec)?;
                rootfs::bound(&request.bundle.join(&root.path), propagation)?
            }
            (None, None) => {
                return Err(Error::new(Kind::Invalid, "find the root filesystem: none is given"));
            }
        };
        let mounts = mounts::prepare(spec, request.bundle, namespaces)?;
        Ok(Self { root, mounts })
    }
}

/// Lives the first process's life up to its program. Comes back never: the process ends, or
/// becomes the program.
pub(crate) fn live(birth: &mut Birth<'_>, cgroup: Option<&Cgroup>, mut line: ChildEnd) -> ! {
    let error = become_program(birth, cgroup, &mut line);
    line.fail(&error);
    dhow_sys::process::leave(1)
}

/// Comes back with the reason why there is no program.
fn become_program(birth: &mut Birth<'_>, cgroup: Option<&Cgroup>, line: &mut ChildEnd) -> Error {
    match get_ready(birth, cgroup, line) {
        Ok(procfs) => birth.task.run(procfs.as_ref()),
        Err(error) => error,
    }
}

/// Everything but the exec.
fn get_ready(
    birth: &mut Birth<'_>,
    cgroup: Option<&Cgroup>,
    line: &mut ChildEnd,
) -> Result<Option<Procfs>> {
    let (console, procfs) = prepare(birth, cgroup, line)?;
    let is_user_own = birth.namespaces.is_own(NamespaceKind::User);
    birth.task.equip(console.as_ref())?;
    if !matches!(birth.request.hold, Hold::Not) {
        let_go(birth, console.as_ref(), procfs.as_ref(), line)?;
    }
    birth.task.settle(is_user_own, line)?;
    hold(birth, console, line)?;
    if !hooks(birth.request.spec, |hooks| &hooks.start_container).is_empty() {
        birth.task.load_late_filter()?;
        run_start_container(birth)?;
    }
    Ok(procfs)
}

/// The hooks that run as the program will. Where they name no environment they have the program's,
/// as in runc, on which `ldconfig` and the like rely.
fn run_start_container(birth: &Birth<'_>) -> Result<()> {
    let request = birth.request;
    let mut own = request.spec.process.as_ref().map_or(Vec::new(), |process| process.env.clone());
    if let Some(home) = birth.task.found_home() {
        own.retain(|variable| variable != "HOME=");
        own.push(format!("HOME={home}"));
    }
    let hooks = hooks(request.spec, |hooks| &hooks.start_container);
    let inside = Round::new("startContainer", hooks, None);
    let round = Round { environment: &own, is_inside: true, ..inside };
    subject(request).run(&round, Status::Created, Who::Caller)
}

/// Everything that needs rights.
fn prepare(
    birth: &mut Birth<'_>,
    cgroup: Option<&Cgroup>,
    line: &ChildEnd,
) -> Result<(Option<Console>, Option<Procfs>)> {
    let mask = leave_parent(birth.request)?;
    birth.task.keep_mask(mask);
    enter_namespaces(birth, cgroup, line)?;
    if !birth.linux.net_devices.is_empty() {
        line.ask(Ask::MoveDevices)?;
    }
    name_host(birth.request.spec)?;
    if birth.namespaces.is_new(NamespaceKind::Network) && !birth.namespaces.has_spare_network() {
        dhow_sys::loopback::bring_up().doing(|| "bring up the loopback interface")?;
    }
    let procfs = birth.task.procfs_for_labels()?;
    if birth.request.keyring == Keyring::New {
        if let Some(procfs) = &procfs {
            birth.task.label_keys(procfs);
        }
        join_keyring(birth.request.id);
    }
    if birth.parameters.are_of_devices() {
        wait_for_network(birth, line)?;
    }
    birth.parameters.set()?;
    let console = if birth.namespaces.is_new(NamespaceKind::Mount) {
        build_root(birth, cgroup, line)?
    } else {
        run_hooks_before_pivot(birth, line)?;
        make_console(birth, "/")?
    };
    Ok((console, procfs))
}

/// Takes nothing along from the parent but its streams and what the caller asked for; the mask
/// that the caller has.
fn leave_parent(request: &Request<'_>) -> Result<Mode> {
    let first = request.preserve_fds.saturating_add(3);
    dhow_sys::fds::close_at_exec_from(first).doing(|| "mark fds to be closed")?;
    rustix::process::setsid().doing(|| "start a session")?;
    // Modes are what the configuration says, not what the caller's mask leaves of them.
    Ok(rustix::process::umask(Mode::empty()))
}

fn enter_namespaces(birth: &mut Birth<'_>, cgroup: Option<&Cgroup>, line: &ChildEnd) -> Result<()> {
    if birth.namespaces.is_own(NamespaceKind::User) {
        // The parent writes the mappings of a new one and, since we have no rights outside, does
        // what takes some: it moves us into the cgroup, and raises limits.
        line.ask(Ask::NeedIdMaps)?;
        if birth.namespaces.is_new(NamespaceKind::User) {
            namespaces::become_root()?;
        }
    } else {
        if let Some(cgroup) = cgroup {
            cgroup.join()?;
        }
        birth.task.grant_itself()?;
    }
    affinity::reset();
    birth.namespaces.join()?;
    birth.namespaces.make_late(birth.linux)?;
    // Processes of joined namespaces must not trace us or look at our fds.
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .doing(|| "keep others from looking into the process")
}

fn name_host(spec: &Spec) -> Result<()> {
    if let Some(name) = spec.hostname.as_deref().filter(|name| !name.is_empty()) {
        rustix::system::sethostname(name.as_bytes())
            .doing(|| format!("set the host name {name}"))?;
    }
    if let Some(name) = spec.domainname.as_deref().filter(|name| !name.is_empty()) {
        rustix::system::setdomainname(name.as_bytes())
            .doing(|| format!("set the domain name {name}"))?;
    }
    Ok(())
}

/// A container without keys of its own is no danger, so a kernel that refuses (no keyrings, a full
/// quota) stops nothing.
fn join_keyring(id: &str) {
    if let Ok(name) = CString::new(format!("_ses.{id}")) {
        let _refused = dhow_sys::keyring::join_new_session(&name);
    }
}

/// Mounts everything below the container's root and makes it the process's own.
fn build_root(
    birth: &mut Birth<'_>,
    cgroup: Option<&Cgroup>,
    line: &ChildEnd,
) -> Result<Option<Console>> {
    mounts::withdraw()?;
    if birth.filesystem.is_none() {
        birth.filesystem = Some(Filesystem::open(birth.request, &birth.namespaces)?);
    }
    let filesystem = birth.filesystem.as_ref().expect("opened above");
    rootfs::attach(&filesystem.root, birth.request.mountpoint)?;
    let root = Root::new(filesystem.root.as_fd());
    // In a new cgroup namespace the container's cgroup is the root of each hierarchy, and which
    // there are, we know from making it.
    let own = cgroup.filter(|_| birth.namespaces.is_new(NamespaceKind::Cgroup));
    let is_own = birth.namespaces.is_own(NamespaceKind::Cgroup);
    let view = View { is_own, known: own.map(Membership::of).unwrap_or_default() };
    let unfinished = mounts::perform(root, &filesystem.mounts, &view)?;
    let console = fill_dev(birth, filesystem, root, unfinished.dev())?;
    make_working_directory(root, birth.task.working_directory())?;
    run_hooks_before_pivot(birth, line)?;
    let places = Places::below(root, &birth.linux.masked_paths, &birth.linux.readonly_paths)?;
    masks::mask(&places, &birth.linux.masked_paths)?;
    masks::make_read_only(&places, &birth.linux.readonly_paths)?;
    places.leave();
    unfinished.finish()?;
    pivot(filesystem)?;
    finish_root(birth, filesystem)?;
    Ok(console)
}

fn fill_dev(
    birth: &Birth<'_>,
    filesystem: &Filesystem,
    root: Root<'_>,
    fresh: Option<BorrowedFd<'_>>,
) -> Result<Option<Console>> {
    let is_foreign = filesystem.mounts.iter().any(Prepared::binds_dev);
    if !is_foreign {
        let source = if birth.namespaces.is_own(NamespaceKind::User) {
            devices::Source::Bound
        } else {
            devices::Source::Made
        };
        devices::fill(root, fresh, &birth.linux.devices, source)?;
    }
    if !birth.task.wants_terminal() {
        return Ok(None);
    }
    let console = Console::make(root, birth.task.console_size(), birth.task.line_ends())?;
    console.bind(root)?;
    Ok(Some(console))
}

/// The terminal of a process that enters a finished root.
fn make_console(birth: &Birth<'_>, top: &str) -> Result<Option<Console>> {
    if !birth.task.wants_terminal() {
        return Ok(None);
    }
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let top = rustix::fs::open(top, flags, Mode::empty()).doing(|| "open the root")?;
    let task = &birth.task;
    Console::make(Root::new(top.as_fd()), task.console_size(), task.line_ends()).map(Some)
}

/// Images name working directories that they do not have; they are made, as all runtimes do.
fn make_working_directory(root: Root<'_>, path: &Path) -> Result<()> {
    if path == Path::new("/") {
        return Ok(());
    }
    match root.make_directories(path) {
        // A root that cannot be written, or a link that dangles, is the user's to see when the
        // process enters the directory.
        Err(error) if error.kind() == std::io::ErrorKind::ReadOnlyFilesystem => Ok(()),
        result => result.map(drop).map_err(|error| {
            let text = format!("make the working directory {}", path.display());
            Error::new(Kind::Invalid, text).because(error)
        }),
    }
}

/// Until here the network was set up beside us.
fn wait_for_network(birth: &Birth<'_>, line: &ChildEnd) -> Result<()> {
    birth.request.network.map_or(Ok(()), |_| line.ask(Ask::Surrounded))
}

fn run_hooks_before_pivot(birth: &Birth<'_>, line: &ChildEnd) -> Result<()> {
    if !birth.parameters.are_of_devices() {
        wait_for_network(birth, line)?;
    }
    let spec = birth.request.spec;
    let of_runtime = hooks(spec, |hooks| &hooks.prestart).len()
        + hooks(spec, |hooks| &hooks.create_runtime).len();
    if of_runtime > 0 {
        line.ask(Ask::RunHooks)?;
    }
    // The root is there to be worked on; who joins a mount namespace has it at `/` already.
    let is_new = birth.namespaces.is_new(NamespaceKind::Mount);
    let directory = is_new.then_some(birth.request.mountpoint);
    let hooks = hooks(spec, |hooks| &hooks.create_container);
    let round = Round::new("createContainer", hooks, directory);
    subject(birth.request).run(&round, Status::Creating, Who::Caller)
}

/// Swaps the root: the old one is stacked upon the new one for a moment, and then gone.
fn pivot(filesystem: &Filesystem) -> Result<()> {
    rustix::process::fchdir(&filesystem.root).doing(|| "enter the new root")?;
    rustix::process::pivot_root(".", ".").doing(|| "pivot to the new root")?;
    // What lies on top goes; the working directory is the new root since before, and stays it.
    rustix::mount::unmount(".", UnmountFlags::DETACH).doing(|| "leave the old root")
}

fn finish_root(birth: &Birth<'_>, filesystem: &Filesystem) -> Result<()> {
    let root = filesystem.root.as_fd();
    if birth.request.spec.root.as_ref().is_some_and(|root| root.readonly) {
        let attributes = Attributes::setting(MountAttrFlags::MOUNT_ATTR_RDONLY);
        dhow_sys::mount::set_attributes(root, attributes, Reach::ThisMount)
            .doing(|| "make the root read-only")?;
    }
    rootfs::Propagates::of(birth.request.spec)?.finish(root)
}

/// Hands the terminal out and waits for the start, as the request says.
fn hold(birth: &Birth<'_>, console: Option<Console>, line: &mut ChildEnd) -> Result<()> {
    let listener = match birth.request.hold {
        Hold::Not => {
            return match &console {
                Some(console) => line.tell(Ask::Ready, Some(console.master.as_fd())),
                None => Ok(()),
            };
        }
        Hold::UntilStart => None,
        Hold::UntilDialled(listener) => Some(listener),
    };
    birth.task.find_program()?;
    line.tell(Ask::Ready, console.as_ref().map(|console| console.master.as_fd()))?;
    drop(console);
    if let Some(listener) = listener {
        line.switch(listener)?;
    }
    line.wait_for_go()
}

/// Closes what is not needed any more: a container can wait for days, and would keep the host's
/// mounts busy and the caller's pipes open. Done before a filter holds, which may not know the call.
fn let_go(
    birth: &Birth<'_>,
    console: Option<&Console>,
    procfs: Option<&Procfs>,
    line: &ChildEnd,
) -> Result<()> {
    let first = birth.request.preserve_fds.saturating_add(3);
    let mut keep = vec![line.as_fd()];
    keep.extend(procfs.map(Procfs::as_fd));
    keep.extend(console.map(Console::fds).into_iter().flatten());
    if let Hold::UntilDialled(listener) = birth.request.hold {
        keep.push(listener);
    }
    dhow_sys::fds::close_from_but(first, &keep).doing(|| "close fds")
}

/// What hooks are told of a request's container.
pub(crate) fn subject<'a>(request: &Request<'a>) -> Subject<'a> {
    Subject { id: request.id, bundle: request.bundle, annotations: &request.spec.annotations }
}

/// One kind of a configuration's hooks.
pub(crate) fn hooks(
    spec: &Spec,
    kind: impl Fn(&dhow_spec::runtime::Hooks) -> &Vec<dhow_spec::runtime::Hook>,
) -> &[dhow_spec::runtime::Hook] {
    spec.hooks.as_ref().map_or(&[], |hooks| kind(hooks).as_slice())
}
