//! The configuration that a container has before an image or a user says anything.
//!
//! It gives what docker gives: own namespaces, fourteen capabilities, the kernel's dangerous files
//! masked, no new device rights. It has no process and no root (those come from image and snapshot)
//! and no seccomp filter (that depends on the machine and the capabilities; see `dhow-seccomp`).

use super::{
    Capabilities, DeviceRule, Linux, MountPoint, Namespace, NamespaceKind, OCI_VERSION, Process,
    Resources, Root, Spec,
};

/// The capabilities of a container's root user, as docker has them.
pub const DEFAULT_CAPABILITIES: [&str; 14] = [
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

/// Files that tell of the host, or change it, and that no container needs.
const MASKED_PATHS: [&str; 12] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];

/// Files that may be read.
const READONLY_PATHS: [&str; 5] =
    ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// Character devices that every container may use, besides making nodes of any kind: major and
/// minor number, any minor where it is missing (Documentation/admin-guide/devices.txt of the kernel).
pub const HARMLESS_DEVICES: [(i64, Option<i64>); 8] = [
    (1, Some(3)), // null
    (1, Some(5)), // zero
    (1, Some(7)), // full
    (1, Some(8)), // random
    (1, Some(9)), // urandom
    (5, Some(0)), // tty
    (5, Some(2)), // ptmx
    (136, None),  // terminals below /dev/pts
];

/// The configuration to start from.
///
/// Resource limits (rlimits) are left as the caller has them: raising a hard limit needs a right
/// that not every machine gives, and lowering one surprises databases.
pub fn default_spec() -> Spec {
    Spec {
        oci_version: OCI_VERSION.to_owned(),
        mounts: default_mounts(),
        linux: Some(Linux {
            namespaces: default_namespaces(),
            masked_paths: MASKED_PATHS.map(str::to_owned).to_vec(),
            readonly_paths: READONLY_PATHS.map(str::to_owned).to_vec(),
            resources: Some(Resources { devices: default_device_rules(), ..Resources::default() }),
            ..Linux::default()
        }),
        ..Spec::default()
    }
}

/// A whole `config.json` to begin a bundle with: a shell on a terminal in the directory `rootfs`.
pub fn example_spec() -> Spec {
    Spec {
        process: Some(Process {
            terminal: true,
            args: vec!["sh".to_owned()],
            env: vec![
                "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned(),
                "TERM=xterm".to_owned(),
            ],
            cwd: "/".to_owned(),
            capabilities: Some(Capabilities::of_root(&DEFAULT_CAPABILITIES)),
            no_new_privileges: true,
            ..Process::default()
        }),
        root: Some(Root { path: "rootfs".into(), readonly: true }),
        hostname: Some("dhow".to_owned()),
        ..default_spec()
    }
}

impl Capabilities {
    /// The sets of a root user who may have `names`: nothing is inheritable or ambient, since
    /// inheritable capabilities would let files with capabilities hand them on (CVE-2022-24769).
    pub fn of_root<S: AsRef<str>>(names: &[S]) -> Self {
        let names: Vec<String> = names.iter().map(|name| name.as_ref().to_owned()).collect();
        Self {
            bounding: names.clone(),
            effective: names.clone(),
            permitted: names,
            ..Self::default()
        }
    }

    /// The sets of any other user: a bound only. What a set-user-id program gains lies within it.
    pub fn of_user<S: AsRef<str>>(names: &[S]) -> Self {
        let names = names.iter().map(|name| name.as_ref().to_owned()).collect();
        Self { bounding: names, ..Self::default() }
    }
}

fn default_namespaces() -> Vec<Namespace> {
    [
        NamespaceKind::Pid,
        NamespaceKind::Network,
        NamespaceKind::Ipc,
        NamespaceKind::Uts,
        NamespaceKind::Mount,
        NamespaceKind::Cgroup,
    ]
    .map(|kind| Namespace { kind, path: None })
    .to_vec()
}

fn default_mounts() -> Vec<MountPoint> {
    vec![
        mount("/proc", "proc", "proc", &["nosuid", "noexec", "nodev"]),
        mount("/dev", "tmpfs", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
        mount(
            "/dev/pts",
            "devpts",
            "devpts",
            &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
        ),
        mount("/sys", "sysfs", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
        mount(
            "/sys/fs/cgroup",
            "cgroup",
            "cgroup",
            &["nosuid", "noexec", "nodev", "relatime", "ro"],
        ),
        mount("/dev/mqueue", "mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
        mount(
            "/dev/shm",
            "tmpfs",
            "shm",
            &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"],
        ),
    ]
}

fn mount(destination: &str, kind: &str, source: &str, options: &[&str]) -> MountPoint {
    MountPoint {
        destination: destination.into(),
        kind: Some(kind.to_owned()),
        source: Some(source.into()),
        options: options.iter().map(|&option| option.to_owned()).collect(),
        ..MountPoint::default()
    }
}

fn default_device_rules() -> Vec<DeviceRule> {
    let rule =
        |allow, kind: Option<&str>, numbers: (Option<i64>, Option<i64>), access: &str| DeviceRule {
            allow,
            kind: kind.map(str::to_owned),
            major: numbers.0,
            minor: numbers.1,
            access: Some(access.to_owned()),
        };
    let mut rules = vec![
        rule(false, None, (None, None), "rwm"),
        rule(true, Some("c"), (None, None), "m"),
        rule(true, Some("b"), (None, None), "m"),
    ];
    rules.extend(
        HARMLESS_DEVICES.map(|(major, minor)| rule(true, Some("c"), (Some(major), minor), "rwm")),
    );
    rules
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_masks_what_runc_was_broken_through_and_denies_devices_first() {
        let linux = default_spec().linux.unwrap();

        assert!(linux.masked_paths.contains(&"/proc/kcore".to_owned()));
        assert!(linux.namespace(NamespaceKind::Network).is_some());
        assert!(linux.namespace(NamespaceKind::User).is_none());
        assert!(!linux.resources.unwrap().devices[0].allow);
    }

    #[test]
    fn no_default_capability_is_inheritable_or_ambient() {
        let root = Capabilities::of_root(&DEFAULT_CAPABILITIES);

        assert_eq!(root.bounding.len(), 14);
        assert!(root.inheritable.is_empty() && root.ambient.is_empty());
        assert!(Capabilities::of_user(&DEFAULT_CAPABILITIES).effective.is_empty());
    }
}
