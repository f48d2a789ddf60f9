//! A cgroup's directory in one hierarchy: its files, by name, below an fd.
//!
//! Paths are resolved below the hierarchy's root and never leave it: no link, no mount and no
//! `..` is followed. Trees that a container may have made are walked fd by fd, since their names
//! and depth are the container's choice.

use crate::{
    Location,
    hierarchy::{Hierarchy, Version},
};
use dhow_base::{Doing, Error, Kind, Result};
use rustix::{
    fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags},
    io::Errno,
    process::Pid,
};
use std::{
    ffi::{CStr, CString},
    os::fd::{AsRawFd, OwnedFd},
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

/// How deep a tree of cgroups is walked; each level holds an fd open. Whoever nests deeper gets an
/// error rather than processes that nobody kills.
const DEPTH_LIMIT: usize = 200;
const FILE_LIMIT_BYTES: usize = 4 << 20;

const DIRECTORY: OFlags =
    OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC).union(OFlags::NOFOLLOW);

/// One cgroup in one hierarchy.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) version: Version,
    pub(crate) controllers: Vec<String>,
    root: Arc<OwnedFd>,
    pub(crate) directory: OwnedFd,
    path: String,
    /// How many of the path's directories, counted from its end, this process made.
    made: usize,
}

impl Place {
    /// Makes the cgroup where it is missing, and its ancestors.
    pub(crate) fn make(hierarchy: &Hierarchy, location: &Location) -> Result<Self> {
        let made = make_directories(&hierarchy.root, location.as_str())?;
        match Self::open(hierarchy, location) {
            Ok(place) => Ok(Self { made, ..place }),
            Err(error) => {
                take_back(&hierarchy.root, location.as_str(), made);
                Err(error)
            }
        }
    }

    /// Opens a cgroup that is there.
    pub(crate) fn open(hierarchy: &Hierarchy, location: &Location) -> Result<Self> {
        let path = location.as_str().to_owned();
        let directory = open_below(&hierarchy.root, &path, DIRECTORY)
            .doing(|| format!("open cgroup {location}"))?;
        let root = Arc::clone(&hierarchy.root);
        let (version, controllers) = (hierarchy.version, hierarchy.controllers.clone());
        Ok(Self { version, controllers, root, directory, path, made: 0 })
    }

    /// Whether its owner is the user that we are, or one that we are root over. An ordinary user who
    /// was delegated none sees those of root all the same, by the same names.
    pub(crate) fn is_ours(&self) -> Result<bool> {
        // What root of a user namespace sees instead of users that it has no numbers for.
        const NOBODY_KNOWN: u32 = 65_534;
        let user = rustix::process::geteuid();
        let status = rustix::fs::fstat(&self.directory)
            .doing(|| format!("find the owner of cgroup {}", self.name()))?;
        Ok(status.st_uid == user.as_raw() || (user.is_root() && status.st_uid != NOBODY_KNOWN))
    }

    /// The cgroup at `path` below this one, which is there.
    pub(crate) fn below(&self, path: &str) -> Result<Self> {
        let directory = open_below(&self.directory, path.trim_start_matches('/'), DIRECTORY)
            .doing(|| format!("open cgroup {path} below /{}", self.path))?;
        Ok(Self {
            version: self.version,
            controllers: self.controllers.clone(),
            root: Arc::clone(&self.root),
            directory,
            path: format!("{}/{path}", self.path),
            made: 0,
        })
    }

    /// Whether it is what version 1 calls by this name: a controller, or a hierarchy's own name.
    pub(crate) fn is_called(&self, name: &str) -> bool {
        self.version == Version::One
            && self.controllers.iter().any(|own| own.strip_prefix("name=").unwrap_or(own) == name)
    }

    /// Whether this process made it, so that everything in it is as the kernel begins.
    pub(crate) fn is_new(&self) -> bool {
        self.made > 0
    }

    /// Removes what [`make`](Self::make) made, as far as nobody uses it.
    pub(crate) fn take_back(&self) {
        take_back(&self.root, &self.path, self.made);
    }

    /// Where it is, as the host's paths have it, for programs that know cgroups by their paths.
    pub(crate) fn host_path(&self) -> Option<PathBuf> {
        std::fs::read_link(format!("/proc/self/fd/{}", self.directory.as_raw_fd())).ok()
    }

    /// Whether it has a version 1 controller.
    pub(crate) fn has(&self, controller: &str) -> bool {
        self.controllers.iter().any(|other| other == controller)
    }

    pub(crate) fn write(&self, file: &str, value: &str) -> Result<()> {
        self.write_lines(file, &[value])
    }

    /// Writes lines for which the file takes one write each.
    pub(crate) fn write_lines<S: AsRef<str>>(&self, file: &str, lines: &[S]) -> Result<()> {
        let path = &self.path;
        let fd = open_to_write(&self.directory, file)
            .doing(|| format!("open {file} of cgroup /{path}"))?;
        lines.iter().try_for_each(|line| {
            let line = line.as_ref();
            write(&fd, line)
                .doing(|| format!("write {:?} to {file} of cgroup /{path}", line.trim_end()))
        })
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

    /// A file of a directory that outlives this value.
    pub(crate) fn read_in(directory: &OwnedFd, file: &str) -> rustix::io::Result<String> {
        read_at(directory, file)
    }

    /// A file to be read, or to be handed to the kernel.
    pub(crate) fn open_file(&self, file: &str) -> Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        rustix::fs::openat(&self.directory, file, flags, Mode::empty())
            .doing(|| format!("open {file} of cgroup {}", self.name()))
    }

    /// The names of its files; none where they cannot be listed.
    pub(crate) fn files(&self) -> Vec<String> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let listed = rustix::fs::openat(&self.directory, c".", flags, Mode::empty());
        let Ok(listed) = listed.and_then(Dir::new) else { return Vec::new() };
        listed
            .filter_map(|entry| entry.ok()?.file_name().to_str().ok().map(str::to_owned))
            .collect()
    }

    /// What messages call it.
    pub(crate) fn name(&self) -> String {
        format!("/{}", self.path)
    }

    /// A file that is one number; `None` where it is missing, `max`, or as large as "no limit" is.
    pub(crate) fn number(&self, file: &str) -> Option<u64> {
        // Version 1 rounds "no limit" down to pages; nothing real is near it.
        let number = self.read(file).ok()?.trim().parse().ok()?;
        (number < i64::MAX.unsigned_abs() - (1 << 20)).then_some(number)
    }

    /// The value of `key` in a file of `key value` lines.
    pub(crate) fn keyed(&self, file: &str, key: &str) -> Option<u64> {
        keyed(&self.read(file).ok()?, key)
    }

    /// Copies what a cpuset must have before a process may join, from the nearest ancestor that
    /// has it.
    pub(crate) fn inherit_cpuset(&self) -> Result<()> {
        for file in ["cpuset.cpus", "cpuset.mems"] {
            let doing = || format!("copy {file} to cgroup /{}", self.path);
            let inherited = match self.path.rsplit_once('/') {
                Some((above, _)) => self.cpuset_of(above, file).doing(doing)?,
                None => read_at(&self.root, file).doing(doing)?,
            };
            // A new one is empty; reading it would say so.
            if self.is_new() || self.read(file)?.trim().is_empty() {
                self.write(file, inherited.trim())?;
            }
        }
        Ok(())
    }

    /// What an ancestor has, which is given it first where it has nothing.
    fn cpuset_of(&self, path: &str, file: &str) -> rustix::io::Result<String> {
        let name = format!("{path}/{file}");
        let own = read_at(&self.root, &name)?;
        if !own.trim().is_empty() {
            return Ok(own);
        }
        let inherited = match path.rsplit_once('/') {
            Some((above, _)) => self.cpuset_of(above, file)?,
            None => read_at(&self.root, file)?,
        };
        write_at(&self.root, &name, inherited.trim())?;
        Ok(inherited)
    }

    /// Turns on what there is of these controllers, from the root down to the parent (version 2).
    ///
    /// A controller that cannot be turned on is not an error here: only who asks for its limit
    /// misses it, and hears of it from [`Place::missing`].
    pub(crate) fn enable_controllers(&self, wanted: &[&str]) -> Result<()> {
        for above in self.ancestors() {
            let doing = || format!("turn on controllers below cgroup /{above}");
            let there = read_at(&self.root, &file_of(above, "cgroup.controllers")).doing(doing)?;
            let switch = file_of(above, "cgroup.subtree_control");
            let on = read_at(&self.root, &switch).doing(doing)?;
            let has = |text: &str, name: &str| text.split_whitespace().any(|word| word == name);
            let new: Vec<String> = wanted
                .iter()
                .filter(|wanted| has(&there, wanted) && !has(&on, wanted))
                .map(|wanted| format!("+{wanted}"))
                .collect();
            if new.is_empty() || write_at(&self.root, &switch, &new.join(" ")).is_ok() {
                continue;
            }
            // The kernel refuses the whole line for one controller that cannot.
            for one in &new {
                match write_at(&self.root, &switch, one) {
                    Ok(())
                    | Err(
                        Errno::BUSY | Errno::ACCESS | Errno::PERM | Errno::NOENT | Errno::OPNOTSUPP,
                    ) => {}
                    Err(errno) => return Err(errno).doing(doing),
                }
            }
        }
        Ok(())
    }

    /// Why there is no `controller` here (version 2).
    pub(crate) fn missing(&self, what: &str, controller: &str) -> Error {
        let has = |above: &str, file: &str| {
            read_at(&self.root, &file_of(above, file))
                .is_ok_and(|text| text.split_whitespace().any(|word| word == controller))
        };
        let blocking = self.ancestors().into_iter().find(|above| {
            has(above, "cgroup.controllers") && !has(above, "cgroup.subtree_control")
        });
        match blocking {
            Some(above) => Error::new(
                Kind::Conflict,
                format!("limit {what}: cgroup /{above} does not pass {controller} on"),
            )
            .hint(
                "a cgroup that holds processes itself gives no controllers to those below: \
                 move its processes into one below it, or choose another cgroup",
            ),
            None => crate::legacy::missing(what, controller),
        }
    }

    /// The paths above it, the root first.
    fn ancestors(&self) -> Vec<&str> {
        let ends = self.path.match_indices('/').map(|(end, _)| end);
        std::iter::once(0).chain(ends).map(|end| &self.path[..end]).collect()
    }

    /// All processes, here and below.
    pub(crate) fn processes(&self) -> Result<Vec<Pid>> {
        let mut processes = Vec::new();
        collect(&self.directory, 0, &mut processes)
            .doing(|| format!("list the processes of cgroup /{}", self.path))?;
        Ok(processes)
    }

    /// Removes the cgroup and everything below it. A process that has just ended holds its cgroup
    /// for a moment, so this is tried until `deadline`.
    pub(crate) fn remove(&self, deadline: Instant) -> Result<()> {
        let path = CString::new(self.path.as_str()).expect("a location has no NUL");
        let mut pause = Duration::from_micros(100);
        loop {
            match remove_tree(&self.root, &path, 0) {
                Ok(()) => return Ok(()),
                Err(Errno::BUSY) if Instant::now() < deadline => std::thread::sleep(pause),
                Err(errno) => return Err(errno).doing(|| format!("remove cgroup /{}", self.path)),
            }
            pause = (pause * 2).min(Duration::from_millis(50));
        }
    }
}

/// The value of `key` in a text of `key value` lines.
pub(crate) fn keyed(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '))?;
    line.trim().parse().ok()
}

fn file_of(path: &str, file: &str) -> String {
    if path.is_empty() { file.to_owned() } else { format!("{path}/{file}") }
}

/// Makes `path` and its missing ancestors; says how many directories that were.
fn make_directories(root: &OwnedFd, path: &str) -> Result<usize> {
    let make = || rustix::fs::mkdirat(root, path, Mode::from_raw_mode(0o755));
    let failed = |errno| Err(errno).doing(|| format!("make cgroup /{path}"));
    match (make(), path.rsplit_once('/')) {
        (Ok(()), _) => Ok(1),
        (Err(Errno::EXIST), _) => Ok(0),
        (Err(Errno::NOENT), Some((above, _))) => {
            let made = make_directories(root, above)?;
            match make() {
                Ok(()) => Ok(made + 1),
                Err(Errno::EXIST) => Ok(0),
                Err(errno) => {
                    take_back(root, above, made);
                    failed(errno)
                }
            }
        }
        (Err(errno), _) => failed(errno),
    }
}

/// Removes the last `count` directories of `path`. One that somebody uses by now stays.
fn take_back(root: &OwnedFd, path: &str, count: usize) {
    let mut path = Some(path);
    for _ in 0..count {
        let Some(last) = path else { return };
        let _used = rustix::fs::unlinkat(root, last, AtFlags::REMOVEDIR);
        path = last.rsplit_once('/').map(|(above, _)| above);
    }
}

/// Opens below a directory of a hierarchy and nowhere else. A kernel before 5.6 has only the
/// promise that cgroup file systems hold no links.
pub(crate) fn open_below(
    directory: &OwnedFd,
    path: &str,
    flags: OFlags,
) -> rustix::io::Result<OwnedFd> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    match rustix::fs::openat2(directory, path, flags, Mode::empty(), resolve) {
        Err(Errno::NOSYS) => rustix::fs::openat(directory, path, flags, Mode::empty()),
        result => result,
    }
}

fn collect(directory: &OwnedFd, depth: usize, found: &mut Vec<Pid>) -> rustix::io::Result<()> {
    match read_at(directory, "cgroup.procs") {
        Ok(text) => {
            found.extend(text.lines().filter_map(|line| Pid::from_raw(line.parse().ok()?)));
        }
        // It goes away, or holds only threads, whose processes are listed above it.
        Err(Errno::NOENT | Errno::NODEV | Errno::OPNOTSUPP) => {}
        Err(errno) => return Err(errno),
    }
    each_child(directory, depth, &mut |name| match rustix::fs::openat(
        directory,
        name,
        DIRECTORY,
        Mode::empty(),
    ) {
        Ok(child) => collect(&child, depth + 1, found),
        Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(errno),
    })
}

fn remove_tree(parent: &OwnedFd, name: &CStr, depth: usize) -> rustix::io::Result<()> {
    let remove = || match rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR) {
        Err(Errno::NOENT) => Ok(()),
        result => result,
    };
    match remove() {
        Err(Errno::BUSY | Errno::NOTEMPTY) => {}
        result => return result,
    }
    match rustix::fs::openat(parent, name, DIRECTORY, Mode::empty()) {
        Ok(directory) => {
            each_child(&directory, depth, &mut |child| remove_tree(&directory, child, depth + 1))?;
        }
        Err(Errno::NOENT) => return Ok(()),
        Err(errno) => return Err(errno),
    }
    remove()
}

/// Calls `visit` with the name of every cgroup right below `directory`.
fn each_child(
    directory: &OwnedFd,
    depth: usize,
    visit: &mut dyn FnMut(&CStr) -> rustix::io::Result<()>,
) -> rustix::io::Result<()> {
    // A cgroup has a link for each cgroup below it, besides its own two. Most have none, and
    // reading a directory of forty files costs ten times what this question does.
    match rustix::fs::fstat(directory) {
        Ok(status) if status.st_nlink <= 2 => return Ok(()),
        Err(errno) => return Err(errno),
        Ok(_) if depth >= DEPTH_LIMIT => return Err(Errno::LOOP),
        Ok(_) => {}
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let listed = match rustix::fs::openat(directory, c".", flags, Mode::empty()) {
        Ok(listed) => listed,
        Err(Errno::NOENT) => return Ok(()),
        Err(errno) => return Err(errno),
    };
    for entry in Dir::new(listed)? {
        let entry = entry?;
        let name = entry.file_name();
        if entry.file_type() == FileType::Directory && name != c"." && name != c".." {
            visit(name)?;
        }
    }
    Ok(())
}

fn open_to_write(directory: &OwnedFd, file: &str) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    rustix::fs::openat(directory, file, flags, Mode::empty())
}

fn write(fd: &OwnedFd, value: &str) -> rustix::io::Result<()> {
    loop {
        match rustix::io::write(fd, value.as_bytes()) {
            Err(Errno::INTR) => {}
            result => return result.map(|_| ()),
        }
    }
}

fn write_at(directory: &OwnedFd, file: &str, value: &str) -> rustix::io::Result<()> {
    write(&open_to_write(directory, file)?, value)
}

fn read_at(directory: &OwnedFd, file: &str) -> rustix::io::Result<String> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let fd = rustix::fs::openat(directory, file, flags, Mode::empty())?;
    read_whole(&fd)
}

/// Reads a file that the kernel makes up. Asking for a page at a time saves the many small reads
/// with which `std` finds out that such a file is longer than it says.
pub(crate) fn read_whole(fd: &OwnedFd) -> rustix::io::Result<String> {
    let mut text = Vec::new();
    let mut page = [0; 4096];
    while text.len() < FILE_LIMIT_BYTES {
        match rustix::io::read(fd, &mut page) {
            Ok(0) => break,
            Ok(count) => text.extend_from_slice(&page[..count]),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    // Among the mounts there may be names of any bytes; they are nobody's hierarchy.
    Ok(String::from_utf8_lossy(&text).into_owned())
}
