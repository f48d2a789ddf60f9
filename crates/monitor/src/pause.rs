//! The process that waits between two lives of a container, and does nothing else.
//!
//! ```text
//!   command ── exec ──▶ sleeper: waits for the end of its standard input ─▶ sleeps ─▶ becomes a command
//!      └─ writes who sleeps into the row, then lets go of the pipe
//! ```
//!
//! So the sleeper never wakes before the row says that it is the one. It is a program of its own,
//! and not a monitor that goes on, because a pause is up to a minute of nothing: it holds no socket,
//! no log and no memory but what the kernel needs for a process.

use crate::{serve::become_command, spawn::own_program};
use dhow_base::{Doing, Error, Kind, Result};
use rustix::{event::Timespec, pipe::PipeFlags};
use std::{
    ffi::OsString,
    os::{fd::OwnedFd, unix::process::CommandExt},
    process::{Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

/// The name under which the binary is a sleeper.
pub const PAUSE_ROLE: &str = "dhow-pause";

/// A sleeper that has not begun to sleep.
#[derive(Debug)]
pub struct Sleeper {
    /// Its pid, which it keeps when it becomes the command.
    pub pid: i32,
    // Its standard input ends with this.
    _begin: OwnedFd,
}

/// Starts a process that sleeps and then becomes `command`, whose first word is the program. The
/// sleep begins when the [`Sleeper`] is dropped. Init reaps it: every command of ours ends before long.
pub fn spawn_sleeper(pause: Duration, command: &[OsString]) -> Result<Sleeper> {
    let (theirs, ours) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).doing(|| "make a pipe")?;
    dhow_sys::fds::close_at_exec_from(3).doing(|| "keep other files from the sleeper")?;
    let (program, sealed) = own_program()?;
    let child = Command::new(program)
        .arg0(PAUSE_ROLE)
        .arg(pause.as_millis().to_string())
        .args(command)
        .current_dir("/")
        .stdin(theirs)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .doing(|| "start the process that waits")?;
    drop(sealed);
    let pid = i32::try_from(child.id())
        .map_err(|error| Error::new(Kind::Internal, "number a process").because(error))?;
    Ok(Sleeper { pid, _begin: ours })
}

/// The `main` of a process that was started under the name [`PAUSE_ROLE`].
pub fn pause_main(arguments: &[OsString]) -> ExitCode {
    let Some((pause_ms, command)) = arguments.get(1..).and_then(<[OsString]>::split_first) else {
        return ExitCode::FAILURE;
    };
    let Some(pause_ms) = pause_ms.to_str().and_then(|text| text.parse().ok()) else {
        return ExitCode::FAILURE;
    };
    // A terminal that is closed takes its session along, and we belong to no session of a user's.
    let _session = rustix::process::setsid();
    wait_for_the_end_of_input();
    sleep(Duration::from_millis(pause_ms));
    let _error = become_command(command);
    ExitCode::FAILURE
}

fn sleep(pause: Duration) {
    let begin = Instant::now();
    loop {
        let left = pause.saturating_sub(begin.elapsed());
        let Ok(timeout) = Timespec::try_from(left) else { return };
        if left.is_zero() {
            return;
        }
        // A signal ends a wait before its time.
        let _waited = dhow_sys::memory::give_back_and_poll(&mut [], Some(&timeout));
    }
}

fn wait_for_the_end_of_input() {
    let mut byte = [0_u8; 1];
    loop {
        match rustix::io::read(rustix::stdio::stdin(), &mut byte) {
            Ok(0) => return,
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => return,
        }
    }
}
