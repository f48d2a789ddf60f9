//! The monitor's life while the process lives: one `poll` over everything, and the end.
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
//! finds nothing of the container but its files.
//!
//! The loop returns from nothing but the exit. What fails on the way (a client, the log, memory for
//! a moment) costs what failed and never the process.

use crate::{
    Exit, ExitRecord, Job, Started, Stdin,
    connection::{Connection, Role},
    frame::{Failure, Frame},
    health::{self, Health},
    input::{Input, Kind as InputKind, Taken},
    log::{Stream, Writer},
    process::Process,
    spawn::as_usual,
};
use dhow_base::{Error, Kind, clock::Moment, lock::Lock};
use dhow_sys::{memory::give_back_and_poll, signal};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    net::SocketFlags,
    process::{Pid, PidfdFlags, Signal},
    termios::Winsize,
};
use std::{
    ffi::OsString,
    os::fd::{AsFd, OwnedFd},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// How much output is read at once.
const READ_BYTES: usize = 64 << 10;

/// Output that is taken after the exit, at most: somebody else may hold the stream and go on.
const DRAIN_LIMIT_BYTES: usize = 16 << 20;

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
    // Held to the end: it says that this monitor lives.
    _lock: Lock,
    listener: OwnedFd,
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
    pub(crate) lock: Lock,
    pub(crate) listener: OwnedFd,
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
        let health = job.health.as_deref().map(|plan| Health::new(job, plan, &started));
        Self {
            time_limit,
            health,
            helpers: Vec::new(),
            job,
            process,
            started,
            _lock: place.lock,
            listener: place.listener,
            signals: place.signals,
            log: place.log,
            next_number: starter.number + 1,
            connections: vec![starter],
            input,
            outputs,
            buffer: Vec::new(),
            rested: false,
        }
    }

    /// Keeps the process until it ends, and tells everybody. Returns whether the client that
    /// started it has heard of the end and is the one to clean up.
    pub(crate) fn run(mut self) -> bool {
        for connection in &mut self.connections {
            connection.say_started(&self.started);
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
        let due =
            self.health.as_ref().and_then(Health::deadline).into_iter().chain(self.time_limit);
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
        if self.connections.len() < MOST_CONNECTIONS {
            interests.push((Source::Listener, reading(self.listener.as_fd())));
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
        match rustix::net::accept_with(&self.listener, SocketFlags::CLOEXEC) {
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

    /// The process has ended. What is needed here only is no part of the frame that sleeps.
    #[inline(never)]
    fn end(mut self) -> bool {
        let reaped = self.process.reap();
        let finished_at = Moment::now();
        if let Some(health) = &mut self.health {
            health.abandon();
        }
        self.drain();
        let mut record = self.record(reaped, finished_at);
        // A record that cannot be written is missed by those who come later. Who is here hears.
        let _written = record.write(&self.job.exit_record);
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
            let _written = record.write(&self.job.exit_record);
        }
        self.say_goodbye(record.exit)
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
        let _removed = rustix::fs::unlink(self.job.directory.join(crate::client::SOCKET));
        drop(self.listener);
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
        self.job.attached
            && self.connections.iter().any(|connection| {
                connection.role == Role::Starter && !connection.gone && !connection.detached
            })
    }

    /// Keeps nothing for a busy time that may be far away. From now on, waits have no end.
    fn rest(&mut self) {
        self.rested = true;
        self.buffer = Vec::new();
        self.connections.iter_mut().for_each(Connection::rest);
        if let Some(log) = &mut self.log {
            log.rest();
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Client, Driver, Event, LogSettings, Run, Task,
        log::{Query, read},
        process,
        serve::{listen, lock},
    };
    use dhow_base::id::ContainerId;
    use rustix::net::{AddressFamily, SocketType};
    use std::{path::PathBuf, thread::JoinHandle};

    /// A monitor in a thread, with a shell in place of a container.
    struct Kept {
        directory: tempfile::TempDir,
        monitor: JoinHandle<bool>,
        client: Client,
    }

    impl Kept {
        fn start(script: &str, stdin: Stdin, attached: bool) -> Self {
            let directory = tempfile::tempdir().unwrap();
            let job = job_in(directory.path().into(), stdin, attached);
            let (ours, theirs) = rustix::net::socketpair(
                AddressFamily::UNIX,
                SocketType::STREAM,
                SocketFlags::CLOEXEC,
                None,
            )
            .unwrap();
            let place = Place {
                lock: lock(&job.directory).unwrap(),
                listener: listen(&job.directory).unwrap(),
                signals: signal::Reader::new(&[]).unwrap(),
                log: job.log.clone().map(|settings| Writer::open(settings).unwrap()),
            };
            let process = process::tests::shell(script, stdin);
            let started =
                Started { pid: process.pid, start_time: 1, monitor_pid: 1, started_at: 1 };
            let monitor = std::thread::spawn(move || {
                let mut starter = Connection::new(theirs, 0, Role::Starter);
                starter.attached = attached;
                Watch::new(&job, process, started, place, starter).run()
            });
            let mut client = Client::on(ours, None);
            client.started().unwrap();
            Self { directory, monitor, client }
        }

        fn visitor(&self) -> Client {
            let mut client = Client::connect(self.directory.path()).unwrap().unwrap();
            client.attach().unwrap();
            client.started().unwrap();
            client
        }

        fn logged(&self) -> Vec<u8> {
            let entries = read(&self.directory.path().join("log"), &Query::default()).unwrap();
            entries.flat_map(|entry| entry.unwrap().bytes).collect()
        }

        fn record(&self) -> ExitRecord {
            ExitRecord::read(&self.directory.path().join("exit.json")).unwrap().unwrap()
        }
    }

    fn job_in(directory: PathBuf, stdin: Stdin, attached: bool) -> Job {
        Job {
            task: Task::Run(Box::new(Run {
                id: ContainerId::random().unwrap(),
                config: PathBuf::new(),
                bundle: PathBuf::new(),
                rootfs: None,
                mountpoint: PathBuf::new(),
                driver: Driver::Files,
                variables: Vec::new(),
                revival: None,
                runtime: None,
            })),
            terminal: false,
            stdin,
            log: Some(LogSettings {
                path: directory.join("log"),
                files: 1,
                ..LogSettings::default()
            }),
            exit_record: directory.join("exit.json"),
            directory,
            cleanup: None,
            attached,
            time_limit_ms: None,
            health: None,
            handed: crate::Handed::default(),
        }
    }

    /// All output of one client, and the exit.
    fn listen_to_the_end(client: &mut Client) -> (Vec<u8>, Vec<u8>, Exit) {
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        loop {
            match client.next().unwrap() {
                Event::Stdout(bytes) => stdout.extend(bytes),
                Event::Stderr(bytes) => stderr.extend(bytes),
                Event::Exited(exit) => return (stdout, stderr, exit),
                Event::Started(_) | Event::StdinTaken(_) | Event::Checked(_) => {}
            }
        }
    }

    #[test]
    fn the_starter_hears_everything_and_cleans_up() {
        let mut kept = Kept::start("echo out; echo err >&2; exit 3", Stdin::Null, true);

        let (stdout, stderr, exit) = listen_to_the_end(&mut kept.client);

        assert_eq!((&stdout[..], &stderr[..], exit.code), (&b"out\n"[..], &b"err\n"[..], 3));
        assert_eq!(kept.record().exit, exit, "the record is there before the exit is heard");
        assert_eq!(kept.logged().len(), 8);
        assert!(kept.monitor.join().unwrap());
        assert!(Client::connect(kept.directory.path()).unwrap().is_none());
        assert!(!crate::is_alive(kept.directory.path()).unwrap());
    }

    #[test]
    fn nobody_has_heard_who_went_before_the_end() {
        let kept = Kept::start("read line; exit 4", Stdin::Once, true);
        let waiter = kept.visitor();

        // With it goes the input, so that the shell does not wait for ever.
        drop(kept.client);

        assert_eq!(waiter.wait().unwrap().code, 4);
        assert!(!kept.monitor.join().unwrap());
    }

    #[test]
    fn who_detaches_leaves_the_input_open_for_the_next() {
        let kept = Kept::start("read line; echo got $line", Stdin::Once, true);
        let mut visitor = kept.visitor();

        kept.client.detach().unwrap();
        std::thread::sleep(Duration::from_millis(50));
        visitor.send_stdin(b"it\n").unwrap();

        assert_eq!(listen_to_the_end(&mut visitor).0, b"got it\n");
        assert!(!kept.monitor.join().unwrap());
    }

    #[test]
    fn input_goes_through_as_fast_as_it_is_read_and_comes_to_its_end() {
        let mut kept = Kept::start("sleep 0.2; wc -c", Stdin::Once, true);
        let total_bytes = 1_000_000;

        let (mut sent_bytes, mut taken_bytes) = (0, 0);
        while taken_bytes < total_bytes {
            let room =
                (crate::STDIN_WINDOW + taken_bytes - sent_bytes).min(total_bytes - sent_bytes);
            kept.client.send_stdin(&vec![b'x'; room]).unwrap();
            sent_bytes += room;
            if let Event::StdinTaken(count) = kept.client.next().unwrap() {
                taken_bytes += usize::try_from(count).unwrap();
            }
        }
        kept.client.close_stdin().unwrap();

        assert_eq!(listen_to_the_end(&mut kept.client).0, b"1000000\n");
    }

    #[test]
    fn a_signal_passes_input_that_is_not_read() {
        let mut kept = Kept::start("exec sleep 100", Stdin::Open, true);
        for _ in 0..2 {
            kept.client.send_stdin(&[b'x'; 30_000]).unwrap();
        }

        kept.client.signal(15).unwrap();

        assert_eq!(listen_to_the_end(&mut kept.client).2.code, 143);
    }

    #[test]
    fn a_client_that_breaks_the_rules_loses_its_connection_and_nothing_else() {
        let mut kept = Kept::start("read line; echo $line", Stdin::Open, true);
        let mut greedy = kept.visitor();
        for _ in 0..4 {
            // The pipe takes 64 KiB, and as much again may wait.
            let _refused = greedy.send_stdin(&[b'x'; 64_000]);
        }
        let mut confused = kept.visitor();
        let _refused = confused.send(&Frame::StdinTaken(1));

        assert!(listen_until_gone(&mut greedy) && listen_until_gone(&mut confused));
        kept.client.signal(9).unwrap();
        assert_eq!(listen_to_the_end(&mut kept.client).2.code, 137);
    }

    fn listen_until_gone(client: &mut Client) -> bool {
        loop {
            match client.next() {
                Ok(Event::Exited(_)) => return false,
                Ok(_) => {}
                Err(_) => return true,
            }
        }
    }

    #[test]
    fn a_slow_starter_holds_the_process_back_and_loses_nothing() {
        let mut kept = Kept::start("head -c 20000000 /dev/zero; echo done >&2", Stdin::Null, true);
        std::thread::sleep(Duration::from_millis(300));
        let logged_bytes = kept.logged().len();
        assert!(logged_bytes < 2_000_000, "{logged_bytes} bytes were taken from the process");

        let (stdout, stderr, exit) = listen_to_the_end(&mut kept.client);

        assert_eq!((stdout.len(), &stderr[..], exit.code), (20_000_000, &b"done\n"[..], 0));
        assert_eq!(kept.logged().len(), 20_000_005);
    }

    #[test]
    fn output_outlives_the_process_in_the_pipe_and_reaches_a_late_reader() {
        let mut kept = Kept::start("head -c 60000 /dev/zero; exit 1", Stdin::Null, true);
        std::thread::sleep(Duration::from_millis(300));

        assert_eq!(kept.record().exit.code, 1, "a slow reader does not delay the record");
        assert_eq!(listen_to_the_end(&mut kept.client).0.len(), 60_000);
    }

    #[test]
    fn a_stream_that_somebody_else_holds_is_not_waited_for() {
        let script = "sleep 5 & echo $!; echo early; exit 0";
        let mut kept = Kept::start(script, Stdin::Null, true);
        let begun = Instant::now();

        let (stdout, _, _) = listen_to_the_end(&mut kept.client);

        assert!(String::from_utf8(stdout).unwrap().ends_with("early\n"));
        assert!(begun.elapsed() < Duration::from_secs(3), "took {:?}", begun.elapsed());
    }

    #[test]
    fn short_lives_lose_no_output() {
        for number in 0..300 {
            let mut kept =
                Kept::start(&format!("echo {number}; echo e{number} >&2"), Stdin::Null, true);

            let (stdout, stderr, _) = listen_to_the_end(&mut kept.client);

            assert_eq!(stdout, format!("{number}\n").as_bytes());
            assert_eq!(stderr, format!("e{number}\n").as_bytes());
        }
    }

    #[test]
    fn a_follower_reads_the_log_to_the_end() {
        let kept = Kept::start("for n in 1 2 3; do echo $n; sleep 0.1; done", Stdin::Null, false);
        let path = kept.directory.path().join("log");
        let query = Query { follow: Some(kept.directory.path().to_owned()), ..Query::default() };

        let bytes: Vec<u8> =
            read(&path, &query).unwrap().flat_map(|entry| entry.unwrap().bytes).collect();

        assert_eq!(bytes, b"1\n2\n3\n");
        assert_eq!(kept.client.wait().unwrap().code, 0);
    }

    #[test]
    fn whoever_waits_hears_and_whoever_comes_later_reads() {
        let kept = Kept::start("sleep 0.1; exit 9", Stdin::Null, false);
        let (directory, record) =
            (kept.directory.path().to_owned(), kept.directory.path().join("exit.json"));

        let heard = crate::wait_for_exit(&directory, &record).unwrap();
        kept.monitor.join().unwrap();
        let read = crate::wait_for_exit(&directory, &record).unwrap();

        assert_eq!((heard.exit.code, &heard), (9, &read));
    }
}
