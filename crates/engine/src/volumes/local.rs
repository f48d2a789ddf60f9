//! Options of the local driver, as docker and podman have them: `type`, `device` and `o`.
//!
//! ```text
//!  type=tmpfs  device=tmpfs  o=size=100m,uid=1000     a file system of its own
//!  type=none   device=/path  o=bind                   a directory of the host's
//!  o=size=10g,inodes=5000,uid=5,gid=5,nocopy          a plain directory, bounded and owned
//! ```

use super::Volumes;
use dhow_base::{Doing, Error, Kind, Result, size};
use dhow_state::{
    containers::Phase,
    volumes::{self, Volume as Row},
};
use dhow_sys::mount::{Attributes, Propagation, Reach};
use rustix::{
    fs::{CWD, Mode, OFlags},
    mount::{MountAttrFlags, MountFlags, MoveMountFlags, UnmountFlags},
};
use std::{
    collections::BTreeMap,
    ffi::CString,
    net::IpAddr,
    os::fd::AsFd,
    path::{Path, PathBuf},
};

/// What a volume's options ask for.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Plan {
    /// The file system that its data is.
    pub(crate) mount: Option<Source>,
    /// What the directory may take, where it is a plain one.
    pub(crate) bytes: Option<u64>,
    /// How many files may be in it.
    pub(crate) inodes: Option<u64>,
    /// The directory's owner.
    pub(crate) uid: Option<u32>,
    /// The directory's group.
    pub(crate) gid: Option<u32>,
    /// Nothing of an image goes into it.
    pub(crate) no_copy: bool,
}

/// What is mounted as a volume's data.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Source {
    /// A directory of the host's, with what is mounted below it or without.
    Bind { path: PathBuf, reach: Reach, words: Vec<String> },
    /// A file system.
    FileSystem { kind: String, device: String, words: Vec<String> },
}

impl Plan {
    /// Reads the options; what the driver does not know is an error.
    pub(crate) fn parse(options: &BTreeMap<String, String>) -> Result<Self> {
        let invalid = |text: String| Error::new(Kind::Invalid, text);
        let (mut kind, mut device, mut words) = ("", "", Vec::new());
        let mut plan = Self::default();
        for (name, value) in options {
            match name.as_str() {
                "type" => kind = value,
                "device" => device = value,
                "o" => words = value.split(',').filter(|word| !word.is_empty()).collect(),
                "size" => plan.bytes = Some(bytes(value)?),
                "copy" => {}
                "nocopy" => plan.no_copy = true,
                _ => {
                    return Err(invalid(format!("use the option {name} of a local volume"))
                        .hint("there are type, device and o, as of mount(8), and size"));
                }
            }
        }
        if kind.is_empty() && device.is_empty() {
            plan.take_words(&words)?;
            return Ok(plan);
        }
        let words: Vec<String> = words.into_iter().map(str::to_owned).collect();
        if plan.bytes.is_some() {
            return Err(invalid("bound the size of a file system that is mounted".to_owned())
                .hint("a tmpfs takes o=size=…"));
        }
        plan.mount = Some(source(kind, device, words)?);
        Ok(plan)
    }

    fn take_words(&mut self, words: &[&str]) -> Result<()> {
        for word in words {
            let invalid = || Error::new(Kind::Invalid, format!("use {word} of a local volume"));
            let number = |value: &str| value.parse().map_err(|_| invalid());
            match word.split_once('=') {
                Some(("size", value)) => self.bytes = Some(bytes(value)?),
                Some(("inodes", value)) => {
                    self.inodes = Some(value.parse().map_err(|_| invalid())?);
                }
                Some(("uid" | "UID", value)) => self.uid = Some(number(value)?),
                Some(("gid" | "GID", value)) => self.gid = Some(number(value)?),
                None if matches!(*word, "nocopy" | "noquota") => {
                    self.no_copy |= *word == "nocopy";
                }
                None if *word == "copy" => {}
                _ => {
                    return Err(invalid().hint(
                        "without type and device there are size=, inodes=, uid=, gid= and nocopy",
                    ));
                }
            }
        }
        Ok(())
    }

    /// Whether the size of a plain directory is bounded.
    pub(crate) fn is_bounded(&self) -> bool {
        self.bytes.is_some() || self.inodes.is_some()
    }
}

fn bytes(value: &str) -> Result<u64> {
    size::parse_bytes(value)
        .map_err(|_| Error::new(Kind::Invalid, format!("use size={value}: it is no size")))
}

fn source(kind: &str, device: &str, words: Vec<String>) -> Result<Source> {
    let invalid = |text: String| Error::new(Kind::Invalid, text);
    let reach = match () {
        () if words.iter().any(|word| word == "rbind") => Some(Reach::WholeTree),
        () if words.iter().any(|word| word == "bind") || kind == "bind" => Some(Reach::ThisMount),
        () => None,
    };
    if let Some(reach) = reach {
        if !device.starts_with('/') {
            return Err(invalid(format!("bind {device:?}: the device is no absolute path")));
        }
        let words: Vec<String> =
            words.into_iter().filter(|word| word != "bind" && word != "rbind").collect();
        attributes(&words)?;
        return Ok(Source::Bind { path: device.into(), reach, words });
    }
    if kind.is_empty() || kind == "none" {
        return Err(invalid(format!("mount {device}: the type is missing"))
            .hint("--opt type=…, or --opt o=bind for a directory of the host's"));
    }
    if device.is_empty() && kind != "tmpfs" {
        return Err(
            invalid(format!("mount a {kind}: the device is missing")).hint("--opt device=…")
        );
    }
    if kind.starts_with("nfs") {
        check_address(&words)?;
    }
    let device = if device.is_empty() { kind } else { device };
    Ok(Source::FileSystem { kind: kind.to_owned(), device: device.to_owned(), words })
}

/// The kernel looks up no names, and no program of the host's does it for us.
fn check_address(words: &[String]) -> Result<()> {
    let address = words.iter().find_map(|word| word.strip_prefix("addr="));
    match address {
        Some(address) if address.parse::<IpAddr>().is_ok() => Ok(()),
        Some(address) => Err(Error::new(Kind::Unsupported, format!("mount from {address}"))
            .hint("addr= must be a number, such as addr=10.0.0.2")),
        None => Err(Error::new(Kind::Invalid, "mount an nfs: the server's address is missing")
            .hint("--opt o=addr=10.0.0.2,…")),
    }
}

/// Words of `o` that are attributes of a bind mount.
fn attributes(words: &[String]) -> Result<MountAttrFlags> {
    let mut set = MountAttrFlags::empty();
    for word in words {
        set |= match word.as_str() {
            "ro" => MountAttrFlags::MOUNT_ATTR_RDONLY,
            "nosuid" => MountAttrFlags::MOUNT_ATTR_NOSUID,
            "nodev" => MountAttrFlags::MOUNT_ATTR_NODEV,
            "noexec" => MountAttrFlags::MOUNT_ATTR_NOEXEC,
            "rw" | "suid" | "dev" | "exec" | "private" | "rprivate" => MountAttrFlags::empty(),
            _ => {
                return Err(Error::new(Kind::Invalid, format!("use {word} of a bind mount"))
                    .hint("there are ro, nosuid, nodev, noexec and their opposites"));
            }
        };
    }
    Ok(set)
}

impl Volumes<'_> {
    /// Mounts a volume's file system on its data, where it has one and it is not there yet. For who
    /// holds the lock.
    pub(super) fn attach(&self, row: &Row) -> Result<()> {
        let Some(source) = super::Settings::of(row)?.plan()?.mount else { return Ok(()) };
        let place = self.layout.volume_data(&row.name);
        if is_mounted(&place)? {
            return Ok(());
        }
        mount(&source, &place).doing(|| format!("mount what volume {} is", row.name))
    }

    /// Unmounts a volume's file system where nobody uses it any more. `but` has ended, whatever its
    /// row says. For who holds the lock.
    pub(super) fn detach_unused(
        &self,
        name: &dhow_base::id::Name,
        but: Option<&dhow_base::id::ContainerId>,
    ) -> Result<()> {
        let Some(row) = volumes::find(self.state.read(), name)? else { return Ok(()) };
        let boot = crate::start::boot_id()?;
        if row.users > 0 && row.boot.as_deref() == Some(boot.as_str()) {
            return Ok(());
        }
        let users = volumes::users(self.state.read(), name)?;
        let runs = |phase| !matches!(phase, Phase::Created | Phase::Exited | Phase::Removing);
        if users.iter().any(|user| Some(&user.id) != but && runs(user.phase)) {
            return Ok(());
        }
        unmount_all(&self.layout.volume_data(name))
    }
}

fn mount(source: &Source, place: &Path) -> Result<()> {
    match source {
        Source::Bind { path, reach, words } => bind(path, *reach, attributes(words)?, place),
        Source::FileSystem { kind, device, words } => {
            let (flags, data) = split(words);
            let data = CString::new(data.join(","))
                .map_err(|_| Error::new(Kind::Invalid, "use options with a zero byte in them"))?;
            rustix::mount::mount(device.as_str(), place, kind.as_str(), flags, data.as_c_str())
                .doing(|| format!("mount {device} as {kind}"))
        }
    }
}

fn bind(path: &Path, reach: Reach, set: MountAttrFlags, place: &Path) -> Result<()> {
    let doing = || format!("bind {}", path.display());
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let source = rustix::fs::open(path, flags, Mode::empty()).doing(doing)?;
    let attributes =
        Attributes { set, clear: MountAttrFlags::empty(), propagation: Some(Propagation::Private) };
    let copy = dhow_sys::mount::copy(source.as_fd(), attributes, reach).doing(doing)?;
    let onto = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    rustix::mount::move_mount(copy.as_fd(), "", CWD, place, onto).doing(doing)
}

/// Words of `mount(8)` as flags, and what only the file system understands.
fn split(words: &[String]) -> (MountFlags, Vec<&str>) {
    let mut flags = MountFlags::empty();
    let mut data = Vec::new();
    for word in words {
        match word.as_str() {
            "ro" => flags |= MountFlags::RDONLY,
            "nosuid" => flags |= MountFlags::NOSUID,
            "nodev" => flags |= MountFlags::NODEV,
            "noexec" => flags |= MountFlags::NOEXEC,
            "noatime" => flags |= MountFlags::NOATIME,
            "nodiratime" => flags |= MountFlags::NODIRATIME,
            "sync" => flags |= MountFlags::SYNCHRONOUS,
            "dirsync" => flags |= MountFlags::DIRSYNC,
            "rw" | "suid" | "dev" | "exec" | "async" | "defaults" | "relatime" | "atime" => {}
            word => data.push(word),
        }
    }
    (flags, data)
}

/// Is the root of a mount at this path?
pub(super) fn is_mounted(path: &Path) -> Result<bool> {
    dhow_sys::mount::is_root_at(path)
        .doing(|| format!("look whether {} is a mount", path.display()))
}

/// Unmounts whatever is mounted at a path.
pub(super) fn unmount_all(path: &Path) -> Result<()> {
    while is_mounted(path)? {
        rustix::mount::unmount(path, UnmountFlags::NOFOLLOW)
            .doing(|| format!("unmount {}", path.display()))
            .map_err(|error| match error.kind() {
                Kind::Conflict => error.hint("a process of the host's works in it"),
                _ => error,
            })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(options: &[(&str, &str)]) -> Result<Plan> {
        let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Plan::parse(&options.iter().map(pair).collect())
    }

    #[test]
    fn options_are_those_of_docker_and_podman() {
        assert_eq!(plan(&[]).unwrap(), Plan::default());
        let own = plan(&[("o", "size=1m,inodes=9,uid=5,gid=6,nocopy")]).unwrap();
        assert_eq!(
            (own.bytes, own.inodes, own.uid, own.gid),
            (Some(1 << 20), Some(9), Some(5), Some(6))
        );
        assert!(own.no_copy && own.mount.is_none() && own.is_bounded());
        let tmpfs = plan(&[("type", "tmpfs"), ("o", "size=1m,nosuid")]).unwrap().mount.unwrap();
        assert_eq!(
            tmpfs,
            Source::FileSystem {
                kind: "tmpfs".into(),
                device: "tmpfs".into(),
                words: vec!["size=1m".into(), "nosuid".into()]
            }
        );
        let bind = plan(&[("type", "none"), ("device", "/srv"), ("o", "rbind,ro")]).unwrap();
        assert_eq!(
            bind.mount.unwrap(),
            Source::Bind { path: "/srv".into(), reach: Reach::WholeTree, words: vec!["ro".into()] }
        );
    }

    #[test]
    fn what_cannot_be_mounted_is_refused_at_the_creation() {
        let cases: [&[(&str, &str)]; 10] = [
            &[("bogus", "1")],
            &[("o", "bogus")],
            &[("o", "size=much")],
            &[("o", "uid=x")],
            &[("device", "/srv")],
            &[("type", "ext4")],
            &[("type", "none"), ("o", "bind"), ("device", "relative")],
            &[("type", "none"), ("o", "bind,size=1m"), ("device", "/srv")],
            &[("type", "nfs"), ("device", ":/x")],
            &[("type", "nfs"), ("device", ":/x"), ("o", "addr=server.example")],
        ];
        for options in cases {
            assert!(plan(options).is_err(), "{options:?}");
        }
        assert!(plan(&[("type", "nfs"), ("device", ":/x"), ("o", "addr=10.0.0.2,ro")]).is_ok());
    }
}
