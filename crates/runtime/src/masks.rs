//! Paths that a container may not read, and those that it may not write.
//!
//! Most of them are names right below `/proc` that every kernel has, or has not. Once the
//! container's procfs is proven to be one, those need no lookup of their own: nobody but the kernel
//! puts anything there. Every other path is looked up below the root, to an fd.

use crate::{
    devices::{NULL, check_character_device},
    mounts::move_onto,
};
use dhow_base::{Doing, Result};
use dhow_sys::{
    fds::leave_to_exec,
    mount::{Attributes, Propagation, Reach},
    procfs::Procfs,
    root::{Last, Root},
};
use rustix::{
    fs::{FileType, OFlags},
    io::Errno,
    mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags},
};
use std::{
    ffi::CStr,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
};

/// What the kernel has right below `/proc`, never as a link.
const OF_PROCFS: [(&CStr, Form); 15] = [
    (c"acpi", Form::Directory),
    (c"asound", Form::Directory),
    (c"bus", Form::Directory),
    (c"fs", Form::Directory),
    (c"interrupts", Form::File),
    (c"irq", Form::Directory),
    (c"kcore", Form::File),
    (c"keys", Form::File),
    (c"latency_stats", Form::File),
    (c"sched_debug", Form::File),
    (c"scsi", Form::Directory),
    (c"sys", Form::Directory),
    (c"sysrq-trigger", Form::File),
    (c"timer_list", Form::File),
    (c"timer_stats", Form::File),
];

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Form {
    File,
    Directory,
}

/// Where paths are found.
#[derive(Debug)]
pub(crate) struct Places<'a> {
    root: Root<'a>,
    procfs: Option<Procfs>,
}

/// A path that exists.
#[derive(Debug)]
enum Found<'p> {
    /// A name in the container's procfs.
    Named(BorrowedFd<'p>, &'static CStr, Form),
    Opened(OwnedFd),
}

impl<'a> Places<'a> {
    /// Those below `root`. Its procfs is opened where enough of the paths are in it.
    pub(crate) fn below(root: Root<'a>, masked: &[String], read_only: &[String]) -> Result<Self> {
        let named = masked.iter().chain(read_only).filter(|path| of_procfs(path).is_some());
        let mut places = Self { root, procfs: None };
        if named.count() > 2 {
            places.procfs = procfs(root);
        }
        Ok(places)
    }

    /// Leaves what is open to the exec that is near.
    pub(crate) fn leave(self) {
        if let Some(procfs) = self.procfs {
            leave_to_exec(procfs.into_fd());
        }
    }

    /// Nothing where there is nothing. Names in procfs are not looked for: the kernel says when they
    /// are used that they do not exist.
    fn find(&self, path: &str) -> std::io::Result<Option<Found<'_>>> {
        if let (Some(procfs), Some((name, form))) = (&self.procfs, of_procfs(path)) {
            return Ok(Some(Found::Named(procfs.as_fd(), name, form)));
        }
        match self.root.place(Path::new(path), Last::Followed) {
            Ok(place) => Ok(Some(Found::Opened(place))),
            Err(error) if is(&error, Errno::NOENT) || is(&error, Errno::NOTDIR) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn of_procfs(path: &str) -> Option<(&'static CStr, Form)> {
    let name = path.strip_prefix("/proc/")?;
    OF_PROCFS.into_iter().find(|(known, _)| known.to_bytes() == name.as_bytes())
}

/// Whether a kernel may lack what is covered at this path without being looked for.
fn is_doubtful(path: &str) -> bool {
    of_procfs(path).is_some_and(|(name, _)| !matches!(name.to_bytes(), b"kcore" | b"timer_list"))
}

/// What the container has at `/proc`, where that is a procfs and no link leads there.
fn procfs(root: Root<'_>) -> Option<Procfs> {
    let flags = OFlags::PATH | OFlags::DIRECTORY;
    let directory = root.open(Path::new("/proc"), flags, Last::NoLinks).ok()?;
    Procfs::proven(directory).ok()
}

fn is(error: &std::io::Error, errno: Errno) -> bool {
    error.raw_os_error() == Some(errno.raw_os_error())
}

impl Found<'_> {
    /// A detached copy of what is there.
    fn copy(&self, attributes: Attributes, reach: Reach) -> std::io::Result<OwnedFd> {
        match self {
            Self::Named(procfs, name, _) => {
                dhow_sys::mount::copy_at(*procfs, name, attributes, reach)
            }
            Self::Opened(place) => dhow_sys::mount::copy(place.as_fd(), attributes, reach),
        }
    }

    /// Puts a mount there.
    fn take(&self, mount: BorrowedFd<'_>) -> std::io::Result<()> {
        match self {
            Self::Named(procfs, name, _) => {
                let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
                Ok(rustix::mount::move_mount(mount, c"", *procfs, *name, flags)?)
            }
            Self::Opened(place) => move_onto(mount, place.as_fd()),
        }
    }

    fn form(&self) -> Result<Form> {
        let place = match self {
            Self::Named(_, _, form) => return Ok(*form),
            Self::Opened(place) => place,
        };
        let status = rustix::fs::fstat(place).doing(|| "look at it")?;
        let is_directory = FileType::from_raw_mode(status.st_mode) == FileType::Directory;
        Ok(if is_directory { Form::Directory } else { Form::File })
    }

    fn leave(self) {
        if let Self::Opened(place) = self {
            leave_to_exec(place);
        }
    }
}

/// Covers cannot be written, nor their modes and owners changed.
const COVER_ATTRIBUTES: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_RDONLY
    .union(MountAttrFlags::MOUNT_ATTR_NOSUID)
    .union(MountAttrFlags::MOUNT_ATTR_NOEXEC);

/// Covers the paths; one that does not exist needs no cover.
pub(crate) fn mask(places: &Places<'_>, paths: &[String]) -> Result<()> {
    let mut covers = Covers::default();
    // What may be missing comes first, so that the cover which was meant for it still finds a place: to
    // close one that was never attached waits for the whole machine (a grace period of RCU).
    for doubtful in [true, false] {
        for (number, path) in paths.iter().enumerate() {
            // One that is named again has its cover, and a second would cover that.
            if is_doubtful(path) != doubtful || paths[..number].contains(path) {
                continue;
            }
            let Some(found) = places.find(path).doing(|| format!("open {path}"))? else { continue };
            covers.cover(places.root, &found).doing(|| format!("mask {path}"))?;
            found.leave();
        }
    }
    covers.leave();
    Ok(())
}

/// Makes the paths, with all below them, read-only.
pub(crate) fn make_read_only(places: &Places<'_>, paths: &[String]) -> Result<()> {
    let attributes = Attributes {
        set: MountAttrFlags::MOUNT_ATTR_RDONLY,
        clear: MountAttrFlags::empty(),
        propagation: Some(Propagation::Private),
    };
    for path in paths {
        let doing = || format!("make {path} read-only");
        let Some(found) = places.find(path).doing(doing)? else { continue };
        let copy = match found.copy(attributes, Reach::WholeTree) {
            Err(error) if is(&error, Errno::NOENT) => continue,
            result => result.doing(doing)?,
        };
        found.take(copy.as_fd()).doing(doing)?;
        leave_to_exec(copy);
        found.leave();
    }
    Ok(())
}

/// What covers masked paths: files get the null device, directories an empty tmpfs.
///
/// The null device is the container's own and checked through the fd that is then copied: it could
/// have been swapped for a link to a kernel file, which would be bound writable (CVE-2025-31133).
/// It is not the host's, whose mode the container's root could change through the cover.
#[derive(Debug, Default)]
struct Covers {
    null: Option<OwnedFd>,
    /// The first directory's cover, which the others get copies of. A kernel before 6.15 copies only
    /// what is attached.
    empty: Option<OwnedFd>,
    /// A cover that is ready, since there was nothing to cover where it was meant for.
    ready: [Option<OwnedFd>; 2],
}

impl Covers {
    fn cover(&mut self, root: Root<'_>, found: &Found<'_>) -> Result<()> {
        let form = found.form()?;
        let cover = match self.ready[form as usize].take() {
            Some(ready) => ready,
            None => self.make(form, root)?,
        };
        match found.take(cover.as_fd()) {
            Ok(()) if form == Form::Directory && self.empty.is_none() => {
                self.empty = Some(cover);
                Ok(())
            }
            Ok(()) => {
                leave_to_exec(cover);
                Ok(())
            }
            Err(error) if is(&error, Errno::NOENT) => {
                self.ready[form as usize] = Some(cover);
                Ok(())
            }
            Err(error) => Err(error).doing(|| "cover it"),
        }
    }

    fn leave(self) {
        [self.null, self.empty].into_iter().chain(self.ready).flatten().for_each(leave_to_exec);
    }

    /// A cover, attached to nothing.
    fn make(&mut self, form: Form, root: Root<'_>) -> Result<OwnedFd> {
        let original = match (form, &self.empty) {
            (Form::Directory, None) => {
                return empty_tmpfs().doing(|| "make an empty directory");
            }
            (Form::Directory, Some(empty)) => empty,
            (Form::File, _) => {
                if self.null.is_none() {
                    self.null = Some(null_device(root)?);
                }
                self.null.as_ref().expect("set above")
            }
        };
        let attributes = Attributes {
            set: COVER_ATTRIBUTES,
            clear: MountAttrFlags::empty(),
            propagation: Some(Propagation::Private),
        };
        dhow_sys::mount::copy(original.as_fd(), attributes, Reach::ThisMount)
            .doing(|| "copy the cover")
    }
}

fn null_device(root: Root<'_>) -> Result<OwnedFd> {
    let null = root.place(Path::new("/dev/null"), Last::NoLinks).doing(|| "open /dev/null")?;
    check_character_device(null.as_fd(), NULL).doing(|| "use /dev/null")?;
    Ok(null)
}

/// A tmpfs into which nothing can be put, not even by who may make its mounts writable.
fn empty_tmpfs() -> std::io::Result<OwnedFd> {
    let context = rustix::mount::fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    rustix::mount::fsconfig_set_flag(context.as_fd(), "ro")?;
    rustix::mount::fsconfig_create(context.as_fd())?;
    let flags = FsMountFlags::FSMOUNT_CLOEXEC;
    let mount = rustix::mount::fsmount(context.as_fd(), flags, COVER_ATTRIBUTES)?;
    leave_to_exec(context);
    Ok(mount)
}
