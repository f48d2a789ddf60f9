//! Limits in the words of version 2: one tree, `controller.file`.
//!
//! `config.json` speaks version 1's units; they are converted as runc and crun do it, so that a
//! configuration means the same everywhere.

use crate::{
    legacy::{file_word, max_or, rdma_line, refuse_below_use, tasks_or_max},
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
        place.write("pids.max", &tasks_or_max(limit))?;
    }
    if let Some(block_io) = &resources.block_io {
        set_io(&place, block_io)?;
    }
    for limit in &resources.hugepage_limits {
        let (size, value) = (file_word(&limit.page_size)?, limit.limit.to_string());
        place.write(&format!("hugetlb.{size}.max"), &value)?;
        // Reservations are accounted apart since Linux 5.7.
        place.0.write_if_there(&format!("hugetlb.{size}.rsvd.max"), &value)?;
    }
    for (device, limit) in &resources.rdma {
        place.write("rdma.max", &rdma_line(device, limit))?;
    }
    resources.unified.iter().try_for_each(|(file, value)| set_file(&place, file, value))
}

/// A file that `config.json` names itself, line by line.
fn set_file(place: &Asked<'_>, file: &str, value: &str) -> Result<()> {
    // Those that move, end or stop processes are no limits.
    const COMMANDS: [&str; 5] =
        ["cgroup.procs", "cgroup.threads", "cgroup.kill", "cgroup.freeze", "cgroup.type"];
    let is_name = file.split_once('.').is_some_and(|(controller, parameter)| {
        !controller.is_empty() && !parameter.is_empty() && !file.contains(['/', '\0'])
    });
    if !is_name || COMMANDS.contains(&file) {
        let text = format!("set {file:?}: it is not a limit's file, as in memory.high");
        return Err(Error::new(Kind::Invalid, text));
    }
    let mut lines = value.lines().filter(|line| !line.is_empty()).peekable();
    if lines.peek().is_none() {
        return place.write(file, value);
    }
    lines.try_for_each(|line| place.write(file, line))
}

/// A place where a missing file means a missing controller.
struct Asked<'p>(&'p Place);

impl Asked<'_> {
    fn write(&self, file: &str, value: &str) -> Result<()> {
        if self.0.write_if_there(file, value)? {
            return Ok(());
        }
        let controller = file.split('.').next().unwrap_or(file);
        Err(self.0.missing(file, controller))
    }
}

fn set_memory(place: &Asked<'_>, memory: &Memory) -> Result<()> {
    refuse_below_use(memory, || place.0.number("memory.current"))?;
    let set = |limit: Option<i64>| limit.filter(|limit| *limit != 0);
    let (limit, swap) = (set(memory.limit), set(memory.swap));
    // An update may name the sum alone; its other part is what is set already.
    let known = place.0.number("memory.max").and_then(|limit| i64::try_from(limit).ok());
    let base = limit.or_else(|| known.filter(|_| swap.is_some_and(|swap| swap > 0)));
    if let Some(swap) = swap_alone(base, swap)? {
        // A kernel that does not account swap need not be told that there is no limit.
        let idle = swap == "max" || swap == "0";
        if !place.0.write_if_there("memory.swap.max", &swap)? && !idle {
            return Err(place.0.missing("memory.swap.max", "memory"));
        }
    }
    if let Some(limit) = limit {
        place.write("memory.max", &max_or(limit))?;
    }
    if let Some(reservation) = set(memory.reservation) {
        place.write("memory.low", &max_or(reservation))?;
    }
    Ok(())
}

/// Version 1 counts memory and swap together, version 2 swap alone.
pub(crate) fn swap_alone(limit: Option<i64>, swap: Option<i64>) -> Result<Option<String>> {
    match (limit, swap) {
        // Who lifts the limit of memory and says nothing of swap means both.
        (Some(limit), None) if limit < 0 => Ok(Some("max".to_owned())),
        (_, None) => Ok(None),
        (_, Some(swap)) if swap < 0 => Ok(Some("max".to_owned())),
        (Some(limit), Some(swap)) if limit >= 0 && swap >= limit => {
            Ok(Some((swap - limit).to_string()))
        }
        _ => Err(Error::new(
            Kind::Invalid,
            "limit swap: it counts memory too, so memory needs a limit that is not above it",
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
    set_bandwidth(place, cpu)?;
    for (file, value) in [("cpuset.cpus", &cpu.cpus), ("cpuset.mems", &cpu.mems)] {
        if let Some(value) = value.as_deref().filter(|value| !value.is_empty()) {
            place.write(file, value)?;
        }
    }
    Ok(())
}

/// A quota, its period, and the burst, which is never above the quota, on the way neither: it goes
/// before a smaller quota and after a larger one. What is not named stays.
fn set_bandwidth(place: &Asked<'_>, cpu: &Cpu) -> Result<()> {
    let quota = cpu.quota.filter(|quota| *quota != 0);
    let period = cpu.period.filter(|period| *period != 0);
    let burst = cpu.burst.map(|burst| burst.to_string());
    let bandwidth = match (quota, period) {
        (None, None) => None,
        // `max` or a number, then the period.
        _ => Some(merged(&place.0.read("cpu.max").unwrap_or_default(), quota, period)),
    };
    let Some(bandwidth) = bandwidth else {
        return burst.map_or(Ok(()), |burst| place.write("cpu.max.burst", &burst));
    };
    let burst_is_set = match &burst {
        Some(burst) => place.0.write("cpu.max.burst", burst).is_ok(),
        None => true,
    };
    place.write("cpu.max", &bandwidth)?;
    match burst {
        Some(burst) if !burst_is_set => place.write("cpu.max.burst", &burst),
        _ => Ok(()),
    }
}

/// The line for `cpu.max`, from what is there and what is given.
fn merged(there: &str, quota: Option<i64>, period: Option<u64>) -> String {
    let mut words = there.split_whitespace();
    let old_quota = words.next().unwrap_or("max").to_owned();
    let old_period = words.next().unwrap_or("100000").to_owned();
    let quota = quota.map_or(old_quota, max_or);
    let period = period.map_or(old_period, |period| period.to_string());
    format!("{quota} {period}")
}

/// Shares are 2 to 262144 with 1024 in the middle, weights 1 to 10000 with 100 there. The curve
/// goes through all three; it is runc's and crun's since 2025. The line that they had before made
/// 39 of 1024, so that containers lost against everything that nobody had weighed.
pub(crate) fn weight_of_shares(shares: u64) -> u64 {
    match shares {
        0..=2 => 1,
        262_144.. => 10_000,
        _ => {
            #[expect(clippy::cast_precision_loss, reason = "less than 2^18")]
            let log = (shares as f64).log2();
            let weight = 10_f64.powf((log * log + 125.0 * log) / 612.0 - 7.0 / 34.0).ceil();
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "the curve stays between 1 and 10000"
            )]
            let weight = weight as u64;
            weight
        }
    }
}

/// Weights of version 1 are 10 to 1000, of `io.weight` 1 to 10000.
pub(crate) fn io_weight(weight: u16) -> u64 {
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
    fn bandwidth_keeps_what_is_not_named() {
        let cases = [
            ("max 100000", Some(50_000), None, "50000 100000"),
            ("50000 100000", None, Some(200_000), "50000 200000"),
            ("50000 100000", Some(-1), Some(200_000), "max 200000"),
            ("", Some(7000), None, "7000 100000"),
        ];
        for (there, quota, period, expected) in cases {
            assert_eq!(merged(there, quota, period), expected, "{there} {quota:?} {period:?}");
        }
    }

    #[test]
    fn units_convert_as_in_runc_and_crun() {
        let weights = [
            (2, 1),
            (1024, 100),
            (512, 59),
            (2048, 174),
            (262_144, 10_000),
            (1, 1),
            (1_000_000, 10_000),
        ];
        for (shares, weight) in weights {
            assert_eq!(weight_of_shares(shares), weight, "{shares} shares");
        }
        assert_eq!((io_weight(10), io_weight(1000)), (1, 10_000));
        let swaps = [
            (Some(100), Some(300), Some("200")),
            (Some(100), Some(100), Some("0")),
            (None, Some(-1), Some("max")),
            (Some(-1), None, Some("max")),
            (Some(100), None, None),
            (None, None, None),
        ];
        for (limit, swap, alone) in swaps {
            assert_eq!(swap_alone(limit, swap).unwrap().as_deref(), alone, "{limit:?} {swap:?}");
        }
        assert!(swap_alone(Some(300), Some(100)).is_err());
        assert!(swap_alone(None, Some(100)).is_err());
        assert!(swap_alone(Some(-1), Some(100)).is_err());
    }
}
