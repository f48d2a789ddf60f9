//! Attack test 43: a system call fails in the middle of an operation, as on a full disk, a broken one,
//! with no fd or no memory left. The operation says so or succeeds, the doctor is content, and the
//! retry succeeds.

use crate::{
    fixture::{with_box, with_networked_box},
    torment::Dice,
};
use dhow_testkit::{Dhow, HostNetwork, Outcome, need, needs_root, needs_tool, outcome};
use std::{process::Command, time::Duration};

/// How often each fault is tried in each operation, unless this variable says so.
const TRIES: u64 = 1;
const TRIES_VARIABLE: &str = "DHOW_TEST_FAULTS";

/// How long an operation may take in which something fails.
const LIMIT: Duration = Duration::from_secs(60);

/// Calls, how they fail, and how often a process makes them at most in an operation.
const FAULTS: [(&str, &str, u64); 12] = [
    ("openat", "EMFILE", 40),
    ("openat2", "EMFILE", 20),
    ("mkdir,mkdirat", "ENOSPC", 6),
    ("write", "ENOSPC", 20),
    ("pwrite64", "ENOSPC", 20),
    ("fsync,fdatasync", "EIO", 6),
    ("rename,renameat,renameat2", "EIO", 3),
    ("unlink,unlinkat,rmdir", "EIO", 6),
    ("mmap", "ENOMEM", 30),
    ("clone,clone3,vfork", "EAGAIN", 2),
    ("mount,fsmount,move_mount", "EIO", 8),
    ("connect,socket,socketpair", "EMFILE", 3),
];

/// An operation, what has to be there for it, and what is there when it has succeeded.
struct Operation<'a> {
    line: &'a [&'a str],
    before: &'a dyn Fn(),
    after: &'a dyn Fn(),
}

/// Runs a command whose nth call of a kind fails, in each of its processes.
fn with_fault(dhow: &Dhow, line: &[&str], fault: (&str, &str, u64), nth: u64) -> Outcome {
    let plain = dhow.command(line);
    let (calls, error, _) = fault;
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={calls}")]);
    command.args(["-e", &format!("inject={calls}:error={error}:when={nth}")]);
    command.arg(plain.get_program()).args(plain.get_args()).current_dir(dhow.directory());
    let result = outcome::run(&mut command, b"", LIMIT);
    result.unwrap_or_else(|error| panic!("{line:?}, {fault:?} {nth}: {}", error.one_line()))
}

/// Tries each fault in each operation. The doctor has to be content after it, and the retry to succeed.
fn try_faults(dhow: &Dhow, operations: &[Operation<'_>], faults: &[(&str, &str, u64)]) {
    let tries =
        need::variable(TRIES_VARIABLE).map_or(TRIES, |count| count.parse().expect("a number"));
    let mut dice = Dice(43);
    let mut struck = 0;
    for operation in operations {
        let Operation { line, before, after } = operation;
        for fault in faults {
            for _ in 0..tries {
                let nth = 1 + dice.throw() % fault.2;
                before();

                let outcome = with_fault(dhow, line, *fault, nth);

                struck += u32::from(outcome.code != 0);
                let doctor = dhow.run(&["doctor"]);
                let what = format!("{line:?}, {fault:?} {nth}: {outcome}\n{}", doctor.stderr);
                assert_eq!(doctor.stdout, "all is well\n", "{what}");
                before();
                drop(dhow.run(line).ok());
                after();
            }
        }
    }
    assert!(struck > 0, "no fault was noticed");
}

#[test]
fn a_call_that_fails_leaves_nothing_that_is_not_mended() {
    needs_root!();
    needs_tool!("strace");
    let dhow = with_box();
    let none = || drop(dhow.run(&["rm", "-fa"]).ok());
    let made = || {
        none();
        drop(dhow.run(&["create", "-q", "--name", "web", "box", "true"]).ok());
    };
    let running = || {
        none();
        let line = ["run", "-d", "-q", "--name", "web", "box", "sleep", "1000"];
        drop(dhow.run(&line).ok());
    };
    let no_volume = || drop(dhow.run(&["volume", "rm", "-f", "data"]).ok());
    let state = || dhow.run(&["inspect", "--format", "{{.State.Status}}", "web"]).line().to_owned();
    let is_gone = || assert_eq!(dhow.run(&["ps", "-aq"]).ok().stdout, "");
    let is = |word: &'static str| move || assert_eq!(state(), word);
    let (is_made, has_ended, still_runs) = (is("created"), is("exited"), is("running"));
    let has_volume = || drop(dhow.run(&["volume", "inspect", "data"]).ok());
    let operations = [
        Operation { line: &["run", "--rm", "-q", "box", "true"], before: &none, after: &is_gone },
        Operation {
            line: &["create", "-q", "--name", "web", "box", "true"],
            before: &none,
            after: &is_made,
        },
        Operation { line: &["start", "-a", "web"], before: &made, after: &has_ended },
        Operation { line: &["exec", "web", "true"], before: &running, after: &still_runs },
        Operation { line: &["stop", "-t", "0", "web"], before: &running, after: &has_ended },
        Operation { line: &["rm", "-f", "web"], before: &running, after: &is_gone },
        Operation { line: &["commit", "-q", "web", "made"], before: &running, after: &still_runs },
        Operation { line: &["volume", "create", "data"], before: &no_volume, after: &has_volume },
    ];
    try_faults(&dhow, &operations, &FAULTS);
    none();
    no_volume();
    drop(dhow.run(&["rmi", "-af"]).ok());
    assert_eq!(dhow.run(&["system", "check"]).ok().stdout, "all is well\n");
    dhow.assert_clean();
}

/// Calls by which the kernel is told of networks, and how they fail.
const NETWORK_FAULTS: [(&str, &str, u64); 5] = [
    ("socket", "EMFILE", 6),
    ("sendto,sendmsg", "ENOBUFS", 12),
    ("recvfrom,recvmsg", "ENOMEM", 12),
    ("openat", "EMFILE", 40),
    ("write,pwrite64", "ENOSPC", 20),
];

#[test]
fn a_call_that_fails_leaves_nothing_of_a_network() {
    needs_tool!("strace");
    if !HostNetwork::is_possible() {
        return;
    }
    let dhow = with_networked_box();
    let create: &[&str] = &["network", "create", "--ipv6", "front"];
    let none = || drop(dhow.run(&["network", "rm", "-f", "front"]).ok());
    let made = || {
        none();
        drop(dhow.run(create).ok());
    };
    let is_there = || drop(dhow.run(&["network", "inspect", "front"]).ok());
    let is_gone = || {
        drop(dhow.run(&["network", "inspect", "front"]).exits(1));
        let links = dhow.host().output(&["ip", "-brief", "link"]);
        assert!(!links.contains("dv-"), "{links}");
    };
    let port = ["run", "--rm", "-q", "--network", "front", "-p", "7080:80", "box", "true"];
    let connect = ["network", "connect", "front", "web"];
    drop(dhow.run(&["create", "-q", "--name", "web", "box", "true"]).ok());
    let apart = || {
        drop(dhow.run(&["network", "disconnect", "front", "web"]));
        made();
    };
    let operations = [
        Operation { line: create, before: &none, after: &is_there },
        Operation { line: &["network", "rm", "front"], before: &made, after: &is_gone },
        Operation { line: &port, before: &made, after: &is_there },
        Operation { line: &connect, before: &apart, after: &is_there },
    ];

    try_faults(&dhow, &operations, &NETWORK_FAULTS);

    drop(dhow.run(&["rm", "-fa"]).ok());
    none();
    drop(dhow.run(&["network", "prune", "-f"]).ok());
    assert_eq!(dhow.host().output(&["nft", "list", "ruleset"]), "");
    dhow.assert_clean();
}
