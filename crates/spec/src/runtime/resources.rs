//! `linux.resources` in `config.json`: what a cgroup limits.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Limits. What is absent is left as the kernel has it.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Resources {
    /// cgroup v2 files by name, written as they are.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub unified: BTreeMap<String, String>,
    /// Which devices may be used; the last matching rule counts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<DeviceRule>,
    /// Memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Memory>,
    /// Processors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Cpu>,
    /// Number of processes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pids: Option<Pids>,
    /// Block devices.
    #[serde(rename = "blockIO", skip_serializing_if = "Option::is_none")]
    pub block_io: Option<BlockIo>,
    /// Huge pages.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hugepage_limits: Vec<HugepageLimit>,
    /// Network classes (v1).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<Network>,
    /// RDMA by device.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub rdma: BTreeMap<String, Rdma>,
}

impl Resources {
    /// These limits with others over them: what the others name counts, the rest stays. Rules for
    /// devices are taken or left as a whole, since their order counts.
    #[must_use]
    pub fn overlaid(&self, over: &Self) -> Self {
        let mut all = self.clone();
        all.unified.extend(over.unified.clone());
        if !over.devices.is_empty() {
            all.devices.clone_from(&over.devices);
        }
        lay(&mut all.memory, over.memory.as_ref(), Memory::lay);
        lay(&mut all.cpu, over.cpu.as_ref(), Cpu::lay);
        lay(&mut all.pids, over.pids.as_ref(), Pids::lay);
        lay(&mut all.block_io, over.block_io.as_ref(), BlockIo::lay);
        put(&mut all.hugepage_limits, &over.hugepage_limits, |old, new| {
            old.page_size == new.page_size
        });
        lay(&mut all.network, over.network.as_ref(), Network::lay);
        for (device, limit) in &over.rdma {
            all.rdma.entry(device.clone()).or_default().lay(limit);
        }
        all
    }

    /// A processor's quota and its period mean something together only: where one of them is named,
    /// the other is `all`'s.
    #[must_use]
    pub fn with_quota_of(&self, all: &Self) -> Self {
        let mut whole = self.clone();
        if let (Some(cpu), Some(all)) = (&mut whole.cpu, &all.cpu)
            && (cpu.quota.is_some() || cpu.period.is_some())
        {
            cpu.quota = cpu.quota.or(all.quota);
            cpu.period = cpu.period.or(all.period);
        }
        whole
    }
}

fn lay<T: Clone + Default>(under: &mut Option<T>, over: Option<&T>, merge: fn(&mut T, &T)) {
    if let Some(over) = over {
        merge(under.get_or_insert_default(), over);
    }
}

/// Replaces the entries that are about the same thing, and adds the others.
fn put<T: Clone>(under: &mut Vec<T>, over: &[T], same: fn(&T, &T) -> bool) {
    for new in over {
        match under.iter_mut().find(|old| same(old, new)) {
            Some(old) => old.clone_from(new),
            None => under.push(new.clone()),
        }
    }
}

/// Limits whose fields are all options: those that are named lie over those that were.
macro_rules! lay_fields {
    ($($name:ident { $($field:ident),+ })+) => { $(
        impl $name {
            fn lay(&mut self, over: &Self) {
                let Self { $($field),+ } = over;
                $(if $field.is_some() {
                    self.$field.clone_from($field);
                })+
            }
        }
    )+ };
}

lay_fields! {
    Memory {
        limit, reservation, swap, kernel, kernel_tcp, swappiness, disable_oom_killer,
        use_hierarchy, check_before_update
    }
    Cpu { shares, quota, burst, period, realtime_runtime, realtime_period, cpus, mems, idle }
    Pids { limit }
    Rdma { hca_handles, hca_objects }
}

/// A rule for devices.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct DeviceRule {
    /// Whether it allows or denies.
    pub allow: bool,
    /// `a`, `c` or `b`; all where missing.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Major number; any where missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub major: Option<i64>,
    /// Minor number; any where missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minor: Option<i64>,
    /// Some of `r`, `w`, `m`; all where missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access: Option<String>,
}

/// Memory limits in bytes; -1 is no limit.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Memory {
    /// The limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<i64>,
    /// The soft limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reservation: Option<i64>,
    /// Memory and swap together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub swap: Option<i64>,
    /// Kernel memory (v1, ignored by new kernels).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kernel: Option<i64>,
    /// Kernel TCP memory (v1).
    #[serde(rename = "kernelTCP", skip_serializing_if = "Option::is_none")]
    pub kernel_tcp: Option<i64>,
    /// 0 to 100 (v1).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub swappiness: Option<u64>,
    /// Whether the out-of-memory killer stays away (v1).
    #[serde(rename = "disableOOMKiller", skip_serializing_if = "Option::is_none")]
    pub disable_oom_killer: Option<bool>,
    /// Whether children are accounted (v1).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub use_hierarchy: Option<bool>,
    /// Whether an update below the current use is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub check_before_update: Option<bool>,
}

/// Processor limits; times in microseconds.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Cpu {
    /// Weight against other cgroups, 2 to 262144, 1024 by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shares: Option<u64>,
    /// Time a period; -1 is no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quota: Option<i64>,
    /// Time that may be saved up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub burst: Option<u64>,
    /// The period.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub period: Option<u64>,
    /// Real-time microseconds a period (v1).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub realtime_runtime: Option<i64>,
    /// Real-time period (v1).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub realtime_period: Option<u64>,
    /// CPUs: `0-3,5`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpus: Option<String>,
    /// Memory nodes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mems: Option<String>,
    /// 1: runs only when nobody else wants to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle: Option<i64>,
}

/// Number of processes.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct Pids {
    /// The limit; -1 means none, and 0 that there is no process beside the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<i64>,
}

/// Block device weights and rates.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BlockIo {
    /// 10 to 1000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<u16>,
    /// For leaves (v1).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leaf_weight: Option<u16>,
    /// Weights by device.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub weight_device: Vec<WeightDevice>,
    /// Bytes a second.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub throttle_read_bps_device: Vec<ThrottleDevice>,
    /// Bytes a second.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub throttle_write_bps_device: Vec<ThrottleDevice>,
    /// Operations a second.
    #[serde(rename = "throttleReadIOPSDevice", skip_serializing_if = "Vec::is_empty")]
    pub throttle_read_iops_device: Vec<ThrottleDevice>,
    /// Operations a second.
    #[serde(rename = "throttleWriteIOPSDevice", skip_serializing_if = "Vec::is_empty")]
    pub throttle_write_iops_device: Vec<ThrottleDevice>,
}

impl BlockIo {
    /// The weight; 0 is how Go programs write what they do not mean.
    pub fn given_weight(&self) -> Option<u16> {
        self.weight.filter(|weight| *weight != 0)
    }

    fn lay(&mut self, over: &Self) {
        self.weight = over.given_weight().or(self.weight);
        self.leaf_weight = over.leaf_weight.or(self.leaf_weight);
        put(&mut self.weight_device, &over.weight_device, |old, new| {
            (old.major, old.minor) == (new.major, new.minor)
        });
        let pairs = [
            (&mut self.throttle_read_bps_device, &over.throttle_read_bps_device),
            (&mut self.throttle_write_bps_device, &over.throttle_write_bps_device),
            (&mut self.throttle_read_iops_device, &over.throttle_read_iops_device),
            (&mut self.throttle_write_iops_device, &over.throttle_write_iops_device),
        ];
        for (under, over) in pairs {
            put(under, over, |old, new| (old.major, old.minor) == (new.major, new.minor));
        }
    }
}

/// A device's weight.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WeightDevice {
    /// Major number.
    pub major: i64,
    /// Minor number.
    pub minor: i64,
    /// 10 to 1000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<u16>,
    /// For leaves (v1).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leaf_weight: Option<u16>,
}

/// A device's rate.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct ThrottleDevice {
    /// Major number.
    pub major: i64,
    /// Minor number.
    pub minor: i64,
    /// Bytes or operations a second.
    pub rate: u64,
}

/// Huge pages of one size.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HugepageLimit {
    /// `2MB`, `1GB`.
    pub page_size: String,
    /// Bytes.
    pub limit: u64,
}

/// Network classes (v1).
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct Network {
    /// The class of outgoing packets.
    #[serde(rename = "classID", skip_serializing_if = "Option::is_none")]
    pub class_id: Option<u32>,
    /// Priorities by interface.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub priorities: Vec<InterfacePriority>,
}

impl Network {
    fn lay(&mut self, over: &Self) {
        self.class_id = over.class_id.or(self.class_id);
        put(&mut self.priorities, &over.priorities, |old, new| old.name == new.name);
    }
}

/// An interface's priority.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct InterfacePriority {
    /// The interface.
    pub name: String,
    /// Its priority.
    pub priority: u32,
}

/// RDMA limits of a device.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Rdma {
    /// Handles.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hca_handles: Option<u32>,
    /// Objects.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hca_objects: Option<u32>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Resources {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn what_a_change_names_counts_and_the_rest_stays() {
        let before = parse(
            r#"{"unified":{"memory.high":"1","cpu.idle":"0"},
                "devices":[{"allow":false,"access":"rwm"}],
                "memory":{"limit":7,"swap":9},"cpu":{"quota":5,"period":10,"cpus":"0"},
                "blockIO":{"weight":10,"throttleReadBpsDevice":[{"major":8,"minor":0,"rate":1}]},
                "hugepageLimits":[{"pageSize":"2MB","limit":1}],
                "network":{"classID":1,"priorities":[{"name":"lo","priority":1}]},
                "rdma":{"a":{"hcaHandles":1}}}"#,
        );
        let change = parse(
            r#"{"unified":{"memory.high":"2"},"memory":{"limit":8},"cpu":{"quota":6},
                "pids":{"limit":3},
                "blockIO":{"weight":0,"throttleReadBpsDevice":[
                    {"major":8,"minor":0,"rate":2},{"major":9,"minor":0,"rate":3}]},
                "hugepageLimits":[{"pageSize":"1GB","limit":2}],
                "network":{"priorities":[{"name":"lo","priority":2}]},
                "rdma":{"a":{"hcaObjects":2},"b":{"hcaHandles":3}}}"#,
        );

        let after = before.overlaid(&change);

        let expected = parse(
            r#"{"unified":{"memory.high":"2","cpu.idle":"0"},
                "devices":[{"allow":false,"access":"rwm"}],
                "memory":{"limit":8,"swap":9},"cpu":{"quota":6,"period":10,"cpus":"0"},
                "pids":{"limit":3},
                "blockIO":{"weight":10,"throttleReadBpsDevice":[
                    {"major":8,"minor":0,"rate":2},{"major":9,"minor":0,"rate":3}]},
                "hugepageLimits":[{"pageSize":"2MB","limit":1},{"pageSize":"1GB","limit":2}],
                "network":{"classID":1,"priorities":[{"name":"lo","priority":2}]},
                "rdma":{"a":{"hcaHandles":1,"hcaObjects":2},"b":{"hcaHandles":3}}}"#,
        );
        assert_eq!(after, expected);
        assert_eq!(before.overlaid(&Resources::default()), before);
        assert_eq!(Resources::default().overlaid(&change).memory, change.memory);
        let cpu = change.with_quota_of(&after).cpu.unwrap();
        assert_eq!((cpu.quota, cpu.period, cpu.cpus), (Some(6), Some(10), None));
        assert_eq!(parse("{}").with_quota_of(&after), parse("{}"));
    }
}
