//! The numbers of version 1: a hierarchy a controller.

use super::{
    BlockIo, BlockIoEntry, Counter, Cpu, Cpuset, HugePages, Memory, Pids, Stats, huge_page_sizes,
    number, pairs, rdma,
};
use crate::place::Place;
use std::collections::BTreeMap;

/// What the kernel's clock ticks are worth; it has counted 100 a second for programs since ever.
const TICK_NS: u64 = 10_000_000;

pub(super) fn measure(places: &[Place]) -> Stats {
    let find = |controller: &str| places.iter().find(|place| place.has(controller));
    let mut stats = Stats::default();
    if let Some(place) = find("cpuacct") {
        stats.cpu = processor_time(place);
    }
    if let Some(text) = find("cpu").and_then(|place| place.read("cpu.stat").ok()) {
        let of = |key: &str| pairs(&text).get(key).copied().unwrap_or(0);
        stats.cpu.periods = of("nr_periods");
        stats.cpu.throttled_periods = of("nr_throttled");
        stats.cpu.throttled_ns = of("throttled_time");
    }
    if let Some(place) = find("cpuset") {
        stats.cpuset = cpuset(place);
    }
    if let Some(place) = find("memory") {
        stats.memory = memory(place);
    }
    if let Some(place) = find("pids") {
        // `max` is 0 here, as everybody reports it.
        let limit = place.number("pids.max").unwrap_or(0);
        stats.pids = Pids { current: number(place, "pids.current"), limit };
    }
    if let Some(place) = find("blkio") {
        stats.block_io = block_io(place);
    }
    if let Some(place) = find("hugetlb") {
        stats.huge_pages = huge_pages(place);
    }
    if let Some(place) = find("rdma") {
        let read = |file: &str| place.read(file).unwrap_or_default();
        stats.rdma = rdma(&read("rdma.current"), &read("rdma.max"));
    }
    stats
}

fn processor_time(place: &Place) -> Cpu {
    let read = |file: &str| place.read(file).unwrap_or_default();
    let ticks = pairs(&read("cpuacct.stat"));
    let of = |key: &str| ticks.get(key).copied().unwrap_or(0).saturating_mul(TICK_NS);
    let (per_cpu_user_ns, per_cpu_kernel_ns) = by_processor(&read("cpuacct.usage_all"));
    let per_cpu = read("cpuacct.usage_percpu");
    Cpu {
        total_ns: number(place, "cpuacct.usage"),
        kernel_ns: of("system"),
        user_ns: of("user"),
        per_cpu_ns: per_cpu.split_whitespace().filter_map(|word| word.parse().ok()).collect(),
        per_cpu_kernel_ns,
        per_cpu_user_ns,
        ..Cpu::default()
    }
}

/// `cpu user system` and then a line a processor.
fn by_processor(text: &str) -> (Vec<u64>, Vec<u64>) {
    let pair = |line: &str| {
        let mut words = line.split_whitespace().skip(1);
        Some((words.next()?.parse::<u64>().ok()?, words.next()?.parse::<u64>().ok()?))
    };
    text.lines().skip(1).filter_map(pair).unzip()
}

fn cpuset(place: &Place) -> Cpuset {
    let list = |file: &str| ranges(place.read(file).unwrap_or_default().trim());
    let level = place.read("cpuset.sched_relax_domain_level").ok();
    Cpuset {
        cpus: list("cpuset.cpus"),
        mems: list("cpuset.mems"),
        cpu_exclusive: number(place, "cpuset.cpu_exclusive"),
        mem_hardwall: number(place, "cpuset.mem_hardwall"),
        mem_exclusive: number(place, "cpuset.mem_exclusive"),
        memory_migrate: number(place, "cpuset.memory_migrate"),
        memory_spread_page: number(place, "cpuset.memory_spread_page"),
        memory_spread_slab: number(place, "cpuset.memory_spread_slab"),
        memory_pressure: number(place, "cpuset.memory_pressure"),
        sched_load_balance: number(place, "cpuset.sched_load_balance"),
        sched_relax_domain_level: level.and_then(|text| text.trim().parse().ok()).unwrap_or(0),
    }
}

/// `0-2,7`.
fn ranges(text: &str) -> Vec<u16> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.parse::<u16>().ok()?..=last.parse::<u16>().ok()?)
    };
    text.split(',').filter_map(range).flatten().collect()
}

fn memory(place: &Place) -> Memory {
    let raw = pairs(&place.read("memory.stat").unwrap_or_default());
    let counter = |name: &str| Counter {
        usage: number(place, &format!("{name}.usage_in_bytes")),
        peak: number(place, &format!("{name}.max_usage_in_bytes")),
        limit: number(place, &format!("{name}.limit_in_bytes")),
        failures: number(place, &format!("{name}.failcnt")),
    };
    Memory {
        cache_bytes: raw.get("cache").copied().unwrap_or(0),
        usage: counter("memory"),
        swap: counter("memory.memsw"),
        kernel: counter("memory.kmem"),
        kernel_tcp: counter("memory.kmem.tcp"),
        raw,
        ..Memory::default()
    }
}

/// A table of [`BlockIo`].
type Slot = fn(&mut BlockIo) -> &mut Vec<BlockIoEntry>;

/// The tables that the schedulers keep, without the front of the files' names.
const TABLES: [(&str, Slot); 8] = [
    ("io_service_bytes_recursive", |tables| &mut tables.service_bytes),
    ("io_serviced_recursive", |tables| &mut tables.serviced),
    ("sectors_recursive", |tables| &mut tables.sectors),
    ("io_service_time_recursive", |tables| &mut tables.service_time),
    ("io_wait_time_recursive", |tables| &mut tables.wait_time),
    ("io_merged_recursive", |tables| &mut tables.merged),
    ("io_queued_recursive", |tables| &mut tables.queued),
    ("time_recursive", |tables| &mut tables.time),
];

/// The first source that has counted anything: the BFQ scheduler, the old CFQ, then the throttling
/// layer, which sees what the schedulers do not.
fn block_io(place: &Place) -> BlockIo {
    let table = |file: &str| entries(&place.read(file).unwrap_or_default());
    for front in ["blkio.bfq.", "blkio."] {
        let mut found = BlockIo::default();
        for (file, slot) in TABLES {
            *slot(&mut found) = table(&format!("{front}{file}"));
        }
        if !found.service_bytes.is_empty() {
            return found;
        }
    }
    for end in ["_recursive", ""] {
        let found = BlockIo {
            service_bytes: table(&format!("blkio.throttle.io_service_bytes{end}")),
            serviced: table(&format!("blkio.throttle.io_serviced{end}")),
            ..BlockIo::default()
        };
        if !found.service_bytes.is_empty() {
            return found;
        }
    }
    BlockIo::default()
}

/// `8:0 Read 4096`, `8:0 4096`; the sum over all devices at the end is left out.
fn entries(text: &str) -> Vec<BlockIoEntry> {
    let entry = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (device, operation, value) = match words[..] {
            [device, operation, value] => (device, operation, value),
            [device, value] => (device, "", value),
            _ => return None,
        };
        let (major, minor) = device.split_once(':')?;
        Some(BlockIoEntry {
            major: major.parse().ok()?,
            minor: minor.parse().ok()?,
            operation: operation.to_owned(),
            value: value.parse().ok()?,
        })
    };
    text.lines().filter_map(entry).collect()
}

/// Reservations where the kernel counts them apart, what is used elsewhere.
fn huge_pages(place: &Place) -> BTreeMap<String, HugePages> {
    let sizes = huge_page_sizes(&place.files(), "usage_in_bytes");
    let measured = sizes.into_iter().map(|size| {
        let reserved = format!("hugetlb.{size}.rsvd");
        let front = match place.read(&format!("{reserved}.usage_in_bytes")) {
            Ok(_) => reserved,
            Err(_) => format!("hugetlb.{size}"),
        };
        let of = |file: &str| number(place, &format!("{front}.{file}"));
        let pages = HugePages {
            usage: of("usage_in_bytes"),
            peak: of("max_usage_in_bytes"),
            failures: of("failcnt"),
        };
        (size, pages)
    });
    measured.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_of_block_devices_are_read() {
        let text = "8:0 Read 4096\n8:0 Write 0\n8:16 77\nTotal 4096\nnonsense\n8 Read 1\n";

        let entries = entries(text);

        assert_eq!(entries.len(), 3);
        assert_eq!((entries[0].operation.as_str(), entries[0].value), ("Read", 4096));
        assert_eq!((entries[2].major, entries[2].minor, entries[2].value), (8, 16, 77));
        assert_eq!(entries[2].operation, "");
    }

    #[test]
    fn processors_are_read_by_line_and_by_range() {
        let text = "cpu user system\n0 10 1\n1 20 2\n";

        assert_eq!(by_processor(text), (vec![10, 20], vec![1, 2]));
        assert_eq!(ranges("0-2,7"), [0, 1, 2, 7]);
        assert_eq!(ranges(""), Vec::<u16>::new());
    }
}
