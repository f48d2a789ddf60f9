//! System calls that a container must not be able to make, to be tried from inside of one.
//!
//! An attempt is a call with arguments that do no harm where the kernel grants it: numbers, null
//! pointers, flags that contradict each other. Only the attempts of the table can be made, so that
//! making one is safe. A filter answers EPERM or ENOSYS, or kills; the kernel answers something
//! else (EFAULT, EINVAL, an fd), which is how the two are told apart.

use std::io;

/// The way into the kernel.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Door {
    /// The machine's own calls.
    Native,
    /// The calls of 64-bit machines with 32-bit pointers: native ones with a bit more.
    X32,
    /// The calls of 32-bit x86, by the interrupt 0x80.
    I386,
}

/// A call and its arguments.
#[derive(Clone, Copy, Debug)]
pub struct Attempt {
    /// How it is called in reports.
    pub name: &'static str,
    /// By which way it is made.
    pub door: Door,
    number: i64,
    arguments: [u64; 3],
}

impl Attempt {
    const fn new(name: &'static str, door: Door, number: i64, arguments: [u64; 3]) -> Self {
        Self { name, door, number, arguments }
    }

    /// Makes the call; what the kernel answers, an errno as an error.
    pub fn make(&self) -> io::Result<i64> {
        let answer = match self.door {
            Door::Native => native(self.number, self.arguments),
            Door::X32 => native(self.number | X32_BIT, self.arguments),
            Door::I386 => interrupt(self.number, self.arguments),
        };
        match i32::try_from(answer) {
            Ok(errno @ -4095..=-1) => Err(io::Error::from_raw_os_error(-errno)),
            _ => Ok(answer),
        }
    }
}

/// What the default filter must refuse.
pub const FORBIDDEN: &[Attempt] = &[
    Attempt::new("AF_ALG", Door::Native, libc::SYS_socket, [38, 5, 0]),
    Attempt::new("AF_ALG, upper half", Door::Native, libc::SYS_socket, [38 | 1 << 32, 5, 0]),
    Attempt::new("AF_VSOCK", Door::Native, libc::SYS_socket, [40, 1, 0]),
    Attempt::new("AF_VSOCK, upper half", Door::Native, libc::SYS_socket, [40 | 1 << 32, 1, 0]),
    Attempt::new("io_uring_setup", Door::Native, libc::SYS_io_uring_setup, [1, 0, 0]),
    Attempt::new("io_uring_enter", Door::Native, libc::SYS_io_uring_enter, [NO_FD, 0, 0]),
    Attempt::new("io_uring_register", Door::Native, libc::SYS_io_uring_register, [NO_FD, 0, 0]),
    Attempt::new("userfaultfd", Door::Native, libc::SYS_userfaultfd, [NO_FD, 0, 0]),
    Attempt::new("bpf", Door::Native, libc::SYS_bpf, [5, 0, 0]),
    Attempt::new("keyctl", Door::Native, libc::SYS_keyctl, [NO_FD, 0, 0]),
    Attempt::new("add_key", Door::Native, libc::SYS_add_key, [0, 0, 0]),
    Attempt::new("request_key", Door::Native, libc::SYS_request_key, [0, 0, 0]),
    Attempt::new("unshare user", Door::Native, libc::SYS_unshare, [USER_AND_NOTHING, 0, 0]),
    Attempt::new("clone user", Door::Native, libc::SYS_clone, [USER_THREAD, 0, 0]),
    Attempt::new("clone3", Door::Native, libc::SYS_clone3, [0, 0, 0]),
    Attempt::new("setns", Door::Native, libc::SYS_setns, [NO_FD, 0, 0]),
    Attempt::new("mount", Door::Native, libc::SYS_mount, [0, 0, 0]),
    Attempt::new("fsopen", Door::Native, libc::SYS_fsopen, [0, 0, 0]),
    Attempt::new("open_tree", Door::Native, libc::SYS_open_tree, [NO_FD, 0, 0]),
    Attempt::new("move_mount", Door::Native, libc::SYS_move_mount, [NO_FD, 0, NO_FD]),
    Attempt::new("open_by_handle_at", Door::Native, libc::SYS_open_by_handle_at, [NO_FD, 0, 0]),
    Attempt::new("perf_event_open", Door::Native, libc::SYS_perf_event_open, [0, 0, 0]),
    Attempt::new("kexec_load", Door::Native, libc::SYS_kexec_load, [0, NO_FD, 0]),
    Attempt::new("init_module", Door::Native, libc::SYS_init_module, [0, 0, 0]),
    Attempt::new("finit_module", Door::Native, libc::SYS_finit_module, [NO_FD, 0, 0]),
    #[cfg(target_arch = "x86_64")]
    Attempt::new("x32 getpid", Door::X32, libc::SYS_getpid, [0, 0, 0]),
    #[cfg(target_arch = "x86_64")]
    Attempt::new("x32 AF_ALG", Door::X32, libc::SYS_socket, [38, 5, 0]),
    #[cfg(target_arch = "x86_64")]
    Attempt::new("x32 bpf", Door::X32, libc::SYS_bpf, [5, 0, 0]),
    #[cfg(target_arch = "x86_64")]
    Attempt::new("i386 AF_ALG", Door::I386, i386::SOCKET, [38, 5, 0]),
    #[cfg(target_arch = "x86_64")]
    Attempt::new("i386 AF_ALG, upper half", Door::I386, i386::SOCKET, [38 | 1 << 32, 5, 0]),
    #[cfg(target_arch = "x86_64")]
    Attempt::new("i386 AF_VSOCK", Door::I386, i386::SOCKET, [40, 1, 0]),
    #[cfg(target_arch = "x86_64")]
    Attempt::new("i386 AF_VSOCK, upper half", Door::I386, i386::SOCKET, [40 | 1 << 32, 1, 0]),
    #[cfg(target_arch = "x86_64")]
    Attempt::new("i386 socketcall socket", Door::I386, i386::SOCKETCALL, [1, 0, 0]),
    #[cfg(target_arch = "x86_64")]
    Attempt::new(
        "i386 socketcall socket, upper half",
        Door::I386,
        i386::SOCKETCALL,
        [1 | 1 << 32, 0, 0],
    ),
    #[cfg(target_arch = "x86_64")]
    Attempt::new("i386 clone3", Door::I386, i386::CLONE3, [0, 0, 0]),
    #[cfg(target_arch = "x86_64")]
    Attempt::new("i386 keyctl", Door::I386, i386::KEYCTL, [0xffff_ffff, 0, 0]),
    #[cfg(target_arch = "x86_64")]
    Attempt::new("i386 bpf", Door::I386, i386::BPF, [5, 0, 0]),
    #[cfg(target_arch = "x86_64")]
    Attempt::new("i386 userfaultfd", Door::I386, i386::USERFAULTFD, [0xffff_ffff, 0, 0]),
    #[cfg(target_arch = "x86_64")]
    Attempt::new("i386 io_uring_setup", Door::I386, i386::IO_URING_SETUP, [1, 0, 0]),
    #[cfg(target_arch = "x86_64")]
    Attempt::new("i386 unshare user", Door::I386, i386::UNSHARE, [USER_AND_NOTHING, 0, 0]),
    #[cfg(target_arch = "x86_64")]
    Attempt::new("i386 mount", Door::I386, i386::MOUNT, [0, 0, 0]),
];

/// What every program may do: the other way to see that an answer is the filter's.
pub const HARMLESS: &[Attempt] = &[
    Attempt::new("getpid", Door::Native, libc::SYS_getpid, [0, 0, 0]),
    Attempt::new("AF_INET", Door::Native, libc::SYS_socket, [2, 1, 0]),
    #[cfg(target_arch = "x86_64")]
    Attempt::new("i386 getpid", Door::I386, i386::GETPID, [0, 0, 0]),
];

const X32_BIT: i64 = 0x4000_0000;

/// -1, which is no open file, no operation and no set of flags.
const NO_FD: u64 = u64::MAX;

/// `CLONE_NEWUSER` with a bit that `unshare` does not know.
const USER_AND_NOTHING: u64 = 0x1000_0000 | 1;

/// `CLONE_NEWUSER | CLONE_THREAD`, which contradict each other.
const USER_THREAD: u64 = 0x1000_0000 | 0x1_0000;

/// Numbers of 32-bit x86 (arch/x86/entry/syscalls/syscall_32.tbl of the kernel).
#[cfg(target_arch = "x86_64")]
mod i386 {
    pub(super) const GETPID: i64 = 20;
    pub(super) const MOUNT: i64 = 21;
    pub(super) const SOCKETCALL: i64 = 102;
    pub(super) const KEYCTL: i64 = 288;
    pub(super) const UNSHARE: i64 = 310;
    pub(super) const BPF: i64 = 357;
    pub(super) const SOCKET: i64 = 359;
    pub(super) const USERFAULTFD: i64 = 374;
    pub(super) const IO_URING_SETUP: i64 = 425;
    pub(super) const CLONE3: i64 = 435;
}

fn native(number: i64, [a, b, c]: [u64; 3]) -> i64 {
    // SAFETY: only the attempts of the tables get here. Their arguments are numbers and null
    // pointers: the kernel reads and writes no memory of ours. None of them makes a process, since
    // the flags for `clone` contradict each other, and an fd that one makes is nobody's.
    let answer = unsafe { libc::syscall(number, a, b, c, 0, 0, 0) };
    if answer == -1 {
        return -i64::from(io::Error::last_os_error().raw_os_error().unwrap_or(0));
    }
    answer
}

#[cfg(target_arch = "x86_64")]
fn interrupt(number: i64, [a, b, c]: [u64; 3]) -> i64 {
    let answer: i64;
    // SAFETY: as for `native`, with the table's arguments. The interrupt keeps all registers but
    // rax (older kernels clear r8 to r11, which are given up); rbx, which the compiler keeps for
    // itself, is put back. Where the kernel has no 32-bit calls it ends the process by a signal.
    unsafe {
        std::arch::asm!(
            "xchg {first}, rbx",
            "int 0x80",
            "xchg {first}, rbx",
            first = inout(reg) a => _,
            inlateout("rax") number => answer,
            in("rcx") b,
            in("rdx") c,
            in("rsi") 0_u64,
            in("rdi") 0_u64,
            out("r8") _,
            out("r9") _,
            out("r10") _,
            out("r11") _,
        );
    }
    // The answer is an int in the lower half.
    #[expect(clippy::cast_possible_truncation, reason = "the upper half is not the answer's")]
    i64::from(answer as i32)
}

#[cfg(not(target_arch = "x86_64"))]
fn interrupt(_number: i64, _arguments: [u64; 3]) -> i64 {
    -i64::from(libc::ENOSYS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_harmless_call_is_answered() {
        let own = i64::from(std::process::id());

        assert_eq!(HARMLESS[0].make().unwrap(), own);
        assert!(HARMLESS[1].make().is_ok());
    }

    #[test]
    fn no_forbidden_call_does_anything_where_it_is_granted() {
        for attempt in FORBIDDEN.iter().filter(|attempt| attempt.door == Door::Native) {
            let answer = attempt.make();

            let is_socket = attempt.name.starts_with("AF_");
            assert!(is_socket || answer.is_err(), "{}: {answer:?}", attempt.name);
        }
    }
}
