//! Side by side: what dhow and a peer make of the same bundle, and which differences are explained.
//!
//! A difference without an explanation fails the suite; so does an explanation without a difference.

use crate::{
    runtime::{Cgroups, Layout, Name, Runtime},
    verdict,
};
use std::collections::{BTreeMap, BTreeSet};

/// What a process sees: values by name.
pub type Seen = BTreeMap<String, String>;

/// One difference and its reason.
#[derive(Clone, Copy, Debug)]
pub struct Explained {
    /// With whom dhow is compared.
    pub peer: Name,
    /// What is compared: the name of the test.
    pub subject: &'static str,
    /// The difference, as [`differences`] writes it.
    pub line: &'static str,
    /// Why that is so, and why dhow does what it does.
    pub why: &'static str,
    /// On which cgroups; on all, where nothing is said.
    pub on: Option<Cgroups>,
}

impl Explained {
    /// Says that it is so on this version of cgroups alone.
    const fn on(mut self, version: Cgroups) -> Self {
        self.on = Some(version);
        self
    }
}

const fn explained(
    peer: Name,
    subject: &'static str,
    line: &'static str,
    why: &'static str,
) -> Explained {
    Explained { peer, subject, line, why, on: None }
}

/// All that are explained.
pub const EXPLAINED: &[Explained] = &[
    explained(
        Name::Crun,
        "calls_under_a_filter",
        "i386 451-599: dhow errno 38, crun errno 1",
        NEWER,
    ),
    explained(
        Name::Crun,
        "calls_under_a_filter",
        "x32 548-599: dhow errno 38, crun errno 1",
        NEWER,
    ),
    explained(
        Name::Crun,
        "calls_under_a_filter",
        "x86_64 451-599: dhow errno 38, crun errno 1",
        NEWER,
    ),
    explained(
        Name::Crun,
        "mount_table",
        "/proc/bus: dhow proc ro,nosuid,nodev,noexec,relatime from proc /bus rw, crun proc ro,relatime from proc /bus rw",
        FLAGS,
    ),
    explained(
        Name::Crun,
        "mount_table",
        "/proc/keys: dhow ro,nosuid,noexec bind of /null, crun ro,relatime bind of /null",
        MASKS,
    ),
    explained(
        Name::Crun,
        "mount_table",
        "/proc/sys: dhow proc ro,nosuid,nodev,noexec,relatime from proc /sys rw, crun proc ro,relatime from proc /sys rw",
        FLAGS,
    ),
    explained(
        Name::Crun,
        "mount_table",
        "/sys/firmware: dhow tmpfs ro,nosuid,noexec,relatime from none / ro, crun tmpfs ro,relatime from tmpfs / rw,size=0k",
        READ_ONLY_MASK,
    ),
    explained(
        Name::Crun,
        "mount_table",
        "/sys/fs/cgroup/CONTROLLER: dhow cgroup ro,nosuid,nodev,noexec,relatime from cgroup / rw,CONTROLLER, crun cgroup ro,nosuid,nodev,noexec,relatime from /sys/fs/cgroup/CONTROLLER / rw,CONTROLLER",
        SOURCES,
    )
    .on(Cgroups::First),
    explained(
        Name::Crun,
        "mount_table",
        "/sys/fs/cgroup/systemd: dhow cgroup ro,nosuid,nodev,noexec,relatime from cgroup / rw,name=systemd, crun cgroup ro,nosuid,nodev,noexec,relatime from /sys/fs/cgroup/systemd / rw,name=systemd",
        SOURCES,
    )
    .on(Cgroups::First),
    explained(
        Name::Crun,
        "mount_table",
        "/sys/fs/cgroup: dhow tmpfs ro,nosuid,nodev,noexec,relatime from none / rw,mode=755, crun tmpfs rw,nosuid,nodev,noexec,relatime from cgroup / rw,size=1024k",
        WRITABLE,
    )
    .on(Cgroups::First),
    explained(
        Name::Crun,
        "mount_table",
        "/sys: dhow sysfs ro,nosuid,nodev,noexec,relatime from sysfs / ro, crun sysfs ro,nosuid,nodev,noexec,relatime from sysfs / rw",
        SYSFS,
    ),
    explained(
        Name::Crun,
        "mount_table_with_mapped_ids",
        "/dev/full: dhow rw,relatime bind of /full, crun rw,nosuid,noexec,relatime bind of /full",
        NODES,
    ),
    explained(
        Name::Crun,
        "mount_table_with_mapped_ids",
        "/dev/null: dhow rw,relatime bind of /null, crun rw,nosuid,noexec,relatime bind of /null",
        NODES,
    ),
    explained(
        Name::Crun,
        "mount_table_with_mapped_ids",
        "/dev/random: dhow rw,relatime bind of /random, crun rw,nosuid,noexec,relatime bind of /random",
        NODES,
    ),
    explained(
        Name::Crun,
        "mount_table_with_mapped_ids",
        "/dev/tty: dhow rw,relatime bind of /tty, crun rw,nosuid,noexec,relatime bind of /tty",
        NODES,
    ),
    explained(
        Name::Crun,
        "mount_table_with_mapped_ids",
        "/dev/urandom: dhow rw,relatime bind of /urandom, crun rw,nosuid,noexec,relatime bind of /urandom",
        NODES,
    ),
    explained(
        Name::Crun,
        "mount_table_with_mapped_ids",
        "/dev/zero: dhow rw,relatime bind of /zero, crun rw,nosuid,noexec,relatime bind of /zero",
        NODES,
    ),
    explained(
        Name::Crun,
        "mount_table_with_mapped_ids",
        "/proc/bus: dhow proc ro,nosuid,nodev,noexec,relatime from proc /bus rw, crun proc ro,relatime from proc /bus rw",
        FLAGS,
    ),
    explained(
        Name::Crun,
        "mount_table_with_mapped_ids",
        "/proc/keys: dhow ro,nosuid,noexec,relatime bind of /null, crun ro,relatime bind of /null",
        MASKS,
    ),
    explained(
        Name::Crun,
        "mount_table_with_mapped_ids",
        "/proc/sys: dhow proc ro,nosuid,nodev,noexec,relatime from proc /sys rw, crun proc ro,relatime from proc /sys rw",
        FLAGS,
    ),
    explained(
        Name::Crun,
        "mount_table_with_mapped_ids",
        "/sys/firmware: dhow tmpfs ro,nosuid,noexec,relatime from none / ro,uid=100000,gid=100000, crun tmpfs ro,relatime from tmpfs / rw,size=0k,uid=100000,gid=100000",
        READ_ONLY_MASK,
    ),
    explained(
        Name::Crun,
        "mount_table_with_mapped_ids",
        "/sys/fs/cgroup/CONTROLLER: dhow cgroup ro,nosuid,nodev,noexec,relatime from cgroup / rw,CONTROLLER, crun cgroup ro,nosuid,nodev,noexec,relatime from /sys/fs/cgroup/CONTROLLER / rw,CONTROLLER",
        SOURCES,
    )
    .on(Cgroups::First),
    explained(
        Name::Crun,
        "mount_table_with_mapped_ids",
        "/sys/fs/cgroup/systemd: dhow cgroup ro,nosuid,nodev,noexec,relatime from cgroup / rw,name=systemd, crun cgroup ro,nosuid,nodev,noexec,relatime from /sys/fs/cgroup/systemd / rw,name=systemd",
        SOURCES,
    )
    .on(Cgroups::First),
    explained(
        Name::Crun,
        "mount_table_with_mapped_ids",
        "/sys/fs/cgroup: dhow tmpfs ro,nosuid,nodev,noexec,relatime from none / rw,mode=755,uid=100000,gid=100000, crun tmpfs rw,nosuid,nodev,noexec,relatime from cgroup / rw,size=1024k,uid=100000,gid=100000",
        WRITABLE,
    )
    .on(Cgroups::First),
    explained(
        Name::Crun,
        "mount_table_with_mapped_ids",
        "/sys: dhow sysfs ro,nosuid,nodev,noexec,relatime from sysfs / ro, crun sysfs ro,nosuid,nodev,noexec,relatime from sysfs / rw",
        SYSFS,
    ),
    explained(
        Name::Crun,
        "nodes_and_files",
        r#"files /sys/fs/cgroup: dhow {"kind":"d","mode":"755","uid":0,"gid":0,"read":null,"write":"EISDIR"}, crun {"kind":"d","mode":"1777","uid":0,"gid":0,"read":null,"write":"EISDIR"}"#,
        MODES,
    )
    .on(Cgroups::First),
    explained(
        Name::Crun,
        "nodes_and_files_of_another_user",
        r#"files /sys/fs/cgroup: dhow {"kind":"d","mode":"755","uid":0,"gid":0,"read":null,"write":"EISDIR"}, crun {"kind":"d","mode":"1777","uid":0,"gid":0,"read":null,"write":"EISDIR"}"#,
        MODES,
    )
    .on(Cgroups::First),
    explained(
        Name::Crun,
        "nodes_and_files_with_mapped_ids",
        r#"files /sys/fs/cgroup: dhow {"kind":"d","mode":"755","uid":0,"gid":0,"read":null,"write":"EISDIR"}, crun {"kind":"d","mode":"1777","uid":0,"gid":0,"read":null,"write":"EISDIR"}"#,
        MODES,
    )
    .on(Cgroups::First),
    explained(
        Name::Runc,
        "mount_table",
        "/proc/keys: dhow ro,nosuid,noexec bind of /null, runc rw,nosuid bind of /null",
        MASKS,
    ),
    explained(
        Name::Runc,
        "mount_table",
        "/sys/firmware: dhow tmpfs ro,nosuid,noexec,relatime from none / ro, runc tmpfs ro,relatime from tmpfs / ro",
        READ_ONLY_MASK,
    ),
    explained(
        Name::Runc,
        "mount_table",
        "/sys/fs/cgroup/systemd: dhow cgroup ro,nosuid,nodev,noexec,relatime from cgroup / rw,name=systemd, runc cgroup ro,nosuid,nodev,noexec,relatime from systemd / rw,name=systemd",
        SOURCES,
    )
    .on(Cgroups::First),
    explained(
        Name::Runc,
        "mount_table",
        "/sys/fs/cgroup: dhow tmpfs ro,nosuid,nodev,noexec,relatime from none / rw,mode=755, runc tmpfs rw,nosuid,nodev,noexec,relatime from tmpfs / rw,mode=755",
        WRITABLE,
    )
    .on(Cgroups::First),
    explained(
        Name::Runc,
        "mount_table_with_mapped_ids",
        "/proc/keys: dhow ro,nosuid,noexec,relatime bind of /null, runc rw,relatime bind of /null",
        MASKS,
    ),
    explained(
        Name::Runc,
        "mount_table_with_mapped_ids",
        "/sys/firmware: dhow tmpfs ro,nosuid,noexec,relatime from none / ro,uid=100000,gid=100000, runc tmpfs ro,relatime from tmpfs / ro,uid=100000,gid=100000",
        READ_ONLY_MASK,
    ),
    explained(
        Name::Runc,
        "mount_table_with_mapped_ids",
        "/sys/fs/cgroup/systemd: dhow cgroup ro,nosuid,nodev,noexec,relatime from cgroup / rw,name=systemd, runc cgroup ro,nosuid,nodev,noexec,relatime from systemd / rw,name=systemd",
        SOURCES,
    )
    .on(Cgroups::First),
    explained(
        Name::Runc,
        "mount_table_with_mapped_ids",
        "/sys/fs/cgroup: dhow tmpfs ro,nosuid,nodev,noexec,relatime from none / rw,mode=755,uid=100000,gid=100000, runc tmpfs rw,nosuid,nodev,noexec,relatime from tmpfs / rw,mode=755,uid=100000,gid=100000",
        WRITABLE,
    )
    .on(Cgroups::First),
    explained(
        Name::Runc,
        "nodes_and_files",
        r#"files /sys/fs/cgroup: dhow {"kind":"d","mode":"755","uid":0,"gid":0,"read":null,"write":"EISDIR"}, runc {"kind":"d","mode":"555","uid":0,"gid":0,"read":null,"write":"EISDIR"}"#,
        MODES,
    )
    .on(Cgroups::First),
    explained(
        Name::Runc,
        "nodes_and_files_of_another_user",
        r#"files /sys/fs/cgroup: dhow {"kind":"d","mode":"755","uid":0,"gid":0,"read":null,"write":"EISDIR"}, runc {"kind":"d","mode":"555","uid":0,"gid":0,"read":null,"write":"EISDIR"}"#,
        MODES,
    )
    .on(Cgroups::First),
    explained(
        Name::Runc,
        "nodes_and_files_with_mapped_ids",
        r#"devices mqueue: dhow {"kind":"d","mode":"1777","uid":0,"gid":0}, runc {"kind":"d","mode":"1777","uid":0,"gid":65534}"#,
        QUEUES,
    ),
    explained(
        Name::Runc,
        "nodes_and_files_with_mapped_ids",
        r#"files /dev/mqueue: dhow {"kind":"d","mode":"1777","uid":0,"gid":0,"read":{"text":""},"write":"EISDIR"}, runc {"kind":"d","mode":"1777","uid":0,"gid":65534,"read":{"text":""},"write":"EISDIR"}"#,
        QUEUES,
    ),
    explained(
        Name::Runc,
        "nodes_and_files_with_mapped_ids",
        r#"files /sys/fs/cgroup: dhow {"kind":"d","mode":"755","uid":0,"gid":0,"read":null,"write":"EISDIR"}, runc {"kind":"d","mode":"555","uid":0,"gid":0,"read":null,"write":"EISDIR"}"#,
        MODES,
    )
    .on(Cgroups::First),
    explained(
        Name::Crun,
        "nodes_and_files_with_mapped_ids",
        r#"files /sys/fs/cgroup: dhow {"kind":"d","mode":"755","uid":65534,"gid":65534,"read":null,"write":"EISDIR"}, crun {"kind":"d","mode":"755","uid":0,"gid":0,"read":null,"write":"EISDIR"}"#,
        OWNERS,
    )
    .on(Cgroups::Second),
    explained(
        Name::Runc,
        "mount_table",
        "/sys/fs/cgroup: dhow cgroup2 ro,nosuid,nodev,noexec,relatime from cgroup2 / rw, runc cgroup2 ro,nosuid,nodev,noexec,relatime from cgroup / rw",
        SOURCES,
    )
    .on(Cgroups::Second),
    explained(
        Name::Runc,
        "mount_table_with_mapped_ids",
        "/sys/fs/cgroup: dhow cgroup2 ro,nosuid,nodev,noexec,relatime from cgroup2 / rw, runc cgroup2 ro,nosuid,nodev,noexec,relatime from cgroup / rw",
        SOURCES,
    )
    .on(Cgroups::Second),
];

const SOURCES: &str = "the source is a name that nothing reads";
const WRITABLE: &str =
    "the mount is asked to be read-only, and the peer leaves its uppermost directory writable";
const SYSFS: &str =
    "the mount is read-only for both; dhow asks the filesystem for it too, as mount(8) does";
const MASKS: &str = "dhow masks by mounts that are read-only, without programs and set-user-id; runc's is writable, crun's has no other flag";
const READ_ONLY_MASK: &str =
    "dhow masks by a filesystem that is read-only in itself, not only where it is mounted";
const FLAGS: &str = "dhow and runc keep the flags of /proc on its read-only parts; crun drops them";
const NODES: &str = "crun adds flags that a device node does not need; runc binds it as dhow does";
const MODES: &str = "the directory is read-only for all; it has the mode of a directory for dhow, of a temporary one for crun, and none for writing for runc";
const OWNERS: &str = "the group is mounted read-only, so dhow and runc do not give it to the mapped root (config-linux.md, Cgroup ownership: \"Runtimes SHOULD change the cgroup ownership if and only if the cgroup filesystem is to be mounted read/write\"); crun does";
const QUEUES: &str = "the queues' filesystem is made with its namespace: by the mapped root for dhow and crun, halfway for runc; its mode lets all in";
const NEWER: &str = "calls newer than the profile: dhow and runc answer ENOSYS, so that libraries fall back to older calls; crun gives the default action";

/// Compares what dhow and a peer see, and panics at what is not explained.
pub fn compare(peer: Name, subject: &str, see: fn(&Runtime) -> Seen) {
    let Some((ours, theirs)) = both(peer) else { return };
    let found: BTreeSet<String> = differences(peer, &see(&ours), &see(&theirs));
    let here = Cgroups::here();
    let is_here = |row: &&Explained| row.on.is_none_or(|version| version == here);
    let rows = EXPLAINED.iter().filter(|row| row.peer == peer && row.subject == subject);
    let rows = rows.filter(is_here);
    let table: BTreeSet<String> = rows.map(|row| row.line.to_owned()).collect();
    assert!(
        found == table,
        "{subject} of dhow beside {peer}\nnot explained: {:#?}\nexplained, but not there: {:#?}",
        found.difference(&table).collect::<Vec<_>>(),
        table.difference(&found).collect::<Vec<_>>(),
    );
    verdict::note(peer, if table.is_empty() { "passed" } else { "differs" });
}

/// Both see the same machine: without the second version's hierarchy beside the first's.
fn both(peer: Name) -> Option<(Runtime, Runtime)> {
    let theirs = verdict::runtime(peer)?;
    let ours = verdict::runtime(Name::Dhow)?;
    Some((ours.with_layout(Layout::FirstOnly), theirs))
}

/// A line for each name whose values differ. Names that end with numbers in a row, and have the same
/// two values, share a line.
///
/// ```text
/// x86_64 451-462: dhow errno 38, crun errno 1
/// ```
fn differences(peer: Name, ours: &Seen, theirs: &Seen) -> BTreeSet<String> {
    let names: BTreeSet<&String> = ours.keys().chain(theirs.keys()).collect();
    let value = |seen: &Seen, name: &String| {
        seen.get(name).cloned().unwrap_or_else(|| "nothing".to_owned())
    };
    let mut different: Vec<(&str, Option<u32>, String)> = names
        .into_iter()
        .filter(|name| ours.get(*name) != theirs.get(*name))
        .map(|name| {
            let values = format!("dhow {}, {peer} {}", value(ours, name), value(theirs, name));
            match name.rsplit_once(' ').map(|(stem, number)| (stem, number.parse())) {
                Some((stem, Ok(number))) => (stem, Some(number), values),
                _ => (name.as_str(), None, values),
            }
        })
        .collect();
    different.sort();
    grouped(&different)
}

fn grouped(different: &[(&str, Option<u32>, String)]) -> BTreeSet<String> {
    let mut lines = BTreeSet::new();
    let mut rest = different;
    while let Some((stem, number, values)) = rest.first() {
        let follows = |(at, (other, next, same)): (u32, &(&str, Option<u32>, String))| {
            number.is_some_and(|number| *next == Some(number + at))
                && other == stem
                && same == values
        };
        let length = (0..).zip(rest).take_while(|item| follows(*item)).count().max(1);
        let name = match (number, rest[length - 1].1) {
            (Some(first), Some(last)) if *first < last => format!("{stem} {first}-{last}"),
            (Some(only), _) => format!("{stem} {only}"),
            (None, _) => (*stem).to_owned(),
        };
        lines.insert(format!("{name}: {values}"));
        rest = &rest[length..];
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(pairs: &[(&str, &str)]) -> Seen {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn what_is_the_same_is_no_difference_and_rows_of_numbers_share_a_line() {
        let ours = seen(&[("call 1", "a"), ("call 2", "b"), ("call 3", "b"), ("call 10", "b")]);
        let theirs = seen(&[
            ("call 1", "a"),
            ("call 2", "c"),
            ("call 3", "c"),
            ("call 10", "c"),
            ("other", "x"),
        ]);

        let lines: Vec<String> = differences(Name::Crun, &ours, &theirs).into_iter().collect();

        assert_eq!(
            lines,
            ["call 10: dhow b, crun c", "call 2-3: dhow b, crun c", "other: dhow nothing, crun x"]
        );
    }
}
