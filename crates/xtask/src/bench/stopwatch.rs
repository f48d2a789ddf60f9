//! Times commands, here or in a mount namespace of its own.
//!
//! Entering a namespace for each command would cost more than what is measured. So a second
//! process of this program goes there once, takes command lines on its standard input and answers
//! with times that it took itself.
//!
//! ```text
//!   bench                                   measure (in the namespace)
//!     │ ["podman","run",…] ───────────────────▶│ runs and times it
//!     │◀── {"nanoseconds":…,"code":0,"said":…} │
//! ```

use dhow_base::{Doing, Error, Kind, Result};
use dhow_sys::process::{Usage, reap_with_usage};
use dhow_testkit::need;
use rustix::process::Pid;
use serde_json::{Value, json};
use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader, Read, Seek, Write},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

/// What a command took.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Spent {
    /// By the clock.
    pub(crate) took: Duration,
    /// Of processors: its own and that of the children that it waited for. A daemon's is not in it, nor
    /// what the kernel does for nobody in particular, such as writing to the disk.
    pub(crate) cpu: Duration,
}

/// What a command took and how it ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Timed {
    pub(crate) spent: Spent,
    pub(crate) code: i32,
    /// The end of its standard error.
    pub(crate) said: String,
}

/// Runs a command to its end and times it. Its output is thrown away, except for what it says when
/// it fails; that goes to a file, since a pipe would need a reader beside it.
pub(crate) fn time(words: &[String]) -> Result<Timed> {
    let doing = || format!("time `{}`", words.join(" "));
    let (program, arguments) =
        words.split_first().ok_or_else(|| Error::new(Kind::Invalid, "time an empty command"))?;
    let mut errors = tempfile::tempfile().doing(doing)?;
    let copy = errors.try_clone().doing(doing)?;
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(copy);
    let begin = Instant::now();
    let used = run(&mut command);
    let took = begin.elapsed();
    let Usage { code, cpu, .. } = used.doing(doing)?;
    let said = if code == 0 { String::new() } else { end_of(&mut errors).doing(doing)? };
    Ok(Timed { spent: Spent { took, cpu }, code, said })
}

fn run(command: &mut Command) -> io::Result<Usage> {
    let child = command.spawn()?;
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    reap_with_usage(pid.ok_or(io::ErrorKind::InvalidData)?)
}

/// Waits until the process has ended whose number is in this file; whether it is reaped does not
/// matter.
pub(crate) fn await_end(path: &Path) -> Result<()> {
    let doing = || format!("wait for the process in {}", path.display());
    let text = fs::read_to_string(path).doing(doing)?;
    let lives = || {
        fs::read_to_string(format!("/proc/{}/stat", text.trim()))
            .is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or_default().starts_with(" Z"))
    };
    let ended = need::eventually(Duration::from_secs(30), || (!lives()).then_some(()));
    ended.ok_or_else(|| Error::new(Kind::TimedOut, doing()))
}

fn end_of(file: &mut File) -> io::Result<String> {
    let length = file.seek(io::SeekFrom::End(0))?;
    file.seek(io::SeekFrom::Start(length.saturating_sub(2000)))?;
    let mut bytes = Vec::new();
    file.take(2000).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
}

/// `cargo xtask measure`: the side in the namespace. Ends with its input.
pub(crate) fn measure() -> Result<ExitCode> {
    for line in io::stdin().lock().lines() {
        let line = line.doing(|| "read a command to time")?;
        let words: Vec<String> = serde_json::from_str::<Value>(&line)
            .ok()
            .and_then(|words| {
                words.as_array()?.iter().map(|word| word.as_str().map(str::to_owned)).collect()
            })
            .ok_or_else(|| Error::new(Kind::Invalid, "parse a command to time"))?;
        let answer = match time(&words) {
            Ok(timed) => json!({
                "nanoseconds": nanoseconds(timed.spent.took),
                "cpu": nanoseconds(timed.spent.cpu),
                "code": timed.code,
                "said": timed.said,
            }),
            Err(error) => json!({"nanoseconds": 0, "code": 127, "said": error.one_line()}),
        };
        crate::say(&answer.to_string())?;
    }
    Ok(ExitCode::SUCCESS)
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// The process that times in its own mount namespace. It ends when its input does.
#[derive(Debug)]
pub(crate) struct Outpost {
    has_own_network: bool,
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Outpost {
    /// Starts it where `/sys/fs/cgroup/unified` is not mounted: crun and runc refuse a hybrid
    /// hierarchy in which the controllers are on the first version.
    pub(crate) fn start() -> Result<Self> {
        Self::start_in(&["--mount"])
    }

    /// The same with a network of its own, in which there is nothing but the loopback.
    pub(crate) fn with_own_network() -> Result<Self> {
        let mut outpost = Self::start_in(&["--mount", "--net"])?;
        outpost.has_own_network = true;
        let words = ["ip", "link", "set", "lo", "up"].map(str::to_owned);
        let up = outpost.time(&words)?;
        if up.code == 0 {
            return Ok(outpost);
        }
        Err(Error::new(Kind::Unavailable, format!("set the loopback up: {}", up.said)))
    }

    /// Whether what runs there is kept from the machine's network.
    pub(crate) fn has_own_network(&self) -> bool {
        self.has_own_network
    }

    fn start_in(namespaces: &[&str]) -> Result<Self> {
        let program = std::env::current_exe().doing(|| "ask where this program is")?;
        let script = "if mountpoint -q /sys/fs/cgroup/unified; then \
                      umount /sys/fs/cgroup/unified || exit 1; fi; exec \"$0\" measure";
        let mut child = Command::new("unshare")
            .args(namespaces)
            .args(["--propagation", "private", "sh", "-c", script])
            .arg(program)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .doing(|| "start a process in a mount namespace of its own")?;
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().expect("stdout was asked for"));
        Ok(Self { has_own_network: false, child, input, output })
    }

    /// Times a command there.
    pub(crate) fn time(&mut self, words: &[String]) -> Result<Timed> {
        let doing = || format!("time `{}` in the namespace", words.join(" "));
        let line = format!("{}\n", json!(words));
        let input = self.input.as_mut().expect("it is closed in drop only");
        input.write_all(line.as_bytes()).doing(doing)?;
        let mut answer = String::new();
        self.output.read_line(&mut answer).doing(doing)?;
        let answer: Value = serde_json::from_str(&answer).map_err(|error| {
            Error::new(Kind::Unavailable, format!("{}: no answer", doing())).because(error)
        })?;
        let time = |name: &str| Duration::from_nanos(answer[name].as_u64().unwrap_or(0));
        Ok(Timed {
            spent: Spent { took: time("nanoseconds"), cpu: time("cpu") },
            code: answer["code"].as_i64().and_then(|code| i32::try_from(code).ok()).unwrap_or(-1),
            said: answer["said"].as_str().unwrap_or_default().to_owned(),
        })
    }
}

impl Drop for Outpost {
    fn drop(&mut self) {
        // The end of its input ends it; it is reaped so that no zombie stays.
        drop(self.input.take());
        let _status = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Vec<String> {
        ["sh", "-c", script].map(str::to_owned).to_vec()
    }

    #[test]
    fn a_command_is_timed_and_its_last_words_are_kept_when_it_fails() {
        let slept = time(&sh("sleep 0.05; echo loud; echo quiet >&2")).unwrap();
        let failed = time(&sh("echo why >&2; exit 3")).unwrap();

        assert!(slept.spent.took >= Duration::from_millis(50), "{slept:?}");
        assert!(slept.spent.cpu > Duration::ZERO, "{slept:?}");
        assert_eq!((slept.code, slept.said.as_str()), (0, ""));
        assert_eq!((failed.code, failed.said.as_str()), (3, "why"));
    }

    #[test]
    fn a_program_that_is_not_there_is_an_error() {
        assert!(time(&["no-such-program-anywhere".to_owned()]).is_err());
        assert!(time(&[]).is_err());
    }
}
