//! Kernel parameters: only those that belong to a namespace of the container's own.

use crate::namespaces::Namespaces;
use dhow_base::{Doing, Error, Kind, Result};
use dhow_spec::runtime::NamespaceKind;
use dhow_sys::procfs::Procfs;
use std::{collections::BTreeMap, path::PathBuf};

const IPC: [&str; 12] = [
    "kernel/auto_msgmni",
    "kernel/msg_next_id",
    "kernel/msgmax",
    "kernel/msgmnb",
    "kernel/msgmni",
    "kernel/sem",
    "kernel/sem_next_id",
    "kernel/shm_next_id",
    "kernel/shm_rmid_forced",
    "kernel/shmall",
    "kernel/shmmax",
    "kernel/shmmni",
];

/// Parameters as files below `/proc/sys`, with their values.
#[derive(Debug)]
pub(crate) struct Parameters<'a>(Vec<(PathBuf, &'a str)>);

impl<'a> Parameters<'a> {
    /// Checks the names. A parameter of the host's would be set for everybody
    /// (`kernel.core_pattern` runs a program as the host's root).
    pub(crate) fn prepare(
        parameters: &'a BTreeMap<String, String>,
        namespaces: &Namespaces<'_>,
    ) -> Result<Self> {
        parameters
            .iter()
            .map(|(name, value)| Ok((PathBuf::from(checked(name, namespaces)?), value.as_str())))
            .collect::<Result<_>>()
            .map(Self)
    }

    /// Whether some are of single network devices, which must be there before.
    pub(crate) fn are_of_devices(&self) -> bool {
        let is_of_one = |path: &PathBuf| {
            let mut parts = path.iter().skip(1);
            parts.next() == Some("net".as_ref())
                && matches!(parts.nth(1).and_then(|part| part.to_str()), Some("conf" | "neigh"))
        };
        self.0.iter().any(|(path, _)| is_of_one(path))
    }

    /// Writes them, in the container's namespaces, through a procfs that no path leads to.
    pub(crate) fn set(&self) -> Result<()> {
        if self.0.is_empty() {
            return Ok(());
        }
        let procfs = Procfs::private().doing(|| "mount a procfs to set kernel parameters")?;
        for (path, value) in &self.0 {
            procfs
                .write(path, value.as_bytes())
                .doing(|| format!("set {} to {value:?}", path.display()))?;
        }
        Ok(())
    }
}

fn checked(name: &str, namespaces: &Namespaces<'_>) -> Result<String> {
    let refused = |why: &str| {
        Error::new(Kind::Invalid, format!("set kernel parameter {name}: {why}"))
            .hint("only parameters of the container's own namespaces can be set")
    };
    // Both notations are in use; in the one with slashes a dot is a part of a name (`eth0.1`).
    let path = if name.contains('/') { name.to_owned() } else { name.replace('.', "/") };
    if path.split('/').any(|part| matches!(part, "" | "." | "..")) || name.contains('\0') {
        return Err(refused("it is no parameter's name"));
    }
    let kind = match path.as_str() {
        path if IPC.contains(&path) || path.starts_with("fs/mqueue/") => NamespaceKind::Ipc,
        path if path.starts_with("net/") => NamespaceKind::Network,
        // A name of its own for the host has the configuration, which would contradict it.
        "kernel/hostname" => return Err(refused("the configuration has the field hostname")),
        "kernel/domainname" => NamespaceKind::Uts,
        path if path.starts_with("user/") => NamespaceKind::User,
        _ => return Err(refused("it belongs to the whole machine")),
    };
    if !namespaces.is_own(kind) || is_callers(namespaces, kind)? {
        let text = format!("the container shares the {} namespace", kind.proc_name());
        return Err(refused(&text));
    }
    Ok(format!("sys/{path}"))
}

/// Whether the namespace of this kind that the container joins is the one that we are in.
fn is_callers(namespaces: &Namespaces<'_>, kind: NamespaceKind) -> Result<bool> {
    let Some(joined) = namespaces.joined(kind) else { return Ok(false) };
    let doing = || format!("compare the {} namespace with our own", kind.proc_name());
    let host = Procfs::of_host().doing(doing)?;
    let own = host.namespace("self", kind.proc_name()).doing(doing)?;
    let own = rustix::fs::fstat(&own).doing(doing)?;
    let joined = rustix::fs::fstat(joined).doing(doing)?;
    Ok((own.st_dev, own.st_ino) == (joined.st_dev, joined.st_ino))
}

#[cfg(test)]
mod tests {
    use super::*;
    use dhow_spec::runtime::{Linux, Namespace};

    #[test]
    fn only_parameters_of_own_namespaces_pass() {
        let own = |kinds: &[NamespaceKind]| {
            let namespaces = kinds.iter().map(|&kind| Namespace { kind, path: None }).collect();
            Namespaces::prepare(&Linux { namespaces, ..Linux::default() }, None).unwrap()
        };
        let all = own(&[NamespaceKind::Network, NamespaceKind::Ipc, NamespaceKind::Uts]);
        let cases = [
            ("net.ipv4.ip_forward", true),
            ("net/ipv4/conf/eth0.1/forwarding", true),
            ("kernel.shmmax", true),
            ("fs.mqueue.msg_max", true),
            ("kernel.sem_next_id", true),
            ("kernel.domainname", true),
            ("kernel.hostname", false),
            ("kernel/hostname", false),
            ("kernel.core_pattern", false),
            ("kernel/core_pattern", false),
            ("net/../kernel/core_pattern", false),
            ("net...kernel.core_pattern", false),
            ("vm.swappiness", false),
            ("net", false),
            ("", false),
        ];
        for (name, passes) in cases {
            assert_eq!(checked(name, &all).is_ok(), passes, "{name}");
        }
        assert!(checked("net.ipv4.ip_forward", &own(&[NamespaceKind::Ipc])).is_err());
        let path = Some("/proc/self/ns/net".into());
        let namespaces = vec![Namespace { kind: NamespaceKind::Network, path }];
        let ours = Namespaces::prepare(&Linux { namespaces, ..Linux::default() }, None).unwrap();
        let error = checked("net.ipv4.ip_forward", &ours).unwrap_err().one_line();
        assert!(error.contains("shares the net namespace"), "{error}");
    }
}
