//! Volumes: directories that outlive containers, the one thing of which there is no second copy.
//!
//! # Life of a volume
//!
//! ```text
//!  row preparing ─▶ directory ─▶ present ──first use──▶ copying ─▶ moving ─▶ present
//!                                   │
//!                                   └─▶ row removing ─▶ directory gone ─▶ row gone
//! ```
//!
//! Whoever changes a volume holds its lock. A row that says of something under way, found under the
//! lock, is what a killed command has left: it is finished or undone there and then. So nobody ever
//! sees half of what an image has for a volume ([`fill`]).
//!
//! A volume goes when somebody removes it or asks for it to be pruned, and with its container where
//! nobody has named it and the container is removed with `--rm` or `-v`. Nothing else removes one.
//!
//! # What this module does not know
//!
//! Mounts of containers: they get the path of a volume's data. A volume with a file system of its
//! own ([`local`]) is mounted on that path on the host while a container that has it runs, because
//! two containers must see one tmpfs.

mod archive;
mod change;
mod fill;
mod local;
mod owners;
mod prune;
pub(crate) mod quota;
mod survey;

pub(crate) use change::mark_unused;
pub use change::{RemoveVolume, VolumeOptions};
pub use prune::{PruneVolumes, PrunedVolumes, VolumeFilter};

use crate::{Engine, layout::Layout, start::boot_id};
use dhow_base::{
    Doing, Error, Kind, Result,
    clock::Moment,
    file,
    id::Name,
    lock::{Lock, Sharing},
};
use dhow_state::{
    State,
    volumes::{self, Filling, Phase, User, Volume as Row},
};
use local::Plan;
pub(crate) use owners::{give, label};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

/// A volume, as lists and `inspect` show it.
#[derive(Clone, Debug)]
pub struct Volume {
    /// Its name.
    pub name: Name,
    /// Its driver.
    pub driver: String,
    /// Where its data is on the host.
    pub mountpoint: PathBuf,
    /// When it was made.
    pub created: Moment,
    /// Whether nobody has named it.
    pub anonymous: bool,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its driver's options.
    pub options: BTreeMap<String, String>,
    /// The owner of its directory, where one was asked for.
    pub owner: (Option<u32>, Option<u32>),
    /// The containers that use it.
    pub users: Vec<User>,
    /// How many have mounted it with `volume mount`.
    pub mounts: u64,
    /// Whether an image's files wait to be copied into it at its first use.
    pub needs_copy: bool,
}

/// The `settings` of a volume's row.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub(crate) struct Settings {
    /// Labels.
    pub(crate) labels: BTreeMap<String, String>,
    /// Options of the driver's.
    pub(crate) options: BTreeMap<String, String>,
    /// The directory's owner.
    pub(crate) uid: Option<u32>,
    /// The directory's group.
    pub(crate) gid: Option<u32>,
    /// The project that bounds its size.
    pub(crate) project: Option<u32>,
}

impl Settings {
    pub(crate) fn of(row: &Row) -> Result<Self> {
        serde_json::from_str(&row.settings).map_err(|error| {
            Error::new(Kind::Corrupt, format!("parse the settings of volume {}", row.name))
                .because(error)
        })
    }

    fn to_text(&self) -> Result<String> {
        serde_json::to_string(self).map_err(|error| {
            Error::new(Kind::Internal, "write the settings of a volume").because(error)
        })
    }

    /// What the local driver makes of the options.
    pub(crate) fn plan(&self) -> Result<Plan> {
        Plan::parse(&self.options)
    }
}

/// The driver that there is.
pub(crate) const LOCAL: &str = "local";

/// How many locks there are: more than commands that work on volumes at once, and few files.
const LOCKS: u32 = 64;

/// Takes the lock of a volume. Two volumes may have the same one, so nobody takes a second beside it.
pub(crate) fn lock(layout: &Layout, name: &Name) -> Result<Lock> {
    Lock::acquire(&lock_path(layout, name)?, Sharing::Exclusive)
}

/// Takes the locks of several volumes at once: each once, in an order that is the same for everybody.
pub(crate) fn lock_all(layout: &Layout, names: &[Name]) -> Result<Vec<Lock>> {
    let paths = names.iter().map(|name| lock_path(layout, name));
    let paths = paths.collect::<Result<BTreeSet<PathBuf>>>()?;
    paths.iter().map(|path| Lock::acquire(path, Sharing::Exclusive)).collect()
}

fn lock_path(layout: &Layout, name: &Name) -> Result<PathBuf> {
    let directory = layout.locks();
    file::make_directories(&directory, 0o700)?;
    let number = name
        .as_str()
        .bytes()
        .fold(0_u32, |number, byte| number.wrapping_mul(31).wrapping_add(byte.into()));
    Ok(directory.join(format!("volume-{}", number % LOCKS)))
}

/// Volumes for whoever has the state and the layout in hand.
#[derive(Debug)]
pub(crate) struct Volumes<'a> {
    pub(crate) state: &'a mut State,
    pub(crate) layout: &'a Layout,
}

impl Engine {
    pub(crate) fn volumes_mut(&mut self) -> Volumes<'_> {
        Volumes { state: &mut self.state, layout: &self.layout }
    }

    /// All volumes, by name.
    pub fn volumes(&mut self) -> Result<Vec<Volume>> {
        let rows = volumes::list(self.state.read())?;
        let there = rows.into_iter().filter(|row| row.phase == Phase::Present);
        there.map(|row| self.shown(row)).collect()
    }

    /// The volume that a word of the user's means.
    pub fn volume(&mut self, text: &str) -> Result<Volume> {
        let row = volumes::look_up(self.state.read(), text)?;
        self.shown(row)
    }

    fn shown(&self, row: Row) -> Result<Volume> {
        let settings = Settings::of(&row)?;
        let users = volumes::users(self.state.read(), &row.name)?;
        let mounts = if row.boot.as_deref() == Some(&boot_id()?) { row.users } else { 0 };
        Ok(Volume {
            driver: LOCAL.to_owned(),
            mountpoint: self.layout.volume_data(&row.name),
            created: row.created,
            anonymous: row.anonymous,
            labels: settings.labels,
            options: settings.options,
            owner: (settings.uid, settings.gid),
            users,
            mounts,
            needs_copy: row.filling != Filling::No,
            name: row.name,
        })
    }

    /// Makes a volume's data seen on the host and says where, until as many have called
    /// [`Engine::unmount_volume`].
    pub fn mount_volume(&mut self, text: &str) -> Result<PathBuf> {
        let name = volumes::look_up(self.state.read(), text)?.name;
        self.volumes_mut().mount(&name).doing(|| format!("mount volume {name}"))
    }

    /// Takes back one [`Engine::mount_volume`].
    pub fn unmount_volume(&mut self, text: &str) -> Result<Name> {
        let name = volumes::look_up(self.state.read(), text)?.name;
        self.volumes_mut().unmount(&name).doing(|| format!("unmount volume {name}"))?;
        Ok(name)
    }
}

impl Volumes<'_> {
    /// The row of a volume that is to be there.
    pub(crate) fn present(&self, name: &Name) -> Result<Row> {
        let row = volumes::find(self.state.read(), name)?;
        row.filter(|row| row.phase == Phase::Present)
            .ok_or_else(|| Error::new(Kind::NotFound, format!("no such volume: {name}")))
    }

    fn mount(&mut self, name: &Name) -> Result<PathBuf> {
        let _lock = lock(self.layout, name)?;
        let row = self.present(name)?;
        self.attach(&row)?;
        let boot = boot_id()?;
        let users = if row.boot.as_deref() == Some(boot.as_str()) { row.users } else { 0 };
        self.state.write(|write| volumes::set_users(write, name, users + 1, &boot))?;
        Ok(self.layout.volume_data(name))
    }

    fn unmount(&mut self, name: &Name) -> Result<()> {
        let _lock = lock(self.layout, name)?;
        let row = self.present(name)?;
        let boot = boot_id()?;
        if row.users == 0 || row.boot.as_deref() != Some(boot.as_str()) {
            return Err(Error::new(Kind::Conflict, "nobody has mounted it"));
        }
        self.state.write(|write| volumes::set_users(write, name, row.users - 1, &boot))?;
        self.detach_unused(name, None)
    }
}
