//! `features`: what the runtime can do, as the specification's features document has it. It tells
//! of this build, not of the machine; only `supportedFlags` asks the kernel.
//!
//! Every list here is the one that the reader of the configuration goes by, so that none can name
//! what is not understood, or leave out what is.

use super::{Call, Command, Touches, grammar::Stop};
use crate::exit::{FAILURE, SUCCESS};
use dhow_base::{Error, Kind, Result};
use dhow_seccomp::{Arch, Flags};
use dhow_spec::runtime::{Action, Hooks, NamespaceKind, OCI_VERSION, Operator};
use dhow_sys::filter;
use serde_json::{Value, json};

pub(super) const COMMAND: Command = Command {
    name: "features",
    about: "Print what the runtime can do as JSON",
    arguments: "",
    count: 0..=0,
    flags: &[],
    stop: Stop::Nowhere,
    failure: FAILURE,
    touches: Touches::Nothing,
    act,
};

/// The oldest version of the specification whose documents are read.
const OCI_VERSION_MIN: &str = "1.0.0";

/// Annotations that change what the runtime does on the machine, not in the container.
const UNSAFE_ANNOTATIONS: [&str; 2] = ["org.criu.config", "org.systemd.property."];

fn act(call: &Call<'_>) -> Result<u8> {
    let text = serde_json::to_string_pretty(&document()?).map_err(unwritten)?;
    call.console.print(format!("{text}\n"))?;
    Ok(SUCCESS)
}

fn unwritten(error: serde_json::Error) -> Error {
    Error::new(Kind::Internal, "write the features").because(error)
}

fn document() -> Result<Value> {
    Ok(json!({
        "ociVersionMin": OCI_VERSION_MIN,
        "ociVersionMax": OCI_VERSION,
        "hooks": Hooks::default().kinds().map(|kind| kind.0),
        "mountOptions": dhow_runtime::mount_options(),
        "linux": {
            "namespaces": namespaces()?,
            "capabilities": dhow_runtime::capability_names().collect::<Vec<_>>(),
            "cgroup": {
                "v1": true,
                "v2": true,
                "systemd": true,
                "systemdUser": true,
                "rdma": true,
            },
            "seccomp": seccomp(),
            "apparmor": {"enabled": true},
            "selinux": {"enabled": true},
            "intelRdt": {"enabled": true, "schemata": true, "monitoring": true},
            "mountExtensions": {"idmap": {"enabled": true}},
            "netDevices": {"enabled": true},
            "memoryPolicy": memory_policy(),
        },
        "annotations": {
            "org.opencontainers.runc.checkpoint.enabled": "true",
        },
        "potentiallyUnsafeConfigAnnotations": UNSAFE_ANNOTATIONS,
    }))
}

fn memory_policy() -> Value {
    let (modes, flags) = dhow_runtime::memory_policy_names();
    json!({"modes": modes, "flags": flags})
}

fn seccomp() -> Value {
    let supported = Flags::NAMED.iter().filter(|named| filter::takes_flag(named.1.bits()));
    json!({
        "enabled": true,
        "actions": sorted(Action::WORDS),
        "operators": sorted(Operator::WORDS),
        "archs": Arch::profile_names(),
        "knownFlags": Flags::NAMED.map(|named| named.0),
        "supportedFlags": supported.map(|named| named.0).collect::<Vec<_>>(),
    })
}

fn namespaces() -> Result<Vec<String>> {
    let word = |kind| serde_json::from_value(serde_json::to_value(kind)?);
    let words = NamespaceKind::ALL.into_iter().map(word).collect::<serde_json::Result<Vec<_>>>();
    words.map(sorted).map_err(unwritten)
}

fn sorted<T: Clone + Ord>(words: impl AsRef<[T]>) -> Vec<T> {
    let mut words = words.as_ref().to_vec();
    words.sort_unstable();
    words
}
