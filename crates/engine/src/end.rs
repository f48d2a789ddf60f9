//! Ending a container: signals, stop, removal.

use crate::{
    Engine, create,
    events::{Subject, tell, tell_of_volumes},
    options::RemoveOptions,
    record::Record,
    volumes,
};
use dhow_base::{Doing, Error, Kind, Result, id::Name};
use dhow_image::Images;
use dhow_state::{
    Owner,
    containers::{self, Container, Phase},
};
use rustix::{
    event::{PollFd, PollFlags, Timespec},
    process::{Pid, PidfdFlags, Signal},
};
use std::{
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

pub(crate) const SIGKILL: i32 = 9;
/// How long a killed container is waited for; only the kernel could hold it up.
const KILL_PATIENCE: Duration = Duration::from_secs(10);

/// The end of a container that was to be removed then.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Died {
    /// The exit code.
    pub(crate) code: i32,
    /// Whether its monitor has seen the end, and not only we that nothing is there.
    pub(crate) is_seen: bool,
}

/// How a container is asked to end.
#[derive(Clone, Copy, Debug, Default)]
pub struct StopOptions {
    /// How long it is given; below zero without an end. The container's own unless said.
    pub timeout_seconds: Option<i64>,
    /// The signal that asks it; the container's own unless said.
    pub signal: Option<i32>,
}

impl StopOptions {
    /// The container's own signal, and so long.
    pub fn within(seconds: Option<u32>) -> Self {
        Self { timeout_seconds: seconds.map(i64::from), signal: None }
    }
}

/// How long somebody is waited for; without an end where nothing is said.
#[derive(Clone, Copy, Debug)]
struct Patience(Option<Duration>);

impl Patience {
    /// Docker takes what is below zero for no end.
    fn of_seconds(seconds: i64) -> Self {
        Self(u64::try_from(seconds).ok().map(Duration::from_secs))
    }
}

impl Engine {
    /// Sends a signal to a container's first process. One that ends it is the user's word: its
    /// restart policy does not answer it.
    pub fn kill(&mut self, container: &str, signal: i32) -> Result<()> {
        let row = self.steady(container)?;
        let doing = || format!("send signal {signal} to container {}", row.name);
        let record = Record::parse(&row.settings)?;
        let ends = signal == SIGKILL || signal == record.stop_signal;
        if ends && row.phase == Phase::Restarting {
            return self.end_pause(&row);
        }
        let process = running(&row).doing(doing)?;
        if ends {
            self.state.write(|write| containers::mark_stopped(write, &row.id))?;
        }
        if !send(process, signal).doing(doing)? {
            return Err(not_running(&row));
        }
        if signal == SIGKILL && row.course.paused {
            dhow_monitor::thaw(&self.layout.config(&row.id), &row.id)?;
        }
        let number = signal.to_string();
        self.state
            .write(|write| tell(write, &Subject::of(&row, &record), "kill", &[("signal", &number)]))
    }

    /// Asks a container to end, and kills it when it has not after a while. One that does not run is
    /// fine, and one that waits for its next life waits no longer.
    pub fn stop(&mut self, container: &str, options: &StopOptions) -> Result<()> {
        let row = self.steady(container)?;
        match row.phase {
            Phase::Running => {
                // First: however it ends from now on, it is the user's will.
                self.state.write(|write| containers::mark_stopped(write, &row.id))?;
                self.stop_row(&row, options).doing(|| format!("stop container {}", row.name))
            }
            Phase::Restarting => self.end_pause(&row),
            _ => Ok(()),
        }
    }

    /// Takes the next life from a container that waits for it.
    fn end_pause(&mut self, row: &Container) -> Result<()> {
        let turn = self.turn(&row.id)?;
        let waiting = self.state.write(|write| containers::mark_stopped(write, &row.id))?;
        if waiting.is_some() {
            crate::restart::dismiss(waiting)?;
            return self.leave_objects(&turn, row);
        }
        drop(turn);
        // Its pause was over a moment ago.
        self.stop(row.id.as_str(), &StopOptions::default())
    }

    fn stop_row(&mut self, row: &Container, options: &StopOptions) -> Result<()> {
        let record = Record::parse(&row.settings)?;
        let process = running(row)?;
        let patience = match options.timeout_seconds {
            Some(seconds) => Patience::of_seconds(seconds),
            None => Patience::of_seconds(i64::from(record.stop_timeout_seconds)),
        };
        let Some(handle) = open(process)? else { return self.settle(row) };
        signal(&handle, options.signal.unwrap_or(record.stop_signal))?;
        if row.course.paused {
            dhow_monitor::thaw(&self.layout.config(&row.id), &row.id)?;
        }
        if !ended_within(&handle, patience.0)? && !self.kill_and_wait(row, &handle)? {
            let text = format!("process {} does not end", process.pid);
            return Err(Error::new(Kind::TimedOut, text));
        }
        self.settle(row)?;
        self.state.write(|write| tell(write, &Subject::of(row, &record), "stop", &[]))
    }

    /// Waits for the monitor's word and takes it over.
    pub(crate) fn settle(&mut self, row: &Container) -> Result<()> {
        // The monitor writes its record before it goes; an error says that it went without.
        let _record = dhow_monitor::wait_for_exit(
            &self.layout.run(&row.id),
            &self.layout.exit_record(&row.id),
        );
        self.finish(&row.id, row.monitor.map_or(0, |monitor| monitor.pid))
    }

    /// Removes a container.
    pub fn remove(&mut self, container: &str, options: RemoveOptions) -> Result<()> {
        let seen = self.steady(container)?;
        // A life that somebody is about to begin is to be whole when it is taken away.
        let _turn = self.turn(&seen.id)?;
        let row = create::look_up(&self.state, seen.id.as_str())?;
        if matches!(row.phase, Phase::Running | Phase::Restarting) && !options.force {
            return Err(Error::new(
                Kind::Conflict,
                format!("remove container {}: it is {}", row.name, row.phase.word()),
            )
            .hint("stop it first, or use --force"));
        }
        self.check_not_infra(Record::parse(&row.settings)?.pod.as_deref(), &row.id)?;
        if !options.force {
            self.check_unmounted(&row)?;
        }
        self.remove_row(&row, options).doing(|| format!("remove container {}", row.name))
    }

    pub(crate) fn remove_row(&mut self, row: &Container, options: RemoveOptions) -> Result<()> {
        self.take_away(row, options, None)
    }

    /// Removes a container that was to be removed at its end, which has come.
    pub(crate) fn remove_ended(&mut self, row: &Container, died: Died) -> Result<()> {
        let options = RemoveOptions { force: true, volumes: true };
        self.take_away(row, options, Some(died))?;
        self.remove_image_of(row);
        Ok(())
    }

    /// Removes the image of a container that has come to its end, where that was asked for. One that others
    /// use stays, as does one that somebody has removed or named anew. The container is gone by then, and
    /// its end is what counts: what fails here is a warning.
    pub(crate) fn remove_image_of(&mut self, row: &Container) {
        match self.try_to_remove_image_of(row) {
            Err(error) if !matches!(error.kind(), Kind::Conflict | Kind::NotFound) => {
                (self.warn)(&format!("remove image {}: {}", row.image_name, error.one_line()));
            }
            _ => {}
        }
    }

    fn try_to_remove_image_of(&mut self, row: &Container) -> Result<()> {
        if !Record::parse(&row.settings)?.life.remove_image {
            return Ok(());
        }
        let found = self.images.find(&self.state, &row.image_name)?;
        if found.map(|image| image.manifest) != row.image {
            return Ok(());
        }
        let name = std::slice::from_ref(&row.image_name);
        self.images.remove(&mut self.state, name, false).map(drop)
    }

    fn take_away(
        &mut self,
        row: &Container,
        options: RemoveOptions,
        died: Option<Died>,
    ) -> Result<()> {
        let owner = Some(Owner::current()?);
        let from = [
            Phase::Creating,
            Phase::Created,
            Phase::Starting,
            Phase::Running,
            Phase::Restarting,
            Phase::Exited,
            Phase::Removing,
        ];
        // Who comes second finds no row, or takes over from somebody who is as far as we are: each
        // step below may be done twice.
        let now = self.state.write(|write| {
            let now = containers::find(write, &row.id)?;
            containers::advance(write, &row.id, &from, Phase::Removing, owner)?;
            if options.volumes && now.as_ref().is_some_and(|now| !now.auto_remove) {
                containers::remove_with_volumes(write, &row.id)?;
            }
            Ok(now)
        })?;
        let Some(now) = now else { return Ok(()) };
        if now.phase == Phase::Restarting {
            crate::restart::dismiss(now.owner)?;
        }
        match now.process {
            Some(process) => {
                if let Some(handle) = open(process)? {
                    self.kill_and_wait(&now, &handle)?;
                }
            }
            None if matches!(now.phase, Phase::Creating | Phase::Starting) => {
                self.end_unwritten(&now)?;
            }
            None => {}
        }
        self.erase(&now, options, died)
    }

    /// Takes away what a `removing` row names, then the row. Everything is tried; the row stays if
    /// anything stayed.
    fn erase(&mut self, row: &Container, options: RemoveOptions, died: Option<Died>) -> Result<()> {
        let record = Record::parse(&row.settings)?;
        let mut root = None;
        if died.is_some_and(|died| died.is_seen) && record.ends_with_its_first() {
            // Nobody is left who uses it; the monitor takes the cgroup away meanwhile.
            root = self.images.empty_container_root(&self.state, &row.id)?;
        }
        self.bury(row)?;
        let left = self.lower_networks(&row.id, &record)?;
        if left.is_some() {
            self.lower_ground(Some(&row.id))?;
        }
        self.images.forget_container_mount(&mut self.state, &row.id)?;
        create::remove_files(&self.layout, &row.id)?;
        if root.is_none() {
            root = self.images.empty_container_root(&self.state, &row.id)?;
        }
        if let Some(project) = record.root_project {
            volumes::quota::release(&self.layout.containers(), project)?;
        }
        let mounted = if record.has_volumes() {
            self.volumes_mut().with_mounts(&row.id)?
        } else {
            Vec::new()
        };
        let doomed = match options.volumes {
            true => record.anonymous_volumes()?,
            false => Vec::new(),
        };
        // With the row goes what says that they are to go: so they say it themselves from then on.
        let locks = volumes::lock_all(&self.layout, &doomed)?;
        self.state.write(|write| {
            containers::delete(write, &row.id)?;
            if let Some(root) = root {
                Images::forget_root(write, root)?;
            }
            for name in &doomed {
                volumes::mark_unused(write, name)?;
            }
            if let Some(plan) = &left {
                Self::write_left(write, &row.id, plan)?;
            }
            if let Some(died) = died {
                let code = died.code.to_string();
                tell(write, &Subject::of(row, &record), "die", &[("exitCode", &code)])?;
                tell_of_volumes(write, &row.id, &record, "unmount")?;
            }
            tell(write, &Subject::of(row, &record), "destroy", &[])
        })?;
        drop(locks);
        self.let_go(row, &record, &mounted, &doomed)
    }

    /// Lets go of the volumes, and of what its pod shares, of a container that is gone.
    fn let_go(
        &mut self,
        row: &Container,
        record: &Record,
        mounted: &[Name],
        doomed: &[Name],
    ) -> Result<()> {
        self.volumes_mut().detach_for(&row.id, mounted)?;
        if let Some(pod) = &record.pod {
            self.leave_pod(&pod.parse()?, &row.id)?;
        }
        self.volumes_mut().remove_unused(doomed)
    }

    /// Kills a container's process, also a frozen one, and waits until it is gone; whether it is.
    pub(crate) fn kill_and_wait(&self, row: &Container, handle: &OwnedFd) -> Result<bool> {
        signal(handle, SIGKILL)?;
        // What cannot be thawed is not frozen, or is found when the cgroup is removed.
        let _thawed = dhow_monitor::thaw(&self.layout.config(&row.id), &row.id);
        ended_within(handle, Some(KILL_PATIENCE))
    }

    /// As [`Engine::bury`], unless another life has begun; whether it has not.
    pub(crate) fn bury_unless_kept(&mut self, row: &Container) -> Result<bool> {
        let (run, config) = (self.layout.run(&row.id), self.layout.config(&row.id));
        dhow_monitor::bury_unless_kept(&run, &config, &row.id)
    }

    /// Waits until the monitor is gone and has taken the cgroup with it, or does its work.
    pub(crate) fn bury(&mut self, row: &Container) -> Result<()> {
        dhow_monitor::bury(&self.layout.run(&row.id), &self.layout.config(&row.id), &row.id)
    }
}

fn running(row: &Container) -> Result<Owner> {
    row.process.filter(|_| row.phase == Phase::Running).ok_or_else(|| not_running(row))
}

fn not_running(row: &Container) -> Error {
    Error::new(Kind::Conflict, format!("container {} is not running", row.name))
}

/// A handle on exactly this process; `None` says that it is gone.
pub(crate) fn open(process: Owner) -> Result<Option<OwnedFd>> {
    let Some(pid) = Pid::from_raw(process.pid) else { return Ok(None) };
    let handle = match rustix::process::pidfd_open(pid, PidfdFlags::empty()) {
        Ok(handle) => handle,
        Err(rustix::io::Errno::SRCH) => return Ok(None),
        Err(errno) => return Err(errno).doing(|| format!("open process {}", process.pid)),
    };
    // The handle is of whoever has the pid now; its start time says whether that is who we mean.
    Ok(process.is_alive()?.then_some(handle))
}

fn send(process: Owner, number: i32) -> Result<bool> {
    match open(process)? {
        Some(handle) => signal(&handle, number).map(|()| true),
        None => Ok(false),
    }
}

pub(crate) fn signal(handle: &OwnedFd, number: i32) -> Result<()> {
    let signal = dhow_sys::signal::from_number(number).ok_or_else(|| {
        Error::new(Kind::Invalid, format!("send signal {number}: signals are 1 to 64"))
    })?;
    let signal: Signal = signal;
    match rustix::process::pidfd_send_signal(handle, signal) {
        // Gone already is what was wanted.
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(errno) => Err(errno).doing(|| format!("send signal {number}")),
    }
}

/// Whether the process has ended after at most `patience`.
fn ended_within(handle: &OwnedFd, patience: Option<Duration>) -> Result<bool> {
    let deadline = patience.and_then(|patience| Instant::now().checked_add(patience));
    loop {
        let timeout = deadline.map(|deadline| {
            let left = deadline.saturating_duration_since(Instant::now());
            Timespec {
                tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: left.subsec_nanos().into(),
            }
        });
        let mut fds = [PollFd::new(handle, PollFlags::IN)];
        match rustix::event::poll(&mut fds, timeout.as_ref()) {
            Ok(0) => return Ok(false),
            Ok(_) => return Ok(true),
            Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno).doing(|| "wait for a process"),
        }
    }
}
