//! The attacks, in the order of their numbers; a file a thing that is attacked.

mod accounts;
mod binary;
mod calls;
mod capabilities;
mod cgroup;
mod console;
mod directory;
mod fds;
mod host_paths;
mod identity;
mod libraries;
mod links;
mod null;
mod parameters;
mod procfs;
mod volume;

use crate::{Caller, Stage, Verdict};
use dhow_base::Result;

/// One attack.
#[derive(Clone, Copy, Debug)]
pub struct Attack {
    /// Its number, which it keeps.
    pub number: u32,
    /// A word for it.
    pub name: &'static str,
    /// What must not happen.
    pub about: &'static str,
    /// What was broken that way.
    pub breaches: &'static str,
    needs: Needs,
    pub(crate) act: fn(&Stage) -> Result<Verdict>,
}

/// Who can play it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Needs {
    /// Anybody.
    Nothing,
    /// Root, who may then be told to act as an ordinary user.
    RootOnTheHost,
}

impl Attack {
    /// Why it cannot be played here, where it cannot.
    pub(crate) fn missing(&self, caller: Caller) -> Option<&'static str> {
        let is_root = rustix::process::geteuid().is_root();
        match self.needs {
            _ if caller == Caller::Root && !is_root => Some("needs root"),
            Needs::RootOnTheHost if !is_root => Some("needs root to lay the trap"),
            _ => None,
        }
    }
}

/// All attacks.
pub const ATTACKS: &[Attack] = &[
    Attack {
        number: 1,
        name: "dev-link",
        about: "a link at /dev of the image leads no mount and no device out of it",
        breaches: "CVE-2026-41579, CVE-2026-47766",
        needs: Needs::Nothing,
        act: links::dev,
    },
    Attack {
        number: 2,
        name: "system-links",
        about: "links at /proc, /sys and below /dev lead nothing out of the image",
        breaches: "CVE-2019-19921, CVE-2023-27561",
        needs: Needs::Nothing,
        act: links::system,
    },
    Attack {
        number: 3,
        name: "volume",
        about: "a container that swaps a directory of a shared volume moves no mount of another",
        breaches: "CVE-2021-30465, CVE-2024-45310",
        needs: Needs::Nothing,
        act: volume::swapped,
    },
    Attack {
        number: 4,
        name: "null",
        about: "a null device that is swapped while a container starts uncovers no kernel file",
        breaches: "CVE-2025-31133",
        needs: Needs::Nothing,
        act: null::swapped,
    },
    Attack {
        number: 5,
        name: "console",
        about: "a console that is swapped while a container starts covers no kernel file",
        breaches: "CVE-2025-52565",
        needs: Needs::Nothing,
        act: console::swapped,
    },
    Attack {
        number: 6,
        name: "procfs",
        about: "what the runtime writes to /proc reaches the kernel, whatever lies there",
        breaches: "CVE-2025-52881, CVE-2019-16884",
        needs: Needs::Nothing,
        act: procfs::fake,
    },
    Attack {
        number: 7,
        name: "directory",
        about: "no working directory leads to a directory of the host's",
        breaches: "CVE-2024-21626",
        needs: Needs::Nothing,
        act: directory::leaked,
    },
    Attack {
        number: 8,
        name: "fds",
        about: "processes and hooks have no open files but what they were given",
        breaches: "CVE-2024-21626",
        needs: Needs::Nothing,
        act: fds::leaked,
    },
    Attack {
        number: 9,
        name: "binary",
        about: "the runtime's binary cannot be written, nor its memory read, from inside",
        breaches: "CVE-2019-5736",
        needs: Needs::Nothing,
        act: binary::overwritten,
    },
    Attack {
        number: 10,
        name: "libraries",
        about: "the runtime loads no library, locale or name service of the image",
        breaches: "CVE-2019-14271",
        needs: Needs::Nothing,
        act: libraries::loaded,
    },
    Attack {
        number: 11,
        name: "parameters",
        about: "kernel parameters of the host are refused, recursive mount options hold",
        breaches: "CVE-2022-0811",
        needs: Needs::Nothing,
        act: parameters::injected,
    },
    Attack {
        number: 12,
        name: "capabilities",
        about: "rights are those declared, and exec gives no more",
        breaches: "CVE-2022-24769, CVE-2022-29162",
        needs: Needs::Nothing,
        act: capabilities::exceeded,
    },
    Attack {
        number: 13,
        name: "calls",
        about: "dangerous system calls are refused by every way into the kernel",
        breaches: "CVE-2026-31431",
        needs: Needs::Nothing,
        act: calls::forbidden,
    },
    Attack {
        number: 14,
        name: "cgroup",
        about: "a container gets no cgroup of the host's, and a frozen one can be removed",
        breaches: "CVE-2022-0492",
        needs: Needs::Nothing,
        act: cgroup::escaped,
    },
    Attack {
        number: 15,
        name: "identity",
        about: "a user is a number or nothing, and never looked up by mistake",
        breaches: "CVE-2026-46680, CVE-2026-30892",
        needs: Needs::Nothing,
        act: identity::confused,
    },
    Attack {
        number: 16,
        name: "accounts",
        about: "account files of the image cost no more than 16 MB and a second",
        breaches: "CVE-2026-47262, CVE-2024-9676",
        needs: Needs::Nothing,
        act: accounts::endless,
    },
    Attack {
        number: 17,
        name: "host-paths",
        about: "links of another user's lead no log, pid file, console or hook astray",
        breaches: "CVE-2025-9566",
        needs: Needs::RootOnTheHost,
        act: host_paths::linked,
    },
];

/// How many times something was done, for the words of a verdict.
fn passed(words: impl Into<String>) -> Verdict {
    Verdict::Passed(words.into())
}

/// Swaps two names as fast as it can until `work` is done; also how often.
fn while_swapping<T>(
    a: &std::path::Path,
    b: &std::path::Path,
    work: impl FnOnce() -> Result<T>,
) -> Result<(T, u64)> {
    use std::sync::atomic::{AtomicBool, Ordering};
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let swapper = scope.spawn(|| {
            let flags = rustix::fs::RenameFlags::EXCHANGE;
            let mut count = 0_u64;
            while !stop.load(Ordering::Relaxed) {
                // The names are there until the work is done.
                let swapped =
                    rustix::fs::renameat_with(rustix::fs::CWD, a, rustix::fs::CWD, b, flags);
                count += u64::from(swapped.is_ok());
            }
            count
        });
        let done = work();
        stop.store(true, Ordering::Relaxed);
        let count = swapper.join().unwrap_or_default();
        done.map(|done| (done, count))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attacks_are_numbered_in_order_and_named_once() {
        let mut names: Vec<&str> = ATTACKS.iter().map(|attack| attack.name).collect();
        names.sort_unstable();
        names.dedup();

        assert_eq!(names.len(), ATTACKS.len());
        assert!(ATTACKS.iter().zip(1..).all(|(attack, number)| attack.number == number));
    }
}
