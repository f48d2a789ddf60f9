//! Terminals: `-it`, its size, its end, and leaving it.

use crate::fixture::{start, wait_for_state, with_box};
use dhow_testkit::needs_root;

#[test]
fn a_shell_on_a_terminal_answers_and_its_exit_code_is_ours() {
    needs_root!();
    let dhow = with_box();
    let mut terminal = dhow.terminal(&["run", "-it", "--rm", "-q", "box", "sh"]);

    terminal.expect("# ");
    terminal.send("tty; stty size\r").expect("/dev/pts/");
    terminal.expect("24 80");
    terminal.resize(40, 100).unwrap();
    terminal.send("sleep 1; stty size\r").expect("40 100");
    terminal.send("exit 3\r");

    assert_eq!(terminal.end(), 3);
}

#[test]
fn control_c_goes_to_the_program_and_not_to_dhow() {
    needs_root!();
    let dhow = with_box();
    let mut terminal = dhow.terminal(&["run", "-it", "--rm", "-q", "box", "sh"]);

    terminal.expect("# ");
    terminal.send("sleep 100\r").expect("sleep 100");
    std::thread::sleep(std::time::Duration::from_millis(300));
    terminal.send("\x03").expect("# ");
    terminal.send("echo $?\r").expect("130");
    terminal.send("exit 9\r");

    assert_eq!(terminal.end(), 9);
}

#[test]
fn the_users_terminal_is_put_back() {
    needs_root!();
    let dhow = with_box();
    let script = format!(
        "before=$(stty -g); {} --root {} --runroot {} run -it --rm -q box true; \
         [ \"$before\" = \"$(stty -g)\" ] && echo as-before",
        dhow.program().display(),
        dhow.root().display(),
        dhow.runroot().display(),
    );
    let mut command = std::process::Command::new("sh");
    command.args(["-c", &script]);

    let mut terminal = dhow_testkit::Terminal::start(&command).unwrap();

    terminal.expect("as-before");
    assert_eq!(terminal.end(), 0);
}

#[test]
fn the_detach_keys_leave_the_program_running_and_attach_comes_back() {
    needs_root!();
    let dhow = with_box();
    let mut terminal = dhow.terminal(&["run", "-it", "-q", "--name", "web", "box", "sh"]);
    terminal.expect("# ");

    terminal.send("\x10\x11");
    assert_eq!(terminal.end(), 0);
    wait_for_state(&dhow, "web", "running");
    let mut again = dhow.terminal(&["attach", "web"]);
    again.send("echo still-$((40+2))\r").expect("still-42");
    again.send("exit 4\r");

    assert_eq!(again.end(), 4);
    wait_for_state(&dhow, "web", "exited");
}

#[test]
fn a_terminal_in_a_running_container() {
    needs_root!();
    let dhow = with_box();
    start(&dhow, &["--name", "web", "box", "sleep", "100"]);
    let mut terminal = dhow.terminal(&["exec", "-it", "web", "sh"]);

    terminal.expect("# ");
    terminal.send("tty\r").expect("/dev/pts/");
    terminal.send("exit 5\r");

    assert_eq!(terminal.end(), 5);
}
