//! A program and all that it begins, followed instruction by instruction (ptrace(2)).
//!
//! Each step is a stop, so what is followed takes a hundred times as long. Developers ask by this
//! which parts of the binary a command touches; nothing of the product does. x86-64.

use rustix::thread::CpuSet;
use std::{
    collections::BTreeSet, ffi::c_void, io, mem, os::unix::process::CommandExt, process::Command,
    ptr,
};

/// Runs a command to its end and to that of every process that comes from it, and tells of each
/// instruction by its address. `is_followed` is asked after each exec, by process id: a program
/// that is not goes on alone, and so does all that comes from it. Returns the exit code of the
/// command; nothing where a signal ended it.
///
/// The caller's thread is the tracer: others of the process may follow commands of their own. It
/// stays on the processor that it is on, and so does what it follows: a stop that has to wake another
/// processor takes four times as long.
pub fn follow(
    command: &mut Command,
    is_followed: impl Fn(i32) -> bool,
    mut visit: impl FnMut(usize),
) -> io::Result<Option<i32>> {
    let mut here = CpuSet::new();
    here.set(rustix::thread::sched_getcpu());
    rustix::thread::sched_setaffinity(None, &here)?;
    // SAFETY: ptrace is a system call, which a forked child may make before it executes.
    unsafe { command.pre_exec(|| request(libc::PTRACE_TRACEME, 0, 0).map(drop)) };
    let first = i32::try_from(command.spawn()?.id()).map_err(io::Error::other)?;
    let mut followed = BTreeSet::from([first]);
    let (mut code, mut has_options) = (None, false);
    while let Some((pid, status)) = next()? {
        if !libc::WIFSTOPPED(status) {
            if pid == first && libc::WIFEXITED(status) {
                code = Some(libc::WEXITSTATUS(status));
            }
            followed.remove(&pid);
            continue;
        }
        let signal = match (libc::WSTOPSIG(status), status >> 16) {
            (_, libc::PTRACE_EVENT_EXEC) => {
                if !is_followed(pid) {
                    followed.remove(&pid);
                    ended(request(libc::PTRACE_DETACH, pid, 0))?;
                    continue;
                }
                followed.insert(pid);
                0
            }
            (_, event) if event != 0 => {
                followed.extend(ended(message(pid))?);
                0
            }
            // A step, the birth of a process, or the first exec, before which nothing is asked for.
            (libc::SIGTRAP | libc::SIGSTOP, _) => {
                if let Some(address) = ended(instruction(pid))? {
                    visit(address);
                }
                // Who is born later has them from its parent.
                if !mem::replace(&mut has_options, true) {
                    request(libc::PTRACE_SETOPTIONS, pid, EVENTS)?;
                }
                0
            }
            (signal, _) => signal.cast_unsigned() as usize,
        };
        ended(request(libc::PTRACE_SINGLESTEP, pid, signal))?;
    }
    Ok(code)
}

/// Where a followed process stops beside its steps.
const EVENTS: usize = (libc::PTRACE_O_TRACEFORK
    | libc::PTRACE_O_TRACEVFORK
    | libc::PTRACE_O_TRACECLONE
    | libc::PTRACE_O_TRACEEXEC)
    .cast_unsigned() as usize;

/// The next process of this thread's that has stopped or ended; nothing where there is none left.
fn next() -> io::Result<Option<(i32, i32)>> {
    let mut status = 0;
    loop {
        // SAFETY: the kernel writes one integer.
        let pid = unsafe { libc::waitpid(-1, &raw mut status, libc::__WALL | libc::__WNOTHREAD) };
        if pid > 0 {
            return Ok(Some((pid, status)));
        }
        let error = io::Error::last_os_error();
        match error.raw_os_error() {
            Some(libc::ECHILD) => return Ok(None),
            Some(libc::EINTR) => {}
            _ => return Err(error),
        }
    }
}

/// A process may be killed at any step: that is told by its end.
fn ended<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Ok(None),
        result => result.map(Some),
    }
}

fn instruction(pid: i32) -> io::Result<usize> {
    let at = mem::offset_of!(libc::user_regs_struct, rip);
    let mut word: libc::c_long = 0;
    // SAFETY: the kernel's own call writes one word to `word`; the C library's would return it.
    let result =
        unsafe { libc::syscall(libc::SYS_ptrace, libc::PTRACE_PEEKUSER, pid, at, &raw mut word) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    usize::try_from(word.cast_unsigned()).map_err(io::Error::other)
}

/// What an event is about: the process that was born.
fn message(pid: i32) -> io::Result<i32> {
    let mut word: libc::c_ulong = 0;
    // SAFETY: the kernel writes one word.
    let result = unsafe {
        libc::ptrace(libc::PTRACE_GETEVENTMSG, pid, ptr::null_mut::<c_void>(), &raw mut word)
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    i32::try_from(word).map_err(io::Error::other)
}

/// A request that takes a number and gives nothing back.
fn request(kind: libc::c_uint, pid: i32, data: usize) -> io::Result<()> {
    // SAFETY: none of the requests reads or writes memory of ours.
    let result = unsafe { libc::ptrace(kind, pid, ptr::null_mut::<c_void>(), data) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_and_its_children_are_followed() {
        let mut steps = 0_u64;
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "true & wait; exit 7"]);

        let code = follow(&mut command, |_pid| true, |_address| steps += 1);

        assert_eq!(code.expect("followed"), Some(7));
        assert!(steps > 1000, "{steps}");
    }
}
