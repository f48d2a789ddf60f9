//! Images whose root is mounted on the host, for reading, because somebody wants to look into it.
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
//! <runroot>/mounts/<hex digits of the manifest>      root alone gets there
//! <runroot>/locks/mounts
//! ```

use crate::{Finding, Image, Images, image::missing, pull::boot_id};
use dhow_base::{
    Digest, Doing, Error, Kind, Result, file,
    lock::{Lock, Sharing},
};
use dhow_spec::Mount;
use dhow_state::{
    Read, State,
    images::{self, Phase},
    mounts::{self, ImageMount},
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
    os::fd::AsFd,
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
        let boot = boot_id()?;
        let users = state.write(|write| {
            let row = images::find(write, &image.manifest)?;
            if !row.is_some_and(|row| row.phase == Phase::Present) {
                // Another command removed it since it was found.
                return Err(missing(text));
            }
            mounts::begin(write, &image.manifest, &boot)?;
            Ok(mounts::find(write, &image.manifest)?.map_or(0, |row| row.users))
        })?;
        let path = self.mount_path(&image.manifest);
        if !is_mounted(&path)? {
            let attached = self.attach(&image, &path);
            if let (Err(_), 0) = (&attached, users) {
                self.take_away(state, &image.manifest)?;
            }
            attached.doing(|| format!("mount image {text}"))?;
        }
        let users = users + 1;
        state.write(|write| mounts::set_users(write, &image.manifest, users))?;
        Ok(Mounted { image, path, users })
    }

    /// Takes a mount away, if nobody else wants it.
    pub fn unmount(&self, state: &mut State, text: &str, whom: Unmount) -> Result<Image> {
        let _lock = self.lock_mounts()?;
        self.undo_dead_mounts(state)?;
        let image = self.look_up(state, text)?;
        let row = mounts::find(state.read(), &image.manifest)?.ok_or_else(|| {
            Error::new(Kind::Conflict, format!("image {text} is not mounted"))
                .hint("`dhow image mount` lists what is")
        })?;
        if whom == Unmount::One && row.users > 1 {
            let left = row.users - 1;
            state.write(|write| mounts::set_users(write, &row.manifest, left))?;
            return Ok(image);
        }
        state.write(|write| mounts::set_users(write, &row.manifest, 0))?;
        let taken = self.take_away(state, &row.manifest);
        if taken.is_err() {
            state.write(|write| mounts::set_users(write, &row.manifest, row.users))?;
        }
        taken.doing(|| format!("unmount image {text}"))?;
        Ok(image)
    }

    /// All that are mounted.
    pub fn mounted(&self, state: &State) -> Result<Vec<Mounted>> {
        let (read, boot) = (state.read(), boot_id()?);
        let mut mounted = Vec::new();
        for row in mounts::list(read)? {
            let Some(image) = images::find(read, &row.manifest)? else { continue };
            if row.users > 0 && row.boot == boot {
                mounted.push(Mounted {
                    image: self.image(read, image)?,
                    path: self.mount_path(&row.manifest),
                    users: row.users,
                });
            }
        }
        Ok(mounted)
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
            self.take_away(state, &row.manifest)?;
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
            findings.insert(Finding::new(path.display(), "no mounted image has this directory"));
        }
        for row in rows {
            let path = self.mount_path(&row.manifest);
            if row.users > 0 && !is_mounted(&path)? {
                let what = format!("it is said to be mounted on {}, and is not", path.display());
                findings.insert(Finding::new(format!("image {}", row.manifest.short()), what));
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
            if !is_mounted(&self.mount_path(&row.manifest))? {
                self.take_away(state, &row.manifest)?;
                let object = format!("image {}", row.manifest.short());
                done.push(Finding::new(object, "it is no longer said to be mounted"));
            }
        }
        for path in self.mount_directories()? {
            if !rows.iter().any(|row| self.is_of(row, &path)) {
                detach(&path)?;
                done.push(Finding::new(path.display(), "removed: no image was mounted there"));
            }
        }
        Ok(())
    }

    fn attach(&self, image: &Image, path: &Path) -> Result<()> {
        file::make_directories(&self.mounts_directory(), 0o700)?;
        file::make_directories(path, 0o700)?;
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
        // Whoever looks is on the host: what an image says of devices and owners counts for nothing.
        let flags = MountAttrFlags::MOUNT_ATTR_RDONLY
            | MountAttrFlags::MOUNT_ATTR_NODEV
            | MountAttrFlags::MOUNT_ATTR_NOSUID;
        set_attributes(root.as_fd(), Attributes::setting(flags), Reach::WholeTree)
            .doing(|| "make the mount read-only")?;
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
    fn take_away(&self, state: &mut State, manifest: &Digest) -> Result<()> {
        detach(&self.mount_path(manifest))?;
        state.write(|write| mounts::delete(write, manifest))
    }

    fn lock_mounts(&self) -> Result<Lock> {
        let directory = self.runroot.join("locks");
        file::make_directories(&directory, 0o700)?;
        Lock::acquire(&directory.join("mounts"), Sharing::Exclusive)
    }

    fn mounts_directory(&self) -> PathBuf {
        self.runroot.join("mounts")
    }

    fn mount_path(&self, manifest: &Digest) -> PathBuf {
        self.mounts_directory().join(manifest.hex())
    }

    fn is_of(&self, row: &ImageMount, path: &Path) -> bool {
        self.mount_path(&row.manifest) == path
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
