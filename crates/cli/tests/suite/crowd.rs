//! Many at once: whole lifecycles side by side, and containers that all start in one moment. No
//! command fails, and nothing is left of them.

use crate::fixture::with_box;
use dhow_testkit::{Dhow, need, needs_root};
use std::{
    ffi::OsString,
    path::Path,
    process::{Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

/// How many lives are led, unless this variable says how many: 10,000 is what was asked of dhow.
const LIVES: u32 = 128;
const LIVES_VARIABLE: &str = "DHOW_TEST_LIVES";
/// How many of them at a time.
const AT_A_TIME: u32 = 64;
/// How many containers start at once; 800 is what was asked of dhow.
const STARTS: u32 = 64;
const STARTS_VARIABLE: &str = "DHOW_TEST_STARTS";

/// A container's whole life, by six commands. What any of them prints on standard error is kept.
const LIFE: &str = r#"
name=$1; shift
set -e
"$@" create -q --name "$name" box sh -c 'echo up; exec sleep 1000' >/dev/null
"$@" start "$name" >/dev/null
test "$("$@" exec "$name" echo in)" = in
"$@" kill "$name" >/dev/null
test "$("$@" wait "$name")" = 137
"$@" rm "$name" >/dev/null
"#;

fn number(variable: &str, usual: u32) -> u32 {
    need::variable(variable).map_or(usual, |text| text.parse().expect("the number of them"))
}

/// The words that begin a command of this dhow's.
fn words(dhow: &Dhow) -> Vec<OsString> {
    let command = dhow.command(&[]);
    let arguments = command.get_args().map(OsString::from);
    // What else a command has in its environment is for it alone; this keeps the machine's network.
    let given = command.get_envs().filter_map(|(name, value)| Some((name, value?)));
    let given =
        given.filter(|(name, _)| *name == "CONTAINERS_CONF_OVERRIDE").map(|(name, value)| {
            let mut word = name.to_owned();
            word.push("=");
            word.push(value);
            word
        });
    let env = std::iter::once(OsString::from("env")).chain(given);
    env.chain(std::iter::once(command.get_program().into())).chain(arguments).collect()
}

/// Runs a script so many times, side by side; what the failed ones said.
fn side_by_side(script: &str, words: &[OsString], count: u32, at_a_time: u32) -> Vec<String> {
    let next = AtomicU32::new(0);
    let work = || {
        let mut failed = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= count {
                return failed;
            }
            let mut command = Command::new("sh");
            command.args(["-c", script, "sh", &format!("c{number}")]).args(words);
            let output = command.stdin(Stdio::null()).output().unwrap();
            if !output.status.success() {
                let said = String::from_utf8_lossy(&output.stderr);
                failed.push(format!("c{number}: {}: {said}", output.status));
            }
        }
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..at_a_time).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    })
}

/// Bytes of a directory and all below it, without the database, which keeps what it has grown to.
fn used(directory: &Path) -> u64 {
    let mut total = 0;
    for entry in std::fs::read_dir(directory).unwrap().flatten() {
        let meta = entry.metadata().unwrap();
        let name = entry.file_name();
        if meta.is_dir() {
            total += used(&entry.path());
        } else if !name.to_string_lossy().starts_with("state.db") {
            total += meta.len();
        }
    }
    total
}

#[test]
fn lives_side_by_side_meet_no_error_and_leave_nothing() {
    needs_root!();
    let dhow = with_box();
    let words = words(&dhow);
    // The first makes what stays, such as directories.
    assert_eq!(side_by_side(LIFE, &words, 1, 1), Vec::<String>::new());
    let before = (used(&dhow.root()), used(&dhow.runroot()));

    let failed = side_by_side(LIFE, &words, number(LIVES_VARIABLE, LIVES), AT_A_TIME);

    assert!(failed.is_empty(), "{} failed, such as {}", failed.len(), failed[0]);
    assert_eq!(dhow.run(&["ps", "-aq"]).ok().stdout, "");
    assert_eq!(dhow.run(&["doctor"]).ok().stdout, "all is well\n");
    assert_eq!((used(&dhow.root()), used(&dhow.runroot())), before);
    dhow.assert_clean();
}

#[test]
fn many_start_in_one_moment() {
    needs_root!();
    let dhow = with_box();
    let words = words(&dhow);
    let count = number(STARTS_VARIABLE, STARTS);
    let create = r#"name=$1; shift; "$@" create -q --name "$name" box sleep 1000"#;
    assert_eq!(side_by_side(create, &words, count, 8), Vec::<String>::new());

    let start = r#"name=$1; shift; "$@" start "$name""#;
    let failed = side_by_side(start, &words, count, count);

    assert!(failed.is_empty(), "{} failed, such as {}", failed.len(), failed[0]);
    let running = dhow.run(&["ps", "-q"]).ok().stdout;
    assert_eq!(running.lines().count(), count as usize);
    drop(dhow.run(&["rm", "-fa"]).ok());
    assert_eq!(dhow.run(&["doctor"]).ok().stdout, "all is well\n");
    dhow.assert_clean();
}
