//! The suite: one file a feature. Where a test quotes, it is the OCI runtime specification, by the
//! file and section of its text.

#![expect(clippy::unwrap_used, reason = "a test panics with what went wrong")]

mod calls;
mod cgroups;
mod devices;
mod exec;
mod features;
mod hooks;
mod lifecycle;
mod mounts;
mod namespaces;
mod process;
mod root;
mod rootless;
mod scheduling;
mod seccomp;
mod side_by_side;
mod terminal;
mod user;

use dhow_conformance::{Bundle, Runtime, comparison, difference};
use dhow_testkit::need;
use std::{collections::BTreeSet, process::Command};

/// A bundle with the probe in it.
fn bundle(runtime: &Runtime) -> Bundle<'_> {
    let probe = need::variable("CONFORMANCE_PROBE");
    Bundle::new(runtime, probe.as_deref().unwrap_or(env!("CARGO_BIN_EXE_conformance-probe")))
}

/// A row about a test that is gone would never be found untrue.
#[test]
fn every_listed_difference_is_about_a_test_of_the_suite() {
    let output = Command::new(std::env::current_exe().unwrap()).arg("--list").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let tests: BTreeSet<&str> =
        text.lines().filter_map(|line| line.strip_suffix(": test")).collect();

    let mut seen = BTreeSet::new();
    for row in difference::DIFFERENCES {
        let test = format!("{}::{}", row.test, row.runtime);
        assert!(tests.contains(test.as_str()), "there is no test {test}");
        assert!(seen.insert(test), "{row:?} is listed twice");
        assert!(!row.instead.is_empty() && !row.decides.is_empty(), "{row:?} gives no reason");
    }
    for row in comparison::EXPLAINED {
        let end = format!("::{}::{}", row.subject, row.peer);
        assert!(tests.iter().any(|test| test.ends_with(&end)), "there is no test {end}");
        assert!(!row.why.is_empty(), "{row:?} gives no reason");
    }
}
