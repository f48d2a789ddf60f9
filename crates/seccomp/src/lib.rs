//! System call filters: a profile from `config.json` becomes a classic BPF program.
//!
//! Pure: no system calls, no files. Who loads the program (`seccomp(2)`) is `dhow-sys`; who decides
//! which profile a container gets is the engine.
//!
//! * [`compile`]: the specification's profile to a [`Program`].
//! * [`default_profile`]: what a container gets when nobody says otherwise.
//! * [`profile::parse`]: docker's and containers' `seccomp.json`, which has conditions on
//!   architecture, capabilities and kernel, to the specification's profile.

mod arch;
mod assembler;
mod default;
#[cfg(any(test, feature = "fuzz"))]
pub mod fuzz;
mod grant;
mod multiplex;
pub mod profile;
mod program;
mod table;

#[cfg(test)]
mod interpreter;
#[cfg(test)]
mod oracle;
#[cfg(test)]
mod random;
#[cfg(test)]
mod tests;

pub use arch::Arch;
pub use default::default_profile;
pub use profile::Kernel;
pub use program::{Flags, Instruction, Program, compile, compile_for};
