//! Where docker and podman disagree with dhow, or with each other: one row a step.
//!
//! `docs/differences.md` has the same rows, in the table of what is tried; the test below says what
//! it should be.

use crate::steps::Difference as Listed;
use std::fmt::Write;

/// A step that not all engines pass.
struct Difference {
    step: &'static str,
    /// What each does, if it does not do what the step promises.
    docker: Option<&'static str>,
    podman: Option<&'static str>,
    /// Why dhow does what it does.
    why: &'static str,
}

const fn docker(step: &'static str, instead: &'static str, why: &'static str) -> Difference {
    Difference { step, docker: Some(instead), podman: None, why }
}

const fn podman(step: &'static str, instead: &'static str, why: &'static str) -> Difference {
    Difference { step, docker: None, podman: Some(instead), why }
}

const fn both(
    step: &'static str,
    docker: &'static str,
    podman: &'static str,
    why: &'static str,
) -> Difference {
    Difference { step, docker: Some(docker), podman: Some(podman), why }
}

/// All that are known.
const DIFFERENCES: &[Difference] = &[
    podman("run -u: a user that the image has not is the engine's fault", "126", DOCKERS),
    podman("wait: goes on after one that is missing", NOT_ONE, GOES_ON),
    podman("logs --tail all: every line", "knows numbers only", DOCKERS),
    podman("logs -n: the last lines", "`-n` tells the names", DOCKERS),
    podman(
        "logs --until 1h: what was said until an hour ago",
        "until an hour from now",
        "`--since 1h` is an hour ago as well",
    ),
    docker(
        "exec: 127 is a program that is missing",
        "126",
        "127 is what `run` says of it, podman's `exec`, and docker's since 25",
    ),
    podman("start: goes on after one that is missing", NOT_ONE, GOES_ON),
    podman("stop: several, going on after one that is missing", NOT_ONE, GOES_ON),
    podman("pause: what is paused counts as running", "`Running` is false", DOCKERS),
    podman("stop: what is paused can be stopped", "refused", "whoever stops it wants it stopped"),
    podman("rm: goes on after one that is missing", NOT_ONE, GOES_ON),
    podman(
        "run --health-cmd: the check is made by itself",
        "by timers of systemd, or not at all",
        "the monitor is there anyway",
    ),
    podman("top: the processes, with the columns of ps -ef", "fields of its own", DOCKERS),
    podman(
        "top: pid is the host's number",
        "the container's; `ps` runs in it",
        "no program of the image's is needed; podman's fields are there by name",
    ),
    podman("stats: sizes are counted in 1,024", "in 1,000", DOCKERS),
    podman("update: inspect tells the new limits", "the old ones", "they hold no more"),
    podman("update --restart: another policy", "no such flag; podman 5 has it", DOCKERS),
    podman("port: of a port that is not published is an error", "says nothing", DOCKERS),
    podman(
        "events: what became of a container, in order",
        "the field is `{{.Status}}`, the end `died` and `remove`",
        "docker's names; podman's are taken by filters",
    ),
    podman("events: the end has the exit code", "`{{.ContainerExitCode}}`", DOCKERS),
    podman("ps --filter volume=: also by the place in the container", "by names only", DOCKERS),
    podman("ps -a: the newest first", "the oldest first", DOCKERS),
    podman("ps: a command is in quotes", "without", DOCKERS),
    podman("ps --format: states are words", "`{{.State}}` is the status", DOCKERS),
    both(
        "ps --format json: one object a line",
        "nothing; docker 23 and later have it",
        "one array",
        "docker's since 23",
    ),
    podman("ps --format: {{json .}} is a row with docker's fields", "its own fields", DOCKERS),
    podman("ps --format: labels are a text, and one of them a method", "a map", DOCKERS),
    podman("inspect: the name begins with a slash", "without", DOCKERS),
    podman("inspect: Entrypoint is a list, and null where there is none", "a text", DOCKERS),
    podman("inspect: moments are RFC 3339 in UTC", "in templates as Go writes them", DOCKERS),
    podman("history: the first column is IMAGE", "`ID`", DOCKERS),
    podman("version --format: client and server", "one version", "docker's, of one program"),
    podman("info --format: docker's fields", "its own fields", BOTH),
    docker("info --format: podman's fields", "its own fields", BOTH),
    docker("container exists: tells by the exit code", "no such command", PODMANS),
    podman("cp -L: what a link leads to", "no such flag", DOCKERS),
    podman("cp: a link is copied as a link", "what it leads to", DOCKERS),
    docker(
        "cp: what goes into a container is root's",
        "keeps numbers of owner and group",
        "docker's manual and podman say so",
    ),
    podman("cp -a: owners stay", "root's", DOCKERS),
    docker("cp: from one container to another", "refused", PODMANS),
    both(
        "diff: nothing where nothing was changed",
        "lists what was made to mount on",
        "lists what was made to mount on",
        "the container has not changed it",
    ),
    podman("commit -m: a message in the history", "with `--format docker` only", DOCKERS),
    docker(
        "run -h: the name is in /etc/hosts, also without a network",
        "with an address only",
        "programs look their own name up",
    ),
    podman("inspect: the stop signal is written as it was", "a number", DOCKERS),
    podman("inspect: Cmd and Entrypoint are the merged ones", "the entry point is a text", DOCKERS),
    podman("run -w: a directory that is missing is made", "refused", DOCKERS),
    podman(
        "inspect: capabilities, ulimits and options of security as they were typed",
        "with `CAP_` and `RLIMIT_`",
        DOCKERS,
    ),
    podman("run -v: a directory of the host that is missing is made", "refused", DOCKERS),
    podman("run --tmpfs: nothing runs from it unless asked", "programs run from it", DOCKERS),
    podman(
        "run --tmpfs: begins empty",
        "begins with what it hides",
        "docker's; `tmpcopyup` asks for podman's",
    ),
    podman(
        "run --read-only: /tmp is part of the root",
        "/tmp, /run and /var/tmp can be written",
        "docker's; `--read-only-tmpfs` asks for podman's",
    ),
    podman("run: shared memory of 64 MiB", "65,536,000 bytes", DOCKERS),
    podman("volume create: of one that is there is no error", "an error", DOCKERS),
    podman("run -v: a volume that has become empty is filled again", "once only", DOCKERS),
    both(
        "volume prune: never what has a name",
        "removes it; docker 23 and later ask for `--all`",
        "removes it",
        "a volume is the one precious thing",
    ),
    docker("secret create, ls, inspect, rm", "of a swarm only", PODMANS),
    docker("run --secret: a file, or a variable", "of a swarm only", PODMANS),
    docker("pod create, ps, inspect, exists", NO_PODS, PODMANS),
    docker("run --pod: containers share what the pod shares", NO_PODS, PODMANS),
    docker("pod stop, start, kill, rm", NO_PODS, PODMANS),
];

const DOCKERS: &str = "docker's";
const PODMANS: &str = "podman's";
const BOTH: &str = "both are there";
const NOT_ONE: &str = "not one of them, if one is missing";
const GOES_ON: &str = "docker's: what can be done is done";
const NO_PODS: &str = "has no pods";

/// The same as steps know them.
pub(super) fn differences() -> Vec<Listed> {
    let of_one = |row: &Difference| {
        let one = |who, instead: Option<&'static str>| Some((who, row.step, instead?));
        [one("docker", row.docker), one("podman", row.podman)]
    };
    DIFFERENCES.iter().flat_map(of_one).flatten().collect()
}

/// The table for readers.
fn table() -> String {
    let mut text =
        "| promised | docker 20.10 | podman 4.3 | why dhow does so |\n|---|---|---|---|\n"
            .to_owned();
    for row in DIFFERENCES {
        let (docker, podman) = (row.docker.unwrap_or("✓"), row.podman.unwrap_or("✓"));
        let _written = writeln!(
            text,
            "| `{}`{} | {docker} | {podman} | {} |",
            command(row.step).0,
            command(row.step).1,
            row.why
        );
    }
    text
}

/// A step's name in two: the command and what it promises.
fn command(step: &str) -> (&str, &str) {
    step.split_once(':').map_or((step, ""), |(command, _)| (command, &step[command.len()..]))
}

#[test]
fn the_page_has_the_rows_that_are_tried() {
    let page = include_str!("../../../../../docs/differences.md");

    assert!(page.contains(&table()), "docs/differences.md should hold:\n\n{}", table());
}
