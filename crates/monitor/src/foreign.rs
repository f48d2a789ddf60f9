//! A container made by another OCI runtime, by the command line that all of them share.
//!
//! ```text
//!   own mount namespace ─▶ root mounted in the run directory ─▶ bundle: config.json with that root
//!   <runtime> create --bundle … --pid-file … [--console-socket …] <id>
//!   <runtime> start <id>     …     <runtime> delete --force <id>
//! ```
//!
//! Others want the root as a directory, so the monitor takes a mount namespace of its own for it: nobody
//! else sees the mount, and it dies with the monitor. The runtime's command ends after `create`, and
//! the first process is then given to the nearest process that takes orphans in, which the monitor is for that time.

use crate::{Home, Run, bundle, furnish::Furnisher, network::Kept, spawn::as_usual};
use dhow_base::{Doing, Error, Kind, Result, file};
use dhow_spec::runtime::Spec;
use dhow_sys::procfs::Procfs;
use rustix::{
    fs::{Mode, OFlags},
    mount::MountPropagationFlags,
    process::{Pid, PidfdFlags},
    thread::ThreadNameSpaceType,
};
use std::{
    io::IoSliceMut,
    mem::MaybeUninit,
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixListener,
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// What a runtime says of its failure, at most.
const LOG_LIMIT_BYTES: u64 = 1 << 20;

const PID_LIMIT_BYTES: u64 = 64;

/// The version of the specification that every runtime knows.
const OLD_VERSION: &str = "1.0.2";

/// The other runtime and its container.
#[derive(Debug)]
pub(crate) struct Foreign {
    program: PathBuf,
    state: PathBuf,
    log: PathBuf,
    id: String,
    // The machine's mount namespace, to go back to at the end.
    home: OwnedFd,
}

/// What a creation brought.
#[derive(Debug)]
pub(crate) struct Created {
    pub(crate) foreign: Foreign,
    pub(crate) pid: i32,
    pub(crate) pidfd: OwnedFd,
    pub(crate) terminal: Option<OwnedFd>,
    pub(crate) network: Kept,
}

/// Creates and starts a container with `program`. Its first process gets `streams`, or a
/// terminal.
pub(crate) fn start(
    run: &Run,
    program: &Path,
    spec: &Spec,
    streams: Option<[OwnedFd; 3]>,
) -> Result<Created> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let home = rustix::fs::open("/proc/self/ns/mnt", flags, Mode::empty())
        .doing(|| "remember the mount namespace")?;
    let foreign = Foreign {
        program: program.to_owned(),
        state: run.home.directory.join("runtime"),
        log: run.home.directory.join("runtime.log"),
        id: run.id.to_string(),
        home,
    };
    let furnisher = run.network.as_deref().map(Furnisher::prepare).transpose()?;
    let bundle = foreign.make_bundle(run, spec);
    match bundle.and_then(|bundle| foreign.create(&run.home, furnisher.as_ref(), &bundle, streams))
    {
        Ok((pid, pidfd, terminal)) => {
            let network = furnisher.map(Furnisher::into_kept).unwrap_or_default();
            Ok(Created { foreign, pid, pidfd, terminal, network })
        }
        Err(error) => {
            // Why it was not made says more than what is left of it.
            let _deleted = foreign.delete();
            Err(error)
        }
    }
}

impl Foreign {
    /// The directory that the runtime is given, with the root mounted where only we see it.
    fn make_bundle(&self, run: &Run, spec: &Spec) -> Result<PathBuf> {
        dhow_sys::namespace::leave(ThreadNameSpaceType::MOUNT)
            .doing(|| "take a mount namespace for the root")?;
        let down = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
        rustix::mount::mount_change("/", down).doing(|| "keep mounts to ourselves")?;
        // Runtimes refuse versions that came after them, and pass fields over that they do not know.
        let spec = Spec { oci_version: OLD_VERSION.to_owned(), ..spec.clone() };
        bundle::make(&run.home.directory, &run.bundle, run.rootfs.as_ref(), spec)
    }

    fn create(
        &self,
        home: &Home,
        furnisher: Option<&Furnisher>,
        bundle: &Path,
        streams: Option<[OwnedFd; 3]>,
    ) -> Result<(i32, OwnedFd, Option<OwnedFd>)> {
        let pid_file = home.directory.join("pid");
        let console = home.directory.join("console");
        let mut command = self.command();
        command.arg("create").arg("--bundle").arg(bundle).arg("--pid-file").arg(&pid_file);
        let listener = match streams {
            None => {
                let listener = UnixListener::bind(&console).doing(|| "listen for the terminal")?;
                command.arg("--console-socket").arg(&console);
                Some(listener)
            }
            Some([input, output, errors]) => {
                command.stdin(input).stdout(output).stderr(errors);
                None
            }
        };
        command.arg(&self.id);
        rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
            .doing(|| "take orphans in")?;
        let made = self.run_to_end(&mut command, "create");
        // Its ends of the streams close with it: else the program's end would not be seen.
        drop(command);
        let taken = made.and_then(|()| self.take(&pid_file));
        rustix::process::set_child_subreaper(None).doing(|| "take no more orphans in")?;
        let (pid, pidfd) = taken?;
        let terminal = listener.map(|listener| receive_terminal(&listener)).transpose()?;
        if let Some(furnisher) = furnisher.and_then(Furnisher::for_newborn) {
            let namespace = Procfs::of_host()
                .and_then(|host| host.namespace(&pid.to_string(), "net"))
                .doing(|| "open the container's net namespace")?;
            furnisher.furnish(namespace.as_fd())?;
        }
        self.run_to_end(self.command().arg("start").arg(&self.id), "start")?;
        Ok((pid, pidfd, terminal))
    }

    fn take(&self, pid_file: &Path) -> Result<(i32, OwnedFd)> {
        let bytes = file::read_limited(pid_file, PID_LIMIT_BYTES)
            .doing(|| format!("learn the pid from {}", self.program.display()))?;
        let text = String::from_utf8_lossy(&bytes);
        let pid = text.trim().parse().ok().and_then(Pid::from_raw).ok_or_else(|| {
            Error::new(Kind::Corrupt, format!("read the pid from {}", pid_file.display()))
        })?;
        let pidfd = rustix::process::pidfd_open(pid, PidfdFlags::empty())
            .doing(|| format!("open process {}", pid.as_raw_pid()))?;
        Ok((pid.as_raw_pid(), pidfd))
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        as_usual(&mut command)
            .arg("--root")
            .arg(&self.state)
            .arg("--log")
            .arg(&self.log)
            .args(["--log-format", "json"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    }

    fn run_to_end(&self, command: &mut Command, verb: &str) -> Result<()> {
        let doing = || format!("{verb} the container with {}", self.program.display());
        let status = command.status().map_err(|error| {
            let kind = match error.kind() {
                std::io::ErrorKind::NotFound => Kind::NotFound,
                _ => Kind::Unavailable,
            };
            Error::new(kind, doing()).because(error)
        })?;
        if status.success() {
            return Ok(());
        }
        let said = self.last_words().unwrap_or_else(|| status.to_string());
        Err(Error::new(kind_of(&said), said)).doing(doing)
    }

    /// What the runtime wrote into its log last.
    fn last_words(&self) -> Option<String> {
        let bytes = file::read_limited(&self.log, LOG_LIMIT_BYTES).ok()?;
        let text = String::from_utf8_lossy(&bytes);
        let line: serde_json::Value = serde_json::from_str(text.lines().last()?).ok()?;
        line["msg"].as_str().map(str::to_owned)
    }

    /// Takes away what the runtime keeps of the container, and the root.
    pub(crate) fn delete(&self) -> Result<()> {
        let deleted =
            self.run_to_end(self.command().args(["delete", "--force"]).arg(&self.id), "delete");
        // The commands that come after the monitor are the machine's.
        dhow_sys::namespace::join(self.home.as_fd(), ThreadNameSpaceType::MOUNT)
            .doing(|| "go back to the mount namespace of the machine")?;
        deleted
    }
}

/// All runtimes say it with the kernel's words.
fn kind_of(said: &str) -> Kind {
    let lower = said.to_ascii_lowercase();
    let missing = ["no such file or directory", "not found in $path", "executable file"];
    if missing.iter().any(|words| lower.contains(words)) && lower.contains("exec") {
        Kind::CommandNotFound
    } else if lower.contains("permission denied") && lower.contains("exec") {
        Kind::CommandNotRunnable
    } else {
        Kind::Unavailable
    }
}

fn receive_terminal(listener: &UnixListener) -> Result<OwnedFd> {
    let doing = || "receive the terminal from the runtime";
    let (socket, _) = listener.accept().doing(doing)?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = rustix::net::RecvAncillaryBuffer::new(&mut space);
    let mut name = [0_u8; 4096];
    let flags = rustix::net::RecvFlags::CMSG_CLOEXEC;
    rustix::net::recvmsg(&socket, &mut [IoSliceMut::new(&mut name)], &mut control, flags)
        .doing(doing)?;
    for message in control.drain() {
        if let rustix::net::RecvAncillaryMessage::ScmRights(mut fds) = message
            && let Some(terminal) = fds.next()
        {
            return Ok(terminal);
        }
    }
    Err(Error::new(Kind::Unavailable, "receive the terminal from the runtime: it sent none"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_is_told_apart() {
        let cases = [
            (
                "runc create failed: unable to start container process: exec: \"nope\": executable \
                 file not found in $PATH",
                Kind::CommandNotFound,
            ),
            (
                "executable file `nope` not found in $PATH: No such file or directory",
                Kind::CommandNotFound,
            ),
            ("exec: \"/etc\": permission denied", Kind::CommandNotRunnable),
            ("mount of cgroup failed", Kind::Unavailable),
        ];
        for (said, kind) in cases {
            assert_eq!(kind_of(said), kind, "{said}");
        }
    }
}
