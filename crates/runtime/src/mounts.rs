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
    cgroupfs::View,
    copy_up, mappings,
    namespaces::Namespaces,
    options::{self, Options},
};
use dhow_base::{Doing, Error, Kind, Result};
use dhow_spec::runtime::{MountPoint, NamespaceKind, Spec};
use dhow_sys::{
    fds::leave_to_exec,
    mount::{Attributes, Propagation, Reach},
    procfs::Procfs,
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
    Filesystem(Filesystem),
    Cgroup,
    Remount,
}

/// A filesystem of the kernel's to mount.
#[derive(Debug)]
struct Filesystem {
    kind: String,
    source: PathBuf,
    label: Option<String>,
    /// What is mounted instead where the kernel refuses.
    instead: Option<&'static str>,
}

/// Parses all mounts and opens the sources of bind mounts.
pub(crate) fn prepare(
    spec: &Spec,
    bundle: &Path,
    namespaces: &Namespaces,
) -> Result<Vec<Prepared>> {
    let preparation = Preparation { spec, bundle, namespaces };
    refuse_label_without_selinux(spec)?;
    spec.mounts
        .iter()
        .map(|mount| {
            preparation
                .of(mount)
                .doing(|| format!("prepare the mount at {}", mount.destination.display()))
        })
        .collect()
}

/// Without SELinux a label is no option that a filesystem understands, and whoever asks for one
/// relies on it.
fn refuse_label_without_selinux(spec: &Spec) -> Result<()> {
    let label = spec.linux.as_ref().and_then(|linux| linux.mount_label.as_deref());
    let Some(label) = label.filter(|label| !label.is_empty()) else { return Ok(()) };
    let doing = || format!("use linux.mountLabel {label:?}");
    let host = Procfs::of_host().doing(doing)?;
    if host.read("filesystems").doing(doing)?.contains("selinuxfs") {
        return Ok(());
    }
    Err(Error::new(Kind::Unsupported, format!("{}: this kernel runs no SELinux", doing())))
}

/// What a mount's meaning depends on.
#[derive(Clone, Copy, Debug)]
struct Preparation<'a> {
    spec: &'a Spec,
    bundle: &'a Path,
    namespaces: &'a Namespaces,
}

impl Preparation<'_> {
    fn of(self, mount: &MountPoint) -> Result<Prepared> {
        let options = options::parse(&mount.options)?;
        let kind = mount.kind.as_deref().unwrap_or("none");
        let is_bind = options.bind.is_some() || kind == "bind";
        let destination = if options.remount {
            normal(&mount.destination)
        } else {
            below_root(&mount.destination)?
        };
        let what = if options.remount {
            What::Remount
        } else if is_bind {
            self.bind(mount, &options)?
        } else if kind == "cgroup" || kind == "cgroup2" {
            What::Cgroup
        } else {
            What::Filesystem(self.filesystem(mount, kind)?)
        };
        check(&options, is_bind, kind)?;
        let is_mapped = !mount.uid_mappings.is_empty() || !mount.gid_mappings.is_empty();
        if !is_bind && (is_mapped || options.idmap.is_some()) {
            let text = "map the ids of the mount: only those of a bind mount can be mapped";
            return Err(Error::new(Kind::Invalid, text));
        }
        Ok(Prepared { destination, options, what })
    }

    fn bind(self, mount: &MountPoint, options: &Options) -> Result<What> {
        let source = mount.source.as_deref().unwrap_or(Path::new(""));
        if source.as_os_str().is_empty() {
            return Err(Error::new(Kind::Invalid, "bind a mount without a source"));
        }
        let root = self.spec.linux.as_ref().and_then(|linux| linux.rootfs_propagation.as_deref());
        let inherited = match root.and_then(options::propagation) {
            Some((Propagation::Private | Propagation::Unbindable, _)) => Propagation::Private,
            _ => Propagation::Slave,
        };
        let what = open_source(&self.bundle.join(source), options, inherited)?;
        if let What::Bind { tree, .. } = &what {
            self.map_ids(tree, mount, options)?;
        }
        Ok(what)
    }

    fn filesystem(self, mount: &MountPoint, kind: &str) -> Result<Filesystem> {
        let label = self.spec.linux.as_ref().and_then(|linux| linux.mount_label.clone());
        // The kernel labels the files of the others itself.
        let label = label.filter(|label| !label.is_empty() && !matches!(kind, "proc" | "sysfs"));
        Ok(Filesystem {
            kind: kind.to_owned(),
            source: mount.source.clone().unwrap_or_else(|| PathBuf::from(kind)),
            label,
            instead: self.instead_of(kind),
        })
    }

    /// A user namespace may mount only what shows namespaces that it owns. Where the container
    /// shares those with the host, what the host has is what it would see.
    fn instead_of(self, kind: &str) -> Option<&'static str> {
        let shares = |kind| !self.namespaces.is_new(kind);
        match kind {
            "sysfs" => Some("/sys"),
            "mqueue" if shares(NamespaceKind::Ipc) => Some("/dev/mqueue"),
            "proc" if !self.namespaces.is_own(NamespaceKind::Pid) => Some("/proc"),
            _ => None,
        }
    }

    /// Maps the ids of a bind mount: by its own mappings, or else by the container's.
    fn map_ids(self, tree: &OwnedFd, mount: &MountPoint, options: &Options) -> Result<()> {
        let is_mapped = !mount.uid_mappings.is_empty() || !mount.gid_mappings.is_empty();
        let reach = match options.idmap {
            Some(reach) => reach,
            None if is_mapped => options.bind.unwrap_or(Reach::ThisMount),
            None => return Ok(()),
        };
        let map = |ids: BorrowedFd<'_>| {
            dhow_sys::mount::idmap(tree.as_fd(), ids, reach)
                .doing(|| "map the ids of the mount")
                .map_err(|error| match error.errno().map(Errno::from_raw_os_error) {
                    Some(Errno::INVAL) => error.hint("does its filesystem support mapped mounts?"),
                    _ => error,
                })
        };
        if mount.uid_mappings.is_empty() != mount.gid_mappings.is_empty() {
            let text = "map the ids of the mount: uidMappings and gidMappings go together";
            return Err(Error::new(Kind::Invalid, text));
        }
        if is_mapped {
            return map(mappings::namespace(&mount.uid_mappings, &mount.gid_mappings)?.as_fd());
        }
        if let Some(joined) = self.namespaces.joined(NamespaceKind::User) {
            return map(joined.as_fd());
        }
        match &self.spec.linux {
            Some(linux) if !linux.uid_mappings.is_empty() => {
                map(mappings::namespace(&linux.uid_mappings, &linux.gid_mappings)?.as_fd())
            }
            _ => {
                let text = "map the ids of the mount: neither it nor the container has mappings";
                Err(Error::new(Kind::Invalid, text))
            }
        }
    }
}

/// Refuses what the kernel would pass over in silence.
fn check(options: &Options, is_bind: bool, kind: &str) -> Result<()> {
    if is_bind && !options.data.is_empty() {
        let words = options.data.join(",");
        return Err(Error::new(Kind::Invalid, format!("use {words} as options of a bind mount"))
            .hint("a bind mount has no options of a filesystem's own"));
    }
    if options.copy_up && kind != "tmpfs" {
        let text = format!("use the option tmpcopyup with filesystem {kind}");
        return Err(Error::new(Kind::Invalid, text));
    }
    Ok(())
}

/// An absolute path without `.`, `..` and doubled slashes; the specification wants it absolute, and
/// engines write it relative.
fn normal(destination: &Path) -> PathBuf {
    let mut normal = PathBuf::from("/");
    for component in destination.components() {
        match component {
            Component::Normal(name) => normal.push(name),
            Component::ParentDir => drop(normal.pop()),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    normal
}

/// As [`normal`], and not the root itself, which nothing may cover.
fn below_root(destination: &Path) -> Result<PathBuf> {
    let normal = normal(destination);
    if normal == Path::new("/") {
        let text = format!("mount onto the root itself ({})", destination.display());
        return Err(Error::new(Kind::Invalid, text));
    }
    Ok(normal)
}

/// A detached copy of a bind mount's source, with its options. Mounts below the source's place in
/// the host come along as they are now and as the host changes them, unless the options say
/// otherwise; nothing that the container does goes back.
fn open_source(source: &Path, options: &Options, inherited: Propagation) -> Result<What> {
    let doing = || format!("open the source {}", source.display());
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let place = rustix::fs::open(source, flags, Mode::empty()).doing(doing)?;
    let status = rustix::fs::fstat(&place).doing(doing)?;
    let is_directory = FileType::from_raw_mode(status.st_mode) == FileType::Directory;
    let (propagation, later) = match options.propagation.as_slice() {
        [(propagation, Reach::WholeTree), later @ ..] => (Some(*propagation), later),
        // A slave would be shared among its own copies, and not with the host.
        later @ [(Propagation::Shared, Reach::ThisMount), ..] => (None, later),
        later => (Some(inherited), later),
    };
    let attributes = Attributes { set: options.set_tree, clear: options.clear_tree, propagation };
    let reach = options.bind.unwrap_or(Reach::ThisMount);
    let tree =
        dhow_sys::mount::copy(place.as_fd(), attributes, reach).doing(doing).map_err(hinted)?;
    let doing = || format!("set the options of {}", source.display());
    if options.changes_mount() {
        let attributes = Attributes { set: options.set, clear: options.clear, propagation: None };
        dhow_sys::mount::set_attributes(tree.as_fd(), attributes, Reach::ThisMount)
            .doing(doing)
            .map_err(hinted)?;
    }
    propagate(tree.as_fd(), later).doing(doing)?;
    Ok(What::Bind { tree, is_directory })
}

/// Changes how a mount propagates, step by step.
fn propagate(mount: BorrowedFd<'_>, changes: &[(Propagation, Reach)]) -> std::io::Result<()> {
    changes.iter().try_for_each(|(propagation, reach)| {
        let attributes = Attributes::propagating(*propagation);
        dhow_sys::mount::set_attributes(mount, attributes, *reach)
    })
}

/// In a user namespace, what the host's mount is protected by cannot be taken away, and a tree
/// cannot be taken apart. What an option does not name stays as it is, so a read-only bind of a
/// `nosuid` source is no problem.
fn hinted(error: Error) -> Error {
    match error.errno().map(Errno::from_raw_os_error) {
        Some(Errno::PERM) => {
            error.hint("in a user namespace an option of the host's mount cannot be undone")
        }
        Some(Errno::INVAL) => {
            error.hint("in a user namespace a mount is bound with all below it: use rbind")
        }
        _ => error,
    }
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

/// The options of a filesystem's own as `mount(2)` takes them.
fn words(data: &[String], label: Option<&str>) -> Result<Option<CString>> {
    let mut words = data.to_vec();
    words.extend(label.map(|label| format!("context=\"{label}\"")));
    if words.is_empty() {
        return Ok(None);
    }
    CString::new(words.join(","))
        .map(Some)
        .map_err(|_| Error::new(Kind::Invalid, "use mount options with a zero byte"))
}

impl Filesystem {
    fn wants_no_links(&self) -> bool {
        matches!(self.kind.as_str(), "proc" | "sysfs")
    }

    /// Whether its mount is still needed when it is there.
    fn needs_steps(&self, options: &Options) -> bool {
        let is_read_only = options.attributes_of_new().contains(MountAttrFlags::MOUNT_ATTR_RDONLY);
        let is_late = self.kind == "tmpfs" && is_read_only || self.root_label().is_some();
        options.copy_up || is_late || !options.propagation.is_empty()
    }

    fn mount(
        &self,
        options: &Options,
        destination: &OwnedFd,
        found: Found,
        is_dev: bool,
        unfinished: &mut Unfinished,
    ) -> Result<()> {
        let is_tmpfs = self.kind == "tmpfs";
        let mut data = options.data.clone();
        if is_tmpfs && found == Found::There && !data.iter().any(|word| word.starts_with("mode=")) {
            // The directory that is hidden tells who may use it: /tmp stays open for all.
            let status = rustix::fs::fstat(destination).doing(|| "look at the destination")?;
            data.push(format!("mode={:o}", status.st_mode & 0o7777));
        }
        if self.needs_steps(options) {
            return self.mount_by_steps(options, &data, destination, unfinished);
        }
        if is_tmpfs && is_dev {
            // What comes below it goes by an fd that nobody can have swapped.
            let directory = self.detached(options, &data).map_err(|error| self.hinted(error))?;
            move_onto(directory.as_fd(), destination.as_fd()).doing(|| "attach the mount")?;
            unfinished.fresh = Some(Fresh { directory, is_entered: false });
            return Ok(());
        }
        let text = words(&data, self.option_label())?;
        let mounted = mount_onto(
            destination.as_fd(),
            &self.source,
            &self.kind,
            options.mount_flags(),
            text.as_deref(),
        );
        match (mounted, self.instead) {
            (Err(error), Some(host))
                if error.kind() == Kind::Denied && mappings::is_ordinary_user() =>
            {
                bind_instead(host, options, destination).map_err(|_unbindable| error)
            }
            (result, _) => result.map_err(|error| self.hinted(error)),
        }
    }

    fn hinted(&self, error: Error) -> Error {
        let is_invalid = error.errno() == Some(Errno::INVAL.raw_os_error());
        if is_invalid && matches!(self.kind.as_str(), "devpts" | "tmpfs") {
            return error.hint("in a user namespace the ids of uid= and gid= must be mapped");
        }
        error
    }

    /// The label that all its files get by a mount option.
    fn option_label(&self) -> Option<&str> {
        self.label.as_deref().filter(|_| self.kind != "mqueue")
    }

    /// The label of the root of a filesystem that is there before it is mounted, and takes no option
    /// any more: the message queues of an IPC namespace.
    fn root_label(&self) -> Option<&str> {
        self.label.as_deref().filter(|_| self.kind == "mqueue")
    }

    /// Mounts a filesystem whose mount is still needed: to fill it, to make it read-only later, or
    /// to change how it propagates.
    fn mount_by_steps(
        &self,
        options: &Options,
        data: &[String],
        destination: &OwnedFd,
        unfinished: &mut Unfinished,
    ) -> Result<()> {
        let mount = self.detached(options, data)?;
        if options.copy_up {
            copy_up::copy(destination.as_fd(), mount.as_fd(), data)
                .doing(|| "copy what the tmpfs hides into it")?;
        }
        if let Some(label) = self.root_label() {
            label_root(mount.as_fd(), label).doing(|| format!("give it the label {label}"))?;
        }
        move_onto(mount.as_fd(), destination.as_fd()).doing(|| "attach the mount")?;
        propagate(mount.as_fd(), &options.propagation)
            .doing(|| "change how the mount propagates")?;
        if options.attributes_of_new().contains(MountAttrFlags::MOUNT_ATTR_RDONLY) {
            unfinished.writable.push(mount);
        }
        Ok(())
    }

    /// The filesystem attached to nothing, and writable still.
    fn detached(&self, options: &Options, data: &[String]) -> Result<OwnedFd> {
        let kind = self.kind.as_str();
        let opened = rustix::mount::fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)
            .doing(|| format!("open filesystem {kind}"))?;
        let context = opened.as_fd();
        rustix::mount::fsconfig_set_string(context, "source", &self.source)
            .doing(|| format!("use the source {}", self.source.display()))?;
        let own = options.filesystem_words().map(str::to_owned);
        let label = self.option_label().map(|label| format!("context={label}"));
        for word in data.iter().cloned().chain(own).chain(label) {
            match word.split_once('=') {
                Some((key, value)) => rustix::mount::fsconfig_set_string(context, key, value),
                None => rustix::mount::fsconfig_set_flag(context, word.as_str()),
            }
            .doing(|| format!("use the option {word}"))?;
        }
        rustix::mount::fsconfig_create(context).doing(|| format!("make filesystem {kind}"))?;
        let attributes = options.attributes_of_new() - MountAttrFlags::MOUNT_ATTR_RDONLY;
        let mount = rustix::mount::fsmount(context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
            .doing(|| format!("mount filesystem {kind}"))?;
        leave_to_exec(opened);
        Ok(mount)
    }
}

/// Labels the root directory of a detached mount.
fn label_root(mount: BorrowedFd<'_>, label: &str) -> std::io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::openat(mount, ".", flags, Mode::empty())?;
    let (name, value) = ("security.selinux", label.as_bytes());
    Ok(rustix::fs::fsetxattr(&root, name, value, rustix::fs::XattrFlags::empty())?)
}

/// Binds what the host has, with all below it, protected as the options ask.
fn bind_instead(host: &str, options: &Options, destination: &OwnedFd) -> Result<()> {
    let doing = || format!("bind the host's {host} instead");
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let place = rustix::fs::open(host, flags, Mode::empty()).doing(doing)?;
    let attributes = Attributes {
        set: options.attributes_of_new(),
        clear: MountAttrFlags::empty(),
        propagation: Some(Propagation::Slave),
    };
    let copy = dhow_sys::mount::copy(place.as_fd(), attributes, Reach::WholeTree).doing(doing)?;
    move_onto(copy.as_fd(), destination.as_fd()).doing(doing)
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
    rustix::mount::mount(source, ".", kind, flags, data).doing(|| match data {
        Some(words) => format!("mount filesystem {kind} with {}", words.to_string_lossy()),
        None => format!("mount filesystem {kind}"),
    })
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
pub(crate) fn host_place(path: &Path, kind: FileType, numbers: (u32, u32)) -> Result<OwnedFd> {
    let doing = || format!("open the host's {}", path.display());
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let place = rustix::fs::open(path, flags, Mode::empty()).doing(doing)?;
    check_device(place.as_fd(), kind, numbers).doing(doing)?;
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
        assert_eq!(below_root(Path::new("dev/../proc//x/.")).unwrap(), Path::new("/proc/x"));
        assert!(below_root(Path::new("/a/..")).is_err());
        assert!(below_root(Path::new("../..")).is_err());
    }
}
