//! The OCI runtime: a bundle becomes a container's process.
//!
//! ```text
//!   create ──▶ Container (created: waits) ──start──▶ running ──exits──▶ delete
//!                                             ▲
//!                                             └── exec: one more process
//! ```
//!
//! [`create`] and [`exec`] fork, so the calling process must have one thread only. What runs in a
//! container's namespaces before its program does is here too. The runtime knows nothing
//! of images, networks, logs or restarts; who waits for the process is the caller, its parent.

mod container;
mod exec;
mod request;

pub use container::{Container, Leftovers, create, delete};
pub use exec::{ExecRequest, Executed, exec};
pub use request::{Hold, Init, Keyring, Request, Stdio};
