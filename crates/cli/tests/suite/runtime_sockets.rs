//! What the OCI runtime hands out and hands on: terminals, handles, open files, readiness.

use crate::{
    bundle::Bundle,
    console_socket::{read_until, receiver},
    fixture::SOON,
};
use dhow_testkit::{need, needs, needs_root, needs_tool};
use serde_json::json;
use std::{
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixDatagram,
    },
    process::Command,
};

#[test]
fn a_terminals_master_goes_to_the_console_socket() {
    needs_root!();
    let bundle = Bundle::new(&["sh", "-c", "stty size; tty; sleep 100"]);
    bundle.change(|config| {
        config["process"]["terminal"] = json!(true);
        config["process"]["consoleSize"] = json!({"height": 33, "width": 77});
    });
    let socket = bundle.dhow.directory().join("console");
    let told = receiver(&socket);

    let words = ["create", "--console-socket", socket.to_str().unwrap(), &bundle.id];
    drop(bundle.run_detached(&words).ok());
    let master = told.recv_timeout(SOON).unwrap();
    drop(bundle.run(&["start", &bundle.id]).ok());

    let shown = read_until(master, "/dev/pts/0");
    assert!(shown.contains("33 77"), "{shown}");
}

#[test]
fn a_terminal_needs_somebody_who_has_it() {
    needs_root!();
    let bundle = Bundle::new(&["true"]);
    let id = bundle.id.as_str();

    let unused = bundle.run(&["create", "--console-socket", "x", id]).exits(1);
    drop(unused.says("cannot use console socket if"));
    bundle.change(|config| config["process"]["terminal"] = json!(true));
    let alone = bundle.run(&["create", id]).exits(1);
    drop(alone.says("cannot allocate tty if"));
    drop(bundle.run(&["run", "-d", id]).exits(1).says("cannot allocate tty if"));
    let dead = bundle.run(&["create", "--console-socket", "/no/such/socket", id]).exits(1);
    drop(dead.says("no such file or directory"));

    assert!(bundle.leftovers().is_empty());
}

#[test]
fn exec_hands_out_terminals_and_handles() {
    needs_root!();
    let bundle = Bundle::new(&["sleep", "100"]);
    bundle.start();
    let directory = bundle.dhow.directory();
    let (console, handle) = (directory.join("console"), directory.join("handle"));
    let told = receiver(&console);
    let words =
        ["exec", "-d", "-t", "--console-socket", console.to_str().unwrap(), &bundle.id, "tty"];
    drop(bundle.run_detached(&words).ok());
    read_until(told.recv_timeout(SOON).unwrap(), "/dev/pts/0");

    needs!(bundle.is_ours(), "our own runtime");
    let told = receiver(&handle);
    let words =
        ["exec", "--pidfd-socket", handle.to_str().unwrap(), &bundle.id, "sh", "-c", "exit 9"];
    drop(bundle.run(&words).exits(9));
    is_over(&told.recv_timeout(SOON).unwrap());
}

/// A pidfd becomes readable when its process ends.
fn is_over(pidfd: &OwnedFd) {
    let mut polled = [rustix::event::PollFd::new(pidfd, rustix::event::PollFlags::IN)];
    let patience = rustix::event::Timespec { tv_sec: 10, tv_nsec: 0 };
    assert_eq!(rustix::event::poll(&mut polled, Some(&patience)).unwrap(), 1);
}

#[test]
fn a_handle_on_the_first_process_goes_to_the_pidfd_socket() {
    needs_root!();
    let bundle = Bundle::new(&["sleep", "100"]);
    needs!(bundle.is_ours(), "our own runtime");
    let socket = bundle.dhow.directory().join("handle");
    let told = receiver(&socket);

    let words = ["create", "--pidfd-socket", socket.to_str().unwrap(), &bundle.id];
    drop(bundle.run_detached(&words).ok());
    let pidfd = told.recv_timeout(SOON).unwrap();
    rustix::process::pidfd_send_signal(pidfd.as_fd(), rustix::process::Signal::KILL).unwrap();

    is_over(&pidfd);
    bundle.wait_for("stopped");
}

/// A command that opens `count` files from 3 on first. The shell keeps its number, so that it is
/// the process that `LISTEN_PID` names.
fn with_files(bundle: &Bundle, count: u32, before: &str, words: &[&str]) -> Command {
    let inner = bundle.command(words);
    let mut command = Command::new("bash");
    let opened: String = (3..3 + count).map(|fd| format!("exec {fd}<config.json; ")).collect();
    command.args(["-c", &format!("{opened}{before} exec \"$0\" \"$@\"")]);
    command.arg(inner.get_program()).args(inner.get_args()).current_dir(&bundle.path);
    command
}

#[test]
fn so_many_files_stay_open_and_no_more() {
    needs_root!();
    needs_tool!("bash");
    let bundle = Bundle::new(&["sh", "-c", "ls /proc/self/fd | tr '\\n' ' '"]);
    let run = |count: u32, flag: &str| {
        let command = with_files(&bundle, count, "", &["run", "--preserve-fds", flag, &bundle.id]);
        bundle.finish_detached(command)
    };

    // `ls` has the directory open too.
    assert_eq!(run(3, "2").ok().stdout, "0 1 2 3 4 5 ");
    assert_eq!(run(3, "0").ok().stdout, "0 1 2 3 ");
    drop(run(1, "2").exits(1).says("unable to stat preserved-fd"));
    assert!(bundle.leftovers().is_empty());
}

#[test]
fn a_service_managers_sockets_reach_the_container() {
    needs_root!();
    needs_tool!("bash");
    let script = "echo $LISTEN_FDS $LISTEN_PID; ls /proc/self/fd | tr '\\n' ' '";
    let bundle = Bundle::new(&["sh", "-c", script]);
    needs!(bundle.is_ours(), "our own runtime");
    let run = |before: &str| {
        let command = with_files(&bundle, 2, before, &["run", &bundle.id]);
        bundle.finish_detached(command).ok().stdout
    };

    assert_eq!(run("export LISTEN_FDS=2 LISTEN_PID=$$;"), "2 1\n0 1 2 3 4 5 ");
    // Meant for somebody else.
    assert_eq!(run("export LISTEN_FDS=2 LISTEN_PID=1;"), "\n0 1 2 3 ");
}

#[test]
fn readiness_is_passed_on_to_the_service_manager() {
    needs_root!();
    needs_tool!("python3");
    let bundle = Bundle::new(&["sh", "-c", "env; ls -ld $NOTIFY_SOCKET; sleep 100"]);
    needs!(bundle.is_ours(), "our own runtime");
    let manager_path = bundle.dhow.directory().join("manager");
    let manager = UnixDatagram::bind(&manager_path).unwrap();
    manager.set_read_timeout(Some(SOON)).unwrap();
    let with_manager = |words: &[&str]| {
        let mut command = bundle.command(words);
        command.env("NOTIFY_SOCKET", &manager_path);
        command
    };
    drop(bundle.finish_detached(with_manager(&["create", &bundle.id])).ok());
    let pid = bundle.state()["pid"].as_i64().unwrap();
    let mut start = with_manager(&["start", &bundle.id]).spawn().unwrap();
    let socket = bundle.records().join(&bundle.id).join("notify/notify.sock");
    let seen = need::eventually(SOON, || bundle.printed().contains("srwxrwxrwx").then_some(()));
    assert!(seen.is_some(), "{}", bundle.printed());
    assert!(bundle.printed().contains("NOTIFY_SOCKET=/run/notify/notify.sock"));
    assert!(start.try_wait().unwrap().is_none(), "start waits until the container is ready");

    let container = UnixDatagram::unbound().unwrap();
    container.send_to(b"STATUS=on the way", &socket).unwrap();
    container.send_to(b"STATUS=here\nREADY=1\nMAINPID=1", &socket).unwrap();

    let mut heard = Vec::new();
    let mut message = [0; 100];
    while heard.last().is_none_or(|last: &String| !last.starts_with("BARRIER")) {
        // The fd of the barrier is dropped with the message, which is what ends the wait.
        let count = manager.recv(&mut message).unwrap();
        heard.push(String::from_utf8_lossy(&message[..count]).into_owned());
    }
    assert_eq!(heard, ["READY=1\n".to_owned(), format!("MAINPID={pid}\n"), "BARRIER=1".to_owned()]);
    assert!(start.wait().unwrap().success());
}

#[test]
fn a_start_ends_with_a_container_that_is_never_ready() {
    needs_root!();
    let bundle = Bundle::new(&["true"]);
    needs!(bundle.is_ours(), "our own runtime");
    let manager_path = bundle.dhow.directory().join("manager");
    let _manager = UnixDatagram::bind(&manager_path).unwrap();
    let mut create = bundle.command(&["create", &bundle.id]);
    create.env("NOTIFY_SOCKET", &manager_path);
    drop(bundle.finish_detached(create).ok());

    let mut start = bundle.command(&["start", &bundle.id]);
    start.env("NOTIFY_SOCKET", &manager_path);
    drop(bundle.finish_detached(start).ok());

    bundle.wait_for("stopped");
}
