//! Events read back: those that were, and those that come.
//!
//! Each change of an object has written an event into the state database, whatever command made it.
//! Who follows them waits for the database's write-ahead log to change (inotify), so nothing is
//! asked again and again, and no process has to be told that somebody listens.

use crate::Engine;
use dhow_base::{Doing, Result, clock::Moment};
use dhow_state::events::{self, Event};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::inotify::{self, CreateFlags, WatchFlags},
};
use std::{os::fd::OwnedFd, time::Duration};

/// How many events are read at once.
const PAGE: usize = 500;

/// A change that the kernel did not tell of is seen so much later.
const PATIENCE: Duration = Duration::from_secs(2);

/// The events of a time, oldest first.
#[derive(Debug)]
pub struct History<'a> {
    engine: &'a Engine,
    last: i64,
    since: Option<Moment>,
    until: Option<Moment>,
    changes: Option<OwnedFd>,
}

impl Engine {
    /// Events from a moment on, or from now on; up to a moment, which may lie in the future, or
    /// without an end. Where they are not followed, there are those that were.
    pub fn events(
        &self,
        since: Option<Moment>,
        until: Option<Moment>,
        follow: bool,
    ) -> Result<History<'_>> {
        // Before the first reading: what is written after that is then told of.
        let changes = if follow { Some(self.watch_state()?) } else { None };
        let last = match since {
            None if follow => events::newest(self.state.read())?,
            _ => 0,
        };
        Ok(History { engine: self, last, since, until, changes })
    }

    fn watch_state(&self) -> Result<OwnedFd> {
        let directory = self.layout.root();
        let doing = || format!("watch {}", directory.display());
        let changes = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).doing(doing)?;
        // The directory and not the log itself, which may be made anew. The log is written before its
        // index, without which a reader does not see it; the lock of a writer is closed after both.
        let flags = WatchFlags::MODIFY | WatchFlags::CREATE | WatchFlags::CLOSE;
        inotify::add_watch(&changes, directory, flags).doing(doing)?;
        Ok(changes)
    }
}

impl History<'_> {
    /// The next events, at least one; none where there will be no more. Waits for them.
    pub fn next_page(&mut self) -> Result<Vec<Event>> {
        loop {
            let mut page = events::list(self.engine.state.read(), self.last, self.since, PAGE)?;
            if let Some(event) = page.last() {
                self.last = event.number;
            }
            let count = page.len();
            if let Some(until) = self.until {
                page.retain(|event| event.at <= until);
                if page.len() < count {
                    self.changes = None;
                    self.last = i64::MAX;
                }
            }
            if !page.is_empty() || self.last == i64::MAX || !self.wait()? {
                return Ok(page);
            }
        }
    }

    /// Waits for a change; `false` says that the time is over.
    fn wait(&self) -> Result<bool> {
        let Some(changes) = &self.changes else { return Ok(false) };
        let left = match self.until {
            Some(until) => {
                let left = until.since(Moment::now());
                if left.is_zero() {
                    return Ok(false);
                }
                left.min(PATIENCE)
            }
            None => PATIENCE,
        };
        let timeout = Timespec::try_from(left).expect("two seconds are a timeout");
        let mut fds = [PollFd::new(changes, PollFlags::IN)];
        match poll(&mut fds, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno).doing(|| "wait for events"),
        }
        let mut told = [0_u8; 4096];
        while rustix::io::read(changes, &mut told).is_ok_and(|count| count > 0) {}
        Ok(true)
    }
}
