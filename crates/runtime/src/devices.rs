//! The container's `/dev`: device nodes and the links that programs expect.

use crate::mounts::{move_onto, place_in};
use dhow_base::{Doing, Error, Kind, Result};
use dhow_spec::runtime::Device;
use dhow_sys::{
    mount::{Attributes, Propagation, Reach},
    root::{Last, Root},
};
use rustix::{
    fs::{Access, AtFlags, FileType, Gid, Mode, OFlags, Uid},
    io::Errno,
};
use std::{
    ffi::OsStr,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
};

/// A node to make.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Node<'a> {
    path: &'a Path,
    kind: FileType,
    major: u32,
    minor: u32,
    mode: u32,
    owner: (u32, u32),
}

/// Major and minor number of the null device.
pub(crate) const NULL: (u32, u32) = (1, 3);

/// What every container has (config-linux.md, "Default Devices").
const DEFAULTS: [(&str, u32, u32); 6] = [
    ("/dev/null", NULL.0, NULL.1),
    ("/dev/zero", 1, 5),
    ("/dev/full", 1, 7),
    ("/dev/random", 1, 8),
    ("/dev/urandom", 1, 9),
    ("/dev/tty", 5, 0),
];

/// The links that the specification asks for.
const LINKS: [(&str, &str); 5] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
];

/// runc's link, where the kernel has what it leads to.
const CORE: (&str, &str) = ("core", "/proc/kcore");

/// Where nodes come from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Source {
    /// They are made; the process may.
    Made,
    /// The host's are bound: in a user namespace nobody may make one.
    Bound,
}

/// Where the devices are that every container has.
pub(crate) fn default_places() -> impl Iterator<Item = &'static Path> {
    DEFAULTS.iter().map(|(path, ..)| Path::new(*path))
}

/// Fills `/dev`, which is `fresh` where we have mounted it. The file mode mask must be zero.
pub(crate) fn fill(
    root: Root<'_>,
    fresh: Option<BorrowedFd<'_>>,
    asked: &[Device],
    source: Source,
) -> Result<()> {
    let opened;
    let directory = match fresh {
        Some(fresh) => fresh,
        None => {
            opened = root.make_directories(Path::new("/dev")).doing(|| "open /dev")?;
            opened.as_fd()
        }
    };
    let asked = asked.iter().map(Node::of).collect::<Result<Vec<_>>>()?;
    let is_asked = |path: &str| asked.iter().any(|node| node.path == Path::new(path));
    for (path, major, minor) in DEFAULTS.iter().filter(|found| !is_asked(found.0)) {
        let node = Node {
            path: Path::new(path),
            kind: FileType::CharacterDevice,
            major: *major,
            minor: *minor,
            mode: 0o666,
            owner: (0, 0),
        };
        node.make_or_bind(directory, source)?;
    }
    for node in &asked {
        let parent = node.parent(root, directory)?;
        node.make_or_bind(parent.as_ref().map_or(directory, AsFd::as_fd), source)?;
    }
    // The host's /proc is in sight still.
    let core = rustix::fs::access(CORE.1, Access::EXISTS).is_ok().then_some(CORE);
    for (name, target) in LINKS.into_iter().chain(core) {
        link(directory, name, target).doing(|| format!("make /dev/{name}"))?;
    }
    Ok(())
}

/// Makes a link; one that leads elsewhere gives way, a device or directory does not (`ptmx` of an
/// image without a `/dev` of its own).
fn link(directory: BorrowedFd<'_>, name: &str, target: &str) -> std::io::Result<()> {
    match rustix::fs::symlinkat(target, directory, name) {
        Err(Errno::EXIST) => Ok(()),
        result => Ok(result?),
    }
}

impl<'a> Node<'a> {
    fn of(device: &'a Device) -> Result<Self> {
        let invalid = |what: &str| {
            let text = format!("make device {}: {what}", device.path.display());
            Error::new(Kind::Invalid, text)
        };
        let kind = match device.kind.as_str() {
            "c" | "u" => FileType::CharacterDevice,
            "b" => FileType::BlockDevice,
            "p" => FileType::Fifo,
            _ => return Err(invalid("its type is not c, b, u or p")),
        };
        let number = |number: i64| u32::try_from(number).map_err(|_| invalid("a bad number"));
        let (major, minor) = match kind {
            FileType::Fifo => (0, 0),
            _ => (number(device.major)?, number(device.minor)?),
        };
        Ok(Self {
            path: &device.path,
            kind,
            major,
            minor,
            mode: device.file_mode.unwrap_or(0o666) & 0o7777,
            owner: (device.uid.unwrap_or(0), device.gid.unwrap_or(0)),
        })
    }

    /// The directory that it goes into, where that is not `/dev` itself.
    fn parent(&self, root: Root<'_>, dev: BorrowedFd<'_>) -> Result<Option<OwnedFd>> {
        let parent = self.path.parent().unwrap_or(Path::new("/"));
        if parent == Path::new("/dev") {
            return Ok(None);
        }
        let below = parent.strip_prefix("/dev");
        let start = if below.is_ok() { Root::new(dev) } else { root };
        start
            .make_directories(below.unwrap_or(parent))
            .map(Some)
            .doing(|| format!("make the directory of device {}", self.path.display()))
    }

    fn make_or_bind(&self, directory: BorrowedFd<'_>, source: Source) -> Result<()> {
        let name = self.path.file_name().ok_or_else(|| {
            Error::new(Kind::Invalid, format!("make device {}: no name", self.path.display()))
        })?;
        match source {
            // Anybody may make a pipe.
            _ if self.kind == FileType::Fifo => self.make(directory, name),
            Source::Made => self.make(directory, name),
            Source::Bound => self.bind(directory, name),
        }
        .doing(|| format!("make device {}", self.path.display()))
    }

    fn make(&self, directory: BorrowedFd<'_>, name: &OsStr) -> Result<()> {
        let device = rustix::fs::makedev(self.major, self.minor);
        let mode = Mode::from_raw_mode(self.mode);
        match rustix::fs::mknodat(directory, name, self.kind, mode, device) {
            Ok(()) => {}
            Err(Errno::EXIST) => return self.check(directory, name),
            // The root of a user namespace that is not the container's own.
            Err(Errno::PERM) if self.kind != FileType::Fifo => return self.bind(directory, name),
            Err(errno) => return Err(errno).doing(|| "make the node"),
        }
        if self.owner != (0, 0) {
            let (uid, gid) = (Uid::from_raw(self.owner.0), Gid::from_raw(self.owner.1));
            rustix::fs::chownat(directory, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
                .doing(|| "give the node to its owner")?;
        }
        Ok(())
    }

    /// An image may bring its own nodes, if they are what they are called.
    fn check(&self, directory: BorrowedFd<'_>, name: &OsStr) -> Result<()> {
        let status = rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)
            .doing(|| "look at what is there")?;
        let is_same = FileType::from_raw_mode(status.st_mode) == self.kind
            && (self.kind == FileType::Fifo
                || status.st_rdev == rustix::fs::makedev(self.major, self.minor));
        if is_same {
            return Ok(());
        }
        Err(Error::new(Kind::Denied, "use what is there: it is something else"))
    }

    /// The host's node: mostly under the same name, else under the one that the kernel has for it.
    fn of_host(&self) -> Result<OwnedFd> {
        let numbers = (self.major, self.minor);
        host_place(self.path, self.kind, numbers).or_else(|error| match self.host_name() {
            Some(path) => host_place(&path, self.kind, numbers).map_err(|_worse| error),
            None => Err(error),
        })
    }

    /// What sysfs says that the host's node is called, below `/dev`.
    fn host_name(&self) -> Option<PathBuf> {
        let kind = if self.kind == FileType::BlockDevice { "block" } else { "char" };
        let path = format!("/sys/dev/{kind}/{}:{}/uevent", self.major, self.minor);
        let text = dhow_base::file::read_limited(Path::new(&path), 4096).ok()?;
        let text = String::from_utf8(text).ok()?;
        let name = text.lines().find_map(|line| line.strip_prefix("DEVNAME="))?;
        Some(Path::new("/dev").join(name))
    }

    fn bind(&self, directory: BorrowedFd<'_>, name: &OsStr) -> Result<()> {
        let device = self.of_host()?;
        let attributes = Attributes::propagating(Propagation::Private);
        let device = dhow_sys::mount::copy(device.as_fd(), attributes, Reach::ThisMount)
            .doing(|| "copy the host's")?;
        let flags = OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::WRONLY;
        let made =
            rustix::fs::openat(directory, name, flags | OFlags::EXCL, Mode::from_raw_mode(0o644));
        match made {
            Ok(_) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno).doing(|| "make a place for it"),
        }
        let place = place_in(directory, name).doing(|| "open the place for it")?;
        move_onto(device.as_fd(), place.as_fd()).doing(|| "bind the host's")
    }
}

/// Opens `/dev/console`'s place, a plain file that is made where it is missing.
pub(crate) fn console_place(root: Root<'_>) -> Result<OwnedFd> {
    let doing = || "open /dev/console";
    let flags = OFlags::PATH | OFlags::DIRECTORY;
    let directory = root.open(Path::new("/dev"), flags, Last::Followed).doing(doing)?;
    let name = OsStr::new("console");
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::WRONLY;
    match rustix::fs::openat(&directory, name, flags, Mode::from_raw_mode(0o600)) {
        Ok(_) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(errno).doing(doing),
    }
    place_in(directory.as_fd(), name).doing(doing)
}

/// Refuses a place that is not a character device of these numbers.
pub(crate) fn check_character_device(place: BorrowedFd<'_>, numbers: (u32, u32)) -> Result<()> {
    check_device(place, FileType::CharacterDevice, numbers)
}

fn check_device(place: BorrowedFd<'_>, kind: FileType, numbers: (u32, u32)) -> Result<()> {
    let status = rustix::fs::fstat(place).doing(|| "look at it")?;
    let found = (rustix::fs::major(status.st_rdev), rustix::fs::minor(status.st_rdev));
    if FileType::from_raw_mode(status.st_mode) == kind && found == numbers {
        return Ok(());
    }
    let (major, minor) = numbers;
    let name = if kind == FileType::BlockDevice { "block" } else { "character" };
    Err(Error::new(Kind::Denied, format!("it is not the {name} device {major}:{minor}")))
}

/// A device node of the host's, checked. The calling process is still in the host's mount tree.
fn host_place(path: &Path, kind: FileType, numbers: (u32, u32)) -> Result<OwnedFd> {
    let doing = || format!("open the host's {}", path.display());
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let place = rustix::fs::open(path, flags, Mode::empty()).doing(doing)?;
    check_device(place.as_fd(), kind, numbers).doing(doing)?;
    Ok(place)
}
