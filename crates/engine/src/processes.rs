//! The processes of a container, and what they use: read from its cgroup at one moment.

use crate::Engine;
use dhow_base::{Error, Kind, Result, clock::Moment, file, id::ContainerId};
use dhow_cgroup::{Cgroup, Stats};
use dhow_state::containers::{Container, Phase};
use std::{os::unix::fs::MetadataExt, path::Path, time::Instant};

/// The longest list of network devices that is read.
const LIMIT_BYTES: u64 = 1 << 20;

/// What a container has used up to a moment, and uses then.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Its id.
    pub id: ContainerId,
    /// Its name.
    pub name: String,
    /// When it was taken.
    pub at: Instant,
    /// When the container started.
    pub started: Option<Moment>,
    /// Processor time in nanoseconds.
    pub cpu_ns: u64,
    /// That of it in the kernel.
    pub cpu_kernel_ns: u64,
    /// Bytes of memory, without the page cache that nobody would miss.
    pub memory_bytes: u64,
    /// The limit; all memory of the machine where there is none.
    pub memory_limit_bytes: u64,
    /// Processes and threads.
    pub pids: u64,
    /// The limit; 0 where there is none.
    pub pids_limit: u64,
    /// Bytes read from block devices.
    pub read_bytes: u64,
    /// Bytes written to them.
    pub written_bytes: u64,
    /// Bytes received by its network devices but the loopback.
    pub received_bytes: u64,
    /// Bytes sent by them.
    pub sent_bytes: u64,
}

impl Engine {
    /// The numbers of a running container's processes, in the host's count.
    pub fn processes(&mut self, container: &str) -> Result<Vec<i32>> {
        let row = self.look_up(container)?;
        let mut pids = match self.find_group(&row)? {
            Some(group) => {
                let pids = group.processes()?.into_iter();
                pids.map(|pid| pid.as_raw_nonzero().get()).collect()
            }
            None => in_namespace_of(row.process.map_or(0, |process| process.pid)),
        };
        pids.sort_unstable();
        Ok(pids)
    }

    /// What a running container uses now.
    pub fn sample(&mut self, container: &str) -> Result<Sample> {
        let row = self.look_up(container)?;
        let stats = self.group(&row)?.stats()?;
        let pid = row.process.map_or(0, |process| process.pid);
        Ok(sample(row, &stats, network(pid), Instant::now()))
    }

    fn group(&self, row: &Container) -> Result<Cgroup> {
        self.find_group(row)?.ok_or_else(|| {
            let what = format!("measure container {}: it has no cgroup", row.name);
            Error::new(Kind::Unsupported, what)
                .hint("users who are not root have one where it was delegated to them")
        })
    }

    /// The cgroup of a container that runs; an ordinary user's may have none.
    fn find_group(&self, row: &Container) -> Result<Option<Cgroup>> {
        let not_running = || {
            Error::new(Kind::Conflict, format!("container {} is not running", row.name))
                .hint("`dhow start` starts it")
        };
        if row.phase != Phase::Running {
            return Err(not_running());
        }
        let group = dhow_monitor::cgroup(&self.layout.config(&row.id), &row.id)?;
        if group.is_none() && self.is_of_root {
            return Err(not_running());
        }
        Ok(group)
    }
}

/// The processes in the PID namespace of one that has a namespace of its own; itself where it has not.
fn in_namespace_of(pid: i32) -> Vec<i32> {
    let number = |pid: i32| Some(std::fs::metadata(format!("/proc/{pid}/ns/pid")).ok()?.ino());
    let Some(own) = number(pid) else { return Vec::new() };
    if number(rustix::process::getpid().as_raw_pid()) == Some(own) {
        return vec![pid];
    }
    let all = dhow_sys::process::all().into_iter().flatten().map(rustix::process::Pid::as_raw_pid);
    all.filter(|&pid| number(pid) == Some(own)).collect()
}

fn sample(row: Container, stats: &Stats, (received, sent): (u64, u64), at: Instant) -> Sample {
    let memory = &stats.memory;
    // As docker has it: what the kernel takes back first when memory is short does not count.
    let idle = memory.raw.get("total_inactive_file").or_else(|| memory.raw.get("inactive_file"));
    let block = |operation: &str| {
        let such = stats.block_io.service_bytes.iter();
        such.filter(|entry| entry.operation.eq_ignore_ascii_case(operation))
            .map(|entry| entry.value)
            .sum()
    };
    Sample {
        id: row.id,
        name: row.name,
        at,
        started: row.started,
        cpu_ns: stats.cpu.total_ns,
        cpu_kernel_ns: stats.cpu.kernel_ns,
        memory_bytes: memory.usage.usage.saturating_sub(idle.copied().unwrap_or(0)),
        memory_limit_bytes: memory.usage.limit.min(machine_memory()),
        pids: stats.pids.current,
        pids_limit: stats.pids.limit,
        read_bytes: block("read"),
        written_bytes: block("write"),
        received_bytes: received,
        sent_bytes: sent,
    }
}

/// All memory of the machine.
fn machine_memory() -> u64 {
    let info = rustix::system::sysinfo();
    info.totalram.saturating_mul(info.mem_unit.into())
}

/// Bytes received and sent in the network namespace of a process.
fn network(pid: i32) -> (u64, u64) {
    let path = format!("/proc/{pid}/net/dev");
    // Who has just ended has no network any more.
    let bytes = file::read_limited(Path::new(&path), LIMIT_BYTES).unwrap_or_default();
    devices(&String::from_utf8_lossy(&bytes))
}

fn devices(text: &str) -> (u64, u64) {
    let mut sums = (0_u64, 0_u64);
    for line in text.lines() {
        let Some((name, counts)) = line.split_once(':') else { continue };
        if name.trim() == "lo" {
            continue;
        }
        let mut counts = counts.split_ascii_whitespace();
        let mut at = |place: usize| {
            counts.nth(place).and_then(|count| count.parse::<u64>().ok()).unwrap_or(0)
        };
        sums.0 = sums.0.saturating_add(at(0));
        sums.1 = sums.1.saturating_add(at(7));
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_does_not_count() {
        let text = "Inter-|   Receive                                                |  Transmit\n \
             face |bytes    packets errs drop fifo frame compressed multicast|bytes packets\n    \
             lo: 5 1 0 0 0 0 0 0 5 1 0 0 0 0 0 0\n  eth0: 100 1 0 0 0 0 0 0 20 1 0 0 0 0 0 0\n  \
             eth1:1 1 0 0 0 0 0 0 2 1 0 0 0 0 0 0\n";

        assert_eq!(devices(text), (101, 22));
        assert_eq!(devices(""), (0, 0));
    }
}
