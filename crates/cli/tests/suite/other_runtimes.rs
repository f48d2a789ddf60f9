//! `--runtime`: containers that another OCI runtime makes, under the same engine.

use crate::fixture::{start, wait_for_output, wait_for_state, with_box};
use dhow_testkit::{Dhow, Outcome, need, needs_root, outcome};
use std::{path::Path, process::Command};

/// Runs dhow where no second tree of cgroups is in sight, which crun refuses to work with.
fn run(dhow: &Dhow, arguments: &[&str]) -> Outcome {
    let inner = dhow.command(arguments);
    let mut command = Command::new("unshare");
    command
        .args(["-m", "sh", "-c"])
        .arg("umount /sys/fs/cgroup/unified 2>/dev/null; exec \"$0\" \"$@\"")
        .arg(inner.get_program())
        .args(inner.get_args())
        .current_dir(dhow.directory());
    outcome::run(&mut command, b"", outcome::LIMIT).unwrap()
}

fn lives_under(name: &str) {
    let Some(program) = need::tool(name) else { return };
    let dhow = with_box();
    let program = program.to_str().unwrap();
    let begin = ["run", "-q", "--runtime", program];

    let outcome = run(
        &dhow,
        &[&begin[..], &["--rm", "box", "sh", "-c", "echo out; echo err >&2; exit 7"]].concat(),
    );
    let outcome = outcome.exits(7);
    assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), ("out\n", "err\n"));

    let script =
        "trap 'echo bye; exit 5' TERM; touch /made; echo ready; while :; do sleep 0.1; done";
    drop(
        run(&dhow, &[&begin[..], &["-d", "--name", "web", "box", "sh", "-c", script]].concat())
            .ok(),
    );
    wait_for_output(&dhow, "web", "ready");
    assert_eq!(dhow.run(&["exec", "web", "ls", "/made"]).ok().stdout, "/made\n");
    assert_eq!(dhow.run(&["inspect", "-f", "{{.HostConfig.Runtime}}", "web"]).ok().line(), program);
    drop(dhow.run(&["stop", "web"]).ok());
    assert_eq!(dhow.run(&["wait", "web"]).ok().stdout, "5\n");
    drop(run(&dhow, &["start", "web"]).ok());
    wait_for_state(&dhow, "web", "running");
    drop(dhow.run(&["rm", "-f", "web"]).ok());

    drop(run(&dhow, &[&begin[..], &["--rm", "box", "no-such-program"]].concat()).exits(127));
    dhow.assert_clean();
    assert_eq!(dhow.run(&["doctor"]).ok().stdout, "all is well\n");
}

#[test]
fn runc_makes_containers() {
    needs_root!();
    lives_under("runc");
}

#[test]
fn crun_makes_containers() {
    needs_root!();
    lives_under("crun");
}

#[test]
fn our_own_runtime_makes_them_by_its_command_line_too() {
    needs_root!();
    let dhow = with_box();
    let link = dhow.directory().join("dhow-runtime");
    std::os::unix::fs::symlink(dhow.program(), &link).unwrap();

    let id = start(
        &dhow,
        &["--runtime", link.to_str().unwrap(), "--name", "web", "box", "sleep", "100"],
    );

    wait_for_state(&dhow, "web", "running");
    assert!(Path::new(&dhow.runroot()).join("containers").join(id).join("runtime").exists());
    drop(dhow.run(&["rm", "-f", "web"]).ok());
    drop(
        dhow.run(&["run", "--rm", "-q", "--runtime", "no-such", "box", "true"])
            .exits(125)
            .says("no-such"),
    );
    dhow.assert_clean();
}
