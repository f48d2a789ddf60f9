//! How a container is created: its id is taken, the record written, the first process made and told
//! to wait for its start. On failure nothing is left.

use super::{
    Record, Shelf,
    caller::{Sockets, TerminalTo, write_pid},
    record::{LIMIT_BYTES, leftovers},
    start_socket,
};
use crate::{Hold, Keyring, Request, check, container, create, delete};
use dhow_base::{Doing, Error, Kind, Result, file};
use dhow_cgroup::Driver;
use dhow_spec::runtime::{MountPoint, Spec};
use rustix::{fs::Mode, io::Errno};
use std::{
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
};

/// Where a container finds the socket to say that it is ready, and the name below it.
const NOTIFY_PLACE: &str = "/run/notify";
const NOTIFY_NAME: &str = "notify.sock";

/// A container that was just created. The caller is its first process's parent.
#[derive(Debug)]
pub struct Created {
    /// Its record.
    pub record: Record,
    /// A handle on its first process: readable when that has ended.
    pub pidfd: OwnedFd,
    /// The master of its terminal, where it has one and nobody else has got it.
    pub terminal: Option<OwnedFd>,
}

/// How a container is created.
#[derive(Clone, Copy, Debug)]
pub struct Creation<'a> {
    /// Its id: letters, digits and `_+-.`.
    pub id: &'a str,
    /// Its bundle, absolute.
    pub bundle: &'a Path,
    /// Who makes its cgroup.
    pub driver: &'a Driver,
    /// Who gets the master of the process's terminal.
    pub terminal: TerminalTo<'a>,
    /// A unix socket that takes a handle on the first process.
    pub pidfd_socket: Option<&'a Path>,
    /// A file for the first process's number.
    pub pid_file: Option<&'a Path>,
    /// How many fds, from 3 on, the process keeps.
    pub preserve_fds: u32,
    /// How many of those are sockets that a service manager opened for it.
    pub listen_fds: u32,
    /// Whether the process can say that it is ready.
    pub readiness: Readiness,
    /// Whether the process gets a session keyring of its own.
    pub keyring: Keyring,
}

impl<'a> Creation<'a> {
    /// A creation without anything that can be left out.
    pub fn new(id: &'a str, bundle: &'a Path) -> Self {
        Self {
            id,
            bundle,
            driver: &Driver::Files,
            terminal: TerminalTo::Nobody,
            pidfd_socket: None,
            pid_file: None,
            preserve_fds: 0,
            listen_fds: 0,
            readiness: Readiness::Unasked,
            keyring: Keyring::New,
        }
    }
}

/// Whether a service manager wants to hear that a container is ready.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Readiness {
    /// It listens: the container gets a directory with a socket, and its name by NOTIFY_SOCKET.
    Asked,
    /// Nobody does.
    Unasked,
}

/// An id that is taken, for a container that is still to be made.
#[derive(Debug)]
pub(super) struct Claim {
    pub(super) place: PathBuf,
    pub(super) spec: Spec,
    pub(super) sockets: Sockets,
}

impl Shelf {
    /// Creates a container that waits for [`start`](Self::start). On failure nothing is left.
    pub fn create(&self, creation: &Creation<'_>) -> Result<Created> {
        let doing = || format!("create container {}", creation.id);
        let Claim { place, spec, sockets } = self.claim(creation).doing(doing)?;
        let created = self.fill(&place, spec, creation, &sockets).doing(doing);
        if created.is_err() {
            // The error to report is the one that brought us here.
            let _left = std::fs::remove_dir_all(&place);
        }
        created
    }

    /// Checks what is asked for and takes the id.
    pub(super) fn claim(&self, creation: &Creation<'_>) -> Result<Claim> {
        let place = self.place(creation.id)?;
        let spec = read_spec(creation.bundle)?;
        check::configuration(&spec)?;
        let process = spec.process.as_ref();
        let sockets = Sockets::dial(
            process.is_some_and(|process| process.terminal),
            creation.terminal,
            creation.pidfd_socket,
        )?;
        let make = || rustix::fs::mkdir(&place, Mode::from_raw_mode(0o700));
        let made = match make() {
            // The first container since the machine began.
            Err(Errno::NOENT) => {
                file::make_directories(&self.root, 0o711)?;
                make()
            }
            made => made,
        };
        match made {
            Ok(()) => Ok(Claim { place, spec, sockets }),
            Err(Errno::EXIST) => {
                let text = "container with given ID already exists";
                Err(Error::new(Kind::AlreadyExists, text))
            }
            Err(errno) => Err(errno).doing(|| format!("make {}", place.display())),
        }
    }

    fn fill(
        &self,
        place: &Path,
        spec: Spec,
        creation: &Creation<'_>,
        sockets: &Sockets,
    ) -> Result<Created> {
        let mut record = Record::new(creation, spec);
        self.write(&record)?;
        let changed = serviced(&record.spec, creation, place)?;
        let listener = start_socket::listen(place)?;
        let mountpoint = record.rootfs();
        let container = create(&Request {
            id: &record.id,
            spec: changed.as_ref().unwrap_or(&record.spec),
            driver: &record.driver,
            bundle: &record.bundle,
            rootfs: None,
            mountpoint: &mountpoint,
            stdio: creation.terminal.stdio(),
            hold: Hold::UntilDialled(listener.as_fd()),
            preserve_fds: creation.preserve_fds,
            keyring: creation.keyring,
            made_ahead: crate::MadeAhead::default(),
            network: None,
        })?;
        record.init = Some(container.init);
        if let Some(path) = &container.cgroups_path {
            let linux = record.spec.linux.get_or_insert_default();
            linux.cgroups_path = Some(path.clone());
        }
        if let Err(error) = self.publish(&record, &container, creation.pid_file, sockets) {
            container.end();
            let _left = delete(&leftovers(&record));
            return Err(error);
        }
        let container::Container { pidfd, terminal, .. } = container;
        Ok(Created { record, pidfd, terminal: terminal.filter(|_| sockets.terminal.is_none()) })
    }

    fn publish(
        &self,
        record: &Record,
        container: &container::Container,
        pid_file: Option<&Path>,
        sockets: &Sockets,
    ) -> Result<()> {
        sockets.send(container.terminal.as_ref(), &container.pidfd)?;
        self.write(record)?;
        write_pid(pid_file, container.init.pid)
    }
}

fn read_spec(bundle: &Path) -> Result<Spec> {
    let path = bundle.join("config.json");
    let bytes = file::read_limited(&path, LIMIT_BYTES).map_err(|error| match error.kind() {
        Kind::NotFound => {
            let text = format!("JSON specification file {} not found", path.display());
            Error::new(Kind::NotFound, text).because(error)
        }
        _ => error,
    })?;
    Spec::parse(&bytes).doing(|| format!("read {}", path.display()))
}

/// The configuration with what a service manager has for the container; nothing where that is
/// nothing. The record keeps the configuration as it was written.
fn serviced(spec: &Spec, creation: &Creation<'_>, place: &Path) -> Result<Option<Spec>> {
    if creation.listen_fds == 0 && creation.readiness == Readiness::Unasked {
        return Ok(None);
    }
    let mut changed = spec.clone();
    let mut variables = Vec::new();
    if creation.listen_fds > 0 {
        variables.push(format!("LISTEN_FDS={}", creation.listen_fds));
        variables.push("LISTEN_PID=1".to_owned());
    }
    if creation.readiness == Readiness::Asked {
        let directory = place.join("notify");
        rustix::fs::mkdir(&directory, Mode::from_raw_mode(0o755))
            .doing(|| format!("make {}", directory.display()))?;
        changed.mounts.push(MountPoint {
            destination: NOTIFY_PLACE.into(),
            source: Some(directory),
            options: ["bind", "nosuid", "noexec", "nodev", "ro"].map(str::to_owned).to_vec(),
            ..MountPoint::default()
        });
        variables.push(format!("NOTIFY_SOCKET={NOTIFY_PLACE}/{NOTIFY_NAME}"));
    }
    if let Some(process) = &mut changed.process {
        process.env.extend(variables);
    }
    Ok(Some(changed))
}
