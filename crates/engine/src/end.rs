//! Ending a container: signals, stop, removal.

use crate::{Engine, create, options::RemoveOptions, record::Record};
use dhow_base::{Doing, Error, Kind, Result, id::Name};
use dhow_state::{
    Owner,
    containers::{self, Container, Phase},
    events,
};
use rustix::{
    event::{PollFd, PollFlags, Timespec},
    process::{Pid, PidfdFlags, Signal},
};
use std::{
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

const SIGKILL: i32 = 9;
/// How long a killed container is waited for; only the kernel could hold it up.
const KILL_PATIENCE: Duration = Duration::from_secs(10);

impl Engine {
    /// Sends a signal to a container's first process.
    pub fn kill(&mut self, container: &str, signal: i32) -> Result<()> {
        let row = self.look_up(container)?;
        let process =
            running(&row).doing(|| format!("send signal {signal} to container {}", row.name))?;
        if !send(process, signal)
            .doing(|| format!("send signal {signal} to container {}", row.name))?
        {
            return Err(not_running(&row));
        }
        self.state.write(|write| {
            events::record(
                write,
                "container",
                "kill",
                row.id.as_str(),
                &format!("{{\"signal\":{signal}}}"),
            )
        })
    }

    /// Asks a container to end, and kills it when it has not after a while. One that does not run is
    /// fine.
    pub fn stop(&mut self, container: &str, timeout_seconds: Option<u32>) -> Result<()> {
        let row = self.look_up(container)?;
        if row.phase != Phase::Running {
            return Ok(());
        }
        self.stop_row(&row, timeout_seconds).doing(|| format!("stop container {}", row.name))
    }

    fn stop_row(&mut self, row: &Container, timeout_seconds: Option<u32>) -> Result<()> {
        let record = Record::parse(&row.settings)?;
        let process = running(row)?;
        let seconds = timeout_seconds.unwrap_or(record.stop_timeout_seconds);
        let Some(handle) = open(process)? else { return self.settle(row) };
        signal(&handle, record.stop_signal)?;
        let patience = Duration::from_secs(seconds.into());
        if !ended_within(&handle, patience)? && !self.kill_and_wait(row, &handle)? {
            let text = format!("process {} does not end", process.pid);
            return Err(Error::new(Kind::TimedOut, text));
        }
        self.state
            .write(|write| events::record(write, "container", "stop", row.id.as_str(), "{}"))?;
        self.settle(row)
    }

    /// Waits for the monitor's word and takes it over.
    fn settle(&mut self, row: &Container) -> Result<()> {
        // The monitor writes its record before it goes; an error says that it went without.
        let _record = dhow_monitor::wait_for_exit(
            &self.layout.run(&row.id),
            &self.layout.exit_record(&row.id),
        );
        self.cleanup(&row.id)
    }

    /// Removes a container.
    pub fn remove(&mut self, container: &str, options: RemoveOptions) -> Result<()> {
        let row = self.look_up(container)?;
        if matches!(row.phase, Phase::Running | Phase::Starting) && !options.force {
            return Err(Error::new(
                Kind::Conflict,
                format!("remove container {}: it is running", row.name),
            )
            .hint("stop it first, or use --force"));
        }
        self.remove_row(&row, options).doing(|| format!("remove container {}", row.name))
    }

    pub(crate) fn remove_row(&mut self, row: &Container, options: RemoveOptions) -> Result<()> {
        let owner = Some(Owner::current()?);
        let from = [
            Phase::Creating,
            Phase::Created,
            Phase::Starting,
            Phase::Running,
            Phase::Exited,
            Phase::Removing,
        ];
        // Who comes second finds no row, or takes over from somebody who is as far as we are: each
        // step below may be done twice.
        if !self
            .state
            .write(|write| containers::advance(write, &row.id, &from, Phase::Removing, owner))?
        {
            return Ok(());
        }
        if let Some(process) = row.process
            && let Some(handle) = open(process)?
        {
            self.kill_and_wait(row, &handle)?;
        }
        self.erase(row, options)
    }

    /// Takes away what a `removing` row names, then the row. Everything is tried; the row stays if
    /// anything stayed.
    pub(crate) fn erase(&mut self, row: &Container, options: RemoveOptions) -> Result<()> {
        let record = Record::parse(&row.settings)?;
        self.bury(row)?;
        create::remove_files(&self.layout, &row.id)?;
        self.images.remove_container_root(&mut self.state, &row.id)?;
        let mounted = if record.has_volumes() {
            self.volumes_mut().with_mounts(&row.id)?
        } else {
            Vec::new()
        };
        self.state.write(|write| {
            containers::delete(write, &row.id)?;
            events::record(write, "container", "destroy", row.id.as_str(), "{}")
        })?;
        self.let_go(row, &record, &mounted, options)
    }

    /// Lets go of the volumes, and of what its pod shares, of a container that is gone.
    fn let_go(
        &mut self,
        row: &Container,
        record: &Record,
        mounted: &[Name],
        options: RemoveOptions,
    ) -> Result<()> {
        self.volumes_mut().detach_for(&row.id, mounted)?;
        if let Some(pod) = &record.pod {
            self.pods_mut().sink_for(&pod.parse()?, &row.id)?;
        }
        if !options.volumes {
            return Ok(());
        }
        let anonymous = record.mounts.iter().filter(|mount| mount.anonymous);
        let names: Vec<Name> = anonymous.map(|mount| mount.name.parse()).collect::<Result<_>>()?;
        self.volumes_mut().remove_unused(&names)
    }

    /// Kills a container's process, also a frozen one, and waits until it is gone; whether it is.
    pub(crate) fn kill_and_wait(&self, row: &Container, handle: &OwnedFd) -> Result<bool> {
        signal(handle, SIGKILL)?;
        // What cannot be thawed is not frozen, or is found when the cgroup is removed.
        let _thawed = dhow_monitor::thaw(&self.layout.config(&row.id), &row.id);
        ended_within(handle, KILL_PATIENCE)
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

fn signal(handle: &OwnedFd, number: i32) -> Result<()> {
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
fn ended_within(handle: &OwnedFd, patience: Duration) -> Result<bool> {
    let deadline = Instant::now() + patience;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: left.subsec_nanos().into(),
        };
        let mut fds = [PollFd::new(handle, PollFlags::IN)];
        match rustix::event::poll(&mut fds, Some(&timeout)) {
            Ok(0) => return Ok(false),
            Ok(_) => return Ok(true),
            Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno).doing(|| "wait for a process"),
        }
    }
}
