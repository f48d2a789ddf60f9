//! A test's end, held against the table of differences.
//!
//! | the test | not listed | listed |
//! |---|---|---|
//! | passes | well | the row is no longer true: fails |
//! | fails | fails | well: differs as listed |
//!
//! Where `DHOW_CONFORMANCE` names a file (`cargo xtask test` sets it), a line goes there for each
//! test, from which the closing report counts.

use crate::{
    difference::{self, Difference},
    runtime::{Name, Runtime},
};
use dhow_testkit::need;
use std::{
    any::Any,
    fs::OpenOptions,
    io::Write,
    panic::{self, AssertUnwindSafe},
};

/// What ends a test that lacks something of the machine.
struct Missing(&'static str);

/// Ends the running test, which counts as skipped, unless the condition holds.
pub fn requires(holds: bool, what: &'static str) {
    if !holds {
        panic::resume_unwind(Box::new(Missing(what)));
    }
}

/// Whether the owners of a bind mount can be mapped wherever the bundle lies: on a tmpfs since Linux
/// 6.3.
pub fn maps_owners() -> bool {
    need::kernel(6, 3)
}

/// Runs a test against a runtime and panics where the end is not the listed one.
pub fn judge(name: Name, module: &str, body: fn(&Runtime)) {
    let Some(runtime) = runtime(name) else { return };
    let test = test_of(module);
    let listed = difference::of(name, test);
    match (panic::catch_unwind(AssertUnwindSafe(|| body(&runtime))), listed) {
        (Err(end), _) if end.is::<Missing>() => need::skip(missing_of(&*end)),
        (Ok(()), None) => note(name, "passed"),
        (Err(_), Some(_)) => note(name, "differs"),
        (Err(end), None) => panic::resume_unwind(end),
        (Ok(()), Some(row)) => panic!("{}", outdated(row)),
    }
}

/// The runtime, in the version whose differences are listed. Without it, or without what every test
/// needs, the running test is skipped aloud.
pub(crate) fn runtime(name: Name) -> Option<Runtime> {
    if let Some(missing) = missing_tool() {
        need::skip(missing);
        return None;
    }
    let Some(runtime) = Runtime::find(name) else {
        need::skip(name.text());
        return None;
    };
    let version = name.tested_version();
    if version.is_some_and(|version| runtime.version() != version) {
        need::skip("the version of it whose differences are listed");
        return None;
    }
    Some(runtime)
}

/// The tools without which nothing runs.
fn missing_tool() -> Option<&'static str> {
    if !need::root() {
        return Some("root");
    }
    ["busybox", "unshare"].into_iter().find(|tool| need::tool(tool).is_none())
}

fn missing_of(end: &dyn Any) -> &'static str {
    end.downcast_ref::<Missing>().map_or("something", |missing| missing.0)
}

fn outdated(row: &Difference) -> String {
    format!(
        "{} passes {} now; take its row out of crates/conformance/src/difference.rs",
        row.runtime, row.test
    )
}

/// The test's name without its crate's.
fn test_of(module: &str) -> &str {
    module.split_once("::").map_or(module, |(_, test)| test)
}

/// Tells the closing report how a test ended.
pub(crate) fn note(name: Name, end: &str) {
    let Some(path) = need::variable("DHOW_CONFORMANCE") else { return };
    let opened = OpenOptions::new().append(true).create(true).open(path);
    // One write of one line, so that tests in parallel processes do not mix theirs.
    let _noted = opened.and_then(|mut file| file.write_all(format!("{name} {end}\n").as_bytes()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_need_is_told_apart_from_a_failure() {
        let end = panic::catch_unwind(|| requires(false, "a unicorn")).unwrap_err();

        assert!(end.is::<Missing>());
        assert_eq!(missing_of(&*end), "a unicorn");
        requires(true, "nothing");
    }

    #[test]
    fn a_test_is_called_by_its_path_in_the_suite() {
        assert_eq!(test_of("suite::process::args"), "process::args");
    }
}
