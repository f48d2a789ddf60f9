//! `exec`: one more process in a running container, by runc's command line.

use super::bundle;
use dhow_conformance::{Bundle, Runtime, bundle::SOON, conformance};
use dhow_testkit::{need, process};
use serde_json::{Value, json};
use std::fs;

/// A container that stays.
fn resident(runtime: &Runtime) -> Bundle<'_> {
    let mut bundle = bundle(runtime);
    bundle.script("while :; do sleep 1; done");
    bundle.start_detached();
    bundle
}

fn exec(bundle: &Bundle<'_>, options: &[&str], command: &[&str]) -> dhow_testkit::Outcome {
    let mut words = vec!["exec"];
    words.extend(options);
    words.push(bundle.id());
    words.extend(command);
    bundle.call(&words)
}

fn see(bundle: &Bundle<'_>, options: &[&str]) -> Value {
    serde_json::from_str(&exec(bundle, options, &["probe"]).ok().stdout).unwrap()
}

conformance! {
    /// The process is in all namespaces of the container, and has its root.
    fn the_process_is_in_the_containers_namespaces(runtime) {
        let bundle = resident(runtime);
        let pid = bundle.pid();

        let seen = see(&bundle, &[]);

        for (kind, link) in seen["namespaces"].as_object().unwrap() {
            let there = fs::read_link(format!("/proc/{pid}/ns/{kind}")).unwrap();
            assert_eq!(*link, there.to_str().unwrap(), "{kind}");
        }
        assert_eq!(seen["hostname"], "inside");
        assert_ne!(seen["pid"], 1);
    }

    /// It has the container's capabilities, and gains no privileges where the container does not.
    fn the_process_has_the_containers_rights(runtime) {
        let seen = see(&resident(runtime), &[]);

        let status = &seen["status"];
        assert_eq!(status["CapEff"], "00000000a80425fb");
        assert_eq!(status["CapBnd"], "00000000a80425fb");
        assert_eq!(status["CapInh"], "0000000000000000");
        assert_eq!(status["NoNewPrivs"], "1");
    }

    /// The exit code is the process's.
    fn the_exit_code_is_the_processes(runtime) {
        let bundle = resident(runtime);

        drop(exec(&bundle, &[], &["sh", "-c", "exit 9"]).exits(9));
        drop(exec(&bundle, &[], &["sh", "-c", "kill -KILL $$"]).exits(137));
    }

    /// `--env`, `--cwd`, `--user`, `--additional-gids`, `--cap`, `--no-new-privs`.
    fn options_change_the_process(runtime) {
        let bundle = resident(runtime);

        let seen = see(&bundle, &["--env", "ADDED=1", "--cwd", "/var", "--user", "1000:2000"]);

        let environment = seen["env"].as_array().unwrap();
        assert!(environment.contains(&json!("ADDED=1")), "{environment:?}");
        assert!(environment.contains(&json!("PATH=/bin:/usr/bin")), "{environment:?}");
        assert_eq!(seen["cwd"], "/var");
        assert_eq!(seen["status"]["Uid"], "1000 1000 1000 1000");
        assert_eq!(seen["status"]["Gid"], "2000 2000 2000 2000");
    }

    /// `--cap` adds a capability.
    fn a_capability_is_added(runtime) {
        let seen = see(&resident(runtime), &["--cap", "CAP_SYS_PTRACE"]);

        let effective = seen["status"]["CapEff"].as_str().unwrap();
        let effective = u64::from_str_radix(effective, 16).unwrap();
        assert_ne!(effective & (1 << 19), 0, "{effective:x}");
    }

    /// `--process FILE` gives the whole process.
    fn a_process_is_read_from_a_file(runtime) {
        let bundle = resident(runtime);
        let path = bundle.directory().join("process.json");
        fs::write(&path, json!({
            "args": ["probe", "/etc"], "cwd": "/tmp", "env": ["PATH=/bin", "ONLY=this"],
            "user": {"uid": 5, "gid": 6, "additionalGids": [7]},
            "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 55, "hard": 66}],
        }).to_string()).unwrap();

        let outcome = bundle.call(&["exec", "--process", path.to_str().unwrap(), bundle.id()]).ok();

        let seen: Value = serde_json::from_str(&outcome.stdout).unwrap();
        assert_eq!(seen["args"], json!(["probe", "/etc"]));
        assert_eq!(seen["cwd"], "/tmp");
        assert!(seen["env"].as_array().unwrap().contains(&json!("ONLY=this")), "{}", seen["env"]);
        assert_eq!(seen["status"]["Groups"], "7");
        assert_eq!(seen["limits"]["Max open files"], json!(["55", "66"]));
    }

    /// `--detach` with `--pid-file`: the command returns, the process goes on.
    fn a_detached_process_goes_on(runtime) {
        let bundle = resident(runtime);
        let path = bundle.directory().join("exec.pid");

        drop(bundle.detached(&["exec", "--detach", "--pid-file", path.to_str().unwrap(),
            bundle.id(), "sleep", "500"]).ok());

        let pid = fs::read_to_string(path).unwrap();
        // runc does not wait until the process runs its program.
        let runs = || (process::words(&pid) == ["sleep", "500"]).then_some(());
        assert!(need::eventually(SOON, runs).is_some(), "{:?}", process::words(&pid));
    }

    /// No fd of the runtime's reaches the process.
    fn only_the_standard_streams_are_open(runtime) {
        let seen = see(&resident(runtime), &[]);

        let open: Vec<&String> = seen["fds"].as_object().unwrap().keys().collect();
        assert_eq!(open, ["0", "1", "2"], "{}", seen["fds"]);
    }

    /// The filter of the container holds for the process too.
    fn the_filter_holds_for_the_process(runtime) {
        let mut bundle = bundle(runtime);
        bundle.set("/linux/seccomp", json!({
            "defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"],
            "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}],
        }));
        bundle.script("while :; do sleep 1; done");
        bundle.start_detached();

        let outcome = exec(&bundle, &[], &["mkdir", "/made"]);

        assert_eq!(outcome.code, 1, "{outcome}");
    }

    /// A program that is not there is an error that names it; the container goes on.
    fn a_program_that_is_not_there_is_named(runtime) {
        let bundle = resident(runtime);

        let outcome = exec(&bundle, &[], &["no-such-program"]);

        assert_ne!(outcome.code, 0, "{outcome}");
        assert!(outcome.stderr.contains("no-such-program"), "{outcome}");
        assert_eq!(bundle.state()["status"], "running");
    }

    /// Nothing runs in a container that does not run.
    fn nothing_runs_in_what_has_ended(runtime) {
        let bundle = bundle(runtime);
        let nothing = exec(&bundle, &[], &["true"]);
        bundle.start_detached();
        bundle.wait_until("stopped");

        let ended = exec(&bundle, &[], &["true"]);

        assert_ne!(nothing.code, 0, "{nothing}");
        assert_ne!(ended.code, 0, "{ended}");
    }

    /// Nothing runs in a paused container, unless that is meant to wait: runc refuses it.
    fn nothing_runs_in_what_is_paused(runtime) {
        let bundle = resident(runtime);
        drop(bundle.call(&["pause", bundle.id()]).ok());

        let outcome = exec(&bundle, &[], &["true"]);

        drop(bundle.call(&["resume", bundle.id()]).ok());
        assert_ne!(outcome.code, 0, "{outcome}");
    }

    /// Standard input reaches the process, and its two outputs stay apart.
    fn streams_are_the_callers(runtime) {
        let bundle = resident(runtime);

        let outcome = exec(&bundle, &[], &["sh", "-c", "echo out; echo err >&2"]).ok();

        assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), ("out\n", "err\n"));
    }
}
