//! Attack tests 15 and 16 with images: who a word means, and account files of the container's that
//! are traps. The runtime's own are in the crate `selftest`.

use crate::fixture::{layout_of, start, with_box};
use dhow_testkit::{Canary, Dhow, Outcome, needs_root};
use std::{fs, os::unix::fs::symlink};

/// Words, and what they must mean to everybody who reads them; nothing where they are refused.
const WORDS: [(&str, Option<&str>); 20] = [
    ("0", Some("0 0")),
    ("00", Some("0 0")),
    ("000:00", Some("0 0")),
    ("root", Some("0 0")),
    ("user", Some("1000 1000")),
    ("1000", Some("1000 1000")),
    ("1000:root", Some("1000 0")),
    ("1000:0", Some("1000 0")),
    ("4711", Some("4711 0")),
    ("0042:7", Some("42 7")),
    ("+0", None),
    ("-0", None),
    (" 0", None),
    ("0 ", None),
    ("0x0", None),
    ("1e3", None),
    ("4294967295", None),
    ("4294967296", None),
    ("\u{660}", None),
    ("\u{ff10}", None),
];

const WHO: [&str; 3] = ["sh", "-c", "echo $(id -u) $(id -g)"];

fn assert_means(outcome: &Outcome, meant: Option<&str>, word: &str) {
    match meant {
        Some(numbers) => assert_eq!(outcome.line(), numbers, "user {word:?}: {outcome}"),
        None => {
            assert_ne!(outcome.code, 0, "user {word:?}: {outcome}");
            assert_eq!(outcome.stdout, "", "user {word:?}: {outcome}");
        }
    }
}

#[test]
fn a_user_is_the_same_to_exec_and_run_and_the_image() {
    needs_root!();
    let dhow = with_box();
    start(&dhow, &["--name", "web", "box", "sleep", "100"]);
    for (word, meant) in WORDS {
        let flag = format!("--user={word}");
        let executed = dhow.run(&[&["exec", &flag, "web"][..], &WHO].concat());
        assert_means(&executed, meant, word);
    }
    // The same reader for all: a few words show that it is asked.
    for (word, meant) in WORDS.iter().step_by(4) {
        let flag = format!("--user={word}");
        let ran = dhow.run(&[&["run", "-q", "--rm", &flag, "box"][..], &WHO].concat());
        assert_means(&ran, *meant, word);
    }
    for (number, word) in [(0, "+0"), (1, "1000:root")] {
        let name = format!("user{number}");
        let layout = layout_of(&dhow, &name, |image| image.set("User", word.into()));
        drop(dhow.run(&["pull", "-q", &layout.reference(&name)]).ok());
        let ran = dhow.run(&[&["run", "-q", "--rm", &name][..], &WHO].concat());
        let meant = WORDS.iter().find(|(known, _)| *known == word).and_then(|(_, meant)| *meant);
        assert_means(&ran, meant, word);
    }
}

/// Runs `dhow exec` by way of the probe, which measures: KiB of memory, milliseconds of processor.
fn measured(dhow: &Dhow, arguments: &[&str]) -> (Outcome, u64, u64) {
    let probe = dhow.directory().join("dhow-probe");
    if !probe.exists() {
        symlink(dhow.program(), &probe).unwrap();
    }
    let file = dhow.directory().join("used");
    let inner = dhow.command(arguments);
    let mut command = std::process::Command::new(probe);
    command.arg("measure").arg(&file).arg(inner.get_program()).args(inner.get_args());
    command.current_dir(dhow.directory());
    let outcome = dhow.finish(&mut command, b"");
    let used = fs::read_to_string(file).unwrap();
    let (kib, ms) = used.split_once(' ').unwrap();
    (outcome, kib.parse().unwrap(), ms.parse().unwrap())
}

#[test]
fn account_files_that_are_traps_cost_little_and_lead_nowhere() {
    needs_root!();
    let dhow = with_box();
    let canary = Canary::hatch(&dhow.directory().join("canary")).unwrap();
    start(&dhow, &["--name", "web", "box", "sleep", "1000"]);
    let many = if dhow_testkit::need::is_full() { 10_000_000 } else { 300_000 };
    let lines = format!("seq -f '%g:x:%g:%g::/:/bin/sh' {many} > FILE");
    let traps = [
        "truncate -s 10G FILE".to_owned(),
        lines,
        "mkfifo FILE".to_owned(),
        format!("ln -s {} FILE", canary.path().display()),
        "mkdir FILE".to_owned(),
        "mknod FILE c 1 5".to_owned(),
    ];
    for trap in &traps {
        for file in ["/etc/passwd", "/etc/group"] {
            let script = format!("rm -rf FILE; {trap}").replace("FILE", file);
            drop(dhow.run(&["exec", "--user=0:0", "web", "sh", "-c", &script]));

            // Accounts that cannot be read may be an error, or may be taken for none.
            let (outcome, kib, ms) =
                measured(&dhow, &["exec", "--user=nobody", "web", "cat", "/proc/self/status"]);

            assert!(kib <= 16 << 10, "{script}: {kib} KiB, {outcome}");
            assert!(ms <= 1000, "{script}: {ms} ms, {outcome}");
            assert!(!outcome.stdout.contains("belongs to the host"), "{outcome}");
        }
        let script = "rm -rf /etc/passwd /etc/group; echo root:x:0:0::/:/bin/sh > /etc/passwd";
        drop(dhow.run(&["exec", "--user=0:0", "web", "sh", "-c", script]));
    }
    canary.assert_alive();
}
