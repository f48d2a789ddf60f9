//! What goes in and out: `run`, `start`, `attach`, `exec`, `logs`, `wait`.

use crate::{
    engine::{BOX, Engine, SOON},
    steps::Steps,
};
use dhow_testkit::need;
use std::fs;

/// What all bytes are, several times over.
fn bytes() -> Vec<u8> {
    (0..=u8::MAX).cycle().take(300_000).collect()
}

pub(super) fn steps(engine: &Engine<'_>, steps: &mut Steps) {
    runs(engine, steps);
    names(engine, steps);
    starts(engine, steps);
    logs(engine, steps);
    execs(engine, steps);
    engine.remove_all();
}

fn runs(engine: &Engine<'_>, steps: &mut Steps) {
    steps.step("run: output, errors, input and the exit code are the program's", || {
        let script = "cat; echo no >&2; exit 7";
        let words = ["run", "--rm", "-i", "--network", "none", BOX, "sh", "-c", script];
        let outcome = engine.run_with_input(&words, b"in\n").exits(7);
        assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), ("in\n", "no\n"));
    });
    steps.step("run -i: bytes go through as they are", || {
        let words = ["run", "--rm", "-i", "--network", "none", BOX, "cat"];
        assert!(engine.run_with_input(&words, &bytes()).ok().bytes == bytes());
    });
    steps.step("run: without -i there is no input", || {
        let words = ["run", "--rm", "--network", "none", BOX, "cat"];
        assert_eq!(engine.run_with_input(&words, b"in\n").ok().stdout, "");
    });
    steps.step("run: 125 is the engine's fault, 126 and 127 the program's", || {
        drop(engine.once(&["--no-such-option", BOX, "true"]).exits(125));
        drop(engine.once(&["-v", "relative/path:/x", BOX, "true"]).exits(125));
        drop(engine.once(&["-m", "lots", BOX, "true"]).exits(125));
        drop(engine.once(&[BOX, "/etc/passwd"]).exits(126));
        drop(engine.once(&[BOX, "nothere"]).exits(127));
    });
    steps.step("run -u: a user that the image has not is the engine's fault", || {
        drop(engine.once(&["-u", "nobody-here", BOX, "true"]).exits(125));
    });
    steps.step("run: a signal is 128 and its number", || {
        drop(engine.once(&["--init", BOX, "sh", "-c", "kill -KILL $$"]).exits(137));
        drop(engine.once(&["--init", BOX, "sh", "-c", "kill -TERM $$"]).exits(143));
    });
    steps.step("run --pull never: an image that is not here is an error", || {
        drop(engine.once(&["--pull", "never", "box.example/gone:1", "true"]).exits(125));
    });
    steps.step("run -t: both streams are one, with the terminal's line ends", || {
        let outcome = engine.once(&["-t", BOX, "sh", "-c", "echo out; echo err >&2"]).ok();
        assert_eq!(outcome.stdout, "out\r\nerr\r\n");
    });
    steps.step("run -a: only the named stream is given", || {
        let outcome = engine.once(&["-a", "stderr", BOX, "sh", "-c", "echo out; echo err >&2"]);
        let outcome = outcome.ok();
        assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), ("", "err\n"));
    });
}

fn names(engine: &Engine<'_>, steps: &mut Steps) {
    steps.step("run -d: prints the whole id and nothing else", || {
        let words = ["run", "-d", "--name", "detached", "--network", "none", BOX, "sleep", "1000"];
        let outcome = engine.run(&words).ok();
        assert_eq!(outcome.line().len(), 64);
        assert_eq!(outcome.stdout.lines().count(), 1);
        assert_eq!(engine.inspect("detached", ".Id"), outcome.line());
        assert_eq!(engine.inspect(&outcome.line()[..12], ".State.Running"), "true");
    });
    steps.step("run --name: a name is given once", || {
        drop(engine.once(&["--name", "detached", BOX, "true"]).exits(125));
        drop(engine.once(&["--name", "not/a/name", BOX, "true"]).exits(125));
    });
    steps.step("run --cidfile: has the id, and may not be there", || {
        let path = engine.world.shared().join("cid").display().to_string();
        let words = ["--cidfile", &path, BOX, "true"];
        drop(engine.run(&[&["run", "--name", "cid", "--network", "none"], &words[..]].concat()));
        assert_eq!(fs::read_to_string(&path).unwrap().trim(), engine.inspect("cid", ".Id"));
        drop(engine.once(&words).exits(125));
    });
    steps.step("run --rm: nothing stays; without it the container does", || {
        drop(engine.once(&["--name", "gone", BOX, "true"]).ok());
        engine.fails(&["inspect", "gone"]);
        drop(engine.run(&["run", "--name", "stays", "--network", "none", BOX, "true"]).ok());
        assert_eq!(engine.inspect("stays", ".State.Status"), "exited");
    });
    steps.step("run --rm: volumes without a name go, named ones stay", || {
        drop(engine.once(&["-v", "/x", "-v", "named:/y", BOX, "true"]).ok());
        assert_eq!(engine.said(&["volume", "ls", "-q"]), "named");
        drop(engine.run(&["volume", "rm", "named"]).ok());
    });
}

fn starts(engine: &Engine<'_>, steps: &mut Steps) {
    steps.step("start -a: output and exit code of what was created", || {
        engine.create("attached", &[BOX, "sh", "-c", "echo out; echo err >&2; exit 6"]);
        let outcome = engine.run(&["start", "-a", "attached"]).exits(6);
        assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), ("out\n", "err\n"));
        drop(engine.run(&["start", "--attach", "attached"]).exits(6));
    });
    steps.step("start -ai: gives input", || {
        engine.create("input", &["-i", BOX, "cat"]);
        let outcome = engine.run_with_input(&["start", "-a", "-i", "input"], b"in\n").ok();
        assert_eq!(outcome.stdout, "in\n");
    });
    steps.step("attach: gives input, and ends with the container", || {
        let script = "read line; echo got $line; sleep 1; exit 8";
        engine.start("attach", &["-i", BOX, "sh", "-c", script]);
        drop(engine.run_with_input(&["attach", "attach"], b"it\n"));
        engine.wait_for_log("attach", "got it");
        engine.wait_for("attach", ".State.ExitCode", "8");
        engine.fails(&["attach", "attach"]);
        engine.fails(&["attach", "gone"]);
    });
    steps.step("wait: the codes, one a line, in the order asked for", || {
        for (name, code) in [("first", "exit 3"), ("second", "sleep 0.5; exit 4")] {
            engine.start(name, &[BOX, "sh", "-c", code]);
        }
        assert_eq!(engine.run(&["wait", "second", "first"]).ok().stdout, "4\n3\n");
    });
    steps.step("wait: goes on after one that is missing", || {
        let outcome = engine.run(&["wait", "gone", "first"]);
        assert!(outcome.code != 0 && outcome.stdout == "3\n", "{outcome}");
    });
}

fn logs(engine: &Engine<'_>, steps: &mut Steps) {
    let script = "for i in 1 2 3; do echo out$i; done; sleep 0.1; echo err >&2; exit 4";
    engine.start("logs", &[BOX, "sh", "-c", script]);
    engine.wait_for("logs", ".State.Status", "exited");
    steps.step("logs: both streams, also after the end", || {
        let said = engine.run(&["logs", "logs"]).ok();
        assert_eq!((said.stdout.as_str(), said.stderr.as_str()), ("out1\nout2\nout3\n", "err\n"));
    });
    steps.step("logs --tail: the last lines, none, or all", || {
        let lines = |tail: &str| {
            let said = engine.run(&["logs", "--tail", tail, "logs"]).ok();
            said.stdout.lines().count() + said.stderr.lines().count()
        };
        assert_eq!([lines("2"), lines("0"), lines("-1")], [2, 0, 4]);
    });
    steps.step("logs -n: the last lines", || {
        assert_eq!(engine.run(&["logs", "-n", "2", "logs"]).ok().stdout, "out3\n");
    });
    steps.step("logs --tail all: every line", || {
        assert_eq!(engine.run(&["logs", "--tail", "all", "logs"]).ok().stdout.lines().count(), 3);
    });
    steps.step("logs --timestamps: the moment in UTC, as RFC 3339 has it", || {
        let said = engine.run(&["logs", "-t", "logs"]).ok().stdout;
        let (moment, rest) = said.lines().next().unwrap().split_once(' ').unwrap();
        assert_eq!(rest, "out1");
        assert!(moment.len() == 30 && moment.ends_with('Z'), "{moment}");
    });
    steps.step("logs --since and --until: what was said between", || {
        let count = |flags: &[&str]| {
            engine.run(&[&["logs"], flags, &["logs"]].concat()).ok().stdout.lines().count()
        };
        assert_eq!(count(&["--since", "1h"]), 3);
        assert_eq!(count(&["--until", "2021-01-01"]), 0);
        assert_eq!(count(&["--since", "2020-01-01T00:00:00Z", "--until", "2021-01-01"]), 0);
    });
    steps.step("logs --until 1h: what was said until an hour ago", || {
        assert_eq!(engine.run(&["logs", "--until", "1h", "logs"]).ok().stdout, "");
    });
    steps.step("logs --follow: ends with the container", || {
        engine.start("follow", &[BOX, "sh", "-c", "echo one; sleep 1; echo two"]);
        assert_eq!(engine.run(&["logs", "-f", "follow"]).ok().stdout, "one\ntwo\n");
    });
    steps.step("logs: a line without an end has none", || {
        engine.start("open", &[BOX, "printf", "a\\nb"]);
        engine.wait_for("open", ".State.Status", "exited");
        assert_eq!(engine.run(&["logs", "open"]).ok().stdout, "a\nb");
    });
    steps.step("logs: of what is not there are an error", || {
        engine.fails(&["logs", "gone"]);
        engine.fails(&["logs", "--since", "yesterday", "logs"]);
    });
}

fn execs(engine: &Engine<'_>, steps: &mut Steps) {
    engine.start("exec", &["-e", "A=b", "-w", "/tmp", BOX, "sleep", "1000"]);
    steps.step("exec: output, errors and the exit code are the program's", || {
        let outcome = engine.run(&["exec", "exec", "sh", "-c", "echo o; echo e >&2; exit 9"]);
        let outcome = outcome.exits(9);
        assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), ("o\n", "e\n"));
    });
    steps.step("exec: has the container's environment and directory", || {
        assert_eq!(engine.said(&["exec", "exec", "sh", "-c", "echo $A; pwd"]), "b /tmp");
        let words = ["exec", "-e", "A=x", "--env", "C=d", "exec", "sh", "-c", "echo $A $C"];
        assert_eq!(engine.said(&words), "x d");
        let words = ["exec", "-w", "/etc", "-u", "1000:1000", "exec", "sh", "-c", "pwd; id -u"];
        assert_eq!(engine.said(&words), "/etc 1000");
        assert_eq!(engine.said(&["exec", "-u", "user", "exec", "id", "-un"]), "user");
    });
    steps.step("exec --env-file: names and values, one a line", || {
        let path = engine.world.shared().join("exec.env");
        fs::write(&path, "# comment\nF=from file\n\n").unwrap();
        let path = path.display().to_string();
        let words = ["exec", "--env-file", &path, "exec", "sh", "-c", "echo \"$F\""];
        assert_eq!(engine.said(&words), "from file");
    });
    steps.step("exec -i: gives input; without it there is none", || {
        let outcome = engine.run_with_input(&["exec", "-i", "exec", "cat"], &bytes()).ok();
        assert!(outcome.bytes == bytes());
        assert_eq!(engine.run_with_input(&["exec", "exec", "cat"], b"in").ok().stdout, "");
    });
    steps.step("exec -d: does not stay", || {
        let script = "echo > /tmp/done; sleep 1000";
        drop(engine.run(&["exec", "-d", "exec", "sh", "-c", script]).ok());
        let there = need::eventually(SOON, || {
            (engine.run(&["exec", "exec", "test", "-e", "/tmp/done"]).code == 0).then_some(())
        });
        assert!(there.is_some());
    });
    steps.step("exec: 126 is a program that cannot be executed", || {
        drop(engine.run(&["exec", "exec", "/etc/passwd"]).exits(126));
    });
    steps.step("exec: 127 is a program that is missing", || {
        drop(engine.run(&["exec", "exec", "nothere"]).exits(127));
    });
    steps.step("exec: in what does not run is an error", || {
        engine.create("idle", &[BOX, "true"]);
        engine.fails(&["exec", "idle", "true"]);
        engine.fails(&["exec", "gone", "true"]);
        // Docker says why among the program's output.
        assert_ne!(engine.run(&["exec", "-u", "nobody-here", "exec", "true"]).code, 0);
    });
}
