//! A cgroup's directory in one hierarchy: its files, by name, below an fd.

use crate::{
    Location,
    hierarchy::{Hierarchy, Version},
};
use dhow_base::{Doing, Error, Kind, Result};
use rustix::{
    fs::{AtFlags, Dir, Mode, OFlags},
    io::Errno,
    process::Pid,
};
use std::{
    io::Read,
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

/// How long a removal is tried again: a process that has just ended holds its cgroup for a moment.
const REMOVAL_PATIENCE: Duration = Duration::from_secs(5);
/// How deep a stranger's tree of cgroups is walked.
const DEPTH_LIMIT: usize = 64;
const FILE_LIMIT_BYTES: u64 = 4 << 20;

/// One cgroup in one hierarchy.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) version: Version,
    pub(crate) controllers: Vec<String>,
    root: OwnedFd,
    pub(crate) directory: OwnedFd,
    path: String,
}

impl Place {
    /// Makes the cgroup where it is missing, and its ancestors.
    pub(crate) fn make(hierarchy: &Hierarchy, location: &Location) -> Result<Self> {
        let path = location.as_str();
        make_directories(&hierarchy.root, path)?;
        Self::open(hierarchy, location)
    }

    /// Opens a cgroup that is there.
    pub(crate) fn open(hierarchy: &Hierarchy, location: &Location) -> Result<Self> {
        let path = location.as_str().to_owned();
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let directory = rustix::fs::openat(&hierarchy.root, &path, flags, Mode::empty())
            .doing(|| format!("open cgroup {location}"))?;
        let root = hierarchy.root.try_clone().doing(|| "keep a hierarchy's root")?;
        let (version, controllers) = (hierarchy.version, hierarchy.controllers.clone());
        Ok(Self { version, controllers, root, directory, path })
    }

    /// Whether it has a version 1 controller.
    pub(crate) fn has(&self, controller: &str) -> bool {
        self.controllers.iter().any(|other| other == controller)
    }

    pub(crate) fn write(&self, file: &str, value: &str) -> Result<()> {
        write_at(&self.directory, file, value)
            .doing(|| format!("write {:?} to {file} of cgroup /{}", value.trim_end(), self.path))
    }

    /// As [`Place::write`], where a missing file is `false`.
    pub(crate) fn write_if_there(&self, file: &str, value: &str) -> Result<bool> {
        match self.write(file, value) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == Kind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    pub(crate) fn read(&self, file: &str) -> Result<String> {
        read_at(&self.directory, file).doing(|| format!("read {file} of cgroup /{}", self.path))
    }

    /// A file that is one number; `None` where it is missing, `max`, or as large as "no limit" is.
    pub(crate) fn number(&self, file: &str) -> Option<u64> {
        // Version 1 rounds "no limit" down to pages; nothing real is near it.
        let number = self.read(file).ok()?.trim().parse().ok()?;
        (number < i64::MAX.unsigned_abs() - (1 << 20)).then_some(number)
    }

    /// The value of `key` in a file of `key value` lines.
    pub(crate) fn keyed(&self, file: &str, key: &str) -> Option<u64> {
        let text = self.read(file).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '))?;
        line.trim().parse().ok()
    }

    /// Copies what a cpuset must have before a process may join, from the nearest ancestor that
    /// has it.
    pub(crate) fn inherit_cpuset(&self) -> Result<()> {
        for file in ["cpuset.cpus", "cpuset.mems"] {
            let mut path = String::new();
            let mut inherited = read_at(&self.root, file).doing(|| format!("read {file}"))?;
            for part in self.path.split('/') {
                path = if path.is_empty() { part.to_owned() } else { format!("{path}/{part}") };
                let name = format!("{path}/{file}");
                let doing = || format!("copy {file} to cgroup /{path}");
                let own = read_at(&self.root, &name).doing(doing)?;
                if own.trim().is_empty() {
                    write_at(&self.root, &name, inherited.trim()).doing(doing)?;
                } else {
                    inherited = own;
                }
            }
        }
        Ok(())
    }

    /// Turns controllers on from the root down to the parent (version 2).
    pub(crate) fn enable_controllers(&self, wanted: &[&str]) -> Result<()> {
        let mut above = String::new();
        for part in self.path.split('/') {
            let file = |name: &str| {
                if above.is_empty() { name.to_owned() } else { format!("{above}/{name}") }
            };
            let available = read_at(&self.root, &file("cgroup.controllers"))
                .doing(|| format!("read the controllers of cgroup /{above}"))?;
            let available: Vec<&str> = available.split_whitespace().collect();
            for controller in wanted.iter().filter(|wanted| available.contains(wanted)) {
                // One by one: a kernel refuses the whole line for one controller that cannot.
                match write_at(
                    &self.root,
                    &file("cgroup.subtree_control"),
                    &format!("+{controller}"),
                ) {
                    Ok(()) | Err(Errno::BUSY | Errno::ACCESS | Errno::NOENT | Errno::OPNOTSUPP) => {
                    }
                    Err(errno) => {
                        return Err(errno)
                            .doing(|| format!("turn on {controller} below cgroup /{above}"));
                    }
                }
            }
            above = if above.is_empty() { part.to_owned() } else { format!("{above}/{part}") };
        }
        Ok(())
    }

    /// All processes, here and below.
    pub(crate) fn processes(&self) -> Result<Vec<Pid>> {
        let mut processes = Vec::new();
        let mut pending = vec![(self.path.clone(), 0)];
        while let Some((path, depth)) = pending.pop() {
            match read_at(&self.root, &format!("{path}/cgroup.procs")) {
                Ok(text) => {
                    let pids = text.lines().filter_map(|line| Pid::from_raw(line.parse().ok()?));
                    processes.extend(pids);
                }
                // It went away meanwhile, or holds threads of its parent's processes.
                Err(Errno::NOENT | Errno::NODEV | Errno::OPNOTSUPP) => continue,
                Err(errno) => {
                    return Err(errno).doing(|| format!("list the processes of cgroup /{path}"));
                }
            }
            if depth < DEPTH_LIMIT {
                pending.extend(self.children(&path)?.into_iter().map(|child| (child, depth + 1)));
            }
        }
        Ok(processes)
    }

    fn children(&self, path: &str) -> Result<Vec<String>> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let doing = || format!("list cgroup /{path}");
        let directory = match rustix::fs::openat(&self.root, path, flags, Mode::empty()) {
            Ok(directory) => directory,
            Err(Errno::NOENT) => return Ok(Vec::new()),
            Err(errno) => return Err(errno).doing(doing),
        };
        let mut children = Vec::new();
        for entry in Dir::new(directory).doing(doing)? {
            let entry = entry.doing(doing)?;
            let name = entry.file_name().to_string_lossy();
            if entry.file_type() == rustix::fs::FileType::Directory && name != "." && name != ".." {
                children.push(format!("{path}/{name}"));
            }
        }
        Ok(children)
    }

    /// Removes the cgroup and everything below it.
    pub(crate) fn remove(&self) -> Result<()> {
        let deadline = Instant::now() + REMOVAL_PATIENCE;
        let mut pause = Duration::from_micros(100);
        loop {
            match self.remove_tree(&self.path, 0) {
                Ok(()) => return Ok(()),
                Err(Errno::BUSY) if Instant::now() < deadline => std::thread::sleep(pause),
                Err(errno) => return Err(errno).doing(|| format!("remove cgroup /{}", self.path)),
            }
            pause = (pause * 2).min(Duration::from_millis(50));
        }
    }

    fn remove_tree(&self, path: &str, depth: usize) -> rustix::io::Result<()> {
        match rustix::fs::unlinkat(&self.root, path, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => return Ok(()),
            Err(Errno::BUSY | Errno::NOTEMPTY) if depth < DEPTH_LIMIT => {}
            Err(errno) => return Err(errno),
        }
        for child in self.children(path).unwrap_or_default() {
            self.remove_tree(&child, depth + 1)?;
        }
        match rustix::fs::unlinkat(&self.root, path, AtFlags::REMOVEDIR) {
            Err(Errno::NOENT) => Ok(()),
            result => result,
        }
    }
}

/// Makes `path` and its missing ancestors; one that is there is fine.
fn make_directories(root: &OwnedFd, path: &str) -> Result<()> {
    let mode = Mode::from_raw_mode(0o755);
    match rustix::fs::mkdirat(root, path, mode) {
        Ok(()) | Err(Errno::EXIST) => return Ok(()),
        Err(Errno::NOENT) => {}
        Err(errno) => return Err(errno).doing(|| format!("make cgroup /{path}")),
    }
    let above = path.rsplit_once('/').map(|(above, _)| above).ok_or_else(|| {
        Error::new(Kind::NotFound, format!("make cgroup /{path}: its hierarchy is gone"))
    })?;
    make_directories(root, above)?;
    match rustix::fs::mkdirat(root, path, mode) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(errno) => Err(errno).doing(|| format!("make cgroup /{path}")),
    }
}

fn write_at(directory: &OwnedFd, file: &str, value: &str) -> rustix::io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let fd = rustix::fs::openat(directory, file, flags, Mode::empty())?;
    loop {
        match rustix::io::write(&fd, value.as_bytes()) {
            Err(Errno::INTR) => {}
            result => return result.map(|_| ()),
        }
    }
}

fn read_at(directory: &OwnedFd, file: &str) -> rustix::io::Result<String> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let fd = rustix::fs::openat(directory, file, flags, Mode::empty())?;
    let mut text = String::new();
    std::fs::File::from(fd)
        .take(FILE_LIMIT_BYTES)
        .read_to_string(&mut text)
        .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    Ok(text)
}
