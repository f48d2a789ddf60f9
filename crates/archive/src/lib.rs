//! Layers: a tar stream becomes a directory, and a directory a tar stream.
//!
//! * [`Unpack`] applies one layer to a directory fd; nothing it does leaves that directory.
//! * [`Pack`] writes a directory as a layer; [`Builder`] writes single entries.
//! * [`LayerWriter`] compresses a layer on all cores and knows both its digests.
//! * [`Reader`] walks the entries of any tar stream (`docker save`, an OCI archive).
//! * [`Decoder`] undoes gzip, zstd, xz and bzip2; [`Digesting`] checks size and digest on the way.
//!
//! ```text
//!  blob ─▶ Digesting ─▶ Decoder ─▶ Digesting ─▶ Unpack ─▶ directory
//!          (digest)                (diff id)
//! ```
//!
//! Everything here is synchronous and runs on the caller's thread; run one thread for each layer.
//! The crate knows neither images nor snapshots nor registries. Bytes from outside are held against
//! [`Limits`] before anything is allocated for them.

mod allowance;
mod builder;
mod chunked;
mod contents;
mod cut;
mod decoder;
mod digesting;
mod encoder;
mod entry;
mod frames;
#[cfg(any(test, feature = "fuzz"))]
pub mod fuzz;
mod header;
mod holes;
mod layer;
mod limits;
mod mapped_owners;
mod pack;
mod path;
mod pax;
mod placed;
mod press;
mod reader;
mod removal;
mod sparse;
mod tar_split;
mod unpack;
mod whiteout;

pub use allowance::{Allowance, Pool};
pub use builder::Builder;
pub use decoder::{Compression, DecodeLimits, Decoder};
pub use digesting::{Digesting, Measured};
pub use encoder::{Encoder, Encoding};
pub use entry::{Entry, EntryKind, Mtime, Xattr};
pub use layer::{Blob, LayerWriter};
pub use limits::{Limits, exceeded};
pub use mapped_owners::MappedOwners;
pub use pack::{Pack, Packed, Presence};
pub use path::ArchivePath;
pub use reader::Reader;
pub use unpack::{RootEntry, Standing, Summary, Unpack};
pub use whiteout::Whiteouts;
