//! The system calls that rustix lacks: the only crate where `unsafe` compiles.
//!
//! A module is one noun of the kernel's. A wrapper makes one call, takes borrowed fds and typed
//! flags, and returns the bare errno. It does not log, add context or decide: those belong to the
//! caller, who knows the container. A few modules join several calls where only their order makes
//! them safe ([`process`] reads a file, and says so).

pub mod attempt;
pub mod bpf;
pub mod byte_lock;
pub mod clone;
pub mod closing;
pub mod courier;
pub mod entry;
pub mod exec;
pub mod fds;
pub mod filter;
pub mod host_path;
pub mod io_priority;
pub mod keyring;
pub mod launch;
pub mod loop_device;
pub mod loopback;
pub mod mask;
pub mod memory;
pub mod memory_policy;
pub mod mount;
pub mod namespace;
pub mod netlink;
pub mod notification;
pub mod output;
pub mod packet;
pub mod packet_filter;
pub mod pidfd;
pub mod process;
pub mod procfs;
pub mod quota;
pub mod regular;
pub mod root;
pub mod route;
pub mod scheduler;
pub mod seal;
pub mod signal;
#[cfg(target_arch = "x86_64")]
pub mod start;
#[cfg(target_arch = "x86_64")]
pub mod steps;
pub mod subvolume;
pub mod union;
pub mod writeback;
