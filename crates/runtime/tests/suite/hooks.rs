//! Hooks: all six kinds, in their order, with the state on standard input.

use crate::bundle::Bundle;
use dhow_spec::runtime::{Hook, Hooks};
use dhow_testkit::needs_root;

fn hook(script: &str) -> Hook {
    Hook {
        path: "/bin/sh".into(),
        args: vec!["sh".to_owned(), "-c".to_owned(), script.to_owned()],
        env: vec!["PATH=/bin:/usr/bin".to_owned()],
        timeout: Some(5),
    }
}

#[test]
fn all_six_kinds_run_in_order_and_read_the_state() {
    needs_root!();
    let mut bundle = Bundle::new();
    let log = bundle.directory().join("log");
    let tell = |name: &str| {
        let log = log.display();
        vec![hook(&format!("grep -o '\"status\":\"[a-z]*\"' | sed 's/^/{name} /' >> {log}"))]
    };
    // Inside the container the log is another file: the hook runs there.
    std::fs::write(bundle.root().join("startlog"), "").unwrap();
    bundle.spec.hooks = Some(Hooks {
        prestart: tell("prestart"),
        create_runtime: tell("createRuntime"),
        create_container: tell("createContainer"),
        start_container: vec![hook("cat > /startlog")],
        poststart: tell("poststart"),
        poststop: tell("poststop"),
    });

    drop(bundle.run(&["true"]).ok());

    assert_eq!(
        std::fs::read_to_string(&log).unwrap(),
        "prestart \"status\":\"creating\"\n\
         createRuntime \"status\":\"creating\"\n\
         createContainer \"status\":\"creating\"\n\
         poststart \"status\":\"running\"\n\
         poststop \"status\":\"stopped\"\n"
    );
    let inside = std::fs::read_to_string(bundle.root().join("startlog")).unwrap();
    assert!(inside.contains(&bundle.id) && inside.contains("\"created\""), "{inside}");
}

/// Every kind that is part of the creation, or of the start: no container is left, and the poststop
/// hooks have run.
#[test]
fn a_hook_that_fails_ends_the_container_and_the_poststop_hooks_run() {
    needs_root!();
    type Kind = fn(&mut Hooks) -> &mut Vec<Hook>;
    let kinds: [(&str, Kind); 5] = [
        ("prestart", |hooks| &mut hooks.prestart),
        ("createRuntime", |hooks| &mut hooks.create_runtime),
        ("createContainer", |hooks| &mut hooks.create_container),
        ("startContainer", |hooks| &mut hooks.start_container),
        ("poststart", |hooks| &mut hooks.poststart),
    ];
    for (name, kind) in kinds {
        let mut bundle = Bundle::new();
        let log = bundle.directory().join("log");
        let mut hooks = Hooks::default();
        kind(&mut hooks).push(hook("echo said >&2; exit 3"));
        kind(&mut hooks).push(hook(&format!("echo second >> {}", log.display())));
        hooks.poststop = vec![hook(&format!("echo poststop >> {}", log.display()))];
        bundle.spec.hooks = Some(hooks);

        let outcome = bundle.run(&["sleep", "60"]).exits(125);

        let words =
            format!("error running {name} hook #0: /bin/sh: it failed: exit status 3: said");
        drop(outcome.says(&words));
        assert_eq!(std::fs::read_to_string(&log).unwrap(), "poststop\n", "{name}");
    }
}

#[test]
fn all_poststop_hooks_run_whatever_becomes_of_each() {
    needs_root!();
    let mut bundle = Bundle::new();
    let log = bundle.directory().join("log");
    let last = hook(&format!("echo last >> {}", log.display()));
    let missing = Hook { path: "/no/such/hook".into(), ..hook("") };
    bundle.spec.hooks =
        Some(Hooks { poststop: vec![hook("exit 3"), missing, last], ..Hooks::default() });

    let outcome = bundle.run(&["true"]);

    drop(outcome.says("error running poststop hook #0: /bin/sh: it failed: exit status 3"));
    assert_eq!(std::fs::read_to_string(&log).unwrap(), "last\n");
}

#[test]
fn a_hook_that_hangs_is_killed_with_what_it_started() {
    needs_root!();
    let mut bundle = Bundle::new();
    let number = bundle.directory().join("number");
    let script = format!("sleep 60 & echo $! > {}; echo wait >&2; wait", number.display());
    let hanging = Hook { timeout: Some(1), ..hook(&script) };
    bundle.spec.hooks = Some(Hooks { create_runtime: vec![hanging.clone()], ..Hooks::default() });

    let outcome = bundle.run(&["true"]).exits(125);

    let words = "it did not end within 1 seconds and was killed: wait";
    drop(outcome.says("TimedOut").says(words));
    let pid = std::fs::read_to_string(&number).unwrap();
    let gone = dhow_testkit::need::eventually(std::time::Duration::from_secs(10), || {
        let line = std::fs::read_to_string(format!("/proc/{}/cmdline", pid.trim()));
        (!line.unwrap_or_default().contains("sleep")).then_some(())
    });
    assert!(gone.is_some(), "process {pid} is left");

    bundle.spec.hooks = Some(Hooks { create_container: vec![hanging], ..Hooks::default() });
    drop(bundle.run(&["true"]).exits(125).says("TimedOut"));
}

#[test]
fn a_hook_that_makes_no_sense_is_refused_before_any_runs() {
    needs_root!();
    let mut bundle = Bundle::new();
    let log = bundle.directory().join("log");
    let first = hook(&format!("echo ran >> {}", log.display()));
    let never = Hook { timeout: Some(0), ..hook("true") };
    let relative = Hook { path: "bin/sh".into(), ..hook("true") };
    for (bad, words) in
        [(never, "its timeout is not greater than zero"), (relative, "its path is not absolute")]
    {
        bundle.spec.hooks = Some(Hooks {
            prestart: vec![first.clone()],
            poststop: vec![first.clone(), bad],
            ..Hooks::default()
        });
        drop(bundle.run(&["true"]).exits(125).says(words));
    }

    assert!(!log.exists());
}

fn namespaces(pid: &str) -> String {
    let read = |kind: &str| std::fs::read_link(format!("/proc/{pid}/ns/{kind}")).unwrap();
    ["mnt", "net", "pid", "uts"].map(|kind| format!("{}\n", read(kind).display())).concat()
}

/// Which namespaces, which directory, which environment, which fds: a kind of hook after the other.
#[test]
fn hooks_run_where_the_specification_says() {
    needs_root!();
    let mut bundle = Bundle::new();
    let directory = bundle.directory().to_owned();
    let tell = |name: &str, place: &str| {
        Hook {
        env: vec!["B=2".to_owned(), "A=1".to_owned(), "B=3".to_owned()],
        ..hook(&format!(
            "exec > {place}/{name}; for k in mnt net pid uts; do readlink /proc/self/ns/$k; done
             pwd; tr '\\0' ' ' < /proc/self/environ; echo; ls /proc/self/fd | tr '\\n' ' '; echo; cat"
        ))
    }
    };
    let outside = directory.to_str().unwrap();
    std::fs::create_dir(bundle.root().join("told")).unwrap();
    bundle.process().cwd = "/told".to_owned();
    bundle.spec.hooks = Some(Hooks {
        prestart: vec![tell("prestart", outside)],
        create_runtime: vec![tell("createRuntime", outside)],
        create_container: vec![tell("createContainer", outside)],
        start_container: vec![Hook { env: Vec::new(), ..tell("startContainer", "/told") }],
        poststart: vec![tell("poststart", outside)],
        poststop: vec![tell("poststop", outside)],
    });
    let mut held = bundle.hold(&["sh", "-c", "echo up; exec sleep 60"]);
    let inside = namespaces(&held.pid.to_string());
    let host = namespaces("self");
    held.start();
    assert_eq!(held.line(), "up");
    let root = bundle.root().to_str().unwrap().to_owned();
    let pid = held.pid.to_string();
    // Their end comes when the container's own does.
    held.kill();
    held.end();

    let own = "B=2 A=1 B=3 ";
    let cases = [
        ("prestart", &host, outside, own, "creating", pid.as_str()),
        ("createRuntime", &host, outside, own, "creating", &pid),
        ("createContainer", &inside, &root, own, "creating", "1"),
        ("startContainer", &inside, "/told", "PATH=/bin HOME=/root ", "created", "1"),
        ("poststart", &host, outside, own, "running", &pid),
        ("poststop", &host, outside, own, "stopped", ""),
    ];
    for (name, namespaces, place, environment, status, pid) in cases {
        let file = match name {
            "startContainer" => bundle.root().join("told").join(name),
            _ => directory.join(name),
        };
        let told = std::fs::read_to_string(&file).unwrap();
        let start = format!("{namespaces}{place}\n{environment}\n0 1 2 ");
        assert!(told.starts_with(&start), "{name}: {told:?}, not {start:?}");
        let state: serde_json::Value = serde_json::from_str(told.lines().last().unwrap()).unwrap();
        assert_eq!(state["status"], status, "{name}");
        assert_eq!(state["id"], bundle.id, "{name}");
        assert_eq!(state["bundle"], outside, "{name}");
        let number = state.get("pid").map(ToString::to_string).unwrap_or_default();
        assert_eq!(number, pid, "{name}");
    }
}
