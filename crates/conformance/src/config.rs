//! The configuration that tests start from, and how they change it.
//!
//! It is written out here, not taken from a runtime's `spec`, so that all runtimes get the same.

use serde_json::{Value, json};

/// The capabilities that docker gives.
pub const CAPABILITIES: [&str; 14] = [
    "CAP_AUDIT_WRITE",
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_MKNOD",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_RAW",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
];

/// The start: root, docker's capabilities, namespaces of its own for everything but users and time.
pub fn basic() -> Value {
    let namespaces = ["pid", "network", "ipc", "uts", "mount", "cgroup"];
    let namespaces = namespaces.map(|kind| json!({"type": kind}));
    json!({
        "ociVersion": "1.0.2",
        "process": {
            "terminal": false,
            "user": {"uid": 0, "gid": 0},
            "args": ["true"],
            "env": ["PATH=/bin:/usr/bin"],
            "cwd": "/",
            "capabilities": {
                "bounding": CAPABILITIES,
                "effective": CAPABILITIES,
                "permitted": CAPABILITIES,
            },
            "noNewPrivileges": true,
        },
        "root": {"path": "rootfs", "readonly": false},
        "hostname": "inside",
        "mounts": mounts(),
        "linux": {
            "namespaces": namespaces,
            "resources": {"devices": [{"allow": false, "access": "rwm"}]},
        },
    })
}

fn mounts() -> Value {
    json!([
        {"destination": "/proc", "type": "proc", "source": "proc",
            "options": ["nosuid", "noexec", "nodev"]},
        {"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
            "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
        {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
            "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]},
        {"destination": "/dev/shm", "type": "tmpfs", "source": "shm",
            "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]},
        {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue",
            "options": ["nosuid", "noexec", "nodev"]},
        {"destination": "/sys", "type": "sysfs", "source": "sysfs",
            "options": ["nosuid", "noexec", "nodev", "ro"]},
    ])
}

/// Sets the value at a pointer (RFC 6901), making the objects on the way.
pub fn set(document: &mut Value, pointer: &str, value: Value) {
    let mut at = document;
    for key in pointer.split('/').skip(1) {
        at = match at {
            Value::Array(list) => {
                let index: usize = key.parse().expect("the index of a list");
                &mut list[index]
            }
            other => &mut other[key],
        };
    }
    *at = value;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_set_where_nothing_was_and_where_something_was() {
        let mut document = basic();

        set(&mut document, "/linux/sysctl/net.core.somaxconn", json!("7"));
        set(&mut document, "/linux/namespaces/0/type", json!("user"));

        assert_eq!(document["linux"]["sysctl"], json!({"net.core.somaxconn": "7"}));
        assert_eq!(document["linux"]["namespaces"][0], json!({"type": "user"}));
    }
}
