//! What a cgroup uses, at one moment.
//!
//! The fields are those that runtimes have always reported, whichever version of cgroups counts
//! them. A number that this machine does not count is 0, a list of such numbers empty; what a newer
//! kernel counts ([`Pressure`]) is absent on an older one. A limit that is none is as large as the
//! kernel says: `u64::MAX` in version 2, a little less in version 1.

mod legacy;
mod unified;

use crate::place::Place;
use std::collections::BTreeMap;

/// Numbers of every controller.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stats {
    /// Processor time.
    pub cpu: Cpu,
    /// Which processors and memory nodes (version 1).
    pub cpuset: Cpuset,
    /// Memory.
    pub memory: Memory,
    /// Processes and threads.
    pub pids: Pids,
    /// Block devices.
    pub block_io: BlockIo,
    /// Huge pages, by their size as the kernel writes it (`2MB`).
    pub huge_pages: BTreeMap<String, HugePages>,
    /// RDMA, by device.
    pub rdma: BTreeMap<String, Rdma>,
}

/// How long somebody waited for something, as shares of the time in percent.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Pressure {
    /// Some task waited.
    pub some: Waiting,
    /// All tasks waited.
    pub full: Waiting,
}

/// One line of a pressure file.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Waiting {
    /// Over the last 10 seconds.
    pub average_10: f64,
    /// Over the last minute.
    pub average_60: f64,
    /// Over the last 5 minutes.
    pub average_300: f64,
    /// In all, in microseconds.
    pub total_us: u64,
}

/// Processor time, in nanoseconds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cpu {
    /// All kinds.
    pub total_ns: u64,
    /// In the kernel.
    pub kernel_ns: u64,
    /// In programs.
    pub user_ns: u64,
    /// By processor (version 1).
    pub per_cpu_ns: Vec<u64>,
    /// In the kernel, by processor (version 1).
    pub per_cpu_kernel_ns: Vec<u64>,
    /// In programs, by processor (version 1).
    pub per_cpu_user_ns: Vec<u64>,
    /// Periods that a quota was counted in.
    pub periods: u64,
    /// Periods in which the quota held it back.
    pub throttled_periods: u64,
    /// For how long.
    pub throttled_ns: u64,
    /// Waits for a processor.
    pub pressure: Option<Pressure>,
}

/// The files of version 1's cpuset.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Cpuset {
    /// Processors.
    pub cpus: Vec<u16>,
    /// Memory nodes.
    pub mems: Vec<u16>,
    /// `cpuset.cpu_exclusive`.
    pub cpu_exclusive: u64,
    /// `cpuset.mem_hardwall`.
    pub mem_hardwall: u64,
    /// `cpuset.mem_exclusive`.
    pub mem_exclusive: u64,
    /// `cpuset.memory_migrate`.
    pub memory_migrate: u64,
    /// `cpuset.memory_spread_page`.
    pub memory_spread_page: u64,
    /// `cpuset.memory_spread_slab`.
    pub memory_spread_slab: u64,
    /// `cpuset.memory_pressure`.
    pub memory_pressure: u64,
    /// `cpuset.sched_load_balance`.
    pub sched_load_balance: u64,
    /// `cpuset.sched_relax_domain_level`; -1 is the machine's own.
    pub sched_relax_domain_level: i64,
}

/// Memory, in bytes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Memory {
    /// Page cache.
    pub cache_bytes: u64,
    /// All memory.
    pub usage: Counter,
    /// Memory and swap together, in both versions.
    pub swap: Counter,
    /// Swap alone (version 2).
    pub swap_only: Counter,
    /// The kernel's own (version 1).
    pub kernel: Counter,
    /// Buffers of TCP (version 1).
    pub kernel_tcp: Counter,
    /// `memory.stat` as it is.
    pub raw: BTreeMap<String, u64>,
    /// Waits for memory.
    pub pressure: Option<Pressure>,
}

/// Something that is counted against a limit.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counter {
    /// Now.
    pub usage: u64,
    /// The most that it ever was.
    pub peak: u64,
    /// The limit.
    pub limit: u64,
    /// How often the limit was met (version 1).
    pub failures: u64,
}

/// Processes and threads.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Pids {
    /// Now.
    pub current: u64,
    /// The limit; 0 where there is none.
    pub limit: u64,
}

/// Block devices.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BlockIo {
    /// Bytes.
    pub service_bytes: Vec<BlockIoEntry>,
    /// Operations.
    pub serviced: Vec<BlockIoEntry>,
    /// Operations that wait.
    pub queued: Vec<BlockIoEntry>,
    /// Nanoseconds of work.
    pub service_time: Vec<BlockIoEntry>,
    /// Nanoseconds of waiting.
    pub wait_time: Vec<BlockIoEntry>,
    /// Operations that became part of another.
    pub merged: Vec<BlockIoEntry>,
    /// Milliseconds of a disk's time.
    pub time: Vec<BlockIoEntry>,
    /// Sectors.
    pub sectors: Vec<BlockIoEntry>,
    /// Waits for a device.
    pub pressure: Option<Pressure>,
}

/// One number of a block device.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct BlockIoEntry {
    /// The device's major number.
    pub major: u64,
    /// Its minor number.
    pub minor: u64,
    /// `Read`, `Write`, `Sync`, `Async`, `Discard`, `Total`; empty where operations are one.
    pub operation: String,
    /// The number.
    pub value: u64,
}

/// Huge pages of one size, in bytes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct HugePages {
    /// Now.
    pub usage: u64,
    /// The most that it ever was (version 1).
    pub peak: u64,
    /// How often the limit was met.
    pub failures: u64,
}

/// An RDMA device's handles and objects.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Rdma {
    /// Handles in use.
    pub handles: u64,
    /// Objects in use.
    pub objects: u64,
    /// The limit of handles; `u64::MAX` where there is none.
    pub handles_limit: u64,
    /// The limit of objects; `u64::MAX` where there is none.
    pub objects_limit: u64,
}

impl Stats {
    pub(crate) fn legacy(places: &[Place]) -> Self {
        legacy::measure(places)
    }

    pub(crate) fn unified(place: &Place) -> Self {
        unified::measure(place)
    }
}

/// A number, `max`, or what cannot be read, which is 0.
fn number(place: &Place, file: &str) -> u64 {
    place.read(file).ok().and_then(|text| word(text.trim())).unwrap_or(0)
}

fn word(text: &str) -> Option<u64> {
    if text == "max" { Some(u64::MAX) } else { text.parse().ok() }
}

/// A file of `key value` lines.
fn pairs(text: &str) -> BTreeMap<String, u64> {
    let pair = |line: &str| {
        let (key, value) = line.split_once(' ')?;
        Some((key.to_owned(), value.trim().parse().ok()?))
    };
    text.lines().filter_map(pair).collect()
}

/// `some avg10=0.00 avg60=0.00 avg300=0.00 total=0`, and the same for `full`.
fn pressure(text: &str) -> Option<Pressure> {
    let mut pressure = Pressure::default();
    for line in text.lines() {
        let (name, rest) = line.split_once(' ')?;
        let waiting = match name {
            "some" => &mut pressure.some,
            "full" => &mut pressure.full,
            _ => continue,
        };
        for (key, value) in rest.split(' ').filter_map(|pair| pair.split_once('=')) {
            match key {
                "avg10" => waiting.average_10 = value.parse().ok()?,
                "avg60" => waiting.average_60 = value.parse().ok()?,
                "avg300" => waiting.average_300 = value.parse().ok()?,
                "total" => waiting.total_us = value.parse().ok()?,
                _ => {}
            }
        }
    }
    Some(pressure)
}

/// The sizes of huge pages that a listing of a cgroup's files tells of: `hugetlb.<size>.<file>`.
fn huge_page_sizes(files: &[String], file: &str) -> Vec<String> {
    let size = |name: &String| {
        let size = name.strip_prefix("hugetlb.")?.strip_suffix(file)?.strip_suffix('.')?;
        (!size.contains('.')).then(|| size.to_owned())
    };
    files.iter().filter_map(size).collect()
}

/// `mlx4_0 hca_handle=2 hca_object=2000` lines of what is used and of the limits.
fn rdma(current: &str, limits: &str) -> BTreeMap<String, Rdma> {
    let mut devices = BTreeMap::<String, Rdma>::new();
    for (text, is_limit) in [(current, false), (limits, true)] {
        for line in text.lines() {
            let mut words = line.split(' ');
            let Some(device) = words.next().filter(|device| !device.is_empty()) else { continue };
            let entry = devices.entry(device.to_owned()).or_default();
            for (key, value) in words.filter_map(|pair| pair.split_once('=')) {
                let value = word(value).unwrap_or(0);
                match (key, is_limit) {
                    ("hca_handle", false) => entry.handles = value,
                    ("hca_object", false) => entry.objects = value,
                    ("hca_handle", true) => entry.handles_limit = value,
                    ("hca_object", true) => entry.objects_limit = value,
                    _ => {}
                }
            }
        }
    }
    devices
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pressure_is_read_line_by_line() {
        let text = "some avg10=1.50 avg60=0.25 avg300=0.00 total=12345\n\
                    full avg10=0.10 avg60=0.00 avg300=0.00 total=99\n";

        let pressure = pressure(text).unwrap();

        assert_eq!((pressure.some.average_10, pressure.some.average_60), (1.5, 0.25));
        assert_eq!((pressure.some.total_us, pressure.full.total_us), (12345, 99));
        assert_eq!(super::pressure("some avg10=x"), None);
    }

    #[test]
    fn pairs_numbers_and_sizes_are_read_and_nonsense_is_left_out() {
        assert_eq!(pairs("a 1\nb x\nc 18446744073709551615\n").len(), 2);
        assert_eq!((word("max"), word("7"), word("-1")), (Some(u64::MAX), Some(7), None));
        let files = ["hugetlb.2MB.current", "hugetlb.2MB.rsvd.current", "hugetlb.1GB.max", "x"];
        let files = files.map(str::to_owned);
        assert_eq!(huge_page_sizes(&files, "current"), ["2MB"]);
    }

    #[test]
    fn rdma_joins_use_and_limits() {
        let devices = rdma(
            "mlx4_0 hca_handle=2 hca_object=20\nocrdma1 hca_handle=1 hca_object=0\n",
            "mlx4_0 hca_handle=3 hca_object=max\n",
        );

        let expected = Rdma { handles: 2, objects: 20, handles_limit: 3, objects_limit: u64::MAX };
        assert_eq!(devices["mlx4_0"], expected);
        assert_eq!(devices["ocrdma1"].handles, 1);
    }
}
