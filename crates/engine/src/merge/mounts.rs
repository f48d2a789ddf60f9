//! What is mounted below the root: the engine's, and over it what the user asked for.

use super::{Facts, surroundings, systemd};
use crate::{
    options::{CreateOptions, IdMap, MountOption, MountWhat},
    plan::{Planned, Shown},
    record::Record,
};
use dhow_base::Result;
use dhow_spec::runtime::{IdMapping, MountPoint};
use std::path::Path;

/// The default mounts, the engine's files, then what the user asked for: parents before children,
/// and a user's mount in the place of a default one.
pub(super) fn mounts(
    mut all: Vec<MountPoint>,
    options: &CreateOptions,
    record: &Record,
    facts: &Facts<'_>,
) -> Result<Vec<MountPoint>> {
    if let Some(bytes) = options.shm_bytes {
        for shm in all.iter_mut().filter(|mount| mount.destination == Path::new("/dev/shm")) {
            shm.options.retain(|option| !option.starts_with("size="));
            shm.options.push(format!("size={bytes}"));
        }
    }
    if record.systemd {
        all.extend(systemd::mounts(options, facts.mounts));
    }
    // The engine's files are root's, who is another where the container has ids of its own.
    let file_options: &[&str] = if record.namespaces.maps_mounts() {
        &["rbind", "rprivate", "idmap"]
    } else {
        &["rbind", "rprivate"]
    };
    for (source, target) in facts.files {
        all.push(bind(source, Path::new(target), file_options));
    }
    let of_process = surroundings::mounts(options)?;
    all.extend(of_process.into_iter().filter(|one| {
        // A systemd has the same memory already.
        !(record.systemd && one.kind.as_deref() == Some("tmpfs") && systemd::has(&one.destination))
    }));
    let mut asked = Vec::new();
    for planned in facts.mounts {
        all.retain(|mount| mount.destination != planned.option.target);
        let mut mount = asked_mount(planned)?;
        // What an image put into a volume belongs to ids of the container, as the image does.
        let is_volume = matches!(planned.option.what, MountWhat::Volume(_));
        if is_volume && record.namespaces.maps_mounts() && planned.option.details.idmap.is_none() {
            mount.options.push("idmap".to_owned());
        }
        asked.push(mount);
    }
    asked.sort_by_key(|mount| mount.destination.components().count());
    all.extend(asked);
    Ok(all)
}

/// What a container that may change labels itself speaks to the kernel's policy by.
pub(super) fn labels_of_host() -> MountPoint {
    let path = Path::new("/sys/fs/selinux");
    bind(path, path, &["bind", "rprivate", "nosuid", "noexec"])
}

fn asked_mount(planned: &Planned) -> Result<MountPoint> {
    let option = &planned.option;
    let mut mount = match &planned.shown {
        Shown::Path(source) => bind(source, &option.target, &[]),
        Shown::Union { layers, upper, .. } => union(option, layers, upper.as_ref()),
        Shown::Kernel => of_kernel(option),
    };
    let is_bind = matches!(planned.shown, Shown::Path(_));
    if is_bind && !option.options.iter().any(|option| matches!(option.as_str(), "bind" | "rbind")) {
        mount.options.push("rbind".to_owned());
    }
    mount.options.extend(option.options.iter().cloned());
    // A volume or directory of the user's does not hear of, nor tell, the host's mounts.
    let propagates = |option: &String| {
        matches!(option.trim_start_matches('r'), "shared" | "slave" | "private" | "unbindable")
    };
    if !matches!(planned.shown, Shown::Kernel) && !mount.options.iter().any(propagates) {
        mount.options.push("rprivate".to_owned());
    }
    if let Some(subpath) = &option.details.subpath {
        mount.options.push(format!("subpath={}", subpath.display()));
    }
    set_read_only(&mut mount, option, is_bind);
    map_ids(&mut mount, option);
    Ok(mount)
}

/// Read-only all the way down: a mount below the source would be writable otherwise.
fn set_read_only(mount: &mut MountPoint, option: &MountOption, is_bind: bool) {
    if !option.read_only {
        return;
    }
    mount.options.push("ro".to_owned());
    if is_bind && !option.details.only_top_read_only {
        mount.options.push("rro".to_owned());
    }
}

fn map_ids(mount: &mut MountPoint, option: &MountOption) {
    let Some(idmap) = &option.details.idmap else { return };
    mount.options.push("ridmap".to_owned());
    let IdMap::Given { uids, gids } = idmap else { return };
    let mappings = |ids: &[(u32, u32, u32)]| -> Vec<IdMapping> {
        let mapping = |&(container_id, host_id, size): &(u32, u32, u32)| IdMapping {
            container_id,
            host_id,
            size,
        };
        ids.iter().map(mapping).collect()
    };
    (mount.uid_mappings, mount.gid_mappings) = (mappings(uids), mappings(gids));
}

/// Directories over each other, as overlayfs takes them.
fn union(
    option: &MountOption,
    layers: &[std::path::PathBuf],
    upper: Option<&(std::path::PathBuf, std::path::PathBuf)>,
) -> MountPoint {
    let layers: Vec<String> = layers.iter().map(|layer| layer.display().to_string()).collect();
    let mut options = vec![format!("lowerdir={}", layers.join(":"))];
    if let Some((upper, work)) = upper {
        options.push(format!("upperdir={}", upper.display()));
        options.push(format!("workdir={}", work.display()));
    }
    MountPoint {
        destination: option.target.clone(),
        kind: Some("overlay".to_owned()),
        source: Some("overlay".into()),
        options,
        ..MountPoint::default()
    }
}

fn of_kernel(option: &MountOption) -> MountPoint {
    let (kind, defaults): (&str, &[&str]) = match option.what {
        MountWhat::Devpts => ("devpts", &["nosuid", "noexec", "newinstance", "ptmxmode=0666"]),
        MountWhat::Ramfs => ("ramfs", &["nosuid", "nodev", "noexec"]),
        _ => ("tmpfs", &["nosuid", "nodev", "noexec"]),
    };
    MountPoint {
        destination: option.target.clone(),
        kind: Some(kind.to_owned()),
        source: Some(kind.into()),
        options: defaults.iter().map(|&option| option.to_owned()).collect(),
        ..MountPoint::default()
    }
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
    use crate::options::MountDetails;

    fn mount(source: &str, target: &str) -> MountOption {
        MountOption {
            what: MountWhat::Bind { source: source.into(), create: false },
            target: target.into(),
            read_only: true,
            options: vec![],
            details: MountDetails::default(),
        }
    }

    #[test]
    fn a_users_mount_replaces_a_default_one_and_children_follow_parents() {
        let mut options = CreateOptions::of("web");
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
    fn each_wish_becomes_words_of_the_runtime() {
        let words = |change: fn(&mut MountOption)| {
            let mut options = CreateOptions::of("web");
            let mut option = mount("/a", "/data");
            option.read_only = false;
            change(&mut option);
            options.mounts = vec![option];
            merged(&options).unwrap().0.mounts.pop().unwrap()
        };

        assert_eq!(words(|_| {}).options, ["rbind", "rprivate"]);
        assert_eq!(
            words(|option| option.options = vec!["bind".into(), "rslave".into()]).options,
            ["bind", "rslave"]
        );
        assert_eq!(
            words(|option| {
                option.read_only = true;
                option.details.only_top_read_only = true;
            })
            .options,
            ["rbind", "rprivate", "ro"]
        );
        assert_eq!(
            words(|option| option.details.subpath = Some("a/b".into())).options,
            ["rbind", "rprivate", "subpath=a/b"]
        );
        let mapped = words(|option| {
            option.details.idmap =
                Some(IdMap::Given { uids: vec![(0, 1000, 1)], gids: vec![(0, 5, 2)] });
        });
        assert_eq!(mapped.options, ["rbind", "rprivate", "ridmap"]);
        assert_eq!(mapped.uid_mappings[0].host_id, 1000);
        assert_eq!(mapped.gid_mappings[0].size, 2);
    }
}
