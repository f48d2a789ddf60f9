//! Exit codes: docker's, so that scripts need not be changed.

use crate::fixture::{start, with_box};
use dhow_testkit::{Dhow, needs_root};

#[test]
fn misuse_has_dockers_codes() {
    let dhow = Dhow::new();
    let cases: [(&[&str], i32, &str); 11] = [
        (&["run", "--bogus", "box"], 125, "error: run: there is no flag --bogus\n"),
        (&["ps", "--bogus"], 125, "error: ps: there is no flag --bogus\n"),
        (&["--bogus"], 125, "error: there is no flag --bogus\n"),
        (&["run", "-m", "12x", "box"], 125, "error: --memory \"12x\": not a size\n"),
        (&["run", "--network"], 125, "error: run: --network needs a value\n"),
        (&["stop", "-t", "x", "y"], 125, "error: stop: --timeout \"x\": not a whole number\n"),
        (&["run"], 1, "error: run: an argument is missing: IMAGE"),
        (&["exec", "web"], 1, "error: exec: "),
        (&["rm"], 1, "error: rm: an argument is missing: CONTAINER"),
        (&["bogus"], 1, "error: there is no command bogus\n"),
        (&["ps", "extra"], 1, "error: ps: there is one argument too many: extra\n"),
    ];
    for (arguments, code, line) in cases {
        let outcome = dhow.run(arguments).exits(code);
        assert!(outcome.stderr.starts_with(line), "{line:?} for {arguments:?}: {}", outcome.stderr);
        assert_eq!(outcome.stdout, "", "{arguments:?}");
        assert_eq!(outcome.stderr.lines().count(), 2, "an error and a hint: {}", outcome.stderr);
    }
}

#[test]
fn of_a_flag_that_is_given_twice_the_last_one_holds() {
    needs_root!();
    let dhow = with_box();
    drop(dhow.run(&["create", "--name", "first", "--name=last", "box", "true"]).ok());

    let format = ["ps", "-a", "--format", "{{.ID}}", "--format", "{{.Names}}"];
    assert_eq!(dhow.run(&format).ok().stdout, "last\n");
    let switches = ["ps", "-a", "--format", "{{.Names}}", "--all=false", "--all"];
    assert_eq!(dhow.run(&switches).ok().stdout, "last\n");
    drop(dhow.run(&["rm", "last"]).ok());
    dhow.assert_clean();
}

#[test]
fn podmans_codes_are_its_own() {
    needs_root!();
    let dhow = with_box();
    start(&dhow, &["--name", "web", "-v", "data:/data", "box", "sleep", "100"]);
    let cases: [(&[&str], i32); 16] = [
        (&["stop", "nobody"], 125),
        (&["inspect", "nobody"], 125),
        (&["volume", "inspect", "nobody"], 125),
        (&["logs", "nobody"], 125),
        (&["tag", "no-such-image", "other"], 125),
        (&["load", "-i", "/dev/null"], 125),
        (&["run"], 125),
        (&["bogus"], 125),
        (&["image", "exists", "no-such-image"], 1),
        (&["rm", "nobody"], 1),
        (&["rm", "web"], 2),
        (&["rmi", "no-such-image"], 1),
        (&["rmi", "box"], 2),
        (&["volume", "rm", "nothing"], 1),
        (&["volume", "rm", "data"], 2),
        (&["network", "rm", "nothing"], 1),
    ];
    for (arguments, code) in cases {
        let outcome = dhow.run_as("podman", arguments).exits(code);
        let says = arguments.contains(&"exists") || outcome.stderr.starts_with("Error: ");
        assert!(says, "{arguments:?}: {}", outcome.stderr);
    }
    drop(dhow.run(&["rm", "-f", "web"]).ok());
}

#[test]
fn a_mistyped_word_gets_a_suggestion() {
    let dhow = Dhow::new();

    drop(dhow.run(&["imagse"]).exits(1).says("images or image?"));
    drop(dhow.run(&["run", "--memroy", "1m", "box"]).exits(125).says("did you mean --memory?"));
}

#[test]
fn programs_that_cannot_be_started_have_their_own_codes() {
    needs_root!();
    let dhow = with_box();
    start(&dhow, &["--name", "web", "box", "sleep", "100"]);
    let cases: [(&[&str], i32); 8] = [
        (&["run", "--rm", "-q", "box", "no-such-program"], 127),
        (&["run", "--rm", "-q", "box", "/no/such/program"], 127),
        (&["run", "--rm", "-q", "box", "/etc/passwd"], 126),
        (&["run", "--rm", "-q", "box", "/etc"], 126),
        (&["exec", "web", "no-such-program"], 127),
        (&["exec", "web", "/etc/passwd"], 126),
        (&["run", "--rm", "-q", "--pull", "never", "no-such-image", "true"], 125),
        (&["start", "no-such-container"], 125),
    ];
    for (arguments, code) in cases {
        let outcome = dhow.run(arguments).exits(code);
        let object = arguments.iter().rfind(|word| **word != "true").unwrap();
        assert!(outcome.stderr.contains(object), "{object} in {}", outcome.stderr);
    }
    assert_eq!(dhow.run(&["ps", "-aq"]).ok().stdout.lines().count(), 1, "only web is left");
}

#[test]
fn a_program_ended_by_a_signal_has_its_number_and_128() {
    needs_root!();
    let dhow = with_box();
    start(&dhow, &["--name", "web", "box", "sleep", "100"]);

    drop(dhow.run(&["kill", "web"]).ok());

    assert_eq!(dhow.run(&["wait", "web"]).ok().stdout, "137\n");
}

#[test]
fn other_commands_fail_with_one() {
    let dhow = Dhow::new();
    for arguments in [
        ["stop", "gone"],
        ["rm", "gone"],
        ["logs", "gone"],
        ["inspect", "gone"],
        ["rmi", "gone"],
        ["wait", "gone"],
    ] {
        drop(dhow.run(&arguments).exits(1).says("gone"));
    }
}
