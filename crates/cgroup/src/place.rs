//! A cgroup's directory in one hierarchy: its files, by name, below an fd.
//!
//! Files are named by their path from `/sys/fs/cgroup`, which one fd holds for all hierarchies, and
//! never leave it: no link and no `..` is followed. Trees that a container may have made are walked
//! fd by fd, since their names and depth are the container's choice.

use crate::{
    Location,
    hierarchy::{Hierarchy, MOUNTPOINT, Version, mount_of},
};
use dhow_base::{Doing, Error, Kind, Result};
use rustix::{
    fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags},
    io::Errno,
    process::Pid,
};
use std::{
    ffi::{CStr, CString},
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

/// How deep a tree of cgroups is walked; each level holds an fd open. Whoever nests deeper gets an
/// error rather than processes that nobody kills.
const DEPTH_LIMIT: usize = 200;
const FILE_LIMIT_BYTES: usize = 4 << 20;

pub(crate) const DIRECTORY: OFlags =
    OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC).union(OFlags::NOFOLLOW);

/// One cgroup in one hierarchy.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) version: Version,
    pub(crate) controllers: Vec<String>,
    base: Arc<OwnedFd>,
    /// Where its hierarchy is, from the base.
    hierarchy: String,
    /// The hierarchy's mount.
    mount: u64,
    /// Where it is in the hierarchy.
    path: String,
    /// Open where something asked for it.
    directory: OnceLock<OwnedFd>,
    /// How many of the path's directories, counted from its end, this process made.
    made: usize,
}

impl Place {
    /// Makes the cgroup where it is missing, and its ancestors.
    pub(crate) fn make(
        base: &Arc<OwnedFd>,
        hierarchy: &Hierarchy,
        location: &Location,
    ) -> Result<Self> {
        let place = Self::named(base, hierarchy, location);
        let made = make_directories(base, &place.below_base(&place.path))?;
        if made == 0 {
            place.exists()?;
        }
        Ok(Self { made, ..place })
    }

    /// A cgroup that may be there.
    pub(crate) fn named(base: &Arc<OwnedFd>, hierarchy: &Hierarchy, location: &Location) -> Self {
        Self {
            version: hierarchy.version,
            controllers: hierarchy.controllers.clone(),
            base: Arc::clone(base),
            hierarchy: hierarchy.name.clone(),
            mount: hierarchy.mount,
            path: location.as_str().to_owned(),
            directory: OnceLock::new(),
            made: 0,
        }
    }

    /// Whether it is there.
    pub(crate) fn exists(&self) -> Result<bool> {
        let doing = || format!("open cgroup {}", self.name());
        match mount_of(&self.base, &self.below_base(&self.path), AtFlags::empty()) {
            Ok(mount) => self.refuse_other(mount).doing(doing).map(|()| true),
            Err(Errno::NOENT | Errno::NODEV) => Ok(false),
            Err(errno) => Err(errno).doing(doing),
        }
    }

    /// Its directory.
    pub(crate) fn directory(&self) -> Result<&OwnedFd> {
        if let Some(directory) = self.directory.get() {
            return Ok(directory);
        }
        let doing = || format!("open cgroup {}", self.name());
        let opened =
            open_below(&self.base, &self.below_base(&self.path), DIRECTORY).doing(doing)?;
        // What was not there a moment ago has nothing mounted upon it.
        if !self.is_new() {
            let mount = mount_of(&opened, "", AtFlags::EMPTY_PATH).doing(doing)?;
            self.refuse_other(mount).doing(doing)?;
        }
        Ok(self.directory.get_or_init(|| opened))
    }

    /// Something mounted upon a cgroup is none, and what is in it must neither be killed nor
    /// removed.
    fn refuse_other(&self, mount: u64) -> Result<()> {
        if mount == self.mount {
            return Ok(());
        }
        Err(Error::new(Kind::Denied, "something else is mounted there"))
    }

    /// The path from the base of something in the hierarchy.
    fn below_base(&self, path: &str) -> String {
        file_of(&self.hierarchy, path)
    }

    /// The path from the base of one of its files.
    fn file(&self, file: &str) -> String {
        file_of(&self.below_base(&self.path), file)
    }

    /// Whether its owner is the user that we are, or one that we are root over. An ordinary user who
    /// was delegated none sees those of root all the same, by the same names.
    pub(crate) fn is_ours(&self) -> Result<bool> {
        // What root of a user namespace sees instead of users that it has no numbers for.
        const NOBODY_KNOWN: u32 = 65_534;
        let user = rustix::process::geteuid();
        let status =
            rustix::fs::statat(&self.base, self.below_base(&self.path), AtFlags::SYMLINK_NOFOLLOW)
                .doing(|| format!("find the owner of cgroup {}", self.name()))?;
        Ok(status.st_uid == user.as_raw() || (user.is_root() && status.st_uid != NOBODY_KNOWN))
    }

    /// The cgroup at `path` below this one, which is there.
    pub(crate) fn below(&self, path: &str) -> Result<Self> {
        let path = path.trim_start_matches('/');
        let directory = open_below(self.directory()?, path, DIRECTORY)
            .doing(|| format!("open cgroup {path} below /{}", self.path))?;
        Ok(Self {
            version: self.version,
            controllers: self.controllers.clone(),
            base: Arc::clone(&self.base),
            hierarchy: self.hierarchy.clone(),
            mount: self.mount,
            path: file_of(&self.path, path),
            directory: OnceLock::from(directory),
            made: 0,
        })
    }

    /// The way from it to a cgroup of its hierarchy, where that is below.
    pub(crate) fn way_to<'p>(&self, path: &'p str) -> Option<&'p str> {
        path.strip_prefix(&self.path)?.strip_prefix('/')
    }

    /// Whether its directory was seen.
    pub(crate) fn was_opened(&self) -> bool {
        self.directory.get().is_some()
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
        take_back(&self.base, &self.below_base(&self.path), self.made);
    }

    /// Where it is, as the host's paths have it, for programs that know cgroups by their paths.
    pub(crate) fn host_path(&self) -> Option<PathBuf> {
        let is_there = self.exists().unwrap_or(false);
        is_there.then(|| Path::new(MOUNTPOINT).join(self.below_base(&self.path)))
    }

    /// Whether it stops its processes, or one above it does. Not so where it can stop nobody.
    pub(crate) fn stands_still(&self) -> Result<bool> {
        match self.version {
            Version::One if self.has("freezer") => {
                Ok(self.value("freezer.state")?.trim() != "THAWED")
            }
            Version::One => Ok(false),
            Version::Two => Ok(self.keyed("cgroup.events", "frozen") == Some(1)),
        }
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
        let fd = open_to_write(&self.base, &self.file(file))
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

    /// Moves the calling process, which has one thread, here.
    pub(crate) fn join(&self) -> Result<()> {
        self.admit(|| self.enter())
    }

    /// Moves a process here.
    pub(crate) fn add(&self, pid: &str) -> Result<()> {
        self.admit(|| self.write("cgroup.procs", pid))
    }

    /// Does what moves a process here; again where the kernel says that there is no processor or no
    /// memory for it, which is a cpuset's way to say that it was given none.
    fn admit(&self, enter: impl Fn() -> Result<()>) -> Result<()> {
        match enter() {
            Err(error)
                if error.errno() == Some(Errno::NOSPC.raw_os_error()) && self.has("cpuset") =>
            {
                self.inherit_cpuset()?;
                enter()
            }
            result => result,
        }
    }

    /// The fd is left to the exec that follows, or to the end.
    fn enter(&self) -> Result<()> {
        let doing = || format!("join cgroup {}", self.file("tasks"));
        let fd = open_to_write(&self.base, &self.file("tasks")).doing(doing)?;
        write(&fd, "0").doing(doing)?;
        dhow_sys::fds::leave_to_exec(fd);
        Ok(())
    }

    /// As [`Place::read`], of a file that is one value.
    pub(crate) fn value(&self, file: &str) -> Result<String> {
        value_at(&self.base, &self.file(file))
            .doing(|| format!("read {file} of cgroup /{}", self.path))
    }

    pub(crate) fn read(&self, file: &str) -> Result<String> {
        read_at(&self.base, &self.file(file))
            .doing(|| format!("read {file} of cgroup /{}", self.path))
    }

    /// A file of a directory that outlives this value.
    pub(crate) fn read_in(directory: &OwnedFd, file: &str) -> rustix::io::Result<String> {
        read_at(directory, file)
    }

    /// A file to be read, or to be handed to the kernel.
    pub(crate) fn open_file(&self, file: &str) -> Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        open_below(&self.base, &self.file(file), flags)
            .doing(|| format!("open {file} of cgroup {}", self.name()))
    }

    /// The names of its files; none where they cannot be listed.
    pub(crate) fn files(&self) -> Vec<String> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let listed = open_below(&self.base, &self.below_base(&self.path), flags);
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
        let number = self.value(file).ok()?.trim().parse().ok()?;
        (number < i64::MAX.unsigned_abs() - (1 << 20)).then_some(number)
    }

    /// The value of `key` in a file of `key value` lines.
    pub(crate) fn keyed(&self, file: &str, key: &str) -> Option<u64> {
        keyed(&self.read(file).ok()?, key)
    }

    /// Whether its parent is there since before, and what the kernel gives it of a cpuset is not
    /// known: nothing, or all that the parent has.
    pub(crate) fn is_in_known_parent(&self) -> bool {
        self.made == 1
    }

    /// Lets the kernel give all that a cpuset must have to those that are made later below the
    /// parent, which this process has made.
    pub(crate) fn let_siblings_inherit(&self) -> Result<()> {
        let Some((above, _)) = self.path.rsplit_once('/').filter(|_| self.made > 1) else {
            return Ok(());
        };
        self.write_of(above, "cgroup.clone_children", "1")
            .doing(|| format!("let the cgroups below /{above} inherit"))
    }

    /// Copies what a cpuset must have before a process may join, where it has nothing, from the
    /// nearest ancestor that has it.
    pub(crate) fn inherit_cpuset(&self) -> Result<()> {
        for file in ["cpuset.cpus", "cpuset.mems"] {
            if !self.value(file)?.trim().is_empty() {
                continue;
            }
            let doing = || format!("copy {file} to cgroup /{}", self.path);
            let inherited = match self.path.rsplit_once('/') {
                Some((above, _)) => self.cpuset_of(above, file).doing(doing)?,
                None => self.read_of("", file).doing(doing)?,
            };
            self.write(file, inherited.trim())?;
        }
        Ok(())
    }

    /// What an ancestor has, which is given it first where it has nothing.
    fn cpuset_of(&self, path: &str, file: &str) -> rustix::io::Result<String> {
        let own = self.read_of(path, file)?;
        if !own.trim().is_empty() {
            return Ok(own);
        }
        let inherited = match path.rsplit_once('/') {
            Some((above, _)) => self.cpuset_of(above, file)?,
            None => self.read_of("", file)?,
        };
        self.write_of(path, file, inherited.trim())?;
        Ok(inherited)
    }

    fn read_of(&self, path: &str, file: &str) -> rustix::io::Result<String> {
        value_at(&self.base, &self.below_base(&file_of(path, file)))
    }

    fn write_of(&self, path: &str, file: &str, value: &str) -> rustix::io::Result<()> {
        write(&open_to_write(&self.base, &self.below_base(&file_of(path, file)))?, value)
    }

    /// Turns on what there is of these controllers, from the root down to the parent (version 2).
    ///
    /// A controller that cannot be turned on is not an error here: only who asks for its limit
    /// misses it, and hears of it from [`Place::missing`].
    pub(crate) fn enable_controllers(&self, wanted: &[&str]) -> Result<()> {
        for above in self.ancestors() {
            let doing = || format!("turn on controllers below cgroup /{above}");
            let there = self.read_of(above, "cgroup.controllers").doing(doing)?;
            let switch = "cgroup.subtree_control";
            let on = self.read_of(above, switch).doing(doing)?;
            let has = |text: &str, name: &str| text.split_whitespace().any(|word| word == name);
            let new: Vec<String> = wanted
                .iter()
                .filter(|wanted| has(&there, wanted) && !has(&on, wanted))
                .map(|wanted| format!("+{wanted}"))
                .collect();
            if new.is_empty()
                || self.is_inhabited(above)
                || self.write_of(above, switch, &new.join(" ")).is_ok()
            {
                continue;
            }
            // The kernel refuses the whole line for one controller that cannot.
            for one in &new {
                match self.write_of(above, switch, one) {
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

    /// Whether a cgroup holds processes itself, and is not the root, which may (version 2).
    ///
    /// Some controllers could be turned on below it all the same: that makes it the top of a threaded
    /// tree, and no process can be in those below any more.
    fn is_inhabited(&self, path: &str) -> bool {
        // The root has no type.
        let is_root = self.read_of(path, "cgroup.type").is_err();
        let processes = self.read_of(path, "cgroup.procs");
        !is_root && processes.is_ok_and(|processes| !processes.trim().is_empty())
    }

    /// Why there is no `controller` here (version 2).
    pub(crate) fn missing(&self, what: &str, controller: &str) -> Error {
        let has = |above: &str, file: &str| {
            self.read_of(above, file)
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

    /// All processes, here and below; nothing where the cgroup is not there.
    pub(crate) fn processes(&self) -> Result<Option<Vec<Pid>>> {
        let doing = || format!("list the processes of cgroup /{}", self.path);
        let directory = match self.directory() {
            Ok(directory) => directory,
            Err(error) if error.kind() == Kind::NotFound => return Ok(None),
            Err(error) => return Err(error).doing(doing),
        };
        let mut processes = Vec::new();
        collect(directory, 0, &mut processes).doing(doing)?;
        Ok(Some(processes))
    }

    /// Removes what a container made below its cgroup, and then the cgroup.
    fn remove_below(&self, path: &CStr) -> rustix::io::Result<()> {
        match open_below(&self.base, path, DIRECTORY) {
            Ok(directory) if mount_of(&directory, "", AtFlags::EMPTY_PATH)? == self.mount => {
                each_child(&directory, 0, &mut |child| remove_tree(&directory, child, 1))?;
            }
            Ok(_) => return Err(Errno::XDEV),
            Err(Errno::NOENT) => return Ok(()),
            Err(errno) => return Err(errno),
        }
        remove_directory(&self.base, path)
    }

    /// Removes the cgroup where nothing is in it; whether it is gone.
    pub(crate) fn remove_if_empty(&self) -> bool {
        let path = CString::new(self.below_base(&self.path)).expect("a location has no NUL");
        remove_directory(&self.base, &path).is_ok()
    }

    /// Removes the cgroup and everything below it. A process that has just ended holds its cgroup
    /// for a moment, so this is tried until `deadline`.
    pub(crate) fn remove(&self, deadline: Instant) -> Result<()> {
        let path = CString::new(self.below_base(&self.path)).expect("a location has no NUL");
        let mut pause = Duration::from_micros(100);
        loop {
            let removed = match remove_directory(&self.base, &path) {
                Err(Errno::BUSY | Errno::NOTEMPTY) => self.remove_below(&path),
                result => result,
            };
            match removed {
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

/// Joins two parts of a path, of which either may be empty.
pub(crate) fn file_of(path: &str, file: &str) -> String {
    match (path, file) {
        ("", name) | (name, "") => name.to_owned(),
        _ => format!("{path}/{file}"),
    }
}

/// Makes `path` and its missing ancestors; says how many directories that were.
fn make_directories(root: &OwnedFd, path: &str) -> Result<usize> {
    let make = || rustix::fs::mkdirat(root, path, Mode::from_raw_mode(0o755));
    let failed = |errno| Err(errno).doing(|| format!("make cgroup {path}"));
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

/// Opens below the base, or a directory of a hierarchy, and nowhere else. A kernel before 5.6 has only the
/// promise that cgroup file systems hold no links.
pub(crate) fn open_below<P: rustix::path::Arg + Copy>(
    directory: &OwnedFd,
    path: P,
    flags: OFlags,
) -> rustix::io::Result<OwnedFd> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    match rustix::fs::openat2(directory, path, flags, Mode::empty(), resolve) {
        Err(Errno::NOSYS) => rustix::fs::openat(directory, path, flags, Mode::empty()),
        result => result,
    }
}

/// Adds the processes of a cgroup and of those below it.
pub(crate) fn collect(
    directory: &OwnedFd,
    depth: usize,
    found: &mut Vec<Pid>,
) -> rustix::io::Result<()> {
    match read_at(directory, "cgroup.procs") {
        Ok(text) => {
            found.extend(text.lines().filter_map(|line| Pid::from_raw(line.parse().ok()?)));
        }
        // It goes away, or holds only threads, whose processes are listed above it.
        Err(Errno::NOENT | Errno::NODEV | Errno::OPNOTSUPP) => {}
        Err(errno) => return Err(errno),
    }
    each_child(directory, depth, &mut |name| match open_child(directory, name) {
        Ok(child) => collect(&child, depth + 1, found),
        Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(errno),
    })
}

/// Removes a directory that has none inside; one that is not there is fine.
fn remove_directory(parent: &OwnedFd, name: &CStr) -> rustix::io::Result<()> {
    match rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR) {
        Err(Errno::NOENT) => Ok(()),
        result => result,
    }
}

fn remove_tree(parent: &OwnedFd, name: &CStr, depth: usize) -> rustix::io::Result<()> {
    match remove_directory(parent, name) {
        Err(Errno::BUSY | Errno::NOTEMPTY) => {}
        result => return result,
    }
    match open_child(parent, name) {
        Ok(directory) => {
            each_child(&directory, depth, &mut |child| remove_tree(&directory, child, depth + 1))?;
        }
        Err(Errno::NOENT) => return Ok(()),
        Err(errno) => return Err(errno),
    }
    remove_directory(parent, name)
}

/// Opens a directory of a directory, and no mount upon it.
fn open_child(parent: &OwnedFd, name: &CStr) -> rustix::io::Result<OwnedFd> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    match rustix::fs::openat2(parent, name, DIRECTORY, Mode::empty(), resolve) {
        Err(Errno::NOSYS) => rustix::fs::openat(parent, name, DIRECTORY, Mode::empty()),
        result => result,
    }
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

fn open_to_write(base: &OwnedFd, path: &str) -> rustix::io::Result<OwnedFd> {
    open_below(base, path, OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW)
}

fn write(fd: &OwnedFd, value: &str) -> rustix::io::Result<()> {
    loop {
        match rustix::io::write(fd, value.as_bytes()) {
            Err(Errno::INTR) => {}
            result => return result.map(|_| ()),
        }
    }
}

fn read_at(directory: &OwnedFd, file: &str) -> rustix::io::Result<String> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    read_whole(&open_below(directory, file, flags)?)
}

/// Reads a file that is one value, which the kernel gives in one piece.
fn value_at(directory: &OwnedFd, file: &str) -> rustix::io::Result<String> {
    read_once(&open_below(directory, file, OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW)?)
}

/// Reads what the kernel gives in one piece.
pub(crate) fn read_once(fd: &OwnedFd) -> rustix::io::Result<String> {
    let mut page = [0; 4096];
    loop {
        match rustix::io::read(fd, &mut page) {
            Err(Errno::INTR) => {}
            Ok(count) => return Ok(String::from_utf8_lossy(&page[..count]).into_owned()),
            Err(errno) => return Err(errno),
        }
    }
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
