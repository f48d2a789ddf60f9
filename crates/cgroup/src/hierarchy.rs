//! The cgroup hierarchies of this machine.

use crate::place::read_whole;
use dhow_base::{Doing, Error, Kind, Result};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, StatxFlags};
use std::{os::fd::OwnedFd, sync::Arc};

/// Where every distribution mounts them.
pub(crate) const MOUNTPOINT: &str = "/sys/fs/cgroup";
/// `CGROUP_SUPER_MAGIC` and `CGROUP2_SUPER_MAGIC` (linux/magic.h).
#[cfg(test)]
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
    /// Where it is mounted, below the base; empty where it is the base.
    pub(crate) name: String,
    /// The number of its mount: what has another one lies in a mount upon it.
    pub(crate) mount: u64,
}

/// The hierarchies of this machine.
///
/// One fd serves them all. Which directory below it is which hierarchy, the kernel's list of mounts
/// says; each is named by a path from that fd, so that a hierarchy costs no call before something
/// is done in it. On a machine with version 1 there are ten and more.
#[derive(Debug)]
pub struct Hierarchies {
    layout: Layout,
    /// `/sys/fs/cgroup`.
    pub(crate) base: Arc<OwnedFd>,
    pub(crate) all: Vec<Hierarchy>,
}

impl Hierarchies {
    /// Finds them below `/sys/fs/cgroup`.
    pub fn detect() -> Result<Self> {
        Self::find().doing(|| format!("find the cgroup hierarchies below {MOUNTPOINT}"))
    }

    fn find() -> Result<Self> {
        let base = Arc::new(open(MOUNTPOINT)?);
        if magic(&base)? == MAGIC_2 {
            let unified = Hierarchy {
                version: Version::Two,
                controllers: Vec::new(),
                name: String::new(),
                mount: mount_of(&base, "", AtFlags::EMPTY_PATH).doing(|| "ask for its mount")?,
            };
            return Ok(Self { layout: Layout::Unified, base, all: vec![unified] });
        }
        let mounts = read_mounts().doing(|| "read /proc/self/mountinfo")?;
        let all = listed(&mounts);
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
        Ok(Self { layout, base, all })
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

/// The number of the mount in which something lies, as `mountinfo` has it. Linux 5.8.
pub(crate) fn mount_of(directory: &OwnedFd, path: &str, flags: AtFlags) -> rustix::io::Result<u64> {
    let flags = flags | AtFlags::SYMLINK_NOFOLLOW;
    Ok(rustix::fs::statx(directory, path, flags, StatxFlags::MNT_ID)?.stx_mnt_id)
}

/// A line of `mountinfo`, as far as it says where a mount is.
struct Mounted<'t> {
    id: &'t str,
    parent: &'t str,
    path: &'t str,
    kind: &'t str,
    options: &'t str,
}

impl<'t> Mounted<'t> {
    /// `id parent major:minor root path options [fields…] - type source options`
    /// (proc_pid_mountinfo(5)).
    fn parse(line: &'t str) -> Option<Self> {
        let (before, after) = line.split_once(" - ")?;
        let mut before = before.split(' ');
        let (id, parent, path) = (before.next()?, before.next()?, before.nth(2)?);
        let mut after = after.split(' ');
        let (kind, options) = (after.next()?, after.nth(1).unwrap_or_default());
        Some(Self { id, parent, path, kind, options })
    }

    /// Whether another mount lies upon it, so that its path leads there.
    fn is_covered(&self, all: &[Self]) -> bool {
        all.iter().any(|other| other.parent == self.id && other.path == self.path)
    }
}

/// The hierarchies in the text of `mountinfo`.
fn listed(mounts: &str) -> Vec<Hierarchy> {
    let below = |mount: &Mounted<'_>| mount.path.starts_with(MOUNTPOINT);
    let all: Vec<Mounted<'_>> = mounts.lines().filter_map(Mounted::parse).filter(below).collect();
    let mut found: Vec<Hierarchy> = Vec::new();
    for mount in all.iter().filter(|mount| !mount.is_covered(&all)) {
        let (version, controllers) = match mount.kind {
            "cgroup2" => (Version::Two, Vec::new()),
            "cgroup" => (Version::One, controllers(mount.options)),
            _ => continue,
        };
        // Below the base, and not in a container's or a test's tree of hierarchies beside it.
        let Some(name) =
            mount.path.strip_prefix(MOUNTPOINT).and_then(|path| path.strip_prefix('/'))
        else {
            continue;
        };
        let Ok(id) = mount.id.parse() else { continue };
        // The same hierarchy may be mounted twice (cpu and cpuacct as links or binds).
        let known = |other: &Hierarchy| {
            other.name == name || (other.version == version && other.controllers == controllers)
        };
        if !found.iter().any(known) {
            found.push(Hierarchy { version, controllers, name: name.to_owned(), mount: id });
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
        assert_eq!(found[0].controllers, ["cpu", "cpuacct"]);
        assert_eq!(found[1].controllers, ["name=systemd"]);
        assert_eq!((found[2].version, found[2].name.as_str()), (Version::Two, "unified"));
    }

    #[test]
    fn a_hierarchy_under_another_mount_is_none() {
        let text = "\
24 1 0:20 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
25 24 0:21 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
26 24 0:22 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids
27 25 0:23 / /sys/fs/cgroup/memory rw - tmpfs tmpfs rw
28 24 0:24 / /sys/fs/cgroup/freezer rw - tmpfs tmpfs rw
29 28 0:25 / /sys/fs/cgroup/freezer rw - cgroup cgroup rw,freezer
";
        let names: Vec<String> = listed(text).into_iter().map(|found| found.name).collect();

        assert_eq!(names, ["pids", "freezer"]);
    }

    /// The plain twin: every hierarchy opened and asked what it is.
    #[test]
    fn what_the_mounts_say_is_what_the_directories_are() {
        let found = Hierarchies::detect().unwrap();

        for hierarchy in &found.all {
            let path = format!("{MOUNTPOINT}/{}", hierarchy.name);
            let expected = if hierarchy.version == Version::One { MAGIC_1 } else { MAGIC_2 };
            let root = open(&path).unwrap();
            assert_eq!(magic(&root).unwrap(), expected, "{path}");
            let mount = mount_of(&root, "", AtFlags::EMPTY_PATH).unwrap();
            assert_eq!(mount, hierarchy.mount, "{path}");
        }
    }

    #[test]
    fn this_machine_has_hierarchies() {
        assert!(!Hierarchies::detect().unwrap().all.is_empty());
    }
}
