//! Devices of the host's in a container: `--device` and `--privileged`.

use crate::options::DeviceOption;
use dhow_base::{Doing, Error, Kind, Result};
use dhow_spec::runtime::{Device, DeviceRule};
use rustix::fs::{AtFlags, CWD, FileType, Stat};
use std::path::{Path, PathBuf};

/// What the runtime makes by itself, and what is a file system of its own below `/dev`.
const NOT_COPIED: [&str; 8] = [
    "/dev/pts",
    "/dev/shm",
    "/dev/mqueue",
    "/dev/fd",
    "/dev/.udev",
    "/dev/console",
    "/dev/hugepages",
    "/dev/net/tun.lock",
];
const DEPTH_LIMIT: usize = 8;

/// The rule that allows everything.
pub(crate) fn allow_all() -> DeviceRule {
    DeviceRule { allow: true, access: Some("rwm".to_owned()), ..DeviceRule::default() }
}

/// The nodes and the rules of one `--device`; of a directory, of all nodes below it, as docker has
/// it.
pub(crate) fn passed_in(option: &DeviceOption) -> Result<Vec<(Device, DeviceRule)>> {
    let doing = || format!("pass in device {}", option.host.display());
    let status = rustix::fs::statat(CWD, &option.host, AtFlags::empty()).doing(doing)?;
    if FileType::from_raw_mode(status.st_mode) == FileType::Directory {
        return below(option).doing(doing);
    }
    let device = device(&option.container, &status).ok_or_else(|| {
        Error::new(Kind::Invalid, format!("{}: it is not a device", doing()))
            .hint("a file is mounted with -v")
    })?;
    Ok(vec![with_rule(device, option)])
}

fn below(option: &DeviceOption) -> Result<Vec<(Device, DeviceRule)>> {
    let mut devices = Vec::new();
    collect(&option.host, 0, &mut devices)?;
    if devices.is_empty() {
        return Err(Error::new(Kind::Invalid, "there is no device below it")
            .hint("a directory of files is mounted with -v"));
    }
    let moved = devices.into_iter().map(|device| {
        let inside = device.path.strip_prefix(&option.host).unwrap_or(&device.path);
        let path = option.container.join(inside);
        with_rule(Device { path, ..device }, option)
    });
    Ok(moved.collect())
}

fn with_rule(device: Device, option: &DeviceOption) -> (Device, DeviceRule) {
    let rule = DeviceRule {
        allow: true,
        kind: Some(device.kind.clone()),
        major: Some(device.major),
        minor: Some(device.minor),
        access: Some(option.access.clone()),
    };
    (device, rule)
}

/// A node of the host's.
pub(crate) fn node(path: &Path) -> Result<Device> {
    let doing = || format!("look at the device {}", path.display());
    let status = rustix::fs::statat(CWD, path, AtFlags::empty()).doing(doing)?;
    device(path, &status)
        .ok_or_else(|| Error::new(Kind::Invalid, format!("{}: it is not a device", doing())))
}

/// All device nodes below `/dev`, for privileged containers.
pub(crate) fn of_host() -> Result<Vec<Device>> {
    let mut devices = Vec::new();
    collect(Path::new("/dev"), 0, &mut devices).doing(|| "list the host's devices")?;
    Ok(devices)
}

fn collect(directory: &Path, depth: usize, devices: &mut Vec<Device>) -> Result<()> {
    let entries = std::fs::read_dir(directory).doing(|| format!("read {}", directory.display()))?;
    for entry in entries {
        let path: PathBuf = entry.doing(|| format!("read {}", directory.display()))?.path();
        if NOT_COPIED.iter().any(|skipped| path == Path::new(skipped)) {
            continue;
        }
        // A node may vanish while we look; a link is left out, as in docker.
        let Ok(status) = rustix::fs::statat(CWD, &path, AtFlags::SYMLINK_NOFOLLOW) else {
            continue;
        };
        if FileType::from_raw_mode(status.st_mode) == FileType::Directory && depth < DEPTH_LIMIT {
            collect(&path, depth + 1, devices)?;
        } else if let Some(device) = device(&path, &status) {
            devices.push(device);
        }
    }
    Ok(())
}

fn device(path: &Path, status: &Stat) -> Option<Device> {
    let kind = match FileType::from_raw_mode(status.st_mode) {
        FileType::CharacterDevice => "c",
        FileType::BlockDevice => "b",
        _ => return None,
    };
    Some(Device {
        kind: kind.to_owned(),
        path: path.to_owned(),
        major: rustix::fs::major(status.st_rdev).into(),
        minor: rustix::fs::minor(status.st_rdev).into(),
        file_mode: Some(status.st_mode & 0o7777),
        uid: Some(status.st_uid),
        gid: Some(status.st_gid),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_passed_in_by_its_numbers_and_a_file_is_not() {
        let option = |host: &str| DeviceOption {
            host: host.into(),
            container: "/dev/mine".into(),
            access: "rw".into(),
        };

        let (device, rule) = passed_in(&option("/dev/null")).unwrap().remove(0);

        assert_eq!((device.kind.as_str(), device.major, device.minor), ("c", 1, 3));
        assert_eq!(rule.access.as_deref(), Some("rw"));
        assert_eq!(passed_in(&option("/etc/passwd")).unwrap_err().kind(), Kind::Invalid);
        assert_eq!(passed_in(&option("/dev/nothing")).unwrap_err().kind(), Kind::NotFound);
    }

    #[test]
    fn of_a_directory_all_devices_are_passed_in_to_the_same_places() {
        let option =
            DeviceOption { host: "/dev".into(), container: "/dev/mine".into(), access: "r".into() };

        let all = passed_in(&option).unwrap();

        let null = all.iter().find(|(device, _)| device.path == Path::new("/dev/mine/null"));
        assert_eq!(null.unwrap().1.access.as_deref(), Some("r"));
        let empty = DeviceOption { host: "/etc/ssl".into(), ..option };
        assert!(passed_in(&empty).is_err());
    }
}
