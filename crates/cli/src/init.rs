//! The init of `--init`: the first process of a container that starts the program, forwards signals
//! to it, and reaps whatever becomes its child.
//!
//! It ends as the program ends; with it, the kernel ends all that is left in the namespace.

use dhow_sys::signal;
use rustix::process::{Pid, Signal, WaitOptions};
use std::{
    ffi::OsString,
    io::{self, Write},
    os::{fd::AsFd, unix::process::CommandExt},
    process::{Command, ExitCode},
};

/// What a program that is not there ends with, and one that is no program.
const NOT_FOUND: u8 = 127;
const NOT_RUNNABLE: u8 = 126;

/// What tells of a fault of this process's own, or cannot be caught.
const NOT_FORWARDED: [Signal; 9] = [
    Signal::FPE,
    Signal::ILL,
    Signal::SEGV,
    Signal::BUS,
    Signal::ABORT,
    Signal::TRAP,
    Signal::SYS,
    Signal::KILL,
    Signal::STOP,
];

/// The `main` of the init; the words after `--` are the program.
pub(crate) fn main(arguments: &[OsString]) -> ExitCode {
    let words = arguments.get(1..).unwrap_or_default();
    let words = if words.first().is_some_and(|word| word == "--") { &words[1..] } else { words };
    if words == [dhow_engine::INIT_WAITS] {
        return match wait() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => failed(&error.to_string(), NOT_RUNNABLE),
        };
    }
    let Some((program, rest)) = words.split_first() else {
        return failed("there is no program", NOT_FOUND);
    };
    match keep(program, rest) {
        Ok(code) => ExitCode::from(code),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            failed(&format!("{}: {error}", program.display()), NOT_FOUND)
        }
        Err(error) => failed(&format!("{}: {error}", program.display()), NOT_RUNNABLE),
    }
}

/// Reaps until it is asked to end: where a namespace is to have a first process and nothing else.
fn wait() -> io::Result<()> {
    let ends = [Signal::TERM, Signal::INT].map(Signal::as_raw);
    let heard = [ends[0], ends[1], Signal::CHILD.as_raw()];
    signal::block(&heard)?;
    let signals = signal::Reader::new(&heard)?;
    loop {
        while rustix::process::wait(WaitOptions::NOHANG).is_ok_and(|ended| ended.is_some()) {}
        wait_for(&signals)?;
        while let Some(number) = signals.next_signal()? {
            if ends.contains(&number) {
                return Ok(());
            }
        }
    }
}

fn keep(program: &OsString, rest: &[OsString]) -> io::Result<u8> {
    let caught: Vec<i32> = (1..=64)
        .filter(|number| NOT_FORWARDED.iter().all(|signal| signal.as_raw() != *number))
        // The C library keeps these two for itself.
        .filter(|number| !matches!(number, 32 | 33))
        .collect();
    // Where it is not the first process of a namespace, orphans shall come to it all the same.
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    // A group of its own: what a terminal sends to the group in front comes to the program once.
    let child = Command::new(program).args(rest).process_group(0).spawn()?;
    let child = Pid::from_child(&child);
    // Only now: a child inherits what is blocked. Until here the kernel drops what comes to the first
    // process of a namespace.
    signal::block(&caught)?;
    let signals = signal::Reader::new(&caught)?;
    put_in_front(child);
    // It may have ended before that could be heard.
    if let Some(code) = reap(child)? {
        return Ok(code);
    }
    loop {
        wait_for(&signals)?;
        while let Some(number) = signals.next_signal()? {
            if number == Signal::CHILD.as_raw() {
                if let Some(code) = reap(child)? {
                    return Ok(code);
                }
            } else if let Some(signal) = signal::from_number(number) {
                // A program that has just ended is heard of next.
                let _sent = rustix::process::kill_process(child, signal);
            }
        }
    }
}

/// Gives the terminal to the program, where there is one.
fn put_in_front(child: Pid) {
    if rustix::termios::tcsetpgrp(io::stdin(), child).is_ok() {
        // It may have asked for a key before, and have been stopped for that.
        let _sent = rustix::process::kill_process_group(child, Signal::CONT);
    }
}

fn wait_for(signals: &signal::Reader) -> io::Result<()> {
    let mut fds = [rustix::event::PollFd::from_borrowed_fd(
        signals.fd().as_fd(),
        rustix::event::PollFlags::IN,
    )];
    match rustix::event::poll(&mut fds, None) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// Reaps all that have ended; the exit code once the program is among them.
fn reap(child: Pid) -> io::Result<Option<u8>> {
    let mut code = None;
    loop {
        match rustix::process::wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) if pid == child => {
                let signal = status.terminating_signal().map(|signal| 128 + signal);
                let ended = signal.or(status.exit_status());
                code = ended.map(|code| u8::try_from(code).unwrap_or(u8::MAX)).or(code);
            }
            Ok(Some(_)) | Err(rustix::io::Errno::INTR) => {}
            Ok(None) | Err(rustix::io::Errno::CHILD) => return Ok(code),
            Err(errno) => return Err(errno.into()),
        }
    }
}

fn failed(why: &str, code: u8) -> ExitCode {
    // Where nobody listens there is nobody to tell.
    let _written = writeln!(io::stderr(), "dhow-init: {why}");
    ExitCode::from(code)
}
