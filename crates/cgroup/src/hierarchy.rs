//! The cgroup hierarchies of this machine.

use crate::place::read_whole;
use dhow_base::{Doing, Error, Kind, Result};
use rustix::fs::{CWD, Mode, OFlags};
use std::{os::fd::OwnedFd, sync::Arc};

/// Where every distribution mounts them.
const MOUNTPOINT: &str = "/sys/fs/cgroup";
/// `CGROUP_SUPER_MAGIC` and `CGROUP2_SUPER_MAGIC` (linux/magic.h).
const MAGIC_1: u64 = 0x0027_e0eb;
const MAGIC_2: u64 = 0x6367_7270;

/// Which versions are mounted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Layout {
    /// One version 2 tree.
    Unified,
    /// Version 1 hierarchies only.
    Legacy,
    /// Version 1 hierarchies for the controllers, and a version 2 tree beside them.
    Hybrid,
}

/// The version of one hierarchy.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Version {
    One,
    Two,
}

/// One tree of cgroups.
#[derive(Debug)]
pub(crate) struct Hierarchy {
    pub(crate) version: Version,
    /// Of version 1: its controllers, or `name=systemd`. Of version 2: nothing.
    pub(crate) controllers: Vec<String>,
    pub(crate) root: Arc<OwnedFd>,
}

/// The hierarchies of this machine.
#[derive(Debug)]
pub struct Hierarchies {
    layout: Layout,
    pub(crate) all: Vec<Hierarchy>,
}

impl Hierarchies {
    /// Finds them below `/sys/fs/cgroup`.
    pub fn detect() -> Result<Self> {
        Self::find().doing(|| format!("find the cgroup hierarchies below {MOUNTPOINT}"))
    }

    fn find() -> Result<Self> {
        let root = open(MOUNTPOINT)?;
        if magic(&root)? == MAGIC_2 {
            let unified =
                Hierarchy { version: Version::Two, controllers: Vec::new(), root: Arc::new(root) };
            return Ok(Self { layout: Layout::Unified, all: vec![unified] });
        }
        let mounts = read_mounts().doing(|| "read /proc/self/mountinfo")?;
        let mut all = Vec::new();
        for (path, version, controllers) in listed(&mounts) {
            let root = open(path)?;
            // On a tmpfs anybody may have made a directory, or mounted over one: what is opened
            // must be what the list says.
            let expected = if version == Version::One { MAGIC_1 } else { MAGIC_2 };
            if magic(&root)? == expected {
                all.push(Hierarchy { version, controllers, root: Arc::new(root) });
            }
        }
        let has = |version| all.iter().any(|hierarchy| hierarchy.version == version);
        let layout = match (has(Version::One), has(Version::Two)) {
            (true, true) => Layout::Hybrid,
            (true, false) => Layout::Legacy,
            (false, true) => Layout::Unified,
            (false, false) => {
                return Err(Error::new(Kind::Unsupported, "no cgroup hierarchy is mounted")
                    .hint("mount cgroup2 on /sys/fs/cgroup"));
            }
        };
        Ok(Self { layout, all })
    }

    /// Which versions are mounted.
    pub fn layout(&self) -> Layout {
        self.layout
    }
}

fn open(path: &str) -> Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::openat(CWD, path, flags, Mode::empty()).doing(|| format!("open {path}"))
}

fn read_mounts() -> rustix::io::Result<String> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let fd = rustix::fs::openat(CWD, "/proc/self/mountinfo", flags, Mode::empty())?;
    read_whole(&fd)
}

fn magic(directory: &OwnedFd) -> Result<u64> {
    let status = rustix::fs::fstatfs(directory).doing(|| "ask which file system it is")?;
    Ok(status.f_type.cast_unsigned())
}

/// The hierarchies in the text of `mountinfo` (proc_pid_mountinfo(5)).
fn listed(mounts: &str) -> Vec<(&str, Version, Vec<String>)> {
    let mut found: Vec<(&str, Version, Vec<String>)> = Vec::new();
    for line in mounts.lines() {
        let Some((before, after)) = line.split_once(" - ") else { continue };
        let Some(path) = before.split(' ').nth(4) else { continue };
        if !path.starts_with(MOUNTPOINT) {
            continue;
        }
        let mut after = after.split(' ');
        let (version, controllers) = match after.next() {
            Some("cgroup2") => (Version::Two, Vec::new()),
            Some("cgroup") => {
                let options = after.nth(1).unwrap_or_default();
                (Version::One, controllers(options))
            }
            _ => continue,
        };
        // The same hierarchy may be mounted twice (cpu and cpuacct as links or binds).
        let known = |other: &(&str, Version, Vec<String>)| {
            other.0 == path || (other.1 == version && other.2 == controllers)
        };
        if !found.iter().any(known) {
            found.push((path, version, controllers));
        }
    }
    found
}

/// The controllers among a version 1 mount's options.
fn controllers(options: &str) -> Vec<String> {
    const NOT: [&str; 8] = [
        "rw",
        "ro",
        "xattr",
        "noprefix",
        "clone_children",
        "cpuset_v2_mode",
        "favordynmods",
        "none",
    ];
    let words = options.split(',').filter(|word| !NOT.contains(word));
    words.filter(|word| !word.starts_with("release_agent=")).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hierarchies_are_read_from_the_mounts() {
        let text = "\
24 1 0:20 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
25 24 0:21 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:1 - cgroup cgroup rw,cpu,cpuacct
26 24 0:22 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd
27 24 0:23 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
28 1 0:24 / /elsewhere rw - cgroup cgroup rw,pids
broken line
";
        let found = listed(text);

        assert_eq!(found.len(), 3);
        assert_eq!(found[0].2, ["cpu", "cpuacct"]);
        assert_eq!(found[1].2, ["name=systemd"]);
        assert_eq!(found[2].1, Version::Two);
    }

    #[test]
    fn this_machine_has_hierarchies() {
        assert!(!Hierarchies::detect().unwrap().all.is_empty());
    }
}
