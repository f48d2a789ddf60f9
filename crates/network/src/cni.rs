//! The Container Network Interface, version 1.1: other people's plugins in place of our networks.
//!
//! ```text
//!   /etc/cni/net.d ─▶ Lists ─▶ List ──┐
//!   who is connected: Connection ─────┼─▶ Driver ──exec──▶ plugin, plugin, …  (each with the result
//!   results of before: Cache ◀────────┘       │             of the one before it)
//!                                             ▼
//!                                          Outcome: interfaces, addresses, routes, name servers
//! ```
//!
//! A plugin is a stranger's program: it is given nothing but what the specification names, has a
//! limit of time and of output, and what it prints is parsed before it is believed. What is written
//! down before a connection is made is enough to undo it, so that a command that was killed half-way
//! can be mended by another.
//!
//! # On disk
//!
//! ```text
//! <cache>/results/<network>-<container>-<interface>    libcni's format: the list, the wish, the result
//! <cache>/running/<network>-<container>-<interface>    while plugins are at work on it
//! ```

mod cache;
mod configuration;
mod connection;
mod driver;
mod guard;
mod outcome;
pub mod plugin;
mod process;
mod program;
mod refusal;
mod version;

pub use cache::Cached;
pub use configuration::{List, Lists, PluginConfiguration};
pub use connection::Connection;
pub use driver::{Command, Driver};
pub use outcome::{Dns, Interface, Ip, Outcome, Route};
pub use program::TIME_LIMIT;
pub use refusal::Refusal;
pub use version::Version;
