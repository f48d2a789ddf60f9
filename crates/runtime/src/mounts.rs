//! The mounts of `config.json`, below the container's root.
//!
//! ```text
//!   prepare (host's view)  options parsed, bind sources opened as detached copies
//!      │
//!   perform (container)    destination resolved below the root to an fd, made where missing,
//!      │                   checked; the mount goes onto that fd
//!   finish                 what had to stay writable meanwhile becomes read-only
//! ```
//!
//! A destination is a path that the image's author or a neighbour with a shared volume controls.
//! It is looked up once, below the root, and what is mounted goes onto the fd that the lookup gave,
//! so a swapped link changes nothing (CVE-2021-30465, CVE-2019-19921). A filesystem that is mounted
//! by one call goes onto the working directory, which is such an fd too.

mod filesystem;
mod preparation;
mod union;

pub(crate) use preparation::prepare;

use crate::{cgroupfs::View, options::Options};
use dhow_base::{Doing, Error, Kind, Result};
use dhow_sys::{
    fds::leave_to_exec,
    mount::{Attributes, Propagation, Reach},
    root::{Last, Root},
};
use filesystem::{Filesystem, words};
use rustix::{
    fs::{Mode, OFlags},
    io::Errno,
    mount::{MountAttrFlags, MoveMountFlags},
};
use std::{
    ffi::OsStr,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
};

/// Files of procfs that may be covered by a bind mount, as runc allows them: they tell of memory
/// and processors, and lxcfs gives the container's own. Any other cover could fake what the runtime
/// or the container's tools write to.
const COVERABLE: [&str; 10] = [
    "/proc/cpuinfo",
    "/proc/diskstats",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/swaps",
    "/proc/uptime",
    "/proc/loadavg",
    "/proc/slabinfo",
    "/proc/sys/kernel/ns_last_pid",
    "/proc/sys/crypto/fips_enabled",
];

/// A mount, parsed, with its source open.
#[derive(Debug)]
pub(crate) struct Prepared {
    destination: PathBuf,
    options: Options,
    what: What,
}

#[derive(Debug)]
enum What {
    Bind { tree: OwnedFd, is_directory: bool },
    Filesystem(Filesystem),
    Cgroup,
    Remount,
}

/// Changes how a mount propagates, step by step.
fn propagate(mount: BorrowedFd<'_>, changes: &[(Propagation, Reach)]) -> std::io::Result<()> {
    changes.iter().try_for_each(|(propagation, reach)| {
        let attributes = Attributes::propagating(*propagation);
        dhow_sys::mount::set_attributes(mount, attributes, *reach)
    })
}

/// What is still needed when all is mounted.
#[derive(Debug, Default)]
pub(crate) struct Unfinished {
    /// Mounts that must become read-only when everything below them is there.
    pub(crate) writable: Vec<OwnedFd>,
    fresh: Option<Fresh>,
}

/// A `/dev` that we have mounted a moment ago. Nobody else sees it yet, so a name in it is as good
/// as an fd: what we make there is what we find there.
#[derive(Debug)]
struct Fresh {
    directory: OwnedFd,
    /// Whether it is the working directory.
    is_entered: bool,
}

const DEV: &str = "/dev";

impl Unfinished {
    /// The container's `/dev`, where it is one that we mounted.
    pub(crate) fn dev(&self) -> Option<BorrowedFd<'_>> {
        self.fresh.as_ref().map(|fresh| fresh.directory.as_fd())
    }

    /// Leaves nothing that a mount on `destination` would hide.
    fn forget_hidden(&mut self, destination: &Path) {
        if Path::new(DEV).starts_with(destination) {
            self.fresh = None;
        }
        if let Some(fresh) = &mut self.fresh {
            fresh.is_entered = false;
        }
    }

    /// Makes them read-only.
    pub(crate) fn finish(self) -> Result<()> {
        let attributes = Attributes::setting(MountAttrFlags::MOUNT_ATTR_RDONLY);
        for mount in self.writable {
            dhow_sys::mount::set_attributes(mount.as_fd(), attributes, Reach::ThisMount)
                .doing(|| "make a mount read-only")?;
            leave_to_exec(mount);
        }
        if let Some(fresh) = self.fresh {
            leave_to_exec(fresh.directory);
        }
        Ok(())
    }
}

/// Performs all mounts, in their order.
pub(crate) fn perform(root: Root<'_>, mounts: &[Prepared], view: &View) -> Result<Unfinished> {
    let mut unfinished = Unfinished::default();
    for mount in mounts {
        mount
            .perform(root, view, &mut unfinished)
            .doing(|| format!("mount {}", mount.destination.display()))?;
    }
    Ok(unfinished)
}

impl Prepared {
    /// Whether the container's `/dev` is somebody else's, into which no node may be put.
    pub(crate) fn binds_dev(&self) -> bool {
        self.destination == Path::new("/dev") && matches!(self.what, What::Bind { .. })
    }

    fn perform(&self, root: Root<'_>, view: &View, unfinished: &mut Unfinished) -> Result<()> {
        if self.perform_in_fresh(unfinished)? {
            return Ok(());
        }
        unfinished.forget_hidden(&self.destination);
        let (destination, found) = self.open_destination(root)?;
        match &self.what {
            What::Bind { tree, .. } => {
                self.refuse_cover_of_procfs(&destination)?;
                move_onto(tree.as_fd(), destination.as_fd()).doing(|| "attach the mount")?;
            }
            What::Cgroup => {
                let cgroups = crate::cgroupfs::mount(&destination, &self.options, view)?;
                unfinished.writable.extend(cgroups);
            }
            What::Filesystem(filesystem) => {
                // What these show is the kernel's own; nobody fakes a file with them.
                if !matches!(filesystem.kind.as_str(), "proc" | "sysfs" | "devpts" | "mqueue") {
                    self.refuse_cover_of_procfs(&destination)?;
                }
                let is_dev = self.destination == Path::new(DEV);
                filesystem.mount(&self.options, &destination, found, is_dev, unfinished)?;
            }
            What::Remount => self.remount(&destination)?,
        }
        leave_to_exec(destination);
        Ok(())
    }

    /// Mounts a filesystem right below a fresh `/dev`; whether that was possible. Something may be
    /// there already, put by an earlier mount.
    fn perform_in_fresh(&self, unfinished: &mut Unfinished) -> Result<bool> {
        let (What::Filesystem(filesystem), Some(fresh)) = (&self.what, &mut unfinished.fresh)
        else {
            return Ok(false);
        };
        let name = match (self.destination.parent(), self.destination.file_name()) {
            (Some(parent), Some(name)) if parent == Path::new(DEV) => name,
            _ => return Ok(false),
        };
        if filesystem.needs_steps(&self.options) || filesystem.instead.is_some() {
            return Ok(false);
        }
        match rustix::fs::mkdirat(&fresh.directory, name, Mode::from_raw_mode(0o755)) {
            Ok(()) => {}
            Err(Errno::EXIST) => return Ok(false),
            Err(errno) => return Err(errno).doing(|| "make its directory"),
        }
        if !fresh.is_entered {
            rustix::process::fchdir(&fresh.directory).doing(|| "enter /dev")?;
            fresh.is_entered = true;
        }
        let data = words(&self.options.data, filesystem.option_label())?;
        let (kind, flags) = (filesystem.kind.as_str(), self.options.mount_flags());
        rustix::mount::mount(&filesystem.source, name, kind, flags, data.as_deref())
            .doing(|| format!("mount filesystem {kind}"))
            .map_err(|error| filesystem.hinted(error))?;
        Ok(true)
    }

    /// The place to mount on, and whether it was there before. procfs and sysfs want a plain
    /// directory: a link there is never meant well (CVE-2019-19921, CVE-2023-27561).
    fn open_destination(&self, root: Root<'_>) -> Result<(OwnedFd, Found)> {
        let doing = || "open the destination";
        let (path, made) = (&self.destination, Found::Made);
        match &self.what {
            What::Bind { is_directory: false, .. } => {
                root.make_file(path).map(|place| (place, made)).doing(doing)
            }
            What::Remount => {
                root.place(path, Last::Followed).map(|place| (place, Found::There)).doing(doing)
            }
            What::Filesystem(filesystem) if filesystem.wants_no_links() => {
                match root.place(path, Last::NoLinks) {
                    Err(error) if error.raw_os_error() == Some(Errno::NOENT.raw_os_error()) => {
                        root.make_directories(path).map(|place| (place, made)).doing(doing)
                    }
                    Err(error) if error.raw_os_error() == Some(Errno::LOOP.raw_os_error()) => {
                        let kind = &filesystem.kind;
                        let text =
                            format!("mount {kind} there: it is no plain directory but a link");
                        Err(Error::new(Kind::Denied, text))
                    }
                    result => result.map(|place| (place, Found::There)).doing(doing),
                }
            }
            What::Filesystem(filesystem) if filesystem.kind == "tmpfs" => {
                let flags = OFlags::PATH | OFlags::DIRECTORY;
                match root.open(path, flags, Last::Followed) {
                    Ok(place) => Ok((place, Found::There)),
                    Err(_) => root.make_directories(path).map(|place| (place, made)).doing(doing),
                }
            }
            _ => root.make_directories(path).map(|place| (place, made)).doing(doing),
        }
    }

    /// A cover inside procfs fakes kernel files (CVE-2019-16884, CVE-2025-52881).
    fn refuse_cover_of_procfs(&self, destination: &OwnedFd) -> Result<()> {
        if COVERABLE.iter().any(|path| self.destination == Path::new(path)) {
            return Ok(());
        }
        let filesystem = rustix::fs::fstatfs(destination).doing(|| "look at the destination")?;
        if filesystem.f_type == rustix::fs::PROC_SUPER_MAGIC {
            return Err(Error::new(Kind::Denied, "mount there: it is inside procfs"));
        }
        Ok(())
    }

    /// Changes what is mounted there: with `bind` the mount alone, else the filesystem as well.
    fn remount(&self, destination: &OwnedFd) -> Result<()> {
        let doing = || "remount what is there";
        let options = &self.options;
        if !(options.set_tree | options.clear_tree).is_empty() {
            let attributes =
                Attributes { set: options.set_tree, clear: options.clear_tree, propagation: None };
            dhow_sys::mount::set_attributes(destination.as_fd(), attributes, Reach::WholeTree)
                .doing(doing)?;
        }
        if options.bind.is_none() {
            let data = words(&options.data, None)?;
            rustix::process::fchdir(destination).doing(doing)?;
            rustix::mount::mount_remount(".", options.mount_flags(), data.unwrap_or_default())
                .doing(doing)?;
        } else if options.changes_mount() {
            let attributes =
                Attributes { set: options.set, clear: options.clear, propagation: None };
            dhow_sys::mount::set_attributes(destination.as_fd(), attributes, Reach::ThisMount)
                .doing(doing)?;
        }
        propagate(destination.as_fd(), &options.propagation).doing(doing)
    }
}

/// Whether a destination was there before.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Found {
    There,
    Made,
}

/// Attaches a detached mount to a place.
pub(crate) fn move_onto(mount: BorrowedFd<'_>, place: BorrowedFd<'_>) -> std::io::Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    Ok(rustix::mount::move_mount(mount, "", place, "", flags)?)
}

/// A name in a directory, as a place, without following a link.
pub(crate) fn place_in(directory: BorrowedFd<'_>, name: &OsStr) -> std::io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(directory, name, flags, Mode::empty())?)
}

/// The whole tree of the calling process's mount namespace hears of the host's mounts, and tells
/// the host nothing.
pub(crate) fn withdraw() -> Result<()> {
    use rustix::mount::MountPropagationFlags as Flags;
    let doing = || "stop mounts from reaching the host";
    match rustix::mount::mount_change("/", Flags::REC | Flags::DOWNSTREAM) {
        // What is no mount has no such property: neither could its root be changed for another.
        Err(Errno::INVAL) => Err(Error::new(
            Kind::Unsupported,
            format!("{}: / is no mount, as in a chroot", doing()),
        )
        .hint("bind the directory onto itself (mount --bind DIR DIR) before the chroot")),
        result => result.doing(doing),
    }
}
