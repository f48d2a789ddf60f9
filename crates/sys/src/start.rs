//! The program's very first step: a command of the runtime that touches a container goes on as the
//! sealed binary before the C library has begun, so that it begins once and not twice.
//!
//! ```text
//!   kernel ─▶ dhow_start ── create, run, exec of the runtime ──▶ execveat of the sealed mount ─┐
//!                 │                                                                            │
//!                 └── everything else, and what is sealed or cannot be ─▶ _start of the C library
//! ```
//!
//! A beginning of the C library is sixteen system calls and a fifth of a millisecond. This is a
//! short cut, no decision: where it is not taken, or goes wrong, [`seal`](crate::seal) does the same
//! later, and it alone says whether the binary is sealed.
//!
//! Nothing of the C library works yet: there is no thread-local storage, so no `errno`, and
//! functions that have one form per processor (`memcmp`, `memcpy`, `strlen`) lead nowhere. So there
//! are bare system calls only, and what is compared is read byte by byte, as volatile, which no
//! optimisation makes a call of such a function. Nor has anybody relocated anything: pointers in
//! constants are right because the binary lies where it was linked to. So the linker is told of this
//! entry (`crates/cli/build.rs`) where the program is built in that way and for x86-64; elsewhere it
//! begins as usual. Why at all: `docs/decisions/sealed-at-the-entry.md`.

use std::{ffi::CStr, mem::MaybeUninit};

const OWN_BINARY: &CStr = c"/proc/self/exe";
/// The commands whose process gets into a container's sight.
const COMMANDS: [&CStr; 3] = [c"create", c"run", c"exec"];
/// So far the command is looked for: flags come before it, and a container's arguments after.
const WORDS: usize = 32;
/// `ST_RDONLY` (statfs(2)).
const READ_ONLY: u64 = 1;

/// The entry point of the binary, which the linker is told.
///
/// # Safety
///
/// It is called by the kernel, once, with the stack of a new program.
#[unsafe(naked)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dhow_start() -> ! {
    // What the kernel gives, the stack pointer and rdx, the C library finds as it was.
    std::arch::naked_asm!(
        "xor ebp, ebp",
        "mov r12, rdx",
        "mov r13, rsp",
        "mov rdi, rsp",
        "and rsp, -16",
        "call {seal}",
        "mov rsp, r13",
        "mov rdx, r12",
        "jmp _start",
        seal = sym seal_first,
    )
}

/// Becomes the sealed binary where that is wanted; comes back where not.
///
/// # Safety
///
/// `stack` is what the kernel hands to a new program: the number of arguments, that many pointers
/// to terminated strings, a null pointer, and the environment likewise.
unsafe extern "C" fn seal_first(stack: *const usize) {
    // SAFETY: the caller vouches for the number.
    let count = unsafe { stack.read() };
    let arguments = Words(stack.wrapping_add(1).cast());
    // It begins behind the null pointer.
    let environment = arguments.0.wrapping_add(count.wrapping_add(1));
    if !touches_container(&arguments) || is_read_only() {
        return;
    }
    let Some(sealed) = read_only_mount() else { return };
    let (arguments, environment) =
        (arguments.0.expose_provenance(), environment.expose_provenance());
    let (empty, this) =
        (c"".as_ptr().expose_provenance(), libc::AT_EMPTY_PATH.cast_unsigned() as usize);
    // SAFETY: the path is a constant, and the arrays are the kernel's own, as it wants them back.
    // Where it fails, the program goes on as it is, with an fd more that no exec keeps.
    unsafe { call(libc::SYS_execveat, [sealed, empty, arguments, environment, this]) };
}

/// Whether the binary lies on a read-only mount, or nobody says so.
fn is_read_only() -> bool {
    // `struct statfs` has 15 words, the eleventh of which are the mount's flags.
    // They are not zeroed: the compiler may do that by calling a function that is not there yet.
    let mut status = MaybeUninit::<[u64; 15]>::uninit();
    let words = status.as_mut_ptr().cast::<u64>();
    let path = OWN_BINARY.as_ptr().expose_provenance();
    // SAFETY: the kernel reads a terminated constant and writes the 120 bytes of `status`.
    let result = unsafe { call(libc::SYS_statfs, [path, words.expose_provenance(), 0, 0, 0]) };
    if result != 0 {
        return true;
    }
    // SAFETY: the eleventh of fifteen words, which the kernel has written.
    let flags = unsafe { words.wrapping_add(10).read_volatile() };
    flags & READ_ONLY != 0
}

/// The number of an fd of the binary, on a detached mount that is read-only: one call on Linux
/// 6.15, two before.
fn read_only_mount() -> Option<usize> {
    const SYS_OPEN_TREE_ATTR: libc::c_long = 467;
    let here = libc::AT_FDCWD.cast_unsigned() as usize;
    let flags = (libc::OPEN_TREE_CLONE | libc::OPEN_TREE_CLOEXEC) as usize;
    let path = OWN_BINARY.as_ptr().expose_provenance();
    let attributes = [libc::MOUNT_ATTR_RDONLY, 0, 0, 0];
    let change = (&raw const attributes).expose_provenance();
    // SAFETY: the kernel reads a terminated constant and the 32 bytes of `attributes`.
    let result = unsafe { call(SYS_OPEN_TREE_ATTR, [here, path, flags, change, 32]) };
    if result >= 0 {
        return usize::try_from(result).ok();
    }
    // SAFETY: the kernel reads a terminated constant.
    let result = unsafe { call(libc::SYS_open_tree, [here, path, flags, 0, 0]) };
    let copy = usize::try_from(result).ok()?;
    let (empty, this) =
        (c"".as_ptr().expose_provenance(), libc::AT_EMPTY_PATH.cast_unsigned() as usize);
    // SAFETY: as for the first call; the fd is the one that was just made.
    let changed = unsafe { call(libc::SYS_mount_setattr, [copy, empty, this, change, 32]) };
    (changed == 0).then_some(copy)
}

/// Whether the arguments are those of the runtime, with one of the words among them that name a
/// command which touches a container. A container of that name is a false alarm, which costs an
/// exec.
fn touches_container(arguments: &Words) -> bool {
    let Some(first) = arguments.get(0) else { return false };
    let name = first.name();
    let mut begin = 1;
    if !name.is(c"dhow-runtime") && !name.is(c"runc") {
        match arguments.get(1) {
            Some(word) if word.is(c"runtime") => begin = 2,
            _ => return false,
        }
    }
    for at in begin..WORDS {
        let Some(word) = arguments.get(at) else { return false };
        if COMMANDS.iter().any(|command| word.is(command)) {
            return true;
        }
    }
    false
}

/// The arguments of a new program: pointers to terminated strings, up to a null pointer. Whoever
/// makes this value vouches for that.
struct Words(*const *const libc::c_char);

impl Words {
    /// One of them, where those before it are there.
    fn get(&self, at: usize) -> Option<Word> {
        // SAFETY: nobody asks for what lies behind the null pointer.
        let word = unsafe { self.0.wrapping_add(at).read_volatile() };
        (!word.is_null()).then_some(Word(word))
    }
}

/// A terminated string, or what is left of it.
#[derive(Clone, Copy)]
struct Word(*const libc::c_char);

impl Word {
    /// The first byte and the rest; nothing at the end.
    fn split(self) -> Option<(u8, Self)> {
        // SAFETY: the string has not ended before.
        let byte = unsafe { self.0.read_volatile() };
        (byte != 0).then(|| (byte.cast_unsigned(), Self(self.0.wrapping_add(1))))
    }

    /// What follows the last slash.
    fn name(self) -> Self {
        let (mut name, mut left) = (self, self);
        while let Some((byte, rest)) = left.split() {
            if byte == b'/' {
                name = rest;
            }
            left = rest;
        }
        name
    }

    fn is(self, expected: &CStr) -> bool {
        let (mut own, mut wanted) = (self, Self(expected.as_ptr()));
        loop {
            (own, wanted) = match (own.split(), wanted.split()) {
                (None, None) => return true,
                (Some((a, own)), Some((b, wanted))) if a == b => (own, wanted),
                _ => return false,
            };
        }
    }
}

/// A bare system call; the errno negated where it fails.
///
/// # Safety
///
/// The call's own demands on its arguments.
unsafe fn call(number: libc::c_long, arguments: [usize; 5]) -> i64 {
    let result: i64;
    let [a, b, c, d, e] = arguments;
    // SAFETY: the kernel's convention: six registers in, rax out, rcx and r11 lost, no stack used.
    // What the call does to memory, the caller vouches for.
    unsafe {
        std::arch::asm!(
            "syscall",
            inlateout("rax") number => result,
            in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d, in("r8") e,
            lateout("rcx") _, lateout("r11") _,
            options(nostack),
        );
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    fn touches(words: &[&CStr]) -> bool {
        let mut arguments: Vec<_> = words.iter().map(|word| word.as_ptr()).collect();
        arguments.push(std::ptr::null());
        touches_container(&Words(arguments.as_ptr()))
    }

    #[test]
    fn the_runtime_s_commands_that_touch_a_container_are_known_by_their_words() {
        let cases: [(&[&CStr], bool); 10] = [
            (&[], false),
            (&[c"dhow"], false),
            (&[c"dhow", c"run", c"x"], false),
            (&[c"dhow", c"runtime", c"state", c"x"], false),
            (&[c"dhow", c"runtime", c"--root", c"/r", c"run", c"x"], true),
            (&[c"/usr/bin/dhow-runtime", c"create", c"x"], true),
            (&[c"./runc", c"exec", c"x"], true),
            (&[c"runc", c"executive"], false),
            (&[c"runc/dhow", c"create"], false),
            (&[c"dhow-runtime", c"kill", c"x"], false),
        ];
        for (words, expected) in cases {
            assert_eq!(touches(words), expected, "{words:?}");
        }
    }
}
