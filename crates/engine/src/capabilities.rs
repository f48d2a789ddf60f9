//! Which capabilities a container has: the default, what was added, what was dropped.

use dhow_base::{Doing, Error, Kind, Result};
use dhow_spec::runtime::DEFAULT_CAPABILITIES;

/// Every capability of Linux 6.18, by its number (`linux/capability.h`).
const ALL: [&str; 41] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
];

/// The names that a container gets.
///
/// `held` is this process's bounding set: nobody can hand on more. `ALL` means all of those, as it
/// does in docker. What is dropped goes last, unless everything was dropped first.
pub(crate) fn choose(
    default: Option<&[String]>,
    add: &[String],
    drop: &[String],
    privileged: bool,
    held: u64,
) -> Result<Vec<String>> {
    let add = add.iter().map(|name| parse(name)).collect::<Result<Vec<_>>>()?;
    let drop = drop.iter().map(|name| parse(name)).collect::<Result<Vec<_>>>()?;
    let default =
        default.map(|names| names.iter().map(|name| parse(name)).collect::<Result<Vec<_>>>());
    let default = default.transpose()?;
    let mut chosen = if privileged || add.contains(&Word::All) {
        held
    } else if drop.contains(&Word::All) {
        0
    } else if let Some(default) = default {
        default.iter().fold(0, |set, word| match word {
            Word::All => held,
            Word::One(bit) => set | 1 << bit,
        })
    } else {
        DEFAULT_CAPABILITIES
            .iter()
            .filter_map(|name| number(name))
            .fold(0, |set, bit| set | 1 << bit)
    };
    for word in &add {
        if let Word::One(bit) = word {
            chosen |= 1 << bit;
        }
    }
    for word in &drop {
        if let Word::One(bit) = word {
            chosen &= !(1 << bit);
        }
    }
    if let Some(missing) = add.iter().find_map(|word| match word {
        Word::One(bit) if held & (1 << bit) == 0 => ALL.get(*bit),
        _ => None,
    }) {
        return Err(Error::new(
            Kind::Denied,
            format!("add capability {missing}: this process has not got it itself"),
        )
        .hint("run dhow with more rights, or leave the capability out"));
    }
    Ok((0..ALL.len())
        .filter(|bit| chosen & held & (1 << bit) != 0)
        .map(|bit| ALL[bit].to_owned())
        .collect())
}

/// The bounding set of this process.
pub(crate) fn held() -> Result<u64> {
    let path = "/proc/self/status";
    let status = std::fs::read_to_string(path).doing(|| format!("read {path}"))?;
    held_in(&status)
        .ok_or_else(|| Error::new(Kind::Internal, format!("find the bounding set in {path}")))
}

/// The bounding set in the text of `/proc/self/status`.
fn held_in(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("CapBnd:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Word {
    All,
    One(usize),
}

fn parse(name: &str) -> Result<Word> {
    let upper = name.to_ascii_uppercase();
    if upper == "ALL" || upper == "CAP_ALL" {
        return Ok(Word::All);
    }
    let full = if upper.starts_with("CAP_") { upper } else { format!("CAP_{upper}") };
    number(&full).map(Word::One).ok_or_else(|| {
        Error::new(Kind::Invalid, format!("no capability is called {name:?}"))
            .hint("capabilities(7) lists them; both NET_ADMIN and CAP_NET_ADMIN are understood")
    })
}

fn number(name: &str) -> Option<usize> {
    ALL.iter().position(|known| *known == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELD: u64 = (1 << 41) - 1;

    fn chosen(add: &[&str], drop: &[&str], held: u64) -> Vec<String> {
        let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        choose(None, &owned(add), &owned(drop), false, held).unwrap()
    }

    #[test]
    fn added_and_dropped_names_change_the_default() {
        assert_eq!(chosen(&[], &[], HELD).len(), 14);
        assert_eq!(chosen(&["net_admin", "CAP_SYS_TIME"], &["mknod"], HELD).len(), 15);
        assert_eq!(chosen(&["NET_ADMIN"], &["ALL"], HELD), ["CAP_NET_ADMIN"]);
        assert_eq!(chosen(&["ALL"], &["SYS_ADMIN"], HELD).len(), 40);
        assert_eq!(chosen(&[], &["all"], HELD), Vec::<String>::new());
    }

    #[test]
    fn another_default_takes_the_place_of_ours() {
        let choose = |default: &[&str], add: &[String], drop: &[String]| {
            let default: Vec<String> = default.iter().map(ToString::to_string).collect();
            choose(Some(&default), add, drop, false, HELD).unwrap().len()
        };
        assert_eq!(choose(&["chown", "CAP_KILL"], &[], &[]), 2);
        assert_eq!(choose(&["chown"], &["KILL".into()], &["chown".into()]), 1);
        assert_eq!(choose(&[], &[], &[]), 0);
        assert_eq!(choose(&["chown"], &[], &["ALL".into()]), 0);
    }

    #[test]
    fn nothing_is_given_that_is_not_held() {
        assert_eq!(chosen(&["ALL"], &[], 1 | 1 << 21), ["CAP_CHOWN", "CAP_SYS_ADMIN"]);
        let error = choose(None, &["SYS_TIME".into()], &[], false, 1).unwrap_err();
        assert_eq!(error.kind(), Kind::Denied);
    }

    #[test]
    fn unknown_names_are_refused() {
        assert_eq!(
            choose(None, &["FLY".into()], &[], false, HELD).unwrap_err().kind(),
            Kind::Invalid
        );
    }

    #[test]
    fn the_bounding_set_is_read_from_the_status_text() {
        assert_eq!(held_in("Name:\tx\nCapBnd:\t000001fffeffffff\n"), Some(0x1ff_feff_ffff));
    }
}
