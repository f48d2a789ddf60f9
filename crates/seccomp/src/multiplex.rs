//! `socketcall` and `ipc` of 32-bit x86: one number for many calls, the first argument says which.

use dhow_spec::runtime::{Arg, Operator};

/// A call's other way into the kernel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Way {
    /// The number of `socketcall` or `ipc`.
    pub(crate) number: u32,
    conditions: &'static [Arg; 1],
}

impl Way {
    /// That the first argument asks for this call.
    pub(crate) fn conditions(self) -> &'static [Arg] {
        self.conditions
    }
}

/// The other way of `name` on 32-bit x86, where it has one.
pub(crate) fn of(name: &str) -> Option<Way> {
    let find = |list: &'static [(&str, [Arg; 1])], number| {
        let (_, conditions) = list.iter().find(|(known, _)| *known == name)?;
        Some(Way { number, conditions })
    };
    // Almost every name is neither; a look at the first letter saves the compile time.
    if !matches!(
        name.as_bytes().first(),
        Some(b'a' | b'b' | b'c' | b'g' | b'l' | b'm' | b'r' | b's')
    ) {
        return None;
    }
    find(&SOCKETCALL, 102).or_else(|| find(&IPC, 117))
}

const fn exactly(call: u64) -> [Arg; 1] {
    [Arg { index: 0, value: call, value_two: 0, op: Operator::Equal }]
}

// The kernel takes the upper half of ipc's first argument for a version and looks at the lower
// only; comparing all of it would let version 1 of a refused call through.
const fn lower_half(call: u64) -> [Arg; 1] {
    [Arg { index: 0, value: 0xffff, value_two: call, op: Operator::MaskedEqual }]
}

/// `linux/net.h`.
static SOCKETCALL: [(&str, [Arg; 1]); 20] = [
    ("socket", exactly(1)),
    ("bind", exactly(2)),
    ("connect", exactly(3)),
    ("listen", exactly(4)),
    ("accept", exactly(5)),
    ("getsockname", exactly(6)),
    ("getpeername", exactly(7)),
    ("socketpair", exactly(8)),
    ("send", exactly(9)),
    ("recv", exactly(10)),
    ("sendto", exactly(11)),
    ("recvfrom", exactly(12)),
    ("shutdown", exactly(13)),
    ("setsockopt", exactly(14)),
    ("getsockopt", exactly(15)),
    ("sendmsg", exactly(16)),
    ("recvmsg", exactly(17)),
    ("accept4", exactly(18)),
    ("recvmmsg", exactly(19)),
    ("sendmmsg", exactly(20)),
];

/// `linux/ipc.h`.
static IPC: [(&str, [Arg; 1]); 12] = [
    ("semop", lower_half(1)),
    ("semget", lower_half(2)),
    ("semctl", lower_half(3)),
    ("semtimedop", lower_half(4)),
    ("msgsnd", lower_half(11)),
    ("msgrcv", lower_half(12)),
    ("msgget", lower_half(13)),
    ("msgctl", lower_half(14)),
    ("shmat", lower_half(21)),
    ("shmdt", lower_half(22)),
    ("shmget", lower_half(23)),
    ("shmctl", lower_half(24)),
];
