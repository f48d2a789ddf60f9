//! Roots of containers that are mounted on the host, because somebody wants to look into them.
//!
//! ```text
//!  container runs  ─▶ a copy of its own root's mount, out of its mount namespace
//!  it does not     ─▶ the root, writable; a later start takes this same mount
//! ```
//!
//! Two unions must not write to one layer, so there is one at a time, whoever made it first. The mount
//! has a row (see the image crate's `mounted`), outlives the container's lives, and goes with
//! `unmount`, with the container, or at the next boot.

use crate::{
    Engine,
    events::{Subject, tell},
    foundation,
    record::Record,
    rooted::busy,
};
use dhow_base::{Doing, Error, Kind, Result, id::ContainerId};
use dhow_image::{MountedContainer, Unmount};
use dhow_spec::Mount;
use dhow_state::{
    Owner, State,
    containers::{self, Container, Phase},
};
use dhow_sys::{
    mount::{Attributes, Propagation, Reach},
    procfs::Procfs,
};
use rustix::{
    fs::{CWD, Mode, OFlags},
    thread::ThreadNameSpaceType,
};
use std::{
    io,
    os::fd::{AsFd, OwnedFd},
};

impl Engine {
    /// Mounts the root of a container on the host, or counts one more who wants it. Returns its name too.
    pub fn mount(&mut self, container: &str) -> Result<(String, MountedContainer)> {
        let row = self.look_up(container)?;
        let doing = || format!("mount container {}", row.name);
        // Who starts it meanwhile waits, and finds what we have made.
        let _lock = match row.phase {
            Phase::Running => None,
            _ => Some(self.lock_root(&row.id)?),
        };
        let row = self.look_up(row.id.as_str())?;
        let Self { state, images, layout, .. } = self;
        let open = |state: &State| match (row.phase, row.process) {
            (Phase::Running, Some(process)) => root_out_of(process),
            (Phase::Created | Phase::Exited, _) => {
                let root = foundation::root_of(&row, images, state, layout)?;
                dhow_sys::union::open(&root).map_err(io::Error::from).doing(|| "unite the layers")
            }
            _ => Err(busy(&row)),
        };
        let mounted = images.mount_container(state, &row.id, open).doing(doing)?;
        self.tell_of_mount(&row, "mount")?;
        Ok((row.name, mounted))
    }

    /// Takes such a mount away, if nobody else wants it.
    pub fn unmount(&mut self, container: &str, whom: Unmount) -> Result<ContainerId> {
        let row = self.look_up(container)?;
        let doing = || format!("unmount container {}", row.name);
        self.images.unmount_container(&mut self.state, &row.id, whom).doing(doing)?;
        self.tell_of_mount(&row, "unmount")?;
        Ok(row.id)
    }

    /// All containers whose root is mounted, with their names.
    pub fn mounted(&mut self) -> Result<Vec<(String, MountedContainer)>> {
        let mut named = Vec::new();
        for mounted in self.images.mounted_containers(&self.state)? {
            if let Some(row) = containers::find(self.state.read(), &mounted.id)? {
                named.push((row.name, mounted));
            }
        }
        Ok(named)
    }

    /// The root of a container that does not run, for one who writes to it: as it is mounted already,
    /// where it is.
    pub(crate) fn root_at_rest(&self, row: &Container) -> Result<Mount> {
        match self.images.mount_of_container(&row.id)? {
            Some(at) => Ok(Mount::Attached { at }),
            None => self.root_of(row),
        }
    }

    /// Refuses to remove what somebody looks into.
    pub(crate) fn check_unmounted(&self, row: &Container) -> Result<()> {
        if self.images.mount_of_container(&row.id)?.is_none() {
            return Ok(());
        }
        let text = format!("remove container {}: it is mounted", row.name);
        Err(Error::new(Kind::Conflict, text)
            .hint("`dhow container unmount` takes the mount away, and so does --force"))
    }

    fn tell_of_mount(&mut self, row: &Container, action: &str) -> Result<()> {
        let record = Record::parse(&row.settings)?;
        self.state.write(|write| tell(write, &Subject::of(row, &record), action, &[]))
    }
}

/// A copy of the mount that is the root of a process's mount namespace, attached nowhere.
///
/// Mounts can be copied within one's own namespace only. A thread goes there and ends there, so that
/// nothing of this process ever resolves a path in it but this one slash.
fn root_out_of(process: Owner) -> Result<OwnedFd> {
    let host = Procfs::of_host().doing(|| "check /proc")?;
    let namespace = host
        .namespace(&process.pid.to_string(), "mnt")
        .doing(|| format!("open the mount namespace of process {}", process.pid))?;
    // Only now is it certain that the pid was still the container's when it was opened.
    if !process.is_alive()? {
        return Err(Error::new(Kind::Conflict, "the container has just ended"));
    }
    let copied = std::thread::scope(|scope| scope.spawn(|| copy_root_in(&namespace)).join());
    copied.map_err(|_| Error::new(Kind::Internal, "copy a root in a thread"))?
}

fn copy_root_in(namespace: &OwnedFd) -> Result<OwnedFd> {
    let doing = || "enter the mount namespace of the container";
    // A thread that shares its root directory with others may not.
    dhow_sys::namespace::leave(ThreadNameSpaceType::MOUNT).doing(doing)?;
    dhow_sys::namespace::join(namespace.as_fd(), ThreadNameSpaceType::MOUNT).doing(doing)?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::openat(CWD, "/", flags, Mode::empty()).doing(|| "open its root")?;
    let private = Attributes::propagating(Propagation::Private);
    dhow_sys::mount::copy(root.as_fd(), private, Reach::ThisMount).doing(|| "copy its root's mount")
}
