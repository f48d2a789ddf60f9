//! What the container may do: capabilities, devices, masked paths, system calls.

use super::Facts;
use crate::{
    devices,
    options::{CreateOptions, SeccompChoice},
};
use dhow_base::{Doing, Result, pattern::matches};
use dhow_seccomp::{Arch, default_profile, profile};
use dhow_spec::runtime::{Capabilities, Linux, MountPoint, Resources};
use std::path::Path;

/// Docker's meaning of privileged: every capability, every device, no filter, nothing masked, and
/// the kernel's parameters writable. What is asked for beside it counts as well.
pub(super) fn set_rights(
    linux: &mut Linux,
    mounts: &mut [MountPoint],
    options: &CreateOptions,
    capabilities: &[String],
    facts: &Facts<'_>,
) -> Result<()> {
    let rights = &options.rights;
    let rules = &mut linux.resources.get_or_insert_with(Resources::default).devices;
    if rights.privileged {
        linux.masked_paths.clear();
        linux.readonly_paths.clear();
        *rules = vec![devices::allow_all()];
        linux.devices = devices::of_host()?;
        for mount in mounts.iter_mut().filter(|mount| mount.destination.starts_with("/sys")) {
            mount.options.retain(|option| option != "ro");
        }
    }
    for option in &rights.devices {
        for (device, rule) in devices::passed_in(option)? {
            linux.devices.retain(|other| other.path != device.path);
            linux.devices.push(device);
            rules.push(rule);
        }
    }
    rules.extend(options.cgroup.device_rules.iter().cloned());
    for process in mounts.iter_mut().filter(|mount| mount.destination == Path::new("/proc")) {
        process.options.extend(rights.proc_options.iter().cloned());
    }
    if rights.unmask.iter().any(|path| path.eq_ignore_ascii_case("all")) {
        linux.masked_paths.clear();
        linux.readonly_paths.clear();
    }
    let is_unmasked = |path: &String| rights.unmask.iter().any(|glob| matches(glob, path));
    linux.masked_paths.retain(|path| !is_unmasked(path));
    linux.readonly_paths.retain(|path| !is_unmasked(path));
    linux.masked_paths.extend(rights.mask.iter().cloned());
    linux.seccomp = match &rights.seccomp {
        SeccompChoice::Unconfined => None,
        SeccompChoice::Default if rights.privileged => None,
        SeccompChoice::Default => Some(default_profile(Arch::NATIVE, capabilities)),
        SeccompChoice::Profile(bytes) => {
            let parsed = profile::parse(bytes, capabilities, Arch::NATIVE, facts.kernel);
            Some(parsed.doing(|| "read the seccomp profile")?)
        }
    };
    Ok(())
}

/// The sets of a process, which root and others get differently.
pub(crate) fn capability_sets(names: &[String], uid: u32) -> Capabilities {
    if uid == 0 { Capabilities::of_root(names) } else { Capabilities::of_user(names) }
}
