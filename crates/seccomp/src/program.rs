//! A compiled filter.

use dhow_base::{Error, Kind, Result};
use dhow_spec::runtime::Seccomp;

/// One instruction of classic BPF; the kernel's `struct sock_filter`.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[repr(C)]
pub struct Instruction {
    /// Operation.
    pub code: u16,
    /// Instructions to skip when a condition holds.
    pub jt: u8,
    /// Instructions to skip when it does not.
    pub jf: u8,
    /// Operand.
    pub k: u32,
}

/// How the filter is to be loaded; see `seccomp(2)`.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct Flags {
    bits: u32,
}

impl Flags {
    /// `SECCOMP_FILTER_FLAG_…` as `seccomp(2)` takes them, without `NEW_LISTENER`, which the caller
    /// adds where [`Program::notifies`] says so.
    pub fn bits(self) -> u32 {
        self.bits
    }
}

/// A filter, ready to be loaded.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Program {
    instructions: Vec<Instruction>,
    flags: Flags,
    notifies: bool,
}

impl Program {
    /// The instructions, at most 4096.
    pub fn instructions(&self) -> &[Instruction] {
        &self.instructions
    }

    /// How to load it.
    pub fn flags(&self) -> Flags {
        self.flags
    }

    /// Whether some call asks a listener, so that loading must make one.
    pub fn notifies(&self) -> bool {
        self.notifies
    }
}

/// Compiles a profile.
pub fn compile(profile: &Seccomp) -> Result<Program> {
    let rules = profile.syscalls.len();
    Err(Error::new(Kind::Unsupported, format!("compile a filter of {rules} rules")))
}
