//! Which monitors live, asked once for many.
//!
//! To ask for the lock of each takes three system calls a container. The kernel lists all locks that
//! are held, with the process that took each one, in a file.

use dhow_base::{Doing, Result, file};
use std::{collections::HashMap, os::unix::fs::MetadataExt, path::Path};

/// A machine full of locks has a list of this length.
const LIMIT_BYTES: u64 = 64 << 20;

/// The processes that hold a lock on the file system of the run directories.
#[derive(Clone, Debug, Default)]
pub struct Living {
    /// By their numbers: how many such locks each holds.
    holders: HashMap<i32, usize>,
}

impl Living {
    /// Looks at the locks on the file system of `runroot`.
    pub fn look(runroot: &Path) -> Result<Self> {
        let path = Path::new("/proc/locks");
        let bytes = file::read_limited(path, LIMIT_BYTES)?;
        let device =
            std::fs::metadata(runroot).doing(|| format!("look at {}", runroot.display()))?.dev();
        Ok(Self::parse(&String::from_utf8_lossy(&bytes), device))
    }

    /// `1: FLOCK  ADVISORY  WRITE 4242 00:1a:77 0 EOF`; with an arrow after the number for who waits.
    fn parse(text: &str, device: u64) -> Self {
        let device =
            format!("{:02x}:{:02x}:", rustix::fs::major(device), rustix::fs::minor(device));
        let mut holders = HashMap::new();
        for line in text.lines() {
            let mut words = line.split_ascii_whitespace().skip(1);
            let (kind, way, pid, place) = (words.next(), words.nth(1), words.next(), words.next());
            let is_ours = kind == Some("FLOCK") && way == Some("WRITE");
            if is_ours
                && place.is_some_and(|place| place.starts_with(&device))
                && let Some(pid) = pid.and_then(|pid| pid.parse().ok())
            {
                *holders.entry(pid).or_insert(0) += 1;
            }
        }
        Self { holders }
    }

    /// Whether a process holds a lock there, and one alone, as monitors do. What it says of a process
    /// that is no monitor any more is not to be relied on: who asks knows whose number it was.
    pub fn holds_one(&self, pid: i32) -> bool {
        self.holders.get(&pid) == Some(&1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_who_hold_a_lock_on_the_device_live() {
        let text = "1: FLOCK  ADVISORY  WRITE 10 00:1a:77 0 EOF\n\
            2: FLOCK  ADVISORY  READ 11 00:1a:78 0 EOF\n\
            3: FLOCK  ADVISORY  WRITE 12 00:1b:77 0 EOF\n\
            4: POSIX  ADVISORY  WRITE 13 00:1a:79 0 EOF\n\
            4: -> FLOCK  ADVISORY  WRITE 14 00:1a:77 0 EOF\n\
            5: FLOCK  ADVISORY  WRITE 15 00:1a:80 0 EOF\n\
            6: FLOCK  ADVISORY  WRITE 15 00:1a:81 0 EOF\n";

        let living = Living::parse(text, rustix::fs::makedev(0, 0x1a));

        let found: Vec<i32> = (10..16).filter(|pid| living.holds_one(*pid)).collect();
        assert_eq!(found, [10]);
    }

    #[test]
    fn a_lock_that_we_hold_is_listed() {
        use dhow_base::lock::{Lock, Sharing};
        let directory = tempfile::tempdir().unwrap();
        let me = i32::try_from(std::process::id()).unwrap();

        let _lock = Lock::acquire(&directory.path().join("lock"), Sharing::Exclusive).unwrap();

        // In some containers the list is another world's: then it says nothing, which is no lie.
        let living = Living::look(directory.path()).unwrap();
        assert!(living.holds_one(me) || living.holders.is_empty());
    }
}
