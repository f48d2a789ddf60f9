//! `features`: what the runtime can do, as the specification's features document has it. It tells
//! of this build, not of the machine; only `supportedFlags` asks the kernel.

use super::{Call, Command, Touches, grammar::Stop};
use crate::exit::{FAILURE, SUCCESS};
use dhow_base::{Error, Kind, Result};
use dhow_seccomp::Arch;
use dhow_spec::runtime::{Action, NamespaceKind, OCI_VERSION, Operator};
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

const HOOKS: [&str; 6] =
    ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];

const ACTIONS: [Action; 9] = [
    Action::Allow,
    Action::Errno,
    Action::Kill,
    Action::KillProcess,
    Action::KillThread,
    Action::Log,
    Action::Notify,
    Action::Trace,
    Action::Trap,
];

const OPERATORS: [Operator; 7] = [
    Operator::Equal,
    Operator::GreaterOrEqual,
    Operator::Greater,
    Operator::LessOrEqual,
    Operator::Less,
    Operator::MaskedEqual,
    Operator::NotEqual,
];

/// Flags of filters, and the kernel that has them.
const FILTER_FLAGS: [(&str, (u32, u32)); 4] = [
    ("SECCOMP_FILTER_FLAG_LOG", (4, 14)),
    ("SECCOMP_FILTER_FLAG_SPEC_ALLOW", (4, 17)),
    ("SECCOMP_FILTER_FLAG_TSYNC", (3, 17)),
    ("SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", (5, 19)),
];

/// Annotations that change what the runtime does on the machine, not in the container.
const UNSAFE_ANNOTATIONS: [&str; 1] = ["org.systemd.property."];

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
        "hooks": HOOKS,
        "mountOptions": dhow_runtime::mount_options(),
        "linux": {
            "namespaces": sorted(&NamespaceKind::ALL)?,
            "capabilities": dhow_runtime::capability_names().collect::<Vec<_>>(),
            "cgroup": {
                "v1": true,
                "v2": true,
                "systemd": true,
                "systemdUser": true,
                "rdma": true,
            },
            "seccomp": seccomp()?,
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

fn seccomp() -> Result<Value> {
    let mut arches = Arch::ALL.map(Arch::profile_name);
    arches.sort_unstable();
    let kernel = kernel();
    let supported = FILTER_FLAGS.iter().filter(|flag| kernel >= flag.1).map(|flag| flag.0);
    Ok(json!({
        "enabled": true,
        "actions": sorted(&ACTIONS)?,
        "operators": sorted(&OPERATORS)?,
        "archs": arches,
        "knownFlags": FILTER_FLAGS.map(|flag| flag.0),
        "supportedFlags": supported.collect::<Vec<_>>(),
    }))
}

/// The words that the configuration has for these.
fn sorted<T: serde::Serialize>(values: &[T]) -> Result<Vec<String>> {
    let word = |value: &T| serde_json::from_value(serde_json::to_value(value)?);
    let mut words: Vec<String> =
        values.iter().map(word).collect::<serde_json::Result<_>>().map_err(unwritten)?;
    words.sort_unstable();
    Ok(words)
}

/// The first two numbers of the running kernel's version.
fn kernel() -> (u32, u32) {
    let name = rustix::system::uname();
    let release = name.release().to_string_lossy();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|text| text.parse().ok());
    let mut next = || numbers.next().flatten().unwrap_or(0);
    (next(), next())
}
