//! What else the process finds: the kernel's parameters and its word for the machine, the clock's
//! zone, memory in place of directories.

use crate::options::CreateOptions;
use dhow_base::{Doing, Error, Kind, Result};
use dhow_spec::runtime::{Linux, MountPoint, Personality};
use rustix::fs::FileType;
use std::path::{Component, Path, PathBuf};

/// Sets parameters and the execution domain.
pub(super) fn set(linux: &mut Linux, options: &CreateOptions) {
    let asked = &options.surroundings;
    linux.sysctl.extend(asked.sysctls.iter().cloned());
    if let Some(domain) = &asked.personality {
        linux.personality = Some(Personality { domain: domain.clone(), ..Personality::default() });
    }
}

/// What is mounted for them.
pub(super) fn mounts(options: &CreateOptions) -> Result<Vec<MountPoint>> {
    let asked = &options.surroundings;
    let mut mounts = Vec::new();
    if let Some(zone) = &asked.zone {
        mounts.push(MountPoint {
            destination: "/etc/localtime".into(),
            kind: Some("bind".to_owned()),
            source: Some(zone_file(zone)?),
            options: ["rbind", "rprivate", "ro"].map(str::to_owned).to_vec(),
            ..MountPoint::default()
        });
    }
    if options.read_only && asked.read_only_tmpfs == Some(true) {
        mounts.extend(["/run", "/tmp", "/var/tmp"].map(written_in_memory));
    }
    Ok(mounts)
}

/// podman's directories that stay writable in a read-only root.
fn written_in_memory(target: &str) -> MountPoint {
    let mode = if target == "/run" { "mode=0755" } else { "mode=1777" };
    let options = ["nosuid", "nodev", "rprivate", "tmpcopyup", mode];
    MountPoint {
        destination: target.into(),
        kind: Some("tmpfs".to_owned()),
        source: Some("tmpfs".into()),
        options: options.map(str::to_owned).to_vec(),
        ..MountPoint::default()
    }
}

/// Where the host keeps a time zone.
fn zone_file(zone: &str) -> Result<PathBuf> {
    let doing = || format!("use the time zone {zone:?}");
    let is_name = !zone.is_empty()
        && Path::new(zone).components().all(|part| matches!(part, Component::Normal(_)));
    if !is_name {
        return Err(Error::new(Kind::Invalid, format!("{}: it is not a name", doing())));
    }
    let path = match zone {
        "local" => PathBuf::from("/etc/localtime"),
        _ => Path::new("/usr/share/zoneinfo").join(zone),
    };
    let status = rustix::fs::stat(&path).doing(doing).map_err(|error| {
        error.hint("names are those below /usr/share/zoneinfo, such as Europe/Berlin, or local")
    })?;
    if FileType::from_raw_mode(status.st_mode) != FileType::RegularFile {
        return Err(Error::new(Kind::Invalid, format!("{}: it is not a zone", doing())));
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::{super::tests::merged, *};

    #[test]
    fn the_last_value_of_a_parameter_counts_as_in_docker() {
        let mut options = CreateOptions::of("web");
        let pair = |value: &str| ("net.ipv4.ip_forward".to_owned(), value.to_owned());
        options.surroundings.sysctls = vec![pair("0"), pair("1")];
        options.surroundings.personality = Some("LINUX32".into());
        options.surroundings.umask = Some(0o77);

        let spec = merged(&options).unwrap().0;

        let linux = spec.linux.unwrap();
        assert_eq!(linux.sysctl["net.ipv4.ip_forward"], "1");
        assert_eq!(linux.personality.unwrap().domain, "LINUX32");
        assert_eq!(spec.process.unwrap().user.umask, Some(0o77));
    }

    #[test]
    fn a_read_only_root_keeps_podmans_directories_writable_where_asked() {
        let targets = |read_only: bool, asked: Option<bool>| {
            let mut options = CreateOptions::of("web");
            options.read_only = read_only;
            options.surroundings.read_only_tmpfs = asked;
            let mounts = merged(&options).unwrap().0.mounts;
            mounts.iter().filter(|mount| mount.destination.ends_with("tmp")).count()
        };

        assert_eq!(targets(true, Some(true)), 2);
        assert_eq!(targets(true, None), 0, "docker has no such mounts");
        assert_eq!(targets(false, Some(true)), 0);
    }

    #[test]
    fn a_time_zone_is_a_name_below_the_hosts_zones() {
        for bad in ["", "../etc/passwd", "/etc/passwd", "No/Where"] {
            assert!(zone_file(bad).is_err(), "{bad:?}");
        }
    }
}
