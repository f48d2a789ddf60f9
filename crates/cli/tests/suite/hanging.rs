//! Starts that hang in what others have made: a hook of a device's that does not end, a mount whose server is
//! dead.

use crate::fixture::{SOON, with_box};
use dhow_testkit::{Dhow, DyingFiles, need, needs, needs_root};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs,
    process::{Child, Command, Stdio},
    time::{Duration, SystemTime},
};

/// A dhow that knows a device whose hook says its number and stays.
fn with_hanging_device() -> Dhow {
    let dhow = with_box();
    let library = dhow.directory().join("cdi");
    fs::create_dir(&library).unwrap();
    let hook = "echo $$ >$0.new; mv $0.new $0; sleep 600 & wait";
    let document = format!(
        "cdiVersion: \"0.6.0\"\nkind: acme.com/toy\ndevices:\n- name: stuck\n  containerEdits:\n    hooks:\n    \
         - {{hookName: createRuntime, path: /bin/sh, args: [sh, -c, {hook:?}, {:?}]}}\n",
        hook_file(&dhow).display().to_string()
    );
    fs::write(library.join("acme.yaml"), document).unwrap();
    dhow.configure(&format!(
        "[containers]\nnetns = \"none\"\n[engine]\ncdi_spec_dirs = [{:?}]\n",
        library.display().to_string()
    ));
    dhow
}

fn hook_file(dhow: &Dhow) -> std::path::PathBuf {
    dhow.directory().join("hook")
}

/// Starts a command and waits until the hook is at it; the hook's number.
fn hang(dhow: &Dhow, arguments: &[&str]) -> (Child, String) {
    let _none = fs::remove_file(hook_file(dhow));
    let mut command: Command = dhow.command(arguments);
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let hook = need::eventually(SOON, || fs::read_to_string(hook_file(dhow)).ok());
    (child.unwrap(), hook.expect("the hook runs").trim().to_owned())
}

fn is_gone(pid: &str) -> bool {
    let status = dhow_sys::process::status(pid.parse().unwrap());
    status.map_or(true, |status| status.has_ended())
}

#[test]
fn a_signal_ends_a_command_whose_start_hangs_and_takes_it_back() {
    needs_root!();
    let dhow = with_hanging_device();
    drop(
        dhow.run(&[
            "create",
            "-q",
            "--name",
            "made",
            "--device",
            "acme.com/toy=stuck",
            "box",
            "true",
        ])
        .ok(),
    );
    let device = ["--device", "acme.com/toy=stuck", "box", "true"];
    let run = |more: &[&'static str]| [&["run", "-q"], more, &device].concat();
    let cases = [
        (run(&["--name", "stays"]), Signal::TERM, Some(("stays", "created"))),
        (run(&["--rm", "--name", "goes"]), Signal::INT, None),
        (run(&["-d", "--name", "behind"]), Signal::HUP, Some(("behind", "created"))),
        (vec!["start", "made"], Signal::TERM, Some(("made", "created"))),
        (vec!["start", "-a", "made"], Signal::INT, Some(("made", "created"))),
    ];
    for (words, signal, left) in cases {
        let (child, hook) = hang(&dhow, &words);

        kill_process(Pid::from_child(&child), signal).unwrap();

        let output = child.wait_with_output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_ne!(output.status.code(), Some(0), "{words:?}");
        assert!(output.status.code().is_some(), "{words:?} was killed: {errors}");
        assert!(errors.contains("a signal has told this command to end"), "{words:?}: {errors}");
        assert!(
            need::eventually(SOON, || is_gone(&hook).then_some(())).is_some(),
            "{words:?}: the hook goes on"
        );
        let all = dhow.run(&["ps", "-a", "--format", "{{.Names}} {{.State}}"]).ok().stdout;
        if let Some((name, state)) = left {
            assert!(all.lines().any(|line| line == format!("{name} {state}")), "{words:?}: {all}");
        }
        assert!(!all.contains("goes"), "{all}");
        assert_eq!(dhow.run(&["doctor"]).ok().stdout, "all is well\n", "{words:?}");
    }
}

#[test]
fn a_start_that_hangs_after_its_command_was_killed_is_taken_back_by_the_next_one() {
    needs_root!();
    let dhow = with_hanging_device();
    let words = ["run", "-d", "-q", "--name", "c", "--device", "acme.com/toy=stuck", "box", "true"];
    let (mut child, hook) = hang(&dhow, &words);
    child.kill().unwrap();
    assert!(!child.wait().unwrap().success());
    // It has been at it for longer than anybody waits.
    for directory in fs::read_dir(dhow.runroot().join("containers")).unwrap() {
        let lock = fs::File::open(directory.unwrap().path().join("lock")).unwrap();
        lock.set_modified(SystemTime::now() - Duration::from_secs(3600)).unwrap();
    }

    let all = dhow.run(&["ps", "-a", "--format", "{{.Names}} {{.State}}"]).ok().stdout;

    assert!(!all.contains("starting"), "{all}");
    assert!(need::eventually(SOON, || is_gone(&hook).then_some(())).is_some(), "the hook goes on");
    assert_eq!(dhow.run(&["doctor"]).ok().stdout, "all is well\n");
}

#[test]
fn a_signal_takes_a_start_back_that_hangs_in_a_mount_whose_server_is_dead() {
    needs_root!();
    needs!(DyingFiles::is_possible(), "/dev/fuse");
    let dhow = with_box();
    for (number, signal) in [Signal::TERM, Signal::INT, Signal::HUP].into_iter().enumerate() {
        let mut files = DyingFiles::serve().unwrap();
        let volume = format!("{}:/data", files.inner().display());
        let made = ["--name", "made", "--restart", "always", "-v", &volume, "box", "sleep", "100"];
        drop(dhow.run(&[&["create", "-q"][..], &made].concat()).ok());
        drop(dhow.run(&["start", "made"]).ok());
        assert_eq!(dhow.run(&["exec", "made", "ls", "/data"]).ok().stdout, "", "it is served");
        drop(dhow.run(&["stop", "-t", "0", "made"]).ok());
        files.die();
        let mut command = dhow.command(&["start", "made"]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().unwrap();
        let hangs = need::eventually(SOON, || files.is_waited_for().then_some(()));
        assert!(hangs.is_some(), "nobody asks the server");

        // Whoever looks meanwhile is not held up.
        let listed = dhow.run(&["ps", "-a", "--format", "{{.Names}}"]).ok().stdout;
        assert_eq!(listed, "made\n", "{number}");
        kill_process(Pid::from_child(&child), signal).unwrap();

        let output = child.wait_with_output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(errors.contains("a signal has told this command to end"), "{signal:?}: {errors}");
        let state = ["inspect", "--format", "{{.State.Status}}", "made"];
        assert_ne!(dhow.run(&state).ok().line(), "running", "{signal:?}");
        assert_eq!(dhow.run(&["doctor"]).ok().stdout, "all is well\n", "{signal:?}: {errors}");
        drop(dhow.run(&["rm", "-f", "made"]).ok());
        dhow.assert_clean();
    }
}
