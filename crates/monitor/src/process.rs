//! The process that a monitor keeps: started through the runtime, with our ends of its streams.

use crate::{
    Exec, Exit, Handed, Job, Revival, Run, Stdin, Task,
    foreign::{self, Foreign},
    furnish::Furnisher,
    log::Stream,
    network::Kept,
    prepared::Prepared,
    revival,
};
use dhow_base::{Doing, Error, Kind, Result, file};
use dhow_runtime::{
    Driver, ExecRequest, Hold, Init, Keyring, Leftovers, Paused, Request, Stdio, Whereabouts,
};
use dhow_spec::runtime::{Linux, Spec};
use rustix::{
    fs::{Mode, OFlags},
    pipe::PipeFlags,
    process::{Signal, WaitId, WaitIdOptions},
};
use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
};

/// As large as `Spec::parse` takes.
const CONFIG_LIMIT_BYTES: u64 = 16 << 20;

/// A process that runs, or has ended and is not reaped yet.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    pub(crate) start_time: u64,
    pub(crate) pidfd: OwnedFd,
    /// Where input goes; `None` where it has none.
    pub(crate) input: Option<OwnedFd>,
    /// Where output comes from.
    pub(crate) outputs: Vec<(Stream, OwnedFd)>,
    /// The terminal's master, which is also behind `input` and `outputs`.
    pub(crate) terminal: Option<OwnedFd>,
    part: Part,
    container: Container,
    // The runtime that made it, where that was not ours.
    foreign: Option<Foreign>,
    /// What is kept of its networks.
    pub(crate) network: Kept,
}

/// What a process is to its container.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Part {
    /// The first process: the container ends with it.
    First,
    /// One more.
    Another,
}

/// What the runtime needs to know of a container when a process of it has ended.
#[derive(Debug)]
struct Container {
    id: String,
    bundle: PathBuf,
    spec: Spec,
}

/// Starts what the job asks for.
pub(crate) fn start(job: &Job, prepared: &Prepared) -> Result<Process> {
    match &job.task {
        Task::Run(run) => start_container(job, run, prepared),
        Task::Exec(exec) => start_exec(job, exec),
    }
}

fn start_container(job: &Job, run: &Run, prepared: &Prepared) -> Result<Process> {
    let mut spec = read_config(&run.config)?;
    if let Some(process) = &mut spec.process {
        process.env.extend(run.variables.iter().cloned());
    }
    if let Some(program) = &run.runtime {
        return start_foreign(job, run, program, spec);
    }
    if let Some(revival) = &run.revival {
        return revive(job, run, revival, spec);
    }
    let streams = Streams::new(job)?;
    let furnisher = run.network.as_deref().map(Furnisher::prepare).transpose()?;
    let created = dhow_runtime::create(&Request {
        id: run.id.as_str(),
        spec: &spec,
        driver: &run.driver,
        bundle: &run.bundle,
        rootfs: run.rootfs.as_ref(),
        mountpoint: &run.mountpoint,
        stdio: streams.stdio(),
        hold: Hold::Not,
        preserve_fds: job.handed.fds,
        keyring: Keyring::New,
        made_ahead: prepared.made_ahead(),
        network: furnisher.as_ref().and_then(Furnisher::for_newborn),
    })?;
    let network = furnisher.map(Furnisher::into_kept).unwrap_or_default();
    let first = Process::first(&created.init, created.pidfd, run, spec);
    Process { network, ..first }.with_ends(job, streams, created.terminal)
}

fn start_foreign(job: &Job, run: &Run, program: &Path, spec: Spec) -> Result<Process> {
    let mut streams = Streams::new(job)?;
    let created = foreign::start(run, program, &spec, streams.theirs.take())?;
    let init = Init::of_pid(created.pid)?;
    let process = Process::first(&init, created.pidfd, run, spec);
    let (foreign, network) = (Some(created.foreign), created.network);
    Process { foreign, network, ..process }.with_ends(job, streams, created.terminal)
}

fn revive(job: &Job, run: &Run, revival: &Revival, spec: Spec) -> Result<Process> {
    if run.network.is_some() {
        let text = "restore a container that is connected to a network";
        return Err(Error::new(Kind::Unsupported, text)
            .hint("a container with --network none or host can be restored"));
    }
    let mut streams = Streams::new(job)?;
    let created = revival::restore(run, revival, &spec, streams.theirs.take())?;
    let init = created.record.init.ok_or_else(|| {
        Error::new(Kind::Internal, "restore a container: there is no process of it")
    })?;
    Process::first(&init, created.pidfd, run, spec).with_ends(job, streams, created.terminal)
}

fn start_exec(job: &Job, exec: &Exec) -> Result<Process> {
    let spec = read_config(&exec.config)?;
    let streams = Streams::new(job)?;
    let executed = dhow_runtime::exec(&ExecRequest {
        id: exec.id.as_str(),
        init: Init { pid: exec.pid, started: exec.start_time },
        spec: &spec,
        bundle: &exec.bundle,
        driver: &exec.driver,
        process: &exec.process,
        stdio: streams.stdio(),
        preserve_fds: job.handed.fds,
        paused: Paused::Refused,
        subgroups: &[],
    })?;
    let container = Container::new(exec.id.as_str(), &exec.bundle, spec);
    Process {
        pid: executed.pid,
        start_time: Init::of_pid(executed.pid)?.started,
        pidfd: executed.pidfd,
        input: None,
        outputs: Vec::new(),
        terminal: None,
        part: Part::Another,
        container,
        foreign: None,
        network: Kept::default(),
    }
    .with_ends(job, streams, executed.terminal)
}

/// Starts one more process in the job's container: its own, with other words, without input.
pub(crate) fn start_check(job: &Job, init: (i32, u64), words: Vec<String>) -> Result<Process> {
    let Task::Run(run) = &job.task else {
        return Err(Error::new(Kind::Internal, "check a process that is no container"));
    };
    let spec = read_config(&run.config)?;
    let mut process = dhow_spec::runtime::Process {
        args: words,
        terminal: false,
        ..spec.process.unwrap_or_default()
    };
    process.env.extend(run.variables.iter().cloned());
    let exec = Exec {
        id: run.id.clone(),
        pid: init.0,
        start_time: init.1,
        driver: run.driver.clone(),
        config: run.config.clone(),
        bundle: run.bundle.clone(),
        process,
    };
    let quiet = Job {
        task: Task::Exec(Box::new(exec)),
        terminal: false,
        stdin: Stdin::Null,
        log: None,
        cleanup: None,
        health: None,
        handed: Handed::default(),
        ..job.clone()
    };
    start(&quiet, &Prepared::default())
}

pub(crate) fn read_config(path: &Path) -> Result<Spec> {
    file::read_limited(path, CONFIG_LIMIT_BYTES)
        .and_then(|bytes| Spec::parse(&bytes))
        .doing(|| format!("read {}", path.display()))
}

impl Container {
    /// A monitor sleeps as long as a container lives, so it keeps no more of the configuration than
    /// the end will need: where the cgroup is, and whom to tell.
    fn new(id: &str, bundle: &Path, spec: Spec) -> Self {
        let spec = Spec {
            process: None,
            mounts: Vec::new(),
            linux: spec.linux.map(|linux| Linux { seccomp: None, ..linux }),
            ..spec
        };
        Self { id: id.to_owned(), bundle: bundle.to_owned(), spec }
    }

    /// How many processes of it the kernel has killed because memory ran out. Where that cannot be
    /// read, none.
    fn oom_kills(&self) -> u64 {
        dhow_runtime::oom_kills(&Whereabouts::new(&self.id, &self.spec, &Driver::Files))
            .unwrap_or(0)
    }
}

impl Process {
    /// A container's first process, before its ends are put in place.
    fn first(init: &Init, pidfd: OwnedFd, run: &Run, spec: Spec) -> Self {
        Self {
            pid: init.pid,
            start_time: init.started,
            pidfd,
            input: None,
            outputs: Vec::new(),
            terminal: None,
            part: Part::First,
            container: Container::new(run.id.as_str(), &run.bundle, spec),
            foreign: None,
            network: Kept::default(),
        }
    }

    fn with_ends(mut self, job: &Job, streams: Streams, terminal: Option<OwnedFd>) -> Result<Self> {
        match terminal {
            // Their ends close here: else we would wait for our own end of file.
            None => (self.input, self.outputs) = (streams.input, streams.outputs),
            Some(terminal) => {
                if let Err(error) = self.take_terminal(job, terminal) {
                    self.abandon();
                    return Err(error);
                }
            }
        }
        Ok(self)
    }

    fn take_terminal(&mut self, job: &Job, terminal: OwnedFd) -> Result<()> {
        let another = || terminal.try_clone().doing(|| "keep the terminal");
        set_nonblocking(terminal.as_fd())?;
        self.input = if job.stdin == Stdin::Null { None } else { Some(another()?) };
        self.outputs = vec![(Stream::Stdout, another()?)];
        self.terminal = Some(terminal);
        Ok(())
    }

    /// Sends a signal. One that comes too late, or that is none, is no error: whoever asked will
    /// hear of the exit.
    pub(crate) fn signal(&self, number: i32) {
        let _sent = dhow_sys::pidfd::send_signal(self.pidfd.as_fd(), number);
    }

    /// Takes back a start that cannot be told to anybody.
    pub(crate) fn abandon(&self) {
        self.signal(Signal::KILL.as_raw());
        // Whatever fails here, the error that led here says more.
        let _exit = self.reap();
        let _deleted = self.delete();
    }

    /// How the process ended; call it when the pidfd is readable.
    pub(crate) fn reap(&self) -> Result<Exit> {
        let status = loop {
            let id = WaitId::PidFd(self.pidfd.as_fd());
            match rustix::process::waitid(id, WaitIdOptions::EXITED) {
                Err(rustix::io::Errno::INTR) => {}
                status => break status.doing(|| format!("wait for process {}", self.pid))?,
            }
        };
        let status = status.ok_or_else(|| {
            Error::new(Kind::Internal, format!("wait for process {}: it is no child", self.pid))
        })?;
        let signal = status.terminating_signal();
        let code = signal.map_or(status.exit_status(), |signal| Some(128 + signal));
        Ok(Exit {
            // The kernel passes eight bits of an exit code on, and signals end at 64.
            code: code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX),
            signal,
            // Somebody else's SIGKILL looks the same, but is not counted there. Of one more process
            // nobody asks: the count is the container's.
            oom_killed: self.part == Part::First && self.container.oom_kills() > 0,
        })
    }

    /// Removes what the kernel does not remove by itself when the last process goes.
    pub(crate) fn delete(&self) -> Result<()> {
        if self.part == Part::Another {
            return Ok(());
        }
        if let Some(foreign) = &self.foreign {
            foreign.delete()?;
        }
        let warnings = dhow_runtime::delete(&Leftovers {
            id: &self.container.id,
            spec: &self.container.spec,
            driver: &Driver::Files,
            bundle: &self.container.bundle,
        })?;
        // Nobody looks at the monitor but through its last word.
        warnings.into_iter().next().map_or(Ok(()), Err)
    }
}

/// Both ends of the standard streams of a process without a terminal.
#[derive(Debug)]
struct Streams {
    theirs: Option<[OwnedFd; 3]>,
    input: Option<OwnedFd>,
    outputs: Vec<(Stream, OwnedFd)>,
}

impl Streams {
    fn new(job: &Job) -> Result<Self> {
        if job.terminal {
            return Ok(Self { theirs: None, input: None, outputs: Vec::new() });
        }
        let (their_input, input) = match job.stdin {
            Stdin::Null => (open_null()?, None),
            Stdin::Once | Stdin::Open => {
                let (read, write) = pipe()?;
                set_nonblocking(write.as_fd())?;
                (read, Some(write))
            }
        };
        if job.handed.output {
            let keep = |fd| rustix::io::fcntl_dupfd_cloexec(fd, 3).doing(|| "keep a stream");
            let theirs =
                [their_input, keep(rustix::stdio::stdout())?, keep(rustix::stdio::stderr())?];
            return Ok(Self { theirs: Some(theirs), input, outputs: Vec::new() });
        }
        let (output, their_output) = pipe()?;
        let (errors, their_errors) = pipe()?;
        set_nonblocking(output.as_fd())?;
        set_nonblocking(errors.as_fd())?;
        Ok(Self {
            theirs: Some([their_input, their_output, their_errors]),
            input,
            outputs: vec![(Stream::Stdout, output), (Stream::Stderr, errors)],
        })
    }

    fn stdio(&self) -> Stdio<'_> {
        match &self.theirs {
            Some(theirs) => Stdio::Streams(theirs.each_ref().map(AsFd::as_fd)),
            None => Stdio::Inherit,
        }
    }
}

fn pipe() -> Result<(OwnedFd, OwnedFd)> {
    rustix::pipe::pipe_with(PipeFlags::CLOEXEC).doing(|| "make a pipe")
}

fn open_null() -> Result<OwnedFd> {
    rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
        .doing(|| "open /dev/null")
}

/// Our ends never block: the loop that waits for everything waits nowhere else.
fn set_nonblocking(fd: BorrowedFd<'_>) -> Result<()> {
    rustix::io::ioctl_fionbio(fd, true).doing(|| "make a stream non-blocking")
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use rustix::process::{Pid, PidfdFlags, pidfd_open};
    use std::process::{Command, Stdio as Std};

    /// A shell on this machine in place of a container: the monitor cannot tell.
    #[expect(clippy::zombie_processes, reason = "reaping it is what is tried")]
    pub(crate) fn shell(script: &str, stdin: Stdin) -> Process {
        let mut command = Command::new("sh");
        command.args(["-c", script]).stdout(Std::piped()).stderr(Std::piped());
        command.stdin(if stdin == Stdin::Null { Std::null() } else { Std::piped() });
        let mut child = command.spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let process = Process {
            pid,
            start_time: dhow_sys::process::start_time(pid).unwrap(),
            pidfd: pidfd_open(Pid::from_raw(pid).unwrap(), PidfdFlags::empty()).unwrap(),
            input: child.stdin.take().map(OwnedFd::from),
            outputs: vec![
                (Stream::Stdout, OwnedFd::from(child.stdout.take().unwrap())),
                (Stream::Stderr, OwnedFd::from(child.stderr.take().unwrap())),
            ],
            terminal: None,
            part: Part::Another,
            container: Container::new("shell", Path::new("/"), Spec::default()),
            foreign: None,
            network: Kept::default(),
        };
        for fd in process.outputs.iter().map(|(_, fd)| fd).chain(&process.input) {
            set_nonblocking(fd.as_fd()).unwrap();
        }
        process
    }

    #[test]
    fn exit_codes_are_a_shells() {
        let cases = [
            ("exit 0", 0, None),
            ("exit 7", 7, None),
            ("exit 255", 255, None),
            ("kill -9 $$", 137, Some(9)),
            ("kill -TERM $$", 143, Some(15)),
        ];
        for (script, code, signal) in cases {
            let process = shell(script, Stdin::Null);

            let exit = process.reap().unwrap();

            assert_eq!(exit, Exit { code, signal, oom_killed: false }, "{script}");
        }
    }

    #[test]
    fn signals_reach_the_process_also_real_time_ones() {
        for number in [2, 15, 37] {
            let process = shell("exec sleep 100", Stdin::Null);

            process.signal(number);

            assert_eq!(process.reap().unwrap().signal, Some(number));
            process.signal(number);
            process.signal(-1);
        }
    }
}
