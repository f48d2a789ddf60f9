//! `create`: a container that waits for its start; and what `run` shares with it.

use super::{
    Call, Command, Touches, absolute, driver,
    grammar::{Flag, Stop, switch, value},
};
use crate::exit::{FAILURE, SUCCESS};
use dhow_base::{Doing, Result};
use dhow_runtime::{
    Driver, Keyring,
    shelf::{Created, Creation, Readiness, TerminalTo},
};
use dhow_spec::runtime::{Process, Spec};
use std::path::{Path, PathBuf};

pub(super) const COMMAND: Command = Command {
    name: "create",
    about: "Create a container that waits for its start",
    arguments: "ID",
    count: 1..=1,
    flags: &[&BIRTH],
    stop: Stop::Nowhere,
    failure: FAILURE,
    touches: Touches::Container,
    act,
};

/// The flags of a birth.
pub(super) const BIRTH: [Flag; 7] = [
    value("bundle", "b", "DIR", "The bundle; the current directory where missing"),
    value("console-socket", "", "SOCKET", "Send the terminal's master to this unix socket"),
    value("pidfd-socket", "", "SOCKET", "Send a pidfd of the first process to this unix socket"),
    value("pid-file", "", "FILE", "Write the first process's number to this file"),
    switch("no-pivot", "", "Accepted for runc's sake: the root is pivoted to wherever it lies"),
    switch("no-new-keyring", "", "Leave the process the caller's session keyring"),
    value("preserve-fds", "", "NUMBER", "Leave the process so many more files open, from 3 on"),
];

fn act(call: &Call<'_>) -> Result<u8> {
    create(call, Company::Leaves, Files::given(call)?).map(|_created| SUCCESS)
}

/// Open files of ours that are the process's.
#[derive(Clone, Copy, Debug)]
pub(super) struct Files {
    /// How many, from 3 on.
    pub(super) count: u32,
    /// How many of those a service manager opened.
    listening: u32,
}

impl Files {
    /// Looks before anything of our own is open: what is not open cannot be handed on, and its
    /// number would go to a file of ours.
    pub(super) fn given(call: &Call<'_>) -> Result<Self> {
        let listening = match call.command {
            "exec" => 0,
            _ => call.environment.listen_fds(std::process::id),
        };
        let extra: u32 = call.words.number("preserve-fds")?.unwrap_or(0);
        let count = listening.saturating_add(extra);
        for number in listening..count {
            let doing =
                || format!("unable to stat preserved-fd {} (of {extra})", number - listening);
            std::fs::symlink_metadata(format!("/proc/self/fd/{}", number.saturating_add(3)))
                .doing(doing)?;
        }
        Ok(Self { count, listening })
    }
}

/// Whether the command stays with the container's process.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Company {
    Stays,
    Leaves,
}

/// Creates the container that the words ask for.
pub(super) fn create(call: &Call<'_>, company: Company, files: Files) -> Result<Created> {
    let created = call.shelf.create(&creation(call, company, files, &given_paths(call)?)?)?;
    if let Some(process) = &created.record.spec.process {
        warn_of_rights(call, &created.record.spec, process);
    }
    Ok(created)
}

/// What a birth refers to.
#[derive(Debug)]
pub(super) struct Paths {
    driver: Driver,
    bundle: PathBuf,
    console_socket: Option<PathBuf>,
    pidfd_socket: Option<PathBuf>,
    pid_file: Option<PathBuf>,
}

/// Those of the command line.
pub(super) fn given_paths(call: &Call<'_>) -> Result<Paths> {
    let path = |flag: &'static str| call.words.filled(flag).map(PathBuf::from);
    Ok(Paths {
        driver: driver::chosen(
            call.globals.is_on("systemd-cgroup"),
            call.globals.filled("cgroup-manager"),
            call.environment,
        ),
        bundle: absolute(Path::new(call.words.filled("bundle").unwrap_or(".")))?,
        console_socket: path("console-socket"),
        pidfd_socket: path("pidfd-socket"),
        pid_file: path("pid-file"),
    })
}

/// The birth that the words ask for.
pub(super) fn creation<'a>(
    call: &'a Call<'_>,
    company: Company,
    files: Files,
    paths: &'a Paths,
) -> Result<Creation<'a>> {
    Ok(Creation {
        driver: &paths.driver,
        terminal: terminal(paths.console_socket.as_deref(), company),
        pidfd_socket: paths.pidfd_socket.as_deref(),
        pid_file: paths.pid_file.as_deref(),
        preserve_fds: files.count,
        listen_fds: files.listening,
        readiness: match call.environment.notify_socket {
            Some(_) => Readiness::Asked,
            None => Readiness::Unasked,
        },
        keyring: match call.words.is_on("no-new-keyring") {
            true => Keyring::Inherited,
            false => Keyring::New,
        },
        ..Creation::new(call.words.id()?, &paths.bundle)
    })
}

/// What a process asks for and does not get, it is to be told of.
pub(super) fn warn_of_rights(call: &Call<'_>, spec: &Spec, process: &Process) {
    if let Ok(names) = dhow_runtime::ungrantable(spec, process)
        && !names.is_empty()
    {
        call.log.warning(&format!("ignoring unknown or unavailable capabilities {names:?}"));
    }
    for name in dhow_runtime::unraisable(process) {
        let why = "it is not both permitted and inheritable";
        call.log.warning(&format!("can't raise ambient capability {name}: {why}"));
    }
}

/// Who gets a terminal's master.
pub(super) fn terminal(socket: Option<&Path>, company: Company) -> TerminalTo<'_> {
    match (socket, company) {
        (None, Company::Stays) => TerminalTo::Caller,
        (None, Company::Leaves) => TerminalTo::Nobody,
        (Some(path), Company::Stays) => TerminalTo::SocketOf(path),
        (Some(path), Company::Leaves) => TerminalTo::Socket(path),
    }
}
