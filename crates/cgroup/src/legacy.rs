//! Limits in the words of version 1: one hierarchy a controller, one file a limit.

use crate::place::Place;
use dhow_base::{Error, Kind, Result};
use dhow_spec::runtime::{BlockIo, Cpu, Memory, Resources, ThrottleDevice};

/// Sets what `resources` names, but for devices. A number that is 0 where 0 makes no sense counts as
/// absent, as in runc: Go programs write it for what they do not mean. A limit whose controller is
/// nowhere is an error that names both.
pub(crate) fn set(places: &[Place], resources: &Resources) -> Result<()> {
    let find = |controller: &str, what: &str| {
        places.iter().find(|place| place.has(controller)).ok_or_else(|| missing(what, controller))
    };
    if let Some(memory) = &resources.memory
        && *memory != Memory::default()
    {
        set_memory(find("memory", "memory")?, memory)?;
    }
    if let Some(cpu) = &resources.cpu {
        set_cpu(cpu, &find)?;
    }
    if let Some(limit) = resources.pids.and_then(|pids| pids.limit) {
        find("pids", "the number of processes")?.write("pids.max", &tasks_or_max(limit))?;
    }
    if let Some(block_io) = &resources.block_io
        && *block_io != BlockIo::default()
    {
        set_block_io(find("blkio", "block devices")?, block_io)?;
    }
    for limit in &resources.hugepage_limits {
        let (size, value) = (file_word(&limit.page_size)?, limit.limit.to_string());
        let place = find("hugetlb", "huge pages")?;
        place.write(&format!("hugetlb.{size}.limit_in_bytes"), &value)?;
        // Reservations are accounted apart since Linux 5.7.
        place.write_if_there(&format!("hugetlb.{size}.rsvd.limit_in_bytes"), &value)?;
    }
    if let Some(network) = &resources.network {
        if let Some(class) = network.class_id {
            find("net_cls", "the network class")?.write("net_cls.classid", &class.to_string())?;
        }
        for priority in &network.priorities {
            let line = format!("{} {}", priority.name, priority.priority);
            find("net_prio", "network priorities")?.write("net_prio.ifpriomap", &line)?;
        }
    }
    for (device, limit) in &resources.rdma {
        find("rdma", "RDMA")?.write("rdma.max", &rdma_line(device, limit))?;
    }
    if let Some((file, _)) = resources.unified.first_key_value() {
        return Err(Error::new(
            Kind::Unsupported,
            format!(
                "invalid configuration: {file} is of cgroup version 2, and this machine has version 1's controllers"
            ),
        ));
    }
    Ok(())
}

pub(crate) fn missing(what: &str, controller: &str) -> Error {
    Error::new(
        Kind::Unsupported,
        format!("limit {what}: this machine has no cgroup controller {controller}"),
    )
    .hint("leave the limit out, or boot a kernel that has the controller")
}

/// A number, or the word for none.
pub(crate) fn max_or(limit: i64) -> String {
    if limit <= 0 { "max".to_owned() } else { limit.to_string() }
}

/// A number of tasks, which may be none; or the word for no limit.
pub(crate) fn tasks_or_max(limit: i64) -> String {
    if limit < 0 { "max".to_owned() } else { limit.to_string() }
}

/// A word that becomes part of a file's name.
pub(crate) fn file_word(word: &str) -> Result<&str> {
    if !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        Ok(word)
    } else {
        Err(Error::new(Kind::Invalid, format!("limit huge pages of size {word:?}")))
    }
}

/// What is not named stays as it is.
pub(crate) fn rdma_line(device: &str, limit: &dhow_spec::runtime::Rdma) -> String {
    let pair = |key: &str, limit: Option<u32>| limit.map(|limit| format!(" {key}={limit}"));
    let handles = pair("hca_handle", limit.hca_handles).unwrap_or_default();
    let objects = pair("hca_object", limit.hca_objects).unwrap_or_default();
    format!("{device}{handles}{objects}")
}

fn set_memory(place: &Place, memory: &Memory) -> Result<()> {
    if let Some(is_hierarchical) = memory.use_hierarchy {
        place.write("memory.use_hierarchy", if is_hierarchical { "1" } else { "0" })?;
    }
    refuse_below_use(memory, || place.number("memory.usage_in_bytes"))?;
    let set = |limit: Option<i64>| limit.filter(|limit| *limit != 0).map(|limit| limit.to_string());
    let limit = set(memory.limit);
    // Who lifts the limit of memory and says nothing of swap means both.
    let swap = set(memory.swap).or_else(|| limit.clone().filter(|limit| limit == "-1"));
    match (&limit, &swap) {
        // Memory alone may never be above both together, on the way neither; which of the two
        // must go first depends on what was set before.
        (Some(limit), Some(swap)) => {
            if place.write("memory.limit_in_bytes", limit).is_ok() {
                set_swap(place, swap)?;
            } else {
                set_swap(place, swap)?;
                set_limit(place, limit)?;
            }
        }
        (Some(limit), None) => set_limit(place, limit)?,
        (None, Some(swap)) => set_swap(place, swap)?,
        (None, None) => {}
    }
    if let Some(reservation) = set(memory.reservation) {
        place.write("memory.soft_limit_in_bytes", &reservation)?;
    }
    if let Some(swappiness) = memory.swappiness {
        if swappiness > 100 {
            let text = format!("set swappiness to {swappiness}: it is 0 to 100");
            return Err(Error::new(Kind::Invalid, text));
        }
        place.write("memory.swappiness", &swappiness.to_string())?;
    }
    if let Some(kernel_tcp) = set(memory.kernel_tcp) {
        place.write("memory.kmem.tcp.limit_in_bytes", &kernel_tcp)?;
    }
    if let Some(disabled) = memory.disable_oom_killer {
        place.write("memory.oom_control", if disabled { "1" } else { "0" })?;
    }
    Ok(())
}

/// The kernel frees what it can, and says that the rest is in use.
fn set_limit(place: &Place, limit: &str) -> Result<()> {
    place.write("memory.limit_in_bytes", limit).map_err(|error| {
        let is_used = error.errno() == Some(rustix::io::Errno::BUSY.raw_os_error());
        let use_of = |file: &str| place.number(file).unwrap_or(0);
        let (now, peak) = (use_of("memory.usage_in_bytes"), use_of("memory.max_usage_in_bytes"));
        if is_used {
            let text = format!("limit memory to {limit} bytes: {now} are in use, {peak} have been");
            Error::new(Kind::Conflict, text).because(error)
        } else {
            error
        }
    })
}

/// Where the caller asked for it, a limit below what is used is refused instead of enforced.
pub(crate) fn refuse_below_use(memory: &Memory, used: impl FnOnce() -> Option<u64>) -> Result<()> {
    if let (Some(true), Some(limit)) = (memory.check_before_update, memory.limit)
        && limit >= 0
        && let Some(used) = used()
        && limit.unsigned_abs() < used
    {
        return Err(Error::new(
            Kind::Conflict,
            format!("limit memory to {limit} bytes: {used} bytes are in use"),
        ));
    }
    Ok(())
}

fn set_swap(place: &Place, swap: &str) -> Result<()> {
    // A kernel that does not account swap need not be told that there is no limit.
    if place.write_if_there("memory.memsw.limit_in_bytes", swap)? || swap == "-1" {
        Ok(())
    } else {
        Err(Error::new(Kind::Unsupported, "limit swap: this kernel does not account swap"))
    }
}

fn set_cpu<'p>(cpu: &Cpu, find: &impl Fn(&str, &str) -> Result<&'p Place>) -> Result<()> {
    let number = |file: &str, value: Option<String>| match value {
        Some(value) => find("cpu", "processors")?.write(file, &value),
        None => Ok(()),
    };
    if let Some(shares) = cpu.shares.filter(|shares| *shares != 0) {
        set_shares(find("cpu", "processors")?, shares)?;
    }
    let period = cpu.period.filter(|period| *period != 0).map(|period| period.to_string());
    let quota = cpu.quota.filter(|quota| *quota != 0).map(|quota| quota.to_string());
    // A burst is never above its quota, on the way neither: before a smaller quota, after a larger.
    let burst = cpu.burst.map(|burst| burst.to_string());
    let burst_waits = quota.is_some() && number("cpu.cfs_burst_us", burst.clone()).is_err();
    // A longer period first when the quota grows, a smaller quota first when the period shrinks.
    if let Err(error) = number("cpu.cfs_period_us", period.clone()) {
        if quota.is_none() {
            return Err(error);
        }
        number("cpu.cfs_quota_us", quota.clone())?;
        number("cpu.cfs_period_us", period)?;
    }
    let keeps_quota = quota.is_none();
    number("cpu.cfs_quota_us", quota)?;
    if burst_waits || keeps_quota {
        number("cpu.cfs_burst_us", burst)?;
    }
    let given = |number: i64| (number != 0).then(|| number.to_string());
    let period = cpu.realtime_period.filter(|period| *period != 0);
    let period = period.map(|period| period.to_string());
    let runtime = cpu.realtime_runtime.and_then(given);
    // As above: what shrinks first is what the other has to fit into.
    if let Err(error) = number("cpu.rt_period_us", period.clone()) {
        if runtime.is_none() {
            return Err(error);
        }
        number("cpu.rt_runtime_us", runtime.clone())?;
        number("cpu.rt_period_us", period)?;
    }
    number("cpu.rt_runtime_us", runtime)?;
    number("cpu.idle", cpu.idle.map(|idle| idle.to_string()))?;
    for (file, value) in [("cpuset.cpus", &cpu.cpus), ("cpuset.mems", &cpu.mems)] {
        if let Some(value) = value.as_deref().filter(|value| !value.is_empty()) {
            find("cpuset", "which processors")?.write(file, value)?;
        }
    }
    Ok(())
}

/// `MIN_SHARES` to `MAX_SHARES` (kernel/sched/sched.h).
const SHARES: std::ops::RangeInclusive<u64> = 2..=1 << 18;

/// The kernel cuts a number that is out of range, without a word.
fn set_shares(place: &Place, shares: u64) -> Result<()> {
    place.write("cpu.shares", &shares.to_string())?;
    if SHARES.contains(&shares) {
        return Ok(());
    }
    match place.number("cpu.shares") {
        Some(cut) if cut < shares => {
            let text = format!("set cpu.shares to {shares}: the most that there is are {cut}");
            Err(Error::new(Kind::Invalid, text))
        }
        Some(raised) if raised > shares => {
            let text = format!("set cpu.shares to {shares}: the least that there is are {raised}");
            Err(Error::new(Kind::Invalid, text))
        }
        _ => Ok(()),
    }
}

fn set_block_io(place: &Place, block_io: &BlockIo) -> Result<()> {
    if let Some(weight) = block_io.weight.filter(|weight| *weight != 0) {
        let weight = weight.to_string();
        if !place.write_if_there("blkio.weight", &weight)?
            && !place.write_if_there("blkio.bfq.weight", &weight)?
        {
            return Err(missing("the weight of block devices", "blkio.weight"));
        }
    }
    if let Some(weight) = block_io.leaf_weight.filter(|weight| *weight != 0) {
        place.write("blkio.leaf_weight", &weight.to_string())?;
    }
    for device in &block_io.weight_device {
        if let Some(weight) = device.weight {
            let line = format!("{}:{} {weight}", device.major, device.minor);
            if !place.write_if_there("blkio.weight_device", &line)? {
                place.write("blkio.bfq.weight_device", &line)?;
            }
        }
        if let Some(weight) = device.leaf_weight {
            let line = format!("{}:{} {weight}", device.major, device.minor);
            place.write("blkio.leaf_weight_device", &line)?;
        }
    }
    let files: [(&str, &[ThrottleDevice]); 4] = [
        ("blkio.throttle.read_bps_device", &block_io.throttle_read_bps_device),
        ("blkio.throttle.write_bps_device", &block_io.throttle_write_bps_device),
        ("blkio.throttle.read_iops_device", &block_io.throttle_read_iops_device),
        ("blkio.throttle.write_iops_device", &block_io.throttle_write_iops_device),
    ];
    for (file, devices) in files {
        for device in devices {
            place.write(file, &format!("{}:{} {}", device.major, device.minor, device.rate))?;
        }
    }
    Ok(())
}
