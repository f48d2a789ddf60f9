//! One more process in a running container.
//!
//! Its start and its end are events. Of the end the client tells that hears of it; where there is none any
//! more, the process's monitor becomes a command that does.

use crate::{
    Engine, capabilities,
    events::{Subject, tell},
    identity, merge,
    options::ExecOptions,
    record::Record,
    secrets,
    start::Watch,
};
use dhow_base::{Doing, Error, Kind, Result, file, id::ContainerId};
use dhow_monitor::{Client, Exec, Handed, Job, Stdin, Task};
use dhow_spec::runtime::{Process, Spec};
use dhow_state::{
    Owner,
    containers::{self, Container, Phase},
};
use rustix::fs::{Mode, OFlags};
use std::os::fd::{AsFd, OwnedFd};

/// So much of a command line is told in an event.
const TOLD_CHARS: usize = 1024;

pub(crate) const CONFIG_LIMIT_BYTES: u64 = 16 << 20;

/// A process that was started in a container.
#[derive(Debug)]
pub struct Session {
    /// The connection to its monitor.
    pub client: Client,
    /// The container.
    pub container: ContainerId,
    /// What events call it.
    pub id: String,
}

impl Engine {
    /// Runs a process in a running container; returns when the program has started.
    pub fn exec(
        &mut self,
        container: &str,
        options: &ExecOptions,
        watch: Watch,
    ) -> Result<Session> {
        let row = self.look_up(container)?;
        self.exec_in(&row, options, watch).doing(|| format!("execute in container {}", row.name))
    }

    fn exec_in(&mut self, row: &Container, options: &ExecOptions, watch: Watch) -> Result<Session> {
        let init = row.process.filter(|_| row.phase == Phase::Running).ok_or_else(|| {
            Error::new(Kind::Conflict, format!("container {} is not running", row.name))
                .hint("`dhow start` starts it")
        })?;
        let bytes = file::read_limited(&self.layout.config(&row.id), CONFIG_LIMIT_BYTES)?;
        let spec = Spec::parse(&bytes)?;
        let mut process = process(&spec, options, init)?;
        let own = process.env.clone();
        for entry in secrets::variables(&self.layout, &row.id)? {
            merge::set_variable(&mut process.env, &entry);
        }
        // What the user says of this process wins.
        own.iter().filter(|entry| options.env.contains(entry)).for_each(|entry| {
            merge::set_variable(&mut process.env, entry);
        });
        let record = Record::parse(&row.settings)?;
        let exec = Exec {
            id: row.id.clone(),
            pid: init.pid,
            start_time: init.start_time,
            config: self.layout.config(&row.id),
            bundle: self.layout.container(&row.id),
            process,
            driver: record.driver(),
        };
        let id = ContainerId::random()?.to_string();
        let client = self.spawn_exec(exec, &id, options, watch)?;
        let told: String = options.command.join(" ").chars().take(TOLD_CHARS).collect();
        let action = format!("exec_start: {told}");
        self.state
            .write(|write| tell(write, &Subject::of(row, &record), &action, &[("execID", &id)]))?;
        Ok(Session { client, container: row.id.clone(), id })
    }

    /// Tells that a process in a container has ended. With the container, which has told so itself, nobody
    /// asks for it any more.
    pub fn tell_session_end(&mut self, container: &ContainerId, id: &str, code: u8) -> Result<()> {
        let Some(row) = containers::find(self.state.read(), container)? else { return Ok(()) };
        let record = Record::parse(&row.settings)?;
        let code = code.to_string();
        let more = [("execID", id), ("exitCode", code.as_str())];
        self.state.write(|write| tell(write, &Subject::of(&row, &record), "exec_die", &more))
    }

    fn spawn_exec(
        &mut self,
        exec: Exec,
        id: &str,
        options: &ExecOptions,
        watch: Watch,
    ) -> Result<Client> {
        let attached = watch == Watch::Attached;
        let mut cleanup = self.own_command();
        cleanup.extend(["cleanup", exec.id.as_str(), "--session", id, "--code"].map(Into::into));
        let job = Job {
            task: Task::Exec(Box::new(exec)),
            terminal: options.tty,
            stdin: match (options.interactive, attached) {
                (false, _) => Stdin::Null,
                (true, true) => Stdin::Once,
                (true, false) => Stdin::Open,
            },
            log: None,
            cleanup: Some(cleanup),
            attached,
            time_limit_ms: None,
            health: None,
            handed: Handed { fds: options.preserve_fds, output: false },
        };
        let mut client = self.waiting_monitor(job.handed)?.take_job(&job)?;
        client.started()?;
        Ok(client)
    }
}

/// The container's own process, changed by what the user says.
fn process(spec: &Spec, options: &ExecOptions, init: Owner) -> Result<Process> {
    let mut process = spec.process.clone().unwrap_or_default();
    process.terminal = options.tty;
    process.args.clone_from(&options.command);
    if process.args.is_empty() {
        return Err(Error::new(Kind::Invalid, "no command is given"));
    }
    if let Some(user) = &options.user {
        let root = root_of(init)?;
        let identity = identity::resolve(user, &[], root.as_fd())?;
        process.user = identity.user;
        merge::set_variable(&mut process.env, &format!("HOME={}", identity.home));
    }
    for entry in &options.env {
        merge::set_variable(&mut process.env, entry);
    }
    if options.tty {
        merge::set_variable(&mut process.env, "TERM=xterm");
    }
    if let Some(workdir) = &options.workdir {
        if !workdir.starts_with('/') {
            return Err(Error::new(
                Kind::Invalid,
                format!("use {workdir:?} as the working directory"),
            )
            .hint("the working directory is an absolute path in the container"));
        }
        process.cwd.clone_from(workdir);
    }
    let bounding = match process.capabilities.take() {
        _ if options.privileged => {
            capabilities::choose(None, &[], &[], true, capabilities::held()?)?
        }
        sets => sets.map(|sets| sets.bounding).unwrap_or_default(),
    };
    process.capabilities = Some(merge::capability_sets(&bounding, process.user.uid));
    Ok(process)
}

/// The root of a process, as a place to resolve paths below.
pub(crate) fn root_of(process: Owner) -> Result<OwnedFd> {
    let path = format!("/proc/{}/root", process.pid);
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::open(&path, flags, Mode::empty()).doing(|| format!("open {path}"))?;
    // Only now is it certain that the pid was still the container's when it was opened.
    if !process.is_alive()? {
        return Err(Error::new(Kind::Conflict, "the container has just ended"));
    }
    Ok(root)
}
