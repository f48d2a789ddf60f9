//! Who may use a call under the default profile: a set of capabilities, any one of which is enough.

/// Who may use a call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Grant(u16);

impl Grant {
    /// What a container with these capabilities has. Names that grant nothing are skipped.
    pub(crate) fn held<S: AsRef<str>>(capabilities: &[S]) -> Self {
        let bits = capabilities.iter().filter_map(|held| {
            let (_, grant) = NAMES.iter().find(|(name, _)| *name == held.as_ref())?;
            Some(grant.0)
        });
        Self(bits.fold(ALWAYS.0, |all, one| all | one))
    }

    /// Whether what is held is enough for a call that asks for `self`.
    pub(crate) fn given(self, held: Self) -> bool {
        self.0 & held.0 != 0
    }
}

/// Either of two capabilities.
pub(crate) const fn either(a: Grant, b: Grant) -> Grant {
    Grant(a.0 | b.0)
}

pub(crate) const NEVER: Grant = Grant(0);
pub(crate) const ALWAYS: Grant = Grant(1);
pub(crate) const ADMIN: Grant = Grant(1 << 1);
pub(crate) const BOOT: Grant = Grant(1 << 2);
pub(crate) const BPF: Grant = Grant(1 << 3);
pub(crate) const CHROOT: Grant = Grant(1 << 4);
pub(crate) const MODULE: Grant = Grant(1 << 5);
pub(crate) const NICE: Grant = Grant(1 << 6);
pub(crate) const PACCT: Grant = Grant(1 << 7);
pub(crate) const PERFMON: Grant = Grant(1 << 8);
pub(crate) const PTRACE: Grant = Grant(1 << 9);
pub(crate) const RAWIO: Grant = Grant(1 << 10);
pub(crate) const SEARCH: Grant = Grant(1 << 11);
pub(crate) const SYSLOG: Grant = Grant(1 << 12);
pub(crate) const TIME: Grant = Grant(1 << 13);
pub(crate) const TTY: Grant = Grant(1 << 14);

const NAMES: [(&str, Grant); 14] = [
    ("CAP_SYS_ADMIN", ADMIN),
    ("CAP_SYS_BOOT", BOOT),
    ("CAP_BPF", BPF),
    ("CAP_SYS_CHROOT", CHROOT),
    ("CAP_SYS_MODULE", MODULE),
    ("CAP_SYS_NICE", NICE),
    ("CAP_SYS_PACCT", PACCT),
    ("CAP_PERFMON", PERFMON),
    ("CAP_SYS_PTRACE", PTRACE),
    ("CAP_SYS_RAWIO", RAWIO),
    ("CAP_DAC_READ_SEARCH", SEARCH),
    ("CAP_SYSLOG", SYSLOG),
    ("CAP_SYS_TIME", TIME),
    ("CAP_SYS_TTY_CONFIG", TTY),
];
