//! The limits of the container: its cgroup as seen from inside, version 1, 2 or both.

use super::{Section, read};

/// Version 1 says "no limit" with the largest number of whole pages.
const V1_UNLIMITED: u64 = 0x7fff_ffff_ffff_f000;

pub(super) fn section() -> Section {
    let place = read("/proc/self/cgroup").map_or_else(|| "unknown".to_owned(), |list| place(&list));
    let memory =
        first(&["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"]);
    let pids = first(&["/sys/fs/cgroup/pids.max", "/sys/fs/cgroup/pids/pids.max"]);
    let cpu = first(&["/sys/fs/cgroup/cpu.max"]).or_else(|| {
        let quota = first(&["/sys/fs/cgroup/cpu/cpu.cfs_quota_us"])?;
        Some(format!("{quota} {}", first(&["/sys/fs/cgroup/cpu/cpu.cfs_period_us"])?))
    });
    let or_unknown = |text: Option<String>| text.unwrap_or_else(|| "unknown".to_owned());
    Section {
        title: "Limits",
        lines: vec![
            format!("cgroup {place}"),
            format!(
                "memory {}, processes {}, processors {}",
                or_unknown(memory.map(|text| self::memory(&text))),
                or_unknown(pids.map(|text| self::pids(&text))),
                or_unknown(cpu.map(|text| processors(&text))),
            ),
        ],
    }
}

fn first(paths: &[&str]) -> Option<String> {
    paths.iter().find_map(|path| read(path)).map(|text| text.trim().to_owned())
}

/// Where we are, from `/proc/self/cgroup`: in a cgroup namespace that is `/`.
fn place(list: &str) -> String {
    let entries: Vec<(&str, &str)> = list
        .lines()
        .filter_map(|line| {
            let (_, rest) = line.split_once(':')?;
            rest.split_once(':')
        })
        .collect();
    let versions = match (
        entries.iter().any(|entry| !entry.0.is_empty()),
        entries.iter().any(|entry| entry.0.is_empty()),
    ) {
        (true, true) => "versions 1 and 2",
        (true, false) => "version 1",
        (false, true) => "version 2",
        (false, false) => return "unknown".to_owned(),
    };
    let memory =
        entries.iter().find(|(controllers, _)| controllers.split(',').any(|c| c == "memory"));
    let path = memory.or(entries.last()).map_or("", |entry| entry.1);
    format!("{path} ({versions})")
}

fn memory(text: &str) -> String {
    match text.parse::<u64>() {
        Ok(bytes) if bytes >= V1_UNLIMITED => "unlimited".to_owned(),
        Ok(bytes) if bytes % (1 << 20) == 0 => format!("{} MiB", bytes >> 20),
        Ok(bytes) => format!("{bytes} bytes"),
        Err(_) => "unlimited".to_owned(),
    }
}

fn pids(text: &str) -> String {
    if text == "max" { "unlimited".to_owned() } else { text.to_owned() }
}

/// A quota and a period in microseconds: `150000 100000`, `max 100000`, `-1 100000`.
fn processors(text: &str) -> String {
    let mut numbers = text.split_whitespace().map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(quota)), Some(Ok(period))) if period > 0 => {
            format!("{}", f64::from(quota) / f64::from(period))
        }
        _ => "unlimited".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_of_both_versions_read_the_same() {
        assert_eq!(memory("67108864"), "64 MiB");
        assert_eq!(memory("max"), "unlimited");
        assert_eq!(memory("9223372036854771712"), "unlimited");
        assert_eq!(memory("1000"), "1000 bytes");
        assert_eq!(pids("max"), "unlimited");
        assert_eq!(processors("150000 100000"), "1.5");
        assert_eq!(processors("max 100000"), "unlimited");
        assert_eq!(processors("-1 100000"), "unlimited");
    }

    #[test]
    fn the_place_says_which_versions_there_are() {
        let cases = [
            ("0::/\n", "/ (version 2)"),
            ("5:memory:/a\n4:pids:/b\n", "/a (version 1)"),
            ("5:cpu,memory:/a\n0::/\n", "/a (versions 1 and 2)"),
            ("", "unknown"),
        ];
        for (list, expected) in cases {
            assert_eq!(place(list), expected, "{list:?}");
        }
    }
}
