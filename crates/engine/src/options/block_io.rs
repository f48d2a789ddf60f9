//! How much of block devices a container may use, by the devices' paths on the host.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Weights and rates.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct BlockIoOptions {
    /// `--blkio-weight`, 10 to 1000; 0 is not said.
    pub weight: Option<u16>,
    /// `--blkio-weight-device`.
    pub weight_devices: Vec<(PathBuf, u16)>,
    /// `--device-read-bps`, bytes a second.
    pub read_bps: Vec<(PathBuf, u64)>,
    /// `--device-write-bps`, bytes a second.
    pub write_bps: Vec<(PathBuf, u64)>,
    /// `--device-read-iops`, operations a second.
    pub read_iops: Vec<(PathBuf, u64)>,
    /// `--device-write-iops`, operations a second.
    pub write_iops: Vec<(PathBuf, u64)>,
}

impl BlockIoOptions {
    /// Whether nothing is asked for.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
