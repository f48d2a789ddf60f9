//! The runtime against the kernel: real containers from a busybox root, one file a feature.
//!
//! Creating a container copies the process, so the library is called by a small program of one
//! thread (`examples/bundle.rs`), never by the test itself.

#![expect(clippy::unwrap_used, reason = "a test panics with what went wrong")]

mod agent;
mod attacks;
mod bundle;
mod copy_up;
mod devices;
mod environment;
mod errors;
mod exec;
mod hooks;
mod identity;
mod labels;
mod mapped_mounts;
mod mounts;
mod namespaces;
mod net_devices;
mod options;
mod propagation;
mod rootless;
mod seccomp;
mod share;
mod shelf;
mod terminal;
