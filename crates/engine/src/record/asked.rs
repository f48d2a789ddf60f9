//! What a row keeps of options as they were written, for `inspect` alone: the configuration has only
//! what became of them.

use crate::options::{BlockIoOptions, CreateOptions, Rights, SeccompChoice};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Options as they were written. What was not asked for takes no place.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub(crate) struct Asked {
    /// `--group-add`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) groups: Vec<String>,
    /// `--device`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) devices: Vec<AskedDevice>,
    /// `--volumes-from`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) volumes_from: Vec<String>,
    /// `--device-cgroup-rule`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) device_rules: Vec<String>,
    /// `--security-opt`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) security: Vec<String>,
    /// `--blkio-weight-device`, and the rates of devices.
    #[serde(skip_serializing_if = "super::is_unsaid")]
    pub(crate) block_io: AskedBlockIo,
}

/// A device.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct AskedDevice {
    /// The node on the host.
    pub(crate) host: PathBuf,
    /// The node in the container.
    pub(crate) container: PathBuf,
    /// Some of `rwm`.
    pub(crate) access: String,
}

/// Weights and rates of devices, by their paths.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub(crate) struct AskedBlockIo {
    pub(crate) weights: Vec<(PathBuf, u16)>,
    pub(crate) read_bps: Vec<(PathBuf, u64)>,
    pub(crate) write_bps: Vec<(PathBuf, u64)>,
    pub(crate) read_iops: Vec<(PathBuf, u64)>,
    pub(crate) write_iops: Vec<(PathBuf, u64)>,
}

impl Asked {
    pub(crate) fn of(options: &CreateOptions) -> Self {
        let devices = options.rights.devices.iter().map(|device| AskedDevice {
            host: device.host.clone(),
            container: device.container.clone(),
            access: device.access.clone(),
        });
        let volumes = options.objects.volumes_from.iter().map(|from| match from.read_only {
            Some(true) => format!("{}:ro", from.container),
            Some(false) => format!("{}:rw", from.container),
            None => from.container.clone(),
        });
        let rules = options.cgroup.device_rules.iter().map(|rule| {
            let number = |number: Option<i64>| match number {
                Some(number) => number.to_string(),
                None => "*".to_owned(),
            };
            let (kind, access) = (rule.kind.as_deref(), rule.access.as_deref());
            let numbers = (number(rule.major), number(rule.minor));
            format!(
                "{} {}:{} {}",
                kind.unwrap_or("a"),
                numbers.0,
                numbers.1,
                access.unwrap_or("rwm")
            )
        });
        let mut block_io = AskedBlockIo::default();
        block_io.take(&options.limits.block_io);
        Self {
            groups: options.groups.clone(),
            devices: devices.collect(),
            volumes_from: volumes.collect(),
            device_rules: rules.collect(),
            security: security(&options.rights),
            block_io,
        }
    }
}

impl AskedBlockIo {
    /// Takes what is said; what is not said stays as it was.
    pub(crate) fn take(&mut self, said: &BlockIoOptions) {
        fn put<T: Clone>(to: &mut Vec<T>, from: &[T]) {
            if !from.is_empty() {
                *to = from.to_vec();
            }
        }
        put(&mut self.weights, &said.weight_devices);
        put(&mut self.read_bps, &said.read_bps);
        put(&mut self.write_bps, &said.write_bps);
        put(&mut self.read_iops, &said.read_iops);
        put(&mut self.write_iops, &said.write_iops);
    }
}

fn security(rights: &Rights) -> Vec<String> {
    let mut all = Vec::new();
    if rights.no_new_privileges {
        all.push("no-new-privileges".to_owned());
    }
    match rights.seccomp {
        SeccompChoice::Default => {}
        SeccompChoice::Unconfined => all.push("seccomp=unconfined".to_owned()),
        // The profile itself is in the configuration; a second copy could differ.
        SeccompChoice::Profile(_) => all.push("seccomp=profile".to_owned()),
    }
    all.extend(rights.apparmor.iter().map(|name| format!("apparmor={name}")));
    all.extend(rights.labels.iter().map(|label| format!("label={label}")));
    let listed =
        [("mask", &rights.mask), ("unmask", &rights.unmask), ("proc-opts", &rights.proc_options)];
    for (name, values) in listed {
        all.extend(values.iter().map(|value| format!("{name}={value}")));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Record;

    #[test]
    fn what_nobody_asked_for_takes_no_place_and_the_rest_reads_back() {
        let mut record = Record::default();
        assert!(!record.to_text().unwrap().contains("asked"));

        record.asked.groups = vec!["extra".to_owned()];
        record.asked.block_io.take(&BlockIoOptions {
            weight_devices: vec![("/dev/x".into(), 200)],
            ..BlockIoOptions::default()
        });
        let text = record.to_text().unwrap();

        assert_eq!(Record::parse(&text).unwrap(), record, "{text}");
        assert!(!text.contains("devices\":[]"), "{text}");
    }
}
