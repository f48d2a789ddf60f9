//! Making and removing volumes, and giving containers theirs.

use super::{
    LOCAL, Settings, Volumes,
    local::Plan,
    lock,
    quota::{self, new_project},
};
use crate::{
    Engine, RemoveOptions,
    options::{MountOption, VolumeMaking},
    plan::{self, Planned},
    selinux,
};
use dhow_base::{
    Doing, Error, Kind, Result,
    clock::Moment,
    file,
    id::{ContainerId, Name, random_hex},
};
use dhow_state::{
    Write, events,
    volumes::{self, Filling, Phase, Volume as Row},
};
use dhow_sys::root::{Last, Root};
use rustix::{
    fs::{Gid, Mode, OFlags, Uid},
    io::Errno,
};
use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
};

/// A volume to make.
#[derive(Clone, Debug, Default)]
pub struct VolumeOptions {
    /// Its name; without one it is nobody's.
    pub name: Option<Name>,
    /// Driver, options and labels.
    pub making: VolumeMaking,
    /// The owner of its directory.
    pub uid: Option<u32>,
    /// Its group.
    pub gid: Option<u32>,
    /// Whether one of this name that is there already is an error, however it was made.
    pub must_be_new: bool,
}

/// What a removal puts up with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RemoveVolume {
    /// It must be there, and mounted by nobody.
    Gently,
    /// It may be gone already, and is unmounted.
    Force,
    /// The same, and the containers that use it go first, as podman has it.
    WithUsers,
}

impl Engine {
    /// Makes a volume. One of this name that was made in the same way is as good, unless it has to be
    /// new.
    pub fn create_volume(&mut self, options: &VolumeOptions) -> Result<Name> {
        let (name, anonymous) = match &options.name {
            Some(name) => (name.clone(), false),
            None => (random_hex(32)?.parse()?, true),
        };
        let settings = settings(&options.making, options.uid, options.gid)
            .doing(|| format!("create volume {name}"))?;
        self.volumes_mut()
            .create(&name, &settings, anonymous, options.must_be_new)
            .doing(|| format!("create volume {name}"))?;
        Ok(name)
    }

    /// Removes a volume that no container uses.
    pub fn remove_volume(&mut self, text: &str, how: RemoveVolume) -> Result<Name> {
        let row = match volumes::look_up(self.state.read(), text) {
            Err(error) if error.kind() == Kind::NotFound && how != RemoveVolume::Gently => {
                return text.parse().map_err(|_| error);
            }
            row => row?,
        };
        if how == RemoveVolume::WithUsers {
            for user in volumes::users(self.state.read(), &row.name)? {
                self.remove(user.id.as_str(), RemoveOptions { force: true, volumes: false })?;
            }
        }
        self.volumes_mut()
            .remove(&row.name, how)
            .doing(|| format!("remove volume {}", row.name))?;
        Ok(row.name)
    }
}

fn settings(making: &VolumeMaking, uid: Option<u32>, gid: Option<u32>) -> Result<Settings> {
    if let Some(driver) = making.driver.as_deref().filter(|driver| *driver != LOCAL) {
        return Err(Error::new(Kind::Unsupported, format!("use the volume driver {driver}"))
            .hint("there is local; its options mount nfs, tmpfs and directories of the host's"));
    }
    let mut settings = Settings {
        labels: making.labels.iter().cloned().collect(),
        options: making.options.iter().cloned().collect(),
        uid,
        gid,
        project: None,
    };
    if settings.plan()?.is_bounded() {
        settings.project = Some(new_project()?);
    }
    Ok(settings)
}

impl Volumes<'_> {
    fn create(
        &mut self,
        name: &Name,
        settings: &Settings,
        anonymous: bool,
        must_be_new: bool,
    ) -> Result<()> {
        let _lock = lock(self.layout, name)?;
        let Some(row) = self.settled(name)? else { return self.make(name, settings, anonymous) };
        if must_be_new {
            return Err(Error::new(Kind::AlreadyExists, "there is one of this name")
                .hint("--ignore takes that one"));
        }
        let there = Settings { project: settings.project, ..Settings::of(&row)? };
        if there == *settings || *settings == Settings::default() {
            return Ok(());
        }
        Err(Error::new(Kind::AlreadyExists, "there is one of this name, made in another way")
            .hint(format!("`dhow volume inspect {name}` shows how")))
    }

    /// The row of a volume after what a killed command left of it was put right; none where there
    /// is no volume. For who holds the lock.
    pub(super) fn settled(&mut self, name: &Name) -> Result<Option<Row>> {
        let Some(row) = volumes::find(self.state.read(), name)? else { return Ok(None) };
        match row.phase {
            Phase::Present if row.filling == Filling::No => Ok(Some(row)),
            Phase::Present => {
                self.mend_filling(&row)?;
                volumes::find(self.state.read(), name)
            }
            Phase::Preparing | Phase::Removing => {
                self.erase(&row)?;
                Ok(None)
            }
        }
    }

    /// Row, directory, row. For who holds the lock.
    fn make(&mut self, name: &Name, settings: &Settings, anonymous: bool) -> Result<()> {
        let row = Row {
            name: name.clone(),
            phase: Phase::Preparing,
            created: Moment::now(),
            anonymous,
            filling: Filling::No,
            users: 0,
            boot: None,
            settings: settings.to_text()?,
        };
        self.state.write(|write| volumes::insert(write, &row))?;
        if let Err(error) = self.make_directories(name, settings, &settings.plan()?) {
            // The failure to make it is the one to tell; the row names what stayed.
            let _erased = self.erase(&row);
            return Err(error);
        }
        self.state.write(|write| {
            volumes::advance(write, name, Phase::Present)?;
            events::record(write, "volume", "create", name.as_str(), "{}")
        })
    }

    fn make_directories(&self, name: &Name, settings: &Settings, plan: &Plan) -> Result<()> {
        let (volume, data) = (self.layout.volume(name), self.layout.volume_data(name));
        file::make_directories(&volume, 0o711)?;
        if let Some(project) = settings.project {
            let limits = dhow_sys::quota::Limits {
                bytes: plan.bytes.unwrap_or(0),
                inodes: plan.inodes.unwrap_or(0),
            };
            quota::bound(&volume, project, limits)?;
        }
        file::make_directories(&data, 0o755)?;
        selinux::mark_for_all(&data)?;
        let directory = open(&data)?;
        own(directory.as_fd(), settings.uid.or(plan.uid), settings.gid.or(plan.gid))
    }

    pub(super) fn remove(&mut self, name: &Name, how: RemoveVolume) -> Result<()> {
        let _lock = lock(self.layout, name)?;
        let missing = || Error::new(Kind::NotFound, "it is not there any more");
        let row = match volumes::find(self.state.read(), name)? {
            Some(row) => row,
            None if how != RemoveVolume::Gently => return Ok(()),
            None => return Err(missing()),
        };
        let boot = crate::start::boot_id()?;
        let is_mounted = row.users > 0 && row.boot.as_deref() == Some(boot.as_str());
        if is_mounted && how == RemoveVolume::Gently {
            return Err(Error::new(Kind::Conflict, "it is mounted on the host")
                .hint("`dhow volume unmount` takes the mount away, and so does --force"));
        }
        self.state.write(|write| {
            let users = volumes::users(write, name)?;
            if !users.is_empty() {
                let names: Vec<&str> = users.iter().map(|user| user.name.as_str()).collect();
                let text = format!("it is used by {}", names.join(", "));
                return Err(Error::new(Kind::Conflict, text)
                    .hint("`dhow rm` removes the containers, then the volume can go"));
            }
            volumes::advance(write, name, Phase::Removing)
        })?;
        self.erase(&row)
    }

    /// Takes away the files of a volume, then its row. For who holds the lock.
    fn erase(&mut self, row: &Row) -> Result<()> {
        self.clear(&row.name)?;
        if let Some(project) = Settings::of(row)?.project {
            quota::release(&self.layout.volumes(), project)?;
        }
        self.state.write(|write| {
            volumes::delete(write, &row.name)?;
            events::record(write, "volume", "destroy", row.name.as_str(), "{}")
        })
    }

    /// Makes the volumes of a plan that are missing, notes that a container uses them, and fills
    /// those that are empty with what is at their place in the directory that `view` opens.
    pub(crate) fn provide(
        &mut self,
        id: &ContainerId,
        plan: &[Planned],
        mut view: impl FnMut() -> Result<OwnedFd>,
    ) -> Result<()> {
        let mut opened: Option<OwnedFd> = None;
        for planned in plan {
            let Some(name) = planned.volume() else { continue };
            let doing = || format!("provide volume {name}");
            let _lock = lock(self.layout, name)?;
            if self.settled(name).doing(doing)?.is_none() {
                let settings = settings(&planned.option.details.making, None, None).doing(doing)?;
                self.make(name, &settings, planned.anonymous).doing(doing)?;
            }
            self.state.write(|write| volumes::hold(write, name, id))?;
            let row = self.present(name)?;
            if !self.layout.volume_data(name).is_dir() {
                return Err(Error::new(Kind::Corrupt, format!("{}: its files are gone", doing()))
                    .hint("`dhow doctor` tells what is missing"));
            }
            if !takes_copy(&planned.option) {
                continue;
            }
            self.attach(&row).doing(doing)?;
            let target = planned.option.target.as_path();
            self.fill(&row, || {
                if opened.is_none() {
                    opened = Some(view()?);
                }
                opened.as_ref().map_or(Ok(None), |root| within(root.as_fd(), target))
            })
            .and_then(|()| self.detach_unused(name, Some(id)))
            .doing(doing)?;
        }
        Ok(())
    }

    /// Mounts what has a file system of its own, for a container that is about to start.
    pub(crate) fn attach_for(&mut self, id: &ContainerId) -> Result<()> {
        for name in self.with_mounts(id)? {
            let _lock = lock(self.layout, &name)?;
            let row = self.present(&name)?;
            self.attach(&row)?;
        }
        Ok(())
    }

    /// Unmounts what a container that has ended was the last to use.
    pub(crate) fn detach_for(&mut self, id: &ContainerId, names: &[Name]) -> Result<()> {
        for name in names {
            let _lock = lock(self.layout, name)?;
            self.detach_unused(name, Some(id))?;
        }
        Ok(())
    }

    /// The volumes of a container that are file systems of their own.
    pub(crate) fn with_mounts(&self, id: &ContainerId) -> Result<Vec<Name>> {
        let mut names = Vec::new();
        for name in volumes::of_container(self.state.read(), id)? {
            let Some(row) = volumes::find(self.state.read(), &name)? else { continue };
            if Settings::of(&row)?.plan()?.mount.is_some() {
                names.push(name);
            }
        }
        Ok(names)
    }

    /// Removes volumes that nobody has named and nobody uses any more.
    pub(crate) fn remove_unused(&mut self, names: &[Name]) -> Result<()> {
        for name in names {
            let row = volumes::find(self.state.read(), name)?;
            if !row.is_some_and(|row| row.anonymous) {
                continue;
            }
            match self.remove(name, RemoveVolume::Force) {
                // Another container has it as well.
                Err(error) if error.kind() == Kind::Conflict => {}
                result => result.doing(|| format!("remove volume {name}"))?,
            }
        }
        Ok(())
    }
}

/// Writes of a volume that nobody has named, and that nobody uses any more, that it goes: who comes next
/// takes it away. For who holds its lock.
pub(crate) fn mark_unused(write: &Write<'_>, name: &Name) -> Result<()> {
    let is_anonymous = volumes::find(write, name)?.is_some_and(|row| row.anonymous);
    if is_anonymous && volumes::users(write, name)?.is_empty() {
        volumes::advance(write, name, Phase::Removing)?;
    }
    Ok(())
}

fn takes_copy(option: &MountOption) -> bool {
    let details = &option.details;
    !details.no_copy && details.subpath.is_none() && !plan::is_overlay(option)
}

/// A directory of an image; none where it has none there.
fn within(root: BorrowedFd<'_>, path: &Path) -> Result<Option<OwnedFd>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY;
    match Root::new(root).open(path, flags, Last::Followed) {
        Ok(directory) => Ok(Some(directory)),
        Err(error) => match Errno::from_io_error(&error) {
            Some(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
            _ => Err(error).doing(|| format!("open {} in the image", path.display())),
        },
    }
}

fn open(directory: &Path) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::open(directory, flags, Mode::empty())
        .doing(|| format!("open {}", directory.display()))
}

/// Gives a volume's directory to whom was asked for.
pub(super) fn own(directory: BorrowedFd<'_>, uid: Option<u32>, gid: Option<u32>) -> Result<()> {
    if uid.is_none() && gid.is_none() {
        return Ok(());
    }
    rustix::fs::fchown(directory, uid.map(Uid::from_raw), gid.map(Gid::from_raw))
        .doing(|| "give the directory to its owner")
}
