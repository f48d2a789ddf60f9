//! What becomes of containers: `create`, `start`, `stop`, `kill`, `restart`, `pause`, `rm`, `rename`,
//! `update`, `top`, `stats`, `events`, health and restart policies.

use crate::{
    engine::{BOX, Engine, SOON},
    steps::Steps,
};
use dhow_testkit::need;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub(super) fn steps(engine: &Engine<'_>, steps: &mut Steps) {
    begins(engine, steps);
    ends(engine, steps);
    engine.remove_all();
    pauses(engine, steps);
    removals(engine, steps);
    policies(engine, steps);
    looks(engine, steps);
    events(engine, steps);
    engine.remove_all();
}

fn begins(engine: &Engine<'_>, steps: &mut Steps) {
    steps.step("create: does not start; start says the name that it was given", || {
        engine.create("made", &[BOX, "sleep", "1000"]);
        assert_eq!(engine.inspect("made", ".State.Status"), "created");
        assert_eq!(engine.inspect("made", ".State.Pid"), "0");
        assert_eq!(engine.run(&["start", "made"]).ok().stdout, "made\n");
        assert_eq!(engine.inspect("made", ".State.Status"), "running");
    });
    steps.step("start: of what runs is no error", || {
        drop(engine.run(&["start", "made"]).ok());
    });
    steps.step("start: goes on after one that is missing", || {
        engine.create("other", &[BOX, "sleep", "1000"]);
        assert_ne!(engine.run(&["start", "gone", "other"]).code, 0);
        assert_eq!(engine.inspect("other", ".State.Running"), "true");
    });
    steps.step("restart: another process of the same container", || {
        let before = engine.inspect("made", ".State.Pid");
        assert_eq!(engine.run(&["restart", "-t", "0", "made"]).ok().stdout, "made\n");
        assert_ne!(engine.inspect("made", ".State.Pid"), before);
        drop(engine.run(&["stop", "-t", "0", "made"]).ok());
        drop(engine.run(&["restart", "made"]).ok());
        assert_eq!(engine.inspect("made", ".State.Running"), "true");
    });
    steps.step("start: what it wrote is there again, and what was in memory is not", || {
        engine.start("again", &["--tmpfs", "/t", BOX, "sleep", "1000"]);
        drop(engine.run(&["exec", "again", "sh", "-c", "echo 1 > /kept; echo 1 > /t/lost"]).ok());
        drop(engine.run(&["restart", "-t", "0", "again"]).ok());
        assert_eq!(engine.said(&["exec", "again", "sh", "-c", "ls /kept /t"]), "/kept /t:");
    });
}

fn ends(engine: &Engine<'_>, steps: &mut Steps) {
    steps.step("stop: several, going on after one that is missing", || {
        let outcome = engine.run(&["stop", "-t", "0", "made", "gone", "other"]);
        assert!(outcome.code != 0 && outcome.stdout == "made\nother\n", "{outcome}");
        assert_eq!(engine.inspect("other", ".State.Status"), "exited");
        assert_eq!(engine.inspect("other", ".State.ExitCode"), "137");
    });
    steps.step("stop: of what has ended is no error", || {
        drop(engine.run(&["stop", "made"]).ok());
    });
    steps.step("stop: the container's own signal and patience", || {
        let script = "trap 'exit 5' USR1; echo up; while :; do sleep 0.1; done";
        let flags = ["--stop-signal", "USR1", "--stop-timeout", "60"];
        engine.start("polite", &[&flags[..], &[BOX, "sh", "-c", script]].concat());
        engine.wait_for_log("polite", "up");
        drop(engine.run(&["stop", "polite"]).ok());
        assert_eq!(engine.inspect("polite", ".State.ExitCode"), "5");
        engine.start("deaf", &["--stop-timeout", "1", BOX, "sleep", "1000"]);
        drop(engine.run(&["stop", "deaf"]).ok());
        assert_eq!(engine.inspect("deaf", ".State.ExitCode"), "137");
    });
    steps.step("kill -s: by name, with SIG before it, and by number", || {
        let script = "trap 'echo heard' USR1; echo up; while :; do sleep 0.1; done";
        engine.start("signal", &[BOX, "sh", "-c", script]);
        engine.wait_for_log("signal", "up");
        for (number, signal) in ["USR1", "SIGUSR1", "10"].into_iter().enumerate() {
            drop(engine.run(&["kill", "-s", signal, "signal"]).ok());
            engine.wait_for_log("signal", &"heard\n".repeat(number + 1));
        }
        engine.fails(&["kill", "-s", "BOGUS", "signal"]);
        assert_eq!(engine.run(&["kill", "signal"]).ok().stdout, "signal\n");
        engine.wait_for("signal", ".State.ExitCode", "137");
    });
    steps.step("kill: of what does not run is an error", || {
        engine.fails(&["kill", "signal"]);
        engine.fails(&["kill", "gone"]);
    });
    steps.step("run --init: an init passes signals on", || {
        engine.start("init", &["--init", BOX, "sleep", "1000"]);
        drop(engine.run(&["exec", "init", "true"]).ok());
        drop(engine.run(&["stop", "-t", "60", "init"]).ok());
        assert_eq!(engine.inspect("init", ".State.ExitCode"), "143");
    });
}

fn pauses(engine: &Engine<'_>, steps: &mut Steps) {
    engine.start("pause", &[BOX, "sleep", "1000"]);
    steps.step("pause: nothing moves until unpause", || {
        assert_eq!(engine.run(&["pause", "pause"]).ok().stdout, "pause\n");
        assert_eq!(engine.inspect("pause", ".State.Status"), "paused");
        engine.fails(&["exec", "pause", "true"]);
        engine.fails(&["pause", "pause"]);
        assert_eq!(engine.run(&["unpause", "pause"]).ok().stdout, "pause\n");
        drop(engine.run(&["exec", "pause", "true"]).ok());
        engine.fails(&["unpause", "pause"]);
        engine.fails(&["pause", "gone"]);
    });
    steps.step("pause: what is paused counts as running", || {
        drop(engine.run(&["pause", "pause"]).ok());
        assert_eq!(engine.inspect("pause", ".State.Running"), "true");
    });
    steps.step("stop: what is paused can be stopped", || {
        drop(engine.run(&["stop", "-t", "0", "pause"]).ok());
        assert_eq!(engine.inspect("pause", ".State.Status"), "exited");
    });
    engine.remove(&["pause"]);
}

fn removals(engine: &Engine<'_>, steps: &mut Steps) {
    engine.start("runs", &[BOX, "sleep", "1000"]);
    engine.create("idle", &[BOX, "true"]);
    steps.step("rm: not what runs, unless forced", || {
        engine.fails(&["rm", "runs"]);
        assert_eq!(engine.inspect("runs", ".State.Running"), "true");
        assert_eq!(engine.run(&["rm", "-f", "runs"]).ok().stdout, "runs\n");
        engine.fails(&["inspect", "runs"]);
    });
    steps.step("rm: goes on after one that is missing", || {
        let outcome = engine.run(&["rm", "gone", "idle"]);
        assert!(outcome.code != 0 && outcome.stdout == "idle\n", "{outcome}");
    });
    steps.step("rm -f: of what is missing is no error", || {
        drop(engine.run(&["rm", "-f", "gone"]).ok());
    });
    steps.step("rm -v: volumes without a name go, named ones stay", || {
        let words = ["-v", "/x", "-v", "named:/y", BOX, "true"];
        engine.create("volumes", &words);
        drop(engine.run(&["rm", "-v", "volumes"]).ok());
        assert_eq!(engine.said(&["volume", "ls", "-q"]), "named");
        drop(engine.run(&["volume", "rm", "named"]).ok());
    });
    steps.step("rename: the old name is free, and a taken one is refused", || {
        engine.create("one", &[BOX, "true"]);
        engine.create("two", &[BOX, "true"]);
        drop(engine.run(&["rename", "one", "three"]).ok());
        engine.fails(&["inspect", "one"]);
        engine.fails(&["rename", "three", "two"]);
        engine.fails(&["rename", "gone", "four"]);
        engine.create("one", &[BOX, "true"]);
        engine.remove(&["one", "two", "three"]);
    });
    engine.remove_all();
    steps.step("container prune: what does not run, if it matches", || {
        engine.start("runs", &[BOX, "sleep", "1000"]);
        engine.create("labelled", &["-l", "keep=no", BOX, "true"]);
        engine.create("plain", &[BOX, "true"]);
        let prune = ["container", "prune", "-f"];
        drop(engine.run(&[&prune[..], &["--filter", "label=keep=no"]].concat()).ok());
        engine.fails(&["inspect", "labelled"]);
        drop(engine.run(&[&prune[..], &["--filter", "until=24h"]].concat()).ok());
        drop(engine.run(&["inspect", "plain"]).ok());
        engine.fails(&[&prune[..], &["--filter", "bogus=1"]].concat());
        drop(engine.run(&prune).ok());
        assert_eq!(engine.said(&["ps", "-a", "--format", "{{.Names}}"]), "runs");
        engine.remove(&["runs"]);
    });
}

fn policies(engine: &Engine<'_>, steps: &mut Steps) {
    steps.step("run --restart on-failure: as often as allowed", || {
        let script = "echo again; exit 4";
        engine.start("policy", &["--restart", "on-failure:2", BOX, "sh", "-c", script]);
        let thrice =
            || (engine.run(&["logs", "policy"]).stdout == "again\n".repeat(3)).then_some(());
        assert!(need::eventually(SOON, thrice).is_some());
        engine.wait_for("policy", ".State.Status", "exited");
        assert_eq!(engine.inspect("policy", ".State.ExitCode"), "4");
        assert_eq!(engine.inspect("policy", ".RestartCount"), "2");
        let policy = ".HostConfig.RestartPolicy";
        assert_eq!(engine.inspect("policy", &format!("{policy}.Name")), "on-failure");
        assert_eq!(engine.inspect("policy", &format!("{policy}.MaximumRetryCount")), "2");
    });
    steps.step("run --restart always: until it is stopped", || {
        engine.start("always", &["--restart", "always", BOX, "sh", "-c", "sleep 1000"]);
        let before = engine.inspect("always", ".State.Pid");
        drop(engine.world.run(&["kill", "-9", &before]).ok());
        let anew = || {
            let pid = engine.inspect("always", ".State.Pid");
            (pid != before && pid != "0").then_some(())
        };
        assert!(need::eventually(SOON, anew).is_some());
        drop(engine.run(&["stop", "-t", "0", "always"]).ok());
        assert_eq!(engine.inspect("always", ".State.Running"), "false");
    });
    steps.step("run --restart: not together with --rm", || {
        drop(engine.once(&["--restart", "always", BOX, "true"]).exits(125));
    });
    let name = "run --health-cmd: the check is made by itself";
    let patience = if steps.is_listed(name) { Duration::from_secs(3) } else { SOON };
    steps.step(name, || {
        let check = ["--health-cmd", "test -e /tmp/ok", "--health-interval", "1s"];
        let more = ["--health-retries", "1", BOX, "sleep", "1000"];
        engine.start("health", &[&check[..], &more[..]].concat());
        let becomes = |status: &str| {
            let there =
                || (engine.inspect("health", ".State.Health.Status") == status).then_some(());
            assert!(need::eventually(patience, there).is_some(), "it is not {status}");
        };
        becomes("unhealthy");
        drop(engine.run(&["exec", "health", "touch", "/tmp/ok"]).ok());
        becomes("healthy");
        assert_eq!(engine.said(&["ps", "-q", "--filter", "health=healthy"]).len(), 12);
    });
    engine.remove_all();
}

fn looks(engine: &Engine<'_>, steps: &mut Steps) {
    engine.start("seen", &["-m", "64m", BOX, "sleep", "1000"]);
    steps.step("top: the processes, with the columns of ps -ef", || {
        let said = engine.run(&["top", "seen"]).ok().stdout;
        let heading: Vec<&str> = said.lines().next().unwrap().split_whitespace().collect();
        assert_eq!(heading, ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]);
        assert!(said.contains("sleep 1000"), "{said}");
        engine.fails(&["top", "gone"]);
    });
    steps.step("top: pid is the host's number", || {
        let said = engine.said(&["top", "seen", "-o", "pid,comm"]);
        assert!(
            said.ends_with(&format!("{} sleep", engine.inspect("seen", ".State.Pid"))),
            "{said}"
        );
    });
    steps.step("stats --no-stream: what is used of what may be", || {
        let format = "{{.Name}} {{.MemUsage}} {{.PIDs}}";
        let said = engine.said(&["stats", "--no-stream", "--format", format, "seen"]);
        assert!(said.starts_with("seen ") && said.ends_with(" 1"), "{said}");
        let used = said.split_whitespace().nth(3).unwrap();
        assert!(used.starts_with("64") || used.starts_with("67"), "{said}");
        let heading = engine.run(&["stats", "--no-stream", "seen"]).ok().stdout;
        assert!(heading.contains("NAME") && heading.contains("CPU %"), "{heading}");
        engine.fails(&["stats", "--no-stream", "gone"]);
    });
    steps.step("stats: sizes are counted in 1,024", || {
        let said = engine.said(&["stats", "--no-stream", "--format", "{{.MemUsage}}", "seen"]);
        assert!(said.ends_with("/ 64MiB"), "{said}");
    });
    steps.step("update: limits of what runs", || {
        let flags = ["--memory", "32m", "--memory-swap", "64m", "--cpus", "0.5"];
        drop(engine.run(&[&["update"], &flags[..], &["seen"]].concat()).ok());
        let script = "cd /sys/fs/cgroup; cat memory/memory.limit_in_bytes cpu/cpu.cfs_quota_us";
        let read = ["exec", "seen", "sh", "-c", script];
        if engine.run(&read).code == 0 {
            assert_eq!(engine.said(&read), "33554432 50000");
        }
        engine.fails(&["update", "--memory", "32m", "gone"]);
    });
    steps.step("update: inspect tells the new limits", || {
        assert_eq!(engine.inspect("seen", ".HostConfig.Memory"), "33554432");
    });
    steps.step("update --restart: another policy", || {
        drop(engine.run(&["update", "--restart", "on-failure:3", "seen"]).ok());
        assert_eq!(engine.inspect("seen", ".HostConfig.RestartPolicy.Name"), "on-failure");
    });
    steps.step("port: nothing is published", || {
        assert_eq!(engine.said(&["port", "seen"]), "");
        engine.fails(&["port", "gone"]);
    });
    steps.step("port: of a port that is not published is an error", || {
        engine.fails(&["port", "seen", "80"]);
    });
    engine.remove(&["seen"]);
}

fn events(engine: &Engine<'_>, steps: &mut Steps) {
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let begin = now().to_string();
    drop(engine.once(&["--name", "told", BOX, "sh", "-c", "exit 3"]).exits(3));
    let told = |filters: &[&str], format: &str| {
        // Up to a moment that is to come: podman tells nothing up to one that has been.
        let end = (now() + 1).to_string();
        let line = ["events", "--since", &begin, "--until", &end, "--format", format];
        engine.run(&[&line[..], filters].concat())
    };
    steps.step("events: what became of a container, in order", || {
        let said = told(&["--filter", "container=told"], "{{.Action}}").ok().stdout;
        let mut rest = said.lines();
        for action in ["create", "start", "die", "destroy"] {
            assert!(rest.any(|line| line == action), "{action} in {said}");
        }
    });
    steps.step("events --filter: by kind, event and label", || {
        let said = told(&["--filter", "type=container", "--filter", "event=start"], "{{.Type}}");
        assert_eq!(said.ok().stdout, "container\n");
        assert_eq!(told(&["--filter", "label=none"], "{{.Type}}").ok().stdout, "");
    });
    steps.step("events: the end has the exit code", || {
        let format = "{{.Actor.Attributes.exitCode}}";
        let filters = ["--filter", "event=die", "--filter", "container=told"];
        assert_eq!(told(&filters, format).ok().stdout, "3\n");
    });
}
