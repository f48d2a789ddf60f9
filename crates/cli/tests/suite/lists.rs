//! `ps` and `inspect`: what is there, as docker shows it.

use crate::fixture::{start, wait_for_state, with_box};
use dhow_testkit::{Dhow, needs_root, needs_tool};
use serde_json::{Value, json};

#[test]
fn an_empty_list_is_a_header() {
    let dhow = Dhow::new();

    let outcome = dhow.run(&["ps"]).ok();

    assert_eq!(
        outcome.stdout,
        "CONTAINER ID   IMAGE     COMMAND   CREATED   STATUS    PORTS     NAMES\n"
    );
}

#[test]
fn a_list_has_dockers_columns_filters_and_formats() {
    needs_root!();
    let dhow = with_box();
    let id = start(&dhow, &["--name", "web", "-l", "tier=front", "box", "sleep", "100"]);
    drop(dhow.run(&["run", "-q", "--name", "over", "box", "sh", "-c", "exit 3"]).exits(3));
    let ps = |arguments: &[&str]| dhow.run(&[&["ps"], arguments].concat()).ok().stdout;

    let table = ps(&[]);
    let row = table.lines().nth(1).unwrap();
    assert!(row.starts_with(&id[..12]) && row.ends_with("web"), "{table}");
    assert!(row.contains("box") && row.contains("\"sleep 100\"") && row.contains("Up "), "{table}");
    assert_eq!(ps(&["-q", "--no-trunc"]).trim(), id);
    assert_eq!(ps(&["-a", "--format", "{{.Names}} {{.State}}"]), "over exited\nweb running\n");
    assert!(ps(&["-a"]).contains("Exited (3) "));
    assert_eq!(ps(&["-a", "-f", "name=ov", "--format", "{{.Names}}"]), "over\n");
    assert_eq!(ps(&["-f", "status=exited", "--format", "{{.Names}}"]), "over\n");
    assert_eq!(ps(&["-f", "label=tier=front", "-q"]).trim(), &id[..12]);
    assert_eq!(ps(&["-l", "--format", "{{.Names}}"]), "over\n");
    let lines: Vec<Value> = ps(&["-a", "--format", "json"])
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 2);
    assert_eq!((&lines[1]["Names"], &lines[1]["Labels"]), (&"web".into(), &"tier=front".into()));
}

#[test]
fn filters_are_those_of_docker_and_podman() {
    needs_root!();
    let dhow = with_box();
    let web =
        start(&dhow, &["--name", "web-1", "-l", "a=1", "-v", "data:/data", "box", "sleep", "100"]);
    start(&dhow, &["--name", "web-2", "-l", "b", "--network", "host", "box", "sleep", "100"]);
    drop(dhow.run(&["create", "-q", "--name", "idle", "box", "true"]).ok());
    let names = |filters: &[&str]| {
        let mut line = vec!["ps", "-a", "--sort", "names", "--format", "{{.Names}}"];
        line.extend(filters.iter().flat_map(|filter| ["-f", filter]));
        dhow.run(&line).ok().stdout.split_whitespace().collect::<Vec<_>>().join(" ")
    };

    let start_of_id = format!("id={}", &web[..9]);
    let cases: [(&[&str], &str); 19] = [
        (&[&start_of_id], "web-1"),
        (&["name=^/?web-[12]$"], "web-1 web-2"),
        (&["name=eb-1"], "web-1"),
        (&["name=1", "name=idle"], "idle web-1"),
        (&["label=a"], "web-1"),
        (&["label=a=1", "label=b"], ""),
        (&["label!=a"], "idle web-2"),
        (&["status=created"], "idle"),
        (&["status=running", "name=web"], "web-1 web-2"),
        (&["ancestor=box"], "idle web-1 web-2"),
        (&["ancestor=other"], ""),
        (&["before=web-2"], "web-1"),
        (&["since=web-1"], "idle web-2"),
        (&["until=1h"], ""),
        (&["volume=data"], "web-1"),
        (&["volume=/data"], "web-1"),
        (&["network=host"], "web-2"),
        (&["health=none", "command=true"], "idle"),
        (&["pod=none"], ""),
    ];
    for (filters, expected) in cases {
        assert_eq!(names(filters), expected, "{filters:?}");
    }
    for bad in ["is-task=true", "name=(", "before=gone", "bogus=1"] {
        drop(dhow.run(&["ps", "-f", bad]).exits(1).says(bad.split_once('=').unwrap().1));
    }
}

#[test]
fn a_list_may_have_other_columns_and_another_order() {
    needs_root!();
    let dhow = with_box();
    start(&dhow, &["--name", "b", "box", "sleep", "100"]);
    start(&dhow, &["--name", "a", "-l", "x=1", "box", "sleep", "100"]);
    drop(dhow.run(&["exec", "b", "dd", "if=/dev/zero", "of=/f", "bs=1M", "count=2"]).ok());
    let ps = |arguments: &[&str]| dhow.run(&[&["ps"], arguments].concat()).ok().stdout;

    assert_eq!(ps(&["--sort", "created", "--format", "{{.Names}}"]), "b\na\n");
    assert_eq!(ps(&["--sort", "size", "-q", "--noheading"]).lines().count(), 2);
    assert_eq!(ps(&["--noheading"]).lines().count(), 2);
    assert!(ps(&["--ns"]).starts_with("CONTAINER ID   NAMES"));
    let size = ps(&["-s", "-f", "name=b", "--format", "{{.Size}}"]);
    assert!(size.starts_with("2.1") && size.contains("MB (virtual "), "{size}");
    assert_eq!(
        ps(&["-f", "name=a", "--format", "{{.Label \"x\"}} {{.Pid | len | lt 0}}"]),
        "1 true\n"
    );
    let created = ps(&["-f", "name=a", "--format", "{{.CreatedAt}}"]);
    assert_eq!(created.split(' ').count(), 4, "{created}");
    drop(dhow.run(&["ps", "--sort", "bogus"]).exits(1).says("bogus"));
    drop(dhow.run(&["ps", "--format", "{{.Bogus}}"]).exits(1).says("1:3"));
    drop(dhow.run(&["ps", "--format", "{{"]).exits(1).says("1:"));
}

#[test]
fn inspect_shows_documents_and_fields() {
    needs_root!();
    let dhow = with_box();
    let flags = ["-m", "64m", "--shm-size", "1m", "--dns", "9.9.9.9", "--add-host", "db:10.0.0.1"];
    let id = start(&dhow, &[&["--name", "web"], &flags[..], &["box", "sleep", "100"]].concat());
    wait_for_state(&dhow, "web", "running");
    let inspect = |arguments: &[&str]| dhow.run(&[&["inspect"], arguments].concat()).ok().stdout;

    let document: Value = serde_json::from_str(&inspect(&["web", "box"])).unwrap();
    assert_eq!(document[0]["Id"], id.as_str());
    assert_eq!(document[0]["Name"], "/web");
    let host = &document[0]["HostConfig"];
    assert_eq!((&host["Memory"], &host["ShmSize"]), (&json!(64 << 20), &json!(1 << 20)));
    assert_eq!((&host["Dns"], &host["ExtraHosts"]), (&json!(["9.9.9.9"]), &json!(["db:10.0.0.1"])));
    assert_eq!(host["CgroupParent"], "/dhow");
    assert!(document[1]["RootFS"]["Layers"].is_array(), "{document}");
    assert_eq!(inspect(&["-f", "{{.State.Running}} {{.Config.Cmd}}", "web"]), "true [sleep 100]\n");
    assert_eq!(inspect(&["--type", "image", "-f", "{{.Os}}", "box"]), "linux\n");
    drop(dhow.run(&["inspect", "--type", "image", "web"]).exits(1).says("web"));
    drop(dhow.run(&["inspect", "-f", "{{.Bogus}}", "web"]).exits(1).says("Bogus"));
    let partly = dhow.run(&["inspect", "web", "gone"]).exits(1).says("gone");
    assert_eq!(serde_json::from_str::<Value>(&partly.stdout).unwrap().as_array().unwrap().len(), 1);
}

/// How many calls a command makes that prints so many lines. A third of them may read what was written
/// last, of which there is more or less.
fn calls(dhow: &Dhow, arguments: &[&str], lines: usize) -> usize {
    let trace = dhow.directory().join("trace");
    let plain = dhow.command(arguments);
    let mut command = std::process::Command::new("strace");
    command.args(["-f", "-o"]).arg(&trace).arg(plain.get_program()).args(plain.get_args());
    let outcome = dhow.finish(&mut command, b"").ok();
    assert_eq!(outcome.stdout.lines().count(), lines);
    std::fs::read_to_string(trace).expect("strace has written it").lines().count()
}

/// The list of many that run asks the kernel once about all of them, and not each of them.
#[test]
fn a_list_of_many_containers_takes_few_system_calls() {
    needs_root!();
    needs_tool!("strace");
    let dhow = with_box();
    for _ in 0..40 {
        start(&dhow, &["box", "sleep", "100"]);
    }
    let taken = calls(&dhow, &["ps", "-q"], 40);
    assert!(taken <= 200, "{taken} system calls");
}

/// What does not run is not asked for, and what is not shown is not kept: a hundred more cost a few pages.
#[test]
fn a_list_of_many_stopped_containers_takes_few_system_calls() {
    needs_root!();
    needs_tool!("strace");
    let dhow = with_box();
    for _ in 0..200 {
        drop(dhow.run(&["create", "--network", "none", "box", "true"]).ok());
    }

    let shapes: [(&[&str], usize); 3] =
        [(&["ps", "-a"], 201), (&["ps", "-aq"], 200), (&["ps", "-a", "--format", "json"], 200)];
    for (arguments, lines) in shapes {
        let taken = calls(&dhow, arguments, lines);
        assert!(taken <= 200, "{arguments:?}: {taken} system calls");
    }
    let first = dhow.run(&["ps", "-a", "--format", "{{.Names}}"]).ok().stdout;
    let listed = dhow.run(&["ps", "-n", "200", "--format", "{{.Names}}"]).ok().stdout;
    assert_eq!(first, listed);
}
