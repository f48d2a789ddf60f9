//! The user namespace in which an ordinary user is root over their containers.
//!
//! All commands of one user have to share one: a process has rights over what was started in its own
//! user namespace or below, and nowhere else. So whoever is first makes it, with a mount namespace, and
//! leaves an [anchor](crate::anchor) in it; who comes later finds the anchor in a record and joins.
//!
//! ```text
//!   shared lock ─▶ record ─▶ anchor lives ───────────────────────────────────▶ join
//!                              │ no
//!   exclusive lock ─▶ record again ─▶ somebody lives there still ─▶ join, new anchor ─▶ record
//!                                       │ nobody
//!                                       └─▶ new anchor makes both ─▶ ids mapped ─▶ record ─▶ join
//! ```
//!
//! The kernel lets go of a lock when its holder dies, and an anchor goes that was not told of its
//! record. An anchor that somebody kills is replaced as long as any process is left in its namespace,
//! so that there are never two of them with containers in each.
//!
//! # On disk
//!
//! ```text
//! <runroot>/namespace.lock    held shared to join, alone to make, to replace and to go
//! <runroot>/namespace.json    the anchor, and the numbers of its namespaces
//! ```

use crate::anchor;
use dhow_base::{
    Doing, Error, Kind, Result,
    file::{self, Durability},
    lock::{Lock, Sharing},
};
use dhow_spec::{
    accounts::{IdRange, LIMIT_BYTES, accounts, in_a_row, subordinate_ids},
    runtime::IdMapping,
};
use rustix::{
    fs::{AtFlags, CWD, StatxFlags},
    io::Errno,
    process::{DumpableBehavior, Pid, PidfdFlags},
    thread::ThreadNameSpaceType,
};
use serde::{Deserialize, Serialize};
use std::{
    fs,
    io::ErrorKind,
    os::{
        fd::{AsFd, OwnedFd},
        unix::fs::MetadataExt,
    },
    path::{Path, PathBuf},
};

const LOCK: &str = "namespace.lock";
const RECORD: &str = "namespace.json";
const RECORD_LIMIT_BYTES: u64 = 4 << 10;

const BOTH: ThreadNameSpaceType = ThreadNameSpaceType::USER.union(ThreadNameSpaceType::MOUNT);

/// What is known of the namespace: who keeps it, and which it is.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Anchored {
    /// The anchor.
    pub(crate) pid: i32,
    /// When it started: a pid may be somebody else's by now.
    pub(crate) started: u64,
    /// The number of the user namespace.
    pub(crate) user: u64,
    /// The number of the mount namespace.
    pub(crate) mount: u64,
    /// The number of the mount namespace that this one was a copy of.
    pub(crate) origin: u64,
}

/// How an ordinary user's ids are mapped, where not as it should be.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OneId {
    /// What is missing for more.
    pub missing: String,
}

/// Moves the calling process, which has one thread, into its user's namespace, and keeps its working
/// directory. `directory` is the user's own, for what need not survive a reboot.
///
/// Says if the namespace was made just now, and with one id only.
pub fn enter(directory: &Path) -> Result<Option<OneId>> {
    let doing = || "enter the user namespace of this user";
    let working = std::env::current_dir().ok();
    let (entered, made) = enter_from(directory).doing(doing)?;
    // Rights were gained, so the kernel has closed our files in procfs; they are the user's own.
    rustix::process::set_dumpable_behavior(DumpableBehavior::Dumpable).doing(doing)?;
    if entered == Entered::Both
        && let Some(working) = working
    {
        rustix::process::chdir(&working)
            .doing(|| format!("go back to directory {}", working.display()))?;
    }
    Ok(made)
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Entered {
    /// The working directory is the root by now.
    Both,
    /// A mount namespace that is a copy of the caller's, who sees other mounts than the anchor.
    OwnMounts,
}

fn enter_from(directory: &Path) -> Result<(Entered, Option<OneId>)> {
    let path = directory.join(LOCK);
    let shared = Lock::acquire(&path, Sharing::Shared)?;
    if let Some(entered) = join_anchored(directory)? {
        return Ok((entered, None));
    }
    drop(shared);
    let _alone = Lock::acquire(&path, Sharing::Exclusive)?;
    if let Some(entered) = join_anchored(directory)? {
        return Ok((entered, None));
    }
    if let Some(entered) = join_survivor(directory)? {
        return Ok((entered, None));
    }
    let made = make(directory)?;
    let entered = join_anchored(directory)?;
    let entered = entered.ok_or_else(|| Error::new(Kind::Internal, "join it: it is gone"))?;
    Ok((entered, made))
}

/// Joins the namespace whose anchor lives, if there is one.
fn join_anchored(directory: &Path) -> Result<Option<Entered>> {
    let Some(anchored) = Anchored::read(directory)? else { return Ok(None) };
    let Some(anchor) = living(anchored.pid, anchored.started)? else { return Ok(None) };
    join(&anchor, &anchored)
}

/// Joins the namespace of a process; `None` where it has just ended.
fn join(process: &OwnedFd, anchored: &Anchored) -> Result<Option<Entered>> {
    // Whose mounts are others than the anchor's were, keeps their own.
    let has_same = number("/proc/self/ns/mnt")? == Some(anchored.origin);
    let kinds = if has_same { BOTH } else { ThreadNameSpaceType::USER };
    match dhow_sys::namespace::join(process.as_fd(), kinds) {
        Err(error) if error.raw_os_error() == Some(Errno::SRCH.raw_os_error()) => return Ok(None),
        joined => joined.doing(|| "join it")?,
    }
    if has_same {
        return Ok(Some(Entered::Both));
    }
    dhow_sys::namespace::leave(ThreadNameSpaceType::MOUNT).doing(|| "copy the mounts")?;
    Ok(Some(Entered::OwnMounts))
}

/// Joins a namespace whose anchor was killed while others were in it, and gives it a new one.
fn join_survivor(directory: &Path) -> Result<Option<Entered>> {
    let Some(lost) = Anchored::read(directory)? else { return Ok(None) };
    let Some((process, has_mounts)) = survivor(&lost)? else { return Ok(None) };
    // With the mounts, if there is one who has them: those that a pod shares are in no other place.
    let kinds = if has_mounts { BOTH } else { ThreadNameSpaceType::USER };
    match dhow_sys::namespace::join(process.as_fd(), kinds) {
        Err(error) if error.raw_os_error() == Some(Errno::SRCH.raw_os_error()) => return Ok(None),
        joined => joined.doing(|| "join what is left of it")?,
    }
    if !has_mounts {
        dhow_sys::namespace::leave(ThreadNameSpaceType::MOUNT).doing(|| "copy the mounts")?;
    }
    rustix::process::set_dumpable_behavior(DumpableBehavior::Dumpable).doing(|| "join it")?;
    let anchor = anchor::Newcomer::beside(directory)?;
    let mount = number("/proc/self/ns/mnt")?.unwrap_or(lost.mount);
    anchor.record(directory, |pid, started| Anchored { pid, started, mount, ..lost })?;
    Ok(Some(Entered::Both))
}

/// A process that is in a namespace still, best one that is in its mount namespace too; and whether it
/// is. The number of a namespace may be another's by now: only one of this user's is meant.
fn survivor(lost: &Anchored) -> Result<Option<(OwnedFd, bool)>> {
    let mut other = None;
    for pid in processes()? {
        if !lives_in(pid, Some(lost.user)) {
            continue;
        }
        let Some(process) = open(pid)? else { continue };
        // Read after the process was opened, so it tells of the one that was.
        if !is_this_user_s(pid) {
            continue;
        }
        if number(&format!("/proc/{pid}/ns/mnt")).ok().flatten() == Some(lost.mount) {
            return Ok(Some((process, true)));
        }
        other = Some((process, false));
    }
    Ok(other)
}

/// Whether the root of a process's user namespace is the user that we are.
fn is_this_user_s(pid: i32) -> bool {
    let map = fs::read_to_string(format!("/proc/{pid}/uid_map")).unwrap_or_default();
    let mut words = map.split_ascii_whitespace();
    let own = rustix::process::geteuid().as_raw().to_string();
    words.next() == Some("0") && words.next() == Some(&own)
}

/// Makes the namespaces, and the anchor that keeps them.
fn make(directory: &Path) -> Result<Option<OneId>> {
    let ids = Ids::of_this_user()?;
    let anchor = anchor::Newcomer::apart(directory)?;
    let pid = anchor.pid();
    dhow_runtime::map_ids(pid, &ids.users, &ids.groups)?;
    let own = |name: &str| -> Result<u64> {
        number(&format!("/proc/{pid}/ns/{name}"))?
            .ok_or_else(|| Error::new(Kind::Internal, "look at the new namespaces: they are gone"))
    };
    let (user, mount) = (own("user")?, own("mnt")?);
    let origin = number("/proc/self/ns/mnt")?.unwrap_or(0);
    anchor.record(directory, |pid, started| Anchored { pid, started, user, mount, origin })?;
    Ok(ids.missing.map(|missing| OneId { missing }))
}

/// The ids of a new namespace.
#[derive(Debug)]
struct Ids {
    users: Vec<IdMapping>,
    groups: Vec<IdMapping>,
    /// Why there is one of each only.
    missing: Option<String>,
}

impl Ids {
    /// The user's own as root, and behind it all those that they may give to others.
    fn of_this_user() -> Result<Self> {
        let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        let passwd = file::read_limited(Path::new("/etc/passwd"), LIMIT_BYTES).unwrap_or_default();
        let account = accounts(&passwd).find(|account| account.uid == uid);
        let name = account.map_or_else(
            || uid.to_string(),
            |account| String::from_utf8_lossy(account.name).into_owned(),
        );
        let ranges = |path: &str| -> Result<Vec<IdRange>> {
            match file::read_limited(Path::new(path), LIMIT_BYTES) {
                Ok(text) => Ok(subordinate_ids(&String::from_utf8_lossy(&text), &name, Some(uid))),
                Err(error) if error.kind() == Kind::NotFound => Ok(Vec::new()),
                Err(error) => Err(error),
            }
        };
        let (users, groups) = (ranges("/etc/subuid")?, ranges("/etc/subgid")?);
        let missing = missing(&name, &users, &groups);
        let (users, groups) =
            if missing.is_some() { (Vec::new(), Vec::new()) } else { (users, groups) };
        Ok(Self { users: behind(uid, &users), groups: behind(gid, &groups), missing })
    }
}

/// What a user lacks for more than one id.
fn missing(name: &str, users: &[IdRange], groups: &[IdRange]) -> Option<String> {
    for (ranges, path) in [(users, "/etc/subuid"), (groups, "/etc/subgid")] {
        if ranges.is_empty() {
            return Some(format!("{path} has no range for {name}"));
        }
    }
    let helpers = [dhow_runtime::UID_HELPER, dhow_runtime::GID_HELPER];
    let absent = helpers.into_iter().find(|helper| !is_installed(helper))?;
    Some(format!("there is no {absent} (package uidmap)"))
}

fn is_installed(program: &str) -> bool {
    use std::process::{Command, Stdio};
    // Without arguments it says how it is used; the search is the very one that will find it.
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    !matches!(command.status(), Err(error) if error.kind() == ErrorKind::NotFound)
}

/// Root is this id; those of the ranges follow.
fn behind(own: u32, ranges: &[IdRange]) -> Vec<IdMapping> {
    in_a_row(&[&[IdRange { first: own, size: 1 }], ranges].concat())
}

impl Anchored {
    pub(crate) fn read(directory: &Path) -> Result<Option<Self>> {
        match file::read_limited(&directory.join(RECORD), RECORD_LIMIT_BYTES) {
            // One that makes no sense names nobody: it is written anew.
            Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
            Err(error) if error.kind() == Kind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(crate) fn write(&self, directory: &Path) -> Result<()> {
        let bytes = serde_json::to_vec(self).expect("numbers always serialise");
        file::write_atomically(&directory.join(RECORD), &bytes, 0o600, Durability::Cached)
    }

    pub(crate) fn remove(directory: &Path) -> Result<()> {
        file::remove_if_there(&directory.join(RECORD))
    }
}

/// The lock, for an anchor that goes if nobody is about to join.
pub(crate) fn try_lock(directory: &Path) -> Result<Option<Lock>> {
    Lock::try_acquire(&directory.join(LOCK), Sharing::Exclusive)
}

/// The number of the namespace behind a link of procfs's; `None` where the process is gone.
pub(crate) fn number(link: &str) -> Result<Option<u64>> {
    match rustix::fs::statx(CWD, link, AtFlags::empty(), StatxFlags::INO) {
        Ok(status) => Ok(Some(status.stx_ino)),
        Err(Errno::NOENT | Errno::SRCH) => Ok(None),
        Err(errno) => Err(errno).doing(|| format!("look at {link}")),
    }
}

/// Whether a process is in the user namespace of this number, and has not ended.
pub(crate) fn lives_in(pid: i32, user: Option<u64>) -> bool {
    number(&format!("/proc/{pid}/ns/user")).ok().flatten() == user
        && dhow_sys::process::status(pid).is_ok_and(|status| !status.has_ended())
}

/// The numbers of all processes.
pub(crate) fn processes() -> Result<Vec<i32>> {
    let all = dhow_sys::process::all().doing(|| "list processes")?;
    Ok(all.map(Pid::as_raw_pid).collect())
}

/// A handle on a process; `None` where there is none.
pub(crate) fn open(pid: i32) -> Result<Option<OwnedFd>> {
    let Some(pid) = Pid::from_raw(pid) else { return Ok(None) };
    match rustix::process::pidfd_open(pid, PidfdFlags::empty()) {
        Ok(process) => Ok(Some(process)),
        Err(Errno::SRCH | Errno::INVAL) => Ok(None),
        Err(errno) => Err(errno).doing(|| format!("open process {pid}")),
    }
}

/// A handle on the process of this number that started then.
fn living(pid: i32, started: u64) -> Result<Option<OwnedFd>> {
    let Some(process) = open(pid)? else { return Ok(None) };
    // The handle was there first: if the times agree, it is of that process.
    let is_it = dhow_sys::process::status(pid)
        .is_ok_and(|status| status.started == started && !status.has_ended());
    Ok(is_it.then_some(process))
}

/// Makes the directory in which a user keeps what need not survive a reboot, or proves that it is
/// theirs: whoever could write there would choose what their commands join.
pub fn secure_directory(directory: &Path) -> Result<()> {
    file::make_directories(directory, 0o700)?;
    let status = fs::symlink_metadata(directory)
        .doing(|| format!("look at directory {}", directory.display()))?;
    let own = rustix::process::geteuid().as_raw();
    let why = if !status.is_dir() {
        "it is no directory"
    } else if status.uid() != own {
        "it is another user's"
    } else if status.mode() & 0o022 != 0 {
        "others may write to it"
    } else {
        return Ok(());
    };
    Err(Error::new(Kind::Denied, format!("use directory {}: {why}", directory.display()))
        .hint("set XDG_RUNTIME_DIR to a directory of your own, or name one with --runroot"))
}

/// Where a user's directory is who has no `XDG_RUNTIME_DIR`.
pub fn usual_runtime_directory(uid: u32) -> PathBuf {
    let usual = PathBuf::from(format!("/run/user/{uid}"));
    // In their namespace the user is root.
    let own = rustix::process::geteuid().as_raw();
    let status = fs::symlink_metadata(&usual);
    let is_own = status.is_ok_and(|status| status.is_dir() && status.uid() == own);
    if is_own { usual.join("dhow") } else { format!("/tmp/dhow-run-{uid}").into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_user_is_root_and_their_ranges_follow() {
        let ids = |container_id, host_id, size| IdMapping { container_id, host_id, size };
        let range = |first, size| IdRange { first, size };

        assert_eq!(behind(1000, &[]), [ids(0, 1000, 1)]);
        assert_eq!(
            behind(1000, &[range(100_000, 10), range(300_000, u32::MAX - 300_000)]),
            [ids(0, 1000, 1), ids(1, 100_000, 10), ids(11, 300_000, u32::MAX - 300_000)]
        );
    }

    #[test]
    fn a_record_that_makes_no_sense_names_nobody() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(Anchored::read(directory.path()).unwrap(), None);
        let anchored = Anchored { pid: 7, started: 8, user: 9, mount: 10, origin: 11 };

        anchored.write(directory.path()).unwrap();
        assert_eq!(Anchored::read(directory.path()).unwrap(), Some(anchored));
        fs::write(directory.path().join(RECORD), "{").unwrap();
        assert_eq!(Anchored::read(directory.path()).unwrap(), None);
    }

    #[test]
    fn a_process_is_its_number_and_its_start() {
        let own = rustix::process::getpid().as_raw_pid();
        let started = dhow_sys::process::start_time(own).unwrap();

        assert!(living(own, started).unwrap().is_some());
        assert!(living(own, started + 1).unwrap().is_none());
        assert!(living(0, 0).unwrap().is_none());
    }

    #[test]
    fn a_directory_that_others_may_change_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("run");
        secure_directory(&path).unwrap();
        secure_directory(&path).unwrap();

        fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
        assert_eq!(secure_directory(&path).unwrap_err().kind(), Kind::Denied);
        let link = directory.path().join("link");
        std::os::unix::fs::symlink(directory.path(), &link).unwrap();
        assert_eq!(secure_directory(&link).unwrap_err().kind(), Kind::Denied);
    }
}
