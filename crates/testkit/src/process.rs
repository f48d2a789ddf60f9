//! A process that a test did not start itself, known by its number.

use crate::need;
use std::{fs, time::Duration};

/// The words of the process `pid`, as soon as it has any: an `exec` closes the fds that are to be
/// closed, by which its caller knows that it went well, before the kernel notes where the words are.
/// Empty where there are none within ten seconds.
#[must_use]
pub fn words(pid: &str) -> Vec<String> {
    let noted = || {
        let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).ok()?;
        let words: Vec<String> = line.split_terminator('\0').map(str::to_owned).collect();
        (!words.is_empty()).then_some(words)
    };
    need::eventually(Duration::from_secs(10), noted).unwrap_or_default()
}

/// Waits until the process `pid`, which was killed, has ended: the signal is on its way when `kill`
/// returns. Nobody may have reaped it yet.
///
/// # Panics
///
/// Where it lives after ten seconds.
pub fn wait_for_end(pid: i32) {
    let ended = || {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let lives = status.lines().any(|line| {
            line.strip_prefix("State:").is_some_and(|state| !state.trim().starts_with(['Z', 'X']))
        });
        (!lives).then_some(())
    };
    let ended = need::eventually(Duration::from_secs(10), ended);
    assert!(ended.is_some(), "process {pid} does not end");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_those_of_the_program() {
        let mut sleep = std::process::Command::new("sleep").arg("60").spawn().unwrap();

        assert_eq!(words(&sleep.id().to_string()), ["sleep", "60"]);

        sleep.kill().unwrap();
        let pid = i32::try_from(sleep.id()).unwrap();
        wait_for_end(pid);
        drop(sleep.wait());
        wait_for_end(pid);
    }
}
