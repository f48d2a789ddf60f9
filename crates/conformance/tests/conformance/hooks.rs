//! `hooks`: when they run, where, and what becomes of a container whose hook fails. config.md,
//! section POSIX-platform Hooks; runtime.md, section Lifecycle.

use super::bundle;
use dhow_conformance::{Bundle, conformance, verdict::requires};
use serde_json::{Value, json};
use std::fs;

/// A hook that does not care for the state. It reads it all the same: crun dies of SIGPIPE where a
/// hook ends before it has.
fn hook(script: &str) -> Value {
    reader(&format!("cat > /dev/null; {script}"))
}

fn reader(script: &str) -> Value {
    json!({"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/bin:/usr/bin"],
        "timeout": 30})
}

/// Adds a hook that notes its name and the state's status in a file of the bundle.
fn note(bundle: &mut Bundle<'_>, kind: &str) {
    let script = format!(
        "echo {kind} $(grep -o '\"status\": *\"[a-z]*\"' | grep -o '[a-z]*\"$' | tr -d '\"') \
         >> {}/log",
        bundle.directory().display()
    );
    bundle.set(&format!("/hooks/{kind}"), json!([reader(&script)]));
}

fn log(bundle: &Bundle<'_>) -> String {
    fs::read_to_string(bundle.directory().join("log")).unwrap_or_default()
}

conformance! {
    /// The lifecycle: prestart, createRuntime, createContainer as part of create; startContainer and
    /// poststart as part of start; poststop after delete.
    fn hooks_run_at_their_time(runtime) {
        let mut bundle = bundle(runtime);
        for kind in ["prestart", "createRuntime", "createContainer", "poststart", "poststop"] {
            note(&mut bundle, kind);
        }
        bundle.script("sleep 100");

        drop(bundle.create().ok());
        let created = log(&bundle);
        drop(bundle.call(&["start", bundle.id()]).ok());
        let started = log(&bundle);
        drop(bundle.call(&["kill", bundle.id(), "KILL"]).ok());
        bundle.wait_until("stopped");
        drop(bundle.call(&["delete", bundle.id()]).ok());
        let deleted = log(&bundle);

        let names = |text: &str| -> Vec<String> {
            text.lines().map(|line| line.split(' ').next().unwrap().to_owned()).collect()
        };
        assert_eq!(names(&created), ["prestart", "createRuntime", "createContainer"]);
        assert_eq!(names(&started[created.len()..]), ["poststart"]);
        assert_eq!(names(&deleted[started.len()..]), ["poststop"]);
    }

    /// "The state of the container MUST be passed to hooks over stdin". The status of runtime.md,
    /// section State: creating until create has finished, running, stopped.
    fn hooks_read_the_state(runtime) {
        let mut bundle = bundle(runtime);
        for kind in ["createRuntime", "createContainer", "poststart", "poststop"] {
            note(&mut bundle, kind);
        }

        drop(bundle.run().ok());

        assert_eq!(
            log(&bundle),
            "createRuntime creating\ncreateContainer creating\npoststart running\n\
             poststop stopped\n"
        );
    }

    /// The state's other properties: id, pid, bundle, and the annotations.
    fn the_state_that_hooks_read_is_whole(runtime) {
        let mut bundle = bundle(runtime);
        let path = bundle.directory().join("state.json");
        bundle.set("/annotations", json!({"test.key": "value"}));
        let script = format!("cat > {}", path.display());
        bundle.set("/hooks/createRuntime", json!([reader(&script)]));

        drop(bundle.run().ok());

        let state: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        assert_eq!(state["id"], bundle.id());
        assert_eq!(state["bundle"], bundle.directory().to_str().unwrap());
        assert_eq!(state["annotations"]["test.key"], "value");
        assert!(state["pid"].as_u64().is_some_and(|pid| pid > 0), "{state}");
        assert!(state["ociVersion"].is_string(), "{state}");
    }

    /// "Hooks MUST be called in the listed order."
    fn hooks_of_a_kind_run_in_their_order(runtime) {
        let mut bundle = bundle(runtime);
        let say = |word: &str| hook(&format!("echo {word} >> {}/log", bundle.directory().display()));
        let hooks = json!([say("one"), say("two"), say("three")]);
        bundle.set("/hooks/createRuntime", hooks);

        drop(bundle.run().ok());

        assert_eq!(log(&bundle), "one\ntwo\nthree\n");
    }

    /// "The startContainer hooks MUST be executed in the container namespace", their path resolves
    /// there, and they run before the program.
    fn a_start_container_hook_runs_inside(runtime) {
        let mut bundle = bundle(runtime);
        bundle.set("/hooks/startContainer", json!([reader("hostname > /hooked; cat >> /hooked")]));
        bundle.script("head -1 /hooked");

        let outcome = bundle.run().ok();

        assert_eq!(outcome.stdout, "inside\n");
        let inside = fs::read_to_string(bundle.root().join("hooked")).unwrap();
        assert!(inside.contains(bundle.id()), "{inside}");
    }

    /// "The createRuntime hooks MUST be executed in the runtime namespace", createContainer hooks in
    /// the container's, with a path of the runtime's, before the root is pivoted.
    fn hooks_run_in_their_namespaces(runtime) {
        let mut bundle = bundle(runtime);
        for kind in ["createRuntime", "createContainer"] {
            let script = format!(
                "echo {kind} $(readlink /proc/self/ns/uts) >> {}/log", bundle.directory().display());
            bundle.set(&format!("/hooks/{kind}"), json!([hook(&script)]));
        }

        let seen = bundle.see();

        let log = log(&bundle);
        let inside = seen["namespaces"]["uts"].as_str().unwrap();
        assert!(!log.lines().next().unwrap().ends_with(inside), "{log}");
        assert!(log.lines().nth(1).unwrap().ends_with(inside), "{log}");
    }

    /// "args … with the same semantics as IEEE Std 1003.1-2008 execv's argv", env likewise.
    fn a_hook_has_its_words_and_its_environment(runtime) {
        // busybox is the program that its first word names.
        let is_busybox = fs::read_link("/bin/sh").is_ok_and(|path| path.ends_with("busybox"));
        requires(!is_busybox, "a shell that goes by any name");
        let mut bundle = bundle(runtime);
        let path = bundle.directory().join("log");
        bundle.set("/hooks/createRuntime", json!([{
            "path": "/bin/sh",
            "args": ["zero", "-c", format!("cat > /dev/null; echo $0 $1 $A $B $HOME > {}", path.display()), "x", "y"],
            "env": ["A=1", "B=2"],
        }]));

        drop(bundle.run().ok());

        assert_eq!(log(&bundle), "x y 1 2\n");
    }

    /// "If any createRuntime hook fails, the runtime MUST generate an error, stop the container, and
    /// continue the lifecycle at step 12": it is destroyed.
    fn a_failing_hook_of_create_ends_the_container(runtime) {
        for kind in ["prestart", "createRuntime", "createContainer"] {
            let mut bundle = bundle(runtime);
            bundle.set(&format!("/hooks/{kind}"), json!([hook("exit 3")]));

            let outcome = bundle.create();

            assert_ne!(outcome.code, 0, "{kind}: {outcome}");
            bundle.assert_clean();
        }
    }

    /// The same for startContainer: the program does not run.
    fn a_failing_start_container_hook_ends_the_container(runtime) {
        let mut bundle = bundle(runtime);
        bundle.set("/hooks/startContainer", json!([hook("exit 3")]));
        bundle.script("echo ran");

        let outcome = bundle.run();

        assert_ne!(outcome.code, 0, "{outcome}");
        assert_eq!(outcome.stdout, "");
    }

    /// The same for hooks of `start`, "and continue the lifecycle at step 12": the container is
    /// destroyed, and its poststop hooks run.
    fn a_failing_hook_of_start_destroys_the_container(runtime) {
        for kind in ["startContainer", "poststart"] {
            let mut bundle = bundle(runtime);
            bundle.set(&format!("/hooks/{kind}"), json!([hook("exit 3")]));
            note(&mut bundle, "poststop");
            bundle.args(&["sleep", "100"]);
            drop(bundle.create().ok());

            let outcome = bundle.call(&["start", bundle.id()]);

            assert_ne!(outcome.code, 0, "{kind}: {outcome}");
            assert_eq!(log(&bundle), "poststop stopped\n", "{kind}");
            bundle.assert_clean();
        }
    }

    /// "timeout (int, OPTIONAL) is the number of seconds before aborting the hook."
    fn a_hook_that_hangs_is_aborted(runtime) {
        let mut bundle = bundle(runtime);
        let mut hanging = hook("exec sleep 600");
        hanging["timeout"] = json!(1);
        bundle.set("/hooks/createRuntime", json!([hanging]));

        let outcome = bundle.create();

        assert_ne!(outcome.code, 0, "{outcome}");
        bundle.assert_clean();
    }

    /// "If any poststop hook fails, the runtime MUST log a warning, but the remaining hooks and
    /// lifecycle continue as if the hook had succeeded."
    fn a_failing_poststop_hook_is_a_warning(runtime) {
        let mut bundle = bundle(runtime);
        let after = format!("echo after >> {}/log", bundle.directory().display());
        bundle.set("/hooks/poststop", json!([hook("exit 3"), hook(&after)]));

        let outcome = bundle.run();

        assert_eq!(outcome.code, 0, "{outcome}");
        assert_eq!(log(&bundle), "after\n");
        bundle.assert_clean();
    }

    /// "path (string, REQUIRED) with similar semantics to IEEE Std 1003.1-2008 execv's path. This
    /// specification extends the IEEE standard in that path MUST be absolute."
    fn a_relative_path_of_a_hook_is_refused(runtime) {
        let mut bundle = bundle(runtime);
        bundle.set("/hooks/createRuntime", json!([{"path": "bin/true", "args": ["true"]}]));

        drop(bundle.refused());
    }
}
