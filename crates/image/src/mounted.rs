//! Images and containers whose root is mounted on the host because somebody wants to look into it: an
//! image's for reading, a container's as it is.
//!
//! ```text
//!  row, users 0 ─▶ directory, mount ─▶ users 1 ─▶ users 2 … ─▶ users 0 ─▶ unmounted ─▶ row gone
//! ```
//!
//! It is the one mount that outlives its command, and so it has a row. Whoever mounts or unmounts
//! holds a lock all the time: a row with 0 users that is found under the lock is what a killed
//! command has left, and is undone; so is one of an earlier boot. A mount that somebody else took
//! away, or made where ours are, the doctor tells of, and a repair puts right.
//!
//! ```text
//! <runroot>/mounts/<hex digits of the manifest, or the container's id>    root alone gets there
//! <runroot>/locks/mounts
//! ```

use crate::{Finding, Image, Images, image::missing, pull::boot_id};
use dhow_base::{
    Doing, Error, Kind, Result, file,
    id::ContainerId,
    lock::{Lock, Sharing},
};
use dhow_spec::Mount;
use dhow_state::{
    Read, State, containers,
    images::{self, Phase},
    mounts::{self, HostMount, Object},
};
use dhow_sys::mount::{Attributes, Reach, set_attributes};
use rustix::{
    fs::CWD,
    io::Errno,
    mount::{MountAttrFlags, MoveMountFlags, UnmountFlags},
};
use std::{
    collections::BTreeSet,
    fs, io,
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
};

/// A mounted image.
#[derive(Clone, Debug)]
pub struct Mounted {
    /// The image.
    pub image: Image,
    /// Where its root is.
    pub path: PathBuf,
    /// How many have mounted it and not unmounted it.
    pub users: u64,
}

/// A mounted container.
#[derive(Clone, Debug)]
pub struct MountedContainer {
    /// The container.
    pub id: ContainerId,
    /// Where its root is.
    pub path: PathBuf,
    /// How many have mounted it and not unmounted it.
    pub users: u64,
}

/// For whom a mount is taken away.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Unmount {
    /// For one who wanted it; it stays for the others.
    One,
    /// For all.
    All,
}

impl Images {
    /// Mounts an image's root for reading, or counts one more who wants it.
    pub fn mount(&self, state: &mut State, text: &str) -> Result<Mounted> {
        let _lock = self.lock_mounts()?;
        self.undo_dead_mounts(state)?;
        let image = self.look_up(state, text)?;
        let object = Object::Image(image.manifest.clone());
        let is_there = |read: &Read| {
            let row = images::find(read, &image.manifest)?;
            Ok(row.is_some_and(|row| row.phase == Phase::Present))
        };
        let users = self
            .mount_object(state, &object, is_there, |_, path| open_image(&image, path))
            .map_err(|error| if error.kind() == Kind::NotFound { missing(text) } else { error })
            .doing(|| format!("mount image {text}"))?;
        let path = self.mount_path(&object);
        Ok(Mounted { image, path, users })
    }

    /// Mounts the root of a container, which `open` gives, or counts one more who wants it.
    pub fn mount_container(
        &self,
        state: &mut State,
        id: &ContainerId,
        open: impl FnOnce(&State) -> Result<OwnedFd>,
    ) -> Result<MountedContainer> {
        let _lock = self.lock_mounts()?;
        self.undo_dead_mounts(state)?;
        let object = Object::Container(id.clone());
        let is_there = |read: &Read| Ok(containers::find(read, id)?.is_some());
        let users = self.mount_object(state, &object, is_there, |state, _| open(state))?;
        Ok(MountedContainer { id: id.clone(), path: self.mount_path(&object), users })
    }

    /// For who holds the lock. An object that is gone is not found.
    fn mount_object(
        &self,
        state: &mut State,
        object: &Object,
        is_there: impl FnOnce(&Read) -> Result<bool>,
        open: impl FnOnce(&State, &Path) -> Result<OwnedFd>,
    ) -> Result<u64> {
        let boot = boot_id()?;
        let users = state.write(|write| {
            if !is_there(write)? {
                // Another command removed it since it was found.
                return Err(Error::new(Kind::NotFound, format!("{object} is gone")));
            }
            mounts::begin(write, object, &boot)?;
            Ok(mounts::find(write, object)?.map_or(0, |row| row.users))
        })?;
        if !self.is_mounted(object)? {
            let path = self.mount_path(object);
            let attached = self.attach(&path, |path| open(state, path));
            if let (Err(_), 0) = (&attached, users) {
                self.take_away(state, object)?;
            }
            attached?;
        }
        let users = users + 1;
        state.write(|write| mounts::set_users(write, object, users))?;
        Ok(users)
    }

    /// Takes a mount away, if nobody else wants it.
    pub fn unmount(&self, state: &mut State, text: &str, whom: Unmount) -> Result<Image> {
        let image = self.look_up(state, text)?;
        let object = Object::Image(image.manifest.clone());
        self.unmount_object(state, &object, whom).doing(|| format!("unmount image {text}"))?;
        Ok(image)
    }

    /// Takes the mount of a container's root away, if nobody else wants it.
    pub fn unmount_container(
        &self,
        state: &mut State,
        id: &ContainerId,
        whom: Unmount,
    ) -> Result<()> {
        self.unmount_object(state, &Object::Container(id.clone()), whom)
    }

    /// Takes all mounts of a container's root away before it is removed. Where there is none it costs
    /// one look.
    pub fn forget_container_mount(&self, state: &mut State, id: &ContainerId) -> Result<()> {
        let object = Object::Container(id.clone());
        if !self.may_be_mounted(id) {
            return Ok(());
        }
        let _lock = self.lock_mounts()?;
        self.take_away(state, &object)
    }

    /// Whether the root of a container may be mounted on the host: it has, or had, a place for that.
    pub fn may_be_mounted(&self, id: &ContainerId) -> bool {
        self.mount_path(&Object::Container(id.clone())).exists()
    }

    /// Where the root of a container is mounted on the host, if it is.
    pub fn mount_of_container(&self, id: &ContainerId) -> Result<Option<PathBuf>> {
        let object = Object::Container(id.clone());
        Ok(self.is_mounted(&object)?.then(|| self.mount_path(&object)))
    }

    fn unmount_object(&self, state: &mut State, object: &Object, whom: Unmount) -> Result<()> {
        let _lock = self.lock_mounts()?;
        self.undo_dead_mounts(state)?;
        let row = mounts::find(state.read(), object)?.ok_or_else(|| {
            let list = match object {
                Object::Image(_) => "`dhow image mount` lists what is",
                Object::Container(_) => "`dhow container mount` lists what is",
            };
            Error::new(Kind::Conflict, format!("{object} is not mounted")).hint(list)
        })?;
        if whom == Unmount::One && row.users > 1 {
            let left = row.users - 1;
            return state.write(|write| mounts::set_users(write, object, left));
        }
        state.write(|write| mounts::set_users(write, object, 0))?;
        let taken = self.take_away(state, object);
        if taken.is_err() {
            state.write(|write| mounts::set_users(write, object, row.users))?;
        }
        taken
    }

    /// All images that are mounted.
    pub fn mounted(&self, state: &State) -> Result<Vec<Mounted>> {
        let read = state.read();
        let mut mounted = Vec::new();
        for row in living(read)? {
            let Object::Image(manifest) = &row.object else { continue };
            let Some(image) = images::find(read, manifest)? else { continue };
            mounted.push(Mounted {
                image: self.image(read, image)?,
                path: self.mount_path(&row.object),
                users: row.users,
            });
        }
        Ok(mounted)
    }

    /// All containers that are mounted.
    pub fn mounted_containers(&self, state: &State) -> Result<Vec<MountedContainer>> {
        let mounted = living(state.read())?.into_iter().filter_map(|row| {
            let path = self.mount_path(&row.object);
            match row.object {
                Object::Container(id) => Some(MountedContainer { id, path, users: row.users }),
                Object::Image(_) => None,
            }
        });
        Ok(mounted.collect())
    }

    /// Undoes what killed commands and an earlier boot have left.
    pub(crate) fn mend_mounts(&self, state: &mut State) -> Result<usize> {
        if mounts::list(state.read())?.is_empty() {
            return Ok(0);
        }
        let _lock = self.lock_mounts()?;
        self.undo_dead_mounts(state)
    }

    /// The same for who holds the lock.
    fn undo_dead_mounts(&self, state: &mut State) -> Result<usize> {
        let boot = boot_id()?;
        let mut dead = mounts::list(state.read())?;
        dead.retain(|row| row.users == 0 || row.boot != boot);
        for row in &dead {
            self.take_away(state, &row.object)?;
        }
        Ok(dead.len())
    }

    /// Says of each mount that it is not as its row has it.
    pub(crate) fn survey_mounts(
        &self,
        read: &Read,
        findings: &mut BTreeSet<Finding>,
    ) -> Result<()> {
        // The directories first: a row comes before its own, and goes after it.
        let there = self.mount_directories()?;
        let rows = mounts::list(read)?;
        for path in there.iter().filter(|path| !rows.iter().any(|row| self.is_of(row, path))) {
            findings
                .insert(Finding::new(path.display(), "nothing that is mounted has this directory"));
        }
        for row in rows {
            if row.users > 0 && !self.is_mounted(&row.object)? {
                let path = self.mount_path(&row.object);
                let what = format!("it is said to be mounted on {}, and is not", path.display());
                findings.insert(Finding::new(&row.object, what));
            }
        }
        Ok(())
    }

    /// Puts right what the survey finds.
    pub(crate) fn repair_mounts(&self, state: &mut State, done: &mut Vec<Finding>) -> Result<()> {
        let _lock = self.lock_mounts()?;
        self.undo_dead_mounts(state)?;
        let rows = mounts::list(state.read())?;
        for row in &rows {
            if !self.is_mounted(&row.object)? {
                self.take_away(state, &row.object)?;
                done.push(Finding::new(&row.object, "it is no longer said to be mounted"));
            }
        }
        for path in self.mount_directories()? {
            if !rows.iter().any(|row| self.is_of(row, &path)) {
                detach(&path)?;
                done.push(Finding::new(path.display(), "removed: nothing was mounted there"));
            }
        }
        Ok(())
    }

    fn attach(&self, path: &Path, open: impl FnOnce(&Path) -> Result<OwnedFd>) -> Result<()> {
        file::make_directories(&self.mounts_directory(), 0o700)?;
        file::make_directories(path, 0o700)?;
        let root = open(path)?;
        // Whoever looks is on the host: what is said in there of devices and owners counts for nothing.
        let flags = MountAttrFlags::MOUNT_ATTR_NODEV | MountAttrFlags::MOUNT_ATTR_NOSUID;
        set_attributes(root.as_fd(), Attributes::setting(flags), Reach::WholeTree)
            .doing(|| "make the mount harmless")?;
        rustix::mount::move_mount(
            root.as_fd(),
            "",
            CWD,
            path,
            MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH,
        )
        .doing(|| format!("attach it to {}", path.display()))
    }

    /// Takes the mount, its directory and its row away, whatever of them is there.
    fn take_away(&self, state: &mut State, object: &Object) -> Result<()> {
        detach(&self.mount_path(object))?;
        state.write(|write| mounts::delete(write, object))
    }

    fn is_mounted(&self, object: &Object) -> Result<bool> {
        is_mounted(&self.mount_path(object))
    }

    fn lock_mounts(&self) -> Result<Lock> {
        let directory = self.runroot.join("locks");
        file::make_directories(&directory, 0o700)?;
        Lock::acquire(&directory.join("mounts"), Sharing::Exclusive)
    }

    fn mounts_directory(&self) -> PathBuf {
        self.runroot.join("mounts")
    }

    fn mount_path(&self, object: &Object) -> PathBuf {
        self.mounts_directory().join(object.hex())
    }

    fn is_of(&self, row: &HostMount, path: &Path) -> bool {
        self.mount_path(&row.object) == path
    }

    fn mount_directories(&self) -> Result<Vec<PathBuf>> {
        let directory = self.mounts_directory();
        let doing = || format!("list {}", directory.display());
        let entries = match fs::read_dir(&directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.doing(doing)?,
        };
        let paths = entries.map(|entry| entry.map(|entry| entry.path()).doing(doing));
        paths.collect()
    }
}

/// The mounts of this boot that somebody wants.
fn living(read: &Read) -> Result<Vec<HostMount>> {
    let boot = boot_id()?;
    let mut rows = mounts::list(read)?;
    rows.retain(|row| row.users > 0 && row.boot == boot);
    Ok(rows)
}

/// The root of an image, for reading.
fn open_image(image: &Image, path: &Path) -> Result<OwnedFd> {
    let root = match image.chain.as_slice() {
        // Nothing to see; its own directory shows that.
        [] => Mount::Bind { source: path.to_owned(), read_only: true },
        _ => image.view()?,
    };
    let root = dhow_sys::union::open(&root).map_err(io::Error::from);
    let root = root.doing(|| "unite the layers").map_err(|error| match error.kind() {
        Kind::Denied => error.hint("to mount where others see it takes the rights of root"),
        _ => error,
    })?;
    let read_only = Attributes::setting(MountAttrFlags::MOUNT_ATTR_RDONLY);
    set_attributes(root.as_fd(), read_only, Reach::WholeTree)
        .doing(|| "make the mount read-only")?;
    Ok(root)
}

/// Is the root of a mount at this path?
fn is_mounted(path: &Path) -> Result<bool> {
    dhow_sys::mount::is_root_at(path)
        .doing(|| format!("look whether {} is a mount", path.display()))
}

/// Unmounts what is at a path, if anything is, and removes the directory, if it is there.
fn detach(path: &Path) -> Result<()> {
    while is_mounted(path)? {
        let unmounted = rustix::mount::unmount(path, UnmountFlags::NOFOLLOW);
        unmounted.doing(|| format!("unmount {}", path.display())).map_err(|error| {
            match error.kind() {
                Kind::Conflict => error.hint("a process works in it"),
                _ => error,
            }
        })?;
    }
    match rustix::fs::rmdir(path) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(errno).doing(|| format!("remove directory {}", path.display())),
    }
}
