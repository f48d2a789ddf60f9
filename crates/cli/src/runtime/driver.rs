//! Who makes a container's cgroup, from `--systemd-cgroup`, `--cgroup-manager` and who we are.

use crate::env::Environment;
use dhow_runtime::{Bus, Driver};
use std::path::{Path, PathBuf};

/// The names that crun's `--cgroup-manager` has. Podman says `disabled` for `--cgroups disabled`.
pub(super) const MANAGERS: [&str; 3] = ["cgroupfs", "systemd", "disabled"];

/// The machine's systemd for root, the user's own for everybody else. Root of a user namespace has
/// no rights with the machine's.
pub(super) fn chosen(is_systemd: bool, manager: Option<&str>, environment: &Environment) -> Driver {
    match manager {
        Some("disabled") => return Driver::Nobody,
        Some("systemd") => {}
        _ if is_systemd => {}
        _ => return Driver::Files,
    }
    let user = rustix::process::geteuid();
    let owner = owner_of_namespace().unwrap_or(user.as_raw());
    if owner == 0 {
        return Driver::Systemd(Bus::of_system());
    }
    let usual = || PathBuf::from(format!("/run/user/{owner}"));
    let directory = environment.runtime_dir.clone().unwrap_or_else(usual);
    Driver::Systemd(Bus::of_user(environment.session_bus.as_deref(), &directory))
}

/// Who root of this user namespace is outside of it; itself on the whole machine.
fn owner_of_namespace() -> Option<u32> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let map = std::fs::read_to_string(Path::new("/proc/self/uid_map")).ok()?;
    map.split_whitespace().nth(1)?.parse().ok()
}
