//! `/sys/fs/cgroup` inside the container.
//!
//! With version 2 alone it is one mount. With version 1 it is a small tmpfs with a directory a
//! hierarchy, as on the host. In a cgroup namespace of its own, a container sees its cgroup as the
//! root of each; without one, its cgroup's directory is bound there.

use crate::{mounts::move_onto, options::Options};
use dhow_base::{Doing, Error, Kind, Result};
use dhow_cgroup::Cgroup;
use dhow_sys::{
    fds::leave_to_exec,
    mount::{self, Attributes, Reach},
};
use rustix::{
    fs::{CWD, FsWord, Mode, OFlags},
    io::Errno,
    mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MoveMountFlags},
};
use std::{
    ffi::CString,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::{Path, PathBuf},
};

const HOST: &str = "/sys/fs/cgroup";

/// As linux/magic.h has it.
const CGROUP2_SUPER_MAGIC: FsWord = 0x6367_7270;

/// How the container sees its cgroup.
#[derive(Debug)]
pub(crate) struct View {
    /// As the root of everything, in a cgroup namespace of its own.
    pub(crate) is_own: bool,
    /// The hierarchies, where they are known already.
    pub(crate) known: Vec<Membership>,
}

/// A line of `/proc/self/cgroup`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Membership {
    /// The controllers of a version 1 hierarchy, or `name=systemd`; empty for version 2.
    controllers: String,
    /// Where in the hierarchy the process is.
    path: String,
}

impl Membership {
    /// Those of a process that is in `cgroup`, and in a cgroup namespace that begins there.
    pub(crate) fn of(cgroup: &Cgroup) -> Vec<Self> {
        let path = || "/".to_owned();
        cgroup.hierarchies().map(|controllers| Self { controllers, path: path() }).collect()
    }

    /// Whether the host shows it. Beside version 1's hierarchies, the kernel names version 2's tree
    /// even where nobody has mounted it, and the container is in no cgroup of its own there.
    fn is_mounted(&self) -> bool {
        !self.controllers.is_empty()
            || rustix::fs::statfs(host_path(self.directory(), ""))
                .is_ok_and(|filesystem| filesystem.f_type == CGROUP2_SUPER_MAGIC)
    }

    fn directory(&self) -> &str {
        match self.controllers.as_str() {
            "" => "unified",
            controllers => controllers.strip_prefix("name=").unwrap_or(controllers),
        }
    }
}

/// Mounts the hierarchies on `destination`. Returns the mount that is still to be made read-only.
pub(crate) fn mount(
    destination: &OwnedFd,
    options: &Options,
    view: &View,
) -> Result<Option<OwnedFd>> {
    let memberships = if view.known.is_empty() { memberships()? } else { view.known.clone() };
    if let [Membership { controllers, path }] = memberships.as_slice()
        && controllers.is_empty()
    {
        mount_version_2(destination.as_fd(), path, options, view.is_own)?;
        return Ok(None);
    }
    let tmpfs = tmpfs(options)?;
    move_onto(tmpfs.as_fd(), destination.as_fd()).doing(|| "attach the cgroup directory")?;
    rustix::process::fchdir(&tmpfs).doing(|| "enter the cgroup directory")?;
    for membership in &memberships {
        mount_hierarchy(tmpfs.as_fd(), membership, options, view.is_own)
            .doing(|| format!("mount cgroup hierarchy {}", membership.directory()))?;
    }
    let read_only = options.set.contains(MountAttrFlags::MOUNT_ATTR_RDONLY);
    Ok(read_only.then_some(tmpfs))
}

/// The process is in its cgroup, and in the host's mount tree still.
fn memberships() -> Result<Vec<Membership>> {
    let doing = || "find the process's cgroups";
    let host = dhow_sys::procfs::Procfs::of_host().doing(doing)?;
    let file = host.open(Path::new("self/cgroup"), OFlags::RDONLY).doing(doing)?;
    // A line a hierarchy: far less than a page, which procfs gives in one piece.
    let mut buffer = [0_u8; 4096];
    let count = rustix::io::read(&file, &mut buffer).doing(doing)?;
    leave_to_exec(file);
    let mut all = parse(&String::from_utf8_lossy(&buffer[..count]));
    if all.len() > 1 {
        all.retain(Membership::is_mounted);
    }
    Ok(all)
}

fn parse(text: &str) -> Vec<Membership> {
    text.lines()
        .filter_map(|line| {
            let mut fields = line.splitn(3, ':').skip(1);
            let (controllers, path) = (fields.next()?.to_owned(), fields.next()?.to_owned());
            Some(Membership { controllers, path })
        })
        .collect()
}

fn mount_version_2(
    destination: BorrowedFd<'_>,
    path: &str,
    options: &Options,
    is_own_view: bool,
) -> Result<()> {
    if is_own_view {
        rustix::process::fchdir(destination).doing(|| "enter the destination")?;
        let mounted = rustix::mount::mount("cgroup2", ".", "cgroup2", options.mount_flags(), None);
        match mounted {
            // The view is another user namespace's, which alone may mount it.
            Err(Errno::PERM) => {}
            // The host's tree is there already, with a sysfs that was bound: mount(2) does not put
            // a filesystem onto itself, whatever part of it is meant.
            Err(Errno::BUSY) => {
                return attach_version_2(destination, options)
                    .doing(|| "mount filesystem cgroup2 over the host's");
            }
            mounted => return mounted.doing(|| "mount filesystem cgroup2"),
        }
    }
    bind(&host_path("", path), destination, "", options)
}

/// Mounts version 2's tree detached and puts it where the same tree may be mounted.
fn attach_version_2(destination: BorrowedFd<'_>, options: &Options) -> std::io::Result<()> {
    let context = rustix::mount::fsopen("cgroup2", FsOpenFlags::FSOPEN_CLOEXEC)?;
    rustix::mount::fsconfig_create(context.as_fd())?;
    let attributes = options.attributes_of_new();
    let flags = FsMountFlags::FSMOUNT_CLOEXEC;
    let tree = rustix::mount::fsmount(context.as_fd(), flags, attributes)?;
    move_onto(tree.as_fd(), destination)
}

/// A tmpfs of a directory a hierarchy, writable until they are made.
fn tmpfs(options: &Options) -> Result<OwnedFd> {
    let doing = || "make the cgroup directory";
    let context = rustix::mount::fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC).doing(doing)?;
    rustix::mount::fsconfig_set_string(context.as_fd(), "mode", "755").doing(doing)?;
    rustix::mount::fsconfig_create(context.as_fd()).doing(doing)?;
    let attributes = options.set - MountAttrFlags::MOUNT_ATTR_RDONLY;
    let flags = FsMountFlags::FSMOUNT_CLOEXEC;
    let mount = rustix::mount::fsmount(context.as_fd(), flags, attributes).doing(doing)?;
    leave_to_exec(context);
    Ok(mount)
}

/// Mounts one hierarchy on a directory of the tmpfs, which is the working directory. It is ours
/// alone, so a name in it is as good as an fd.
fn mount_hierarchy(
    tmpfs: BorrowedFd<'_>,
    membership: &Membership,
    options: &Options,
    is_own_view: bool,
) -> Result<()> {
    let name = membership.directory();
    rustix::fs::mkdirat(tmpfs, name, Mode::from_raw_mode(0o755)).doing(|| "make its directory")?;
    let mounted = if is_own_view {
        match mount_version(membership, name, options.mount_flags()) {
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => false,
            result => result.map(|()| true).doing(|| "mount it")?,
        }
    } else {
        false
    };
    if !mounted {
        bind(&host_path(name, &membership.path), tmpfs, name, options)?;
    }
    link_controllers(tmpfs, name).doing(|| "link its controllers")
}

fn mount_version(membership: &Membership, name: &str, flags: MountFlags) -> std::io::Result<()> {
    let data = match membership.controllers.as_str() {
        "" => return Ok(rustix::mount::mount("cgroup2", name, "cgroup2", flags, None)?),
        named if named.starts_with("name=") => format!("none,{named}"),
        controllers => controllers.to_owned(),
    };
    let data = CString::new(data)?;
    Ok(rustix::mount::mount("cgroup", name, "cgroup", flags, data.as_c_str())?)
}

/// `cpu` and `cpuacct` lead to `cpu,cpuacct`.
fn link_controllers(tmpfs: BorrowedFd<'_>, name: &str) -> std::io::Result<()> {
    if name.contains(',') {
        for controller in name.split(',') {
            match rustix::fs::symlinkat(name, tmpfs, controller) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }
    Ok(())
}

fn host_path(hierarchy: &str, path: &str) -> PathBuf {
    Path::new(HOST).join(hierarchy).join(path.trim_start_matches('/'))
}

/// Binds a cgroup's directory on `name` below an fd; on the fd itself where the name is empty.
fn bind(source: &Path, below: BorrowedFd<'_>, name: &str, options: &Options) -> Result<()> {
    let doing = || format!("bind {}", source.display());
    let attributes = Attributes { set: options.set, clear: options.clear, propagation: None };
    let path = CString::new(source.as_os_str().as_bytes()).map_err(|_| {
        Error::new(Kind::Invalid, format!("bind {}: a zero byte", source.display()))
    })?;
    let copy = mount::copy_at(CWD, &path, attributes, Reach::ThisMount).doing(doing)?;
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    rustix::mount::move_mount(&copy, "", below, name, flags).doing(doing)?;
    leave_to_exec(copy);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memberships_have_the_names_of_their_directories() {
        let memberships = parse("9:name=systemd:/a\n4:cpu,cpuacct:/b:c\n0::/\nnonsense\n");

        let names: Vec<_> = memberships.iter().map(Membership::directory).collect();
        assert_eq!(names, ["systemd", "cpu,cpuacct", "unified"]);
        assert_eq!(memberships[1].path, "/b:c");
    }
}
