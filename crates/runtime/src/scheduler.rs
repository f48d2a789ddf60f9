//! The scheduling policy of a process, by the names of the specification.

use dhow_base::{Doing, Error, Kind, Result};
use dhow_spec::runtime::Scheduler;
use dhow_sys::scheduler::{self, Attributes};

/// The kernel's numbers (`linux/sched.h`). It has reserved one for `SCHED_ISO` and never used it.
const POLICIES: [(&str, u32); 7] = [
    ("SCHED_OTHER", 0),
    ("SCHED_FIFO", 1),
    ("SCHED_RR", 2),
    ("SCHED_BATCH", 3),
    ("SCHED_ISO", 4),
    ("SCHED_IDLE", 5),
    ("SCHED_DEADLINE", 6),
];

const FLAGS: [(&str, u64); 7] = [
    ("SCHED_FLAG_RESET_ON_FORK", 0x01),
    ("SCHED_FLAG_RECLAIM", 0x02),
    ("SCHED_FLAG_DL_OVERRUN", 0x04),
    ("SCHED_FLAG_KEEP_POLICY", 0x08),
    ("SCHED_FLAG_KEEP_PARAMS", 0x10),
    ("SCHED_FLAG_UTIL_CLAMP_MIN", 0x20),
    ("SCHED_FLAG_UTIL_CLAMP_MAX", 0x40),
];

/// A policy with what belongs to it.
#[derive(Debug)]
pub(crate) struct Policy<'a> {
    name: &'a str,
    attributes: Attributes,
}

impl<'a> Policy<'a> {
    /// Reads the words. What the policy gives no meaning is refused, rather than taken for set.
    pub(crate) fn parse(scheduler: &'a Scheduler) -> Result<Self> {
        let name = scheduler.policy.as_str();
        let invalid = |why: String| Error::new(Kind::Invalid, format!("use scheduler: {why}"));
        let policy = match POLICIES.iter().find(|(known, _)| *known == name) {
            Some((_, number)) => *number,
            None if name.is_empty() => return Err(invalid("its policy is missing".to_owned())),
            None => return Err(invalid(format!("there is no policy {name:?}"))),
        };
        let is_ordinary = matches!(name, "SCHED_OTHER" | "SCHED_BATCH");
        if is_ordinary && !(-20..=19).contains(&scheduler.nice) {
            return Err(invalid(format!("nice {} is not in -20 to 19", scheduler.nice)));
        }
        let is_real_time = matches!(name, "SCHED_FIFO" | "SCHED_RR");
        if scheduler.priority != 0 && !is_real_time {
            return Err(invalid(format!("policy {name} has no priority")));
        }
        let priority = u32::try_from(scheduler.priority)
            .map_err(|_| invalid(format!("priority {} is negative", scheduler.priority)))?;
        let is_timed = (scheduler.runtime | scheduler.deadline | scheduler.period) != 0;
        if is_timed && name != "SCHED_DEADLINE" {
            return Err(invalid(format!("policy {name} has no runtime, deadline or period")));
        }
        let mut flags = 0;
        for flag in &scheduler.flags {
            let found = FLAGS.iter().find(|(known, _)| known == flag);
            flags |= found.ok_or_else(|| invalid(format!("there is no flag {flag:?}")))?.1;
        }
        let attributes = Attributes {
            policy,
            flags,
            nice: scheduler.nice,
            priority,
            runtime: scheduler.runtime,
            deadline: scheduler.deadline,
            period: scheduler.period,
        };
        Ok(Self { name, attributes })
    }

    /// Sets it for the calling process. This comes after the process has entered its cgroup, which
    /// says how much real-time work there may be and on which processors.
    pub(crate) fn apply(&self) -> Result<()> {
        scheduler::set(&self.attributes)
            .doing(|| format!("set scheduling policy {}", self.name))
            .map_err(|error| match error.kind() {
                Kind::Denied => error.hint(
                    "it needs CAP_SYS_NICE, real-time work time in the cgroup, and for \
                     SCHED_DEADLINE all processors",
                ),
                _ => error,
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_without_a_meaning_are_refused_by_name() {
        let of = |policy: &str| Scheduler { policy: policy.to_owned(), ..Scheduler::default() };
        let flag = vec!["SCHED_FLAG_FAST".to_owned()];
        let cases = [
            (of("SCHED_OTHER"), None),
            (Scheduler { nice: -20, ..of("SCHED_BATCH") }, None),
            (Scheduler { priority: 99, ..of("SCHED_FIFO") }, None),
            (Scheduler { runtime: 1, deadline: 2, period: 3, ..of("SCHED_DEADLINE") }, None),
            (of(""), Some("its policy is missing")),
            (of("SCHED_FAST"), Some("SCHED_FAST")),
            (Scheduler { nice: 20, ..of("SCHED_OTHER") }, Some("nice 20")),
            (Scheduler { priority: 1, ..of("SCHED_IDLE") }, Some("SCHED_IDLE has no priority")),
            (Scheduler { priority: -1, ..of("SCHED_RR") }, Some("priority -1")),
            (Scheduler { period: 1, ..of("SCHED_OTHER") }, Some("has no runtime")),
            (Scheduler { flags: flag, ..of("SCHED_OTHER") }, Some("SCHED_FLAG_FAST")),
        ];
        for (scheduler, expected) in cases {
            let error = Policy::parse(&scheduler).err().map(|error| error.one_line());
            match (error, expected) {
                (None, None) => {}
                (Some(text), Some(part)) => assert!(text.contains(part), "{text}"),
                (error, _) => panic!("{scheduler:?} gives {error:?}"),
            }
        }
    }
}
