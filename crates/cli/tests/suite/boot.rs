//! After a reboot: states are right, and what should run is started. The reboot is played: every
//! process of the containers is killed, what a reboot empties is emptied, and the kernel's name for
//! the boot is another one, for the commands that come after.

use crate::fixture::{start, wait_for_state, with_box};
use dhow_testkit::{Dhow, Outcome, needs_root, outcome};
use rustix::process::{Pid, Signal, kill_process};
use std::{fs, path::Path, process::Command};

const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// Ends everything of some containers as a power cut does.
fn cut_power(dhow: &Dhow, ids: &[String]) {
    for id in ids {
        let directory = dhow.runroot().join("containers").join(id);
        let Ok(bytes) = fs::read(directory.join("started.json")) else { continue };
        let started: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        for field in ["monitor_pid", "pid"] {
            let pid = i32::try_from(started[field].as_i64().unwrap()).unwrap();
            let _gone = kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL);
        }
    }
    fs::remove_dir_all(dhow.runroot()).unwrap();
    fs::create_dir(dhow.runroot()).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(200));
    for id in ids {
        remove_cgroups(Path::new("/sys/fs/cgroup"), id, 4);
    }
}

/// Cgroups do not outlive a machine.
fn remove_cgroups(below: &Path, id: &str, depth: u32) {
    for entry in fs::read_dir(below).into_iter().flatten().flatten() {
        if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        if entry.file_name().to_string_lossy().contains(id) {
            let _removed = fs::remove_dir(entry.path());
        } else if depth > 0 {
            remove_cgroups(&entry.path(), id, depth - 1);
        }
    }
}

/// Runs a command in the next boot.
fn next_boot(dhow: &Dhow, arguments: &[&str]) -> Outcome {
    let boot_id = dhow.directory().join("boot_id");
    fs::write(&boot_id, "11111111-2222-3333-4444-555555555555\n").unwrap();
    let inner = dhow.command(arguments);
    let mut command = Command::new("unshare");
    command
        .args(["-m", "sh", "-c", "mount --bind \"$0\" \"$1\" && shift && exec \"$@\""])
        .arg(&boot_id)
        .arg(BOOT_ID)
        .arg(inner.get_program())
        .args(inner.get_args())
        .current_dir(dhow.directory());
    outcome::run(&mut command, b"", outcome::LIMIT).unwrap()
}

#[test]
fn a_boot_starts_what_should_run_and_nothing_else() {
    needs_root!();
    let dhow = with_box();
    let begin = |name: &str, policy: &str| {
        start(&dhow, &["--name", name, "--restart", policy, "box", "sleep", "100"])
    };
    let ids = [
        begin("always", "always"),
        begin("unless", "unless-stopped"),
        begin("stopped", "unless-stopped"),
        begin("failure", "on-failure"),
        begin("no", "no"),
    ];
    drop(dhow.run(&["stop", "-t", "0", "stopped"]).ok());

    cut_power(&dhow, &ids);

    let states = next_boot(&dhow, &["ps", "-a", "--format", "{{.Names}} {{.State}}"]).ok().stdout;
    assert!(states.lines().all(|line| line.ends_with(" exited")), "{states}");
    let booted = next_boot(&dhow, &["system", "boot"]).ok().stdout;
    assert_eq!(booted, "always\nunless\nfailure\n");
    for name in ["always", "unless", "failure"] {
        wait_for_state(&dhow, name, "running");
    }
    assert_eq!(
        next_boot(&dhow, &["system", "boot"]).ok().stdout,
        "",
        "done twice, it does nothing"
    );
    drop(next_boot(&dhow, &["stop", "-t", "0", "always"]).ok());
    assert_eq!(
        next_boot(&dhow, &["system", "boot"]).ok().stdout,
        "",
        "it was stopped in this boot"
    );
    drop(dhow.run(&["rm", "-fa"]).ok());
    dhow.assert_clean();
    assert_eq!(dhow.run(&["doctor"]).ok().stdout, "all is well\n");
}

#[test]
fn a_unit_starts_what_should_run_and_one_keeps_a_container() {
    needs_root!();
    let dhow = with_box();
    drop(dhow.run(&["create", "-q", "--name", "web", "box", "sleep", "100"]).ok());
    let root = dhow.root();

    let boot = dhow.run(&["generate", "systemd"]).ok().stdout;
    let web = dhow.run(&["generate", "systemd", "--name", "-t", "7", "web"]).ok().stdout;
    let file = dhow.run(&["generate", "systemd", "--files", "--name", "web"]).ok();

    assert!(boot.contains("Type=oneshot") && boot.contains(" system boot\n"), "{boot}");
    assert!(boot.contains(&format!("--root {}", root.display())), "{boot}");
    assert!(web.contains(" start --attach --sig-proxy=false web\n"), "{web}");
    assert!(
        web.contains(" stop --timeout 7 web\n") && web.contains("TimeoutStopSec=67\n"),
        "{web}"
    );
    assert!(file.line().ends_with("container-web.service"));
    assert!(fs::read_to_string(file.line()).unwrap().contains("[Service]"));
    drop(dhow.run(&["generate", "systemd", "gone"]).exits(1).says("gone"));
    drop(dhow.run(&["generate", "systemd", "--restart-policy=x", "web"]).exits(1).says("no such"));
}
