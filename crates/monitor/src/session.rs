//! A user's session with a process: what is typed goes in, what comes out is shown, until the end.
//!
//! ```text
//!   stdin ──▶ detach keys? ──▶ Stdin (as far as the window allows)
//!   stdout, stderr ◀────────── Stdout, Stderr
//!   SIGWINCH ────────────────▶ Resize
//!   SIGINT, SIGTERM… ────────▶ Signal
//! ```
//!
//! One thread and one `poll`, signals included, so a key, a signal and output never wait for each
//! other. The next output is asked for when the last is written: a slow reader holds the process
//! back through the monitor and costs no memory here.
//!
//! The user's terminal is raw during a session with a terminal, and is put back by a guard: after
//! the end, an error, a panic, and any signal that can be caught.

use crate::{
    Client, DetachKeys, Event, Exit,
    detach::Scanner,
    frame::{STDIN_WINDOW, Size},
    log::Stream,
    raw::{LineEnds, RawMode},
    sink::Sink,
};
use dhow_base::{Doing, Kind, Result};
use dhow_sys::{mask::Blocked, signal};
use rustix::{
    event::{PollFd, PollFlags, poll},
    process::Signal,
};
use std::os::fd::{AsFd, BorrowedFd};

/// How much is read from the user at once.
const READ_BYTES: usize = 16 << 10;

/// What is passed on to the process, or ends the session.
const PASSED_ON: [Signal; 7] = [
    Signal::HUP,
    Signal::INT,
    Signal::QUIT,
    Signal::TERM,
    Signal::USR1,
    Signal::USR2,
    Signal::ALARM,
];

/// Lets the signals wait that a session passes on: for who will begin one in a moment, so that none in
/// between ends the command and leaves the process running.
pub fn hold_signals() -> Result<Blocked> {
    Blocked::new(&PASSED_ON.map(Signal::as_raw)).doing(|| "block signals")
}

/// The two ends that a session connects.
#[derive(Debug)]
pub struct Session<'a> {
    /// Where the user types; nothing is typed where missing.
    pub input: Option<BorrowedFd<'a>>,
    /// Where output is shown.
    pub output: BorrowedFd<'a>,
    /// Where errors are shown.
    pub errors: BorrowedFd<'a>,
    /// Whether the process has a terminal: the user's becomes its image.
    pub terminal: bool,
    /// The keys that end the session, where the user types on a terminal.
    pub detach_keys: DetachKeys,
    /// What signals mean.
    pub signals: Signals,
}

/// What signals to this process mean during a session.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Signals {
    /// They are the process's.
    PassOn,
    /// They end the session, and the process stays.
    Leave,
}

/// How a session ended.
#[derive(Debug)]
pub enum Outcome {
    /// The process ended; the monitor may wait for what its client says of the rest.
    Exited(Exit, Client),
    /// The user left with the detach keys.
    Detached,
    /// A signal ended the session: [`Signals::Leave`].
    Interrupted(i32),
    /// Nobody reads the output any more. The process goes on, and so may the caller: with a signal
    /// to it, or by leaving it.
    OutputClosed(Client),
}

impl Session<'_> {
    /// Connects the user and the process until one of them ends it. The client is attached.
    pub fn run(self, client: Client) -> Result<Outcome> {
        let mut caught: Vec<i32> = PASSED_ON.map(Signal::as_raw).into();
        caught.extend([Signal::WINCH.as_raw(), Signal::CONT.as_raw()]);
        // Dropped in the reverse order: the terminal is put back before a signal that came in
        // between can end this process.
        let _blocked = Blocked::new(&caught).doing(|| "block signals")?;
        let signals = signal::Reader::new(&caught).doing(|| "read signals")?;
        let raw = match self.input {
            Some(input) if self.terminal => RawMode::enter(input, LineEnds::Theirs)?,
            _ => None,
        };
        let keys = if raw.is_some() { self.detach_keys.clone() } else { DetachKeys::none() };
        let mut pump = Pump {
            input: self.input,
            client,
            scanner: Scanner::new(&keys),
            raw,
            signals,
            unread_bytes: 0,
            pending: None,
            output: Sink::new(self.output),
            errors: Sink::new(self.errors),
            session: self,
        };
        pump.resize();
        loop {
            if let Some(end) = pump.turn()? {
                return Ok(pump.finish(end));
            }
        }
    }
}

/// Why a session ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum End {
    Exited(Exit),
    Detached,
    Interrupted(i32),
    OutputClosed,
}

#[derive(Debug)]
struct Pump<'a> {
    session: Session<'a>,
    client: Client,
    // Until it ends.
    input: Option<BorrowedFd<'a>>,
    scanner: Scanner,
    raw: Option<RawMode>,
    signals: signal::Reader,
    // Sent, and not taken by the process yet.
    unread_bytes: usize,
    output: Sink<'a>,
    errors: Sink<'a>,
    pending: Option<Pending>,
}

/// What a wait found.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Ready {
    signals: bool,
    output: bool,
    input: bool,
}

/// Output on its way to the user.
#[derive(Debug)]
struct Pending {
    stream: Stream,
    bytes: Vec<u8>,
    written_bytes: usize,
}

impl Pump<'_> {
    /// Takes what the monitor said, then waits for what is next and does it.
    fn turn(&mut self) -> Result<Option<End>> {
        if let Some(end) = self.take_events()? {
            return Ok(Some(end));
        }
        let Ready { signals, output, input } = self.wait()?;
        if signals && let Some(end) = self.handle_signals()? {
            return Ok(Some(end));
        }
        if output && self.write_pending().is_err() {
            return Ok(Some(End::OutputClosed));
        }
        if input && self.read_input()? {
            return Ok(Some(End::Detached));
        }
        Ok(None)
    }

    fn take_events(&mut self) -> Result<Option<End>> {
        while self.pending.is_none() {
            let (stream, bytes) = match self.client.try_next()? {
                Some(Event::Stdout(bytes)) => (Stream::Stdout, bytes),
                Some(Event::Stderr(bytes)) => (Stream::Stderr, bytes),
                Some(Event::StdinTaken(count)) => {
                    let count = usize::try_from(count).unwrap_or(usize::MAX);
                    self.unread_bytes = self.unread_bytes.saturating_sub(count);
                    continue;
                }
                Some(Event::Exited(exit)) => return Ok(Some(End::Exited(exit))),
                Some(
                    Event::Started(_)
                    | Event::Checked(_)
                    | Event::NetworksChanged
                    | Event::HealthChanged,
                ) => continue,
                None => break,
            };
            self.pending = Some(Pending { stream, bytes, written_bytes: 0 });
        }
        Ok(None)
    }

    fn wait(&self) -> Result<Ready> {
        let output = self.pending.as_ref().map(|pending| self.sink(pending.stream).given());
        let input = self.input.filter(|_| self.window_bytes() > 0);
        let monitor = Some(self.client.as_fd()).filter(|_| output.is_none());
        let interests = [
            (Some(self.signals.fd().as_fd()), PollFlags::IN),
            (output, PollFlags::OUT),
            (input, PollFlags::IN),
            // It is listened to in the next turn; here it only ends the wait.
            (monitor, PollFlags::IN),
        ];
        let mut fds: Vec<_> = interests
            .iter()
            .filter_map(|(fd, flags)| Some(PollFd::from_borrowed_fd((*fd)?, *flags)))
            .collect();
        match poll(&mut fds, None) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => return Ok(Ready::default()),
            Err(errno) => return Err(errno).doing(|| "wait for the user and the process"),
        }
        let mut answers = fds.iter().map(|fd| !fd.revents().is_empty());
        let mut answer = |fd: Option<BorrowedFd<'_>>| fd.is_some() && answers.next() == Some(true);
        let signals = answer(interests[0].0);
        Ok(Ready { signals, output: answer(output), input: answer(input) })
    }

    fn sink(&self, stream: Stream) -> &Sink<'_> {
        match stream {
            Stream::Stdout => &self.output,
            Stream::Stderr => &self.errors,
        }
    }

    fn handle_signals(&mut self) -> Result<Option<End>> {
        while let Some(number) = self.signals.next_signal().doing(|| "read signals")? {
            if number == Signal::WINCH.as_raw() {
                self.resize();
            } else if number == Signal::CONT.as_raw() {
                // The shell had the terminal in between, and has set it to its own liking.
                if let Some(raw) = &self.raw {
                    raw.enter_again()?;
                }
                self.resize();
            } else if self.session.signals == Signals::PassOn {
                forgive_gone(self.client.signal(number))?;
            } else {
                return Ok(Some(End::Interrupted(number)));
            }
        }
        Ok(None)
    }

    /// Gives the process's terminal the size of the user's.
    fn resize(&mut self) {
        if !self.session.terminal {
            return;
        }
        let sides = [Some(self.session.output), self.session.input];
        let mut sizes =
            sides.into_iter().flatten().filter_map(|fd| rustix::termios::tcgetwinsize(fd).ok());
        if let Some(size) = sizes.next()
            && (size.ws_row, size.ws_col) != (0, 0)
        {
            // A monitor that is gone is noticed where it is listened to.
            let _sent = self.client.resize(Size { rows: size.ws_row, columns: size.ws_col });
        }
    }

    /// Writes as much as can be written without waiting.
    fn write_pending(&mut self) -> rustix::io::Result<()> {
        let Some(mut pending) = self.pending.take() else { return Ok(()) };
        let rest = &pending.bytes[pending.written_bytes..];
        pending.written_bytes += self.sink(pending.stream).write(rest)?;
        if pending.written_bytes < pending.bytes.len() {
            self.pending = Some(pending);
        }
        Ok(())
    }

    /// How much the user may type. What the scanner holds back goes along with it.
    fn window_bytes(&self) -> usize {
        STDIN_WINDOW.saturating_sub(self.unread_bytes + self.scanner.rest().len())
    }

    /// Reads what the user typed and sends it. Returns whether it was the detach keys.
    fn read_input(&mut self) -> Result<bool> {
        let Some(input) = self.input else { return Ok(false) };
        let mut typed = [0_u8; READ_BYTES];
        let room = self.window_bytes().min(READ_BYTES);
        let mut through = Vec::new();
        let mut detached = false;
        match rustix::io::read(input, &mut typed[..room]) {
            Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => return Ok(false),
            // A terminal that was hung up says EIO: nothing more will be typed there.
            Ok(0) | Err(_) => {
                through.extend_from_slice(self.scanner.rest());
                self.input = None;
            }
            Ok(count) => detached = self.scanner.scan(&typed[..count], &mut through),
        }
        if !through.is_empty() {
            forgive_gone(self.client.send_stdin(&through))?;
            self.unread_bytes += through.len();
        }
        if self.input.is_none() {
            forgive_gone(self.client.close_stdin())?;
        }
        Ok(detached)
    }

    fn finish(self, end: End) -> Outcome {
        match end {
            End::Exited(exit) => Outcome::Exited(exit, self.client),
            End::OutputClosed => Outcome::OutputClosed(self.client),
            End::Detached | End::Interrupted(_) => {
                // If the monitor is gone, so is what we wanted to leave.
                let _sent = self.client.detach();
                match end {
                    End::Interrupted(number) => Outcome::Interrupted(number),
                    _ => Outcome::Detached,
                }
            }
        }
    }
}

/// A monitor may have ended while we spoke; it has told us how the process ended, and that is still
/// to be read.
fn forgive_gone(sent: Result<()>) -> Result<()> {
    match sent {
        Err(error) if error.kind() == Kind::Unavailable => Ok(()),
        sent => sent,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Frame;
    use rustix::{
        fs::{Mode, OFlags},
        net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType},
        pipe::{PipeFlags, pipe_with},
        pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
        termios::LocalModes,
    };
    use std::{
        io::Read,
        os::fd::OwnedFd,
        thread::{Scope, ScopedJoinHandle},
        time::Duration,
    };

    /// A monitor that says and hears what the test wants.
    struct Monitor {
        socket: OwnedFd,
        heard: Vec<u8>,
    }

    impl Monitor {
        fn pair() -> (Self, Client) {
            let (ours, theirs) = rustix::net::socketpair(
                AddressFamily::UNIX,
                SocketType::STREAM,
                SocketFlags::CLOEXEC,
                None,
            )
            .unwrap();
            (Self { socket: ours, heard: Vec::new() }, Client::on(theirs))
        }

        fn say(&self, frame: &Frame) {
            let mut bytes = Vec::new();
            frame.append_to(&mut bytes);
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                let count = rustix::net::send(&self.socket, rest, SendFlags::NOSIGNAL).unwrap();
                rest = &rest[count..];
            }
        }

        fn hear(&mut self) -> Frame {
            loop {
                if let Some((frame, used)) = Frame::parse(&self.heard).unwrap() {
                    self.heard.drain(..used);
                    return frame;
                }
                let mut piece = [0; 1000];
                let (count, _) =
                    rustix::net::recv(&self.socket, &mut piece, RecvFlags::empty()).unwrap();
                assert!(count > 0, "the session is gone");
                self.heard.extend_from_slice(&piece[..count]);
            }
        }
    }

    fn exited(code: u8) -> Frame {
        Frame::Exited(Exit { code, signal: None, oom_killed: false })
    }

    /// The user's side of a terminal, and the program's.
    fn terminal() -> (OwnedFd, OwnedFd) {
        let user = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&user).unwrap();
        unlockpt(&user).unwrap();
        let name = ptsname(&user, Vec::new()).unwrap();
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let program = rustix::fs::open(name.as_c_str(), flags, Mode::empty()).unwrap();
        (user, program)
    }

    fn is_raw(terminal: &OwnedFd) -> bool {
        let settings = rustix::termios::tcgetattr(terminal).unwrap();
        !settings.local_modes.contains(LocalModes::ICANON)
    }

    fn on_terminal<'scope>(
        scope: &'scope Scope<'scope, '_>,
        program: &'scope OwnedFd,
        client: Client,
    ) -> ScopedJoinHandle<'scope, Result<Outcome>> {
        scope.spawn(move || {
            let session = Session {
                input: Some(program.as_fd()),
                output: program.as_fd(),
                errors: program.as_fd(),
                terminal: true,
                detach_keys: DetachKeys::default(),
                signals: Signals::PassOn,
            };
            session.run(client)
        })
    }

    #[test]
    fn keys_go_in_one_by_one_and_the_terminal_is_put_back() {
        let (mut monitor, client) = Monitor::pair();
        let (user, program) = terminal();
        std::thread::scope(|scope| {
            let session = on_terminal(scope, &program, client);
            monitor.say(&Frame::Stdout(b"$ ".to_vec()));
            let mut prompt = [0; 2];
            rustix::io::read(&user, &mut prompt).unwrap();
            assert!(is_raw(&program));

            rustix::io::write(&user, b"\x03").unwrap();
            assert_eq!(monitor.hear(), Frame::Stdin(vec![3]), "a key and no signal");
            monitor.say(&exited(130));

            let outcome = session.join().unwrap().unwrap();
            assert!(matches!(outcome, Outcome::Exited(Exit { code: 130, .. }, _)), "{outcome:?}");
        });
        assert!(!is_raw(&program));
    }

    #[test]
    fn the_detach_keys_leave_and_what_only_began_like_them_goes_in() {
        let (mut monitor, client) = Monitor::pair();
        let (user, program) = terminal();
        std::thread::scope(|scope| {
            let session = on_terminal(scope, &program, client);
            while !is_raw(&program) {
                std::thread::sleep(Duration::from_millis(1));
            }

            rustix::io::write(&user, b"a\x10b").unwrap();
            assert_eq!(monitor.hear(), Frame::Stdin(b"a\x10b".to_vec()));
            rustix::io::write(&user, b"\x10\x11").unwrap();
            assert_eq!(monitor.hear(), Frame::Detach);

            assert!(matches!(session.join().unwrap().unwrap(), Outcome::Detached));
        });
        assert!(!is_raw(&program));
    }

    #[test]
    fn a_monitor_that_dies_puts_the_terminal_back_too() {
        let (monitor, client) = Monitor::pair();
        let (_user, program) = terminal();
        std::thread::scope(|scope| {
            let session = on_terminal(scope, &program, client);
            drop(monitor);

            assert_eq!(session.join().unwrap().unwrap_err().kind(), Kind::Unavailable);
        });
        assert!(!is_raw(&program));
    }

    #[test]
    fn input_waits_for_the_window_and_output_goes_on_meanwhile() {
        let (mut monitor, client) = Monitor::pair();
        let (input, typed) = pipe_with(PipeFlags::CLOEXEC).unwrap();
        let (shown, output) = pipe_with(PipeFlags::CLOEXEC).unwrap();
        std::thread::scope(|scope| {
            let session = scope.spawn(move || {
                let session = Session {
                    input: Some(input.as_fd()),
                    output: output.as_fd(),
                    errors: output.as_fd(),
                    terminal: false,
                    detach_keys: DetachKeys::default(),
                    signals: Signals::PassOn,
                };
                session.run(client)
            });
            scope.spawn(move || {
                std::io::Write::write_all(&mut std::fs::File::from(typed), &[b'x'; 200_000])
            });

            let mut sent_bytes = 0;
            while sent_bytes < STDIN_WINDOW {
                let Frame::Stdin(bytes) = monitor.hear() else { panic!("only input is sent") };
                sent_bytes += bytes.len();
            }
            assert_eq!(sent_bytes, STDIN_WINDOW);
            monitor.say(&Frame::Stdout(vec![b'y'; 10_000]));
            let mut seen = vec![0; 10_000];
            let mut shown = std::fs::File::from(shown);
            shown.read_exact(&mut seen).unwrap();
            let mut ended = false;
            while !ended {
                monitor.say(&Frame::StdinTaken(10_000));
                match monitor.hear() {
                    Frame::Stdin(bytes) => sent_bytes += bytes.len(),
                    frame => ended = frame == Frame::StdinClosed,
                }
            }
            monitor.say(&exited(0));

            assert_eq!(sent_bytes, 200_000);
            assert!(matches!(session.join().unwrap().unwrap(), Outcome::Exited(..)));
        });
    }

    #[test]
    fn closed_output_ends_the_session_and_gives_the_client_back() {
        let (monitor, client) = Monitor::pair();
        let (shown, output) = pipe_with(PipeFlags::CLOEXEC).unwrap();
        drop(shown);
        monitor.say(&Frame::Stdout(b"x".to_vec()));
        let session = Session {
            input: None,
            output: output.as_fd(),
            errors: output.as_fd(),
            terminal: false,
            detach_keys: DetachKeys::default(),
            signals: Signals::PassOn,
        };

        let Outcome::OutputClosed(client) = session.run(client).unwrap() else {
            panic!("the output is closed");
        };

        monitor.say(&exited(4));
        assert_eq!(client.wait().unwrap().code, 4);
    }
}
