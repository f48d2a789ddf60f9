//! News of processes that want more memory than their cgroup has.
//!
//! ```text
//!   Cgroup::watch_oom ──▶ OomWatch ──▶ wait until its fd is readable ──▶ take() ──▶ news
//!                                           ▲                                       │
//!                                           └───────────── alive ───────────────────┘
//! ```
//!
//! Version 1 tells by an eventfd that is handed to `memory.oom_control`, version 2 by inotify on
//! `memory.events` and `cgroup.events`. Both also speak when nothing of interest happened, so what
//! counts is what [`OomWatch::take`] finds.

use crate::place::{Place, keyed};
use dhow_base::{Doing, Error, Kind, Result};
use rustix::{
    event::EventfdFlags,
    fs::inotify::{CreateFlags, WatchFlags},
    io::Errno,
};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// A cgroup whose memory is watched.
#[derive(Debug)]
pub struct OomWatch {
    source: Source,
    /// Kills that were counted before the last look.
    kills: u64,
}

/// What happened since the last look.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct OomNews {
    /// How often memory ran out. On version 1, processes that must wait for memory because killing
    /// is turned off count too.
    pub events: u64,
    /// Whether there is nothing left to watch: the cgroup is gone, or nobody is in it any more.
    pub is_over: bool,
}

#[derive(Debug)]
enum Source {
    Legacy { directory: OwnedFd, event: OwnedFd },
    Unified { directory: OwnedFd, inotify: OwnedFd },
}

impl OomWatch {
    /// Version 1, on the memory controller's directory.
    pub(crate) fn legacy(place: &Place) -> Result<Self> {
        let doing = || format!("watch the memory of cgroup {}", place.name());
        let directory = place.directory()?.try_clone().doing(doing)?;
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        let event = rustix::event::eventfd(0, flags).doing(doing)?;
        let control = place.open_file("memory.oom_control")?;
        let line = format!("{} {}", event.as_raw_fd(), control.as_raw_fd());
        place.write("cgroup.event_control", &line)?;
        let kills = place.keyed("memory.oom_control", "oom_kill").unwrap_or(0);
        Ok(Self { source: Source::Legacy { directory, event }, kills })
    }

    /// Version 2.
    pub(crate) fn unified(place: &Place) -> Result<Self> {
        let doing = || format!("watch the memory of cgroup {}", place.name());
        let kills = place
            .keyed("memory.events", "oom_kill")
            .ok_or_else(|| place.missing("the memory that is watched", "memory"))?;
        let directory = place.directory()?.try_clone().doing(doing)?;
        let flags = CreateFlags::CLOEXEC | CreateFlags::NONBLOCK;
        let inotify = rustix::fs::inotify::init(flags).doing(doing)?;
        for file in ["memory.events", "cgroup.events"] {
            // By the fd, since the path may lead elsewhere by now.
            let path = format!("/proc/self/fd/{}/{file}", directory.as_raw_fd());
            rustix::fs::inotify::add_watch(&inotify, path, WatchFlags::MODIFY).doing(doing)?;
        }
        Ok(Self { source: Source::Unified { directory, inotify }, kills })
    }

    /// Looks what happened since the last look, or since the watch began. Does not wait.
    pub fn take(&mut self) -> Result<OomNews> {
        match &self.source {
            Source::Legacy { directory, event } => {
                let told = drain_event(event).doing(|| "read news of memory")?;
                // The kernel also tells when the cgroup is removed; then its files are gone.
                let control = Place::read_in(directory, "memory.oom_control");
                let Some(kills) = control.ok().and_then(|text| keyed(&text, "oom_kill")) else {
                    return Ok(OomNews { events: 0, is_over: true });
                };
                let killed = kills.saturating_sub(self.kills);
                self.kills = kills;
                Ok(OomNews { events: told.max(killed), is_over: false })
            }
            Source::Unified { directory, inotify } => {
                drain_inotify(inotify).doing(|| "read news of memory")?;
                let read =
                    |file: &str, key: &str| keyed(&Place::read_in(directory, file).ok()?, key);
                let kills = read("memory.events", "oom_kill").unwrap_or(self.kills);
                let events = kills.saturating_sub(self.kills);
                self.kills = kills;
                let is_over = read("cgroup.events", "populated") != Some(1);
                Ok(OomNews { events, is_over })
            }
        }
    }
}

impl AsFd for OomWatch {
    /// Readable when there may be news.
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.source {
            Source::Legacy { event, .. } => event.as_fd(),
            Source::Unified { inotify, .. } => inotify.as_fd(),
        }
    }
}

/// Why a machine without the controller cannot tell.
pub(crate) fn unwatchable() -> Error {
    Error::new(Kind::Unsupported, "watch memory: this machine has no cgroup controller memory")
}

fn drain_event(event: &OwnedFd) -> rustix::io::Result<u64> {
    let mut count = [0; 8];
    match rustix::io::read(event, &mut count) {
        Ok(_) => Ok(u64::from_ne_bytes(count)),
        Err(Errno::AGAIN | Errno::INTR) => Ok(0),
        Err(errno) => Err(errno),
    }
}

fn drain_inotify(inotify: &OwnedFd) -> rustix::io::Result<()> {
    let mut buffer = [0; 4096];
    loop {
        match rustix::io::read(inotify, &mut buffer) {
            Ok(0) | Err(Errno::AGAIN) => return Ok(()),
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}
