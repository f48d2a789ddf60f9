//! A filesystem of the kernel's on its way to its place: by one call where that is enough, by steps
//! where its mount is still needed, and by the host's in its stead where the kernel refuses.

use super::{Found, Fresh, Unfinished, move_onto, propagate};
use crate::{copy_up, mappings, options::Options};
use dhow_base::{Doing, Error, Kind, Result};
use dhow_sys::{
    fds::leave_to_exec,
    mount::{Attributes, Propagation, Reach},
};
use rustix::{
    fs::{Mode, OFlags},
    io::Errno,
    mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags},
};
use std::{
    ffi::{CStr, CString},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
};

/// A filesystem of the kernel's to mount.
#[derive(Debug)]
pub(super) struct Filesystem {
    pub(super) kind: String,
    pub(super) source: PathBuf,
    /// The SELinux label of its files.
    pub(super) label: Option<String>,
    /// What is mounted instead where the kernel refuses.
    pub(super) instead: Option<&'static str>,
}

/// The options of a filesystem's own as `mount(2)` takes them.
pub(super) fn words(data: &[String], label: Option<&str>) -> Result<Option<CString>> {
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
    pub(super) fn wants_no_links(&self) -> bool {
        matches!(self.kind.as_str(), "proc" | "sysfs")
    }

    /// Whether its mount is still needed when it is there.
    pub(super) fn needs_steps(&self, options: &Options) -> bool {
        let is_read_only = options.attributes_of_new().contains(MountAttrFlags::MOUNT_ATTR_RDONLY);
        let is_late = self.kind == "tmpfs" && is_read_only || self.root_label().is_some();
        options.copy_up || is_late || !options.propagation.is_empty()
    }

    pub(super) fn mount(
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

    pub(super) fn hinted(&self, error: Error) -> Error {
        let is_invalid = error.errno() == Some(Errno::INVAL.raw_os_error());
        if is_invalid && matches!(self.kind.as_str(), "devpts" | "tmpfs") {
            return error.hint("in a user namespace the ids of uid= and gid= must be mapped");
        }
        error
    }

    /// The label that all its files get by a mount option.
    pub(super) fn option_label(&self) -> Option<&str> {
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

/// Mounts a filesystem on a directory in one call. The directory becomes the working directory:
/// `.` is then that very directory, whatever happens to the path it had.
fn mount_onto(
    place: BorrowedFd<'_>,
    source: &Path,
    kind: &str,
    flags: MountFlags,
    data: Option<&CStr>,
) -> Result<()> {
    rustix::process::fchdir(place).doing(|| "enter the destination")?;
    rustix::mount::mount(source, ".", kind, flags, data).doing(|| match data {
        Some(words) => format!("mount filesystem {kind} with {}", words.to_string_lossy()),
        None => format!("mount filesystem {kind}"),
    })
}
