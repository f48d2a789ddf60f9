//! Which namespaces are the container's own, which the host's, and which another's.

use crate::{
    options::{CreateOptions, NetworkMode, Sharing, UserNamespace},
    record::Record,
};
use dhow_base::{Error, Kind, Result};
use dhow_spec::runtime::{Linux, MountPoint, Namespace, NamespaceKind};
use std::path::{Path, PathBuf};

/// What is asked of the kinds that are shared in the same ways.
fn sharings(options: &CreateOptions) -> [(NamespaceKind, &Sharing); 4] {
    let asked = &options.namespaces;
    [
        (NamespaceKind::Pid, &asked.pid),
        (NamespaceKind::Ipc, &asked.ipc),
        (NamespaceKind::Uts, &asked.uts),
        (NamespaceKind::Cgroup, &asked.cgroup),
    ]
}

/// The containers whose namespaces are asked for: which kind, and the name or id.
pub(crate) fn wanted(options: &CreateOptions) -> Vec<(NamespaceKind, &str)> {
    let mut wanted = Vec::new();
    if let UserNamespace::Container(name) = &options.namespaces.user {
        wanted.push((NamespaceKind::User, name.as_str()));
    }
    for (kind, sharing) in sharings(options) {
        if let Sharing::Container(name) = sharing {
            wanted.push((kind, name.as_str()));
        }
    }
    if let NetworkMode::Container(name) = &options.network {
        wanted.push((NamespaceKind::Network, name.as_str()));
    }
    wanted
}

/// Whether the host name is the container's to choose.
pub(crate) fn has_own_hostname(options: &CreateOptions) -> bool {
    use Sharing::{Bare, Private, Shareable, Unsaid};
    matches!(options.namespaces.uts, Unsaid | Private | Shareable | Bare)
}

/// Chooses the namespaces. Those of other containers get their paths at each start.
pub(super) fn set(
    linux: &mut Linux,
    mounts: &mut Vec<MountPoint>,
    options: &CreateOptions,
    record: &Record,
) -> Result<()> {
    for (kind, sharing) in sharings(options) {
        match sharing {
            Sharing::Host => leave_out(linux, kind),
            Sharing::Path(path) => point(linux, kind, Some(path)),
            Sharing::Bare
            | Sharing::Container(_)
            | Sharing::Private
            | Sharing::Shareable
            | Sharing::Unsaid => {}
        }
    }
    match &options.network {
        NetworkMode::Host => leave_out(linux, NamespaceKind::Network),
        NetworkMode::Path(path) => point(linux, NamespaceKind::Network, Some(path)),
        NetworkMode::Unsaid
        | NetworkMode::None
        | NetworkMode::Pasta(_)
        | NetworkMode::Container(_)
        | NetworkMode::Networks(_) => {}
    }
    set_user(linux, options, record);
    share_memory(mounts, &options.namespaces.ipc);
    check_hostname(options)
}

fn leave_out(linux: &mut Linux, kind: NamespaceKind) {
    linux.namespaces.retain(|namespace| namespace.kind != kind);
}

/// Has a namespace of another's joined; one of its own is made where there is no path.
pub(crate) fn point(linux: &mut Linux, kind: NamespaceKind, path: Option<&Path>) {
    let path = path.map(Path::to_owned);
    match linux.namespaces.iter_mut().find(|namespace| namespace.kind == kind) {
        Some(namespace) => namespace.path = path,
        None => linux.namespaces.push(Namespace { kind, path }),
    }
}

fn set_user(linux: &mut Linux, options: &CreateOptions, record: &Record) {
    let asked = &record.namespaces;
    if let UserNamespace::Path(path) = &options.namespaces.user {
        point(linux, NamespaceKind::User, Some(path));
    } else if asked.joins(NamespaceKind::User) || !asked.uids.is_empty() {
        linux.namespaces.push(Namespace { kind: NamespaceKind::User, path: None });
        linux.uid_mappings.clone_from(&asked.uids);
        linux.gid_mappings.clone_from(&asked.gids);
    }
}

/// Shared memory goes with the namespace of System V's: the host's is bound with the host's, and
/// with none there is none.
fn share_memory(mounts: &mut Vec<MountPoint>, ipc: &Sharing) {
    let is_memory = |mount: &MountPoint| mount.destination == Path::new("/dev/shm");
    match ipc {
        Sharing::Bare => mounts.retain(|mount| !is_memory(mount)),
        Sharing::Host => {
            for mount in mounts.iter_mut().filter(|mount| is_memory(mount)) {
                mount.kind = Some("bind".to_owned());
                mount.source = Some(PathBuf::from("/dev/shm"));
                mount.options =
                    ["rbind", "rprivate", "nosuid", "noexec", "nodev"].map(str::to_owned).to_vec();
            }
        }
        _ => {}
    }
}

/// Docker's rule: who shares the host's UTS namespace does not name it.
fn check_hostname(options: &CreateOptions) -> Result<()> {
    let flag = match (&options.hostname, &options.names.domain) {
        (Some(_), _) => "--hostname",
        (None, Some(_)) => "--domainname",
        (None, None) => return Ok(()),
    };
    if has_own_hostname(options) {
        return Ok(());
    }
    Err(Error::new(Kind::Invalid, format!("use {flag} with a UTS namespace of another's"))
        .hint("leave the name out, or --uts"))
}

#[cfg(test)]
mod tests {
    use super::{super::tests::merged, *};

    fn namespaces(
        change: impl FnOnce(&mut CreateOptions),
    ) -> Vec<(NamespaceKind, Option<PathBuf>)> {
        let mut options = CreateOptions::of("web");
        change(&mut options);
        let linux = merged(&options).unwrap().0.linux.unwrap();
        linux.namespaces.into_iter().map(|one| (one.kind, one.path)).collect()
    }

    #[test]
    fn unsaid_is_private_as_in_docker_with_version_2_groups() {
        let kinds: Vec<_> = namespaces(|_| {}).into_iter().map(|(kind, _)| kind).collect();

        assert_eq!(kinds.len(), 6);
        assert!(!kinds.contains(&NamespaceKind::User));
    }

    #[test]
    fn the_hosts_namespace_is_none_and_a_path_is_joined() {
        let chosen = namespaces(|options| {
            options.namespaces.pid = Sharing::Host;
            options.namespaces.cgroup = Sharing::Path("/run/x".into());
            options.network = NetworkMode::Path("/run/net".into());
        });

        assert!(!chosen.iter().any(|(kind, _)| *kind == NamespaceKind::Pid));
        assert!(chosen.contains(&(NamespaceKind::Cgroup, Some("/run/x".into()))));
        assert!(chosen.contains(&(NamespaceKind::Network, Some("/run/net".into()))));
    }

    #[test]
    fn shared_memory_follows_the_ipc_namespace() {
        let memory = |ipc: Sharing| {
            let mut options = CreateOptions::of("web");
            options.namespaces.ipc = ipc;
            let mounts = merged(&options).unwrap().0.mounts;
            mounts.into_iter().find(|mount| mount.destination == Path::new("/dev/shm"))
        };

        assert_eq!(memory(Sharing::Bare), None);
        assert_eq!(memory(Sharing::Host).unwrap().kind.as_deref(), Some("bind"));
        assert_eq!(memory(Sharing::Shareable).unwrap().kind.as_deref(), Some("tmpfs"));
    }

    #[test]
    fn the_hosts_uts_namespace_is_not_named() {
        let mut options = CreateOptions::of("web");
        options.namespaces.uts = Sharing::Host;
        assert_eq!(merged(&options).unwrap().0.hostname, None);

        options.hostname = Some("mine".into());
        assert_eq!(merged(&options).unwrap_err().kind(), Kind::Invalid);
    }
}
