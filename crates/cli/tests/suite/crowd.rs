//! Many at once: whole lifecycles side by side, and containers that all start in one moment. No
//! command fails, and nothing is left of them.

use crate::fixture::{SOON, with_box, with_networked_box};
use dhow_testkit::{Dhow, HostNetwork, need, needs_root};
use std::{
    collections::BTreeSet,
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

/// How often the program is replaced by another one, which is a copy, while lives go on.
const UPGRADES: u32 = 4;
const UPGRADES_VARIABLE: &str = "DHOW_TEST_UPGRADES";

/// A life that goes on over an upgrade: `$1` has begun it, and `$2` ends it.
const LONG_LIFE: &str = r#"
name=$1; program=$2; next=$3; shift 3
set -e
"$program" "$@" run -d -q --name "$name" --restart always box sh -c 'echo up; exec sleep 1000' >/dev/null
test "$("$next" "$@" exec "$name" echo in)" = in
"$next" "$@" restart -t 0 "$name" >/dev/null
"$program" "$@" stop -t 0 "$name" >/dev/null
test "$("$next" "$@" logs "$name" | tail -n 1)" = up
"$next" "$@" rm -v "$name" >/dev/null
"#;

/// The most memory that the monitor of a container has, in KiB.
fn largest_monitor_kib(dhow: &Dhow) -> u64 {
    let lives = std::fs::read_dir(dhow.runroot().join("containers")).unwrap().flatten();
    let started = lives.map(|life| std::fs::read_to_string(life.path().join("started.json")));
    let kib = started.map(|text| {
        let started: serde_json::Value = serde_json::from_str(&text.unwrap()).unwrap();
        let path = format!("/proc/{}/smaps_rollup", started["monitor_pid"]);
        let memory = std::fs::read_to_string(path).unwrap();
        let pss = memory.lines().find_map(|line| line.strip_prefix("Pss:")).unwrap();
        pss.trim().trim_end_matches(" kB").parse::<u64>().unwrap()
    });
    kib.max().unwrap()
}

/// Attack test 44: lives by 64 at a time while the program is replaced again and again. No command fails;
/// who was there before the first of them is as it was; nothing grows.
#[test]
fn lives_go_on_while_the_program_is_replaced() {
    needs_root!();
    let dhow = with_box();
    drop(dhow.run(&["run", "-d", "-q", "--name", "old", "box", "sleep", "100000"]).ok());
    let programs: Vec<_> =
        (0..2).map(|one| dhow.directory().join(format!("program-{one}"))).collect();
    let begin = words(&dhow);
    let place = begin.iter().position(|word| word == dhow.program().as_os_str()).unwrap();
    let (env, globals) = (&begin[..place], &begin[place + 1..]);
    let (upgrades, lives) = (number(UPGRADES_VARIABLE, UPGRADES), number(LIVES_VARIABLE, LIVES));
    let mut sizes = Vec::new();
    for upgrade in 0..upgrades {
        let (now, next) = (&programs[upgrade as usize % 2], &programs[(upgrade as usize + 1) % 2]);
        for program in [now, next] {
            // As a package manager does it: another file, under the same name.
            let fresh = program.with_extension("new");
            std::fs::copy(dhow.program(), &fresh).unwrap();
            std::fs::rename(&fresh, program).unwrap();
        }
        let line = format!("exec {} sh -c \"$LIFE\" sh \"$@\"", env_words(env));
        let mut words = vec![OsString::from(now), OsString::from(next)];
        words.extend(globals.iter().cloned());
        let script = format!("LIFE='{}'; export LIFE; {line}", LONG_LIFE.replace('\'', "'\\''"));

        let failed = side_by_side(&script, &words, lives / upgrades, AT_A_TIME);

        assert!(failed.is_empty(), "{} failed, such as {}", failed.len(), failed[0]);
        assert_eq!(
            dhow.run(&["ps", "-a", "--format", "{{.Names}} {{.State}}"]).ok().stdout,
            "old running\n"
        );
        assert_eq!(dhow.run(&["doctor"]).ok().stdout, "all is well\n");
        sizes.push((used(&dhow.root()), used(&dhow.runroot()), largest_monitor_kib(&dhow)));
    }

    let (first, last) = (sizes[0], sizes[sizes.len() - 1]);
    assert_eq!((first.0, first.1), (last.0, last.1), "{sizes:?}");
    assert!(last.2 <= first.2 + 64, "{sizes:?}");
    drop(dhow.run(&["rm", "-f", "old"]).ok());
    dhow.assert_clean();
}

fn env_words(words: &[OsString]) -> String {
    let quoted = |word: &OsString| format!("'{}'", word.to_string_lossy());
    words.iter().map(quoted).collect::<Vec<_>>().join(" ")
}

#[test]
fn many_share_one_network() {
    if !HostNetwork::is_possible() {
        return;
    }
    let dhow = with_networked_box();
    drop(dhow.run(&["network", "create", "--ipv6", "--subnet", "10.90.0.0/16", "crowd"]).ok());
    let before = dhow.host().output(&["nft", "list", "ruleset"]);
    let words = words(&dhow);
    let count = number(STARTS_VARIABLE, STARTS);

    let run = r#"name=$1; shift
        "$@" run -d -q --name "$name" --network crowd -p 80 box sleep 1000 >/dev/null"#;
    let failed = side_by_side(run, &words, count, 16);

    assert!(failed.is_empty(), "{} failed, such as {}", failed.len(), failed[0]);
    let template = "{{.NetworkSettings.Networks.crowd.IPAddress}} \
                    {{.NetworkSettings.Networks.crowd.GlobalIPv6Address}}";
    let ids = dhow.run(&["ps", "-q"]).ok().stdout;
    let ids: Vec<&str> = ids.lines().collect();
    let told = dhow.run(&[&["inspect", "--format", template], &ids[..]].concat()).ok().stdout;
    let addresses: BTreeSet<&str> = told.split_whitespace().collect();
    assert_eq!((ids.len(), addresses.len()), (count as usize, 2 * count as usize));
    let ports = dhow.host().output(&["nft", "list", "map", "inet", "dhow", "ports4"]);
    assert_eq!(ports.matches(" . 80").count(), count as usize);

    drop(dhow.run(&["rm", "-f", "-a", "-t", "0"]).ok());
    // The kernel takes namespaces down with their devices in its own time.
    let are_gone =
        || (!dhow.host().output(&["ip", "-brief", "link"]).contains("dv-")).then_some(());
    need::eventually(SOON, are_gone).expect("the devices go with their namespaces");
    let ports = dhow.host().output(&["nft", "list", "map", "inet", "dhow", "ports4"]);
    assert!(!ports.contains(" . 80"), "{ports}");
    let connected = dhow.run(&["network", "inspect", "--format", "{{len .Containers}}", "crowd"]);
    assert_eq!(connected.ok().line(), "0");
    assert_eq!(dhow.run(&["doctor"]).ok().stdout, "all is well\n");
    drop(dhow.run(&["network", "rm", "crowd"]).ok());
    assert_eq!(before, "");
    assert_eq!(dhow.host().output(&["nft", "list", "ruleset"]), before);
    dhow.assert_clean();
}
