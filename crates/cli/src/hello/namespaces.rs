//! Which namespaces are the container's own: by inode number, against the host's.

use super::Section;

/// Each kind, and what it sets apart.
const KINDS: [(&str, &str); 8] = [
    ("mnt", "the files it sees"),
    ("pid", "the processes it sees"),
    ("net", "interfaces, ports, routes"),
    ("uts", "the host name"),
    ("ipc", "shared memory, message queues"),
    ("cgroup", "where its limits hang"),
    ("user", "what root means"),
    ("time", "clocks since boot"),
];

pub(super) fn section(host: Option<&str>) -> Section {
    let lines = KINDS.map(|(kind, meaning)| {
        let link = std::fs::read_link(format!("/proc/self/ns/{kind}")).ok();
        let own = link.and_then(|link| inode(kind, &link.to_string_lossy()));
        let outside = host.and_then(|list| list.split(',').find_map(|entry| inode(kind, entry)));
        format!("{kind:<7}{:<28}{meaning}", compared(own, outside))
    });
    Section { title: "Namespaces", lines: lines.into() }
}

fn compared(own: Option<u64>, host: Option<u64>) -> String {
    match (own, host) {
        (None, _) => "unknown".to_owned(),
        (Some(own), None) => format!("{own}"),
        (Some(own), Some(host)) if own == host => format!("{own} the host's"),
        (Some(own), Some(_)) => format!("{own} its own"),
    }
}

/// The number in `mnt:[4026531841]`, where it is of that kind.
fn inode(kind: &str, text: &str) -> Option<u64> {
    let number = text.trim().strip_prefix(kind)?.strip_prefix(":[")?.strip_suffix(']')?;
    number.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_is_told_by_its_inode() {
        assert_eq!(inode("mnt", "mnt:[4026531841]"), Some(4_026_531_841));
        for bad in ["pid:[1]", "mnt:[x]", "mnt:[1", "mnt", ""] {
            assert_eq!(inode("mnt", bad), None, "{bad:?}");
        }
        assert_eq!(compared(Some(1), Some(2)), "1 its own");
        assert_eq!(compared(Some(1), Some(1)), "1 the host's");
        assert_eq!(compared(Some(1), None), "1");
    }

    #[test]
    fn against_ourselves_all_are_the_hosts() {
        let links = KINDS.map(|(kind, _)| {
            let link = std::fs::read_link(format!("/proc/self/ns/{kind}")).unwrap();
            link.to_string_lossy().into_owned()
        });

        let section = section(Some(&links.join(",")));

        assert!(section.lines.iter().all(|line| line.contains("the host's")), "{section:?}");
    }
}
