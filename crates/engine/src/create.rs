//! Creating a container: a row, a snapshot, a configuration; nothing runs yet.

mod own_files;
mod root;

pub(crate) use own_files::own_files;
pub(crate) use root::throw_away;

use crate::{
    Engine, capabilities,
    events::{Subject, tell},
    files,
    foundation::Foundation,
    hello, identity,
    identity::Identity,
    init,
    layout::Layout,
    logging,
    merge::{self, Facts},
    names, networks,
    options::{
        CreateOptions, HostsBase, LogDriver, MountWhat, NetworkMode, PodChoice, PullPolicy, Relabel,
    },
    plan::{Planned, Planner, Shown},
    pods::{Home, PodOptions, Pods},
    readiness,
    record::Record,
    secrets::Given,
    selinux, user_ids,
    volumes::{self, Volumes, quota},
};
use dhow_base::{
    Doing, Error, Kind, Result, Undo,
    clock::Moment,
    file::{self, Durability},
    id::ContainerId,
    tree,
};
use dhow_image::{Image, Images, Progress, PullOptions, Reference};
use dhow_monitor::{Driver, Expected, WaitingMonitor};
use dhow_snapshot::Number as SnapshotNumber;
use dhow_spec::{Mount, runtime::Spec};
use dhow_state::{
    Owner, State,
    containers::{self, Container, Course, Phase},
};
use rustix::fs::Mode;
use std::{
    cell::RefCell,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
};

/// How often a random name is tried before giving up.
const NAME_ATTEMPTS: usize = 16;

/// How often free ids are looked for while others take them.
const IDS_ATTEMPTS: usize = 64;

/// A container that was created.
#[derive(Clone, Debug)]
pub struct Created {
    /// Its id.
    pub id: ContainerId,
    /// Its name.
    pub name: String,
}

/// A container that was just created, with what else is known of it then.
#[derive(Debug)]
pub(crate) struct Fresh {
    /// Its row, as far as its creator has gone on with it.
    pub(crate) row: Container,
    /// How to mount its root.
    pub(crate) rootfs: Mount,
    /// The look into its image, to be closed when there is time.
    pub(crate) look: OwnedFd,
}

/// What the steps of a creation hand on.
#[derive(Debug)]
pub(crate) struct Draft<'a> {
    pub(crate) id: ContainerId,
    pub(crate) options: &'a CreateOptions,
    pub(crate) foundation: &'a Foundation,
    pub(crate) plan: Vec<Planned>,
    pub(crate) record: Record,
    secrets: Given,
    home: Option<Home>,
    is_of_root: bool,
}

impl Draft<'_> {
    /// The configuration. `files` are the engine's own, which lie where they are bound from.
    pub(crate) fn spec(
        &self,
        identity: &Identity,
        files: &[(PathBuf, &'static str)],
    ) -> Result<Spec> {
        let spec = merge::spec(
            self.options,
            self.foundation.config(),
            &self.record,
            &Facts {
                id: &self.id,
                identity,
                held_capabilities: held_capabilities(self.options)?,
                processors: merge::processors,
                kernel: kernel()?,
                files,
                mounts: &self.plan,
                is_of_root: self.is_of_root,
                has_groups: self.is_of_root || has_groups(),
            },
        )?;
        let spec = match self.foundation.image() {
            Some(image) => hello::tell_of_host(spec, image, &self.options.image)?,
            None => spec,
        };
        init::put_first(spec, &self.options.life)
    }

    /// Whether it is certain that the monitor that has come up will start it. One that has to bring
    /// something along is another one; and what has to run before it, a pod's own or required, takes it.
    fn is_started_by_waiting(&self) -> bool {
        let passes_output_on = self.record.life.log.driver == LogDriver::Passthrough;
        self.options.life.preserve_fds == 0
            && !passes_output_on
            && self.home.is_none()
            && self.record.requires.is_empty()
    }

    /// Whether our own runtime starts it, with root's rights.
    fn is_started_by_us(&self) -> bool {
        self.is_of_root && self.record.life.runtime.is_none()
    }

    /// Its cgroup, where it is certain that our own files make one in the usual place: there it is looked
    /// for where nothing else of a container is left.
    fn cgroup_of_ours(&self) -> Result<Option<String>> {
        let is_certain = self.is_started_by_us()
            && self.options.cgroup.parent.is_none()
            && self.record.driver() == Driver::Files;
        is_certain.then(|| merge::cgroups_path(self.options, &self.id)).transpose()
    }

    /// Whether its root is mounted as it is: with the ids that its files have, and without a label.
    fn has_plain_root(&self) -> bool {
        let Record { namespaces, selinux, .. } = &self.record;
        self.is_started_by_us() && !namespaces.has_ids() && selinux.files.is_empty()
    }

    /// Tells the monitor that will start it where that will be, so that it makes what it can meanwhile.
    fn announce(&self, layout: &Layout, monitor: &mut WaitingMonitor) -> Result<()> {
        make_directory(&layout.runs(), &layout.run(&self.id))?;
        let (home, cgroup) = (Some(layout.home(&self.id)), self.cgroup_of_ours()?);
        monitor.expect(Expected { home, cgroup, rootfs: None })
    }

    /// Writes the files that lie with the container, and its configuration.
    fn write_files(
        &self,
        layout: &Layout,
        network: Option<&Path>,
        root: BorrowedFd<'_>,
        identity: &Identity,
        name: &str,
    ) -> Result<()> {
        let mut files = files::list(&layout.run(&self.id), network, &self.options.names);
        for own in own_files(&layout.container(&self.id), root, identity, self, name)? {
            file::write_new(&own.path, &own.bytes, 0o644, Durability::Cached)?;
            files::belong_to_root(&own.path, &self.record)?;
            selinux::mark(&own.path, &self.record.selinux.files)?;
            files.extend(own.target.map(|target| (own.path, target)));
        }
        let mut spec = self.spec(identity, &files)?;
        self.secrets.write(layout, &self.id, &self.record.selinux.files, &mut spec.mounts)?;
        if self.record.life.says_ready {
            readiness::offer(&mut spec, &layout.run(&self.id));
        }
        if let Some(home) = &self.home {
            home.share(&mut spec, layout);
        }
        write_config(&layout.config(&self.id), &spec)
    }

    /// Who the process runs as, by the accounts of the image.
    pub(crate) fn identity(&self, root: BorrowedFd<'_>) -> Result<Identity> {
        identity::resolve(&self.record.user, &self.options.groups, root)
    }
}

impl Engine {
    /// Creates a container; fetches its image first where the policy says so.
    pub fn create(&mut self, options: &CreateOptions, progress: &dyn Progress) -> Result<Created> {
        let Fresh { row, .. } = self.create_in(options, progress, Phase::Created)?;
        Ok(Created { id: row.id, name: row.name })
    }

    /// As [`Engine::create`], leaving the row in the phase that the caller goes on from: a run goes
    /// on to the start without anybody else in between, and tells of the creation then.
    pub(crate) fn create_in(
        &mut self,
        options: &CreateOptions,
        progress: &dyn Progress,
        phase: Phase,
    ) -> Result<Fresh> {
        let home = self.home_for(options, progress)?;
        let settled;
        let options = match &home {
            Some(home) => {
                settled = home.settle(options)?;
                &settled
            }
            None => options,
        };
        let with_networks;
        let options = match usual_network(options, self.is_of_root) {
            Some(changed) => {
                with_networks = changed;
                &with_networks
            }
            None => options,
        };
        if self.is_of_root && matches!(options.network, NetworkMode::Pasta(_)) {
            let text = "connect a container by pasta: it is for users without rights of root";
            return Err(
                Error::new(Kind::Invalid, text).hint("leave --network out: root has bridges")
            );
        }
        self.ensure_usual_networks_of(options.network.connections())?;
        let foundation = match &options.directory {
            Some(directory) => Foundation::directory(directory)?,
            None => Foundation::Image(self.image_for(options, progress)?),
        };
        for _ in 0..IDS_ATTEMPTS {
            if let Some(fresh) = self.create_from(&foundation, options, home.as_ref(), phase)? {
                return Ok(fresh);
            }
        }
        let text = "find free ids for the container: others take them all the time";
        Err(Error::new(Kind::Unavailable, text).hint("try again"))
    }

    /// Makes a container on an image that is here, or a directory; nothing where another one has just taken
    /// the ids that it was to have.
    fn create_from(
        &mut self,
        foundation: &Foundation,
        options: &CreateOptions,
        home: Option<&Home>,
        phase: Phase,
    ) -> Result<Option<Fresh>> {
        let mut draft = self.draft(ContainerId::random()?, options, foundation)?;
        check_sources(&draft.plan)?;
        let with_owners;
        let ids = &draft.record.namespaces;
        if ids.is_on_disk {
            let image = foundation.image().ok_or_else(foreign_ids)?;
            let copy = self.images.with_owners(&mut self.state, image, &ids.uids, &ids.gids)?;
            with_owners = Foundation::Image(copy);
            draft.foundation = &with_owners;
        }
        if !draft.record.ports.publish.is_empty()
            && let Some(why) = discards_ports(&options.network)
        {
            (self.warn)(&format!("published ports are discarded {why}"));
        }
        draft.record.pod = home.map(|home| home.id.to_string());
        draft.record.secrets =
            options.objects.secrets.iter().map(|secret| secret.secret.clone()).collect();
        draft.secrets = Given::read(&self.state, &self.layout, &options.objects.secrets)?;
        draft.home = home.cloned();
        let Some((row, root)) = self.insert_rows(&mut draft)? else { return Ok(None) };
        let (rootfs, look) = self
            .make(&draft, &row, root, phase)
            .doing(|| format!("create container {}", row.name))?;
        Ok(Some(Fresh { row, rootfs, look }))
    }

    /// Decides what a container will be; makes nothing.
    pub(crate) fn draft<'a>(
        &mut self,
        id: ContainerId,
        options: &'a CreateOptions,
        foundation: &'a Foundation,
    ) -> Result<Draft<'a>> {
        let joined = self.find_joined(options)?;
        let hostname = match &options.hostname {
            Some(hostname) => check_hostname(hostname)?,
            None if options.network.is_host() || !merge::has_own_hostname(options) => host_name(),
            None => match self.network_hostname(&joined)? {
                Some(hostname) => hostname,
                None => id.short().to_owned(),
            },
        };
        let planner =
            Planner { state: &self.state, images: &self.images, layout: &self.layout, id: &id };
        let plan = planner.plan(options, foundation)?;
        let mut record = merge::record(options, &foundation.config().config, &hostname, &plan)?;
        self.take_ids_of_joined(&joined, &mut record.namespaces)?;
        record.namespaces.joined = joined;
        record.requires = self.find_required(options)?;
        if options.root_bytes.is_some() {
            record.root_project = Some(quota::new_project()?);
        }
        user_ids::choose(options, &mut record, self.is_of_root)?;
        if !self.is_of_root {
            user_ids::free::propose(self.state.read(), options, Some(foundation), &mut record)?;
        }
        if options.names.hosts_base == HostsBase::Image {
            // The image's own is copied when the container is made, and counts at each start.
            record.names.hosts_base = HostsBase::File(self.layout.container(&id).join("hosts"));
        }
        refuse_parts(options, &plan)?;
        logging::check_terminal(&options.life.log, options.tty)?;
        let secrets = Given::default();
        let is_of_root = self.is_of_root;
        Ok(Draft { id, options, foundation, plan, record, secrets, home: None, is_of_root })
    }

    /// The pod that a container is to be in; a new one is made.
    pub(crate) fn home_for(
        &mut self,
        options: &CreateOptions,
        progress: &dyn Progress,
    ) -> Result<Option<Home>> {
        let pod = match &options.objects.pod {
            None => return Ok(None),
            Some(PodChoice::Existing(pod)) => pod.clone(),
            Some(PodChoice::New(name)) => {
                let usual = PodOptions::usual(name.clone());
                let (network, ports) = (options.network.clone(), options.ports.publish.clone());
                let user = options.namespaces.user.clone();
                let pod = PodOptions { network, ports, user, ..usual };
                self.create_pod(&pod, progress)?.to_string()
            }
        };
        Home::of(&dhow_state::pods::look_up(self.state.read(), &pod)?).map(Some)
    }

    /// The images among which the user is to choose before a container is made; none where nothing
    /// is to be fetched, or there is nothing to choose.
    pub fn choices(&self, options: &CreateOptions) -> Result<Vec<Reference>> {
        if options.directory.is_some() || self.is_own_image(options)? {
            return Ok(Vec::new());
        }
        let pull = PullOptions { platform: options.platform.clone(), policy: options.pull };
        self.images.choices(&self.state, &options.image, &pull)
    }

    /// Is it the image that the binary makes from itself?
    pub(crate) fn is_own_image(&self, options: &CreateOptions) -> Result<bool> {
        if !hello::is_meant(&options.image) {
            return Ok(false);
        }
        let here = self.images.find(&self.state, &options.image)?;
        Ok(here.as_ref().is_none_or(hello::is_embedded))
    }

    fn image_for(&mut self, options: &CreateOptions, progress: &dyn Progress) -> Result<Image> {
        if self.is_own_image(options)? {
            return hello::provide(&self.images, &mut self.state);
        }
        let here = match options.pull {
            PullPolicy::Always | PullPolicy::Newer => None,
            PullPolicy::Missing | PullPolicy::Never => {
                self.images.find(&self.state, &options.image)?
            }
        };
        if let Some(image) = here
            && options
                .platform
                .as_ref()
                .is_none_or(|wanted| image.config.platform().satisfies(wanted))
        {
            return Ok(image);
        }
        if options.pull == PullPolicy::Never {
            return Err(Error::new(
                Kind::NotFound,
                format!("find image {}: it is not here", options.image),
            )
            .hint("--pull missing fetches what is not here"));
        }
        let (platform, policy) = (options.platform.clone(), options.pull);
        let pull = PullOptions { platform, policy };
        self.images.pull(&mut self.state, &options.image, &pull, progress)
    }

    /// Writes the rows of the container, in which it gets its name, and of its snapshot; nothing where its
    /// ids have been taken.
    fn insert_rows(
        &mut self,
        draft: &mut Draft<'_>,
    ) -> Result<Option<(Container, Option<SnapshotNumber>)>> {
        let mut row = Container {
            id: draft.id.clone(),
            name: String::new(),
            phase: Phase::Creating,
            owner: Some(Owner::current()?),
            image: draft.foundation.manifest().cloned(),
            image_name: draft.options.image.clone(),
            created: Moment::now(),
            started: None,
            finished: None,
            process: None,
            monitor: None,
            boot: None,
            exit_code: None,
            oom_killed: false,
            auto_remove: draft.options.auto_remove,
            settings: String::new(),
            course: Course::default(),
        };
        let (images, gone) = (&self.images, std::mem::take(&mut self.gone));
        let Draft { id, options, foundation, record, home, .. } = draft;
        let mut insert = |row: &mut Container| {
            self.state.write(|write| {
                if !user_ids::free::take(write, options, &mut record.namespaces)? {
                    return Ok(None);
                }
                selinux::take(write, options, record)?;
                for number in &gone {
                    Images::forget_root(write, SnapshotNumber(*number))?;
                }
                row.settings = record.to_text()?;
                containers::insert(write, row)?;
                networks::connect_all(write, id, options.network.connections())?;
                if let Some(home) = home {
                    Pods::note(write, &home.id, id)?;
                }
                let image = foundation.image();
                image.map(|image| images.note_root(write, id, image)).transpose().map(Some)
            })
        };
        if let Some(name) = &options.name {
            name.as_str().clone_into(&mut row.name);
            return insert(&mut row).map(|root| root.map(|root| (row, root)));
        }
        for attempt in 0..NAME_ATTEMPTS {
            row.name = names::random(attempt)?;
            match insert(&mut row) {
                Err(error) if error.kind() == Kind::AlreadyExists => {}
                result => return result.map(|root| root.map(|root| (row, root))),
            }
        }
        Err(Error::new(Kind::AlreadyExists, "find a free name for the container")
            .hint("choose one with --name"))
    }

    /// The snapshot and the files; whatever was made is undone if a step fails. Returns how to mount the
    /// root, and the look into the image that it took.
    fn make(
        &mut self,
        draft: &Draft<'_>,
        row: &Container,
        root: Option<SnapshotNumber>,
        phase: Phase,
    ) -> Result<(Mount, OwnedFd)> {
        let network = self.network_directory(&draft.record.namespaces.joined)?;
        let Self { state, images, layout, warn, monitor, .. } = self;
        let (state, monitor) = (RefCell::new(state), RefCell::new(monitor));
        let report =
            |step: &str, error: &Error| warn(&format!("undo {step}: {}", error.one_line()));
        let mut undo = Undo::new(&report);
        let id = &draft.id;
        undo.push("the container's row", || {
            state.borrow_mut().write(|write| containers::delete(write, id))
        });
        undo.push("the container's files", || remove_files(layout, id));
        undo.push("the container's snapshot", || {
            images.remove_container_root(&mut state.borrow_mut(), id)
        });
        if let Some(project) = draft.record.root_project {
            let place = layout.containers();
            undo.push("the bound of its root", move || quota::release(&place, project));
        }
        undo.push("what the monitor has made ahead", || {
            monitor.borrow_mut().take().map_or(Ok(()), WaitingMonitor::dismiss)?;
            // One that was killed has left it.
            dhow_monitor::bury(&layout.run(id), &layout.config(id), id)
        });

        make_directory(&layout.containers(), &layout.container(id))?;
        let is_started = phase == Phase::Creating && draft.is_started_by_waiting();
        let rootfs = {
            let mut waiting = monitor.borrow_mut();
            let mut ahead = waiting.as_mut().filter(|_| is_started);
            if let Some(monitor) = &mut ahead {
                draft.announce(layout, monitor)?;
            }
            let mut rootfs = root::make(images, layout, draft, (root, phase))?;
            if row.auto_remove {
                throw_away(&mut rootfs);
            }
            if let Some(monitor) = ahead.filter(|_| draft.has_plain_root()) {
                let rootfs = Some(rootfs.clone());
                monitor.expect(Expected { rootfs, ..Expected::default() })?;
            }
            rootfs
        };
        if !draft.plan.is_empty() {
            provide(&mut state.borrow_mut(), layout, draft)?;
        }
        let root = draft.foundation.look()?;
        let identity = draft.identity(root.as_fd())?;
        give_away(draft, &identity)?;
        label(draft, &rootfs)?;
        draft.write_files(layout, network.as_deref(), root.as_fd(), &identity, &row.name)?;
        // Who goes on to the start tells of both at once.
        if phase == Phase::Created {
            state.borrow_mut().write(|write| {
                containers::advance(write, id, &[Phase::Creating], phase, None)?;
                tell(write, &Subject::of(row, &draft.record), "create", &[])
            })?;
        }
        undo.keep();
        Ok((rootfs, root))
    }
}

/// A copy of an image has the owners that the kernel cannot show of it; of a directory there is none.
fn foreign_ids() -> Error {
    Error::new(Kind::Unsupported, "use a directory as the root with ids of other users")
        .hint("leave --userns and --uidmap out: the owners of its files count")
}

/// Who says nothing of networks is connected to the usual one.
fn usual_network(options: &CreateOptions, is_of_root: bool) -> Option<CreateOptions> {
    let usual = || match is_of_root {
        true => NetworkMode::usual(),
        false => NetworkMode::Pasta(Vec::new()),
    };
    (options.network == NetworkMode::Unsaid)
        .then(|| CreateOptions { network: usual(), ..options.clone() })
}

/// Where published ports lead nowhere, why.
fn discards_ports(network: &NetworkMode) -> Option<&'static str> {
    match network {
        NetworkMode::Host => Some("when using host network mode"),
        NetworkMode::None => Some("where there is no network"),
        NetworkMode::Container(_) => Some("where the network is another container's"),
        _ => None,
    }
}

/// Makes what the mounts of a container need, and notes what they hold.
fn provide(state: &mut State, layout: &Layout, draft: &Draft<'_>) -> Result<()> {
    for planned in &draft.plan {
        let Shown::Union { image, upper, .. } = &planned.shown else { continue };
        if let Some(manifest) = image {
            state.write(|write| containers::hold_image(write, &draft.id, manifest))?;
        }
        if let Some((upper, work)) = upper {
            file::make_directories(upper, 0o755)?;
            file::make_directories(work, 0o700)?;
        }
    }
    let view = || {
        dhow_sys::union::open(&draft.foundation.view()?)
            .map_err(std::io::Error::from)
            .doing(|| "look into the image")
    };
    Volumes { state, layout }.provide(&draft.id, &draft.plan, view)
}

/// Gives the sources that are to belong to the container's user to it.
fn give_away(draft: &Draft<'_>, identity: &Identity) -> Result<()> {
    let (uid, gid) = draft.record.namespaces.on_disk(identity.user.uid, identity.user.gid)?;
    for planned in draft.plan.iter().filter(|planned| planned.option.details.chown) {
        match &planned.shown {
            Shown::Path(path) => volumes::give(path, uid, gid)?,
            Shown::Union { upper: Some((upper, _)), .. } => volumes::give(upper, uid, gid)?,
            Shown::Union { .. } | Shown::Kernel => {}
        }
    }
    Ok(())
}

/// Labels the sources that are to be labelled, and an image's root that is no mount which could be given a
/// label. A directory of the user's has the label that they have given it.
fn label(draft: &Draft<'_>, rootfs: &Mount) -> Result<()> {
    let label = draft.record.selinux.files.as_str();
    if label.is_empty() {
        return Ok(());
    }
    if let (Mount::Bind { source, read_only: false }, Some(_)) = (rootfs, draft.foundation.image())
    {
        selinux::relabel(source, label, Relabel::Private)?;
    }
    for planned in &draft.plan {
        if let (Some(how), Shown::Path(path)) = (planned.option.details.relabel, &planned.shown) {
            selinux::relabel(path, label, how)?;
        }
    }
    Ok(())
}

/// Other runtimes do not know how a part of a source is looked up inside of it, and would mount the
/// whole.
fn refuse_parts(options: &CreateOptions, plan: &[Planned]) -> Result<()> {
    let part = plan.iter().find(|planned| planned.option.details.subpath.is_some());
    match (&options.life.runtime, part) {
        (Some(runtime), Some(planned)) => {
            let (target, runtime) = (planned.option.target.display(), runtime.display());
            let text = format!("mount a part of a source on {target}: {runtime} cannot");
            Err(Error::new(Kind::Unsupported, text).hint("dhow's own runtime can"))
        }
        _ => Ok(()),
    }
}

/// What a bind mount shows must be there before anything is made for it.
fn check_sources(plan: &[Planned]) -> Result<()> {
    for planned in plan {
        let MountWhat::Bind { source, create } = &planned.option.what else { continue };
        match rustix::fs::stat(source) {
            Ok(_) => {}
            Err(rustix::io::Errno::NOENT) if *create => file::make_directories(source, 0o755)?,
            Err(errno) => {
                return Err(errno).doing(|| format!("mount {}", source.display())).map_err(|error| {
                    if error.kind() == Kind::NotFound {
                        error.hint("the path must exist on the host; -v creates a missing directory, --mount does not")
                    } else {
                        error
                    }
                });
            }
        }
    }
    Ok(())
}

fn check_hostname(hostname: &str) -> Result<String> {
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    // The kernel keeps 64 bytes.
    if hostname.len() <= 64 && hostname.split('.').all(label) {
        Ok(hostname.to_owned())
    } else {
        Err(Error::new(Kind::Invalid, format!("use {hostname:?} as the host name")).hint(
            "a host name has letters, digits and hyphens, dots between, and at most 64 characters",
        ))
    }
}

fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

fn kernel() -> Result<dhow_seccomp::profile::Kernel> {
    rustix::system::uname().release().to_string_lossy().parse()
}

/// The bounding set; without wishes for more than the default it need not be read.
/// Whether this user namespace has other groups than its root's.
fn has_groups() -> bool {
    let map = std::fs::read_to_string("/proc/self/gid_map");
    map.is_ok_and(|map| map.lines().count() > 1)
}

fn held_capabilities(options: &CreateOptions) -> Result<u64> {
    let rights = &options.rights;
    if !rights.privileged && rights.cap_add.is_empty() && rights.default_capabilities.is_none() {
        return Ok(u64::MAX);
    }
    capabilities::held()
}

/// Makes a directory of a container's; its parent only where it is missing.
pub(crate) fn make_directory(parent: &Path, path: &Path) -> Result<()> {
    match rustix::fs::mkdir(path, Mode::from_raw_mode(0o700)) {
        Ok(()) | Err(rustix::io::Errno::EXIST) => Ok(()),
        Err(rustix::io::Errno::NOENT) => {
            file::make_directories(parent, 0o711)?;
            file::make_directories(path, 0o700)
        }
        Err(errno) => Err(errno).doing(|| format!("create directory {}", path.display())),
    }
}

fn write_config(path: &Path, spec: &Spec) -> Result<()> {
    let bytes = serde_json::to_vec(spec)
        .map_err(|error| Error::new(Kind::Internal, "write config.json").because(error))?;
    // Whole or not at all: whoever mends after a kill reads it.
    file::replace(path, &bytes, 0o600)
}

/// Removes the directories of a container.
pub(crate) fn remove_files(layout: &Layout, id: &ContainerId) -> Result<()> {
    // What a container has put over an image or a directory may be built to be hard to remove.
    for path in [layout.run(id), layout.container(id)] {
        tree::remove(&path)?;
    }
    Ok(())
}

/// The container that a word of the user's means.
pub(crate) fn look_up(state: &State, text: &str) -> Result<Container> {
    containers::look_up(state.read(), text)
}
