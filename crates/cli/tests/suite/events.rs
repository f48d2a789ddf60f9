//! `events`: what happened, and what happens.

use crate::fixture::{SOON, start, with_box};
use dhow_testkit::{need, needs_root};
use serde_json::Value;
use std::{
    io::{BufRead, BufReader},
    process::Stdio,
    sync::mpsc,
};

#[test]
fn a_life_is_told_in_order() {
    needs_root!();
    let dhow = with_box();
    start(&dhow, &["--name", "web", "--label", "tier=front", "box", "sleep", "100"]);
    drop(dhow.run(&["pause", "web"]).ok());
    drop(dhow.run(&["unpause", "web"]).ok());
    drop(dhow.run(&["stop", "-t", "0", "web"]).ok());
    drop(dhow.run(&["rm", "web"]).ok());

    let all = ["events", "--since", "1h", "--stream=false", "--format", "{{.Action}}"];
    let of = |filter: &str| dhow.run(&[&all[..], &["--filter", filter]].concat()).ok().stdout;

    let life = "create\nstart\npause\nunpause\ndie\nstop\ndestroy\n";
    assert_eq!(of("container=web"), life);
    assert_eq!(of("label=tier=front"), life);
    assert_eq!(of("event=died"), "die\n");
    assert!(of("type=image").contains("pull"));
    assert_eq!(of("container=gone"), "");
    let json =
        dhow.run(&["events", "--since=1h", "--until=0s", "--format=json", "-f", "event=die"]);
    let event: Value = serde_json::from_str(json.ok().stdout.trim()).unwrap();
    assert_eq!(event["Actor"]["Attributes"]["exitCode"], "137");
    assert_eq!(event["Actor"]["Attributes"]["name"], "web");
}

#[test]
fn a_life_is_told_whole_where_the_command_that_began_it_was_killed() {
    needs_root!();
    let dhow = with_box();
    for number in 0..25_u64 {
        let name = format!("box{number}");
        let mut command = dhow.command(&["run", "-q", "-d", "--name", &name, "box", "true"]);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_micros(2000 + number * 400));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    // Whoever looks mends what is half done.
    let ended = need::eventually(SOON, || {
        let rows = dhow.run(&["ps", "-a", "--format", "{{.Names}} {{.State}}"]).ok().stdout;
        rows.lines().all(|row| row.ends_with("exited")).then_some(rows)
    });

    for row in ended.unwrap().lines() {
        let name = format!("container={}", row.split(' ').next().unwrap());
        let told = ["events", "--since", "1h", "--stream=false", "--format", "{{.Action}}"];
        let told = dhow.run(&[&told[..], &["--filter", &name]].concat()).ok().stdout;
        assert_eq!(told, "create\nstart\ndie\n", "{row}");
    }
    drop(dhow.run(&["rm", "-fa"]).ok());
    dhow.assert_clean();
}

#[test]
fn what_happens_is_told_at_once() {
    needs_root!();
    let dhow = with_box();
    let mut command = dhow.command(&["events", "--filter", "event=start", "--format", "{{.Name}}"]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let (sender, heard) = mpsc::channel();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let reader = std::thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            let _sent = sender.send(line);
        }
    });

    // Until it listens, nobody is told.
    let first = need::eventually(SOON, || {
        drop(dhow.run(&["run", "--rm", "-q", "--name", "early", "box", "true"]).ok());
        heard.try_recv().ok()
    });
    assert_eq!(first.as_deref(), Some("early"));
    start(&dhow, &["--name", "web", "box", "sleep", "100"]);
    let second = need::eventually(SOON, || heard.try_iter().find(|name| name == "web"));

    assert!(second.is_some());
    child.kill().unwrap();
    child.wait().unwrap();
    reader.join().unwrap();
}

#[test]
fn nonsense_is_refused() {
    needs_root!();
    let dhow = with_box();

    drop(dhow.run(&["events", "--filter", "bogus=1"]).exits(1).says("no such filter"));
    drop(dhow.run(&["events", "--since", "whenever"]).exits(1).says("not a time"));
}

#[test]
fn processes_of_exec_are_told_of_with_their_commands_and_ends() {
    needs_root!();
    let dhow = with_box();
    start(&dhow, &["--name", "web", "box", "sleep", "100"]);
    drop(dhow.run(&["exec", "web", "sh", "-c", "exit 3"]).exits(3));
    drop(dhow.run(&["exec", "web", "no-such-program"]).exits(127));
    drop(dhow.run(&["exec", "-d", "web", "sh", "-c", "exit 4"]).ok());
    let all = ["events", "--since", "1h", "--stream=false"];
    let of = |more: &[&str]| dhow.run(&[&all[..], more].concat()).ok().stdout;
    // Nobody is there to hear of the second one's end but its monitor.
    let ends = need::eventually(SOON, || {
        let ends = of(&["-f", "event=exec_die", "--format", "{{.Actor.Attributes.exitCode}}"]);
        (ends.lines().count() == 2).then_some(ends)
    });

    assert_eq!(ends.as_deref(), Some("3\n4\n"));
    let starts =
        of(&["-f", "event=exec_start", "-f", "event=exec_create", "--format", "{{.Action}}"]);
    let expected = [3, 4]
        .map(|code| format!("exec_create: sh -c exit {code}\nexec_start: sh -c exit {code}\n"));
    assert_eq!(starts, expected.concat());
    let ids = of(&["-f", "container=web", "--format", "{{.Actor.Attributes.execID}}"]);
    let ids: std::collections::BTreeSet<&str> = ids.lines().filter(|id| id.len() == 64).collect();
    assert_eq!(ids.len(), 2, "{ids:?}");
    let podmans = dhow.run_as("podman", &[&all[..], &["--format", "{{.Status}}"]].concat()).ok();
    let podmans: Vec<&str> = podmans.stdout.lines().filter(|word| word.contains("exec")).collect();
    assert_eq!(podmans.iter().filter(|word| **word == "exec").count(), 2, "{podmans:?}");
    assert_eq!(podmans.iter().filter(|word| **word == "exec_died").count(), 2, "{podmans:?}");
    assert_eq!(podmans.len(), 4, "podman tells of nothing else");
    drop(dhow.run(&["rm", "-f", "web"]).ok());
}
