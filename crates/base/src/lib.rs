//! The ground every other crate stands on: errors, names, digests, files, trees, locks, undo, time.
//!
//! This crate knows nothing of containers. It has no policy and no state of its own; what is
//! here is here because at least three crates need the same rule and must not each have a copy.

pub mod clock;
pub mod digest;
pub mod duration;
mod error;
pub mod file;
pub mod id;
pub mod lock;
pub mod pattern;
pub mod size;
pub mod tree;
mod undo;

pub use digest::Digest;
pub use error::{Doing, Error, Kind, Result};
pub use undo::Undo;
