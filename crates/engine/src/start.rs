//! Starting a container, watching it, and writing down how it ended.
//!
//! ```text
//! start:  row starting ─▶ run directory, files ─▶ monitor ─▶ it says "started" ─▶ row running
//! finish: exit record ─▶ row exited, or restarting by its policy ─▶ (--rm) removed
//! ```
//!
//! Whoever sees the end first finishes: the command in the foreground, or the command that the
//! monitor becomes when nobody watches ([`Engine::finish`]).

use crate::{
    Engine,
    claim::Turn,
    create::{self, Fresh},
    end::Died,
    events::{Subject, tell, tell_of_start, tell_of_volumes},
    files,
    layout::Layout,
    networks::has_plugins,
    options::{CreateOptions, LogDriver, RemoveOptions},
    pid_file,
    readiness::{self, Listener},
    record::Record,
    secrets, selinux,
};
use dhow_base::{Doing, Error, Kind, Result, clock::Moment, id::ContainerId, tree};
use dhow_image::Progress;
use dhow_monitor::{
    Client, Exit, ExitRecord, Ground, Handed, Job, NetworkTask, Revival, Run,
    Started as MonitorStarted, Stdin, Task,
};
use dhow_network::{Held, Plan};
use dhow_spec::Mount;
use dhow_state::{
    Owner,
    containers::{self, Container, Ended, Phase, Started},
};
use dhow_sys::mask::Blocked;
use rustix::process::Pid;
use std::{collections::BTreeMap, ffi::OsString, path::PathBuf, time::Duration};

/// How often a start begins anew, because others have started and ended the container meanwhile.
const START_TRIES: usize = 16;

/// How the command that starts a container goes on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Watch {
    /// It gets the output from the first byte.
    Attached,
    /// It goes.
    Detached,
}

/// Where a container's log is.
#[derive(Clone, Debug)]
pub enum LogPlace {
    /// In this file, and in those beside it that were set aside.
    File {
        /// The file.
        path: PathBuf,
        /// What goes along with each line.
        attributes: BTreeMap<String, String>,
    },
    /// In systemd's journal, under this id.
    Journal(ContainerId),
}

/// What few starts have.
#[derive(Debug, Default)]
pub(crate) struct Extras {
    /// A checkpoint that the processes go on from.
    pub(crate) revival: Option<Revival>,
    /// So many of the command's fds, from 3 on.
    pub(crate) preserve_fds: u32,
    /// Its root, which nobody has seen yet who could have mounted it.
    pub(crate) rootfs: Option<Mount>,
}

/// A container that runs, and the connection to its monitor.
#[derive(Debug)]
pub struct Running {
    /// The container's id.
    pub id: ContainerId,
    /// Its name.
    pub name: String,
    /// The connection; the program has started.
    pub client: Client,
    /// The monitor, which stands for this life of the container and no other.
    pub monitor: i32,
    /// Whether this life began here, so that its monitor hears from us what is to become of the rest.
    pub begun_here: bool,
    /// What its program says of its readiness, where it is to say it.
    pub listener: Option<Listener>,
    /// Signals that wait for the session of who stays with it.
    pub held_signals: Option<Blocked>,
}

impl Running {
    /// Asks for the output and the input from now on.
    fn attached(mut self) -> Result<Self> {
        self.client.attach()?;
        self.monitor = self.client.started()?.monitor_pid;
        Ok(self)
    }
}

/// A container that was just started.
#[derive(Debug)]
pub(crate) struct Launched {
    pub(crate) client: Client,
    monitor: i32,
    listener: Option<Listener>,
    held_signals: Option<Blocked>,
}

impl Launched {
    fn running(self, id: ContainerId, name: String) -> Running {
        let Self { client, monitor, listener, held_signals } = self;
        Running { id, name, client, monitor, begun_here: true, listener, held_signals }
    }
}

impl Engine {
    /// Creates and starts in one go.
    pub fn run(
        &mut self,
        options: &CreateOptions,
        watch: Watch,
        progress: &dyn Progress,
    ) -> Result<Running> {
        let Fresh { row, rootfs, look } = self.create_in(options, progress, Phase::Creating)?;
        let turn = self.turn(&row.id)?;
        let preserve_fds = options.life.preserve_fds;
        let extras = Extras { preserve_fds, rootfs: Some(rootfs), ..Extras::default() };
        let launched = self.launch_with(&row, watch, extras);
        // The container runs meanwhile.
        drop(look);
        match launched {
            Ok(launched) => Ok(launched.running(row.id, row.name)),
            Err(error) => {
                self.dismiss_monitor();
                self.settle_failed_start(&turn, &row);
                Err(error).doing(|| format!("start container {}", row.name))
            }
        }
    }

    /// Starts a container. One that runs is fine: then the connection is to what runs.
    pub fn start(&mut self, container: &str, watch: Watch) -> Result<Running> {
        for _ in 0..START_TRIES {
            let row = self.steady(container)?;
            if row.phase == Phase::Removing {
                break;
            }
            if row.phase != Phase::Running {
                match self.start_at_rest(&row, watch)? {
                    Some(launched) => return Ok(launched.running(row.id, row.name)),
                    // Somebody has gone on with it while we waited for our turn.
                    None => continue,
                }
            }
            match self.connect(&row)? {
                Some(running) if watch == Watch::Attached => return running.attached(),
                Some(running) => return Ok(running),
                None => self.await_row(&row)?,
            }
        }
        let text = format!("start container {container}: another command is at work on it");
        Err(Error::new(Kind::Conflict, text))
    }

    /// Starts a container that does not run; nothing where it is not as it was seen any more.
    fn start_at_rest(&mut self, row: &Container, watch: Watch) -> Result<Option<Launched>> {
        let _lock = self.lock_root(&row.id)?;
        let turn = self.turn(&row.id)?;
        let owner = Some(Owner::current()?);
        let from = [Phase::Created, Phase::Exited, Phase::Restarting];
        let is_ours = self.state.write(|write| {
            let is_ours = containers::advance(write, &row.id, &from, Phase::Starting, owner)?;
            if is_ours {
                containers::begin_anew(write, &row.id)?;
            }
            Ok(is_ours)
        })?;
        if !is_ours {
            return Ok(None);
        }
        if row.phase == Phase::Restarting {
            crate::restart::dismiss(row.owner)?;
        }
        let launched = self.settle_connections(&turn, row).and_then(|()| self.launch(row, watch));
        match launched {
            Ok(launched) => Ok(Some(launched)),
            Err(error) => {
                self.settle_failed_start(&turn, row);
                Err(error).doing(|| format!("start container {}", row.name))
            }
        }
    }

    pub(crate) fn launch(&mut self, row: &Container, watch: Watch) -> Result<Launched> {
        self.launch_with(row, watch, Extras::default())
    }

    /// As [`Engine::launch`], with what few starts have.
    pub(crate) fn launch_with(
        &mut self,
        row: &Container,
        watch: Watch,
        extras: Extras,
    ) -> Result<Launched> {
        let record = Record::parse(&row.settings)?;
        let mut rootfs = match extras.rootfs {
            Some(rootfs) => rootfs,
            None => self.root_at_rest(row)?,
        };
        if record.namespaces.maps_mounts() && matches!(rootfs, Mount::Attached { .. }) {
            let text = "show its root with its ids: it is mounted with the host's";
            return Err(Error::new(Kind::Conflict, text)
                .hint("`dhow unmount` takes the mount away; mount it again when it runs"));
        }
        if row.auto_remove {
            create::throw_away(&mut rootfs);
        }
        self.start_required(&record)?;
        let network = self.enter_networks(row, &record)?;
        let mut held = Held::default();
        let network = match (&record.pod, network) {
            (Some(pod), None) => {
                self.raise_infra(pod, &row.id)?;
                self.raise_pod(row)?
            }
            (_, Some(plan)) if has_plugins(&plan) => {
                let (task, ports) = self.raise_plugged(row, &record, &plan)?;
                held = ports;
                Some(task)
            }
            (_, own) => own.map(|plan| NetworkTask { plan, ground: Ground::Newborn }),
        };
        if let Some(path) = &record.life.pid_file {
            // What cannot be written is found out before anything runs.
            pid_file::write(path, None)?;
        }
        self.prepare_run_directory(row, &record, network.as_ref().map(|task| &task.plan))?;
        if record.has_volumes() {
            self.volumes_mut().attach_for(&row.id)?;
        }
        self.point_at_joined(row, &record)?;
        self.place_cgroup(row, &record)?;
        let mut job = self.job(row, &record, watch, rootfs)?;
        if let Task::Run(run) = &mut job.task {
            run.revival = extras.revival.map(Box::new);
            run.network = network.clone().map(Box::new);
        }
        job.handed.fds = extras.preserve_fds;
        let socket = match record.life.says_ready {
            true => Some(readiness::listen(&self.layout.run(&row.id))?),
            false => None,
        };
        // The monitor holds them from now on.
        drop(held);
        let monitor = self.waiting_monitor(job.handed)?;
        let held_signals = dhow_monitor::hold_signals()?;
        let pid = monitor.pid();
        let mut client = monitor.take_job(&job)?;
        self.state.tidy_while_waiting();
        self.state.prepare_while_waiting();
        let started = match (client.started_unless_told_to_end(), &network) {
            (Err(error), Some(task)) => return Err(self.with_holder(error, &task.plan)),
            (started, _) => started?,
        };
        let started = match started {
            Some(started) => started,
            None => return Err(taken_back(pid)?),
        };
        let (boot, me) = (boot_id()?, rustix::process::getpid());
        self.state.write(|write| {
            if row.phase == Phase::Creating {
                tell(write, &Subject::of(row, &record), "create", &[])?;
            }
            containers::mark_started(
                write,
                &row.id,
                &Started {
                    at: Moment::from_unix_nanoseconds(started.started_at),
                    process: Owner { pid: started.pid, start_time: started.start_time },
                    monitor: Owner { pid: started.monitor_pid, start_time: started.start_time },
                    boot: &boot,
                    starter: Some(me.as_raw_pid()),
                },
            )?;
            let health = record.life.health.as_ref().map(|_| "starting");
            if row.course.health.as_deref() != health {
                containers::mark_health(write, &row.id, health)?;
            }
            tell_of_volumes(write, &row.id, &record, "mount")?;
            if let Some(task) = network.as_ref().filter(|task| task.is_first()) {
                let owner = task.plan.owner.parse()?;
                Self::write_entered(write, &owner, &task.plan, &started.ports)?;
            }
            tell(write, &Subject::of(row, &record), "start", &[])
        })?;
        self.write_pid_file(&record, started.pid);
        let written = self.write_leased(row, &record, &started.leases);
        if let Err(error) = written
            && dhow_monitor::is_alive(&self.layout.run(&row.id))?
        {
            // The container has its addresses; who asks for them hears less.
            (self.warn)(&format!("write down what was leased: {}", error.one_line()));
        }
        let process = Owner { pid: started.pid, start_time: started.start_time };
        let listener = match socket {
            // Who has ended already says nothing any more.
            Some(socket) => crate::end::open(process)?.map(|process| Listener { socket, process }),
            None => None,
        };
        // Who goes is told to end after all that is written, who stays by the session.
        let held_signals = (watch == Watch::Attached).then_some(held_signals);
        Ok(Launched { client, monitor: started.monitor_pid, listener, held_signals })
    }

    /// Writes the number of a container's first process where it was asked for.
    pub(crate) fn write_pid_file(&self, record: &Record, pid: i32) {
        let Some(path) = &record.life.pid_file else { return };
        if let Err(error) = pid_file::write(path, Some(pid)) {
            // It was written to a moment ago; the container runs, and `inspect` tells its number.
            (self.warn)(&error.one_line());
        }
    }

    fn prepare_run_directory(
        &self,
        row: &Container,
        record: &Record,
        network: Option<&Plan>,
    ) -> Result<()> {
        let run = self.layout.run(&row.id);
        create::make_directory(&self.layout.runs(), &run)?;
        files::write(&run, record, network)?;
        self.label_files_of_network(record)?;
        dhow_base::file::remove_if_there(&self.layout.exit_record(&row.id))?;
        make_empty(&self.layout)
    }

    /// Who shares another's network is shown that one's files, which are then for both.
    fn label_files_of_network(&self, record: &Record) -> Result<()> {
        let label = record.selinux.files.as_str();
        let owner = match label {
            "" => None,
            _ => self.network_directory(&record.namespaces.joined)?,
        };
        let Some(owner) = owner else { return Ok(()) };
        for name in files::OF_NETWORK {
            selinux::mark_shared(&owner.join(name), label)?;
        }
        Ok(())
    }

    fn job(&self, row: &Container, record: &Record, watch: Watch, rootfs: Mount) -> Result<Job> {
        let attached = watch == Watch::Attached;
        let removed_at_end = attached && row.auto_remove && record.ends_with_its_first();
        Ok(Job {
            task: Task::Run(Box::new(Run {
                id: row.id.clone(),
                home: self.layout.home(&row.id),
                removed_at_end,
                leavings: match removed_at_end {
                    true => self.leavings(&row.id, record)?,
                    false => Vec::new(),
                },
                config: self.layout.config(&row.id),
                bundle: self.layout.container(&row.id),
                rootfs: Some(rootfs),
                mountpoint: self.mountpoint(record),
                driver: record.driver(),
                variables: if record.secrets.is_empty() {
                    Vec::new()
                } else {
                    secrets::variables(&self.layout, &row.id)?
                },
                revival: None,
                runtime: record.life.runtime.clone(),
                network: None,
            })),
            terminal: record.tty,
            stdin: match (record.interactive, attached) {
                (false, _) => Stdin::Null,
                (true, true) => Stdin::Once,
                (true, false) => Stdin::Open,
            },
            log: record.life.log.settings(row, self.layout.log(&row.id))?,
            cleanup: Some(self.cleanup_command(&row.id)),
            attached,
            time_limit_ms: record.life.timeout_seconds.map(|seconds| u64::from(seconds) * 1000),
            health: self.health_plan(row, record),
            handed: Handed { fds: 0, output: record.life.log.driver == LogDriver::Passthrough },
        })
    }

    /// Where the root is mounted, seen by the container alone and only until it enters it. With ids of
    /// its own the container has no way into our directories, which may be closed to strangers, and
    /// takes one that is open to all.
    fn mountpoint(&self, record: &Record) -> PathBuf {
        if record.namespaces.has_ids() { "/run".into() } else { self.layout.empty() }
    }

    /// What the monitor becomes after the exit: this binary, on the same state.
    fn cleanup_command(&self, id: &ContainerId) -> Vec<OsString> {
        let mut command = self.own_command();
        command.extend(["cleanup".into(), id.as_str().into()]);
        command
    }

    /// This binary on the same state, to be given a command.
    pub(crate) fn own_command(&self) -> Vec<OsString> {
        let mut command = vec![
            "/proc/self/exe".into(),
            "--root".into(),
            self.layout.root().into(),
            "--runroot".into(),
            self.layout.runroot().into(),
        ];
        if !self.is_of_root {
            // It begins in the user's namespace, where it takes itself for root.
            command.push("--of-user".into());
        }
        command
    }

    /// A start that failed leaves a container that can be looked at, or nothing where `--rm` was
    /// given. Its own troubles are warnings: the error to report is why the start failed.
    fn settle_failed_start(&mut self, turn: &Turn, row: &Container) {
        let from = [Phase::Creating, Phase::Starting, Phase::Running];
        let told = self.state.write(|write| {
            let now = containers::find(write, &row.id)?;
            if now.is_some_and(|now| now.phase == Phase::Creating) {
                let record = Record::parse(&row.settings)?;
                tell(write, &Subject::of(row, &record), "create", &[])?;
            }
            containers::advance(write, &row.id, &from, Phase::Created, None)
        });
        let settled = told.and_then(|_| match row.auto_remove {
            true => self.remove_row(row, RemoveOptions { force: true, volumes: true }),
            false => self.leave_objects(turn, row),
        });
        if let Err(error) = settled {
            (self.warn)(&format!("after the failed start of {}: {}", row.name, error.one_line()));
        }
    }

    /// Connects to a running container's output and input.
    pub fn attach(&mut self, container: &str) -> Result<Running> {
        let row = self.look_up(container)?;
        let missing = || {
            Error::new(
                Kind::Conflict,
                format!("attach to container {}: it is not running", row.name),
            )
            .hint("`dhow start -a` starts and attaches")
        };
        if row.phase != Phase::Running {
            return Err(missing());
        }
        self.connect(&row)?.ok_or_else(missing)?.attached()
    }

    /// Connects to the monitor of a container that runs; nothing where it has just come to its end.
    fn connect(&self, row: &Container) -> Result<Option<Running>> {
        let Some(client) = Client::connect(&self.layout.run(&row.id))? else { return Ok(None) };
        let monitor = row.monitor.map_or(0, |monitor| monitor.pid);
        let (id, name) = (row.id.clone(), row.name.clone());
        Ok(Some(Running {
            id,
            name,
            client,
            monitor,
            begun_here: false,
            listener: None,
            held_signals: None,
        }))
    }

    /// Writes down how a container ended and, where `--rm` was given, removes it; for the command
    /// that watched to the end, and for the one that the monitor becomes. Done twice it does no harm,
    /// nor does it when the next life has begun meanwhile: `monitor` says which one is meant.
    pub fn finish(&mut self, id: &ContainerId, monitor: i32) -> Result<()> {
        self.finish_seen(id, monitor, None)
    }

    /// As [`Engine::finish`], by the command that has watched to the end and still has its connection.
    pub fn finish_watched(
        &mut self,
        id: &ContainerId,
        monitor: i32,
        exit: Exit,
        mut client: Client,
    ) -> Result<()> {
        if let Some(row) = containers::find(self.state.read(), id)?
            && self.leave(&row, monitor, exit.code, &mut client)?
        {
            return Ok(());
        }
        // It waits for what its client says.
        drop(client);
        self.finish_seen(id, monitor, Some(exit))
    }

    fn finish_seen(&mut self, id: &ContainerId, monitor: i32, seen: Option<Exit>) -> Result<()> {
        let Some(row) = containers::find(self.state.read(), id)? else { return Ok(()) };
        if !self.is_life_of(&row, monitor)? {
            return Ok(());
        }
        if !matches!(row.phase, Phase::Running | Phase::Starting | Phase::Exited | Phase::Creating)
        {
            return Ok(());
        }
        if row.auto_remove {
            let exit = match seen {
                Some(exit) => Some(exit),
                None => {
                    ExitRecord::read(&self.layout.exit_record(&row.id))?.map(|record| record.exit)
                }
            };
            let died = match exit {
                Some(exit) => Died { code: exit.code.into(), is_seen: true },
                None => Died { code: LOST_EXIT_CODE, is_seen: false },
            };
            // Who starts it has yet to write so, and what that life has got.
            let _turn = match row.phase {
                Phase::Starting | Phase::Creating => Some(self.turn(&row.id)?),
                _ => None,
            };
            return self.remove_ended(&row, died);
        }
        match self.claim(&row)? {
            // Another life may have come and gone while we waited.
            Some((turn, now)) if self.is_life_of(&now, monitor)? => self.write_exit(&turn, &now),
            _ => Ok(()),
        }
    }

    /// Whether what a row tells of is the life that this monitor has kept.
    fn is_life_of(&self, row: &Container, monitor: i32) -> Result<bool> {
        match (row.phase, row.monitor) {
            (_, Some(other)) => Ok(other.pid == monitor),
            // The command that starts it has not written that it has.
            (Phase::Starting | Phase::Creating, None) => {
                let started = MonitorStarted::read(&self.layout.run(&row.id))?;
                Ok(started.is_some_and(|started| started.monitor_pid == monitor))
            }
            (_, None) => Ok(true),
        }
    }

    /// Takes what the exit record says over into the row, which is as it is now. Where the policy wants
    /// another life, it is prepared: the row waits for it, and so does a process.
    pub(crate) fn write_exit(&mut self, _turn: &Turn, now: &Container) -> Result<()> {
        let exit = ExitRecord::read(&self.layout.exit_record(&now.id))?;
        let ended = match &exit {
            Some(exit) => Ended {
                exit_code: exit.exit.code.into(),
                oom_killed: exit.exit.oom_killed,
                at: exit.finished_at.unwrap_or_else(Moment::now),
            },
            // The monitor was killed, or the machine stopped, before it could write.
            None => Ended { exit_code: LOST_EXIT_CODE, oom_killed: false, at: Moment::now() },
        };
        let has_lived = match &exit {
            Some(exit) => exit.started_at.is_some(),
            None => now.phase == Phase::Running,
        };
        let record = Record::parse(&now.settings)?;
        if exit.is_none() {
            // A monitor that could not write has not cleaned up; what tells of its cgroup goes next.
            self.bury_unless_kept(now)?;
        }
        tree::remove(&self.layout.run(&now.id))?;
        if has_lived && self.restarts_by_policy(now, &record, &ended)? {
            return Ok(());
        }
        let left = self.lower_networks(&now.id, &record)?;
        if left.is_some() {
            self.lower_ground(Some(&now.id))?;
        }
        self.state.write(|write| {
            if containers::mark_exited(write, &now.id, &ended, now.process)? {
                if has_lived {
                    tell_of_start(write, &Subject::of(now, &record))?;
                }
                let code = ended.exit_code.to_string();
                tell(write, &Subject::of(now, &record), "die", &[("exitCode", &code)])?;
                tell_of_volumes(write, &now.id, &record, "unmount")?;
            }
            left.iter().try_for_each(|plan| Self::write_left(write, &now.id, plan))
        })?;
        self.leave_shared(&now.id, &record)
    }

    /// Takes away what a container that has ended has on its networks, its volumes' mounts, and what the
    /// pod shares that it was the last to use. For who has the turn.
    pub(crate) fn leave_objects(&mut self, _turn: &Turn, row: &Container) -> Result<()> {
        let record = Record::parse(&row.settings)?;
        self.leave_networks(&row.id, &record)?;
        self.leave_shared(&row.id, &record)
    }

    fn leave_shared(&mut self, id: &ContainerId, record: &Record) -> Result<()> {
        if record.has_volumes() {
            let mut volumes = self.volumes_mut();
            let names = volumes.with_mounts(id)?;
            volumes.detach_for(id, &names)?;
        }
        match &record.pod {
            Some(pod) => self.leave_pod(&pod.parse()?, id),
            None => Ok(()),
        }
    }

    /// Where a container's log is.
    pub fn log(&mut self, container: &str) -> Result<LogPlace> {
        let row = self.look_up(container)?;
        let record = Record::parse(&row.settings)?;
        let log = &record.life.log;
        match log.driver {
            driver if driver.keeps_files() => {
                let attributes = log.attributes(&row)?;
                Ok(LogPlace::File { path: log.path(self.layout.log(&row.id)), attributes })
            }
            LogDriver::Journald => Ok(LogPlace::Journal(row.id)),
            driver => Err(Error::new(
                Kind::Unsupported,
                format!(
                    "read the log of container {}: driver {} keeps none",
                    row.name,
                    driver.name()
                ),
            )),
        }
    }

    /// The run directory of a container, which knows whether it still runs.
    pub fn run_directory(&mut self, container: &str) -> Result<PathBuf> {
        let row = self.look_up(container)?;
        Ok(self.layout.run(&row.id))
    }
}

/// How long a monitor that is killed may take to be gone.
const CANCEL_PATIENCE: Duration = Duration::from_secs(5);

/// Takes a start back that the command was told to give up; the error that says so.
fn taken_back(monitor: Pid) -> Result<Error> {
    let text = "wait for it: a signal has told this command to end";
    if dhow_monitor::cancel_start(monitor, CANCEL_PATIENCE)? {
        return Ok(Error::new(Kind::Unavailable, text).hint("what had been started was taken back"));
    }
    Ok(Error::new(Kind::Unavailable, text).hint(
        "it hangs in the kernel, in a mount perhaps; `dhow doctor` mends it when that lets it",
    ))
}

/// What a container gets whose end nobody saw: as if it had been killed.
pub(crate) const LOST_EXIT_CODE: i32 = 137;

/// The directory that roots are mounted on.
fn make_empty(layout: &Layout) -> Result<()> {
    match rustix::fs::mkdir(layout.empty(), rustix::fs::Mode::from_raw_mode(0o700)) {
        Ok(()) | Err(rustix::io::Errno::EXIST) => Ok(()),
        Err(errno) => Err(errno).doing(|| format!("create {}", layout.empty().display())),
    }
}

/// What the kernel calls this boot; pids mean nothing after the next one.
pub(crate) fn boot_id() -> Result<String> {
    let path = "/proc/sys/kernel/random/boot_id";
    std::fs::read_to_string(path)
        .map(|text| text.trim().to_owned())
        .doing(|| format!("read {path}"))
}
