//! `bpf(2)`, as far as device programs of cgroups need it.

use crate::fds;
use rustix::fd::OwnedFd;
use std::{io, os::fd::AsRawFd};

const PROG_LOAD: libc::c_long = 5;
const PROG_ATTACH: libc::c_long = 8;
const PROG_DETACH: libc::c_long = 9;
const PROG_GET_FD_BY_ID: libc::c_long = 13;
const PROG_QUERY: libc::c_long = 16;
const PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const ATTACH_TYPE_CGROUP_DEVICE: u32 = 6;
/// A program of this cgroup runs beside those of its ancestors; all must allow.
const ALLOW_MULTI: u32 = 1 << 1;
/// Another program is exchanged for this one (Linux 5.6).
const REPLACE: u32 = 1 << 2;

/// One instruction, as the kernel lays it out (`struct bpf_insn`).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(C)]
pub struct Instruction {
    code: u8,
    // The destination in the low half, the source in the high one (little endian).
    registers: u8,
    offset: i16,
    number: i32,
}

impl Instruction {
    /// An instruction on the registers `to` and `from`.
    pub fn new(code: u8, to: u8, from: u8, offset: i16, number: i32) -> Self {
        let registers =
            if cfg!(target_endian = "little") { to | from << 4 } else { to << 4 | from };
        Self { code, registers, offset, number }
    }

    /// Its parts, in the order of [`Instruction::new`].
    pub fn parts(self) -> (u8, u8, u8, i16, i32) {
        let (low, high) = (self.registers & 15, self.registers >> 4);
        let (to, from) = if cfg!(target_endian = "little") { (low, high) } else { (high, low) };
        (self.code, to, from, self.offset, self.number)
    }
}

/// The head of `union bpf_attr` for `BPF_PROG_LOAD`; the kernel takes a short one.
#[repr(C)]
struct Load {
    kind: u32,
    instructions_count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
}

/// The head of `union bpf_attr` for `BPF_PROG_ATTACH`.
#[repr(C)]
struct Attach {
    target: u32,
    program: u32,
    kind: u32,
    flags: u32,
    replaced: u32,
}

/// The head of `union bpf_attr` for `BPF_PROG_QUERY`.
#[repr(C)]
struct Query {
    target: u32,
    kind: u32,
    query_flags: u32,
    attach_flags: u32,
    ids: u64,
    count: u32,
}

/// The head of `union bpf_attr` for `BPF_PROG_GET_FD_BY_ID`.
#[repr(C)]
struct ById {
    id: u32,
    next: u32,
    flags: u32,
}

/// Loads a device program and attaches it to the cgroup behind `cgroup`, in the place of those that
/// are attached there already. Linux 4.15; to replace one, 5.6.
///
/// Programs of one cgroup add up (all must allow), and the program stays as long as the cgroup
/// does. One that is there is replaced at once. Several are taken off after the new one is on, so
/// that there is no moment at which everything is allowed.
pub fn set_device_program(cgroup: &OwnedFd, program: &[Instruction]) -> io::Result<()> {
    let directory = rustix::fs::openat(
        cgroup,
        c".",
        rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::CLOEXEC,
        rustix::fs::Mode::empty(),
    )?;
    let program = load(program)?;
    let mut old =
        attached(&directory)?.into_iter().map(by_id).collect::<io::Result<Vec<OwnedFd>>>()?;
    let replaced = if old.len() == 1 { old.pop() } else { None };
    attach(&directory, &program, replaced.as_ref())?;
    old.iter().try_for_each(|old| detach(&directory, old))
}

/// Puts a program on a cgroup, beside those of its ancestors.
fn attach(directory: &OwnedFd, program: &OwnedFd, replaced: Option<&OwnedFd>) -> io::Result<()> {
    let attach = Attach {
        target: number(directory),
        program: number(program),
        kind: ATTACH_TYPE_CGROUP_DEVICE,
        flags: if replaced.is_some() { ALLOW_MULTI | REPLACE } else { ALLOW_MULTI },
        replaced: replaced.map_or(0, number),
    };
    // SAFETY: the kernel reads `size` bytes of `attach`, which lives on this stack and has no
    // pointers in it; the fds are open until the call returns.
    let result = unsafe {
        libc::syscall(libc::SYS_bpf, PROG_ATTACH, &raw const attach, std::mem::size_of::<Attach>())
    };
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Takes a program off a cgroup.
fn detach(directory: &OwnedFd, program: &OwnedFd) -> io::Result<()> {
    let detach = Attach {
        target: number(directory),
        program: number(program),
        kind: ATTACH_TYPE_CGROUP_DEVICE,
        flags: 0,
        replaced: 0,
    };
    // SAFETY: the kernel reads `size` bytes of `detach`, which lives on this stack and has no
    // pointers in it; the fds are open until the call returns.
    let result = unsafe {
        libc::syscall(libc::SYS_bpf, PROG_DETACH, &raw const detach, std::mem::size_of::<Attach>())
    };
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// The ids of the device programs of this cgroup itself.
fn attached(directory: &OwnedFd) -> io::Result<Vec<u32>> {
    let mut ids = [0_u32; 64];
    let mut query = Query {
        target: number(directory),
        kind: ATTACH_TYPE_CGROUP_DEVICE,
        query_flags: 0,
        attach_flags: 0,
        ids: ids.as_mut_ptr() as u64,
        count: 64,
    };
    // SAFETY: the kernel reads and writes `size` bytes of `query`, and writes at most `count` ids
    // to `ids`; both live on this stack and nothing else looks at them meanwhile. A cgroup has at
    // most 64 programs of a kind (`BPF_CGROUP_MAX_PROGS`).
    let result = unsafe {
        libc::syscall(libc::SYS_bpf, PROG_QUERY, &raw mut query, std::mem::size_of::<Query>())
    };
    if result == -1 {
        return Err(io::Error::last_os_error());
    }
    Ok(ids.into_iter().take(usize::try_from(query.count).unwrap_or(0)).collect())
}

fn by_id(id: u32) -> io::Result<OwnedFd> {
    let by_id = ById { id, next: 0, flags: 0 };
    // SAFETY: the kernel reads `size` bytes of `by_id`, which lives on this stack and has no
    // pointers in it.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            PROG_GET_FD_BY_ID,
            &raw const by_id,
            std::mem::size_of::<ById>(),
        )
    };
    // SAFETY: the kernel has just made this fd for us (close-on-exec, as it does for programs), and
    // nobody else knows its number.
    unsafe { fds::made(result) }
}

/// An fd as `union bpf_attr` has it; an open one is never negative.
fn number(fd: &OwnedFd) -> u32 {
    fd.as_raw_fd().unsigned_abs()
}

fn load(program: &[Instruction]) -> io::Result<OwnedFd> {
    const LICENSE: &std::ffi::CStr = c"Apache-2.0";
    let count = u32::try_from(program.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let load = Load {
        kind: PROG_TYPE_CGROUP_DEVICE,
        instructions_count: count,
        instructions: program.as_ptr() as u64,
        license: LICENSE.as_ptr() as u64,
        log_level: 0,
        log_size: 0,
        log: 0,
        kernel_version: 0,
        flags: 0,
    };
    // SAFETY: the kernel reads `size` bytes of `load`, `count` instructions behind the first
    // pointer, which is the slice's own, and a terminated constant behind the second; it writes
    // nothing, since there is no log.
    let result = unsafe {
        libc::syscall(libc::SYS_bpf, PROG_LOAD, &raw const load, std::mem::size_of::<Load>())
    };
    // SAFETY: the kernel has just made this fd for us (close-on-exec, as it does for programs), and
    // nobody else knows its number.
    unsafe { fds::made(result) }
}
