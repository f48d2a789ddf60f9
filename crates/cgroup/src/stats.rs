//! What a cgroup uses.

use crate::place::Place;

/// Numbers at one moment. What the machine cannot tell is absent.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Stats {
    /// Processor time of all kinds, in nanoseconds.
    pub cpu_total_ns: Option<u64>,
    /// In user mode.
    pub cpu_user_ns: Option<u64>,
    /// In the kernel.
    pub cpu_system_ns: Option<u64>,
    /// Periods in which the quota held it back.
    pub cpu_throttled_periods: Option<u64>,
    /// Memory in use, in bytes.
    pub memory_bytes: Option<u64>,
    /// The most it ever used.
    pub memory_peak_bytes: Option<u64>,
    /// The limit; absent where there is none.
    pub memory_limit_bytes: Option<u64>,
    /// Page cache that could be dropped; docker shows `memory_bytes` less this.
    pub memory_inactive_file_bytes: Option<u64>,
    /// Processes and threads.
    pub pids: Option<u64>,
    /// Their limit; absent where there is none.
    pub pids_limit: Option<u64>,
    /// Bytes read from block devices.
    pub io_read_bytes: Option<u64>,
    /// Bytes written to them.
    pub io_write_bytes: Option<u64>,
}

impl Stats {
    pub(crate) fn legacy(places: &[Place]) -> Self {
        let find = |controller: &str| places.iter().find(|place| place.has(controller));
        let (cpu, cpuacct, memory) = (find("cpu"), find("cpuacct"), find("memory"));
        let (pids, blkio) = (find("pids"), find("blkio"));
        let number = |place: Option<&Place>, file: &str| place.and_then(|place| place.number(file));
        let keyed = |place: Option<&Place>, file: &str, key: &str| {
            place.and_then(|place| place.keyed(file, key))
        };
        let io =
            blkio.and_then(|place| place.read("blkio.throttle.io_service_bytes_recursive").ok());
        let io_of = |word: &str| io.as_deref().map(|text| sum_of_lines(text, word));
        Self {
            cpu_total_ns: number(cpuacct, "cpuacct.usage"),
            cpu_user_ns: number(cpuacct, "cpuacct.usage_user"),
            cpu_system_ns: number(cpuacct, "cpuacct.usage_sys"),
            cpu_throttled_periods: keyed(cpu, "cpu.stat", "nr_throttled"),
            memory_bytes: number(memory, "memory.usage_in_bytes"),
            memory_peak_bytes: number(memory, "memory.max_usage_in_bytes"),
            memory_limit_bytes: number(memory, "memory.limit_in_bytes"),
            memory_inactive_file_bytes: keyed(memory, "memory.stat", "total_inactive_file"),
            pids: number(pids, "pids.current"),
            pids_limit: number(pids, "pids.max"),
            io_read_bytes: io_of("Read"),
            io_write_bytes: io_of("Write"),
        }
    }

    pub(crate) fn unified(place: &Place) -> Self {
        let microseconds =
            |key: &str| place.keyed("cpu.stat", key).map(|value| value.saturating_mul(1000));
        let io = place.read("io.stat").ok();
        let io_of = |key: &str| io.as_deref().map(|text| sum_of_keys(text, key));
        Self {
            cpu_total_ns: microseconds("usage_usec"),
            cpu_user_ns: microseconds("user_usec"),
            cpu_system_ns: microseconds("system_usec"),
            cpu_throttled_periods: place.keyed("cpu.stat", "nr_throttled"),
            memory_bytes: place.number("memory.current"),
            memory_peak_bytes: place.number("memory.peak"),
            memory_limit_bytes: place.number("memory.max"),
            memory_inactive_file_bytes: place.keyed("memory.stat", "inactive_file"),
            pids: place.number("pids.current"),
            pids_limit: place.number("pids.max"),
            io_read_bytes: io_of("rbytes="),
            io_write_bytes: io_of("wbytes="),
        }
    }
}

/// Version 1: `8:0 Read 4096` lines.
fn sum_of_lines(text: &str, word: &str) -> u64 {
    text.lines()
        .filter_map(|line| {
            let mut fields = line.split_whitespace().skip(1);
            (fields.next() == Some(word)).then(|| fields.next()?.parse::<u64>().ok()).flatten()
        })
        .sum()
}

/// Version 2: `8:0 rbytes=4096 wbytes=0 …` lines.
fn sum_of_keys(text: &str, key: &str) -> u64 {
    text.split_whitespace().filter_map(|word| word.strip_prefix(key)?.parse::<u64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn io_is_summed_over_devices() {
        let legacy = "8:0 Read 10\n8:0 Write 5\n8:16 Read 1\nTotal 16\n";
        let unified = "8:0 rbytes=10 wbytes=5 rios=1\n8:16 rbytes=1 wbytes=0\n";

        assert_eq!((sum_of_lines(legacy, "Read"), sum_of_lines(legacy, "Write")), (11, 5));
        assert_eq!((sum_of_keys(unified, "rbytes="), sum_of_keys(unified, "wbytes=")), (11, 5));
    }
}
