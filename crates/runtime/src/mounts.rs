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

use crate::{
    mappings,
    options::{self, Options},
};
use dhow_base::{Doing, Error, Kind, Result};
use dhow_spec::runtime::{MountPoint, Spec};
use dhow_sys::{
    fds::leave_to_exec,
    mount::{Attributes, Propagation, Reach},
    root::{Last, Root},
};
use rustix::{
    fs::{AtFlags, FileType, Mode, OFlags},
    io::Errno,
    mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MoveMountFlags},
};
use std::{
    ffi::CString,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Component, Path, PathBuf},
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
    Filesystem { kind: String, source: PathBuf, data: Option<CString> },
    Cgroup,
}

/// Parses all mounts and opens the sources of bind mounts.
pub(crate) fn prepare(spec: &Spec, bundle: &Path, label: Option<&str>) -> Result<Vec<Prepared>> {
    spec.mounts
        .iter()
        .map(|mount| {
            prepare_one(mount, spec, bundle, label)
                .doing(|| format!("prepare the mount at {}", mount.destination.display()))
        })
        .collect()
}

fn prepare_one(
    mount: &MountPoint,
    spec: &Spec,
    bundle: &Path,
    label: Option<&str>,
) -> Result<Prepared> {
    let destination = normal(&mount.destination)?;
    let options = options::parse(&mount.options)?;
    if options.copy_up {
        return Err(Error::new(Kind::Unsupported, "use the mount option tmpcopyup"));
    }
    let kind = mount.kind.as_deref().unwrap_or("none");
    let what = if options.bind.is_some() || kind == "bind" {
        let source = mount.source.as_deref().unwrap_or(Path::new(""));
        let what = open_source(&bundle.join(source), &options)?;
        if let What::Bind { tree, .. } = &what {
            map_ids(tree, mount, spec, &options)?;
        }
        what
    } else if kind == "cgroup" || kind == "cgroup2" {
        What::Cgroup
    } else {
        let source = mount.source.clone().unwrap_or_else(|| PathBuf::from(kind));
        What::Filesystem { kind: kind.to_owned(), source, data: data(kind, &options, label)? }
    };
    Ok(Prepared { destination, options, what })
}

/// An absolute path without `.`, `..` and doubled slashes; the specification wants it absolute, and
/// engines write it relative.
fn normal(destination: &Path) -> Result<PathBuf> {
    let mut normal = PathBuf::from("/");
    for component in destination.components() {
        match component {
            Component::Normal(name) => normal.push(name),
            Component::ParentDir => drop(normal.pop()),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    if normal == Path::new("/") {
        let text = format!("mount onto the root itself ({})", destination.display());
        return Err(Error::new(Kind::Invalid, text));
    }
    Ok(normal)
}

fn data(kind: &str, options: &Options, label: Option<&str>) -> Result<Option<CString>> {
    let mut words = options.data.clone();
    if let Some(label) = label.filter(|label| !label.is_empty())
        && matches!(kind, "tmpfs" | "devpts" | "mqueue")
    {
        words.push(format!("context=\"{label}\""));
    }
    if words.is_empty() {
        return Ok(None);
    }
    CString::new(words.join(","))
        .map(Some)
        .map_err(|_| Error::new(Kind::Invalid, "use mount options with a zero byte"))
}

/// A detached copy of a bind mount's source, with its options. Mounts below the source's place in
/// the host come along as they are now and as the host changes them, unless the options say
/// otherwise; nothing that the container does goes back.
fn open_source(source: &Path, options: &Options) -> Result<What> {
    let doing = || format!("open the source {}", source.display());
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let place = rustix::fs::open(source, flags, Mode::empty()).doing(doing)?;
    let status = rustix::fs::fstat(&place).doing(doing)?;
    let is_directory = FileType::from_raw_mode(status.st_mode) == FileType::Directory;
    let (propagation, later) = match options.propagation {
        Some((propagation, Reach::WholeTree)) => (propagation, None),
        Some((propagation, Reach::ThisMount)) => (Propagation::Slave, Some(propagation)),
        None => (Propagation::Slave, None),
    };
    let attributes = Attributes {
        set: options.set_tree,
        clear: options.clear_tree,
        propagation: Some(propagation),
    };
    let reach = options.bind.unwrap_or(Reach::ThisMount);
    let tree = dhow_sys::mount::copy(place.as_fd(), attributes, reach).doing(doing)?;
    if options.changes_mount() || later.is_some() {
        let attributes = Attributes { set: options.set, clear: options.clear, propagation: later };
        dhow_sys::mount::set_attributes(tree.as_fd(), attributes, Reach::ThisMount)
            .doing(|| format!("set the options of {}", source.display()))?;
    }
    Ok(What::Bind { tree, is_directory })
}

/// Maps the ids of a bind mount: by its own mappings, or else by the container's.
fn map_ids(tree: &OwnedFd, mount: &MountPoint, spec: &Spec, options: &Options) -> Result<()> {
    let is_mapped = !mount.uid_mappings.is_empty() || !mount.gid_mappings.is_empty();
    let reach = match options.idmap {
        Some(reach) => reach,
        None if is_mapped => options.bind.unwrap_or(Reach::ThisMount),
        None => return Ok(()),
    };
    let (uids, gids) = match &spec.linux {
        _ if is_mapped => (&mount.uid_mappings, &mount.gid_mappings),
        Some(linux) if !linux.uid_mappings.is_empty() => (&linux.uid_mappings, &linux.gid_mappings),
        _ => {
            let text = "map the ids of the mount: neither it nor the container has mappings";
            return Err(Error::new(Kind::Invalid, text));
        }
    };
    let ids = mappings::namespace(uids, gids)?;
    dhow_sys::mount::idmap(tree.as_fd(), ids.as_fd(), reach).doing(|| "map the ids of the mount")
}

/// Mounts that must become read-only when everything below them is there.
#[derive(Debug, Default)]
pub(crate) struct Unfinished {
    writable: Vec<OwnedFd>,
}

impl Unfinished {
    /// Makes them read-only.
    pub(crate) fn finish(self) -> Result<()> {
        let attributes = Attributes::setting(MountAttrFlags::MOUNT_ATTR_RDONLY);
        for mount in self.writable {
            dhow_sys::mount::set_attributes(mount.as_fd(), attributes, Reach::ThisMount)
                .doing(|| "make a mount read-only")?;
        }
        Ok(())
    }
}

/// Performs all mounts, in their order.
pub(crate) fn perform(
    root: Root<'_>,
    mounts: &[Prepared],
    is_own_view: bool,
) -> Result<Unfinished> {
    let mut unfinished = Unfinished::default();
    for mount in mounts {
        mount
            .perform(root, is_own_view, &mut unfinished)
            .doing(|| format!("mount {}", mount.destination.display()))?;
    }
    Ok(unfinished)
}

impl Prepared {
    /// Whether the container's `/dev` is somebody else's, into which no node may be put.
    pub(crate) fn binds_dev(&self) -> bool {
        self.destination == Path::new("/dev") && matches!(self.what, What::Bind { .. })
    }

    fn perform(
        &self,
        root: Root<'_>,
        is_own_view: bool,
        unfinished: &mut Unfinished,
    ) -> Result<()> {
        let destination = self.open_destination(root)?;
        match &self.what {
            What::Bind { tree, .. } => {
                self.refuse_cover_of_procfs(&destination)?;
                move_onto(tree.as_fd(), destination.as_fd()).doing(|| "attach the mount")?;
            }
            What::Cgroup => {
                let cgroups = crate::cgroupfs::mount(&destination, &self.options, is_own_view)?;
                unfinished.writable.extend(cgroups);
            }
            What::Filesystem { kind, source, data } => {
                // What these show is the kernel's own; nobody fakes a file with them.
                if !matches!(kind.as_str(), "proc" | "sysfs" | "devpts" | "mqueue") {
                    self.refuse_cover_of_procfs(&destination)?;
                }
                let data = data.as_ref();
                if kind == "tmpfs" && self.is_read_only() || self.options.propagation.is_some() {
                    self.mount_by_steps((kind, source), &destination, unfinished)?;
                } else {
                    let (flags, data) = (self.options.mount_flags(), data.map(CString::as_c_str));
                    mount_onto(destination.as_fd(), source, kind, flags, data)?;
                }
            }
        }
        leave_to_exec(destination);
        Ok(())
    }

    fn is_read_only(&self) -> bool {
        self.options.set.contains(MountAttrFlags::MOUNT_ATTR_RDONLY)
    }

    /// The place to mount on. procfs and sysfs want a plain directory: a link there is never meant
    /// well (CVE-2019-19921, CVE-2023-27561).
    fn open_destination(&self, root: Root<'_>) -> Result<OwnedFd> {
        let doing = || "open the destination";
        match &self.what {
            What::Bind { is_directory: false, .. } => {
                root.make_file(&self.destination).doing(doing)
            }
            What::Filesystem { kind, .. } if matches!(kind.as_str(), "proc" | "sysfs") => {
                match root.place(&self.destination, Last::NoLinks) {
                    Err(error) if error.raw_os_error() == Some(Errno::NOENT.raw_os_error()) => {
                        root.make_directories(&self.destination).doing(doing)
                    }
                    Err(error) if error.raw_os_error() == Some(Errno::LOOP.raw_os_error()) => {
                        Err(Error::new(
                            Kind::Denied,
                            format!("mount {kind} there: it is no plain directory but a link"),
                        ))
                    }
                    result => result.doing(doing),
                }
            }
            _ => root.make_directories(&self.destination).doing(doing),
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

    /// Mounts a filesystem whose mount is still needed: to make it read-only later, or to change
    /// how it propagates.
    fn mount_by_steps(
        &self,
        (kind, source): (&str, &Path),
        destination: &OwnedFd,
        unfinished: &mut Unfinished,
    ) -> Result<()> {
        let context = rustix::mount::fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)
            .doing(|| format!("open filesystem {kind}"))?;
        let context = context.as_fd();
        rustix::mount::fsconfig_set_string(context, "source", source)
            .doing(|| format!("use the source {}", source.display()))?;
        for word in &self.options.data {
            match word.split_once('=') {
                Some((key, value)) => rustix::mount::fsconfig_set_string(context, key, value),
                None => rustix::mount::fsconfig_set_flag(context, word.as_str()),
            }
            .doing(|| format!("use the option {word}"))?;
        }
        rustix::mount::fsconfig_create(context).doing(|| format!("make filesystem {kind}"))?;
        let late = MountAttrFlags::MOUNT_ATTR_RDONLY;
        let mount =
            rustix::mount::fsmount(context, FsMountFlags::FSMOUNT_CLOEXEC, self.options.set - late)
                .doing(|| format!("mount filesystem {kind}"))?;
        move_onto(mount.as_fd(), destination.as_fd()).doing(|| "attach the mount")?;
        if let Some((propagation, reach)) = self.options.propagation {
            let attributes = Attributes::propagating(propagation);
            dhow_sys::mount::set_attributes(mount.as_fd(), attributes, reach)
                .doing(|| "change how the mount propagates")?;
        }
        if self.is_read_only() {
            unfinished.writable.push(mount);
        }
        Ok(())
    }
}

/// Attaches a detached mount to a place.
pub(crate) fn move_onto(mount: BorrowedFd<'_>, place: BorrowedFd<'_>) -> std::io::Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    Ok(rustix::mount::move_mount(mount, "", place, "", flags)?)
}

/// Mounts a filesystem on a directory in one call. The directory becomes the working directory:
/// `.` is then that very directory, whatever happens to the path it had.
fn mount_onto(
    place: BorrowedFd<'_>,
    source: &Path,
    kind: &str,
    flags: MountFlags,
    data: Option<&std::ffi::CStr>,
) -> Result<()> {
    rustix::process::fchdir(place).doing(|| "enter the destination")?;
    rustix::mount::mount(source, ".", kind, flags, data)
        .doing(|| format!("mount filesystem {kind}"))
}

/// Refuses a place that is not a character device of these numbers.
pub(crate) fn check_character_device(place: BorrowedFd<'_>, numbers: (u32, u32)) -> Result<()> {
    let status = rustix::fs::fstat(place).doing(|| "look at it")?;
    let found = (rustix::fs::major(status.st_rdev), rustix::fs::minor(status.st_rdev));
    if FileType::from_raw_mode(status.st_mode) == FileType::CharacterDevice && found == numbers {
        return Ok(());
    }
    let (major, minor) = numbers;
    Err(Error::new(Kind::Denied, format!("it is not the character device {major}:{minor}")))
}

/// A device node of the host's, checked. The calling process is still in the host's mount tree.
pub(crate) fn host_place(path: &Path, numbers: (u32, u32)) -> Result<OwnedFd> {
    let doing = || format!("open the host's {}", path.display());
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let place = rustix::fs::open(path, flags, Mode::empty()).doing(doing)?;
    check_character_device(place.as_fd(), numbers).doing(doing)?;
    Ok(place)
}

/// A name in a directory, as a place, without following a link.
pub(crate) fn place_in(
    directory: BorrowedFd<'_>,
    name: &std::ffi::OsStr,
) -> std::io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(directory, name, flags, Mode::empty())?)
}

/// What a name in a directory is, without following a link.
pub(crate) fn status_in(
    directory: BorrowedFd<'_>,
    name: &std::ffi::OsStr,
) -> std::io::Result<rustix::fs::Stat> {
    Ok(rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)?)
}

/// The whole tree of the calling process's mount namespace hears of the host's mounts, and tells
/// the host nothing.
pub(crate) fn withdraw() -> Result<()> {
    use rustix::mount::MountPropagationFlags as Flags;
    rustix::mount::mount_change("/", Flags::REC | Flags::DOWNSTREAM)
        .doing(|| "stop mounts from reaching the host")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destinations_are_absolute_and_never_the_root() {
        assert_eq!(normal(Path::new("dev/../proc//x/.")).unwrap(), Path::new("/proc/x"));
        assert!(normal(Path::new("/a/..")).is_err());
        assert!(normal(Path::new("../..")).is_err());
    }
}
