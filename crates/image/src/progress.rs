//! What a pull or push tells while it works. Plain data; whoever listens draws it.

use dhow_base::Digest;
use std::fmt;

/// Where a layer is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Phase {
    /// Another process is at work on it; we wait.
    Waiting,
    /// It was here before.
    Exists,
    /// Its bytes are coming and being unpacked: `done` of `total`.
    Fetching,
    /// All its bytes have come; the rest of it is being unpacked.
    Unpacking,
    /// It is verified and unpacked, or all of it has been sent.
    Done,
    /// The registry has it; nothing is sent.
    There,
    /// Its bytes are being sent: `done` of `total`.
    Sending,
    /// The registry took it over from another of its repositories.
    Mounted,
}

/// One thing that happened to one layer.
#[derive(Clone, Debug)]
pub struct Event<'a> {
    /// The layer's blob.
    pub layer: &'a Digest,
    /// Where it is.
    pub phase: Phase,
    /// The compressed bytes that are here, of this attempt and earlier ones.
    pub done: u64,
    /// The compressed bytes that there will be.
    pub total: u64,
}

/// Somebody who listens. Called from several threads; must be quick.
pub trait Progress: Sync {
    /// Something happened to a layer.
    fn layer(&self, event: &Event<'_>);

    /// It is now known what the work is on: the image's reference or manifest, or where it goes to,
    /// and its layers.
    fn begin(&self, _what: &str, _layers: &[(Digest, u64)]) {}
}

/// Nobody listens.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn layer(&self, _event: &Event<'_>) {}
}

impl fmt::Debug for dyn Progress + '_ {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Progress")
    }
}
