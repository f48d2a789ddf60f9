//! One cgroup: a directory in each hierarchy.

use crate::{
    Hierarchies, Layout, Location, Stats, device_program, devices, hierarchy::Version, legacy,
    place::Place, unified,
};
use dhow_base::{Doing, Error, Kind, Result};
use dhow_spec::runtime::Resources;
use rustix::process::{Pid, Signal};
use std::{
    os::fd::{AsFd, BorrowedFd},
    time::{Duration, Instant},
};

/// How long processes are waited for that were killed or are to stop.
const PATIENCE: Duration = Duration::from_secs(10);

/// A cgroup that exists.
#[derive(Debug)]
pub struct Cgroup {
    location: Location,
    layout: Layout,
    places: Vec<Place>,
}

impl Cgroup {
    /// Makes the cgroup, with its missing ancestors, and sets its limits. What was made is removed
    /// again where a later step fails.
    pub fn create(
        hierarchies: &Hierarchies,
        location: &Location,
        resources: &Resources,
    ) -> Result<Self> {
        let mut cgroup =
            Self { location: location.clone(), layout: hierarchies.layout(), places: Vec::new() };
        match cgroup.fill(hierarchies, resources) {
            Ok(()) => Ok(cgroup),
            Err(error) => {
                // The error to report is why it could not be made.
                let _removed = cgroup.delete();
                Err(error).doing(|| format!("create cgroup {location}"))
            }
        }
    }

    fn fill(&mut self, hierarchies: &Hierarchies, resources: &Resources) -> Result<()> {
        for hierarchy in &hierarchies.all {
            let place = Place::make(hierarchy, &self.location)?;
            self.places.push(place);
        }
        for place in &self.places {
            if place.has("cpuset") {
                place.inherit_cpuset()?;
            }
            if place.version == Version::Two && self.layout == Layout::Unified {
                place.enable_controllers(&unified::CONTROLLERS)?;
            }
        }
        self.update(resources)
    }

    /// Opens a cgroup that an earlier command made; `NotFound` where no hierarchy has it.
    pub fn open(hierarchies: &Hierarchies, location: &Location) -> Result<Self> {
        let mut places = Vec::new();
        for hierarchy in &hierarchies.all {
            match Place::open(hierarchy, location) {
                Ok(place) => places.push(place),
                Err(error) if error.kind() == Kind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        if places.is_empty() {
            return Err(Error::new(Kind::NotFound, format!("open cgroup {location}")));
        }
        Ok(Self { location: location.clone(), layout: hierarchies.layout(), places })
    }

    /// Where it is.
    pub fn location(&self) -> &Location {
        &self.location
    }

    /// Changes limits; what `resources` does not name stays.
    pub fn update(&self, resources: &Resources) -> Result<()> {
        match self.layout {
            Layout::Unified => unified::set(self.unified()?, resources)?,
            Layout::Legacy | Layout::Hybrid => legacy::set(&self.places, resources)?,
        }
        // Without the version 1 controller, a program on the version 2 tree does its work.
        if resources.devices.is_empty() || self.places.iter().any(|place| place.has("devices")) {
            return Ok(());
        }
        let place = self.unified().map_err(|_| legacy::missing("devices", "devices"))?;
        let program = device_program::assemble(&devices::rules(&resources.devices)?);
        dhow_sys::bpf::attach_device_program(&place.directory, &program)
            .doing(|| format!("restrict the devices of cgroup {}", self.location))
    }

    fn unified(&self) -> Result<&Place> {
        self.places.iter().find(|place| place.version == Version::Two).ok_or_else(|| {
            Error::new(Kind::NotFound, format!("find cgroup {} in version 2", self.location))
        })
    }

    /// Puts the calling process, which must have one thread only, into the version 1 hierarchies.
    /// This is the cheap way: it names no other process, and the kernel looks none up.
    pub fn join(&self) -> Result<()> {
        self.places
            .iter()
            .filter(|place| place.version == Version::One)
            .try_for_each(|place| place.write("cgroup.procs", "0"))
    }

    /// Puts a process into the cgroup, in every hierarchy.
    pub fn add(&self, pid: Pid) -> Result<()> {
        let text = pid.as_raw_pid().to_string();
        self.places.iter().try_for_each(|place| place.write("cgroup.procs", &text))
    }

    /// The directory of the version 2 tree, for `CLONE_INTO_CGROUP`. The process is then still to
    /// [`join`](Self::join) the version 1 hierarchies where there are any.
    pub fn fd_for_clone(&self) -> Option<BorrowedFd<'_>> {
        self.unified().ok().map(|place| place.directory.as_fd())
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
        match self.freezer() {
            Some(place) => {
                place.write("freezer.state", if frozen { "FROZEN" } else { "THAWED" })?
            }
            None => self.unified()?.write("cgroup.freeze", if frozen { "1" } else { "0" })?,
        }
        let deadline = Instant::now() + PATIENCE;
        while self.is_frozen()? != frozen {
            if Instant::now() > deadline {
                return Err(Error::new(Kind::TimedOut, "some process does not follow"));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    fn freezer(&self) -> Option<&Place> {
        self.places.iter().find(|place| place.has("freezer"))
    }

    /// Whether processes are stopped.
    pub fn is_frozen(&self) -> Result<bool> {
        match self.freezer() {
            Some(place) => Ok(place.read("freezer.state")?.trim() == "FROZEN"),
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
        for pid in &processes {
            if whole_tree {
                break;
            }
            // One that has ended already is what is wanted.
            let _sent = rustix::process::kill_process(*pid, Signal::KILL);
        }
        // Whoever is frozen by version 1 dies only when thawed.
        if let Some(freezer) = self.freezer() {
            freezer.write_if_there("freezer.state", "THAWED")?;
        }
        Ok(processes.len())
    }

    /// Removes the cgroup and everything below it in every hierarchy. No process may be left.
    pub fn delete(self) -> Result<()> {
        let mut first = Ok(());
        for place in &self.places {
            let removed = place.remove();
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
        match self.unified().ok().or_else(|| self.freezer()).or_else(|| self.places.first()) {
            Some(place) => place.processes(),
            None => Ok(Vec::new()),
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
