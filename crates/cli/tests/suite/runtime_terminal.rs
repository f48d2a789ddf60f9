//! The OCI runtime with a person at a terminal: `run` and `exec --tty` in the foreground.

use crate::bundle::Bundle;
use dhow_testkit::{Terminal, needs_root};
use serde_json::json;

fn shell() -> Bundle {
    let bundle = Bundle::new(&["sh"]);
    bundle.change(|config| {
        config["process"]["terminal"] = json!(true);
        let env = config["process"]["env"].as_array_mut().unwrap();
        env.push(json!("PS1=ready> "));
    });
    bundle
}

#[test]
fn a_shell_in_a_container_is_a_shell_on_the_terminal() {
    needs_root!();
    let bundle = shell();
    let mut terminal = bundle.terminal(&["run", &bundle.id]);

    terminal.expect("ready> ");
    terminal.send("echo $((6*7)); tty\r").expect("42");
    terminal.expect("/dev/pts/0");
    terminal.resize(40, 100).unwrap();
    terminal.expect("ready> ");
    // The new size comes by a signal, which may be on its way when the keys are.
    terminal.send("while [ \"$(stty size)\" != '40 100' ]; do sleep 0.05; done; echo sized\r");
    terminal.expect("\nsized");
    // A key is a signal to whoever runs in the foreground by then, so that one says so itself.
    terminal.send("sh -c 'echo begun; exec sleep 1000'\r").expect("\nbegun");
    // Control-C is the container's, not ours.
    terminal.send("\x03");
    terminal.send("echo after\r").expect("\nafter");
    terminal.send("exit 7\r");

    assert_eq!(terminal.end(), 7);
}

#[test]
fn exec_gives_a_process_a_terminal_of_its_own() {
    needs_root!();
    let bundle = Bundle::new(&["sleep", "100"]);
    bundle.start();

    let words = ["exec", "-t", &bundle.id, "sh", "-c", "stty size; tty; read x; echo got $x"];
    let mut terminal = bundle.terminal(&words);
    terminal.expect("24 80");
    terminal.expect("/dev/pts/0");
    terminal.send("typed\r").expect("got typed");

    assert_eq!(terminal.end(), 0);
}

#[test]
fn much_output_comes_whole() {
    needs_root!();
    let bundle = Bundle::new(&["sleep", "100"]);
    bundle.start();

    let words = ["exec", "-t", &bundle.id, "sh", "-c", "seq 20000; echo the end"];
    let mut terminal = bundle.terminal(&words);

    terminal.expect("19999\r\n20000\r\nthe end");
    assert_eq!(terminal.end(), 0);
}

/// The terminal at the other end turns the ends of lines into what a terminal needs, as under runc:
/// into a file they go as they were written, from the first one on.
#[test]
fn a_terminal_s_output_goes_into_a_file_as_it_was_written() {
    needs_root!();
    let bundle = shell();
    bundle.change(|config| config["process"]["args"] = json!(["printf", "one\ntwo\n"]));
    let sleeper = Bundle::new(&["sleep", "100"]);
    sleeper.start();

    for (number, words) in
        [vec!["run", &bundle.id], vec!["exec", "-t", &sleeper.id, "printf", "one\ntwo\n"]]
            .into_iter()
            .enumerate()
    {
        let owner = if number == 0 { &bundle } else { &sleeper };
        let inner = owner.command(&words);
        let written = owner.path.join("written");
        let mut command = std::process::Command::new("sh");
        command.args(["-c", "exec > \"$1\"; shift; exec \"$@\"", "sh"]).arg(&written);
        command.arg(inner.get_program()).args(inner.get_args()).current_dir(&owner.path);
        let mut terminal = Terminal::start(&command).unwrap();

        assert_eq!(terminal.end(), 0);
        assert_eq!(std::fs::read_to_string(&written).unwrap(), "one\ntwo\n", "{words:?}");
    }
}

#[test]
fn a_terminal_needs_ours() {
    needs_root!();
    let bundle = shell();

    // No terminal on any of the streams, and a session without one.
    let mut command = std::process::Command::new("setsid");
    let inner = bundle.command(&["run", &bundle.id]);
    command.arg("--wait").arg(inner.get_program()).args(inner.get_args());
    command.current_dir(&bundle.path);
    let outcome = bundle.finish_detached(command);

    assert_ne!(outcome.code, 0, "{outcome}");
    assert!(bundle.leftovers().is_empty(), "{:?}", bundle.leftovers());
}
