//! One cgroup: a directory in each hierarchy.

use crate::{
    Ahead, Hierarchies, Layout, Location, OomWatch, Stats, device_program,
    devices::Table,
    hierarchy::Version,
    legacy, oom,
    place::Place,
    unified,
    unit::{Placeholder, Unit},
};
use dhow_base::{Doing, Error, Kind, Result};
use dhow_spec::runtime::{Pids, Resources};
use rustix::{
    io::Errno,
    process::{Pid, PidfdFlags, Signal},
};
use std::{
    borrow::Cow,
    io::ErrorKind,
    os::fd::{AsFd, BorrowedFd},
    path::PathBuf,
    time::{Duration, Instant},
};

/// How long processes are waited for that were killed or are to stop.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a removal is tried again.
const REMOVAL_PATIENCE: Duration = Duration::from_secs(5);

/// A cgroup that exists.
#[derive(Debug)]
pub struct Cgroup {
    pub(crate) location: Location,
    pub(crate) layout: Layout,
    pub(crate) places: Vec<Place>,
    /// Keeps systemd's unit alive until the container's own process is in it, which it must be
    /// before this value goes.
    pub(crate) placeholder: Option<Placeholder>,
    pub(crate) origin: Origin,
}

/// Where not one process may be made, the kernel has none born there either. The first fills a
/// limit of one, which then means the same.
fn with_room_for_first(resources: &Resources) -> Cow<'_, Resources> {
    match resources.pids.and_then(|pids| pids.limit) {
        Some(0) => {
            let pids = Some(Pids { limit: Some(1) });
            Cow::Owned(Resources { pids, ..resources.clone() })
        }
        _ => Cow::Borrowed(resources),
    }
}

/// Where our knowledge of a cgroup comes from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Origin {
    /// This process made it, in every hierarchy.
    Made,
    /// An earlier command did, perhaps where other hierarchies were mounted: it may be missing in
    /// some of these.
    Found,
}

impl Cgroup {
    /// Makes the cgroup, with its missing ancestors, and sets its limits. What was made is removed
    /// again where a later step fails.
    ///
    /// A cgroup that is there already may be used, as long as no process is in it: those that are
    /// would end with the container. The rules for devices are those given, then those that every
    /// container has ([`crate::devices::default_rules`]); what no rule speaks about is denied.
    pub fn create(
        hierarchies: &Hierarchies,
        location: &Location,
        resources: &Resources,
    ) -> Result<Self> {
        Self::create_from(hierarchies, location, Vec::new(), resources)
    }

    /// As [`create`](Self::create), in directories that were made ahead.
    pub fn create_ahead(ahead: &Ahead, resources: &Resources) -> Result<Self> {
        Self::create_from(ahead.hierarchies(), ahead.location(), ahead.take(), resources)
    }

    /// `places` are those that were made, of the first hierarchies.
    fn create_from(
        hierarchies: &Hierarchies,
        location: &Location,
        places: Vec<Place>,
        resources: &Resources,
    ) -> Result<Self> {
        let mut cgroup = Self {
            location: location.clone(),
            layout: hierarchies.layout(),
            places,
            placeholder: None,
            origin: Origin::Made,
        };
        match cgroup.fill(hierarchies, resources) {
            Ok(()) => Ok(cgroup),
            Err(error) => {
                let started = cgroup.placeholder.take();
                if let (Some(placeholder), Some(unit)) = (started, location.unit()) {
                    drop(placeholder);
                    let _stopped = unit.stop();
                }
                cgroup.places.iter().for_each(Place::take_back);
                Err(error).doing(|| format!("create cgroup {location}"))
            }
        }
    }

    fn fill(&mut self, hierarchies: &Hierarchies, resources: &Resources) -> Result<()> {
        if let Some(unit) = self.location.unit() {
            self.placeholder = Some(unit.start(resources, self.layout)?);
        }
        for hierarchy in &hierarchies.all[self.places.len()..] {
            let place = Place::make(&hierarchies.base, hierarchy, &self.location)?;
            self.places.push(place);
        }
        for place in &self.places {
            if !place.is_new() && !place.is_ours()? {
                return Err(Error::new(Kind::Denied, "another user has made it"));
            }
            if !place.is_new()
                && let Some(process) = place
                    .processes()?
                    .unwrap_or_default()
                    .iter()
                    .find(|process| !self.is_placeholder(**process))
            {
                let pid = process.as_raw_pid();
                let text = format!("container's cgroup is not empty: process {pid} is in it");
                return Err(
                    Error::new(Kind::Conflict, text).hint("choose a cgroup of the container's own")
                );
            }
            // Who joins would stand still before its first step, and nobody would hear of it.
            if !place.is_new() && place.stands_still()? {
                let text = "container's cgroup unexpectedly frozen";
                return Err(Error::new(Kind::Conflict, text).hint("thaw it, or choose another"));
            }
            // Mostly the kernel has copied what a cpuset needs from the parent, and who joins finds
            // out; asking costs twelve calls.
            if place.has("cpuset") && !place.is_in_known_parent() {
                place.inherit_cpuset()?;
                place.let_siblings_inherit()?;
            }
            if place.version == Version::Two && self.layout == Layout::Unified {
                place.enable_controllers(&unified::CONTROLLERS)?;
            }
        }
        self.limit(&with_room_for_first(resources))?;
        let rules = Table::with_defaults(&resources.devices)?;
        // A new cgroup has its parent's rules. To ask for everything again would fail where the
        // parent does not have it, and change nothing elsewhere.
        if rules.is_unlimited() && self.places.iter().all(Place::is_new) {
            return Ok(());
        }
        self.restrict_devices(&rules)
    }

    /// Opens a cgroup that an earlier command made; `NotFound` where no hierarchy has it.
    pub fn open(hierarchies: &Hierarchies, location: &Location) -> Result<Self> {
        let named = |hierarchy| Place::named(&hierarchies.base, hierarchy, location);
        let places: Vec<Place> = hierarchies.all.iter().map(named).collect();
        for place in &places {
            if place.exists()? {
                // One place tells for all: whoever makes one makes the others too.
                if !place.is_ours()? {
                    break;
                }
                let (location, layout) = (location.clone(), hierarchies.layout());
                let (placeholder, origin) = (None, Origin::Found);
                return Ok(Self { location, layout, places, placeholder, origin });
            }
        }
        Err(Error::new(Kind::NotFound, format!("open cgroup {location}")))
    }

    /// Removes the cgroup at `location` where nothing is in it, with a call a hierarchy; whether all
    /// of it is gone. The kernel refuses where a process or a cgroup is inside, and what else is not
    /// so simple is left to [`open`](Self::open), [`kill_all`](Self::kill_all) and
    /// [`delete`](Self::delete).
    pub fn remove_empty(hierarchies: &Hierarchies, location: &Location) -> bool {
        let named = |hierarchy| Place::named(&hierarchies.base, hierarchy, location);
        location.unit().is_none()
            && hierarchies.all.iter().map(named).all(|place| place.remove_if_empty())
    }

    /// What it is made of, as `/proc/<pid>/cgroup` names it: the controllers of each hierarchy of
    /// version 1, nothing for version 2.
    pub fn hierarchies(&self) -> impl Iterator<Item = String> {
        self.places.iter().map(|place| place.controllers.join(","))
    }

    fn is_placeholder(&self, process: Pid) -> bool {
        self.placeholder.as_ref().is_some_and(|own| own.pid == process.as_raw_pid())
    }

    /// Where it is.
    pub fn location(&self) -> &Location {
        &self.location
    }

    /// Changes limits; what `resources` does not name stays, and so do the devices where it has no
    /// rules for them.
    pub fn update(&self, resources: &Resources) -> Result<()> {
        let doing = || format!("update cgroup {}", self.location);
        // Version 1's rules change line by line, and systemd's way there leads over "nothing at
        // all". Who stands still meanwhile does not miss a device.
        let stands_still = !resources.devices.is_empty()
            && self.places.iter().any(|place| place.has("devices"))
            && !self.is_frozen().unwrap_or(true);
        if stands_still {
            self.freeze().doing(doing)?;
        }
        let changed = self.change(resources).doing(doing);
        let went_on = if stands_still { self.thaw().doing(doing) } else { Ok(()) };
        changed.and(went_on)
    }

    fn change(&self, resources: &Resources) -> Result<()> {
        if let Some(unit) = self.location.unit() {
            unit.update(resources, self.layout)?;
        }
        self.limit(resources)?;
        if resources.devices.is_empty() {
            return Ok(());
        }
        self.restrict_devices(&Table::with_defaults(&resources.devices)?)
    }

    fn limit(&self, resources: &Resources) -> Result<()> {
        match self.layout {
            Layout::Unified => unified::set(self.unified()?, resources),
            Layout::Legacy | Layout::Hybrid => legacy::set(&self.places, resources),
        }
    }

    /// By version 1's controller, or else by a program on the version 2 tree.
    fn restrict_devices(&self, rules: &Table) -> Result<()> {
        if let Some(place) = self.places.iter().find(|place| place.has("devices")) {
            let (file, line) = rules.total_line();
            place.write(file, line)?;
            let (file, lines) = rules.exception_lines();
            return place.write_lines(file, &lines);
        }
        let place = self.unified().map_err(|_none| legacy::missing("devices", "devices"))?;
        match dhow_sys::bpf::set_device_program(
            place.directory()?,
            &device_program::assemble(rules),
        ) {
            // Without rights over the machine no program can be attached. There, no device node
            // can be made either, and those of the container's file systems do not open.
            Err(error) if error.kind() == ErrorKind::PermissionDenied && !rules_the_machine() => {
                Ok(())
            }
            result => result.doing(|| format!("restrict the devices of cgroup {}", self.location)),
        }
    }

    fn unified(&self) -> Result<&Place> {
        self.places.iter().find(|place| place.version == Version::Two).ok_or_else(|| {
            Error::new(Kind::NotFound, format!("find cgroup {} in version 2", self.location))
        })
    }

    /// Puts the calling process, which must have one thread only, into the version 1 hierarchies.
    ///
    /// This is the cheap way. A write to `cgroup.procs` takes a lock over every fork and exit of the
    /// machine, which after a quiet moment waits for an RCU grace period: 8 to 12 ms where this
    /// takes 0.2. Only a thread that moves itself, by `0` in `tasks`, needs no such lock
    /// (`cgroup_procs_write_start` in the kernel's cgroup.c). Version 2 has no such file for
    /// processes, but `CLONE_INTO_CGROUP`, which takes no such lock either.
    pub fn join(&self) -> Result<()> {
        self.places
            .iter()
            .filter(|place| place.version == Version::One)
            .try_for_each(|place| self.where_it_is(place, place.join()))
    }

    /// Its directory in each hierarchy, as the host's paths have it.
    pub fn directories(&self) -> Vec<PathBuf> {
        self.places.iter().filter_map(Place::host_path).collect()
    }

    /// Whether it has a place in version 2's tree. Where that is not mounted, its processes are in the
    /// root of it.
    pub fn is_in_version_2(&self) -> bool {
        self.unified().is_ok()
    }

    /// The directory by which its processes are frozen.
    pub fn freezer_directory(&self) -> Option<PathBuf> {
        self.freezer().or(self.unified().ok()).and_then(Place::host_path)
    }

    /// Puts a process into the cgroup, in every hierarchy.
    pub fn add(&self, pid: Pid) -> Result<()> {
        let text = pid.as_raw_pid().to_string();
        let added =
            self.places.iter().try_for_each(|place| self.where_it_is(place, place.add(&text)));
        match (added, self.location.unit()) {
            (Err(error), Some(unit)) if error.kind() == Kind::Denied => unit.attach(pid),
            (added, _) => added.map_err(|error| self.explain(error)),
        }
    }

    /// A hierarchy in which it never was is passed over; of one that we made or saw, nothing may be
    /// missing.
    fn where_it_is(&self, place: &Place, result: Result<()>) -> Result<()> {
        let may_be_missing = self.origin == Origin::Found && !place.was_opened();
        match result {
            Err(error) if error.kind() == Kind::NotFound && may_be_missing => Ok(()),
            result => result,
        }
    }

    /// Whether a process gets in by [`add`](Self::add) alone. An ordinary user may not move a
    /// process from where a session begins into what their systemd manages, nor have one born
    /// there; systemd may.
    pub fn needs_add(&self) -> bool {
        self.location.unit().is_some_and(Unit::is_of_user)
    }

    /// Says what the kernel means where it refuses to let a process in, or to have one born here.
    pub fn explain(&self, error: Error) -> Error {
        if error.errno() != Some(Errno::OPNOTSUPP.raw_os_error()) {
            return error;
        }
        let text = format!("enter cgroup {}: it is below a threaded one", self.location);
        Error::new(Kind::Conflict, text)
            .because(error)
            .hint("a threaded cgroup holds threads and no processes: choose another place")
    }

    /// The directory of the version 2 tree, for `CLONE_INTO_CGROUP`. The process is then still to
    /// [`join`](Self::join) the version 1 hierarchies where there are any, or to be added where it
    /// [`needs_add`](Self::needs_add).
    pub fn fd_for_clone(&self) -> Option<BorrowedFd<'_>> {
        if self.needs_add() {
            return None;
        }
        Some(self.unified().ok()?.directory().ok()?.as_fd())
    }

    /// Stops all processes, here and below, and waits until they are stopped.
    pub fn freeze(&self) -> Result<()> {
        self.set_frozen(true).doing(|| format!("freeze cgroup {}", self.location))
    }

    /// Lets stopped processes go on.
    pub fn thaw(&self) -> Result<()> {
        self.set_frozen(false).doing(|| format!("thaw cgroup {}", self.location))
    }

    fn set_frozen(&self, frozen: bool) -> Result<()> {
        self.ask_frozen(frozen)?;
        let deadline = Instant::now() + PATIENCE;
        let mut pause = Duration::from_micros(100);
        while self.is_frozen()? != frozen {
            if Instant::now() > deadline {
                // Half frozen is worse than not at all.
                let _thawed = self.ask_frozen(false);
                return Err(Error::new(Kind::TimedOut, "some process does not follow"));
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(10));
            if self.freezer().is_some() {
                // Version 1 gives up on a process that forks meanwhile, until it is asked again.
                self.ask_frozen(frozen)?;
            }
        }
        Ok(())
    }

    fn ask_frozen(&self, frozen: bool) -> Result<()> {
        match self.freezer() {
            Some(place) => place.write("freezer.state", if frozen { "FROZEN" } else { "THAWED" }),
            None => self.unified()?.write("cgroup.freeze", if frozen { "1" } else { "0" }),
        }
    }

    fn freezer(&self) -> Option<&Place> {
        self.places.iter().find(|place| place.has("freezer"))
    }

    /// Whether processes are stopped.
    pub fn is_frozen(&self) -> Result<bool> {
        match self.freezer() {
            Some(place) => Ok(place.value("freezer.state")?.trim() == "FROZEN"),
            None => Ok(self.unified()?.keyed("cgroup.events", "frozen") == Some(1)),
        }
    }

    /// Kills every process, here and below, frozen ones too, and waits until none is left.
    pub fn kill_all(&self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        let mut pause = Duration::from_micros(200);
        while self.kill_once()? > 0 {
            if Instant::now() > deadline {
                return Err(Error::new(
                    Kind::TimedOut,
                    format!("kill the processes of cgroup {}: some do not end", self.location),
                ));
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Sends the signal to everybody who is there; says how many that were.
    fn kill_once(&self) -> Result<usize> {
        let processes = self.processes()?;
        if processes.is_empty() {
            return Ok(0);
        }
        // Linux 5.14; whoever forks meanwhile is not missed. Version 1 has nothing like it.
        let whole_tree = self
            .unified()
            .and_then(|place| place.write_if_there("cgroup.kill", "1"))
            .unwrap_or(false);
        if !whole_tree {
            self.kill_each(&processes)?;
        }
        // Whoever is frozen by version 1 dies only when thawed.
        if let Some(freezer) = self.freezer() {
            freezer.write_if_there("freezer.state", "THAWED")?;
        }
        Ok(processes.len())
    }

    fn kill_each(&self, processes: &[Pid]) -> Result<()> {
        // Whoever is frozen does not fork away from us.
        let _asked = self.ask_frozen(true);
        let open = |pid: &Pid| {
            let handle = rustix::process::pidfd_open(*pid, PidfdFlags::empty()).ok()?;
            Some((*pid, handle))
        };
        let handles: Vec<_> = processes.iter().filter_map(open).collect();
        // A number may have gone to a stranger between the list and the handle. Whoever is in the
        // list again, now that the handle is held, is no stranger; or the handle is of one who
        // has ended, and the signal goes nowhere.
        let still = self.processes()?;
        for (_, handle) in handles.iter().filter(|(pid, _)| still.contains(pid)) {
            let _ended = rustix::process::pidfd_send_signal(handle, Signal::KILL);
        }
        Ok(())
    }

    /// Removes the cgroup and everything below it in every hierarchy. No process may be left.
    pub fn delete(self) -> Result<()> {
        let deadline = Instant::now() + REMOVAL_PATIENCE;
        // Whatever systemd says, what it leaves is removed too.
        let mut first = self.location.unit().map_or(Ok(()), Unit::stop);
        for place in &self.places {
            let removed = place.remove(deadline);
            if first.is_ok() {
                first = removed;
            }
        }
        first
    }

    /// What it uses.
    pub fn stats(&self) -> Result<Stats> {
        Ok(match self.layout {
            Layout::Unified => Stats::unified(self.unified()?),
            Layout::Legacy | Layout::Hybrid => Stats::legacy(&self.places),
        })
    }

    /// All processes, here and below. Every process is in every hierarchy, so one is asked.
    pub fn processes(&self) -> Result<Vec<Pid>> {
        let likely = self.unified().ok().into_iter().chain(self.freezer());
        for place in likely.chain(&self.places) {
            if let Some(processes) = place.processes()? {
                return Ok(processes);
            }
        }
        Ok(Vec::new())
    }

    /// News of memory that runs out, from now on.
    pub fn watch_oom(&self) -> Result<OomWatch> {
        match (self.places.iter().find(|place| place.has("memory")), self.layout) {
            (Some(place), _) => OomWatch::legacy(place),
            (None, Layout::Unified) => OomWatch::unified(self.unified()?),
            (None, Layout::Legacy | Layout::Hybrid) => Err(oom::unwatchable()),
        }
    }

    /// How many times the kernel killed a process here for want of memory.
    pub fn oom_kills(&self) -> Result<u64> {
        let legacy = self.places.iter().find(|place| place.has("memory"));
        Ok(match legacy {
            Some(place) => place.keyed("memory.oom_control", "oom_kill"),
            None => self.unified()?.keyed("memory.events", "oom_kill"),
        }
        .unwrap_or(0))
    }
}

/// Whether this process is root, and not of a part of the machine's users only.
fn rules_the_machine() -> bool {
    let whole = |map: String| map.split_whitespace().eq(["0", "0", "4294967295"]);
    rustix::process::geteuid().is_root()
        && std::fs::read_to_string("/proc/self/uid_map").is_ok_and(whole)
}
