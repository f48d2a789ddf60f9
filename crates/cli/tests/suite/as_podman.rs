//! What podman's users and scripts type: dhow under podman's name answers as they have learned.

use crate::fixture::{start, with_box};
use dhow_testkit::{Dhow, Outcome, needs_root};
use std::fs;

fn podman(dhow: &Dhow, arguments: &[&str]) -> Outcome {
    dhow.run_as("podman", arguments)
}

#[test]
fn failures_have_podmans_codes_and_first_word() {
    needs_root!();
    let dhow = with_box();
    start(&dhow, &["--name", "web", "box", "sleep", "900"]);
    let cases: [(&[&str], i32); 14] = [
        (&["bogus"], 125),
        (&["ps", "extra"], 125),
        (&["inspect", "gone"], 125),
        (&["logs", "gone"], 125),
        (&["stop", "gone"], 125),
        (&["exec", "web"], 125),
        (&["container", "exists", "gone"], 1),
        (&["rm", "gone"], 1),
        (&["rm", "web"], 2),
        (&["rmi", "gone"], 1),
        (&["rmi", "box"], 2),
        (&["volume", "rm", "gone"], 1),
        (&["network", "rm", "gone"], 1),
        (&["pod", "rm", "gone"], 1),
    ];
    for (line, code) in cases {
        let outcome = podman(&dhow, line);
        assert_eq!(outcome.code, code, "{line:?}: {}", outcome.stderr);
        let is_told = outcome.stderr.starts_with("Error: ");
        assert_eq!(is_told, line[1..] != ["exists", "gone"], "{line:?}: {}", outcome.stderr);
    }
    assert!(podman(&dhow, &["inspect", "gone"]).stderr.contains("no such object: gone"));
    drop(dhow.run(&["rm", "-f", "-t", "0", "web"]).ok());
    dhow.assert_clean();
}

#[test]
fn output_goes_where_flags_say_before_and_after_the_command() {
    needs_root!();
    let dhow = with_box();
    let out = dhow.directory().join("out");
    let file = out.to_str().unwrap();

    let silent = podman(&dhow, &["--noout", "create", "--name", "one", "box", "true"]).ok();
    let kept = podman(&dhow, &["create", "--out", file, "--name", "two", "box", "true"]).ok();
    let louder = podman(&dhow, &["ps", "--log-level=debug", "-aq", "--no-trunc"]).ok();

    assert_eq!((silent.stdout.as_str(), kept.stdout.as_str()), ("", ""));
    let id = fs::read_to_string(&out).unwrap();
    assert!(louder.stdout.contains(id.trim()) && id.trim().len() == 64, "{id}: {louder:?}");
    drop(dhow.run(&["rm", "-a"]).ok());
    dhow.assert_clean();
}

#[test]
fn templates_name_fields_as_podmans_program_does() {
    needs_root!();
    let dhow = with_box();
    let line = [
        &["create", "--name", "web", "--ulimit", "core=-1", "--log-opt", "max-size=10m"][..],
        &["--health-cmd", "true", "--health-startup-cmd", "true", "box", "true"],
    ];
    let id = podman(&dhow, &line.concat()).ok();
    let of = |kind: &str, format: &str, name: &str| {
        podman(&dhow, &[kind, "inspect", "--format", format, name]).ok().line().to_owned()
    };

    assert_eq!(of("container", "{{.ID}}", "web"), id.line());
    assert_eq!(of("container", "{{.ImageName}}", "web").rsplit(':').next(), Some("latest"));
    assert_eq!(of("container", "{{.State.Healthcheck.FailingStreak}}", "web"), "0");
    assert_eq!(
        of("container", "{{json .Config.StartupHealthCheck.Test}}", "web"),
        "[\"CMD-SHELL\",\"true\"]"
    );
    assert_eq!(of("container", "{{.Config.HealthLogDestination}}", "web"), "local");
    assert!(of("container", "{{.HostConfig.LogConfig.Path}}", "web").starts_with('/'));
    assert_eq!(of("container", "{{.HostConfig.LogConfig.Size}}", "web"), "10MiB");
    let limit = "{{range .HostConfig.Ulimits}}{{.Name}} {{.Soft}} {{.Hard}}{{end}}";
    assert_eq!(of("container", limit, "web"), "RLIMIT_CORE -1 -1");
    assert!(of("image", "{{.ID}}", "box").contains(&of("container", "{{.Image}}", "web")));
    drop(dhow.run(&["rm", "web"]).ok());
    dhow.assert_clean();
}

#[test]
fn programs_find_out_whose_container_they_are_in() {
    needs_root!();
    let dhow = with_box();
    let show = "echo ${container-none}; cat /run/.containerenv 2>/dev/null; ls /.dockerenv";
    let told = |name: &str, flags: &[&str]| {
        let line = [&["run", "--rm"], flags, &["box", "sh", "-c", show]].concat();
        dhow.run_as(name, &line).stdout
    };

    assert_eq!(told("dhow", &[]), "none\n");
    assert_eq!(told("docker", &[]), "none\n/.dockerenv\n");
    assert_eq!(told("podman", &[]), "podman\n");
    let privileged = told("podman", &["--privileged", "--name", "web"]);
    assert!(
        privileged.contains("name=\"web\"\n") && privileged.contains("rootless=0\n"),
        "{privileged}"
    );
    let there = |flags: &[&str]| {
        let line = [&["run", "--rm"], flags, &["box", "test", "-e", "/run/.containerenv"]].concat();
        podman(&dhow, &line).code
    };
    let run = dhow.directory().join("mounted");
    fs::create_dir(&run).unwrap();
    assert_eq!(there(&[]), 0);
    assert_eq!(there(&["-v", &format!("{}:/run", run.display())]), 1);
    assert_eq!(fs::read_dir(&run).unwrap().count(), 0, "nothing is made in what the user mounts");
    dhow.assert_clean();
}

#[test]
fn words_are_understood_as_scripts_write_them() {
    needs_root!();
    let dhow = with_box();
    let conf = dhow.directory().join("conf");
    fs::write(&conf, "[containers]\nread_only = true\n").unwrap();
    let run = |flags: &[&str], command: &[&str]| {
        let line = [&["run", "--rm"], flags, &["box"], command].concat();
        podman(&dhow, &line).ok().stdout
    };

    assert_eq!(run(&["--entrypoint", r#"["echo","one"]"#], &["two"]), "one two\n");
    assert_eq!(run(&["--name", "/web", "--memory", "0", "-m=0"], &["echo", "there"]), "there\n");
    assert!(run(&["--group-add", "7,8"], &["id", "-G"]).ends_with("7 8\n"));
    let line = ["run", "--rm", "--read-only=false", "box", "touch", "/there"];
    let mut command = dhow.command(&line);
    drop(dhow.finish(command.env("CONTAINERS_CONF_OVERRIDE", &conf), b"").ok());
    let refused = podman(&dhow, &["create", "--health-on-failure", "kill", "box"]).exits(125);
    assert!(refused.stderr.contains("--health-cmd"), "{refused:?}");
    dhow.assert_clean();
}

#[test]
fn who_gives_a_program_its_input_alone_is_told_its_id() {
    needs_root!();
    let dhow = with_box();
    let line = ["run", "-i", "--name", "web", "--attach", "stdin", "box", "cat"];

    let told = dhow.run_with_input(&line, b"said\n").ok().stdout;

    assert_eq!(told, dhow.run(&["ps", "-aq", "--no-trunc"]).ok().stdout);
    assert_eq!(dhow.run(&["logs", "web"]).ok().stdout, "said\n");
    drop(dhow.run(&["rm", "web"]).ok());
    dhow.assert_clean();
}

#[test]
fn only_what_does_not_run_is_started_by_all_and_by_filters() {
    needs_root!();
    let dhow = with_box();
    let runs = start(&dhow, &["--name", "runs", "box", "sleep", "900"]);
    let rests = |name: &str, policy: &str| {
        let line = ["create", "--name", name, "--restart", policy, "box", "sleep", "900"];
        dhow.run(&line).ok().line().to_owned()
    };
    let (rests, other) = (rests("rests", "on-failure"), rests("other", "no"));

    let filter = "restart-policy=on-failure";
    let named = dhow.run(&["start", "--filter", filter, "rests", "other"]).ok().stdout;
    let all = dhow.run(&["start", "--all"]).ok().stdout;

    assert_eq!(named, "rests\n");
    assert_eq!(all, format!("{other}\n"));
    assert!(!all.contains(&runs) && !all.contains(&rests));
    drop(dhow.run(&["rm", "-f", "-t", "0", "-a"]).ok());
    dhow.assert_clean();
}

#[test]
fn a_path_in_a_container_begins_where_its_program_works() {
    needs_root!();
    let dhow = with_box();
    let line = ["run", "--name", "web", "-w", "/srv", "box", "sh", "-c", "echo said >/srv/file"];
    drop(dhow.run(&line).ok());
    let to = dhow.directory().join("copy");

    drop(podman(&dhow, &["cp", "web:file", to.to_str().unwrap()]).ok());
    drop(podman(&dhow, &["cp", to.to_str().unwrap(), "web:other"]).ok());

    assert_eq!(fs::read_to_string(&to).unwrap(), "said\n");
    drop(dhow.run(&["cp", "web:/srv/other", "-"]).ok());
    drop(dhow.run(&["cp", "web:file", "-"]).exits(1));
    drop(dhow.run(&["rm", "web"]).ok());
    dhow.assert_clean();
}

#[test]
fn lists_and_logs_are_written_as_podmans() {
    needs_root!();
    let dhow = with_box();
    let one = dhow.run(&["create", "--name", "one", "box", "sh", "-c", "echo a"]).ok();
    let (id, short) = (one.line(), one.line()[..12].to_owned());
    drop(dhow.run(&["create", "--name", "two", "box", "sh", "-c", "echo b"]).ok());
    for name in ["one", "two"] {
        drop(dhow.run(&["start", "-a", name]).ok());
    }
    let names = |filter: &str| {
        let line = ["ps", "-a", "--filter", filter, "--format", "{{.Names}} {{.Command}}"];
        podman(&dhow, &line).ok().stdout
    };

    assert_eq!(names(&format!("id={}", id[..10].to_uppercase())), "one sh -c 'echo a'\n");
    assert_eq!(names(&format!("id=^{}", &id[..10])), "one sh -c 'echo a'\n");
    assert_eq!(names(&format!("id={}$", &id[50..])), "one sh -c 'echo a'\n");
    assert_eq!(names("id=^$"), "");
    let said = podman(&dhow, &["logs", "one", "two"]).ok().stdout;
    assert!(said.starts_with(&format!("{short} a\n")), "{said}");
    assert_eq!(dhow.run(&["logs", "one", "two"]).ok().stdout, "a\nb\n");
    drop(dhow.run(&["rm", "-a"]).ok());
    dhow.assert_clean();
}

#[test]
fn a_check_by_hand_may_fail_without_being_an_error() {
    needs_root!();
    let dhow = with_box();
    start(
        &dhow,
        &[
            "--name",
            "web",
            "--health-cmd",
            "false",
            "--health-interval",
            "disable",
            "box",
            "sleep",
            "900",
        ],
    );

    let failed = podman(&dhow, &["healthcheck", "run", "web"]).exits(1).stdout;
    let passed = podman(&dhow, &["healthcheck", "run", "--ignore-result", "web"]).ok().stdout;

    assert_eq!((failed.as_str(), passed.as_str()), ("unhealthy\n", "unhealthy\n"));
    drop(podman(&dhow, &["healthcheck", "run", "--ignore-result", "gone"]).exits(125));
    drop(dhow.run(&["rm", "-f", "-t", "0", "web"]).ok());
    dhow.assert_clean();
}
