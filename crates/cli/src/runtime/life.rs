//! The life of a container by runc's commands: create, start, state, kill, delete, and lists.

use crate::{console::Console, exit::SUCCESS, flags::signal, render::table};
use dhow_base::{Doing, Error, Kind, Result};
use dhow_runtime::{
    Driver, Keyring,
    shelf::{Creation, Force, Reach, Shelf},
};
use serde_json::json;
use std::path::{Path, PathBuf};

/// Create a container that waits for its start
#[derive(clap::Args, Debug)]
pub(super) struct Create {
    #[command(flatten)]
    pub(super) birth: Birth,
}

/// What `create` and `run` share.
#[derive(clap::Args, Debug)]
pub(super) struct Birth {
    /// The bundle
    #[arg(short, long, value_name = "DIR", default_value = ".")]
    bundle: PathBuf,

    /// Send the terminal's master to this socket
    #[arg(long, value_name = "SOCKET")]
    console_socket: Option<PathBuf>,

    /// Write the first process's number to this file
    #[arg(long, value_name = "FILE")]
    pid_file: Option<PathBuf>,

    /// Leave the process so many files open, from 3 on
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    preserve_fds: u32,

    /// Leave the process the caller's session keyring
    #[arg(long)]
    no_new_keyring: bool,

    /// Accepted for runc's sake: the root is never entered by chroot
    #[arg(long, hide = true)]
    no_pivot: bool,

    /// The container's id
    pub(super) id: String,
}

impl Birth {
    /// Creates the container.
    pub(super) fn create(
        &self,
        shelf: &Shelf,
        driver: &Driver,
    ) -> Result<dhow_runtime::shelf::Record> {
        let bundle = absolute(&self.bundle)?;
        shelf.create(&Creation {
            id: &self.id,
            bundle: &bundle,
            driver,
            console_socket: self.console_socket.as_deref(),
            pid_file: self.pid_file.as_deref(),
            preserve_fds: self.preserve_fds,
            keyring: if self.no_new_keyring { Keyring::Inherited } else { Keyring::New },
        })
    }
}

/// Other processes read the path later, from elsewhere.
pub(super) fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).doing(|| format!("find the directory {}", path.display()))
}

impl Create {
    pub(super) fn act(&self, shelf: &Shelf, driver: &Driver) -> Result<u8> {
        self.birth.create(shelf, driver)?;
        Ok(SUCCESS)
    }
}

/// Run the program of a created container
#[derive(clap::Args, Debug)]
pub(super) struct Start {
    /// The container's id
    id: String,
}

impl Start {
    pub(super) fn act(&self, shelf: &Shelf) -> Result<u8> {
        shelf.start(&self.id).map(|()| SUCCESS)
    }
}

/// Print the state of a container as JSON
#[derive(clap::Args, Debug)]
pub(super) struct State {
    /// The container's id
    id: String,
}

impl State {
    pub(super) fn act(&self, shelf: &Shelf, console: Console) -> Result<u8> {
        let record = shelf.record(&self.id)?;
        let state = shelf.state(&self.id)?;
        let mut document = serde_json::to_value(&state)
            .map_err(|error| Error::new(Kind::Internal, "write the state").because(error))?;
        // runc adds these, and engines read them.
        document["created"] = json!(record.created);
        document["rootfs"] = json!(rootfs(&record));
        console.print(format!("{document:#}\n"))?;
        Ok(SUCCESS)
    }
}

fn rootfs(record: &dhow_runtime::shelf::Record) -> PathBuf {
    let path = record.spec.root.as_ref().map_or(Path::new("rootfs"), |root| &root.path);
    record.bundle.join(path)
}

/// Send a signal to a container's first process
#[derive(clap::Args, Debug)]
pub(super) struct Kill {
    /// Send it to all processes
    #[arg(short, long)]
    all: bool,

    /// The container's id
    id: String,

    /// The signal, by name or number
    #[arg(default_value = "TERM")]
    signal: String,
}

impl Kill {
    pub(super) fn act(&self, shelf: &Shelf) -> Result<u8> {
        let number = signal::parse("SIGNAL", &self.signal)?;
        let signal = dhow_sys::signal::from_number(number)
            .ok_or_else(|| Error::new(Kind::Invalid, format!("send signal {number}")))?;
        let reach = if self.all { Reach::All } else { Reach::Init };
        shelf.kill(&self.id, signal, reach).map(|()| SUCCESS)
    }
}

/// Remove a container that does not run
#[derive(clap::Args, Debug)]
pub(super) struct Delete {
    /// Kill it first; a container that is not there is no error
    #[arg(short, long)]
    force: bool,

    /// The container's id
    id: String,
}

impl Delete {
    pub(super) fn act(&self, shelf: &Shelf) -> Result<u8> {
        let force = if self.force { Force::Kill } else { Force::Refuse };
        shelf.delete(&self.id, force).map(|()| SUCCESS)
    }
}

/// List containers
#[derive(clap::Args, Debug)]
pub(super) struct List {
    /// Print ids only
    #[arg(short, long)]
    quiet: bool,

    /// Print as table or json
    #[arg(short, long, default_value = "table", value_parser = ["table", "json"])]
    format: String,
}

impl List {
    pub(super) fn act(&self, shelf: &Shelf, console: Console) -> Result<u8> {
        let containers = shelf.list()?;
        let text = if self.quiet {
            containers.iter().map(|(record, _)| format!("{}\n", record.id)).collect()
        } else if self.format == "json" {
            let documents = containers.iter().map(|(record, state)| {
                json!({
                    "ociVersion": state.oci_version,
                    "id": record.id,
                    "pid": state.pid.unwrap_or(0),
                    "status": state.status,
                    "bundle": record.bundle,
                    "rootfs": rootfs(record),
                    "created": record.created,
                    "annotations": state.annotations,
                })
            });
            format!("{}\n", documents.collect::<serde_json::Value>())
        } else {
            let titles = ["ID", "PID", "STATUS", "BUNDLE", "CREATED"].map(str::to_owned).to_vec();
            let rows = containers.iter().map(|(record, state)| {
                vec![
                    record.id.clone(),
                    state.pid.unwrap_or(0).to_string(),
                    state.status.to_string(),
                    record.bundle.display().to_string(),
                    record.created.clone(),
                ]
            });
            table::lay_out(&std::iter::once(titles).chain(rows).collect::<Vec<_>>())
        };
        console.print(text)?;
        Ok(SUCCESS)
    }
}

/// Stop all processes of a container until they are resumed
#[derive(clap::Args, Debug)]
pub(super) struct Pause {
    /// The container's id
    id: String,
}

impl Pause {
    pub(super) fn act(&self, shelf: &Shelf) -> Result<u8> {
        shelf.freeze(&self.id, true).map(|()| SUCCESS)
    }
}

/// Let all processes of a paused container go on
#[derive(clap::Args, Debug)]
pub(super) struct Resume {
    /// The container's id
    id: String,
}

impl Resume {
    pub(super) fn act(&self, shelf: &Shelf) -> Result<u8> {
        shelf.freeze(&self.id, false).map(|()| SUCCESS)
    }
}

/// Print a configuration to start from, which runs a shell
#[derive(clap::Args, Debug)]
pub(super) struct Template {}

impl Template {
    pub(super) fn act(&self, console: Console) -> Result<u8> {
        use dhow_spec::runtime::{Capabilities, Process, Root, default_spec};
        let mut spec = default_spec();
        spec.hostname = Some("dhow".to_owned());
        spec.root = Some(Root { path: "rootfs".into(), readonly: true });
        spec.process = Some(Process {
            args: vec!["sh".to_owned()],
            env: vec![
                "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned(),
            ],
            cwd: "/".to_owned(),
            capabilities: Some(Capabilities::of_root(&[
                "CAP_AUDIT_WRITE",
                "CAP_KILL",
                "CAP_NET_BIND_SERVICE",
            ])),
            no_new_privileges: true,
            ..Process::default()
        });
        let text = serde_json::to_string_pretty(&spec).map_err(|error| {
            Error::new(Kind::Internal, "write the configuration").because(error)
        })?;
        console.print(format!("{text}\n"))?;
        Ok(SUCCESS)
    }
}
