//! Starting a program beside this one: a child that becomes it, in a process group of its own.
//!
//! `std::process::Command` sorts the environment, drops what it takes for no variable, and leaves
//! every fd that our own caller forgot to mark. Here the program gets what is given, and no more.

use crate::{
    clone::{CLONE_CLEAR_SIGHAND, Parent, Side, copy},
    exec::{Strings, execve},
    fds, process, signal,
};
use rustix::{io::Errno, pipe::PipeFlags, process::Pid};
use std::{
    convert::Infallible,
    ffi::CStr,
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

/// A program to start.
#[derive(Clone, Copy, Debug)]
pub struct Launch<'a> {
    /// Its file.
    pub path: &'a CStr,
    /// Its arguments, its name first.
    pub arguments: &'a Strings,
    /// Its environment.
    pub environment: &'a Strings,
    /// Its working directory; where missing, this process's.
    pub directory: Option<&'a CStr>,
    /// Its standard streams. It gets no other fd.
    pub streams: [BorrowedFd<'a>; 3],
}

/// A program that runs, or has ended and is not reaped yet.
#[derive(Debug)]
pub struct Launched {
    /// Its process, which leads a group of the same number.
    pub pid: Pid,
    /// A handle on it: readable when it has ended.
    pub pidfd: OwnedFd,
}

/// Signals that Rust programs ignore, for a program that expects to be told of a broken pipe.
const IGNORED_BY_HABIT: u64 = 1 << (libc::SIGPIPE - 1);

impl Launch<'_> {
    /// Starts it; comes back when it runs, or with the reason why it cannot.
    pub fn start(&self) -> io::Result<Launched> {
        let (report, reporter) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
        // SAFETY: the child makes system calls only (`become_program`) and ends: it takes no lock,
        // allocates nothing, and drops nothing.
        match unsafe { copy(CLONE_CLEAR_SIGHAND, None, Parent::Caller) }? {
            Side::Child => {
                let Err(error) = self.become_program();
                let errno = error.raw_os_error().unwrap_or(libc::EIO);
                let _unheard = rustix::io::write(&reporter, &errno.to_ne_bytes());
                process::leave(127)
            }
            Side::Parent { pid, pidfd } => {
                drop(reporter);
                let pid = Pid::from_raw(pid).ok_or(Errno::SRCH)?;
                match failure(report.as_fd()) {
                    None => Ok(Launched { pid, pidfd }),
                    Some(error) => {
                        crate::pidfd::reap(pidfd.as_fd())?;
                        Err(error)
                    }
                }
            }
        }
    }

    fn become_program(&self) -> io::Result<Infallible> {
        rustix::process::setpgid(None, None)?;
        // Out of the way first: a caller without streams of its own may have them at 0 to 2.
        let own = |stream: BorrowedFd<'_>| rustix::io::fcntl_dupfd_cloexec(stream, 3);
        let [input, output, errors] = self.streams;
        let (input, output, errors) = (own(input)?, own(output)?, own(errors)?);
        rustix::stdio::dup2_stdin(&input)?;
        rustix::stdio::dup2_stdout(&output)?;
        rustix::stdio::dup2_stderr(&errors)?;
        fds::close_at_exec_from(3)?;
        if let Some(directory) = self.directory {
            rustix::process::chdir(directory)?;
        }
        signal::reset(IGNORED_BY_HABIT)?;
        Err(execve(self.path, self.arguments, self.environment))
    }
}

/// What the child reports before it ends; nothing once exec has closed the pipe.
fn failure(report: BorrowedFd<'_>) -> Option<io::Error> {
    let mut bytes = [0; 4];
    loop {
        match rustix::io::read(report, &mut bytes) {
            Ok(4) => return Some(io::Error::from_raw_os_error(i32::from_ne_bytes(bytes))),
            Ok(_) => return None,
            Err(Errno::INTR) => {}
            Err(errno) => return Some(errno.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{MemfdFlags, SeekFrom};

    fn memory() -> OwnedFd {
        rustix::fs::memfd_create("streams", MemfdFlags::CLOEXEC).unwrap()
    }

    #[test]
    fn a_program_gets_exactly_what_is_given() {
        let (input, output) = (memory(), memory());
        let script = "pwd; cat; ls /proc/self/fd | wc -l; tr '\\0' '\\n' < /proc/$$/environ";
        let arguments = Strings::new(&["sh", "-c", script]).unwrap();
        let environment = Strings::new(&["Z=1", "odd", "A=2", "Z=3"]).unwrap();
        rustix::io::write(&input, b"hello\n").unwrap();
        rustix::fs::seek(&input, SeekFrom::Start(0)).unwrap();

        let launched = Launch {
            path: c"/bin/sh",
            arguments: &arguments,
            environment: &environment,
            directory: Some(c"/etc"),
            streams: [input.as_fd(), output.as_fd(), output.as_fd()],
        }
        .start()
        .unwrap();
        let status = crate::pidfd::reap(launched.pidfd.as_fd()).unwrap();

        assert_eq!(status.exit_status(), Some(0));
        let mut said = vec![0; 4096];
        let count = rustix::io::pread(&output, &mut said, 0).unwrap();
        let said = String::from_utf8_lossy(&said[..count]).into_owned();
        // Its three streams, and the directory that ls reads.
        assert_eq!(said, "/etc\nhello\n4\nZ=1\nodd\nA=2\nZ=3\n");
    }

    #[test]
    fn a_program_that_cannot_run_says_why() {
        let null = memory();
        let none = Strings::new::<&str>(&[]).unwrap();
        let launch = Launch {
            path: c"/no/such/program",
            arguments: &none,
            environment: &none,
            directory: None,
            streams: [null.as_fd(); 3],
        };

        assert_eq!(launch.start().unwrap_err().raw_os_error(), Some(libc::ENOENT));
        let nowhere = Launch { directory: Some(c"/etc/passwd"), ..launch };
        assert_eq!(nowhere.start().unwrap_err().raw_os_error(), Some(libc::ENOTDIR));
    }
}
