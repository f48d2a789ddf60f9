//! What is asked of a mount, understood before anything is mounted: its options parsed, the source of
//! a bind mount opened and copied in the host's view, its ids mapped. What the kernel would pass over
//! in silence is refused here.

use super::{Filesystem, Prepared, What, propagate, union};
use crate::{
    mappings,
    namespaces::{self, Namespaces},
    options::{self, Options},
};
use dhow_base::{Doing, Error, Kind, Result};
use dhow_spec::runtime::{Linux, MountPoint, NamespaceKind, Spec};
use dhow_sys::{
    mount::{Attributes, Propagation, Reach},
    procfs::Procfs,
    root::Root,
};
use rustix::{
    fs::{FileType, Mode, OFlags},
    io::Errno,
};
use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Component, Path, PathBuf},
};

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
    let Some(label) = spec.linux.as_ref().and_then(Linux::label) else { return Ok(()) };
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
    namespaces: &'a Namespaces<'a>,
}

impl Preparation<'_> {
    fn of(self, mount: &MountPoint) -> Result<Prepared> {
        let mut options = options::parse(&mount.options)?;
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
            let subpath = options.take_subpath();
            match options.take_mount_namespace() {
                Some(path) => self.bind_of_another(mount, &options, &path)?,
                None => self.bind(mount, &options, subpath.as_deref())?,
            }
        } else if let Some(layers) = union::asked_for(kind, &options.data)? {
            let subpath = options.take_subpath();
            options.data.clear();
            let label = self.spec.linux.as_ref().and_then(Linux::label);
            union::open(&layers, subpath.as_deref(), &options, label)?
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

    fn bind(self, mount: &MountPoint, options: &Options, subpath: Option<&Path>) -> Result<What> {
        let source = mount.source.as_deref().unwrap_or(Path::new(""));
        if source.as_os_str().is_empty() {
            return Err(Error::new(Kind::Invalid, "bind a mount without a source"));
        }
        let root = self.spec.linux.as_ref().and_then(|linux| linux.rootfs_propagation.as_deref());
        let inherited = match root.and_then(options::propagation) {
            Some((Propagation::Private | Propagation::Unbindable, _)) => Propagation::Private,
            _ => Propagation::Slave,
        };
        let what = open_source(&self.bundle.join(source), subpath, options, inherited)?;
        if let What::Bind { tree, .. } = &what {
            self.map_ids(tree, mount, options)?;
        }
        Ok(what)
    }

    /// Binds what another container has mounted at the source. It is looked for in that container's
    /// mount namespace, whose root is the container's: so no link of the container's leads out of it.
    fn bind_of_another(
        self,
        mount: &MountPoint,
        options: &Options,
        namespace: &Path,
    ) -> Result<What> {
        let entered = namespaces::open(namespace, NamespaceKind::Mount)?;
        let targets = [(NamespaceKind::Mount, entered.as_fd())];
        namespaces::visit(&targets, || self.bind(mount, options, None), |_| false)
    }

    fn filesystem(self, mount: &MountPoint, kind: &str) -> Result<Filesystem> {
        let label = self.spec.linux.as_ref().and_then(Linux::label);
        // The kernel labels the files of the others itself.
        let label = label.filter(|_| !matches!(kind, "proc" | "sysfs")).map(str::to_owned);
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
            // Only "ridmap" says that the mounts below are meant too, as in runc.
            None if is_mapped => Reach::ThisMount,
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
fn open_source(
    source: &Path,
    subpath: Option<&Path>,
    options: &Options,
    inherited: Propagation,
) -> Result<What> {
    let doing = || format!("open the source {}", source.display());
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let place = rustix::fs::open(source, flags, Mode::empty()).doing(doing)?;
    let place = match subpath {
        Some(subpath) => open_beneath(place.as_fd(), subpath).doing(doing)?,
        None => place,
    };
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

/// A path in a source that somebody in a container may be changing: it never leads out of it
/// (CVE-2021-25741).
pub(super) fn open_beneath(source: BorrowedFd<'_>, subpath: &Path) -> Result<OwnedFd> {
    let doing = || format!("open {} in it", subpath.display());
    Root::new(source).place_beneath(subpath).doing(doing).map_err(|error| {
        match error.errno().map(Errno::from_raw_os_error) {
            Some(Errno::XDEV) => {
                Error::new(Kind::Denied, format!("{}: it leads out of it", doing()))
            }
            _ => error,
        }
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
