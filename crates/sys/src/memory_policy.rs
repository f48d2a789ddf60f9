//! `set_mempolicy(2)`: from which memory nodes a thread's pages come.

use std::io;

/// Nodes that can be named: `MAX_NUMNODES` is at most this many.
pub const NODES: usize = 1024;
const WORDS: usize = NODES / 64;

/// A set of nodes, a bit each.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Nodes([u64; WORDS]);

impl Nodes {
    /// Adds a node, below [`NODES`].
    pub fn add(&mut self, node: usize) {
        self.0[node / 64] |= 1 << (node % 64);
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0 == [0; WORDS]
    }
}

/// Sets the calling thread's policy, which its children and its program inherit. `mode` is
/// `MPOL_…` with its `MPOL_F_…`.
///
/// `EINVAL` means that the mode or a flag is not known, or that the mode takes no nodes, needs some,
/// or got none that exist and that the cgroup allows.
pub fn set(mode: i32, nodes: &Nodes) -> io::Result<()> {
    // The kernel counts the bits from one and reads one less. With no nodes at all the mask is left
    // out, as the modes demand that take none.
    let (mask, bits) = match nodes.is_empty() {
        true => (std::ptr::null(), 0),
        false => (nodes.0.as_ptr(), NODES + 1),
    };
    // SAFETY: the mask is null with a length of zero, or points at `NODES` bits, one less than the
    // number given, which is how many the kernel reads. It writes nothing.
    let result = unsafe { libc::syscall(libc::SYS_set_mempolicy, mode, mask, bits) };
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
