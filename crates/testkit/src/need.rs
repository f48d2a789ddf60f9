//! What a test needs of the machine, and the words with which it skips where that is missing.
//!
//! A skipped test counts as passed for the runner, so it must not be silent: it prints a line, and
//! where `DHOW_SKIPS` names a file (`cargo xtask test` sets it) it adds a line there, from which
//! the closing report is made.

use std::{
    fs::OpenOptions,
    io::Write,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

/// Are we root? Not whether root may do everything: a test that needs more says so itself.
pub fn root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Where a program is, looked up in `PATH` and in the directories of system programs.
pub fn tool(name: &str) -> Option<PathBuf> {
    let path = variable("PATH").unwrap_or_default();
    let system = ["/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin", "/bin"];
    path.split(':')
        .chain(system)
        .filter(|directory| !directory.is_empty())
        .map(|directory| Path::new(directory).join(name))
        .find(|program| program.is_file())
}

/// Whether the running kernel is at least this version.
pub fn kernel(major: u32, minor: u32) -> bool {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let mut numbers = release.split(['.', '-']).map_while(|part| part.parse::<u32>().ok());
    (numbers.next(), numbers.next()) >= (Some(major), Some(minor))
}

/// How many processors this machine has.
pub fn processors() -> usize {
    thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// Whether tests that need luck should be tried until luck is no excuse: `DHOW_FULL=1`.
pub fn is_full() -> bool {
    variable("DHOW_FULL").is_some_and(|value| value != "0")
}

/// Says that the running test is skipped, and why.
#[expect(clippy::print_stderr, reason = "a skipped test must be heard of")]
pub fn skip(need: &str) {
    let name = thread::current().name().unwrap_or("a test").to_owned();
    eprintln!("skipped: {name} needs {need}");
    let Some(path) = variable("DHOW_SKIPS") else { return };
    let opened = OpenOptions::new().append(true).create(true).open(&path);
    // One write of one line, so that tests in parallel processes do not mix theirs.
    let line = format!("{name} needs {need}\n");
    if let Err(error) = opened.and_then(|mut file| file.write_all(line.as_bytes())) {
        eprintln!("cannot note that in {path}: {error}");
    }
}

/// Asks `ready` again and again until it answers or `limit` has passed.
pub fn eventually<T>(limit: Duration, mut ready: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + limit;
    let mut pause = Duration::from_micros(200);
    loop {
        if let Some(answer) = ready() {
            return Some(answer);
        }
        if Instant::now() >= end {
            return None;
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

/// A variable of the environment, unless it is empty: the one place where the kit reads it.
#[expect(clippy::disallowed_methods, reason = "the runner speaks to tests by the environment")]
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Skips the running test, aloud, where it does not run as root.
#[macro_export]
macro_rules! needs_root {
    () => {
        if !$crate::need::root() {
            $crate::need::skip("root");
            return;
        }
    };
}

/// Skips the running test, aloud, where one of the named programs is not installed.
#[macro_export]
macro_rules! needs_tool {
    ($($name:expr),+ $(,)?) => {
        $(
            if $crate::need::tool($name).is_none() {
                $crate::need::skip($name);
                return;
            }
        )+
    };
}

/// Skips the running test, aloud, unless the condition holds: `needs!(cond, "cgroup v2")`.
#[macro_export]
macro_rules! needs {
    ($holds:expr, $need:expr) => {
        if !$holds {
            $crate::need::skip($need);
            return;
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_is_found_or_it_is_not() {
        assert!(tool("sh").is_some());
        assert!(tool("no-such-program-anywhere").is_none());
    }

    #[test]
    fn versions_of_the_kernel_are_compared_as_numbers() {
        assert!(kernel(4, 19));
        assert!(!kernel(1000, 0));
    }

    #[test]
    fn a_test_with_a_missing_need_returns_before_its_body() {
        fn body(reached: &mut bool) {
            needs_tool!("sh", "no-such-program-anywhere");
            *reached = true;
        }
        let mut reached = false;

        body(&mut reached);

        assert!(!reached);
    }

    #[test]
    fn waiting_ends_with_the_answer_or_with_the_limit() {
        let mut asked = 0;
        let third = eventually(Duration::from_secs(5), || {
            asked += 1;
            (asked == 3).then_some(asked)
        });

        assert_eq!(third, Some(3));
        assert_eq!(eventually::<()>(Duration::from_millis(1), || None), None);
    }
}
