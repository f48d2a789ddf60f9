//! The end of a monitor's life: the process has ended.
//!
//! ```text
//!   reap ─▶ drain output ─▶ exit record ─▶ delete ─▶ tell clients ─▶ erase what is left
//!                       └─ tell who removes the container ──────────── who lets us
//! ```

use super::{HUNG_UP_PAUSE, ReadOutcome, Watch};
use crate::{
    Exit, ExitRecord, Task,
    connection::{Connection, Role},
    frame::Frame,
    log::Writer,
};
use dhow_base::{Error, clock::Moment, tree};
use dhow_sys::procfs::Procfs;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::{
    os::fd::{AsFd, OwnedFd},
    time::Instant,
};

/// Output that is taken after the exit, at most: somebody else may hold the stream and go on.
const DRAIN_LIMIT_BYTES: usize = 16 << 20;

/// How the watch over a process came to its end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AtEnd {
    /// Whether the client that started it has heard of the end and is the one to clean up.
    pub(crate) has_heard: bool,
    /// The exit code.
    pub(crate) code: u8,
}

impl Watch<'_> {
    /// The process has ended. What is needed here only is no part of the frame that sleeps.
    #[inline(never)]
    pub(super) fn end(mut self) -> AtEnd {
        let reaped = self.process.reap();
        let finished_at = Moment::now();
        if let Some(health) = &mut self.health {
            health.abandon();
        }
        self.drain();
        let mut record = self.record(reaped, finished_at);
        self.tell_who_removes(record.exit);
        drop(self.mounts.take());
        self.keep(&record);
        if let Err(error) = self.process.delete() {
            add_problem(&mut record, &error);
        }
        // Processes that outlived the first one, outside a PID namespace, may have written more.
        self.drain();
        if let Some(log) = &mut self.log {
            log.finish();
        }
        record.log_lost_bytes = self.log.as_ref().map_or(0, Writer::lost_bytes);
        if record.problem.is_some() || record.log_lost_bytes > 0 {
            self.keep(&record);
        }
        let code = record.exit.code;
        AtEnd { has_heard: self.say_goodbye(record.exit), code }
    }

    /// Whether the client that has started the container may leave its files to us.
    pub(super) fn leaves_something(&self) -> bool {
        matches!(&self.job.task, Task::Run(run) if !run.leavings.is_empty())
    }

    /// The container's mount namespace; nothing where the container has ended already.
    pub(super) fn mount_namespace(&self) -> Option<OwnedFd> {
        Procfs::of_host().ok()?.namespace(&self.process.pid.to_string(), "mnt").ok()
    }

    /// A record that cannot be written is missed by those who come later. Who is here hears.
    fn keep(&self, record: &ExitRecord) {
        if let Some(home) = self.job.home() {
            let _written = record.write(&home.exit_record);
        }
    }

    /// Tells the client that removes the container, where all of its output has come to an end.
    fn tell_who_removes(&mut self, exit: Exit) {
        let is_removed = matches!(&self.job.task, Task::Run(run) if run.removed_at_end);
        if is_removed && self.outputs.iter().all(|output| output.ended) {
            let starters = self.connections.iter_mut();
            starters
                .filter(|connection| connection.role == Role::Starter && connection.attached)
                .for_each(|connection| connection.say_exited(exit));
        }
    }

    fn record(&self, reaped: Result<Exit, Error>, finished_at: Moment) -> ExitRecord {
        let mut record = ExitRecord {
            exit: Exit { code: u8::MAX, signal: None, oom_killed: false },
            started_at: Some(self.started.moment()),
            finished_at: Some(finished_at),
            log_lost_bytes: self.log.as_ref().map_or(0, Writer::lost_bytes),
            problem: None,
        };
        match reaped {
            Ok(exit) => record.exit = exit,
            Err(error) => add_problem(&mut record, &error),
        }
        record
    }

    /// Takes what was written before the exit. With the last process of a PID namespace all ends
    /// are closed, so this comes to the end; a process elsewhere that still holds one is not waited
    /// for.
    fn drain(&mut self) {
        for index in 0..self.outputs.len() {
            let mut drained_bytes = 0;
            while drained_bytes < DRAIN_LIMIT_BYTES && !self.outputs[index].ended {
                match self.read_once(index) {
                    ReadOutcome::Bytes(count) => drained_bytes += count,
                    ReadOutcome::NothingNow => break,
                    ReadOutcome::Ended => self.outputs[index].ended = true,
                }
            }
        }
    }

    /// Tells everybody, and waits until they have heard: the starter as long as it likes.
    fn say_goodbye(mut self, exit: Exit) -> bool {
        // Who knocks from now on finds no door, and reads the record.
        let _lock = match (self.door.take(), self.job.home()) {
            (Some(door), Some(home)) => {
                let _removed = rustix::fs::unlink(home.directory.join(crate::client::SOCKET));
                Some(door.lock)
            }
            _ => None,
        };
        for connection in &mut self.connections {
            connection.say_exited(exit);
        }
        loop {
            let now = Instant::now();
            for connection in &mut self.connections {
                connection.give_up_if_due(now);
            }
            let waiting =
                |connection: &&mut Connection| !connection.gone && connection.has_unsent();
            let mut waiting: Vec<_> = self.connections.iter_mut().filter(waiting).collect();
            if waiting.is_empty() {
                break;
            }
            send_to_all(&mut waiting, now);
        }
        let has_heard = self.job.attached
            && self.connections.iter().any(|connection| {
                connection.role == Role::Starter && !connection.gone && !connection.detached
            });
        self.erase_leavings();
        has_heard
    }

    /// Takes away what goes with the container, when the client that has started it says that the rows are
    /// gone. One that goes without a word has its reasons, or was killed: then it is for others.
    fn erase_leavings(&mut self) {
        let Task::Run(run) = &self.job.task else { return };
        let starter = |connection: &&mut Connection| {
            connection.role == Role::Starter && !connection.gone && !connection.detached
        };
        let Some(starter) = self.connections.iter_mut().find(starter) else { return };
        if run.leavings.is_empty() {
            return;
        }
        while !starter.gone {
            let mut fds = [PollFd::from_borrowed_fd(starter.as_fd(), PollFlags::IN)];
            if poll(&mut fds, None).is_err_and(|errno| errno != rustix::io::Errno::INTR) {
                return;
            }
            if starter.receive().contains(&Frame::Erase) {
                for directory in &run.leavings {
                    // What stays is found by the next command, which can tell of it.
                    let _removed = tree::remove(directory);
                }
                return;
            }
        }
    }
}

/// Waits until one of the clients takes something, or has tried our patience.
fn send_to_all(waiting: &mut [&mut Connection], now: Instant) {
    let timeout = waiting
        .iter()
        .filter_map(|connection| connection.deadline())
        .map(|deadline| deadline.saturating_duration_since(now))
        .min()
        .map(|timeout| Timespec::try_from(timeout).expect("timeouts are seconds, not centuries"));
    let mut fds: Vec<_> = waiting
        .iter()
        .map(|connection| PollFd::from_borrowed_fd(connection.as_fd(), PollFlags::OUT))
        .collect();
    let polled = poll(&mut fds, timeout.as_ref());
    drop(fds);
    if polled.is_err_and(|errno| errno != rustix::io::Errno::INTR) {
        std::thread::sleep(HUNG_UP_PAUSE);
    }
    for connection in waiting {
        connection.send();
    }
}

fn add_problem(record: &mut ExitRecord, error: &Error) {
    let problem = error.one_line();
    record.problem = Some(match record.problem.take() {
        Some(earlier) => format!("{earlier}; {problem}"),
        None => problem,
    });
}
