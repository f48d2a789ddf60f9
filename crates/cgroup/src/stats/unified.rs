//! The numbers of version 2: one tree, a file a controller.
//!
//! Where version 1 counted otherwise, its way is kept, since readers do not ask which version it is.

use super::{
    BlockIo, BlockIoEntry, Counter, Cpu, HugePages, Memory, Pids, Pressure, Stats, huge_page_sizes,
    number, pairs, pressure, rdma,
};
use crate::place::Place;
use std::collections::BTreeMap;

pub(super) fn measure(place: &Place) -> Stats {
    let read = |file: &str| place.read(file).unwrap_or_default();
    Stats {
        cpu: cpu(&read("cpu.stat"), pressure_of(place, "cpu.pressure")),
        memory: memory(place),
        pids: Pids {
            current: number(place, "pids.current"),
            limit: place.number("pids.max").unwrap_or(0),
        },
        block_io: BlockIo {
            pressure: pressure_of(place, "io.pressure"),
            ..block_io(&read("io.stat"))
        },
        huge_pages: huge_pages(place),
        rdma: rdma(&read("rdma.current"), &read("rdma.max")),
        ..Stats::default()
    }
}

/// Absent where the kernel does not count it, or was told not to.
fn pressure_of(place: &Place, file: &str) -> Option<Pressure> {
    pressure(&place.read(file).ok()?)
}

fn cpu(text: &str, pressure: Option<Pressure>) -> Cpu {
    let pairs = pairs(text);
    let of = |key: &str| pairs.get(key).copied().unwrap_or(0);
    let of_us = |key: &str| of(key).saturating_mul(1000);
    Cpu {
        total_ns: of_us("usage_usec"),
        kernel_ns: of_us("system_usec"),
        user_ns: of_us("user_usec"),
        periods: of("nr_periods"),
        throttled_periods: of("nr_throttled"),
        throttled_ns: of_us("throttled_usec"),
        pressure,
        ..Cpu::default()
    }
}

fn memory(place: &Place) -> Memory {
    let raw = pairs(&place.read("memory.stat").unwrap_or_default());
    let counter = |name: &str| Counter {
        usage: number(place, &format!("{name}.current")),
        peak: number(place, &format!("{name}.peak")),
        limit: number(place, &format!("{name}.max")),
        failures: 0,
    };
    let (usage, swap_only) = (counter("memory"), counter("memory.swap"));
    Memory {
        cache_bytes: raw.get("file").copied().unwrap_or(0),
        usage,
        swap: both(usage, swap_only),
        swap_only,
        raw,
        pressure: pressure_of(place, "memory.pressure"),
        ..Memory::default()
    }
}

/// Version 1 counts memory and swap together.
fn both(memory: Counter, swap: Counter) -> Counter {
    Counter {
        usage: memory.usage.saturating_add(swap.usage),
        limit: memory.limit.saturating_add(swap.limit),
        ..Counter::default()
    }
}

/// `8:0 rbytes=4096 wbytes=0 rios=1 wios=0 dbytes=0 dios=0` lines.
fn block_io(text: &str) -> BlockIo {
    let mut found = BlockIo::default();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let numbers = words.next().and_then(|device| device.split_once(':'));
        let Some((Ok(major), Ok(minor))) =
            numbers.map(|(major, minor)| (major.parse(), minor.parse()))
        else {
            continue;
        };
        for (key, value) in words.filter_map(|pair| pair.split_once('=')) {
            let (table, operation) = match key {
                "rbytes" => (&mut found.service_bytes, "Read"),
                "wbytes" => (&mut found.service_bytes, "Write"),
                "dbytes" => (&mut found.service_bytes, "Discard"),
                "rios" => (&mut found.serviced, "Read"),
                "wios" => (&mut found.serviced, "Write"),
                "dios" => (&mut found.serviced, "Discard"),
                // Schedulers add keys of their own.
                _ => continue,
            };
            let Ok(value) = value.parse() else { continue };
            let operation = operation.to_owned();
            table.push(BlockIoEntry { major, minor, operation, value });
        }
    }
    found
}

fn huge_pages(place: &Place) -> BTreeMap<String, HugePages> {
    let sizes = huge_page_sizes(&place.files(), "current");
    let measured = sizes.into_iter().map(|size| {
        let reserved = format!("hugetlb.{size}.rsvd");
        let usage = match place.number(&format!("{reserved}.current")) {
            Some(usage) => usage,
            None => number(place, &format!("hugetlb.{size}.current")),
        };
        let failures = place.keyed(&format!("hugetlb.{size}.events"), "max").unwrap_or(0);
        (size, HugePages { usage, peak: 0, failures })
    });
    measured.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn microseconds_become_nanoseconds() {
        let text = "usage_usec 30\nuser_usec 20\nsystem_usec 10\nnr_periods 4\nnr_throttled 3\n\
                    throttled_usec 2\n";

        let cpu = cpu(text, None);

        assert_eq!((cpu.total_ns, cpu.user_ns, cpu.kernel_ns), (30_000, 20_000, 10_000));
        assert_eq!((cpu.periods, cpu.throttled_periods, cpu.throttled_ns), (4, 3, 2_000));
    }

    #[test]
    fn block_devices_are_sorted_into_bytes_and_operations() {
        let text = "8:0 rbytes=10 wbytes=5 rios=1 wios=2 dbytes=7 dios=3 cost.usage=9\nodd line\n";

        let found = block_io(text);

        let values = |table: &[BlockIoEntry]| -> Vec<(String, u64)> {
            table.iter().map(|entry| (entry.operation.clone(), entry.value)).collect()
        };
        let expected = |a, b, c| {
            [("Read", a), ("Write", b), ("Discard", c)]
                .map(|(name, value)| (name.to_owned(), value))
        };
        assert_eq!(values(&found.service_bytes), expected(10, 5, 7));
        assert_eq!(values(&found.serviced), expected(1, 2, 3));
    }

    #[test]
    fn swap_is_reported_with_memory() {
        let memory = Counter { usage: 10, limit: 100, ..Counter::default() };
        let swap = Counter { usage: 5, limit: u64::MAX, ..Counter::default() };

        assert_eq!(both(memory, swap).usage, 15);
        assert_eq!(both(memory, swap).limit, u64::MAX);
    }
}
