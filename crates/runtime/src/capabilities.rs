//! Capabilities by name, and the five sets of a process.

use dhow_base::{Doing, Result};
use dhow_spec::runtime::{Capabilities, NamespaceKind, Process, Spec};
use rustix::{
    io::Errno,
    thread::{CapabilitySet, CapabilitySets},
};

/// All names; a capability's number is its place.
const NAMES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// The sets that a process is to have.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sets {
    bounding: CapabilitySet,
    effective: CapabilitySet,
    inheritable: CapabilitySet,
    permitted: CapabilitySet,
    ambient: CapabilitySet,
}

impl Sets {
    /// Reads the names. Without any word of capabilities there are none; one that is not known is
    /// passed over ([`ungrantable`] tells of it).
    pub(crate) fn read(capabilities: Option<&Capabilities>) -> Self {
        let none = Capabilities::default();
        let capabilities = capabilities.unwrap_or(&none);
        Self {
            bounding: set_of(&capabilities.bounding),
            effective: set_of(&capabilities.effective),
            inheritable: set_of(&capabilities.inheritable),
            permitted: set_of(&capabilities.permitted),
            ambient: set_of(&capabilities.ambient),
        }
    }

    /// Lowers the bound. Needs CAP_SETPCAP, so it comes before the process becomes its user.
    pub(crate) fn limit(&self) -> Result<()> {
        // Newer kernels have capabilities without a name here; those are dropped too.
        for number in 0..64 {
            let one = CapabilitySet::from_bits_retain(1 << number);
            if self.bounding.contains(one) {
                continue;
            }
            match rustix::thread::remove_capability_from_bounding_set(one) {
                Ok(()) => {}
                Err(Errno::INVAL) => break,
                Err(errno) => {
                    return Err(errno).doing(|| format!("drop capability {}", name(number)));
                }
            }
        }
        Ok(())
    }

    /// Sets all but the bound. What the runtime itself does not have (in a container of its own,
    /// or on a machine that withholds some), it cannot give; the rest counts.
    pub(crate) fn apply(&self) -> Result<()> {
        let doing = || "set the capabilities";
        let within = |available: CapabilitySet| CapabilitySets {
            effective: self.effective & self.permitted & available,
            permitted: self.permitted & available,
            inheritable: self.inheritable & available,
        };
        let mut sets = within(CapabilitySet::all());
        match rustix::thread::set_capabilities(None, sets) {
            Err(Errno::PERM) => {
                sets = within(rustix::thread::capabilities(None).doing(doing)?.permitted);
                rustix::thread::set_capabilities(None, sets).doing(doing)?;
            }
            result => result.doing(doing)?,
        }
        for number in 0..64 {
            let one = CapabilitySet::from_bits_retain(1 << number);
            if (self.ambient & sets.permitted & sets.inheritable).contains(one) {
                rustix::thread::configure_capability_in_ambient_set(one, true)
                    .doing(|| format!("make capability {} ambient", name(number)))?;
            }
        }
        Ok(())
    }
}

fn name(number: usize) -> String {
    NAMES.get(number).map_or_else(|| number.to_string(), |name| format!("CAP_{name}"))
}

/// The capabilities that a process asks for and will not have: those that nobody knows, and those
/// that this process does not have itself and so cannot hand on. The specification wants a warning
/// of each, and no failure.
pub fn ungrantable(spec: &Spec, process: &Process) -> Result<Vec<String>> {
    let Some(asked) = &process.capabilities else { return Ok(Vec::new()) };
    // In a user namespace of its own a process has them all.
    let user = spec.linux.as_ref().and_then(|linux| linux.namespace(NamespaceKind::User));
    let available = match user {
        Some(_) => CapabilitySet::from_bits_retain((1 << NAMES.len()) - 1),
        None => rustix::thread::capabilities(None).doing(|| "read the own capabilities")?.permitted,
    };
    let sets =
        [&asked.bounding, &asked.effective, &asked.inheritable, &asked.permitted, &asked.ambient];
    let mut missing: Vec<String> = Vec::new();
    for name in sets.into_iter().flatten() {
        if !number_of(name).is_some_and(|one| available.contains(one)) && !missing.contains(name) {
            missing.push(name.clone());
        }
    }
    Ok(missing)
}

/// The capabilities that a process asks to be ambient and that the kernel does not raise, since they are
/// not both permitted and inheritable.
pub fn unraisable(process: &Process) -> Vec<String> {
    let Some(asked) = &process.capabilities else { return Vec::new() };
    let raised = set_of(&asked.permitted) & set_of(&asked.inheritable);
    let is_raised = |name: &&String| number_of(name).is_none_or(|one| raised.contains(one));
    asked.ambient.iter().filter(|name| !is_raised(name)).cloned().collect()
}

/// All capabilities that are known here, as profiles write them.
pub fn names() -> impl Iterator<Item = String> {
    (0..NAMES.len()).map(name)
}

fn number_of(name: &str) -> Option<CapabilitySet> {
    let plain = name.strip_prefix("CAP_").unwrap_or(name);
    let number = NAMES.iter().position(|known| *known == plain)?;
    Some(CapabilitySet::from_bits_retain(1 << number))
}

fn set_of(names: &[String]) -> CapabilitySet {
    let known = names.iter().filter_map(|name| number_of(name));
    known.fold(CapabilitySet::empty(), |all, one| all | one)
}

#[cfg(test)]
mod tests {
    use super::*;
    use dhow_spec::runtime::{Linux, Namespace};

    #[test]
    fn names_have_the_kernel_s_numbers() {
        let set = set_of(&["CAP_CHOWN".into(), "CAP_FLY".into(), "CAP_CHECKPOINT_RESTORE".into()]);

        assert_eq!(set, CapabilitySet::CHOWN | CapabilitySet::CHECKPOINT_RESTORE);
        assert_eq!(set_of(&["CAP_SYS_ADMIN".into()]), CapabilitySet::SYS_ADMIN);
        assert_eq!(names().last().as_deref(), Some("CAP_CHECKPOINT_RESTORE"));
    }

    #[test]
    fn what_cannot_be_granted_is_named_once() {
        let name = |text: &str| text.to_owned();
        let capabilities = Capabilities {
            bounding: vec![name("CAP_FLY"), name("CAP_CHOWN")],
            effective: vec![name("CAP_FLY"), name("CAP_SWIM")],
            ..Capabilities::default()
        };
        let process = Process { capabilities: Some(capabilities), ..Process::default() };
        let namespaces = vec![Namespace { kind: NamespaceKind::User, path: None }];
        let linux = Linux { namespaces, ..Linux::default() };
        let spec = Spec { linux: Some(linux), ..Spec::default() };

        assert_eq!(ungrantable(&spec, &process).unwrap(), ["CAP_FLY", "CAP_SWIM"]);
        assert!(ungrantable(&spec, &Process::default()).unwrap().is_empty());
    }

    #[test]
    fn what_is_not_permitted_and_inheritable_cannot_be_ambient() {
        let names = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
        let capabilities = Capabilities {
            permitted: names(&["CAP_KILL", "CAP_CHOWN"]),
            inheritable: names(&["CAP_KILL", "CAP_FOWNER"]),
            ambient: names(&["CAP_KILL", "CAP_CHOWN", "CAP_FOWNER", "CAP_FLY"]),
            ..Capabilities::default()
        };
        let process = Process { capabilities: Some(capabilities), ..Process::default() };

        assert_eq!(unraisable(&process), ["CAP_CHOWN", "CAP_FOWNER"]);
        assert!(unraisable(&Process::default()).is_empty());
    }
}
