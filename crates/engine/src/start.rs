//! Starting a container, watching it, and writing down how it ended.
//!
//! ```text
//! start:  row starting ─▶ run directory, files ─▶ monitor ─▶ it says "started" ─▶ row running
//! finish: exit record ─▶ row exited ─▶ (--rm) removed
//! ```
//!
//! Whoever sees the end first finishes: the command in the foreground, or the command that the
//! monitor becomes when nobody watches ([`Engine::cleanup`]).

use crate::{
    Engine, create, files,
    layout::Layout,
    options::{CreateOptions, RemoveOptions},
    record::Record,
    secrets,
};
use dhow_base::{Doing, Error, Kind, Result, clock::Moment, id::ContainerId};
use dhow_image::Progress;
use dhow_monitor::{Client, ExitRecord, Job, LogSettings, Run, Stdin, Task};
use dhow_spec::Mount;
use dhow_state::{
    Owner,
    containers::{self, Container, Phase, Started},
    events,
};
use std::{ffi::OsString, path::PathBuf};

/// How the command that starts a container goes on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Watch {
    /// It gets the output from the first byte.
    Attached,
    /// It goes.
    Detached,
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
}

impl Engine {
    /// Creates and starts in one go.
    pub fn run(
        &mut self,
        options: &CreateOptions,
        watch: Watch,
        progress: &dyn Progress,
    ) -> Result<Running> {
        let created = self.create_in(options, progress, Phase::Creating)?;
        let row = create::look_up(&self.state, created.id.as_str())?;
        match self.launch(&row, watch) {
            Ok(client) => Ok(Running { id: created.id, name: created.name, client }),
            Err(error) => {
                self.settle_failed_start(&row);
                Err(error).doing(|| format!("start container {}", row.name))
            }
        }
    }

    /// Starts a container that is not running.
    pub fn start(&mut self, container: &str, watch: Watch) -> Result<Running> {
        let row = self.look_up(container)?;
        if row.phase == Phase::Running {
            return Err(Error::new(
                Kind::Conflict,
                format!("start container {}: it is running", row.name),
            ));
        }
        let owner = Some(Owner::current()?);
        let from = [Phase::Created, Phase::Exited];
        if !self
            .state
            .write(|write| containers::advance(write, &row.id, &from, Phase::Starting, owner))?
        {
            return Err(Error::new(
                Kind::Conflict,
                format!("start container {}: another command is at work on it", row.name),
            ));
        }
        match self.launch(&row, watch) {
            Ok(client) => Ok(Running { id: row.id, name: row.name, client }),
            Err(error) => {
                self.settle_failed_start(&row);
                Err(error).doing(|| format!("start container {}", row.name))
            }
        }
    }

    fn launch(&mut self, row: &Container, watch: Watch) -> Result<Client> {
        let record = Record::parse(&row.settings)?;
        let mut rootfs = self.images.container_mount(&self.state, &row.id)?;
        // Unmounting a union syncs the whole file system below it, which takes seconds on a busy
        // disk. What is thrown away at the end need not reach the disk at all.
        if row.auto_remove
            && let Mount::Overlay { upper: Some(upper), .. } = &mut rootfs
        {
            upper.volatile = true;
        }
        self.prepare_run_directory(row, &record)?;
        if record.has_volumes() {
            self.volumes_mut().attach_for(&row.id)?;
        }
        if record.pod.is_some() {
            self.pods_mut().rise_for(&row.id)?;
        }
        self.point_at_joined(row, &record)?;
        let job = self.job(row, &record, watch, rootfs)?;
        let mut client = dhow_monitor::spawn(&job)?;
        let started = client.started()?;
        let boot = boot_id()?;
        self.state.write(|write| {
            containers::mark_started(
                write,
                &row.id,
                &Started {
                    at: Moment::from_unix_nanoseconds(started.started_at),
                    process: Owner { pid: started.pid, start_time: started.start_time },
                    monitor: Owner { pid: started.monitor_pid, start_time: started.start_time },
                    boot: &boot,
                },
            )?;
            events::record(write, "container", "start", row.id.as_str(), "{}")
        })?;
        Ok(client)
    }

    fn prepare_run_directory(&self, row: &Container, record: &Record) -> Result<()> {
        let run = self.layout.run(&row.id);
        create::make_directory(&self.layout.runs(), &run)?;
        files::write(&run, record)?;
        dhow_base::file::remove_if_there(&self.layout.exit_record(&row.id))?;
        make_empty(&self.layout)
    }

    fn job(&self, row: &Container, record: &Record, watch: Watch, rootfs: Mount) -> Result<Job> {
        let attached = watch == Watch::Attached;
        Ok(Job {
            task: Task::Run(Box::new(Run {
                id: row.id.clone(),
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
            })),
            terminal: record.tty,
            stdin: match (record.interactive, attached) {
                (false, _) => Stdin::Null,
                (true, true) => Stdin::Once,
                (true, false) => Stdin::Open,
            },
            log: Some(LogSettings { path: self.layout.log(&row.id), limit_bytes: None, files: 1 }),
            directory: self.layout.run(&row.id),
            exit_record: self.layout.exit_record(&row.id),
            cleanup: Some(self.cleanup_command(&row.id)),
            attached,
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
        vec![
            "/proc/self/exe".into(),
            "--root".into(),
            self.layout.root().into(),
            "--runroot".into(),
            self.layout.runroot().into(),
            "cleanup".into(),
            id.as_str().into(),
        ]
    }

    /// A start that failed leaves a container that can be looked at, or nothing where `--rm` was
    /// given. Its own troubles are warnings: the error to report is why the start failed.
    fn settle_failed_start(&mut self, row: &Container) {
        let settled = if row.auto_remove {
            self.remove_row(row, RemoveOptions { force: true, volumes: true })
        } else {
            let from = [Phase::Creating, Phase::Starting, Phase::Running];
            self.state
                .write(|write| containers::advance(write, &row.id, &from, Phase::Created, None))
                .and_then(|_| self.leave_objects(row))
        };
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
        let mut client = Client::connect(&self.layout.run(&row.id))?.ok_or_else(missing)?;
        client.attach()?;
        client.started()?;
        Ok(Running { id: row.id.clone(), name: row.name.clone(), client })
    }

    /// Writes down how a container ended and, where `--rm` was given, removes it. For the command
    /// that watched to the end.
    pub fn finish(&mut self, id: &ContainerId) -> Result<()> {
        self.cleanup(id)
    }

    /// As [`Engine::finish`], for the command that the monitor becomes. Done twice it does no harm.
    pub fn cleanup(&mut self, id: &ContainerId) -> Result<()> {
        let Some(row) = containers::find(self.state.read(), id)? else { return Ok(()) };
        if !matches!(row.phase, Phase::Running | Phase::Starting | Phase::Exited | Phase::Creating)
        {
            return Ok(());
        }
        if row.auto_remove {
            return self.remove_row(&row, RemoveOptions { force: true, volumes: true });
        }
        self.write_exit(&row)
    }

    /// Takes what the exit record says over into the row.
    pub(crate) fn write_exit(&mut self, row: &Container) -> Result<()> {
        let record = ExitRecord::read(&self.layout.exit_record(&row.id))?;
        let (code, oom_killed, finished) = match &record {
            Some(record) => {
                (i32::from(record.exit.code), record.exit.oom_killed, record.finished_at)
            }
            // The monitor was killed, or the machine stopped, before it could write.
            None => (LOST_EXIT_CODE, false, None),
        };
        self.state.write(|write| {
            let finished = finished.unwrap_or_else(Moment::now);
            containers::mark_exited(write, &row.id, code, oom_killed, finished)?;
            events::record(
                write,
                "container",
                "die",
                row.id.as_str(),
                &format!("{{\"exitCode\":{code}}}"),
            )
        })?;
        remove_run_directory(&self.layout, &row.id)?;
        self.leave_objects(row)
    }

    /// Unmounts the volumes, and takes away what the pod shares, that a container that has ended was
    /// the last to use.
    fn leave_objects(&mut self, row: &Container) -> Result<()> {
        let record = Record::parse(&row.settings)?;
        if record.has_volumes() {
            let mut volumes = self.volumes_mut();
            let names = volumes.with_mounts(&row.id)?;
            volumes.detach_for(&row.id, &names)?;
        }
        match &record.pod {
            Some(pod) => self.pods_mut().sink_for(&pod.parse()?, &row.id),
            None => Ok(()),
        }
    }

    /// Waits until the container does not run, and says its exit code.
    pub fn wait(&mut self, container: &str) -> Result<i32> {
        let row = self.look_up(container)?;
        match row.phase {
            Phase::Running | Phase::Starting => {
                let exit_record = self.layout.exit_record(&row.id);
                match dhow_monitor::wait_for_exit(&self.layout.run(&row.id), &exit_record) {
                    Ok(record) => Ok(record.exit.code.into()),
                    // With --rm the record may be gone before we look; the row is, too.
                    Err(error) => match containers::find(self.state.read(), &row.id)? {
                        Some(row) if row.exit_code.is_some() => {
                            Ok(row.exit_code.unwrap_or(LOST_EXIT_CODE))
                        }
                        _ => Err(error).doing(|| format!("wait for container {}", row.name)),
                    },
                }
            }
            _ => Ok(row.exit_code.unwrap_or(0)),
        }
    }

    /// Where a container's log lies.
    pub fn log_path(&mut self, container: &str) -> Result<PathBuf> {
        let row = self.look_up(container)?;
        Ok(self.layout.log(&row.id))
    }

    /// The run directory of a container, which knows whether it still runs.
    pub fn run_directory(&mut self, container: &str) -> Result<PathBuf> {
        let row = self.look_up(container)?;
        Ok(self.layout.run(&row.id))
    }
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

fn remove_run_directory(layout: &Layout, id: &ContainerId) -> Result<()> {
    let run = layout.run(id);
    match std::fs::remove_dir_all(&run) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error).doing(|| format!("remove {}", run.display())),
    }
}
