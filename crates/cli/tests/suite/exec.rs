//! `exec`: one more process in a running container.

use crate::fixture::{start, with_box};
use dhow_testkit::needs_root;

#[test]
fn a_second_process_shares_the_containers_world() {
    needs_root!();
    let dhow = with_box();
    start(&dhow, &["--name", "web", "-h", "here", "-e", "A=1", "box", "sleep", "100"]);
    let exec = |arguments: &[&str]| dhow.run(&[&["exec"], arguments].concat());

    assert_eq!(exec(&["web", "hostname"]).ok().stdout, "here\n");
    assert_eq!(exec(&["web", "sh", "-c", "echo $A; cat /proc/1/comm"]).ok().stdout, "1\nsleep\n");
    assert_eq!(
        exec(&["-e", "A=2", "-w", "/tmp", "web", "sh", "-c", "echo $A; pwd"]).ok().stdout,
        "2\n/tmp\n"
    );
    assert_eq!(exec(&["-u", "5:6", "web", "sh", "-c", "id -u; id -g"]).ok().stdout, "5\n6\n");
    assert_eq!(dhow.run_with_input(&["exec", "-i", "web", "cat"], b"in").ok().stdout, "in");
    drop(exec(&["web", "sh", "-c", "exit 9"]).exits(9));
    drop(exec(&["web", "sh", "-c", "kill -TERM $$"]).exits(143));
}

#[test]
fn flags_after_the_container_belong_to_the_program() {
    needs_root!();
    let dhow = with_box();
    start(&dhow, &["--name", "web", "box", "sleep", "100"]);

    let outcome = dhow.run(&["exec", "web", "echo", "-i", "--user", "x"]).ok();

    assert_eq!(outcome.stdout, "-i --user x\n");
}

#[test]
fn in_the_background_a_process_goes_on_by_itself() {
    needs_root!();
    let dhow = with_box();
    start(&dhow, &["--name", "web", "box", "sleep", "100"]);

    drop(dhow.run(&["exec", "-d", "web", "sh", "-c", "echo done > /tmp/f"]).ok());

    let there = dhow_testkit::need::eventually(crate::fixture::SOON, || {
        (dhow.run(&["exec", "web", "cat", "/tmp/f"]).stdout == "done\n").then_some(())
    });
    assert!(there.is_some());
}

#[test]
fn an_exec_session_keeps_nothing_on_disk() {
    needs_root!();
    let dhow = with_box();
    let id = start(&dhow, &["--name", "web", "box", "sleep", "100"]);
    let kept = || {
        let places = [dhow.runroot(), dhow.root()].map(|root| root.join("containers"));
        places.map(|place| {
            let entries = std::fs::read_dir(place.join(&id)).unwrap();
            let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
            names.sort();
            names
        })
    };
    let before = kept();

    drop(dhow.run(&["exec", "-d", "web", "sleep", "90"]).ok());
    drop(dhow.run(&["exec", "web", "sh", "-c", "exit 9"]).exits(9));
    drop(dhow.run(&["exec", "web", "no-such-program"]).exits(127));

    assert!(dhow.run(&["exec", "web", "ps"]).ok().stdout.contains("sleep 90"));
    assert_eq!(kept(), before);
    drop(dhow.run(&["rm", "-f", "web"]).ok());
}

#[test]
fn a_container_that_does_not_run_is_named() {
    needs_root!();
    let dhow = with_box();
    drop(dhow.run(&["run", "-q", "--name", "over", "box", "true"]).ok());

    drop(dhow.run(&["exec", "over", "true"]).exits(125).says("over"));
    drop(dhow.run(&["exec", "gone", "true"]).exits(125).says("gone"));
}
