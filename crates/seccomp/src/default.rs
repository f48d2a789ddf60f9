//! The profile that a container gets when nobody says otherwise.
//!
//! Calls are refused with EPERM unless the table grants them, always or to holders of a
//! capability. It permits what docker's default permits, with these differences:
//!
//! * x32 is not filtered but refused: nobody runs it, kernels leave it out, and each call would
//!   have a second number. Such a call kills the process.
//! * `socket` names the address families that are permitted, one by one, and compares all 64 bits.
//!   AF_ALG (kernel crypto, CVE-2026-31431) and AF_VSOCK (the hypervisor, which has no network
//!   namespace) are refused, and so are numbers that only the kernel, which looks at the lower
//!   half, takes for them.
//! * `socketcall` of 32-bit x86 makes no sockets: its arguments lie in memory, where a filter
//!   cannot see the family. Nothing in the profile says so; the rules for `socket` have conditions
//!   and so do not reach through `socketcall` here. (libseccomp, and so runc and crun, lets them:
//!   there the gap that docker has stays open, and a rule that closes it is refused as a
//!   contradiction.) Programs that know no other way than `socketcall`, such as those of Debian's
//!   i386, make no sockets under the default profile; they need a profile of their own.
//! * `keyctl`, `userfaultfd`, `io_uring` and `bpf` are refused as in docker; newer calls that do no
//!   more than the permitted older ones (`file_getattr`) are permitted.

use crate::{Arch, grant::Grant, table::CALLS};
use dhow_spec::runtime::{Action, Arg, Operator, Seccomp, Syscalls};

/// The default profile for a container with these capabilities (`CAP_SYS_ADMIN`, as in
/// `process.capabilities.bounding`). A kernel of 4.8 or newer is assumed: on older ones a tracer
/// could undo the filter, and `ptrace` would have to be refused.
pub fn default_profile<S: AsRef<str>>(arch: Arch, capabilities: &[S]) -> Seccomp {
    let held = Grant::held(capabilities);
    let granted = CALLS.iter().filter(|(_, _, grant)| grant.given(held));
    let names: Vec<String> = granted.map(|(name, _, _)| (*name).to_owned()).collect();
    let unlimited = crate::grant::ADMIN.given(held);
    let mut syscalls = vec![allow(names, &[])];
    syscalls.extend(FAMILIES.iter().map(|family| allow_one("socket", family)));
    syscalls.extend(PERSONALITIES.iter().map(|one| allow_one("personality", one)));
    if !unlimited {
        syscalls.push(allow_one("clone", &NO_NAMESPACES));
        // Its flags lie in memory. ENOSYS sends the C library to clone.
        syscalls.push(missing("clone3"));
    }
    Seccomp {
        default_action: Action::Errno,
        default_errno_ret: Some(1),
        architectures: arches(arch).iter().map(|arch| arch.profile_name().to_owned()).collect(),
        flags: Vec::new(),
        listener_path: None,
        listener_metadata: None,
        syscalls,
    }
}

/// What a machine of this architecture runs.
fn arches(native: Arch) -> &'static [Arch] {
    match native {
        Arch::X86_64 | Arch::X32 => &[Arch::X86_64, Arch::X86],
        Arch::X86 => &[Arch::X86],
        Arch::Aarch64 => &[Arch::Aarch64, Arch::Arm],
        Arch::Arm => &[Arch::Arm],
    }
}

fn allow(names: Vec<String>, args: &[Arg]) -> Syscalls {
    Syscalls { names, action: Action::Allow, errno_ret: None, args: args.to_vec() }
}

fn allow_one(name: &str, arg: &Arg) -> Syscalls {
    allow(vec![name.to_owned()], &[*arg])
}

fn missing(name: &str) -> Syscalls {
    const ENOSYS: u32 = 38;
    let names = vec![name.to_owned()];
    Syscalls { names, action: Action::Errno, errno_ret: Some(ENOSYS), args: Vec::new() }
}

const fn first(op: Operator, value: u64) -> Arg {
    Arg { index: 0, value, value_two: 0, op }
}

/// Everything below AF_ALG (38); AF_NFC; everything above AF_VSOCK (40) up to AF_MCTP.
const FAMILIES: [Arg; 7] = [
    first(Operator::Less, 38),
    first(Operator::Equal, 39),
    first(Operator::Equal, 41),
    first(Operator::Equal, 42),
    first(Operator::Equal, 43),
    first(Operator::Equal, 44),
    first(Operator::Equal, 45),
];

/// PER_LINUX and PER_LINUX32, each with and without UNAME26; and the question which it is.
const PERSONALITIES: [Arg; 5] = [
    first(Operator::Equal, 0),
    first(Operator::Equal, 0x8),
    first(Operator::Equal, 0x2_0000),
    first(Operator::Equal, 0x2_0008),
    first(Operator::Equal, 0xffff_ffff),
];

/// None of the seven `CLONE_NEW…` that `clone` takes.
const NO_NAMESPACES: Arg =
    Arg { index: 0, value: 0x7e02_0000, value_two: 0, op: Operator::MaskedEqual };
