//! `update`: limits of containers that are there.

use crate::fixture::{start, wait_for_output, with_box};
use dhow_testkit::needs_root;

#[test]
fn a_running_container_has_the_new_limits_at_once_and_after_its_next_start() {
    needs_root!();
    let dhow = with_box();
    let id = start(&dhow, &["-m", "64m", "--memory-swap", "64m", "box", "sleep", "1000"]);
    let memory = || {
        // The limit of the group in either version, seen from inside.
        let script = "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max \
                      2>/dev/null | head -n 1";
        dhow.run(&["exec", &id, "sh", "-c", script]).ok().stdout
    };
    assert_eq!(memory(), "67108864\n");

    let refused = dhow.run(&["update", "-m", "128m", &id]).exits(1);
    assert!(refused.stderr.contains("--memory-swap"), "{}", refused.stderr);
    assert_eq!(memory(), "67108864\n");

    let changed = dhow.run(&["update", "-m", "128m", "--memory-swap", "256m", "--latest"]).ok();
    assert_eq!(changed.line(), id);
    assert_eq!(memory(), "134217728\n");

    drop(dhow.run(&["stop", "-t", "0", &id]).ok());
    drop(dhow.run(&["update", "--pids-limit", "77", "--ulimit", "core=0", &id]).ok());
    drop(dhow.run(&["start", &id]).ok());
    assert_eq!(memory(), "134217728\n");
    assert_eq!(dhow.run(&["exec", &id, "sh", "-c", "ulimit -c"]).ok().stdout, "0\n");
    let shown = dhow.run(&["inspect", "--format", "{{.HostConfig.PidsLimit}}", &id]).ok();
    assert_eq!(shown.line(), "77");
    drop(dhow.run(&["update", "--restart", "on-failure:3", &id]).ok());
    let format =
        "{{.HostConfig.RestartPolicy.Name}} {{.HostConfig.RestartPolicy.MaximumRetryCount}}";
    assert_eq!(dhow.run(&["inspect", "--format", format, &id]).ok().line(), "on-failure 3");
    drop(dhow.run(&["rm", "-f", &id]).ok());
}

#[test]
fn one_missing_container_does_not_stop_the_others() {
    needs_root!();
    let dhow = with_box();
    let id = dhow.run(&["create", "-q", "box"]).ok().line().to_owned();

    let outcome = dhow.run(&["update", "--pids-limit", "5", "gone", &id]).exits(1);

    assert_eq!(outcome.stdout.trim(), id);
    assert!(outcome.stderr.contains("gone"), "{}", outcome.stderr);
    let nothing = dhow.run(&["update", &id]).exits(1);
    assert!(nothing.stderr.contains("nothing is to be changed"), "{}", nothing.stderr);
    drop(dhow.run(&["rm", &id]).ok());
}

#[test]
fn variables_are_there_for_sessions_at_once_and_for_the_next_start() {
    needs_root!();
    let dhow = with_box();
    let script = "echo [$A][$B][$C]; exec sleep 1000";
    let id = start(&dhow, &["-e", "A=1", "-e", "B=2", "box", "sh", "-c", script]);
    let seen = || dhow.run(&["exec", &id, "sh", "-c", "echo [$A][$B][$C]"]).ok().line().to_owned();

    drop(dhow.run(&["update", "-e", "A=x y", "--env", "C=3", "--unsetenv", "B", &id]).ok());
    assert_eq!(seen(), "[x y][][3]");
    drop(dhow.run(&["restart", "-t", "0", &id]).ok());
    wait_for_output(&dhow, &id, "[x y][][3]");
    let shown = dhow.run(&["inspect", "--format", "{{json .Config.Env}}", &id]).ok().stdout;
    assert!(shown.contains("A=x y") && !shown.contains("B=2"), "{shown}");
    drop(dhow.run(&["update", "-e", "=1", &id]).exits(1).says("--env"));
    let told = dhow.run(&["events", "--since", "1h", "--stream=false", "-f", "event=update"]);
    assert!(told.ok().stdout.contains("image="), "the event tells which image");
    drop(dhow.run(&["rm", "-f", &id]).ok());
}
