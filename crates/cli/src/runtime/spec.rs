//! `spec`: a configuration to start from.

use super::{
    Call, Command, Touches,
    grammar::{Flag, Stop, switch, value},
};
use crate::exit::{FAILURE, SUCCESS};
use dhow_base::{
    Error, Kind, Result,
    file::{self, Durability},
};
use dhow_cgroup::{Hierarchies, Layout};
use dhow_spec::runtime::{
    Capabilities, IdMapping, MountPoint, Namespace, NamespaceKind, Spec, example_spec,
};
use std::path::Path;

pub(super) const COMMAND: Command = Command {
    name: "spec",
    about: "Write a config.json to start from, which runs a shell",
    arguments: "",
    count: 0..=0,
    flags: &[&FLAGS],
    stop: Stop::Nowhere,
    failure: FAILURE,
    touches: Touches::Nothing,
    act,
};

const FLAGS: [Flag; 2] = [
    value("bundle", "b", "DIR", "Write it there and not in the current directory"),
    switch("rootless", "", "Write it for an ordinary user"),
];

fn act(call: &Call<'_>) -> Result<u8> {
    let mut spec = example_spec();
    if let Some(process) = &mut spec.process {
        let few = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"];
        process.capabilities = Some(Capabilities::of_root(&few));
    }
    share_legacy_cgroups(&mut spec);
    if call.words.is_on("rootless") {
        make_rootless(&mut spec);
    }
    let text = serde_json::to_string_pretty(&spec)
        .map_err(|error| Error::new(Kind::Internal, "write the configuration").because(error))?;
    let path = Path::new(call.words.filled("bundle").unwrap_or_default()).join("config.json");
    let written = file::write_new(&path, format!("{text}\n").as_bytes(), 0o666, Durability::Cached);
    written.map_err(|error| match error.kind() {
        Kind::AlreadyExists => {
            let text = format!("File {} exists. Remove it first", path.display());
            Error::new(Kind::AlreadyExists, text)
        }
        _ => error,
    })?;
    Ok(SUCCESS)
}

/// With version 1's hierarchies a container sees them from the machine's roots, as runc's template has it:
/// tools inside look for their cgroup by the path that `/proc/self/cgroup` names.
fn share_legacy_cgroups(spec: &mut Spec) {
    let is_legacy =
        Hierarchies::detect().is_ok_and(|hierarchies| hierarchies.layout() != Layout::Unified);
    if let Some(linux) = spec.linux.as_mut().filter(|_| is_legacy) {
        linux.namespaces.retain(|namespace| namespace.kind != NamespaceKind::Cgroup);
    }
}

/// Without what only root may have: the user is root inside, the network is the machine's.
fn make_rootless(spec: &mut Spec) {
    let Some(linux) = &mut spec.linux else { return };
    linux.namespaces.retain(|namespace| namespace.kind != NamespaceKind::Network);
    linux.namespaces.push(Namespace { kind: NamespaceKind::User, path: None });
    let only = |host_id: u32| vec![IdMapping { container_id: 0, host_id, size: 1 }];
    linux.uid_mappings = only(rustix::process::geteuid().as_raw());
    linux.gid_mappings = only(rustix::process::getegid().as_raw());
    linux.resources = None;
    for mount in &mut spec.mounts {
        if mount.destination == Path::new("/sys") {
            // The network's owner alone may mount a new one.
            *mount = MountPoint {
                destination: "/sys".into(),
                kind: Some("none".to_owned()),
                source: Some("/sys".into()),
                options: ["rbind", "nosuid", "noexec", "nodev", "ro"].map(str::to_owned).to_vec(),
                ..MountPoint::default()
            };
        }
        mount.options.retain(|option| !option.starts_with("gid=") && !option.starts_with("uid="));
    }
}
