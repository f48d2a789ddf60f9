//! `events`: what a container uses, again and again, and when its memory runs out.
//!
//! Each event is a line of JSON, in the form that engines read from runc (`types/events.go`):
//! numbers that are zero are mostly left out.

use super::{
    Call, Command, Touches,
    grammar::{Flag, Stop, bad, misused, switch, value},
};
use crate::exit::{FAILURE, SUCCESS};
use dhow_base::{Doing, Error, Kind, Result};
use dhow_cgroup::{
    Cgroup, OomWatch, Stats,
    stats::{BlockIoEntry, Counter, Pressure, Waiting},
};
use dhow_spec::runtime::Status;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};
use serde_json::{Map, Value, json};
use std::{
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

pub(super) const COMMAND: Command = Command {
    name: "events",
    about: "Print what a container uses, and when its memory runs out, as JSON",
    arguments: "ID",
    count: 1..=1,
    flags: &[&FLAGS],
    stop: Stop::Nowhere,
    failure: FAILURE,
    touches: Touches::Nothing,
    act,
};

const FLAGS: [Flag; 2] = [
    value("interval", "", "DURATION", "Print statistics so often, such as 1m30s; 5s where missing"),
    switch("stats", "", "Print statistics once, and end"),
];

fn act(call: &Call<'_>) -> Result<u8> {
    let id = call.words.id()?;
    let interval = match call.words.filled("interval") {
        Some(text) => duration(text).ok_or_else(|| bad("interval", text, "not a duration"))?,
        None => Duration::from_secs(5),
    };
    if interval.is_zero() {
        return Err(misused("duration interval must be greater than 0"));
    }
    let (_, state) = call.shelf.state(id)?;
    if matches!(state.status, Status::Creating | Status::Stopped) {
        let text = format!("container with id {id} is not running");
        return Err(Error::new(Kind::Conflict, text));
    }
    let process = call.shelf.watch(id)?;
    let source = Source { call, id, cgroup: call.shelf.measure(id)?, process };
    if call.words.is_on("stats") {
        source.print_stats()?
    } else {
        source.stay(interval)?
    }
    Ok(SUCCESS)
}

/// A container that is watched.
struct Source<'a> {
    call: &'a Call<'a>,
    id: &'a str,
    cgroup: Cgroup,
    process: OwnedFd,
}

impl Source<'_> {
    fn print_stats(&self) -> Result<()> {
        let data = document(&self.cgroup.stats()?);
        self.print(&json!({"type": "stats", "id": self.id, "data": data}))
    }

    fn print(&self, event: &Value) -> Result<()> {
        self.call.console.print(format!("{event}\n"))
    }

    /// Until the container ends.
    fn stay(&self, interval: Duration) -> Result<()> {
        let mut memory = self.watch_memory();
        let mut next = Instant::now() + interval;
        loop {
            let left = next.saturating_duration_since(Instant::now());
            let (has_ended, has_news) = self.wait(memory.as_ref(), left)?;
            if has_news && let Some(watch) = &mut memory {
                let news = watch.take()?;
                for _ in 0..news.events {
                    self.print(&json!({"type": "oom", "id": self.id}))?;
                }
                if news.is_over {
                    return Ok(());
                }
            }
            if has_ended {
                return Ok(());
            }
            if Instant::now() >= next {
                self.print_stats()?;
                next += interval;
            }
        }
    }

    /// Where memory is not counted it cannot be told when it runs out; the rest can.
    fn watch_memory(&self) -> Option<OomWatch> {
        let watch = self.cgroup.watch_oom();
        watch.map_err(|error| self.call.log.warning(&error.one_line())).ok()
    }

    /// Whether the container has ended, and whether there is news of its memory.
    fn wait(&self, memory: Option<&OomWatch>, left: Duration) -> Result<(bool, bool)> {
        let mut polled = vec![PollFd::new(&self.process, PollFlags::IN)];
        polled.extend(memory.map(|watch| PollFd::new(watch, PollFlags::IN)));
        let timeout = Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: left.subsec_nanos().into(),
        };
        match poll(&mut polled, Some(&timeout)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno).doing(|| format!("watch container {}", self.id)),
        }
        let said = |at: usize| polled.get(at).is_some_and(|fd| !fd.revents().is_empty());
        Ok((said(0), said(1)))
    }
}

/// Go's words for a time: `300ms`, `1.5h`, `1m30s`.
fn duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    let mut whole = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(digits);
        let letters = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        let seconds = match unit {
            "ns" => 1e-9,
            "us" | "µs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        let piece = Duration::try_from_secs_f64(number.parse::<f64>().ok()? * seconds).ok()?;
        whole = whole.checked_add(piece)?;
        rest = after;
    }
    (!text.is_empty()).then_some(whole)
}

/// A JSON object that leaves out what says nothing.
struct Object(Map<String, Value>);

impl Object {
    fn new() -> Self {
        Self(Map::new())
    }

    fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.insert(name.to_owned(), value.into());
        self
    }

    /// As [`Object::with`], unless the value is zero or empty.
    fn filled(self, name: &str, value: impl Into<Value>) -> Self {
        let value = value.into();
        let is_empty = match &value {
            Value::Null => true,
            Value::Number(number) => number.as_u64() == Some(0),
            Value::Array(list) => list.is_empty(),
            Value::Object(map) => map.is_empty(),
            Value::String(text) => text.is_empty(),
            Value::Bool(_) => false,
        };
        if is_empty { self } else { self.with(name, value) }
    }
}

impl From<Object> for Value {
    fn from(object: Object) -> Self {
        Self::Object(object.0)
    }
}

fn document(stats: &Stats) -> Value {
    let huge = stats.huge_pages.iter().map(|(size, pages)| {
        let page = Object::new()
            .filled("usage", pages.usage)
            .filled("max", pages.peak)
            .with("failcnt", pages.failures);
        (size.clone(), page.into())
    });
    let huge: Map<String, Value> = huge.collect();
    Object::new()
        .with("cpu", cpu(stats))
        .with("cpuset", cpuset(stats))
        .with("memory", memory(stats))
        .with(
            "pids",
            Object::new().filled("current", stats.pids.current).filled("limit", stats.pids.limit),
        )
        .with("blkio", block_io(stats))
        .with("hugetlb", huge)
        .with("intel_rdt", Object::new())
        .with("network_interfaces", Value::Null)
        .into()
}

fn cpu(stats: &Stats) -> Object {
    let cpu = &stats.cpu;
    let usage = Object::new()
        .filled("total", cpu.total_ns)
        .filled("percpu", cpu.per_cpu_ns.clone())
        .filled("percpu_kernel", cpu.per_cpu_kernel_ns.clone())
        .filled("percpu_user", cpu.per_cpu_user_ns.clone())
        .with("kernel", cpu.kernel_ns)
        .with("user", cpu.user_ns);
    let throttling = Object::new()
        .filled("periods", cpu.periods)
        .filled("throttledPeriods", cpu.throttled_periods)
        .filled("throttledTime", cpu.throttled_ns);
    Object::new()
        .with("usage", usage)
        .with("throttling", throttling)
        .filled("psi", pressure(cpu.pressure))
}

fn cpuset(stats: &Stats) -> Object {
    let set = &stats.cpuset;
    Object::new()
        .filled("cpus", set.cpus.clone())
        .with("cpu_exclusive", set.cpu_exclusive)
        .filled("mems", set.mems.clone())
        .with("mem_hardwall", set.mem_hardwall)
        .with("mem_exclusive", set.mem_exclusive)
        .with("memory_migrate", set.memory_migrate)
        .with("memory_spread_page", set.memory_spread_page)
        .with("memory_spread_slab", set.memory_spread_slab)
        .with("memory_pressure", set.memory_pressure)
        .with("sched_load_balance", set.sched_load_balance)
        .with("sched_relax_domain_level", set.sched_relax_domain_level)
}

fn memory(stats: &Stats) -> Object {
    let memory = &stats.memory;
    let raw: Map<String, Value> =
        memory.raw.iter().map(|(name, value)| (name.clone(), (*value).into())).collect();
    Object::new()
        .filled("cache", memory.cache_bytes)
        .with("usage", counter(memory.usage))
        .with("swap", counter(memory.swap))
        .with("kernel", counter(memory.kernel))
        .with("kernelTCP", counter(memory.kernel_tcp))
        .filled("raw", raw)
        .filled("psi", pressure(memory.pressure))
}

fn counter(counter: Counter) -> Object {
    Object::new()
        .with("limit", counter.limit)
        .filled("usage", counter.usage)
        .filled("max", counter.peak)
        .with("failcnt", counter.failures)
}

fn block_io(stats: &Stats) -> Object {
    let io = &stats.block_io;
    Object::new()
        .filled("ioServiceBytesRecursive", entries(&io.service_bytes))
        .filled("ioServicedRecursive", entries(&io.serviced))
        .filled("ioQueueRecursive", entries(&io.queued))
        .filled("ioServiceTimeRecursive", entries(&io.service_time))
        .filled("ioWaitTimeRecursive", entries(&io.wait_time))
        .filled("ioMergedRecursive", entries(&io.merged))
        .filled("ioTimeRecursive", entries(&io.time))
        .filled("sectorsRecursive", entries(&io.sectors))
        .filled("psi", pressure(io.pressure))
}

fn entries(entries: &[BlockIoEntry]) -> Vec<Value> {
    let entry = |one: &BlockIoEntry| {
        Object::new()
            .filled("major", one.major)
            .filled("minor", one.minor)
            .filled("op", one.operation.clone())
            .filled("value", one.value)
            .into()
    };
    entries.iter().map(entry).collect()
}

fn pressure(pressure: Option<Pressure>) -> Value {
    let line = |waiting: Waiting| {
        json!({
            "avg10": waiting.average_10,
            "avg60": waiting.average_60,
            "avg300": waiting.average_300,
            "total": waiting.total_us,
        })
    };
    match pressure {
        Some(Pressure { some, full }) => json!({"some": line(some), "full": line(full)}),
        None => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_as_go_reads_them() {
        for (text, seconds) in [
            ("5s", Some(5.0)),
            ("1m30s", Some(90.0)),
            ("1.5h", Some(5400.0)),
            ("300ms", Some(0.3)),
            ("0", Some(0.0)),
            ("", None),
            ("5", None),
            ("-1s", None),
            ("s", None),
            ("5x", None),
        ] {
            let read = duration(text).map(|time| time.as_secs_f64());
            assert_eq!(read, seconds, "{text:?}");
        }
    }

    #[test]
    fn what_is_zero_is_left_out_where_runc_leaves_it_out() {
        let mut stats = Stats::default();
        stats.cpu.total_ns = 7;
        stats.pids.current = 3;
        stats.memory.raw.insert("rss".to_owned(), 0);

        let document = document(&stats);

        assert_eq!(
            document["cpu"],
            json!({"usage": {"total": 7, "kernel": 0, "user": 0}, "throttling": {}})
        );
        assert_eq!(document["pids"], json!({"current": 3}));
        assert_eq!(document["memory"]["usage"], json!({"limit": 0, "failcnt": 0}));
        assert_eq!(document["memory"]["raw"], json!({"rss": 0}));
        assert_eq!((&document["blkio"], &document["hugetlb"]), (&json!({}), &json!({})));
        assert_eq!(document["network_interfaces"], Value::Null);
    }
}
