//! Containers as users know them: the engine joins images, snapshots, rows and the monitor.
//!
//! # One container's way through here
//!
//! ```text
//! CreateOptions ─image─▶ Image ─merge─▶ Spec ─create─▶ row, snapshot, config.json
//!        ─start─▶ monitor (another process) ─▶ runtime ─▶ the program
//!        ─exit record─▶ mend ─▶ row ─remove─▶ nothing
//! ```
//!
//! Every step writes its row first. The engine has no process of its own: each command opens the
//! state, does its work and ends; what a killed command leaves, [`Engine::mend`] finds by the rows.
//!
//! # What this crate does not know
//!
//! Terminals, output formats, flags and REST: those are the doors'. It prints nothing and reads no
//! environment.

pub mod options;

pub use options::{CreateOptions, ExecOptions, RemoveOptions};
