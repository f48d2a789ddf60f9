//! Programs of the user's, run at fixed points of a container's life with its state on standard
//! input.

use dhow_base::{Doing, Error, Kind, Result};
use dhow_spec::runtime::{Hook, OCI_VERSION, State, Status};
use rustix::{
    event::{PollFd, PollFlags, Timespec},
    process::{Pid, PidfdFlags, Signal},
};
use std::{
    collections::BTreeMap,
    io::Write,
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, Stdio},
};

/// What hooks are told of a container.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subject<'a> {
    pub(crate) id: &'a str,
    pub(crate) bundle: &'a Path,
    pub(crate) annotations: &'a BTreeMap<String, String>,
}

/// Whose process id the state shows.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Who {
    /// This process's.
    Process(i32),
    /// The calling process's, in its own PID namespace.
    Caller,
    /// The container has no process any more.
    Nobody,
}

impl Subject<'_> {
    fn state(&self, status: Status, pid: Option<i32>) -> State {
        State {
            oci_version: OCI_VERSION.to_owned(),
            id: self.id.to_owned(),
            status,
            pid,
            bundle: self.bundle.to_owned(),
            annotations: self.annotations.clone(),
        }
    }

    /// Runs the hooks one after the other; the first that fails ends it.
    pub(crate) fn run(&self, name: &str, hooks: &[Hook], status: Status, who: Who) -> Result<()> {
        if hooks.is_empty() {
            return Ok(());
        }
        let pid = match who {
            Who::Process(pid) => Some(pid),
            Who::Caller => Some(rustix::process::getpid().as_raw_nonzero().get()),
            Who::Nobody => None,
        };
        let state = serde_json::to_vec(&self.state(status, pid))
            .map_err(|error| Error::new(Kind::Internal, "write the state").because(error))?;
        for hook in hooks {
            run(hook, &state).doing(|| format!("run {name} hook {}", hook.path.display()))?;
        }
        Ok(())
    }
}

fn run(hook: &Hook, state: &[u8]) -> Result<()> {
    let mut command = Command::new(&hook.path);
    if let Some((name, rest)) = hook.args.split_first() {
        command.arg0(name).args(rest);
    }
    command.env_clear().envs(hook.env.iter().filter_map(|entry| entry.split_once('=')));
    command.stdin(Stdio::piped());
    let mut child = command.spawn().doing(|| "start it")?;
    // The state fits in a pipe, so writing does not wait; a hook need not read it, and a broken
    // pipe says no more than that it did not.
    if let Some(mut input) = child.stdin.take() {
        let _unread = input.write_all(state);
    }
    let status = match hook.timeout {
        None => child.wait().doing(|| "wait for it")?,
        Some(seconds) => wait_at_most(&mut child, seconds)?,
    };
    if status.success() {
        return Ok(());
    }
    Err(Error::new(Kind::Invalid, format!("it failed: {status}")))
}

fn wait_at_most(child: &mut Child, seconds: i64) -> Result<std::process::ExitStatus> {
    let doing = || "wait for it";
    let pid = Pid::from_child(child);
    let pidfd = rustix::process::pidfd_open(pid, PidfdFlags::empty()).doing(doing)?;
    let timeout = Timespec { tv_sec: seconds.max(0), tv_nsec: 0 };
    let mut polled = [PollFd::new(&pidfd, PollFlags::IN)];
    let ready = rustix::event::poll(&mut polled, Some(&timeout)).doing(doing)?;
    if ready == 0 {
        rustix::process::pidfd_send_signal(&pidfd, Signal::KILL).doing(|| "kill it")?;
        child.wait().doing(doing)?;
        let text = format!("it did not end within {seconds} seconds and was killed");
        return Err(Error::new(Kind::TimedOut, text));
    }
    child.wait().doing(doing)
}
