//! `linux.seccomp` in `config.json`: the system call filter as rules.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// A system call filter.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Seccomp {
    /// What happens to calls that no rule names.
    pub default_action: Action,
    /// The errno of an `Errno` default; EPERM where missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_errno_ret: Option<u32>,
    /// `SCMP_ARCH_X86_64` and the like; the native one where empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub architectures: Vec<String>,
    /// `SECCOMP_FILTER_FLAG_…`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<String>,
    /// The socket that receives the notification fd.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listener_path: Option<PathBuf>,
    /// Opaque data for the listener.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listener_metadata: Option<String>,
    /// The rules.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub syscalls: Vec<Syscalls>,
}

/// One rule for several calls.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Syscalls {
    /// The calls, by name.
    pub names: Vec<String>,
    /// What happens.
    pub action: Action,
    /// The errno of `Errno`, or the data of `Trace`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errno_ret: Option<u32>,
    /// Conditions on arguments; all must hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<Arg>,
}

/// A condition on an argument.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Arg {
    /// Which argument, 0 to 5.
    pub index: u32,
    /// The value, or the mask of `MaskedEqual`.
    pub value: u64,
    /// The second value of `MaskedEqual`.
    #[serde(default)]
    pub value_two: u64,
    /// How they are compared.
    pub op: Operator,
}

/// An enum of the configuration's words, and the list of all of them: a variant cannot be left out
/// of it.
macro_rules! words {
    (
        $(#[$meta:meta])*
        $name:ident { $($(#[$doc:meta])* $variant:ident = $word:literal,)+ }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
        pub enum $name {
            $($(#[$doc])* #[serde(rename = $word)] $variant,)+
        }

        impl $name {
            /// All of them, as the configuration writes them.
            pub const WORDS: &[&str] = &[$($word),+];
        }
    };
}

words! {
    /// What happens to a call.
    Action {
        /// The thread dies.
        Kill = "SCMP_ACT_KILL",
        /// The process dies.
        KillProcess = "SCMP_ACT_KILL_PROCESS",
        /// The thread dies.
        KillThread = "SCMP_ACT_KILL_THREAD",
        /// The thread gets SIGSYS.
        Trap = "SCMP_ACT_TRAP",
        /// The call fails with an errno.
        Errno = "SCMP_ACT_ERRNO",
        /// A tracer is asked.
        Trace = "SCMP_ACT_TRACE",
        /// The call goes on.
        Allow = "SCMP_ACT_ALLOW",
        /// The call goes on and is logged.
        Log = "SCMP_ACT_LOG",
        /// The listener is asked.
        Notify = "SCMP_ACT_NOTIFY",
    }
}

words! {
    /// How an argument is compared; unsigned, 64 bits.
    Operator {
        /// Not equal.
        NotEqual = "SCMP_CMP_NE",
        /// Less.
        Less = "SCMP_CMP_LT",
        /// Less or equal.
        LessOrEqual = "SCMP_CMP_LE",
        /// Equal.
        Equal = "SCMP_CMP_EQ",
        /// Greater or equal.
        GreaterOrEqual = "SCMP_CMP_GE",
        /// Greater.
        Greater = "SCMP_CMP_GT",
        /// `argument & value == value_two`.
        MaskedEqual = "SCMP_CMP_MASKED_EQ",
    }
}
