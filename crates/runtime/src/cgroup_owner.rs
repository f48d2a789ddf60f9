//! Whose the container's cgroup is to be (config-linux.md, "Cgroup ownership"): the user's that its
//! program runs as, where the configuration shows them a writable cgroup of their own to manage.
//! Everybody else finds the runtime's user there, and can change nothing.

use crate::{mappings, options};
use dhow_base::{Kind, Result};
use dhow_cgroup::Cgroup;
use dhow_spec::runtime::{IdMapping, MountPoint, NamespaceKind, Spec};
use rustix::mount::MountAttrFlags;
use std::path::Path;

/// Gives the cgroup to whom it should belong. In version 1 it stays as it is.
pub(crate) fn settle(cgroup: &Cgroup, spec: &Spec) -> Result<()> {
    let Some(owner) = owner(spec) else { return Ok(()) };
    match cgroup.give_to(owner) {
        // Nobody but root gives anything away; what is their own already, they need not.
        Err(error) if error.kind() == Kind::Denied && mappings::is_ordinary_user() => Ok(()),
        result => result,
    }
}

/// The user of the host's; nothing where the cgroup stays as it was made.
fn owner(spec: &Spec) -> Option<u32> {
    let linux = spec.linux.as_ref()?;
    let namespace = |kind| linux.namespaces.iter().find(|one| one.kind == kind);
    let has_own = namespace(NamespaceKind::Cgroup).is_some_and(|one| one.path.is_none());
    if !has_own || !spec.mounts.iter().any(shows_it) {
        return None;
    }
    let uid = spec.process.as_ref().map_or(0, |process| process.user.uid);
    let owner = match namespace(NamespaceKind::User) {
        None => Some(uid),
        Some(one) if one.path.is_none() => on_host(&linux.uid_mappings, uid),
        // A namespace that others made: who this is on the host is not ours to know.
        Some(_) => None,
    };
    // Who makes it need not be given it.
    owner.filter(|owner| *owner != rustix::process::geteuid().as_raw())
}

/// Whether this mount makes the cgroups writable at their usual place.
fn shows_it(mount: &MountPoint) -> bool {
    let is_cgroup = matches!(mount.kind.as_deref(), Some("cgroup" | "cgroup2"));
    let is_named = mount.source.as_deref() == Some(Path::new("cgroup"));
    let is_writable = || {
        options::parse(&mount.options).is_ok_and(|options| {
            let set = options.set.union(options.set_tree);
            !set.contains(MountAttrFlags::MOUNT_ATTR_RDONLY)
        })
    };
    is_cgroup && is_named && mount.destination == Path::new("/sys/fs/cgroup") && is_writable()
}

fn on_host(mappings: &[IdMapping], id: u32) -> Option<u32> {
    mappings.iter().find_map(|range| {
        let offset = id.checked_sub(range.container_id)?;
        (offset < range.size).then(|| range.host_id.checked_add(offset))?
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_id_is_found_in_the_ranges() {
        let range = |container_id, host_id, size| IdMapping { container_id, host_id, size };
        let ranges = [range(0, 1000, 1), range(1, 100_000, 10)];

        let found = [0, 1, 10, 11].map(|id| on_host(&ranges, id));

        assert_eq!(found, [Some(1000), Some(100_000), Some(100_009), None]);
        assert_eq!(on_host(&[range(0, u32::MAX, 2)], 1), None);
    }

    #[test]
    fn only_a_writable_mount_of_the_cgroups_counts() {
        let mount = |change: serde_json::Value| {
            let mut mount = json!({
                "destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
                "options": ["nosuid", "rw"],
            });
            for (name, value) in change.as_object().unwrap() {
                mount[name] = value.clone();
            }
            shows_it(&serde_json::from_value(mount).unwrap())
        };

        assert!(mount(json!({})) && mount(json!({"options": ["ro", "rw"]})));
        for other in [
            json!({"options": ["ro"]}),
            json!({"type": "bind", "options": ["bind"]}),
            json!({"source": "elsewhere"}),
            json!({"destination": "/cgroup"}),
        ] {
            assert!(!mount(other.clone()), "{other}");
        }
    }
}
