//! What an image has at a volume's place goes into the volume, at its first use.
//!
//! ```text
//!  data is empty ─▶ row copying ─▶ copy to filling ─▶ on disk ─▶ row moving
//!                ─▶ entry by entry from filling to data ─▶ data gets owner and mode ─▶ row no
//! ```
//!
//! Killed while copying, the copy is thrown away; killed while moving, the next use moves the rest.
//! So nobody takes half of it for the whole, also after a power cut. The directory itself stays the
//! same one, since a container may have it mounted already.

use super::{Settings, Volumes, local::unmount_all};
use dhow_base::{Doing, Result, file, id::Name};
use dhow_state::volumes::{self, Filling, Volume as Row};
use rustix::{
    fs::{Dir, Mode, OFlags, RenameFlags},
    io::Errno,
};
use std::{
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
};

/// Where the copy is made in a volume that is another file system: renaming does not leave it.
const INSIDE: &str = ".dhow-filling";

impl Volumes<'_> {
    /// Fills a volume, if it is empty, from a directory that nobody changes. For who holds the lock.
    pub(super) fn fill(
        &mut self,
        row: &Row,
        from: impl FnOnce() -> Result<Option<OwnedFd>>,
    ) -> Result<()> {
        let name = &row.name;
        let data = self.layout.volume_data(name);
        if !is_empty(&data)? || Settings::of(row)?.plan()?.no_copy {
            return Ok(());
        }
        let Some(from) = from()? else { return Ok(()) };
        self.copy(name, from, &data).doing(|| format!("fill volume {name}"))
    }

    /// Finishes or throws away what a killed command has begun. For who holds the lock.
    pub(super) fn mend_filling(&mut self, row: &Row) -> Result<()> {
        let staging = self.staging(row)?;
        let mended = self.attach(row).and_then(|()| match row.filling {
            Filling::No => Ok(()),
            Filling::Copying => {
                dhow_base::tree::remove(&staging)?;
                self.note(&row.name, Filling::No)
            }
            Filling::Moving => self.move_in(&row.name, &staging),
        });
        mended
            .and_then(|()| self.detach_unused(&row.name, None))
            .doing(|| format!("finish the filling of volume {}", row.name))
    }

    fn copy(&mut self, name: &Name, from: OwnedFd, data: &Path) -> Result<()> {
        let row = self.present(name)?;
        let staging = self.staging(&row)?;
        self.note(name, Filling::Copying)?;
        let copied = dhow_base::tree::remove(&staging)
            .and_then(|()| file::make_directories(&staging, 0o700))
            .and_then(|()| dhow_snapshot::copy_tree(from, &staging))
            .and_then(|()| {
                // A rename that survives a power cut must not outlive what it renames.
                if is_empty(&staging)? {
                    return Ok(());
                }
                rustix::fs::syncfs(open(&staging)?).doing(|| "write the copy to disk")
            });
        if let Err(error) = copied {
            let cleared =
                dhow_base::tree::remove(&staging).and_then(|()| self.note(name, Filling::No));
            // The failure of the copy is the one to tell; the row names what stayed.
            drop(cleared);
            return Err(error).doing(|| format!("copy into {}", data.display()));
        }
        self.note(name, Filling::Moving)?;
        self.move_in(name, &staging)
    }

    fn move_in(&mut self, name: &Name, staging: &Path) -> Result<()> {
        let data = open(&self.layout.volume_data(name))?;
        match open(staging) {
            Ok(from) => {
                move_entries(&from, &data)?;
                let settings = Settings::of(&self.present(name)?)?;
                let plan = settings.plan()?;
                dhow_snapshot::copy_attributes(from.as_fd(), data.as_fd())?;
                super::change::own(
                    data.as_fd(),
                    settings.uid.or(plan.uid),
                    settings.gid.or(plan.gid),
                )?;
                drop(from);
                dhow_base::tree::remove(staging)?;
            }
            Err(error) if error.kind() == dhow_base::Kind::NotFound => {}
            Err(error) => return Err(error),
        }
        self.note(name, Filling::No)
    }

    fn note(&mut self, name: &Name, filling: Filling) -> Result<()> {
        self.state.write(|write| volumes::set_filling(write, name, filling))
    }

    /// Where the copy is made: on the same file system as the data.
    fn staging(&self, row: &Row) -> Result<PathBuf> {
        Ok(match Settings::of(row)?.plan()?.mount {
            Some(_) => self.layout.volume_data(&row.name).join(INSIDE),
            None => self.layout.volume_filling(&row.name),
        })
    }

    /// Takes away the mounts and files of a volume. For who holds the lock.
    pub(super) fn clear(&self, name: &Name) -> Result<()> {
        unmount_all(&self.layout.volume_data(name))?;
        dhow_base::tree::remove(&self.layout.volume(name))
    }
}

/// Whether nothing is in a directory but what we put there for a moment, and what a new file
/// system has.
pub(super) fn is_empty(directory: &Path) -> Result<bool> {
    let directory = open(directory)?;
    for entry in Dir::read_from(&directory).doing(|| "list a volume")? {
        let entry = entry.doing(|| "list a volume")?;
        let name = entry.file_name().to_bytes();
        if !matches!(name, b"." | b".." | b"lost+found") && name != INSIDE.as_bytes() {
            return Ok(false);
        }
    }
    Ok(true)
}

fn move_entries(from: &OwnedFd, to: &OwnedFd) -> Result<()> {
    let mut names = Vec::new();
    for entry in Dir::read_from(from).doing(|| "list the copy")? {
        let name = entry.doing(|| "list the copy")?.file_name().to_owned();
        if name.as_c_str() != c"." && name.as_c_str() != c".." {
            names.push(name);
        }
    }
    for name in names {
        match rustix::fs::renameat_with(from, &name, to, &name, RenameFlags::NOREPLACE) {
            // Moved before the kill, or made by a container that has the volume: theirs stays.
            Ok(()) | Err(Errno::EXIST | Errno::NOENT) => {}
            Err(errno) => return Err(errno).doing(|| format!("move {name:?} into the volume")),
        }
    }
    Ok(())
}

fn open(directory: &Path) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::open(directory, flags, Mode::empty())
        .doing(|| format!("open {}", directory.display()))
}
