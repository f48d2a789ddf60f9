//! Secrets: small contents that containers get, and that are in no row, document or process list.
//!
//! ```text
//!  <root>/secrets/<id>                 0600, the one copy
//!  <root>/containers/<id>/secrets/…    what a container was created with: files with the owner and
//!                                      mode that were asked for, in a directory of root's alone
//! ```
//!
//! A container keeps what a secret was when it was created, as in podman. Variables are read from
//! their file at each start and go to the monitor over its socket, so `config.json` has none.
//!
//! A row comes before its file. Whoever makes or removes one holds the lock, so a row without a file
//! that is found under the lock is what a killed command has left, and no secret.

use crate::{
    Engine,
    doctor::entries,
    layout::Layout,
    options::{SecretOption, SecretWay},
    selinux,
};
use dhow_base::{
    Doing, Error, Kind, Result,
    clock::Moment,
    file::{self, Durability},
    id::{ContainerId, Name, random_hex},
    lock::{Lock, Sharing},
};
use dhow_image::Finding;
use dhow_spec::runtime::MountPoint;
use dhow_state::{
    State, events,
    secrets::{self, Secret as Row},
};
use rustix::fs::{Gid, Uid};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    os::fd::AsFd,
    path::{Path, PathBuf},
};

/// As podman has it.
const LIMIT_BYTES: usize = 512_000;
/// Where files of secrets are unless the user says otherwise.
const PLACE: &str = "/run/secrets";
/// The variables of a container, beside its files.
const VARIABLES: &str = "variables";

/// A secret, without what is secret.
#[derive(Clone, Debug)]
pub struct Secret {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: Name,
    /// When it was made.
    pub created: Moment,
    /// When it last got another content.
    pub updated: Moment,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

/// A secret to make.
#[derive(Clone)]
pub struct SecretOptions {
    /// Its name.
    pub name: Name,
    /// What is secret.
    pub content: Vec<u8>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Whether it may take the place of another one.
    pub replace: bool,
}

impl std::fmt::Debug for SecretOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SecretOptions").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The `settings` of a secret's row.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
struct Settings {
    labels: BTreeMap<String, String>,
}

impl Settings {
    fn of(row: &Row) -> Result<Self> {
        serde_json::from_str(&row.settings).map_err(|error| {
            Error::new(Kind::Corrupt, format!("parse the settings of secret {}", row.name))
                .because(error)
        })
    }
}

impl Engine {
    /// Makes a secret; its id.
    pub fn create_secret(&mut self, options: &SecretOptions) -> Result<String> {
        let doing = || format!("create secret {}", options.name);
        if options.content.is_empty() || options.content.len() > LIMIT_BYTES {
            let text = format!("{}: it has {} bytes", doing(), options.content.len());
            return Err(Error::new(Kind::Invalid, text)
                .hint(format!("a secret has 1 to {LIMIT_BYTES} bytes")));
        }
        let settings = serde_json::to_string(&Settings { labels: options.labels.clone() })
            .map_err(|error| Error::new(Kind::Internal, doing()).because(error))?;
        let _lock = self.lock_secrets()?;
        self.forget_contentless()?;
        let there =
            secrets::list(self.state.read())?.into_iter().find(|row| row.name == options.name);
        let now = Moment::now();
        let (row, mode) = match there {
            Some(row) if options.replace => (Row { updated: now, settings, ..row }, "update"),
            // The insertion says what is wrong with it.
            _ => {
                let id = random_hex(13)?[..25].to_owned();
                let name = options.name.clone();
                (Row { id, name, created: now, updated: now, settings }, "create")
            }
        };
        file::make_directories(&self.layout.secrets(), 0o700)?;
        if mode == "create" {
            self.state.write(|write| secrets::insert(write, &row))?;
        }
        let path = self.layout.secrets().join(&row.id);
        let written = file::write_atomically(&path, &options.content, 0o600, Durability::Synced);
        if let Err(error) = written {
            if mode == "create" {
                self.state.write(|write| secrets::delete(write, &row.id))?;
            }
            return Err(error).doing(doing);
        }
        self.state.write(|write| {
            if mode == "update" {
                secrets::delete(write, &row.id)?;
                secrets::insert(write, &row)?;
            }
            events::record(write, "secret", mode, &row.id, "{}")
        })?;
        Ok(row.id)
    }

    /// All secrets, by name.
    pub fn secrets(&mut self) -> Result<Vec<Secret>> {
        let rows = secrets::list(self.state.read())?;
        let there = rows.into_iter().filter(|row| self.layout.secrets().join(&row.id).exists());
        there.map(shown).collect()
    }

    /// The secret that a word of the user's means.
    pub fn secret(&mut self, text: &str) -> Result<Secret> {
        shown(secrets::look_up(self.state.read(), text)?)
    }

    /// What is secret, for who may read the file anyway.
    pub fn secret_content(&mut self, text: &str) -> Result<Vec<u8>> {
        content(&self.state, &self.layout, text).map(|(_, content)| content)
    }

    /// Removes a secret; containers keep what they were created with.
    pub fn remove_secret(&mut self, text: &str) -> Result<String> {
        let _lock = self.lock_secrets()?;
        let row = secrets::look_up(self.state.read(), text)?;
        file::remove_if_there(&self.layout.secrets().join(&row.id))
            .doing(|| format!("remove secret {}", row.name))?;
        self.state.write(|write| {
            secrets::delete(write, &row.id)?;
            events::record(write, "secret", "remove", &row.id, "{}")
        })?;
        Ok(row.id)
    }

    fn lock_secrets(&self) -> Result<Lock> {
        file::make_directories(&self.layout.locks(), 0o700)?;
        Lock::acquire(&self.layout.locks().join("secrets"), Sharing::Exclusive)
    }

    /// Forgets rows whose file a killed command did not write. For who holds the lock.
    fn forget_contentless(&mut self) -> Result<usize> {
        let rows = secrets::list(self.state.read())?;
        let gone: Vec<Row> =
            rows.into_iter().filter(|row| !self.layout.secrets().join(&row.id).exists()).collect();
        if !gone.is_empty() {
            self.state
                .write(|write| gone.iter().try_for_each(|row| secrets::delete(write, &row.id)))?;
        }
        Ok(gone.len())
    }

    /// Forgets and removes what killed commands have left.
    pub(crate) fn mend_secrets(&mut self) -> Result<()> {
        let _lock = self.lock_secrets()?;
        self.forget_contentless()?;
        for path in entries(&self.layout.secrets())? {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if file::is_leftover(&name) {
                file::remove_if_there(&path)?;
            }
        }
        Ok(())
    }

    /// Says of each file that it is no secret's.
    pub(crate) fn check_secrets(&self, findings: &mut Vec<Finding>) -> Result<()> {
        let there = entries(&self.layout.secrets())?;
        let known: BTreeSet<String> =
            secrets::list(self.state.read())?.into_iter().map(|row| row.id).collect();
        for path in there {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if !known.contains(&*name) {
                let (object, problem) = (path.display().to_string(), "no secret has this id");
                findings.push(Finding { object, problem: problem.to_owned() });
            }
        }
        Ok(())
    }
}

fn shown(row: Row) -> Result<Secret> {
    let settings = Settings::of(&row)?;
    Ok(Secret {
        id: row.id,
        name: row.name,
        created: row.created,
        updated: row.updated,
        labels: settings.labels,
    })
}

fn content(state: &State, layout: &Layout, text: &str) -> Result<(Row, Vec<u8>)> {
    let row = secrets::look_up(state.read(), text)?;
    let path = layout.secrets().join(&row.id);
    let content = file::read_limited(&path, LIMIT_BYTES as u64)
        .doing(|| format!("read secret {}", row.name))?;
    Ok((row, content))
}

/// What a container gets of secrets, read before anything of it is made.
#[derive(Default)]
pub(crate) struct Given {
    files: Vec<GivenFile>,
    variables: BTreeMap<String, String>,
}

struct GivenFile {
    target: PathBuf,
    content: Vec<u8>,
    uid: u32,
    gid: u32,
    mode: u32,
}

impl std::fmt::Debug for Given {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Given").field("files", &self.files.len()).finish_non_exhaustive()
    }
}

impl Given {
    /// Reads what was asked for.
    pub(crate) fn read(state: &State, layout: &Layout, asked: &[SecretOption]) -> Result<Self> {
        let mut given = Self::default();
        for SecretOption { secret, way } in asked {
            let doing = || format!("--secret {secret}");
            let (row, content) = content(state, layout, secret).doing(doing)?;
            match way {
                SecretWay::Variable(name) => {
                    let name = name.clone().unwrap_or_else(|| row.name.to_string());
                    let value = String::from_utf8(content)
                        .ok()
                        .filter(|value| !value.contains('\0'))
                        .ok_or_else(|| {
                            let text = format!("{}: it cannot be a variable's value", doing());
                            Error::new(Kind::Invalid, text)
                                .hint("it has a zero byte or is no UTF-8; type=mount takes it")
                        })?;
                    given.variables.insert(name, value);
                }
                SecretWay::File { target, uid, gid, mode } => {
                    let target = match target {
                        Some(target) => Path::new(PLACE).join(target),
                        None => Path::new(PLACE).join(row.name.as_str()),
                    };
                    if given.files.iter().any(|other| other.target == target) {
                        let text =
                            format!("{}: there is one at {} already", doing(), target.display());
                        return Err(Error::new(Kind::Invalid, text));
                    }
                    let (uid, gid, mode) = (*uid, *gid, *mode);
                    given.files.push(GivenFile { target, content, uid, gid, mode });
                }
            }
        }
        Ok(given)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.files.is_empty() && self.variables.is_empty()
    }

    /// Writes them for the container, and adds the mounts that show them.
    pub(crate) fn write(
        &self,
        layout: &Layout,
        id: &ContainerId,
        label: &str,
        mounts: &mut Vec<MountPoint>,
    ) -> Result<()> {
        if self.is_empty() {
            return Ok(());
        }
        let directory = layout.container_secrets(id);
        file::make_directories(&directory, 0o700)?;
        if !self.variables.is_empty() {
            let bytes = serde_json::to_vec(&self.variables).map_err(|error| {
                Error::new(Kind::Internal, "write the secret variables").because(error)
            })?;
            file::write_new(&directory.join(VARIABLES), &bytes, 0o600, Durability::Cached)?;
        }
        for (number, given) in self.files.iter().enumerate() {
            let path = directory.join(number.to_string());
            given.write(&path)?;
            selinux::mark(&path, label)?;
            mounts.push(MountPoint {
                destination: given.target.clone(),
                kind: Some("bind".to_owned()),
                source: Some(path),
                options: ["bind", "rprivate", "ro", "nosuid", "nodev", "noexec"]
                    .map(str::to_owned)
                    .to_vec(),
                ..MountPoint::default()
            });
        }
        Ok(())
    }
}

impl GivenFile {
    fn write(&self, path: &Path) -> Result<()> {
        use std::io::Write;
        let doing = || format!("write {}", path.display());
        let mut file = file::create_new(path, 0o600)?;
        file.write_all(&self.content).doing(doing)?;
        let (uid, gid) = (Uid::from_raw(self.uid), Gid::from_raw(self.gid));
        rustix::fs::fchown(file.as_fd(), Some(uid), Some(gid)).doing(doing)?;
        rustix::fs::fchmod(file.as_fd(), rustix::fs::Mode::from_raw_mode(self.mode)).doing(doing)
    }
}

/// The secret variables of a container that is there, `NAME=value`.
pub(crate) fn variables(layout: &Layout, id: &ContainerId) -> Result<Vec<String>> {
    let path = layout.container_secrets(id).join(VARIABLES);
    let bytes = match file::read_limited(&path, 64 << 20) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == Kind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let variables: BTreeMap<String, String> = serde_json::from_slice(&bytes).map_err(|error| {
        Error::new(Kind::Corrupt, format!("parse {}", path.display())).because(error)
    })?;
    Ok(variables.into_iter().map(|(name, value)| format!("{name}={value}")).collect())
}
