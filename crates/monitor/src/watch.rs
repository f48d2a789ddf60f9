//! The monitor's life while the process lives: one `poll` over everything. The end has a file of its
//! own.
//!
//! ```text
//!            ┌────────── wait ◀──────────┐
//!            ▼                           │
//!   clients: input, signals, size        │
//!   output:  to the log, to clients ─────┘   (not read while an attached client is behind)
//!   process: ended ─▶ reap ─▶ drain output ─▶ exit record ─▶ delete ─▶ tell clients ─▶ end
//! ```
//!
//! The order at the end is a promise: who hears `Exited` has all the output, finds the record, and
//! finds nothing of the container but its files. One hears it as soon as there is a record: who is to
//! remove the container. That one waits for the monitor before it takes away what both know of.
//!
//! The loop returns from nothing but the exit. What fails on the way (a client, the log, memory for
//! a moment) costs what failed and never the process.

mod end;

pub(crate) use end::AtEnd;

use crate::{
    Job, Started, Stdin,
    connection::{Connection, Role},
    frame::{Failure, Frame},
    health::{self, Health, HealthPlan},
    input::{Input, Kind as InputKind, Taken},
    log::{Stream, Writer},
    network::Kept,
    process::Process,
    serve::Door,
    spawn::as_usual,
};
use dhow_base::{Doing, Error, Kind, clock::Moment};
use dhow_network::Plan;
use dhow_sys::{memory::give_back_and_poll, procfs::Procfs, signal};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    net::SocketFlags,
    process::{Pid, PidfdFlags, Signal},
    termios::Winsize,
};
use std::{
    borrow::Cow,
    ffi::OsString,
    os::fd::{AsFd, OwnedFd},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// How much output is read at once.
const READ_BYTES: usize = 64 << 10;

/// After so long without anything to do, memory is given back.
const REST_AFTER: Duration = Duration::from_secs(1);

/// A wait for which it is worth to give memory back.
const LONG_WAIT: Duration = Duration::from_millis(500);

/// How long a terminal that nobody has open is left alone. Its process may open it again, as an
/// init system does with its console.
const HUNG_UP_PAUSE: Duration = Duration::from_millis(200);

/// With so many clients, the next one waits at the door.
const MOST_CONNECTIONS: usize = 512;

/// Everything that a monitor keeps.
#[derive(Debug)]
pub(crate) struct Watch<'a> {
    job: &'a Job,
    process: Process,
    started: Started,
    // Kept to the end; an exec session has none.
    door: Option<Door>,
    signals: signal::Reader,
    log: Option<Writer>,
    connections: Vec<Connection>,
    next_number: u64,
    input: Input,
    outputs: Vec<Output>,
    buffer: Vec<u8>,
    rested: bool,
    // When the process has lived long enough.
    time_limit: Option<Instant>,
    health: Option<Health<'a>>,
    helpers: Vec<Helper>,
    network: Kept,
    // The container's mount namespace, where somebody waits for the end and for nothing else: the kernel
    // takes it down after we have told them, and not before it tells us.
    mounts: Option<OwnedFd>,
}

/// A command of ours that does something for the monitor, which has no state database.
#[derive(Debug)]
struct Helper {
    process: Child,
    pidfd: OwnedFd,
}

#[derive(Debug)]
struct Output {
    stream: Stream,
    fd: OwnedFd,
    paused_until: Option<Instant>,
    ended: bool,
}

/// What a wait was for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Source {
    Signals,
    Listener,
    Process,
    Input,
    Output(usize),
    Connection(usize),
    Check,
    CheckOutput,
    Helper,
    Network,
}

/// What a read of output brought.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum ReadOutcome {
    Bytes(usize),
    NothingNow,
    Ended,
}

/// What else a monitor has when the process runs.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) door: Option<Door>,
    pub(crate) signals: signal::Reader,
    pub(crate) log: Option<Writer>,
}

impl<'a> Watch<'a> {
    pub(crate) fn new(
        job: &'a Job,
        mut process: Process,
        started: Started,
        place: Place,
        starter: Connection,
    ) -> Self {
        let kind = if process.terminal.is_some() { InputKind::Terminal } else { InputKind::Pipe };
        let input = Input::new(process.input.take(), kind);
        let outputs = std::mem::take(&mut process.outputs)
            .into_iter()
            .map(|(stream, fd)| Output { stream, fd, paused_until: None, ended: false })
            .collect();
        let now = Instant::now();
        let time_limit =
            job.time_limit_ms.and_then(|limit| now.checked_add(Duration::from_millis(limit)));
        let health =
            job.health.as_deref().map(|plan| Health::new(job, Cow::Borrowed(plan), &started));
        Self {
            time_limit,
            health,
            helpers: Vec::new(),
            network: std::mem::take(&mut process.network),
            job,
            process,
            started,
            door: place.door,
            signals: place.signals,
            log: place.log,
            next_number: starter.number + 1,
            connections: vec![starter],
            input,
            outputs,
            buffer: Vec::new(),
            rested: false,
            mounts: None,
        }
    }

    /// Keeps the process until it ends, and tells everybody. Returns whether the client that
    /// started it has heard of the end and is the one to clean up.
    pub(crate) fn run(mut self) -> AtEnd {
        for connection in &mut self.connections {
            connection.say_started(&self.started);
        }
        if self.leaves_something() {
            self.mounts = self.mount_namespace();
        }
        loop {
            let mut ended = false;
            for (source, flags) in self.wait() {
                match source {
                    Source::Signals => self.pass_signals_on(),
                    Source::Listener => self.welcome(),
                    Source::Process => ended = true,
                    Source::Input => self.feed(flags),
                    Source::Output(index) => self.read_output(index),
                    Source::Connection(index) => self.serve(index, flags),
                    Source::Check => self.end_check(),
                    Source::CheckOutput => self.read_check(),
                    Source::Helper => self.reap_helpers(),
                    Source::Network => self.network.work(Instant::now()),
                }
            }
            if ended {
                return self.end();
            }
            self.do_what_is_due();
            self.part_with_the_gone();
        }
    }

    /// Waits until something is to be done.
    fn wait(&mut self) -> Vec<(Source, PollFlags)> {
        let timeout = self.timeout();
        let spec = timeout.map(|timeout| {
            Timespec::try_from(timeout).expect("timeouts are seconds, not centuries")
        });
        let (sources, mut fds): (Vec<_>, Vec<_>) = self.interests().into_iter().unzip();
        let is_long = self.rested && timeout.is_none_or(|timeout| timeout >= LONG_WAIT);
        let count = match is_long {
            true => give_back_and_poll(&mut fds, spec.as_ref()),
            false => poll(&mut fds, spec.as_ref()),
        };
        let ready: Vec<_> = sources
            .into_iter()
            .zip(fds.iter().map(PollFd::revents))
            .filter(|(_, flags)| !flags.is_empty())
            .collect();
        drop(fds);
        match count {
            Ok(0) if timeout == Some(REST_AFTER) => self.rest(),
            Ok(_) => self.rested &= ready.is_empty(),
            Err(rustix::io::Errno::INTR) => return Vec::new(),
            // No memory for the moment; there is nobody to tell and nothing better to do.
            Err(_) => {
                std::thread::sleep(HUNG_UP_PAUSE);
                return Vec::new();
            }
        }
        ready
    }

    fn timeout(&self) -> Option<Duration> {
        let now = Instant::now();
        let resting = (!self.rested).then_some(REST_AFTER);
        let full = self.connections.iter().filter(|connection| connection.is_full());
        let deadlines = full.filter_map(Connection::deadline);
        let pauses = self.outputs.iter().filter_map(|output| output.paused_until);
        let of_health = self.health.as_ref().and_then(Health::deadline);
        let due = of_health.into_iter().chain(self.time_limit).chain(self.network.deadline());
        let waits =
            deadlines.chain(pauses).chain(due).map(|moment| moment.saturating_duration_since(now));
        waits.chain(resting).min()
    }

    fn interests(&self) -> Vec<(Source, PollFd<'_>)> {
        let reading = |fd| PollFd::from_borrowed_fd(fd, PollFlags::IN);
        let mut interests = vec![
            (Source::Signals, reading(self.signals.fd().as_fd())),
            (Source::Process, reading(self.process.pidfd.as_fd())),
        ];
        if let Some(door) = self.door.as_ref().filter(|_| self.connections.len() < MOST_CONNECTIONS)
        {
            interests.push((Source::Listener, reading(door.listener.as_fd())));
        }
        if let Some((fd, has_pending)) = self.input.interest() {
            let flags = if has_pending { PollFlags::OUT } else { PollFlags::empty() };
            interests.push((Source::Input, PollFd::from_borrowed_fd(fd, flags)));
        }
        if let Some(health) = &self.health {
            let (check, outputs) = health.interests();
            interests.extend(check.map(|fd| (Source::Check, reading(fd))));
            interests.extend(outputs.into_iter().map(|fd| (Source::CheckOutput, reading(fd))));
        }
        interests.extend(self.network.fds().map(|fd| (Source::Network, reading(fd))));
        for helper in &self.helpers {
            interests.push((Source::Helper, reading(helper.pidfd.as_fd())));
        }
        let now = Instant::now();
        if !self.connections.iter().any(Connection::is_full) {
            for (index, output) in self.outputs.iter().enumerate() {
                if output.paused_until.is_none_or(|moment| moment <= now) {
                    interests.push((Source::Output(index), reading(output.fd.as_fd())));
                }
            }
        }
        for (index, connection) in self.connections.iter().enumerate() {
            let mut flags = PollFlags::IN;
            flags.set(PollFlags::OUT, connection.has_unsent());
            let fd = PollFd::from_borrowed_fd(connection.as_fd(), flags);
            interests.push((Source::Connection(index), fd));
        }
        interests
    }

    /// SIGTERM to a monitor is meant for what it keeps, as when a service manager stops it.
    fn pass_signals_on(&self) {
        while let Ok(Some(number)) = self.signals.next_signal() {
            if number == Signal::TERM.as_raw() {
                self.process.signal(number);
            }
        }
    }

    fn welcome(&mut self) {
        let Some(door) = &self.door else { return };
        match rustix::net::accept_with(&door.listener, SocketFlags::CLOEXEC) {
            Ok(socket) => {
                let visitor = Connection::new(socket, self.next_number, Role::Visitor);
                self.next_number += 1;
                self.connections.push(visitor);
            }
            Err(
                rustix::io::Errno::AGAIN | rustix::io::Errno::INTR | rustix::io::Errno::CONNABORTED,
            ) => {}
            // Out of fds: the visitor stays at the door, which would be reported at once again.
            Err(_) => std::thread::sleep(HUNG_UP_PAUSE),
        }
    }

    fn feed(&mut self, flags: PollFlags) {
        let taken =
            if flags.contains(PollFlags::OUT) { self.input.write() } else { self.input.give_up() };
        self.account_for(&taken);
    }

    fn account_for(&mut self, taken: &[Taken]) {
        for Taken { client, bytes } in taken {
            let connection = self.connections.iter_mut().find(|other| other.number == *client);
            if let Some(connection) = connection {
                connection.input_bytes -= bytes;
                let count = u32::try_from(*bytes).expect("a window is far below 4 GiB");
                connection.say(&Frame::StdinTaken(count));
            }
        }
    }

    #[inline(never)]
    fn serve(&mut self, index: usize, flags: PollFlags) {
        let connection = &mut self.connections[index];
        if flags.contains(PollFlags::OUT) {
            connection.send();
        }
        if !flags.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR) {
            return;
        }
        let number = connection.number;
        for frame in connection.receive() {
            match frame {
                Frame::Attach => {
                    self.connections[index].attached = true;
                    self.connections[index].say_started(&self.started);
                }
                Frame::Stdin(bytes) => {
                    let taken = self.input.push(number, bytes);
                    self.account_for(&taken);
                }
                Frame::StdinClosed => self.close_input(),
                Frame::Resize(size) => self.resize(Winsize {
                    ws_row: size.rows,
                    ws_col: size.columns,
                    ws_xpixel: 0,
                    ws_ypixel: 0,
                }),
                Frame::Signal(number) => self.process.signal(number),
                Frame::CheckHealth => self.check_now(index),
                Frame::Networks(plan) => self.change_networks(index, *plan),
                Frame::Health(plan) => self.change_health(index, plan),
                Frame::Detach => {
                    self.connections[index].detached = true;
                    self.connections[index].gone = true;
                }
                // What only a monitor says, or a starter as its first word.
                _ => self.connections[index].gone = true,
            }
        }
    }

    fn check_now(&mut self, index: usize) {
        match &mut self.health {
            Some(health) => {
                let outcome = health.ask(self.connections[index].number, Instant::now());
                self.follow(outcome);
            }
            None => {
                let error = Error::new(Kind::Conflict, "the container has no health check");
                self.connections[index].say(&Frame::Failed(Failure::from(&error)));
            }
        }
    }

    #[inline(never)]
    fn change_networks(&mut self, index: usize, plan: Plan) {
        let namespace = Procfs::of_host()
            .and_then(|host| host.namespace(&self.process.pid.to_string(), "net"))
            .doing(|| "open the container's net namespace");
        let changed = namespace.and_then(|there| self.network.change(plan, there.as_fd()));
        let answer = match changed {
            Ok(()) => Frame::NetworksChanged,
            Err(error) => Frame::Failed(Failure::from(&error)),
        };
        self.connections[index].say(&answer);
    }

    #[inline(never)]
    fn change_health(&mut self, index: usize, plan: Option<Box<HealthPlan>>) {
        match (plan, &mut self.health) {
            (Some(plan), Some(health)) => {
                let outcome = health.change(*plan, Instant::now());
                self.follow(outcome);
            }
            (Some(plan), None) => {
                self.health = Some(Health::new(self.job, Cow::Owned(*plan), &self.started));
            }
            (None, Some(health)) => {
                let outcome = health.give_up();
                self.health = None;
                self.follow(outcome);
            }
            (None, None) => {}
        }
        self.connections[index].say(&Frame::HealthChanged);
    }

    fn end_check(&mut self) {
        if let Some(outcome) = self.health.as_mut().map(Health::end) {
            self.follow(outcome);
        }
        // A check has touched most of the runtime; until the next one nothing of that is needed.
        self.rest();
    }

    fn read_check(&mut self) {
        if let Some(health) = &mut self.health {
            health.read_output();
        }
    }

    /// What no file tells of: time has come.
    fn do_what_is_due(&mut self) {
        let now = Instant::now();
        if self.time_limit.is_some_and(|limit| limit <= now) {
            self.time_limit = None;
            self.process.signal(Signal::KILL.as_raw());
        }
        if let Some(health) = &mut self.health
            && health.deadline().is_some_and(|deadline| deadline <= now)
        {
            self.rested = false;
            let outcome = health.tick(now);
            self.follow(outcome);
        }
        if self.network.deadline().is_some_and(|deadline| deadline <= now) {
            self.network.work(now);
        }
    }

    /// Does what a health check has led to.
    fn follow(&mut self, outcome: health::Outcome) {
        for command in &outcome.commands {
            self.help(command);
        }
        for (number, checked) in outcome.answers {
            let connection = self.connections.iter_mut().find(|other| other.number == number);
            if let Some(connection) = connection {
                connection.say(&Frame::Checked(checked));
            }
        }
        if outcome.kills {
            self.process.signal(Signal::KILL.as_raw());
        }
    }

    /// Runs a command of ours. One that cannot be started is missed, and the container goes on.
    fn help(&mut self, command: &[OsString]) {
        let Some((program, arguments)) = command.split_first() else { return };
        let spawned = as_usual(&mut Command::new(program))
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let Ok(process) = spawned else { return };
        let pid = Pid::from_child(&process);
        if let Ok(pidfd) = rustix::process::pidfd_open(pid, PidfdFlags::empty()) {
            self.helpers.push(Helper { process, pidfd });
        }
    }

    fn reap_helpers(&mut self) {
        self.helpers.retain_mut(|helper| matches!(helper.process.try_wait(), Ok(None)));
    }

    fn close_input(&mut self) {
        let taken = self.input.close();
        self.account_for(&taken);
    }

    fn resize(&self, size: Winsize) {
        if let Some(terminal) = &self.process.terminal {
            let _resized = rustix::termios::tcsetwinsize(terminal, size);
        }
    }

    fn part_with_the_gone(&mut self) {
        let now = Instant::now();
        for connection in self.connections.iter_mut().filter(|connection| connection.is_full()) {
            connection.give_up_if_due(now);
        }
        let left_input_open = self.connections.iter().any(|connection| {
            connection.gone && !connection.detached && connection.role == Role::Starter
        });
        if left_input_open && self.job.attached && self.job.stdin == Stdin::Once {
            self.close_input();
        }
        self.connections.retain(|connection| !connection.gone);
        self.outputs.retain(|output| !output.ended);
    }

    /// Takes one piece of output.
    #[inline(never)]
    fn read_output(&mut self, index: usize) {
        match self.read_once(index) {
            ReadOutcome::Bytes(_) => self.outputs[index].paused_until = None,
            ReadOutcome::NothingNow => {}
            ReadOutcome::Ended if self.process.terminal.is_some() => {
                self.outputs[index].paused_until = Some(Instant::now() + HUNG_UP_PAUSE);
            }
            ReadOutcome::Ended => self.outputs[index].ended = true,
        }
    }

    fn read_once(&mut self, index: usize) -> ReadOutcome {
        self.buffer.resize(READ_BYTES, 0);
        let output = &self.outputs[index];
        match rustix::io::read(&output.fd, &mut self.buffer) {
            Ok(0) => ReadOutcome::Ended,
            Ok(count) => {
                let bytes = &self.buffer[..count];
                if let Some(log) = &mut self.log {
                    log.append(output.stream, Moment::now(), bytes);
                }
                for connection in &mut self.connections {
                    connection.show(output.stream, bytes);
                }
                ReadOutcome::Bytes(count)
            }
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => ReadOutcome::NothingNow,
            // A terminal that nobody has open says EIO.
            Err(_) => ReadOutcome::Ended,
        }
    }

    /// Keeps nothing for a busy time that may be far away. From now on, waits have no end.
    fn rest(&mut self) {
        self.rested = true;
        self.buffer = Vec::new();
        self.connections.iter_mut().for_each(Connection::rest);
        self.network.rest();
        if let Some(log) = &mut self.log {
            log.rest();
        }
    }
}

#[cfg(test)]
mod tests;
