//! Limits as properties of a systemd unit (systemd.resource-control(5)).
//!
//! systemd sets its own idea of a unit's limits again whenever it likes, so it must have ours.
//! What it has no property for is in the kernel's files only.

use crate::{
    Layout,
    dbus::Value,
    devices::{Exception, Sort, Table},
    systemd::Manager,
    unified,
};
use dhow_base::{Error, Kind, Result};
use dhow_spec::runtime::{BlockIo, Cpu, Memory, Resources};

/// A name and a value.
pub(crate) type Property = (String, Value);

/// What stands for "no limit".
const INFINITY: u64 = u64::MAX;
/// Rates are rounded up to whole percents of a processor, which systemd counts in, or the cgroup
/// below could not have the quota that it asks for.
const PERCENT_US: u64 = 10_000;

/// The properties for what `resources` names.
pub(crate) fn of(
    resources: &Resources,
    layout: Layout,
    manager: &mut Manager,
) -> Result<Vec<Property>> {
    // Only some limits depend on it, and the question costs a round trip.
    let version = if depends_on_version(resources) { manager.version()? } else { 0 };
    let mut properties = Properties { found: Vec::new(), version };
    properties.devices(resources)?;
    if layout == Layout::Unified {
        properties.unified(resources)?;
    } else {
        properties.legacy(resources);
    }
    if let Some(limit) = resources.pids.and_then(|pids| pids.limit) {
        properties.number("TasksMax", tasks_or_infinity(limit));
    }
    if let Some(cpu) = &resources.cpu {
        properties.cpuset(cpu)?;
    }
    Ok(properties.found)
}

fn depends_on_version(resources: &Resources) -> bool {
    let cpu = resources.cpu.as_ref();
    cpu.is_some_and(|cpu| {
        cpu.period.is_some() || cpu.idle.is_some() || cpu.cpus.is_some() || cpu.mems.is_some()
    }) || !resources.unified.is_empty()
}

fn number_or_infinity(limit: i64) -> u64 {
    if limit <= 0 { INFINITY } else { limit.unsigned_abs() }
}

/// systemd knows no limit of none; the first process fills one of one.
fn tasks_or_infinity(limit: i64) -> u64 {
    if limit < 0 { INFINITY } else { limit.unsigned_abs().max(1) }
}

struct Properties {
    found: Vec<Property>,
    version: u32,
}

impl Properties {
    fn add(&mut self, name: &str, value: Value) {
        self.found.push((name.to_owned(), value));
    }

    fn number(&mut self, name: &str, value: u64) {
        self.add(name, Value::U64(value));
    }

    fn legacy(&mut self, resources: &Resources) {
        if let Some(limit) = given(resources.memory.as_ref().and_then(|memory| memory.limit)) {
            self.number("MemoryLimit", number_or_infinity(limit));
        }
        if let Some(cpu) = &resources.cpu {
            if let Some(shares) = cpu.shares.filter(|shares| *shares != 0) {
                self.number("CPUShares", shares.clamp(2, 262_144));
            }
            self.quota(cpu.quota, cpu.period);
        }
        let weight = resources.block_io.as_ref().and_then(BlockIo::given_weight);
        if let Some(weight) = weight {
            self.number("BlockIOWeight", weight.into());
        }
    }

    fn unified(&mut self, resources: &Resources) -> Result<()> {
        if let Some(memory) = &resources.memory {
            self.memory(memory)?;
        }
        if let Some(cpu) = &resources.cpu {
            // A weight of 0 means idle since systemd 252.
            if cpu.idle == Some(1) && self.version >= 252 {
                self.number("CPUWeight", 0);
            } else if let Some(shares) = cpu.shares.filter(|shares| *shares != 0) {
                self.number("CPUWeight", unified::weight_of_shares(shares));
            }
            self.quota(cpu.quota, cpu.period);
        }
        let weight = resources.block_io.as_ref().and_then(BlockIo::given_weight);
        if let Some(weight) = weight {
            self.number("IOWeight", unified::io_weight(weight));
        }
        for (file, text) in &resources.unified {
            self.file(file, text.trim())?;
        }
        Ok(())
    }

    fn memory(&mut self, memory: &Memory) -> Result<()> {
        let (limit, swap) = (given(memory.limit), given(memory.swap));
        if let Some(limit) = limit {
            self.number("MemoryMax", number_or_infinity(limit));
        }
        if let Some(reservation) = given(memory.reservation) {
            self.number("MemoryLow", number_or_infinity(reservation));
        }
        // A sum without its other part is completed by whoever writes the file.
        if limit.is_some() || swap.is_some_and(|swap| swap < 0) {
            match unified::swap_alone(limit, swap)?.as_deref() {
                None => {}
                Some("max") => self.number("MemorySwapMax", INFINITY),
                Some(bytes) => self.number("MemorySwapMax", bytes.parse().unwrap_or(INFINITY)),
            }
        }
        Ok(())
    }

    fn quota(&mut self, quota: Option<i64>, period: Option<u64>) {
        let (quota, period) = (given(quota), period.filter(|period| *period != 0));
        if let Some(period) = period
            && self.version >= 242
        {
            self.number("CPUQuotaPeriodUSec", period);
        }
        let Some(quota) = quota else { return };
        self.number("CPUQuotaPerSecUSec", per_second(quota, period.unwrap_or(100_000)));
    }

    fn cpuset(&mut self, cpu: &Cpu) -> Result<()> {
        for (name, list) in [("AllowedCPUs", &cpu.cpus), ("AllowedMemoryNodes", &cpu.mems)] {
            if let Some(list) = list.as_deref().filter(|list| !list.is_empty())
                && self.version >= 244
            {
                self.add(name, bits(list)?);
            }
        }
        Ok(())
    }

    /// A file of version 2 for which there is a property; the others are nobody's but the cgroup's.
    fn file(&mut self, file: &str, text: &str) -> Result<()> {
        let invalid =
            || Error::new(Kind::Invalid, format!("set {file} to {text:?}: it is no number"));
        let number = |text: &str| match text {
            "max" => Ok(INFINITY),
            _ => text.parse::<u64>().map_err(|_| invalid()),
        };
        let name = match file {
            "memory.max" => "MemoryMax",
            "memory.high" => "MemoryHigh",
            "memory.low" => "MemoryLow",
            "memory.min" => "MemoryMin",
            "memory.swap.max" => "MemorySwapMax",
            "pids.max" => "TasksMax",
            "cpu.weight" => "CPUWeight",
            "cpu.idle" if text == "1" && self.version >= 252 => {
                self.number("CPUWeight", 0);
                return Ok(());
            }
            "cpu.max" => {
                let (quota, period) = text.split_once(' ').unwrap_or((text, "100000"));
                let period = period.trim().parse().map_err(|_| invalid())?;
                let quota = match number(quota)? {
                    INFINITY => -1,
                    quota => i64::try_from(quota).map_err(|_| invalid())?,
                };
                self.quota(Some(quota), Some(period));
                return Ok(());
            }
            "cpuset.cpus" | "cpuset.mems" if self.version >= 244 => {
                let is_cpus = file == "cpuset.cpus";
                self.add(if is_cpus { "AllowedCPUs" } else { "AllowedMemoryNodes" }, bits(text)?);
                return Ok(());
            }
            _ => return Ok(()),
        };
        let value = number(text)?;
        self.number(name, value);
        Ok(())
    }

    /// systemd knows lists of what is allowed only. Where everything but some is, it is told to
    /// allow everything, and our own rules do the rest.
    fn devices(&mut self, resources: &Resources) -> Result<()> {
        if resources.devices.is_empty() {
            return Ok(());
        }
        let table = Table::with_defaults(&resources.devices)?;
        let (policy, lines) = if table.allow {
            ("auto", Vec::new())
        } else {
            let groups = std::fs::read_to_string("/proc/devices").unwrap_or_default();
            let lines = table.exceptions.iter().filter_map(|one| device_line(one, &groups));
            ("strict", lines.collect())
        };
        self.add("DevicePolicy", Value::text(policy));
        self.add("DeviceAllow", Value::Array("(ss)".to_owned(), lines));
        Ok(())
    }
}

/// 0 is how Go programs write what they do not mean.
fn given(number: Option<i64>) -> Option<i64> {
    number.filter(|number| *number != 0)
}

fn per_second(quota: i64, period: u64) -> u64 {
    let Ok(quota) = u64::try_from(quota) else { return INFINITY };
    quota.saturating_mul(1_000_000).div_ceil(period).next_multiple_of(PERCENT_US)
}

/// `0-2,7` as bytes with a bit a number, the lowest first.
fn bits(list: &str) -> Result<Value> {
    let invalid = || Error::new(Kind::Invalid, format!("{list:?} is not a list of numbers"));
    let mut bytes = Vec::<u8>::new();
    for part in list.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let number = |text: &str| text.trim().parse::<usize>().map_err(|_| invalid());
        let (first, last) = (number(first)?, number(last)?);
        // More than any machine has.
        if first > last || last >= 1 << 16 {
            return Err(invalid());
        }
        bytes.resize(bytes.len().max(last / 8 + 1), 0);
        (first..=last).for_each(|bit| bytes[bit / 8] |= 1 << (bit % 8));
    }
    let bytes = bytes.into_iter().map(Value::Byte).collect();
    Ok(Value::Array("y".to_owned(), bytes))
}

/// What systemd calls devices: a node's path, or the group of all with a major number.
fn device_line(exception: &Exception, groups: &str) -> Option<Value> {
    let (sort, section) = match exception.sort {
        Sort::Char => ("char", "Character devices:"),
        Sort::Block => ("block", "Block devices:"),
    };
    let node = match (exception.major, exception.minor) {
        (Some(major), Some(minor)) => format!("/dev/{sort}/{major}:{minor}"),
        (Some(major), None) => format!("{sort}-{}", group_of(groups, section, major)?),
        (None, None) => format!("{sort}-*"),
        // There is no such group.
        (None, Some(_)) => return None,
    };
    Some(Value::Struct(vec![Value::text(node), Value::text(exception.access.text())]))
}

/// The name that `/proc/devices` has for a major number.
fn group_of<'g>(groups: &'g str, section: &str, major: u32) -> Option<&'g str> {
    let lines = groups.lines().skip_while(|line| *line != section).skip(1);
    lines.take_while(|line| !line.is_empty()).find_map(|line| {
        let (number, name) = line.trim().split_once(' ')?;
        (number.parse() == Ok(major)).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotas_are_rounded_up_to_a_percent() {
        assert_eq!(per_second(50_000, 100_000), 500_000);
        assert_eq!(per_second(33_333, 100_000), 340_000);
        assert_eq!(per_second(1, 100_000), 10_000);
        assert_eq!(per_second(-1, 100_000), INFINITY);
    }

    #[test]
    fn lists_become_bits_from_the_lowest() {
        let bytes = |bytes: &[u8]| {
            Value::Array("y".into(), bytes.iter().map(|byte| Value::Byte(*byte)).collect())
        };
        assert_eq!(bits("0-2,9").unwrap(), bytes(&[0b111, 0b10]));
        assert_eq!(bits("7").unwrap(), bytes(&[0x80]));
        for list in ["a", "3-1", "1-", "70000", "-1"] {
            assert!(bits(list).is_err(), "{list}");
        }
    }

    #[test]
    fn devices_are_called_by_node_and_group() {
        let groups = "Character devices:\n  1 mem\n136 pts\n\nBlock devices:\n  8 sd\n";
        let line = |sort, major, minor| {
            let access = crate::devices::Access(6);
            device_line(&Exception { sort, major, minor, access }, groups)
        };
        let expected = |node: &str| Some(Value::Struct(vec![Value::text(node), Value::text("rw")]));

        assert_eq!(line(Sort::Char, Some(1), Some(3)), expected("/dev/char/1:3"));
        assert_eq!(line(Sort::Char, Some(136), None), expected("char-pts"));
        assert_eq!(line(Sort::Block, Some(8), None), expected("block-sd"));
        assert_eq!(line(Sort::Block, Some(1), None), None);
        assert_eq!(line(Sort::Char, None, None), expected("char-*"));
        assert_eq!(line(Sort::Char, None, Some(1)), None);
    }
}
