//! What is mounted below the root: the engine's, and over it what the user asked for.

use super::Facts;
use crate::{
    options::{CreateOptions, MountOption, MountWhat},
    record::MountRecord,
};
use dhow_base::{Error, Kind, Result};
use dhow_spec::runtime::MountPoint;
use std::path::{Path, PathBuf};

/// What the row keeps of a mount.
pub(super) fn mount_record(option: &MountOption) -> MountRecord {
    let (kind, name, source) = match &option.what {
        MountWhat::Bind { source, .. } => ("bind", String::new(), source.display().to_string()),
        MountWhat::Volume(name) => ("volume", name.to_string(), String::new()),
        MountWhat::Tmpfs => ("tmpfs", String::new(), String::new()),
    };
    MountRecord {
        kind: kind.to_owned(),
        name,
        source,
        target: option.target.display().to_string(),
        read_only: option.read_only,
    }
}

/// The default mounts, the engine's files, then what the user asked for: parents before children,
/// and a user's mount in the place of a default one.
pub(super) fn mounts(
    mut all: Vec<MountPoint>,
    options: &CreateOptions,
    facts: &Facts<'_>,
) -> Result<Vec<MountPoint>> {
    if let Some(bytes) = options.shm_bytes {
        for shm in all.iter_mut().filter(|mount| mount.destination == Path::new("/dev/shm")) {
            shm.options.retain(|option| !option.starts_with("size="));
            shm.options.push(format!("size={bytes}"));
        }
    }
    for (source, target) in facts.files {
        all.push(bind(source, Path::new(target), &["rbind", "rprivate"]));
    }
    let mut volumes = facts.volumes.iter();
    let mut asked = Vec::new();
    for option in &options.mounts {
        check_target(&option.target)?;
        if asked.iter().any(|mount: &MountPoint| mount.destination == option.target) {
            return Err(Error::new(
                Kind::Invalid,
                format!("mount two things on {}", option.target.display()),
            ));
        }
        all.retain(|mount| mount.destination != option.target);
        asked.push(asked_mount(option, &mut volumes)?);
    }
    asked.sort_by_key(|mount| mount.destination.components().count());
    all.extend(asked);
    Ok(all)
}

fn asked_mount<'a>(
    option: &MountOption,
    volumes: &mut impl Iterator<Item = &'a PathBuf>,
) -> Result<MountPoint> {
    let mut mount = match &option.what {
        MountWhat::Bind { source, .. } => bind(source, &option.target, &["rbind"]),
        MountWhat::Volume(name) => {
            let source = volumes.next().ok_or_else(|| {
                Error::new(Kind::Internal, format!("find the directory of volume {name}"))
            })?;
            bind(source, &option.target, &["rbind"])
        }
        MountWhat::Tmpfs => MountPoint {
            destination: option.target.clone(),
            kind: Some("tmpfs".to_owned()),
            source: Some("tmpfs".into()),
            options: ["nosuid", "nodev", "noexec"].map(str::to_owned).to_vec(),
            ..MountPoint::default()
        },
    };
    mount.options.extend(option.options.iter().cloned());
    // A volume or directory of the user's does not hear of, nor tell, the host's mounts.
    let propagates = |option: &String| {
        matches!(option.trim_start_matches('r'), "shared" | "slave" | "private" | "unbindable")
    };
    if mount.kind.as_deref() != Some("tmpfs") && !mount.options.iter().any(propagates) {
        mount.options.push("rprivate".to_owned());
    }
    if option.read_only {
        // Read-only all the way down: a mount below the source would be writable otherwise.
        mount.options.push("ro".to_owned());
        if mount.kind.as_deref() != Some("tmpfs") {
            mount.options.push("rro".to_owned());
        }
    }
    Ok(mount)
}

fn check_target(target: &Path) -> Result<()> {
    let invalid =
        |why: &str| Err(Error::new(Kind::Invalid, format!("mount on {}: {why}", target.display())));
    if !target.is_absolute() {
        return invalid("the path in the container must be absolute");
    }
    if target == Path::new("/") {
        return invalid("the container's root is the image's");
    }
    if target.components().any(|part| part == std::path::Component::ParentDir) {
        return invalid("the path in the container must not hold `..`");
    }
    Ok(())
}

fn bind(source: &Path, target: &Path, options: &[&str]) -> MountPoint {
    MountPoint {
        destination: target.to_owned(),
        kind: Some("bind".to_owned()),
        source: Some(source.to_owned()),
        options: options.iter().map(|&option| option.to_owned()).collect(),
        ..MountPoint::default()
    }
}

#[cfg(test)]
mod tests {
    use super::{super::tests::merged, *};

    #[test]
    fn a_users_mount_replaces_a_default_one_and_children_follow_parents() {
        let mut options = CreateOptions::of("web");
        let mount = |source: &str, target: &str| MountOption {
            what: MountWhat::Bind { source: source.into(), create: false },
            target: target.into(),
            read_only: true,
            options: vec![],
        };
        options.mounts =
            vec![mount("/b", "/data/deep"), mount("/a", "/data"), mount("/h", "/etc/hosts")];

        let (spec, _) = merged(&options).unwrap();

        let last: Vec<_> =
            spec.mounts.iter().rev().take(3).map(|mount| mount.destination.clone()).collect();
        assert!(
            last.iter().position(|path| path == Path::new("/data/deep"))
                < last.iter().position(|path| path == Path::new("/data"))
        );
        assert_eq!(
            spec.mounts.iter().filter(|mount| mount.destination == Path::new("/etc/hosts")).count(),
            1
        );
        assert!(spec.mounts.last().unwrap().options.contains(&"rro".to_owned()));
    }

    #[test]
    fn targets_that_are_not_places_below_the_root_are_refused() {
        for target in ["relative", "/", "/a/../b"] {
            let mut options = CreateOptions::of("web");
            options.mounts = vec![MountOption {
                what: MountWhat::Tmpfs,
                target: target.into(),
                read_only: false,
                options: vec![],
            }];
            assert_eq!(merged(&options).unwrap_err().kind(), Kind::Invalid, "{target}");
        }
    }
}
