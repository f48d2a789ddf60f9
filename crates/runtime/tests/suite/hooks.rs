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

#[test]
fn a_hook_that_fails_or_hangs_ends_the_creation() {
    needs_root!();
    let mut bundle = Bundle::new();
    bundle.spec.hooks = Some(Hooks { create_runtime: vec![hook("exit 3")], ..Hooks::default() });

    drop(bundle.run(&["true"]).exits(125).says("run createRuntime hook /bin/sh: it failed"));

    let hanging = Hook { timeout: Some(1), ..hook("sleep 60") };
    bundle.spec.hooks = Some(Hooks { create_container: vec![hanging], ..Hooks::default() });
    drop(bundle.run(&["true"]).exits(125).says("TimedOut"));
}
