//! Commands of docker's and podman's that dhow has not, in groups that have one reason.

/// Commands that are not there for one reason.
struct Foreign {
    /// Their names; those of a group with the group's before.
    names: &'static [&'static str],
    why: &'static str,
    instead: Option<&'static str>,
}

const ALL: &[Foreign] = &[
    Foreign {
        names: &["build", "image build", "builder", "buildx", "bake", "buildkit"],
        why: "images are not built by dhow yet",
        instead: Some(
            "any builder's image comes in by `dhow load` or a registry; `dhow commit` makes one of a container",
        ),
    },
    Foreign {
        names: &["search", "image search"],
        why: "registries have no search that all of them agree on",
        instead: Some("`dhow list-tags NAME` lists what there is of a repository"),
    },
    Foreign {
        names: &["compose"],
        why: "compose files are not read yet",
        instead: Some("`dhow pod create` and quadlet files keep containers together"),
    },
    Foreign {
        names: &["kube", "play", "generate kube", "generate spec"],
        why: "Kubernetes' documents are neither read nor written yet",
        instead: Some("`dhow pod create` makes a pod, `dhow generate systemd` a unit"),
    },
    Foreign {
        names: &["swarm", "stack", "service", "node", "config"],
        why: "there is one host, and no swarm",
        instead: None,
    },
    Foreign {
        names: &["context", "system connection", "system dial-stdio", "farm", "image scp"],
        why: "there is no other machine to speak to",
        instead: Some("dhow works on the machine on which it runs; ssh goes to another"),
    },
    Foreign {
        names: &["machine"],
        why: "containers run on this kernel, and no virtual machine is needed",
        instead: None,
    },
    Foreign {
        names: &["plugin"],
        why: "there is no daemon that could be extended",
        instead: Some("networks may be made by CNI plugins; see `dhow network create --help`"),
    },
    Foreign {
        names: &["trust", "image trust", "image sign"],
        why: "signatures of images are neither made nor looked at yet",
        instead: None,
    },
    Foreign { names: &["system service"], why: "there is no API and no daemon", instead: None },
    Foreign {
        names: &["system migrate", "system renumber"],
        why: "there is nothing to be migrated by hand",
        instead: Some("`dhow doctor` says whether all is well, and --repair mends"),
    },
    Foreign {
        names: &["system reset"],
        why: "volumes are never removed with everything else",
        instead: Some(
            "`dhow rm -fa`, `dhow rmi -fa` and `dhow volume prune --all` remove all that there is",
        ),
    },
    Foreign {
        names: &["checkpoint"],
        why: "it is docker's experiment",
        instead: Some("`dhow container checkpoint` and `dhow container restore` are podman's"),
    },
    Foreign {
        names: &["quadlet"],
        why: "files of quadlet are read where they lie",
        instead: Some("`dhow system quadlet` makes services of them"),
    },
    Foreign { names: &["volume update"], why: "it is for volumes of a swarm", instead: None },
];

/// Why there is no command of this name, and what can be done. `words` are the group's.
pub(crate) fn reason_of_command(
    words: &str,
    name: &str,
) -> Option<(&'static str, Option<&'static str>)> {
    let whole = if words.is_empty() { name.to_owned() } else { format!("{words} {name}") };
    let found = ALL.iter().find(|foreign| foreign.names.contains(&whole.as_str()))?;
    Some((found.why, found.instead))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{Switches, command};

    /// The commands of docker 28.5 and podman 5.8 of which there are manuals, but those of groups that are
    /// refused as a whole.
    const COMMANDS: &str = "
        artifact attach auto-update bake build builder checkpoint commit compose config container context cp create diff
        events exec export farm generate healthcheck history image images import info init inspect kill kube
        load login logout logs machine manifest mount network node pause play plugin pod port ps pull push quadlet
        rename restart rm rmi run save search secret service stack start stats stop swarm system tag top trust
        umount unmount unpause unshare untag update version volume wait";
    const MEMBERS: [(&str, &str); 12] = [
        ("artifact", "add extract inspect ls pull push rm"),
        (
            "container",
            "attach checkpoint cleanup clone commit cp create diff exec exists export init inspect kill
             list logs ls mount pause port prune ps rename restart restore rm run runlabel start stats stop top umount
             unmount unpause update wait",
        ),
        ("generate", "kube spec systemd"),
        ("healthcheck", "run"),
        (
            "image",
            "build diff exists history import inspect list load ls mount prune pull push rm save scp
             search sign tag tree trust umount unmount untag",
        ),
        ("manifest", "add annotate create exists inspect push remove rm"),
        (
            "network",
            "connect create disconnect exists inspect list ls prune reload rm update",
        ),
        (
            "pod",
            "clone create exists inspect kill list logs ls pause prune ps restart rm start stats stop
             top unpause",
        ),
        ("secret", "create exists inspect list ls rm"),
        (
            "system",
            "check connection df events info migrate prune renumber reset service",
        ),
        (
            "volume",
            "create exists export import inspect list ls mount prune reload rm unmount update",
        ),
        ("unshare", ""),
    ];

    #[test]
    fn every_command_of_others_is_there_or_refused_by_name() {
        let mut all = command(Switches::Plain);
        all.build();
        let mut unknown = Vec::new();
        let groups = std::iter::once(("", COMMANDS)).chain(MEMBERS);
        for (group, names) in groups {
            let level = match group {
                "" => &all,
                _ => all.find_subcommand(group).expect("the group is there"),
            };
            let is_known = |name: &&str| {
                level.find_subcommand(name).is_some() != reason_of_command(group, name).is_some()
            };
            unknown.extend(
                names.split_whitespace().filter(|name| !is_known(name)).map(|name| (group, name)),
            );
        }
        assert!(unknown.is_empty(), "neither there nor refused, or both: {unknown:?}");
    }
}
