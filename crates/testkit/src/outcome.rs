//! A command that ran to its end, and what can be said of it in one chained line.
//!
//! Every command of a test has a limit: a hang is a failure with a transcript, not a stuck suite.

use crate::need::eventually;
use dhow_base::{Doing, Error, Kind, Result};
use std::{
    io::{Read, Write},
    os::unix::process::ExitStatusExt,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc, Mutex,
        mpsc::{Receiver, channel},
    },
    thread,
    time::{Duration, Instant},
};

/// How long a command may take unless the test says otherwise.
pub const LIMIT: Duration = Duration::from_secs(120);

/// How long after its end a command's output may stay open. A process that it left behind and that
/// still holds its output would make a user's pipe hang, so that is an error too.
const LINGER: Duration = Duration::from_secs(5);

/// What a command did.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The command line, for messages.
    pub command: String,
    /// The exit code; 128 and the signal's number where a signal ended it.
    pub code: i32,
    /// What it printed, with U+FFFD for bytes that are not UTF-8.
    pub stdout: String,
    /// What it said beside it, in the same way.
    pub stderr: String,
    /// The printed bytes themselves.
    pub bytes: Vec<u8>,
    /// The wall time from start to end.
    pub took: Duration,
}

impl Outcome {
    /// Panics, with everything it said, unless it succeeded.
    #[must_use = "unless only success matters; then drop it"]
    pub fn ok(self) -> Self {
        self.exits(0)
    }

    /// Panics, with everything it said, unless it ended with this code.
    #[must_use = "unless only the code matters; then drop it"]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "the exit code of {self}");
        self
    }

    /// Panics unless standard error holds `text`.
    #[must_use = "unless only the text matters; then drop it"]
    pub fn says(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "{text:?} is not in what was said by {self}");
        self
    }

    /// Standard output without the spaces and line ends around it.
    pub fn line(&self) -> &str {
        self.stdout.trim()
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "`{}`, which ended with {} after {:?}", self.command, self.code, self.took)?;
        writeln!(f, "--- stdout\n{}--- stderr\n{}---", self.stdout, self.stderr)
    }
}

/// Runs a command with `input` and collects what it prints.
pub fn run(command: &mut Command, input: &[u8], limit: Duration) -> Result<Outcome> {
    let shown = show(command);
    let begin = Instant::now();
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .doing(|| format!("start `{shown}`"))?;
    feed(&mut child, input);
    let stdout = Drain::start(child.stdout.take().expect("stdout was asked for"));
    let stderr = Drain::start(child.stderr.take().expect("stderr was asked for"));
    let status = end_of(&mut child, limit);
    let took = begin.elapsed();
    let Some(status) = status else {
        let said = format!("{}{}", lossy(&stdout.so_far()), lossy(&stderr.so_far()));
        return Err(Error::new(
            Kind::TimedOut,
            format!("`{shown}` did not end within {limit:?}; it said:\n{said}"),
        ));
    };
    let bytes = stdout.whole().doing(|| format!("read the stdout of `{shown}`"))?;
    let stderr = stderr.whole().doing(|| format!("read the stderr of `{shown}`"))?;
    Ok(Outcome {
        command: shown,
        code: code_of(status),
        stdout: lossy(&bytes),
        stderr: lossy(&stderr),
        bytes,
        took,
    })
}

/// Runs a command that must succeed, as set-up does; the error holds what it said.
pub fn run_ok(command: &mut Command, limit: Duration) -> Result<Outcome> {
    let outcome = run(command, b"", limit)?;
    if outcome.code == 0 {
        Ok(outcome)
    } else {
        Err(Error::new(Kind::Internal, format!("run {outcome}")))
    }
}

/// The exit code as shells count it.
pub(crate) fn code_of(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

/// Waits for the end; kills the child where it does not come.
pub(crate) fn end_of(child: &mut Child, limit: Duration) -> Option<ExitStatus> {
    let ended = eventually(limit, || child.try_wait().ok().flatten());
    if ended.is_none() {
        // Only the child that we hold is killed, and it is reaped at once.
        drop(child.kill());
        drop(child.wait());
    }
    ended
}

pub(crate) fn show(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

pub(crate) fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn feed(child: &mut Child, input: &[u8]) {
    let mut stdin = child.stdin.take().expect("stdin was asked for");
    let input = input.to_vec();
    // A child that does not read its input is no error of the test's.
    thread::spawn(move || drop(stdin.write_all(&input)));
}

/// Collects a stream on a thread of its own, so that neither stream can block the other.
struct Drain {
    seen: Arc<Mutex<Vec<u8>>>,
    done: Receiver<()>,
}

impl Drain {
    fn start(mut stream: impl Read + Send + 'static) -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (tell, done) = channel();
        let target = Arc::clone(&seen);
        thread::spawn(move || {
            let mut piece = [0_u8; 16 * 1024];
            while let Ok(count) = stream.read(&mut piece) {
                if count == 0 {
                    break;
                }
                target.lock().expect("no holder panics").extend_from_slice(&piece[..count]);
            }
            let _heard = tell.send(());
        });
        Self { seen, done }
    }

    fn so_far(&self) -> Vec<u8> {
        self.seen.lock().expect("no holder panics").clone()
    }

    fn whole(&self) -> Result<Vec<u8>> {
        self.done.recv_timeout(LINGER).map_err(|_| {
            Error::new(Kind::Conflict, "some process still holds it open after the command's end")
        })?;
        Ok(self.so_far())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn output_input_and_code_are_kept_apart() {
        let outcome = run(&mut sh("cat; echo no >&2; exit 3"), b"in", LIMIT).unwrap();

        assert_eq!((outcome.code, outcome.line()), (3, "in"));
        drop(outcome.exits(3).says("no"));
    }

    #[test]
    fn a_signal_counts_as_in_a_shell() {
        assert_eq!(run(&mut sh("kill -TERM $$"), b"", LIMIT).unwrap().code, 143);
    }

    #[test]
    fn a_hanging_command_is_an_error_with_what_it_said() {
        let error =
            run(&mut sh("echo here; exec sleep 60"), b"", Duration::from_millis(300)).unwrap_err();

        assert_eq!(error.kind(), Kind::TimedOut);
        assert!(error.one_line().contains("here"), "{}", error.one_line());
    }

    #[test]
    fn set_up_that_fails_says_what_it_said() {
        let error = run_ok(&mut sh("echo why >&2; false"), LIMIT).unwrap_err();

        assert!(error.one_line().contains("why"), "{}", error.one_line());
    }
}
