//! The life of a container by the command line: create, start, state, kill, delete, list, and the
//! errors of each. runtime.md; the words are those of runc's command line, which engines use.

use super::bundle;
use dhow_conformance::{Bundle, conformance};
use serde_json::{Value, json};
use std::fs;

fn resident(bundle: &mut Bundle<'_>) {
    bundle.script("while :; do sleep 1; done");
}

conformance! {
    /// "process.args MUST NOT be applied until triggered by the start operation."
    fn the_program_runs_when_it_is_started(runtime) {
        let mut bundle = bundle(runtime);
        bundle.script("echo ran");

        drop(bundle.create().ok());
        assert_eq!(bundle.printed(), "");
        assert_eq!(bundle.state()["status"], "created");
        drop(bundle.call(&["start", bundle.id()]).ok());

        assert_eq!(bundle.wait_for("ran"), "ran\n");
        bundle.wait_until("stopped");
    }

    /// Section State: ociVersion, id, status, pid, bundle, annotations.
    fn the_state_has_its_properties(runtime) {
        let mut bundle = bundle(runtime);
        bundle.set("/annotations", json!({"test.one": "1", "test.two": ""}));
        resident(&mut bundle);
        bundle.start_detached();

        let state = bundle.state();

        assert!(state["ociVersion"].as_str().is_some_and(|it| it.starts_with("1.")), "{state}");
        assert_eq!(state["id"], bundle.id());
        assert_eq!(state["status"], "running");
        assert_eq!(state["bundle"], bundle.directory().to_str().unwrap());
        assert_eq!(state["annotations"]["test.one"], "1");
        let pid = state["pid"].as_i64().unwrap();
        assert!(fs::read_link(format!("/proc/{pid}/root")).is_ok(), "{state}");
    }

    /// "pid (int, REQUIRED when status is created or running)".
    fn the_state_of_a_created_container_has_a_pid(runtime) {
        let bundle = bundle(runtime);
        drop(bundle.create().ok());

        assert!(bundle.pid() > 0);
    }

    /// "Attempting to query a container that does not exist MUST generate an error."
    fn the_state_of_nothing_is_an_error(runtime) {
        let bundle = bundle(runtime);

        let outcome = bundle.call(&["state", bundle.id()]);

        assert_ne!(outcome.code, 0, "{outcome}");
        assert!(outcome.stderr.contains("does not exist") || outcome.stderr.contains("No such file"),
            "{outcome}");
    }

    /// "Attempting to start a container that is not created MUST have no effect on the container and
    /// MUST generate an error."
    fn starting_twice_is_an_error(runtime) {
        let mut bundle = bundle(runtime);
        resident(&mut bundle);
        bundle.start_detached();

        let outcome = bundle.call(&["start", bundle.id()]);

        assert_ne!(outcome.code, 0, "{outcome}");
        assert_eq!(bundle.state()["status"], "running");
    }

    /// The same for a container that has stopped, and one that never was.
    fn starting_what_has_ended_is_an_error(runtime) {
        let bundle = bundle(runtime);
        let nothing = bundle.call(&["start", bundle.id()]);
        bundle.start_detached();
        bundle.wait_until("stopped");

        let ended = bundle.call(&["start", bundle.id()]);

        assert_ne!(nothing.code, 0, "{nothing}");
        assert_ne!(ended.code, 0, "{ended}");
    }

    /// "This operation MUST send the specified signal to the container process."
    fn a_signal_reaches_the_process(runtime) {
        for signal in ["USR1", "SIGUSR1", "10"] {
            let mut bundle = bundle(runtime);
            bundle.script("trap 'echo caught; exit 0' USR1; echo ready; while :; do sleep 0.05; done");
            bundle.start_detached();
            bundle.wait_for("ready");

            drop(bundle.call(&["kill", bundle.id(), signal]).ok());

            bundle.wait_for("caught");
            bundle.wait_until("stopped");
        }
    }

    /// "Attempting to send a signal to a container that is neither created nor running MUST have no
    /// effect on the container and MUST generate an error."
    fn a_signal_to_what_has_ended_is_an_error(runtime) {
        let bundle = bundle(runtime);
        let nothing = bundle.call(&["kill", bundle.id(), "TERM"]);
        bundle.start_detached();
        bundle.wait_until("stopped");

        let ended = bundle.call(&["kill", bundle.id(), "TERM"]);

        assert_ne!(nothing.code, 0, "{nothing}");
        assert_ne!(ended.code, 0, "{ended}");
    }

    /// A signal that does not exist.
    fn an_unknown_signal_is_an_error(runtime) {
        let mut bundle = bundle(runtime);
        resident(&mut bundle);
        bundle.start_detached();

        let outcome = bundle.call(&["kill", bundle.id(), "NONSENSE"]);

        assert_ne!(outcome.code, 0, "{outcome}");
        assert_eq!(bundle.state()["status"], "running");
    }

    /// A created container may be killed before its start.
    fn a_created_container_may_be_killed(runtime) {
        let bundle = bundle(runtime);
        drop(bundle.create().ok());

        drop(bundle.call(&["kill", bundle.id(), "KILL"]).ok());

        bundle.wait_until("stopped");
        drop(bundle.call(&["delete", bundle.id()]).ok());
        bundle.assert_clean();
    }

    /// "Attempting to delete a container that is not stopped MUST have no effect on the container and
    /// MUST generate an error."
    fn deleting_what_runs_is_an_error(runtime) {
        let mut bundle = bundle(runtime);
        resident(&mut bundle);
        bundle.start_detached();

        let outcome = bundle.call(&["delete", bundle.id()]);

        assert_ne!(outcome.code, 0, "{outcome}");
        assert_eq!(bundle.state()["status"], "running");
    }

    /// "Deleting a container MUST delete the resources that were created during the create step.",
    /// and afterwards its id is free.
    fn a_deleted_container_is_gone_and_its_id_is_free(runtime) {
        let bundle = bundle(runtime);
        for _ in 0..2 {
            bundle.start_detached();
            bundle.wait_until("stopped");
            drop(bundle.call(&["delete", bundle.id()]).ok());
            bundle.assert_clean();
            assert_ne!(bundle.call(&["state", bundle.id()]).code, 0);
        }
    }

    /// runc's `delete --force` kills first, and does not mind a container that is not there.
    fn deleting_by_force_always_succeeds(runtime) {
        let mut bundle = bundle(runtime);
        resident(&mut bundle);
        bundle.start_detached();

        drop(bundle.call(&["delete", "--force", bundle.id()]).ok());
        bundle.assert_clean();
        drop(bundle.call(&["delete", "--force", bundle.id()]).ok());
    }

    /// Deleting what is not there, without force, is an error.
    fn deleting_nothing_is_an_error(runtime) {
        let bundle = bundle(runtime);

        let outcome = bundle.call(&["delete", bundle.id()]);

        assert_ne!(outcome.code, 0, "{outcome}");
    }

    /// "If the ID provided is not unique across all containers within the scope of the runtime … the
    /// implementation MUST generate an error and a new container MUST NOT be created."
    fn an_id_in_use_is_refused(runtime) {
        let mut bundle = bundle(runtime);
        resident(&mut bundle);
        bundle.start_detached();
        let pid = bundle.pid();

        let outcome = bundle.create();

        assert_ne!(outcome.code, 0, "{outcome}");
        assert_eq!(bundle.state()["status"], "running");
        assert_eq!(bundle.pid(), pid);
    }

    /// "… or is not valid in any other way": an id is a name in a directory.
    fn an_id_that_is_a_path_is_refused(runtime) {
        let bundle = bundle(runtime);
        let directory = bundle.directory().to_str().unwrap().to_owned();
        drop(bundle.run().ok());
        for id in ["../outside", "a/b", "", ".", ".."] {
            let outcome = bundle.call(&["run", "--bundle", &directory, id]);

            assert_ne!(outcome.code, 0, "{id:?}: {outcome}");
        }
        assert!(!bundle.directory().join("outside").exists());
    }

    /// "Any updates to config.json after this step MUST NOT affect the container."
    fn later_changes_of_the_configuration_have_no_effect(runtime) {
        let mut bundle = bundle(runtime);
        bundle.script("echo first");
        drop(bundle.create().ok());
        let path = bundle.directory().join("config.json");
        let text = fs::read_to_string(&path).unwrap().replace("echo first", "echo second");
        fs::write(&path, text).unwrap();

        drop(bundle.call(&["start", bundle.id()]).ok());

        assert_eq!(bundle.wait_for("\n"), "first\n");
    }

    /// "This operation MUST generate an error if it is not provided a path to the bundle": one that
    /// is not there, one without a configuration, one whose configuration is no JSON.
    fn a_broken_bundle_is_refused(runtime) {
        let bundle = bundle(runtime);
        for (name, text) in [("gone", None), ("empty", Some("")), ("broken", Some("{\"root\": "))] {
            let at = bundle.directory().join(name);
            if let Some(text) = text {
                fs::create_dir(&at).unwrap();
                if !text.is_empty() {
                    fs::write(at.join("config.json"), text).unwrap();
                }
            }

            let outcome = bundle.call(&["create", "--bundle", at.to_str().unwrap(), bundle.id()]);

            assert_ne!(outcome.code, 0, "{name}: {outcome}");
            bundle.assert_clean();
        }
    }

    /// "This operation MUST generate an error if process was not set."
    fn a_configuration_without_a_process_is_not_started(runtime) {
        let mut bundle = bundle(runtime);
        bundle.config.as_object_mut().unwrap().remove("process");

        let created = bundle.create();

        if created.code == 0 {
            assert_ne!(bundle.call(&["start", bundle.id()]).code, 0);
        } else {
            bundle.assert_clean();
        }
    }

    /// A program that is not there, or cannot be run, is an error that names it, and nothing stays.
    fn a_program_that_cannot_run_is_named(runtime) {
        let mut bundle = bundle(runtime);
        fs::write(bundle.root().join("etc/text"), "no program").unwrap();
        for program in ["no-such-program", "/no/such/program", "/etc/hostname", "/etc"] {
            bundle.args(&[program]);

            let outcome = bundle.refused();

            assert!(outcome.stderr.contains(program), "{outcome}");
        }
    }

    /// The exit code of `run` is the program's, and 128 and the signal where one ended it.
    fn the_exit_code_is_the_programs(runtime) {
        let mut bundle = bundle(runtime);
        bundle.script("exit 42");
        drop(bundle.run().exits(42));
        // The first process of a pid namespace cannot be killed from inside.
        bundle.namespace("pid", json!("/proc/self/ns/pid"));
        bundle.script("kill -KILL $$");
        drop(bundle.run().exits(137));
        bundle.assert_clean();
    }

    /// runc's `--pid-file` holds the number of the first process, without a line end.
    fn the_pid_is_written_to_a_file(runtime) {
        let mut bundle = bundle(runtime);
        resident(&mut bundle);
        let path = bundle.directory().join("pid");

        drop(bundle.create_with(&["--pid-file", path.to_str().unwrap()]).ok());

        assert_eq!(fs::read_to_string(path).unwrap(), bundle.pid().to_string());
    }

    /// runc's `list`: ids alone with -q, and documents with `--format json`.
    fn containers_are_listed(runtime) {
        let bundle = bundle(runtime);
        drop(bundle.create().ok());

        let ids = bundle.call(&["list", "-q"]).ok();
        let documents = bundle.call(&["list", "--format", "json"]).ok();
        let table = bundle.call(&["list"]).ok();

        assert_eq!(ids.stdout.trim(), bundle.id());
        let documents: Value = serde_json::from_str(&documents.stdout).unwrap();
        assert_eq!(documents[0]["id"], bundle.id());
        assert_eq!(documents[0]["status"], "created");
        assert_eq!(documents[0]["pid"], bundle.pid());
        assert_eq!(documents[0]["bundle"], bundle.directory().to_str().unwrap());
        assert!(table.stdout.contains(bundle.id()), "{table}");
    }

    /// runc's `ps`: the container's processes, as numbers with `--format json`.
    fn processes_are_listed(runtime) {
        let mut bundle = bundle(runtime);
        resident(&mut bundle);
        bundle.start_detached();

        let numbers = bundle.call(&["ps", "--format", "json", bundle.id()]).ok();
        let table = bundle.call(&["ps", bundle.id()]).ok();

        let numbers: Vec<i64> = serde_json::from_str(&numbers.stdout).unwrap();
        assert!(numbers.contains(&bundle.pid()), "{numbers:?}");
        assert!(table.stdout.contains("PID") && table.stdout.contains(&bundle.pid().to_string()),
            "{table}");
    }

    /// config.md, Extensibility: "Runtimes MAY log unknown properties but MUST otherwise ignore
    /// them."
    fn unknown_properties_are_ignored(runtime) {
        let mut bundle = bundle(runtime);
        bundle.set("/test.unknown", json!({"a": 1}));
        bundle.set("/process/test.unknown", json!(true));
        bundle.set("/linux/test.unknown", json!([]));
        bundle.set("/linux/resources/test.unknown", json!("x"));

        drop(bundle.run().ok());
    }

    /// config.md, Specification version: "ociVersion … specifies the version of the Open Container
    /// Initiative Runtime Specification with which the bundle complies."
    fn later_versions_of_the_specification_are_accepted(runtime) {
        for version in ["1.0.0", "1.1.0", "1.2.1", "1.3.0"] {
            let mut bundle = bundle(runtime);
            bundle.set("/ociVersion", json!(version));

            drop(bundle.run().ok());
        }
    }

    /// "ociVersion … MUST be in SemVer v2.0.0 format", and Extensibility: "Runtimes MUST generate an
    /// error when invalid or unsupported values are encountered."
    fn a_version_that_is_none_is_refused(runtime) {
        for version in ["one", "1", ""] {
            let mut bundle = bundle(runtime);
            bundle.set("/ociVersion", json!(version));

            drop(bundle.refused());
        }
    }

    /// The same for a version that promises other meanings: the next major one.
    fn the_next_major_version_is_refused(runtime) {
        let mut bundle = bundle(runtime);
        bundle.set("/ociVersion", json!("2.0.0"));

        drop(bundle.refused());
    }

    /// runc's `--log` and `--log-format json`: engines read errors there.
    fn errors_are_logged_as_json(runtime) {
        let bundle = bundle(runtime);
        let log = bundle.directory().join("log.json");

        let outcome =
            bundle.call(&["--log", log.to_str().unwrap(), "--log-format", "json", "state", "gone"]);

        assert_ne!(outcome.code, 0, "{outcome}");
        let text = fs::read_to_string(log).unwrap();
        let last: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
        assert_eq!(last["level"], "error");
        assert!(last["msg"].as_str().is_some_and(|it| it.contains("exist") || it.contains("No such file")), "{last}");
        assert!(last["time"].is_string(), "{last}");
    }
}
