//! Pods as one: pause, logs, stats, top, events, clones, and a container of the pod's own.

use crate::fixture::{start, wait_for_output, wait_for_state, with_box};
use dhow_testkit::{Dhow, needs_root};

fn status(dhow: &Dhow, pod: &str) -> String {
    dhow.run(&["pod", "inspect", "--format", "{{.State}}", pod]).ok().line().to_owned()
}

fn in_pod(dhow: &Dhow, pod: &str, name: &str, script: &str) {
    drop(start(dhow, &["--pod", pod, "--name", name, "box", "sh", "-c", script]));
}

#[test]
fn a_pod_stands_still_and_goes_on() {
    needs_root!();
    let dhow = with_box();
    drop(dhow.run(&["pod", "create", "web"]).ok());
    in_pod(&dhow, "web", "a", "sleep 100");
    in_pod(&dhow, "web", "b", "sleep 100");
    drop(dhow.run(&["pause", "a"]).ok());

    drop(dhow.run(&["pod", "pause", "web"]).ok());
    assert_eq!(status(&dhow, "web"), "Paused");
    wait_for_state(&dhow, "b", "paused");
    drop(dhow.run(&["pod", "unpause", "--all"]).ok());
    assert_eq!(status(&dhow, "web"), "Running");

    drop(dhow.run(&["pod", "stop", "-t", "0", "web"]).ok());
    drop(dhow.run(&["pod", "start", "web"]).ok());
    drop(dhow.run(&["pod", "kill", "web"]).ok());
    let events = [
        "events",
        "--since",
        "1h",
        "--until",
        "0s",
        "--filter",
        "type=pod",
        "--format",
        "{{.Action}}",
    ];
    let told = dhow.run(&events).ok().stdout;
    let told: Vec<&str> = told.lines().collect();
    assert_eq!(told, ["create", "pause", "unpause", "stop", "start", "kill"]);
    drop(dhow.run(&["pod", "pause", "nothing"]).exits(1).says("no such pod"));
    drop(dhow.run(&["pod", "rm", "-f", "web"]).ok());
}

#[test]
fn a_pod_is_looked_at_as_one() {
    needs_root!();
    let dhow = with_box();
    drop(dhow.run(&["pod", "create", "web"]).ok());
    in_pod(&dhow, "web", "a", "echo from a; exec sleep 111");
    in_pod(&dhow, "web", "b", "echo from b; exec sleep 222");
    wait_for_output(&dhow, "a", "from a");
    wait_for_output(&dhow, "b", "from b");

    let said = dhow.run(&["pod", "logs", "--names", "web"]).ok().stdout;
    assert_eq!(said, "a from a\nb from b\n");
    assert_eq!(
        dhow.run(&["pod", "logs", "-c", "b", "-n", "1", "--names", "web"]).ok().line(),
        "b from b"
    );
    let ids = dhow.run(&["pod", "logs", "web"]).ok().stdout;
    assert!(ids.lines().all(|line| line.split(' ').next().unwrap().len() == 12), "{ids}");
    let top = dhow.run(&["pod", "top", "web"]).ok().stdout;
    assert!(top.contains("sleep 111") && top.contains("sleep 222"), "{top}");
    let fields = dhow.run(&["pod", "top", "web", "pid,args"]).ok().stdout;
    assert!(fields.starts_with("PID") && fields.lines().count() == 3, "{fields}");
    let format = "{{.Pod}} {{.Name}} {{.PIDs}}";
    let stats = dhow.run(&["pod", "stats", "--no-stream", "--format", format, "web"]).ok().stdout;
    let pod = dhow.run(&["pod", "ps", "-q"]).ok().line().to_owned();
    let mut lines: Vec<&str> = stats.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, [format!("{pod} a 1"), format!("{pod} b 1")]);

    // Who follows hears all of them to the end.
    let mut follower = dhow.command(&["pod", "logs", "-f", "--names", "web"]);
    let follower = follower.stdout(std::process::Stdio::piped()).spawn().unwrap();
    drop(dhow.run(&["pod", "kill", "web"]).ok());
    let heard = String::from_utf8(follower.wait_with_output().unwrap().stdout).unwrap();
    assert!(heard.contains("a from a") && heard.contains("b from b"), "{heard}");
    drop(dhow.run(&["pod", "logs", "-c", "nobody", "web"]).exits(1).says("no such container"));
    drop(dhow.run(&["pod", "top", "web"]).exits(1).says("nothing of pod"));
    drop(dhow.run(&["pod", "rm", "web"]).ok());
}

#[test]
fn processes_are_shared_through_a_container_of_the_pods_own() {
    needs_root!();
    let dhow = with_box();
    drop(dhow.run(&["pod", "create", "--share", "+pid", "--infra-name", "keeper", "web"]).ok());
    in_pod(&dhow, "web", "a", "exec sleep 111");
    in_pod(&dhow, "web", "b", "exec sleep 222");

    let seen = dhow.run(&["exec", "a", "ps", "-o", "pid,args"]).ok().stdout;
    assert!(seen.contains("sleep 222") && seen.contains("dhow-init"), "{seen}");
    let infra = dhow.run(&["pod", "inspect", "--format", "{{.InfraContainerID}}", "web"]).ok();
    let keeper = dhow.run(&["inspect", "--format", "{{.Id}}", "keeper"]).ok();
    assert_eq!(infra.line(), keeper.line());
    drop(dhow.run(&["rm", "-f", "keeper"]).exits(1).says("its pod needs it"));
    drop(dhow.run(&["pod", "restart", "-t", "0", "web"]).ok());
    assert_eq!(status(&dhow, "web"), "Running");
    drop(dhow.run(&["pod", "stop", "-t", "0", "web"]).ok());
    wait_for_state(&dhow, "keeper", "exited");
    // Whoever starts first takes it along.
    drop(dhow.run(&["start", "b"]).ok());
    wait_for_state(&dhow, "keeper", "running");
    drop(dhow.run(&["pod", "rm", "-f", "web"]).ok());
    assert_eq!(dhow.run(&["ps", "-aq"]).ok().stdout, "");
    assert_eq!(dhow.run(&["doctor"]).ok().stdout, "all is well\n");
}

#[test]
fn a_pod_stops_with_its_last_container_where_it_is_to() {
    needs_root!();
    let dhow = with_box();
    for policy in ["continue", "stop"] {
        let create = ["pod", "create", "--infra", "--exit-policy", policy, policy];
        drop(dhow.run(&create).ok());
        drop(dhow.run(&["run", "-q", "--pod", policy, "box", "true"]).ok());
    }
    // Its infra container is started first, by the same command.
    drop(dhow.run(&["pod", "create", "--infra", "fresh"]).ok());
    for _ in 0..2 {
        assert_eq!(
            dhow.run(&["run", "--rm", "--pod", "fresh", "box", "echo", "hi"]).ok().line(),
            "hi"
        );
        drop(dhow.run(&["pod", "stop", "-t", "0", "fresh"]).ok());
    }
    let infra = |pod: &str| {
        let id = dhow.run(&["pod", "inspect", "--format", "{{.InfraContainerID}}", pod]).ok();
        id.line().to_owned()
    };

    wait_for_state(&dhow, &infra("stop"), "exited");
    assert_eq!(status(&dhow, "stop"), "Exited");
    assert_eq!(status(&dhow, "continue"), "Degraded");
    drop(
        dhow.run(&["pod", "create", "--infra=false", "--share", "pid", "x"])
            .exits(1)
            .says("--infra"),
    );
    drop(dhow.run(&["pod", "rm", "-f", "stop", "continue", "fresh"]).ok());
}

#[test]
fn containers_of_a_pod_may_see_the_hosts_processes_and_name_and_have_its_options_of_security() {
    needs_root!();
    let dhow = with_box();
    let create = ["pod", "create", "--share", "+pid", "--pid", "host", "--uts", "host"];
    let more =
        ["--security-opt", "no-new-privileges", "--security-opt", "mask=/proc/version", "web"];
    drop(dhow.run(&[&create[..], &more].concat()).ok());
    let script = "readlink /proc/self/ns/pid; readlink /proc/self/ns/uts; grep NoNewPrivs /proc/self/status; \
                  cat /proc/version";
    let here = |kind: &str| {
        let link = std::fs::read_link(format!("/proc/self/ns/{kind}")).unwrap();
        link.to_string_lossy().into_owned()
    };

    let seen = dhow.run(&["run", "--rm", "-q", "--pod", "web", "box", "sh", "-c", script]).ok();
    let own = ["run", "--rm", "-q", "--pod", "web", "--pid", "private", "box", "sh", "-c", script];
    let own = dhow.run(&own).ok().stdout;

    let expected = format!("{}\n{}\nNoNewPrivs:\t1\n", here("pid"), here("uts"));
    assert_eq!(seen.stdout, expected);
    assert!(!own.contains(&here("pid")) && own.contains(&here("uts")), "{own}");
    let infra = dhow.run(&["pod", "inspect", "--format", "{{.InfraContainerID}}", "web"]).ok();
    assert_eq!(infra.line(), "");
    drop(
        dhow.run(&["pod", "create", "--uts", "host", "--hostname", "x", "y"])
            .exits(1)
            .says("--uts"),
    );
    drop(dhow.run(&["pod", "rm", "-f", "web"]).ok());
    dhow.assert_clean();
}

#[test]
fn containers_of_a_pod_get_what_the_pod_has() {
    needs_root!();
    let dhow = with_box();
    std::fs::create_dir(dhow.directory().join("data")).unwrap();
    let volume = format!("{}:/data", dhow.directory().join("data").display());
    let create = [
        "pod",
        "create",
        "-v",
        &volume,
        "--sysctl",
        "net.ipv4.ip_default_ttl=77",
        "--add-host",
        "db:10.0.0.1",
        "--device",
        "/dev/null:/dev/nothing",
        "--memory",
        "64m",
        "web",
    ];
    drop(dhow.run(&create).ok());

    let script = "echo kept > /data/note; cat /proc/sys/net/ipv4/ip_default_ttl; grep db /etc/hosts; \
                  test -c /dev/nothing && echo device";
    let said = dhow.run(&["run", "--rm", "-q", "--pod", "web", "box", "sh", "-c", script]).ok();
    assert_eq!(said.stdout, "77\n10.0.0.1\tdb\ndevice\n");
    assert_eq!(std::fs::read_to_string(dhow.directory().join("data/note")).unwrap(), "kept\n");
    for flag in ["--userns=keep-id", "--ip=10.0.0", "--security-opt=x=y", "--pid=elsewhere"] {
        let name = flag.split('=').next().unwrap();
        drop(dhow.run(&["pod", "create", flag, "other"]).exits(1).says(name));
    }
    drop(dhow.run(&["pod", "rm", "-f", "web"]).ok());
}

#[test]
fn a_pod_is_cloned_with_its_containers() {
    needs_root!();
    let dhow = with_box();
    drop(
        dhow.run(&["pod", "create", "--share", "+pid", "-l", "tier=web", "-m", "64m", "web"]).ok(),
    );
    drop(dhow.run(&["create", "-q", "--pod", "web", "--name", "a", "box", "sleep", "100"]).ok());

    let id = dhow.run(&["pod", "clone", "--start", "web"]).ok().line().to_owned();
    assert_eq!(status(&dhow, "web-clone"), "Running");
    let seen = dhow.run(&["exec", "a-clone", "ps", "-o", "args"]).ok().stdout;
    assert!(seen.contains("dhow-init"), "{seen}");
    let row =
        ["pod", "ps", "--filter", "label=tier", "--format", "{{.Name}} {{.NumberOfContainers}}"];
    assert_eq!(dhow.run(&row).ok().stdout, "web-clone 2\nweb 2\n");
    drop(dhow.run(&["pod", "clone", "--destroy", "-l", "more=1", &id[..12], "third"]).ok());
    assert_eq!(dhow.run(&row).ok().stdout, "third 2\nweb 2\n");
    drop(dhow.run(&["pod", "rm", "-f", "third", "web"]).ok());
    assert_eq!(dhow.run(&["ps", "-aq"]).ok().stdout, "");
}

#[test]
fn a_pods_restart_policy_is_that_of_its_containers_which_say_nothing_else() {
    needs_root!();
    let dhow = with_box();
    drop(dhow.run(&["pod", "create", "--restart", "on-failure:2", "web"]).ok());
    in_pod(&dhow, "web", "a", "sleep 100");
    let others = ["--pod", "web", "--restart", "no", "--name", "b", "box", "sleep", "100"];
    drop(start(&dhow, &others));
    drop(dhow.run(&["run", "--rm", "--pod", "web", "box", "true"]).ok());
    drop(dhow.run(&["pod", "clone", "web", "other"]).ok());
    let policy = |name: &str| {
        let format =
            "{{.HostConfig.RestartPolicy.Name}}:{{.HostConfig.RestartPolicy.MaximumRetryCount}}";
        dhow.run(&["inspect", "--format", format, name]).ok().line().to_owned()
    };

    assert_eq!(policy("a"), "on-failure:2");
    assert_eq!(policy("b"), "no:0");
    drop(start(&dhow, &["--pod", "other", "--name", "c", "box", "sleep", "100"]));
    assert_eq!(policy("c"), "on-failure:2");
    drop(dhow.run(&["pod", "create", "--restart", "sometimes"]).exits(1).says("no such policy"));
    drop(dhow.run(&["pod", "rm", "-f", "web", "other"]).ok());
}

#[test]
fn containers_of_a_pod_have_the_gpus_that_the_pod_asks_for() {
    needs_root!();
    let dhow = with_box();
    let library = dhow.directory().join("cdi");
    std::fs::create_dir(&library).unwrap();
    let document = "cdiVersion: \"0.6.0\"\nkind: nvidia.com/gpu\ndevices:\n- name: all\n  containerEdits:\n    \
                    env: [GPU=all-of-them]\n";
    std::fs::write(library.join("gpu.yaml"), document).unwrap();
    let text = format!("[engine]\ncdi_spec_dirs = [{:?}]\n", library.display().to_string());
    dhow.configure(&text);
    drop(dhow.run(&["pod", "create", "--gpus", "all", "web"]).ok());

    let seen = dhow.run(&["run", "--rm", "--pod", "web", "box", "sh", "-c", "echo $GPU"]).ok();

    assert_eq!(seen.stdout, "all-of-them\n");
    drop(dhow.run(&["pod", "create", "--gpus=-1"]).exits(1).says("--gpus"));
    drop(dhow.run(&["pod", "rm", "-f", "web"]).ok());
}

/// Its own container is nobody's work: it does not keep the pod from going.
#[test]
fn a_pod_in_which_only_its_own_container_runs_is_removed_without_force() {
    needs_root!();
    let dhow = with_box();
    drop(dhow.run(&["pod", "create", "--infra", "web"]).ok());
    in_pod(&dhow, "web", "a", "sleep 100");
    assert_eq!(status(&dhow, "web"), "Running");

    drop(dhow.run(&["pod", "rm", "web"]).exits(1).says("container a runs in it"));
    drop(dhow.run(&["stop", "-t", "0", "a"]).ok());
    drop(dhow.run(&["pod", "rm", "web"]).ok());

    assert_eq!(dhow.run(&["ps", "-aq"]).ok().stdout, "");
    dhow.assert_clean();
}
