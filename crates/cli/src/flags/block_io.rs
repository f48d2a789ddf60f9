//! `--blkio-weight` and the rates of block devices.

use super::{limits, parse_all, refuse};
use dhow_base::Result;
use dhow_engine::options::BlockIoOptions;
use std::path::PathBuf;

/// How much of block devices is used.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(next_help_heading = "Block devices")]
pub(crate) struct BlockIoFlags {
    /// Weigh the use of block devices against other containers, 10 to 1000
    #[arg(long, value_name = "WEIGHT")]
    blkio_weight: Option<u16>,

    /// Weigh the use of one device
    #[arg(long, value_name = "DEVICE:WEIGHT")]
    blkio_weight_device: Vec<String>,

    /// Limit reading from a device, in bytes a second
    #[arg(long, value_name = "DEVICE:RATE")]
    device_read_bps: Vec<String>,

    /// Limit reading from a device, in operations a second
    #[arg(long, value_name = "DEVICE:RATE")]
    device_read_iops: Vec<String>,

    /// Limit writing to a device, in bytes a second
    #[arg(long, value_name = "DEVICE:RATE")]
    device_write_bps: Vec<String>,

    /// Limit writing to a device, in operations a second
    #[arg(long, value_name = "DEVICE:RATE")]
    device_write_iops: Vec<String>,
}

impl BlockIoFlags {
    /// The words of a command line that say the same.
    pub(crate) fn words(&self) -> Vec<String> {
        let weight = self.blkio_weight.map(|weight| format!("--blkio-weight={weight}"));
        let lists = [
            ("blkio-weight-device", &self.blkio_weight_device),
            ("device-read-bps", &self.device_read_bps),
            ("device-read-iops", &self.device_read_iops),
            ("device-write-bps", &self.device_write_bps),
            ("device-write-iops", &self.device_write_iops),
        ];
        let all = lists
            .iter()
            .flat_map(|(flag, values)| values.iter().map(move |value| format!("--{flag}={value}")));
        weight.into_iter().chain(all).collect()
    }

    /// What the flags ask for.
    pub(crate) fn options(&self) -> Result<BlockIoOptions> {
        let weight = |text: &str| {
            let flag = "--blkio-weight-device";
            let (path, number) = split(flag, text)?;
            let number = number.parse().map_err(|_| refuse(flag, text, "the weight is no number"));
            Ok((path, number?))
        };
        let bytes = |flag: &'static str| {
            move |text: &str| {
                let (path, rate) = split(flag, text)?;
                Ok((path, limits::bytes(flag, rate)?))
            }
        };
        let operations = |flag: &'static str| {
            move |text: &str| {
                let (path, rate) = split(flag, text)?;
                let rate = rate.parse().map_err(|_| refuse(flag, text, "the rate is no number"));
                Ok((path, rate?))
            }
        };
        Ok(BlockIoOptions {
            weight: self.blkio_weight,
            weight_devices: parse_all(&self.blkio_weight_device, weight)?,
            read_bps: parse_all(&self.device_read_bps, bytes("--device-read-bps"))?,
            write_bps: parse_all(&self.device_write_bps, bytes("--device-write-bps"))?,
            read_iops: parse_all(&self.device_read_iops, operations("--device-read-iops"))?,
            write_iops: parse_all(&self.device_write_iops, operations("--device-write-iops"))?,
        })
    }
}

/// `/dev/sda:1mb`: the device and the rest.
fn split<'t>(flag: &str, text: &'t str) -> Result<(PathBuf, &'t str)> {
    match text.rsplit_once(':') {
        Some((path, rest)) if path.starts_with('/') && !rest.is_empty() => Ok((path.into(), rest)),
        _ => Err(refuse(flag, text, "not a device and a number")
            .hint("write the path of the device, a colon and the number, such as /dev/sda:10m")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_has_a_path_and_a_number() {
        let flags = |text: &str| BlockIoFlags {
            device_read_bps: vec![text.to_owned()],
            ..BlockIoFlags::default()
        };
        let cases = [
            ("/dev/sda:1m", Some(1 << 20)),
            ("/dev/a:b:7", Some(7)),
            ("/dev/sda", None),
            ("/dev/sda:", None),
            ("sda:1", None),
            ("/dev/sda:x", None),
        ];
        for (text, expected) in cases {
            let parsed = flags(text).options().ok().map(|options| options.read_bps[0].1);
            assert_eq!(parsed, expected, "parsing {text:?}");
        }
    }

    #[test]
    fn operations_are_counted_without_units() {
        let flags =
            BlockIoFlags { device_write_iops: vec!["/dev/a:1k".into()], ..Default::default() };

        assert!(flags.options().unwrap_err().one_line().contains("--device-write-iops"));
    }
}
