//! `kill -9` at random moments of what is done to containers: the doctor finds nothing, the retry
//! succeeds, and in the end nothing is left over.

use crate::{
    fixture::with_box,
    torment::{Operation, torment, words},
};
use dhow_testkit::needs_root;
use std::fs;

#[test]
fn whatever_is_killed_the_doctor_is_content_and_the_retry_succeeds() {
    needs_root!();
    let dhow = with_box();
    let none = || drop(dhow.run(&["rm", "-fa"]).ok());
    let made = || {
        none();
        drop(dhow.run(&["create", "-q", "--name", "web", "box", "sleep", "1000"]).ok());
    };
    let running = || {
        made();
        drop(dhow.run(&["start", "web"]).ok());
    };
    let state = || dhow.run(&["inspect", "--format", "{{.State.Status}}", "web"]).line().to_owned();
    let is_gone = || assert_eq!(dhow.run(&["ps", "-aq"]).ok().stdout, "");
    let is_made = || assert_eq!(state(), "created");
    let is_running = || assert_eq!(state(), "running");
    let has_ended = || assert_eq!(state(), "exited");
    let filled = dhow.directory().join("filled");
    fs::create_dir(&filled).unwrap();
    for number in 0..200 {
        fs::write(filled.join(number.to_string()), vec![7; 3000]).unwrap();
    }
    let into = words(&["cp", filled.to_str().unwrap(), "web:/srv"]);
    let is_copied = || {
        let listed = dhow.run(&["exec", "web", "sh", "-c", "ls -A /srv | wc -l"]).ok();
        assert_eq!(listed.stdout, "200\n");
    };
    let with_changes = || {
        running();
        drop(dhow.run(&["rmi", "-f", "made"]));
        let change = "for n in $(seq 300); do echo $n >/home/$n; done";
        drop(dhow.run(&["exec", "web", "sh", "-c", change]).ok());
    };
    let is_committed = || {
        let shown = dhow.run(&["run", "--rm", "-q", "made", "cat", "/home/300"]).ok();
        assert_eq!(shown.stdout, "300\n");
    };
    let no_volume = || {
        none();
        drop(dhow.run(&["volume", "rm", "data"]));
    };
    let has_volume = || {
        drop(dhow.run(&["volume", "inspect", "data"]).ok());
    };
    let run = ["run", "-d", "-q", "--name", "web", "box", "sleep", "1000"];
    let operations = [
        Operation { name: "run", before: &none, arguments: words(&run), after: &is_running },
        Operation {
            name: "run --rm",
            before: &none,
            arguments: words(&["run", "--rm", "-q", "box", "true"]),
            after: &is_gone,
        },
        Operation {
            name: "create",
            before: &none,
            arguments: words(&["create", "-q", "--name", "web", "box", "sleep", "1000"]),
            after: &is_made,
        },
        Operation {
            name: "start",
            before: &made,
            arguments: words(&["start", "web"]),
            after: &is_running,
        },
        Operation {
            name: "exec",
            before: &running,
            arguments: words(&["exec", "web", "true"]),
            after: &is_running,
        },
        Operation {
            name: "stop",
            before: &running,
            arguments: words(&["stop", "-t", "0", "web"]),
            after: &has_ended,
        },
        Operation {
            name: "rm",
            before: &running,
            arguments: words(&["rm", "-f", "web"]),
            after: &is_gone,
        },
        Operation { name: "cp", before: &running, arguments: into, after: &is_copied },
        Operation {
            name: "commit",
            before: &with_changes,
            arguments: words(&["commit", "-q", "web", "made"]),
            after: &is_committed,
        },
        Operation {
            name: "volume create",
            before: &no_volume,
            arguments: words(&["volume", "create", "data"]),
            after: &has_volume,
        },
    ];

    torment(&dhow, &none, &operations);

    no_volume();
    drop(dhow.run(&["rmi", "-af"]).ok());
    assert_eq!(dhow.run(&["system", "check"]).ok().stdout, "all is well\n");
    dhow.assert_clean();
}
