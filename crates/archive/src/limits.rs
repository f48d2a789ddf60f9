//! What an archive may ask for before it is refused.
//!
//! Every number in a header is a stranger's. Each limit here is checked before memory or disk is
//! spent; exceeding one is [`Kind::Exhausted`] and names the limit, so that a user who trusts the
//! image can raise exactly that one.

use crate::Allowance;
use dhow_base::{Error, Kind};

/// Limits on one archive. The defaults admit every image known to the field.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Headers of any kind, extended ones too.
    pub entries: u64,
    /// Bytes of file content, all files together; holes do not count.
    pub unpacked_bytes: u64,
    /// The size of one file, with its holes.
    pub file_bytes: u64,
    /// The length of a path or link target.
    pub path_bytes: usize,
    /// The length of one component of a path.
    pub component_bytes: usize,
    /// Components in a path.
    pub depth: usize,
    /// The payload of one extended header.
    pub pax_bytes: u64,
    /// The value of one extended attribute.
    pub xattr_bytes: usize,
    /// Data regions of one sparse file.
    pub sparse_extents: usize,
    /// Paths that must be remembered until the end (those of implied directories, above all).
    pub remembered_bytes: usize,
    /// What of the memory that all layers have together is this one's.
    pub allowance: Allowance,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            entries: 4_000_000,
            unpacked_bytes: 256 << 30,
            file_bytes: 16 << 40,
            path_bytes: 4096,
            component_bytes: 255,
            depth: 256,
            pax_bytes: 1 << 20,
            xattr_bytes: 64 << 10,
            sparse_extents: 1 << 20,
            remembered_bytes: 24 << 20,
            allowance: Allowance::default(),
        }
    }
}

/// What who trusts an image can do about it.
pub(crate) const RAISE: &str = "an image that is trusted may have more: --limit raises it";

/// The refusal of something that asks for more than `limit`.
pub fn exceeded(
    object: impl std::fmt::Display,
    limit: &'static str,
    most: impl std::fmt::Display,
) -> Error {
    Error::new(Kind::Exhausted, format!("{object}: exceeds the limit of {most} {limit}"))
        .hint(RAISE)
}
