//! The mounts of the container, from `/proc/self/mountinfo`.

use super::{Section, read, wrapped};

/// Mount points that tell most; the rest is counted.
const TELLING: [&str; 6] = ["/proc", "/sys", "/sys/fs/cgroup", "/dev", "/dev/shm", "/tmp"];

pub(super) fn section() -> Section {
    let lines = match read("/proc/self/mountinfo") {
        Some(table) => described(&table),
        None => vec!["unknown".to_owned()],
    };
    Section { title: "Files", lines }
}

/// A mount: where, of what kind, and whether writes are refused.
#[derive(Debug, Eq, PartialEq)]
struct Mount<'a> {
    point: &'a str,
    kind: &'a str,
    read_only: bool,
}

fn described(table: &str) -> Vec<String> {
    let mounts: Vec<Mount<'_>> = table.lines().filter_map(parse).collect();
    let root = mounts.iter().rev().find(|mount| mount.point == "/");
    let root = root.map_or_else(
        || "its root is unknown".to_owned(),
        |root| format!("its root / is {} ({})", root.kind, access(root.read_only)),
    );
    let mut lines = vec![format!("{root}; {} mounts, among them", mounts.len())];
    let telling = TELLING.iter().filter_map(|point| {
        let mount = mounts.iter().rev().find(|mount| mount.point == *point)?;
        Some(format!("{point} {} ({})", mount.kind, access(mount.read_only)))
    });
    lines.extend(wrapped(&telling.collect::<Vec<_>>()));
    lines
}

fn access(read_only: bool) -> &'static str {
    if read_only { "read-only" } else { "read-write" }
}

/// `id parent device root point options [fields] - kind source super-options`.
fn parse(line: &str) -> Option<Mount<'_>> {
    let (before, after) = line.split_once(" - ")?;
    let mut fields = before.split(' ').skip(4);
    let (point, options) = (fields.next()?, fields.next()?);
    let mut behind = after.split(' ');
    let (kind, own) = (behind.next()?, behind.nth(1).unwrap_or_default());
    let refuses = |options: &str| options.split(',').any(|option| option == "ro");
    Some(Mount { point, kind, read_only: refuses(options) || refuses(own) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_are_read_from_the_table() {
        let table = "1 0 0:1 / / rw,relatime - overlay overlay rw,lowerdir=/l\n\
                     2 1 0:2 / /proc rw,nosuid shared:3 - proc proc rw\n\
                     3 1 0:3 / /sys ro,nosuid - sysfs sysfs ro\nnonsense\n";

        let lines = described(table);

        assert_eq!(lines[0], "its root / is overlay (read-write); 3 mounts, among them");
        assert_eq!(lines[1], "/proc proc (read-write), /sys sysfs (read-only)");
    }
}
