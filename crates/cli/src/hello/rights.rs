//! What the process may do: capabilities, seccomp, no-new-privileges, from `/proc/self/status`.

use super::{Section, read, wrapped};

/// The kernel's names, in the order of their bits.
const CAPABILITIES: [&str; 41] = [
    "chown",
    "dac_override",
    "dac_read_search",
    "fowner",
    "fsetid",
    "kill",
    "setgid",
    "setuid",
    "setpcap",
    "linux_immutable",
    "net_bind_service",
    "net_broadcast",
    "net_admin",
    "net_raw",
    "ipc_lock",
    "ipc_owner",
    "sys_module",
    "sys_rawio",
    "sys_chroot",
    "sys_ptrace",
    "sys_pacct",
    "sys_admin",
    "sys_boot",
    "sys_nice",
    "sys_resource",
    "sys_time",
    "sys_tty_config",
    "mknod",
    "lease",
    "audit_write",
    "audit_control",
    "setfcap",
    "mac_override",
    "mac_admin",
    "syslog",
    "wake_alarm",
    "block_suspend",
    "audit_read",
    "perfmon",
    "bpf",
    "checkpoint_restore",
];

/// The mighty ones, of which a newcomer should know whether they are missing.
const MIGHTY: [&str; 8] = [
    "sys_admin",
    "sys_module",
    "sys_ptrace",
    "sys_boot",
    "sys_rawio",
    "net_admin",
    "bpf",
    "sys_time",
];

pub(super) fn section() -> Section {
    let lines = match read("/proc/self/status") {
        Some(status) => described(&status),
        None => vec!["unknown".to_owned()],
    };
    Section { title: "Rights", lines }
}

fn described(status: &str) -> Vec<String> {
    let held = field(status, "CapEff").and_then(|hex| u64::from_str_radix(hex, 16).ok());
    let mut lines = held.map_or_else(|| vec!["capabilities unknown".to_owned()], capabilities);
    let seccomp = match (field(status, "Seccomp"), field(status, "Seccomp_filters")) {
        (Some("2"), Some(count)) => format!("yes, filters: {count}"),
        (Some("2"), None) => "yes".to_owned(),
        (Some("1"), _) => "all but four".to_owned(),
        (Some("0"), _) => "no, each may be tried".to_owned(),
        _ => "unknown".to_owned(),
    };
    let privileges = match field(status, "NoNewPrivs") {
        Some("1") => "no program can gain rights (no_new_privs)",
        Some("0") => "set-user-id programs could gain the rights above, no others",
        _ => "whether programs can gain rights is unknown",
    };
    lines.push(format!("system calls filtered by seccomp: {seccomp}"));
    lines.push(privileges.to_owned());
    lines
}

fn capabilities(held: u64) -> Vec<String> {
    let has = |name: &&str| {
        let bit = CAPABILITIES.iter().position(|known| known == name);
        bit.is_some_and(|bit| held & (1 << bit) != 0)
    };
    let names: Vec<String> =
        CAPABILITIES.iter().filter(|name| has(name)).map(ToString::to_string).collect();
    if names.len() == CAPABILITIES.len() {
        return vec!["all capabilities: this container is as mighty as the host".to_owned()];
    }
    let mut lines = vec![format!("{} of {} capabilities:", names.len(), CAPABILITIES.len())];
    lines.extend(wrapped(&names));
    let missing: Vec<String> =
        MIGHTY.iter().filter(|name| !has(name)).map(ToString::to_string).collect();
    if !missing.is_empty() {
        lines.push("and not, among others:".to_owned());
        lines.extend(wrapped(&missing));
    }
    lines
}

fn field<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    status.lines().find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(':')?.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rights_are_read_from_the_status() {
        let status = "Name:\tx\nCapEff:\t00000000a80425fb\nNoNewPrivs:\t0\nSeccomp:\t2\nSeccomp_filters:\t1\n";

        let text = described(status).join("\n");

        assert!(text.starts_with("14 of 41 capabilities:\nchown,"), "{text}");
        assert!(text.contains("and not, among others:\nsys_admin,"), "{text}");
        assert!(text.contains("seccomp: yes, filters: 1\nset-user-id"), "{text}");
    }

    #[test]
    fn all_and_none_and_unknown_are_said() {
        assert!(described("CapEff:\tffffffffffffffff\n")[0].starts_with("all capabilities"));
        assert!(described("CapEff:\t0\n")[0].starts_with("0 of 41"));
        assert!(described("")[0].contains("unknown"));
    }
}
