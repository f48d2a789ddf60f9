//! Capabilities by name, and the five sets of a process.

use dhow_base::{Doing, Error, Kind, Result};
use dhow_spec::runtime::Capabilities;
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
    /// Reads the names. Without any word of capabilities there are none.
    pub(crate) fn parse(capabilities: Option<&Capabilities>) -> Result<Self> {
        let none = Capabilities::default();
        let capabilities = capabilities.unwrap_or(&none);
        Ok(Self {
            bounding: set_of(&capabilities.bounding)?,
            effective: set_of(&capabilities.effective)?,
            inheritable: set_of(&capabilities.inheritable)?,
            permitted: set_of(&capabilities.permitted)?,
            ambient: set_of(&capabilities.ambient)?,
        })
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
        let available = rustix::thread::capabilities(None).doing(doing)?.permitted;
        let permitted = self.permitted & available;
        let sets = CapabilitySets {
            effective: self.effective & permitted,
            permitted,
            inheritable: self.inheritable & available,
        };
        rustix::thread::set_capabilities(None, sets).doing(doing)?;
        for number in 0..64 {
            let one = CapabilitySet::from_bits_retain(1 << number);
            if (self.ambient & permitted & self.inheritable).contains(one) {
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

fn set_of(names: &[String]) -> Result<CapabilitySet> {
    let mut bits = 0_u64;
    for name in names {
        let plain = name.strip_prefix("CAP_").unwrap_or(name);
        let number = NAMES.iter().position(|known| *known == plain);
        let number = number.ok_or_else(|| {
            Error::new(Kind::Invalid, format!("use capability {name:?}: no such capability"))
        })?;
        bits |= 1 << number;
    }
    Ok(CapabilitySet::from_bits_retain(bits))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_the_kernel_s_numbers() {
        let set = set_of(&["CAP_CHOWN".into(), "CAP_CHECKPOINT_RESTORE".into()]).unwrap();

        assert_eq!(set, CapabilitySet::CHOWN | CapabilitySet::CHECKPOINT_RESTORE);
        assert_eq!(set_of(&["CAP_SYS_ADMIN".into()]).unwrap(), CapabilitySet::SYS_ADMIN);
        assert!(set_of(&["CAP_FLY".into()]).is_err());
    }
}
