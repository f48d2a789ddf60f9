//! Architectures as filters know them: the kernel's audit number, the profile's name, and the
//! numbers that calls have there.

use crate::table::CALLS;

/// A system call convention for which there is a table of calls.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Arch {
    /// 64-bit x86.
    X86_64,
    /// 32-bit x86.
    X86,
    /// 32-bit pointers on 64-bit x86: the audit number of `X86_64`, calls with bit 30 set.
    X32,
    /// 64-bit ARM.
    Aarch64,
    /// 32-bit ARM (EABI).
    Arm,
}

/// What a profile calls architectures that the kernel knows and dhow has no table for. Their
/// programs do not run on the machines that dhow runs on, so naming them changes nothing.
const FOREIGN: [&str; 19] = [
    "SCMP_ARCH_MIPS",
    "SCMP_ARCH_MIPS64",
    "SCMP_ARCH_MIPS64N32",
    "SCMP_ARCH_MIPSEL",
    "SCMP_ARCH_MIPSEL64",
    "SCMP_ARCH_MIPSEL64N32",
    "SCMP_ARCH_PPC",
    "SCMP_ARCH_PPC64",
    "SCMP_ARCH_PPC64LE",
    "SCMP_ARCH_S390",
    "SCMP_ARCH_S390X",
    "SCMP_ARCH_PARISC",
    "SCMP_ARCH_PARISC64",
    "SCMP_ARCH_RISCV64",
    "SCMP_ARCH_LOONGARCH64",
    "SCMP_ARCH_M68K",
    "SCMP_ARCH_SH",
    "SCMP_ARCH_SHEB",
    "SCMP_ARCH_NATIVE",
];

impl Arch {
    /// All of them, in the order of the table's columns.
    pub const ALL: [Self; 5] = [Self::X86_64, Self::X86, Self::X32, Self::Aarch64, Self::Arm];

    /// The architecture that this program was built for.
    pub const NATIVE: Self =
        if cfg!(target_arch = "aarch64") { Self::Aarch64 } else { Self::X86_64 };

    /// `SCMP_ARCH_…`, as profiles write it.
    pub fn profile_name(self) -> &'static str {
        match self {
            Self::X86_64 => "SCMP_ARCH_X86_64",
            Self::X86 => "SCMP_ARCH_X86",
            Self::X32 => "SCMP_ARCH_X32",
            Self::Aarch64 => "SCMP_ARCH_AARCH64",
            Self::Arm => "SCMP_ARCH_ARM",
        }
    }

    /// The architecture that a profile means by `SCMP_ARCH_…`.
    pub fn from_profile_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|arch| arch.profile_name() == name)
    }

    /// Every name that a profile may have, in alphabetical order.
    pub fn profile_names() -> Vec<&'static str> {
        let mut names: Vec<&str> =
            Self::ALL.map(Self::profile_name).into_iter().chain(FOREIGN).collect();
        names.sort_unstable();
        names
    }

    /// As conditions of `seccomp.json` write it: Go's names, and `x86` and `x32`.
    pub(crate) fn go_name(self) -> &'static str {
        match self {
            Self::X86_64 => "amd64",
            Self::X86 => "x86",
            Self::X32 => "x32",
            Self::Aarch64 => "arm64",
            Self::Arm => "arm",
        }
    }

    /// Whether a profile may name this architecture although there is no table for it.
    pub(crate) fn is_foreign(name: &str) -> bool {
        FOREIGN.contains(&name)
    }

    /// `AUDIT_ARCH_…`, as the kernel hands it to the filter (`linux/audit.h`).
    pub(crate) fn audit(self) -> u32 {
        match self {
            Self::X86_64 | Self::X32 => 0xc000_003e,
            Self::X86 => 0x4000_0003,
            Self::Aarch64 => 0xc000_00b7,
            Self::Arm => 0x4000_0028,
        }
    }

    /// How much of an argument the kernel looks at.
    pub(crate) fn width(self) -> Width {
        match self {
            Self::X86 | Self::Arm => Width::Half,
            Self::X86_64 | Self::X32 | Self::Aarch64 => Width::Whole,
        }
    }

    /// The bit that marks this convention's calls where it shares its audit number.
    pub(crate) fn marker(self) -> u32 {
        if self == Self::X32 { X32_BIT } else { 0 }
    }
}

/// How much of an argument counts.
///
/// A 64-bit program that makes a 32-bit call (`int 0x80`) hands the filter its whole registers,
/// while the call takes the lower halves: a filter that compared more would take
/// `socket(2^32 + AF_VSOCK)` for another family than the kernel does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Width {
    /// The lower 32 bits.
    Half,
    /// All 64 bits.
    Whole,
}

/// `__X32_SYSCALL_BIT`.
pub(crate) const X32_BIT: u32 = 0x4000_0000;

/// A call, by its place in the table.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Call(usize);

impl Call {
    /// The call of this name; `None` where no kernel has it.
    pub(crate) fn named(name: &str) -> Option<Self> {
        let mut slot = hash(name.as_bytes()) & (SLOTS - 1);
        loop {
            let place = usize::from(INDEX[slot]).checked_sub(1)?;
            if CALLS[place].0 == name {
                return Some(Self(place));
            }
            slot = (slot + 1) & (SLOTS - 1);
        }
    }

    /// Its number, with the architecture's marker.
    pub(crate) fn number(self, arch: Arch) -> Option<u32> {
        let number = CALLS[self.0].1[arch as usize];
        u32::try_from(number).ok().map(|number| number | arch.marker())
    }
}

// Four times as many slots as calls, so that nearly every look-up hits at once. A binary search
// over the names took most of the compile time.
const SLOTS: usize = 2048;

/// Places in the table plus one, by the hash of the name; 0 is a free slot.
static INDEX: [u16; SLOTS] = index();

const fn index() -> [u16; SLOTS] {
    let mut slots = [0; SLOTS];
    let mut place = 0;
    while place < CALLS.len() {
        let mut slot = hash(CALLS[place].0.as_bytes()) & (SLOTS - 1);
        while slots[slot] != 0 {
            slot = (slot + 1) & (SLOTS - 1);
        }
        #[expect(clippy::cast_possible_truncation, reason = "fewer than 65535 calls")]
        let entry = place as u16 + 1;
        slots[slot] = entry;
        place += 1;
    }
    slots
}

/// FNV-1a. The table is fixed, so no input can make its chains longer.
const fn hash(bytes: &[u8]) -> usize {
    let mut value: u32 = 0x811c_9dc5;
    let mut at = 0;
    while at < bytes.len() {
        value = (value ^ bytes[at] as u32).wrapping_mul(0x0100_0193);
        at += 1;
    }
    // The low bits alone mix badly for short names.
    (value ^ (value >> 15)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_is_found_by_its_name_and_the_table_is_sorted() {
        for (place, (name, _, _)) in CALLS.iter().enumerate() {
            assert_eq!(Call::named(name), Some(Call(place)), "{name}");
        }
        assert!(CALLS.is_sorted_by(|a, b| a.0 < b.0));
        for unknown in ["", "Read", "read ", "no_such_call"] {
            assert_eq!(Call::named(unknown), None, "{unknown:?}");
        }
    }

    #[test]
    fn numbers_are_unique_on_each_architecture() {
        for arch in Arch::ALL {
            let mut numbers: Vec<_> = CALLS
                .iter()
                .filter_map(|call| Call::named(call.0)?.number(arch).map(|number| (number, call.0)))
                .collect();
            numbers.sort_unstable();
            for pair in numbers.windows(2) {
                // arm has two names for one call.
                let twins = (pair[0].1, pair[1].1) == ("arm_sync_file_range", "sync_file_range2");
                assert!(pair[0].0 != pair[1].0 || twins, "{pair:?} on {arch:?}");
            }
        }
    }
}
