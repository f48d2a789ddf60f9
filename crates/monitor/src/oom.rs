//! Whether the kernel killed a process of a container because memory ran out.
//!
//! An exit by SIGKILL does not say who sent it. The cgroup counts the kernel's own kills:
//! `oom_kill` in `memory.events` (version 2) or `memory.oom_control` (version 1, Linux 4.13). Where
//! neither can be read the answer is no.

use dhow_base::file;
use std::path::{Path, PathBuf};

const LIMIT_BYTES: u64 = 1 << 20;

/// The counter of one cgroup, and what it said at first.
#[derive(Debug)]
pub(crate) struct OomKills {
    counter: Option<PathBuf>,
    before: u64,
}

impl OomKills {
    /// The counter of a container that was just made: what it counts is the container's.
    pub(crate) fn of_new_container(pid: i32) -> Self {
        Self { counter: counter_of(pid), before: 0 }
    }

    /// The counter of a container that has run for a while.
    pub(crate) fn of_running(pid: i32) -> Self {
        let counter = counter_of(pid);
        let before = counter.as_deref().and_then(count).unwrap_or(0);
        Self { counter, before }
    }

    /// Whether it has happened since. Ask before the cgroup is removed.
    pub(crate) fn happened(&self) -> bool {
        self.counter.as_deref().and_then(count).is_some_and(|now| now > self.before)
    }
}

/// The file with the counter, found while the process lives: a dead one has left its cgroup.
fn counter_of(pid: i32) -> Option<PathBuf> {
    let memberships = file::read_limited(Path::new(&format!("/proc/{pid}/cgroup")), LIMIT_BYTES);
    let memberships = String::from_utf8(memberships.ok()?).ok()?;
    candidates(&memberships).into_iter().find(|path| count(path).is_some())
}

/// Where the counter may be, from lines such as `9:memory:/c1` and `0::/c1`.
fn candidates(memberships: &str) -> Vec<PathBuf> {
    let mut paths = Vec::new();
    for line in memberships.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(cgroup)) = (fields.next(), fields.next()) else { continue };
        let cgroup = cgroup.trim_start_matches('/');
        // The root counts the whole machine's kills.
        if cgroup.is_empty() {
            continue;
        }
        if controllers.split(',').any(|controller| controller == "memory") {
            let root = Path::new("/sys/fs/cgroup").join(controllers);
            paths.push(root.join(cgroup).join("memory.oom_control"));
        } else if controllers.is_empty() {
            paths.push(Path::new("/sys/fs/cgroup").join(cgroup).join("memory.events"));
        }
    }
    paths
}

fn count(counter: &Path) -> Option<u64> {
    parse(&String::from_utf8(file::read_limited(counter, LIMIT_BYTES).ok()?).ok()?)
}

fn parse(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counter_is_where_the_memory_controller_is() {
        let cases = [
            ("0::/dhow/c1\n", vec!["/sys/fs/cgroup/dhow/c1/memory.events"]),
            (
                "9:memory:/dhow/c1\n4:cpu,cpuacct:/dhow/c1\n",
                vec!["/sys/fs/cgroup/memory/dhow/c1/memory.oom_control"],
            ),
            ("9:memory:/\n0::/\n", vec![]),
            ("garbage\n::\n", vec![]),
        ];
        for (memberships, expected) in cases {
            let expected: Vec<_> = expected.into_iter().map(PathBuf::from).collect();
            assert_eq!(candidates(memberships), expected, "{memberships:?}");
        }
    }

    #[test]
    fn both_versions_count_in_the_same_words() {
        assert_eq!(parse("oom_kill_disable 0\nunder_oom 0\noom_kill 3\n"), Some(3));
        assert_eq!(parse("low 0\noom 1\noom_kill 1\noom_group_kill 0\n"), Some(1));
        assert_eq!(parse("oom_kill_disable 0\n"), None);
    }
}
