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
mod default;
pub mod profile;
mod program;

pub use arch::Arch;
pub use default::default_profile;
pub use program::{Flags, Instruction, Program, compile};
