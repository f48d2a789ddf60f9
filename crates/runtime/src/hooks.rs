//! Programs of the user's, run at fixed points of a container's life with its state on standard
//! input.
//!
//! | hooks | run by | path and namespaces | directory | when they fail |
//! |---|---|---|---|---|
//! | prestart, createRuntime | the parent | the runtime's | the bundle | no container |
//! | createContainer | the first process | the runtime's path, the container's namespaces | the root | no container |
//! | startContainer | the first process | the container's | the process's | no container |
//! | poststart | the starter | the runtime's | the bundle | no container |
//! | poststop | whoever deletes | the runtime's | the bundle | the others run, and it is told |
//!
//! "No container" means that it is ended, deleted, and that its poststop hooks run. What a hook
//! says is kept for the error.

use dhow_base::{Doing, Error, Kind, Result};
use dhow_spec::runtime::{Hook, Hooks, OCI_VERSION, State, Status};
use dhow_sys::{
    exec::Strings,
    host_path::{LastLink, Place},
    launch::{Launch, Launched},
};
use rustix::{
    event::{PollFd, PollFlags, Timespec},
    fs::{MemfdFlags, SeekFrom},
    io::Errno,
    process::{Signal, WaitIdStatus},
    time::ClockId,
};
use std::{
    collections::BTreeMap,
    ffi::CString,
    os::{
        fd::{AsFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::Path,
};

/// How much of what a hook says an error repeats.
const WORDS_BYTES: u64 = 1024;

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

/// Hooks of one kind, and where they run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Round<'a> {
    /// What the specification calls them.
    pub(crate) name: &'a str,
    /// The hooks.
    pub(crate) hooks: &'a [Hook],
    /// Their working directory; where missing, the caller's.
    pub(crate) directory: Option<&'a Path>,
    /// The environment of those that name none.
    pub(crate) environment: &'a [String],
    /// Whether their paths are the container's and not the host's.
    pub(crate) is_inside: bool,
}

impl<'a> Round<'a> {
    /// Hooks with no environment but their own.
    pub(crate) fn new(name: &'a str, hooks: &'a [Hook], directory: Option<&'a Path>) -> Self {
        Self { name, hooks, directory, environment: &[], is_inside: false }
    }
}

/// Checks all hooks, so that a bad one is found before the first has run.
pub(crate) fn check(hooks: &Hooks) -> Result<()> {
    let kinds = hooks.kinds();
    for (name, hook) in
        kinds.iter().flat_map(|(name, list)| list.iter().map(move |hook| (name, hook)))
    {
        let invalid = |why: &str| {
            let text = format!("use {name} hook {}: {why}", hook.path.display());
            Err(Error::new(Kind::Invalid, text))
        };
        if !hook.path.is_absolute() {
            return invalid("its path is not absolute");
        }
        if hook.timeout.is_some_and(|seconds| seconds <= 0) {
            return invalid("its timeout is not greater than zero");
        }
        let has_zero = |text: &String| text.contains('\0');
        if hook.path.as_os_str().as_bytes().contains(&0)
            || hook.args.iter().chain(&hook.env).any(has_zero)
        {
            return invalid("it has a zero byte");
        }
    }
    Ok(())
}

impl Subject<'_> {
    /// What is told.
    pub(crate) fn state(&self, status: Status, who: Who) -> State {
        let pid = match who {
            Who::Process(pid) => Some(pid),
            Who::Caller => Some(rustix::process::getpid().as_raw_nonzero().get()),
            Who::Nobody => None,
        };
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
    pub(crate) fn run(&self, round: &Round<'_>, status: Status, who: Who) -> Result<()> {
        self.each(round, status, who).find(Result::is_err).unwrap_or(Ok(()))
    }

    /// Runs all the hooks, whatever becomes of each; what went wrong.
    pub(crate) fn run_all(&self, round: &Round<'_>, status: Status, who: Who) -> Vec<Error> {
        self.each(round, status, who).filter_map(Result::err).collect()
    }

    fn each(
        &self,
        round: &Round<'_>,
        status: Status,
        who: Who,
    ) -> impl Iterator<Item = Result<()>> {
        // Made only where somebody reads it.
        let state = (!round.hooks.is_empty()).then(|| {
            serde_json::to_vec(&self.state(status, who))
                .map_err(|error| Error::new(Kind::Internal, "write the state").because(error))
        });
        let state = state.transpose();
        round.hooks.iter().enumerate().map(move |(number, hook)| {
            // Engines and their users know these words from runc.
            let doing =
                || format!("error running {} hook #{number}: {}", round.name, hook.path.display());
            match &state {
                Ok(state) => check_way(hook, round)
                    .and_then(|()| run(hook, round, state.as_deref().unwrap_or_default()))
                    .doing(doing),
                Err(error) => Err(Error::new(error.kind(), doing())),
            }
        })
    }
}

/// A link of somebody else's decides nothing about what root runs. Who may replace a directory on
/// the way could still do so before the exec: hooks belong where only the caller may write.
fn check_way(hook: &Hook, round: &Round<'_>) -> Result<()> {
    if round.is_inside {
        return Ok(());
    }
    // What is missing is reported by the exec, in its own words.
    match Place::find(&hook.path, LastLink::Followed) {
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            Err(error).doing(|| "find it")
        }
        _ => Ok(()),
    }
}

fn run(hook: &Hook, round: &Round<'_>, state: &[u8]) -> Result<()> {
    let (input, output, errors) = (memory("state")?, memory("output")?, memory("errors")?);
    fill(&input, state)?;
    let zero = |_| Error::new(Kind::Invalid, "start it: it has a zero byte");
    let path = CString::new(hook.path.as_os_str().as_bytes()).map_err(zero)?;
    let name = [hook.path.to_string_lossy().into_owned()];
    let arguments = if hook.args.is_empty() { &name[..] } else { &hook.args };
    let arguments = Strings::new(arguments).map_err(zero)?;
    let environment = if hook.env.is_empty() { round.environment } else { &hook.env };
    let environment = Strings::new(environment).map_err(zero)?;
    let directory = round.directory.map(|path| CString::new(path.as_os_str().as_bytes()));
    let directory = directory.transpose().map_err(zero)?;
    let launched = Launch {
        path: &path,
        arguments: &arguments,
        environment: &environment,
        directory: directory.as_deref(),
        streams: [input.as_fd(), output.as_fd(), errors.as_fd()],
    }
    .start()
    .doing(|| "start it")?;
    let ended = wait(&launched, hook.timeout);
    match ended? {
        Some(status) if status.exit_status() == Some(0) => Ok(()),
        Some(status) => Err(failed(status, &words(&errors, &output))),
        None => {
            let seconds = hook.timeout.unwrap_or_default();
            let text = format!("it did not end within {seconds} seconds and was killed");
            Err(Error::new(Kind::TimedOut, text + &words(&errors, &output)))
        }
    }
}

/// A stream as a file in memory: whoever holds it longest, nobody waits for anybody, as on a pipe.
fn memory(name: &str) -> Result<OwnedFd> {
    rustix::fs::memfd_create(name, MemfdFlags::CLOEXEC).doing(|| "make its streams")
}

fn fill(file: &OwnedFd, bytes: &[u8]) -> Result<()> {
    let doing = || "write the state for it";
    let mut rest = bytes;
    while !rest.is_empty() {
        let count = rustix::io::write(file, rest).doing(doing)?;
        rest = &rest[count..];
    }
    rustix::fs::seek(file, SeekFrom::Start(0)).doing(doing).map(drop)
}

/// How it ended; nothing where it had to be killed.
fn wait(launched: &Launched, timeout: Option<i64>) -> Result<Option<WaitIdStatus>> {
    let doing = || "wait for it";
    let pidfd = launched.pidfd.as_fd();
    if let Some(seconds) = timeout
        && !has_ended_within(launched, seconds)?
    {
        // The whole group: what it started, and waits for perhaps, ends with it.
        let _gone = rustix::process::kill_process_group(launched.pid, Signal::KILL);
        let _gone = rustix::process::pidfd_send_signal(pidfd, Signal::KILL);
        dhow_sys::pidfd::reap(pidfd).doing(doing)?;
        return Ok(None);
    }
    dhow_sys::pidfd::reap(pidfd).doing(doing).map(Some)
}

fn has_ended_within(launched: &Launched, seconds: i64) -> Result<bool> {
    let now = || rustix::time::clock_gettime(ClockId::Monotonic);
    let start = now();
    let end = Timespec { tv_sec: start.tv_sec.saturating_add(seconds), tv_nsec: start.tv_nsec };
    loop {
        let now = now();
        let mut left =
            Timespec { tv_sec: end.tv_sec - now.tv_sec, tv_nsec: end.tv_nsec - now.tv_nsec };
        if left.tv_nsec < 0 {
            left = Timespec { tv_sec: left.tv_sec - 1, tv_nsec: left.tv_nsec + 1_000_000_000 };
        }
        if left.tv_sec < 0 {
            return Ok(false);
        }
        let mut polled = [PollFd::new(&launched.pidfd, PollFlags::IN)];
        match rustix::event::poll(&mut polled, Some(&left)) {
            Ok(0) => return Ok(false),
            Ok(_) => return Ok(true),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno).doing(|| "wait for it"),
        }
    }
}

fn failed(status: WaitIdStatus, words: &str) -> Error {
    let how = match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "no status".to_owned(),
    };
    Error::new(Kind::Invalid, format!("it failed: {how}{words}"))
}

/// The last of what it said, for an error: on its standard error, else on its standard output.
fn words(errors: &OwnedFd, output: &OwnedFd) -> String {
    let last = |file: &OwnedFd| {
        let length = rustix::fs::fstat(file).map_or(0, |status| status.st_size.cast_unsigned());
        let mut bytes = vec![0; usize::try_from(length.min(WORDS_BYTES)).unwrap_or(0)];
        let from = length.saturating_sub(WORDS_BYTES);
        let count = rustix::io::pread(file, &mut bytes, from).unwrap_or(0);
        String::from_utf8_lossy(&bytes[..count]).trim().to_owned()
    };
    let said = Some(last(errors)).filter(|said| !said.is_empty()).unwrap_or_else(|| last(output));
    if said.is_empty() { said } else { format!(": {said}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hooks_are_checked_before_the_first_runs() {
        let hook = |path: &str, timeout| Hook { path: path.into(), timeout, ..Hook::default() };
        let cases = [
            (hook("/bin/true", None), None),
            (hook("/bin/true", Some(1)), None),
            (hook("bin/true", None), Some("its path is not absolute")),
            (hook("", None), Some("its path is not absolute")),
            (hook("/bin/true", Some(0)), Some("greater than zero")),
            (hook("/bin/true", Some(-1)), Some("greater than zero")),
            (Hook { env: vec!["A=\0".to_owned()], ..hook("/bin/true", None) }, Some("zero byte")),
        ];
        for (hook, expected) in cases {
            let hooks = Hooks { poststop: vec![hook], ..Hooks::default() };
            let error = check(&hooks).err().map(|error| error.one_line());
            match (&error, expected) {
                (None, None) => {}
                (Some(text), Some(part)) => {
                    assert!(text.contains(part) && text.contains("poststop"), "{text}");
                }
                _ => panic!("{hooks:?} gives {error:?}"),
            }
        }
    }
}
