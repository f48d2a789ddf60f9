//! The OCI documents as data: what the world's tools write and read, parsed once, at the door.
//!
//! * [`image`]: descriptor, manifest, index, configuration (image specification 1.1.1) and Docker's
//!   schema 2 forms of the same.
//! * [`runtime`]: `config.json`, the state and features documents (runtime specification 1.3.0).
//! * [`accounts`]: the account files of a root.
//! * [`mount`]: one mount as data, the currency between snapshots and the runtime.
//!
//! Pure: nothing here touches a file, the network or the kernel. The structures have public fields
//! and unknown fields are dropped, so a document that is addressed by its digest is never written
//! again from them: its raw bytes travel beside it.

pub mod accounts;
#[cfg(any(test, feature = "fuzz"))]
pub mod fuzz;
pub mod image;
pub mod mount;
pub mod runtime;

pub use mount::Mount;
