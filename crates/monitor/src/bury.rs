//! What is left to do when a container's monitor is gone: its last acts, in its place.

use crate::client::{LOCK, SOCKET, is_alive};
use dhow_base::{
    Doing, Error, Kind, Result, file,
    id::ContainerId,
    lock::{Lock, Sharing},
};
use dhow_runtime::{Driver, Leftovers};
use dhow_spec::runtime::Spec;
use std::{path::Path, time::Duration};

/// How long a monitor may take to clean up. Mostly it needs a millisecond.
const LOCK_PATIENCE: Duration = Duration::from_secs(30);

/// As large as `Spec::parse` takes.
const CONFIG_LIMIT_BYTES: u64 = 16 << 20;

/// Waits until nobody keeps `directory` any more; then, if its monitor did not come to its end,
/// kills what is left in the container's cgroup and removes it.
///
/// `config` is the container's `config.json`. Done twice, or for a container that never ran, it
/// does no harm.
pub fn bury(directory: &Path, config: &Path, id: &ContainerId) -> Result<()> {
    match wait_for_lock(directory) {
        Ok(lock) => drop(lock),
        // No run directory: it never ran, or ran before a reboot, which took its cgroup too.
        Err(error) if error.errno() == Some(rustix::io::Errno::NOENT.raw_os_error()) => {
            return Ok(());
        }
        Err(error) => return Err(error),
    }
    clean_up(directory, config, id)
}

/// As [`bury`], unless somebody keeps `directory`; whether nobody does.
pub fn bury_unless_kept(directory: &Path, config: &Path, id: &ContainerId) -> Result<bool> {
    if is_alive(directory)? {
        return Ok(false);
    }
    clean_up(directory, config, id).map(|()| true)
}

fn clean_up(directory: &Path, config: &Path, id: &ContainerId) -> Result<()> {
    // A monitor that came to its end has taken its socket away, last of all.
    if rustix::fs::lstat(directory.join(SOCKET)).is_err() {
        return Ok(());
    }
    let bundle = config.parent().unwrap_or(Path::new("/"));
    let delete = |spec: &Spec| {
        let driver = &Driver::Files;
        dhow_runtime::delete(&Leftovers { id: id.as_str(), spec, driver, bundle }).map(drop)
    };
    match read_spec(config)? {
        Some(spec) => delete(&spec).doing(|| format!("clean up after container {}", id.short())),
        None => {
            // Before there is a configuration, a monitor makes no more than a cgroup in the usual place.
            let _nothing = delete(&Spec::default());
            Ok(())
        }
    }
}

/// A monitor that was believed dead and is not must not be waited for as long as its container lives.
fn wait_for_lock(directory: &Path) -> Result<Lock> {
    let path = directory.join(LOCK);
    let lock = Lock::acquire_existing_within(&path, Sharing::Shared, LOCK_PATIENCE)?;
    lock.ok_or_else(|| {
        Error::new(Kind::TimedOut, format!("wait for the monitor of {}", directory.display()))
            .hint("it lives and keeps a container; try again")
    })
}

/// Lets the processes of a container go on that somebody has frozen, who may be gone since. By
/// version 1 of cgroups a frozen process does not even die. A container without a cgroup is fine.
pub fn thaw(config: &Path, id: &ContainerId) -> Result<()> {
    match crate::group::cgroup(config, id)? {
        Some(cgroup) => cgroup.thaw(),
        None => Ok(()),
    }
}

/// Lets no process of a container go on until it is thawed.
pub fn freeze(config: &Path, id: &ContainerId) -> Result<()> {
    match crate::group::cgroup(config, id)? {
        Some(cgroup) => cgroup.freeze(),
        None => {
            let what = format!("find the cgroup of container {}", id.short());
            Err(Error::new(Kind::NotFound, what)
                .hint("to stop processes for a while takes one; users other than root have one where it was delegated to them"))
        }
    }
}

pub(crate) fn read_spec(config: &Path) -> Result<Option<Spec>> {
    match file::read_limited(config, CONFIG_LIMIT_BYTES) {
        Ok(bytes) => Spec::parse(&bytes).map(Some),
        Err(error) if error.kind() == Kind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
