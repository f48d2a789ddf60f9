//! Limits in the words of version 2: one tree, `controller.file`.
//!
//! `config.json` speaks version 1's units; they are converted as runc and crun do it, so that a
//! configuration means the same everywhere.

use crate::{
    legacy::{file_word, max_or, missing, rdma_line, refuse_below_use},
    place::Place,
};
use dhow_base::{Error, Kind, Result};
use dhow_spec::runtime::{BlockIo, Cpu, Memory, Resources};

/// What is turned on for every cgroup, where it is there.
pub(crate) const CONTROLLERS: [&str; 8] =
    ["cpuset", "cpu", "io", "memory", "pids", "hugetlb", "rdma", "misc"];

/// Sets what `resources` names, but for devices, which are a program's business.
pub(crate) fn set(place: &Place, resources: &Resources) -> Result<()> {
    let place = Asked(place);
    if let Some(memory) = &resources.memory {
        set_memory(&place, memory)?;
    }
    if let Some(cpu) = &resources.cpu {
        set_cpu(&place, cpu)?;
    }
    if let Some(limit) = resources.pids.and_then(|pids| pids.limit) {
        place.write("pids.max", &max_or(limit))?;
    }
    if let Some(block_io) = &resources.block_io {
        set_io(&place, block_io)?;
    }
    for limit in &resources.hugepage_limits {
        place.write(
            &format!("hugetlb.{}.max", file_word(&limit.page_size)?),
            &limit.limit.to_string(),
        )?;
    }
    for (device, limit) in &resources.rdma {
        place.write("rdma.max", &rdma_line(device, limit))?;
    }
    for (file, value) in &resources.unified {
        if file.contains('/') || !file.contains('.') {
            return Err(Error::new(
                Kind::Invalid,
                format!("set {file:?}: it is not the name of a cgroup file"),
            ));
        }
        place.write(file, value)?;
    }
    Ok(())
}

/// A place where a missing file means a missing controller.
struct Asked<'p>(&'p Place);

impl Asked<'_> {
    fn write(&self, file: &str, value: &str) -> Result<()> {
        if self.0.write_if_there(file, value)? {
            return Ok(());
        }
        let controller = file.split('.').next().unwrap_or(file);
        Err(missing(file, controller))
    }
}

fn set_memory(place: &Asked<'_>, memory: &Memory) -> Result<()> {
    refuse_below_use(memory, place.0.number("memory.current"))?;
    if let Some(swap) = memory.swap {
        place.write("memory.swap.max", &swap_alone(memory.limit, swap)?)?;
    }
    if let Some(limit) = memory.limit {
        place.write("memory.max", &max_or(limit))?;
    }
    if let Some(reservation) = memory.reservation {
        place.write("memory.low", &max_or(reservation))?;
    }
    Ok(())
}

/// Version 1 counts memory and swap together, version 2 swap alone.
fn swap_alone(limit: Option<i64>, swap: i64) -> Result<String> {
    match limit {
        _ if swap < 0 => Ok("max".to_owned()),
        Some(limit) if limit >= 0 && swap >= limit => Ok((swap - limit).to_string()),
        _ => Err(Error::new(
            Kind::Invalid,
            "limit swap: it counts memory too and must not be below memory's limit",
        )),
    }
}

fn set_cpu(place: &Asked<'_>, cpu: &Cpu) -> Result<()> {
    if let Some(idle) = cpu.idle {
        place.write("cpu.idle", &idle.to_string())?;
    }
    if let Some(shares) = cpu.shares.filter(|shares| *shares != 0) {
        place.write("cpu.weight", &weight_of_shares(shares).to_string())?;
    }
    if let Some(burst) = cpu.burst {
        place.write("cpu.max.burst", &burst.to_string())?;
    }
    if cpu.quota.is_some() || cpu.period.is_some() {
        let quota = cpu.quota.map_or_else(|| "max".to_owned(), max_or);
        let period = cpu.period.filter(|period| *period != 0).unwrap_or(100_000);
        place.write("cpu.max", &format!("{quota} {period}"))?;
    }
    for (file, value) in [("cpuset.cpus", &cpu.cpus), ("cpuset.mems", &cpu.mems)] {
        if let Some(value) = value.as_deref().filter(|value| !value.is_empty()) {
            place.write(file, value)?;
        }
    }
    Ok(())
}

/// Shares are 2 to 262144, weights 1 to 10000.
fn weight_of_shares(shares: u64) -> u64 {
    1 + (shares.clamp(2, 262_144) - 2) * 9_999 / 262_142
}

/// Weights of version 1 are 10 to 1000, of `io.weight` 1 to 10000.
fn io_weight(weight: u16) -> u64 {
    1 + (u64::from(weight.clamp(10, 1000)) - 10) * 9_999 / 990
}

fn set_io(place: &Asked<'_>, block_io: &BlockIo) -> Result<()> {
    if let Some(weight) = block_io.weight.filter(|weight| *weight != 0)
        && !place.0.write_if_there("io.bfq.weight", &weight.to_string())?
    {
        place.write("io.weight", &format!("default {}", io_weight(weight)))?;
    }
    for device in &block_io.weight_device {
        if let Some(weight) = device.weight {
            place.write("io.bfq.weight", &format!("{}:{} {weight}", device.major, device.minor))?;
        }
    }
    let limits = [
        ("rbps", &block_io.throttle_read_bps_device),
        ("wbps", &block_io.throttle_write_bps_device),
        ("riops", &block_io.throttle_read_iops_device),
        ("wiops", &block_io.throttle_write_iops_device),
    ];
    for (key, devices) in limits {
        for device in devices {
            place.write(
                "io.max",
                &format!("{}:{} {key}={}", device.major, device.minor, device.rate),
            )?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_convert_as_in_runc_and_crun() {
        let weights = [(2, 1), (1024, 39), (262_144, 10_000), (1, 1), (1_000_000, 10_000)];
        for (shares, weight) in weights {
            assert_eq!(weight_of_shares(shares), weight, "{shares} shares");
        }
        assert_eq!((io_weight(10), io_weight(1000)), (1, 10_000));
        assert_eq!(swap_alone(Some(100), 300).unwrap(), "200");
        assert_eq!(swap_alone(None, -1).unwrap(), "max");
        assert!(swap_alone(Some(300), 100).is_err());
    }
}
