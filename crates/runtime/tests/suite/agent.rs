//! Filters that ask an agent: it hears of every process, and its answers are the calls' results.

use crate::bundle::Bundle;
use dhow_spec::runtime::{Action, ProcessState, Seccomp, Status, Syscalls};
use dhow_sys::notification::{self, Answer};
use dhow_testkit::{needs, needs_root};
use rustix::{
    event::{PollFd, PollFlags, Timespec},
    net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg},
};
use std::{
    io::IoSliceMut,
    mem::MaybeUninit,
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixListener,
    },
    path::Path,
    sync::mpsc::{Receiver, channel},
    thread,
};

/// The call that is refused, on x86_64, and how.
const MKDIR: i32 = 83;
const ERRNO: i32 = 95;

/// A real agent: takes listeners and answers, until the filtered processes are gone.
struct Agent {
    heard: Receiver<ProcessState>,
}

impl Agent {
    fn listen(path: &Path) -> Self {
        let listener = UnixListener::bind(path).unwrap();
        let (tell, heard) = channel();
        thread::spawn(move || {
            for connection in listener.incoming() {
                let (state, seccomp) = receive(&OwnedFd::from(connection.unwrap()));
                thread::spawn(move || answer(&seccomp));
                if tell.send(state).is_err() {
                    return;
                }
            }
        });
        Self { heard }
    }

    fn heard(&self) -> ProcessState {
        self.heard.recv_timeout(std::time::Duration::from_secs(30)).unwrap()
    }
}

/// The whole message, up to the end of the connection, and the fd that came with its first bytes.
fn receive(connection: &OwnedFd) -> (ProcessState, OwnedFd) {
    let mut bytes = Vec::new();
    let mut fds = Vec::new();
    loop {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut buffer = [0; 512];
        let mut slices = [IoSliceMut::new(&mut buffer)];
        let message =
            recvmsg(connection, &mut slices, &mut control, RecvFlags::CMSG_CLOEXEC).unwrap();
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(received) = message {
                fds.extend(received);
            }
        }
        if message.bytes == 0 {
            break;
        }
        bytes.extend_from_slice(&buffer[..message.bytes]);
    }
    let state: ProcessState = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(state.fds, ["seccompFd"]);
    assert_eq!(fds.len(), 1);
    (state, fds.remove(0))
}

fn answer(seccomp: &OwnedFd) {
    loop {
        let mut polled = [PollFd::new(seccomp, PollFlags::IN)];
        let limit = Timespec { tv_sec: 60, tv_nsec: 0 };
        let ready = rustix::event::poll(&mut polled, Some(&limit)).unwrap_or(0);
        if ready == 0 || polled[0].revents().contains(PollFlags::HUP) {
            return;
        }
        // A call whose process died meanwhile is nobody's.
        let Ok(call) = notification::next(seccomp.as_fd()) else { continue };
        let answer = if call.number == MKDIR { Answer::Errno(ERRNO) } else { Answer::Continue };
        let _gone = notification::answer(seccomp.as_fd(), call, answer);
    }
}

fn asking(path: &Path, names: &[&str]) -> Seccomp {
    Seccomp {
        default_action: Action::Allow,
        default_errno_ret: None,
        architectures: Vec::new(),
        flags: vec!["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV".to_owned()],
        listener_path: Some(path.to_owned()),
        listener_metadata: Some("for the agent".to_owned()),
        syscalls: vec![Syscalls {
            names: names.iter().map(|&name| name.to_owned()).collect(),
            action: Action::Notify,
            errno_ret: None,
            args: Vec::new(),
        }],
    }
}

const SCRIPT: &str = "echo up; mkdir /made; exec sleep 60";

#[test]
fn an_agent_answers_for_the_first_process_and_for_those_that_join() {
    needs_root!();
    needs!(cfg!(target_arch = "x86_64"), "x86_64");
    for no_new_privileges in [false, true] {
        let mut bundle = Bundle::new();
        let path = bundle.directory().join("agent");
        let agent = Agent::listen(&path);
        bundle.process().no_new_privileges = no_new_privileges;
        bundle.spec.annotations.insert("a".to_owned(), "b".to_owned());
        // The runtime's own ways of telling are among them.
        let filter = asking(&path, &["mkdir", "sendmsg", "sendto"]);
        bundle.spec.linux.as_mut().unwrap().seccomp = Some(filter);

        let mut held = bundle.hold(&["sh", "-c", "mkdir /made; echo up; exec sleep 60"]);
        let heard = agent.heard();
        held.start();

        assert_eq!(heard.pid, held.pid);
        assert_eq!(heard.metadata.as_deref(), Some("for the agent"));
        assert_eq!(heard.state.id, bundle.id);
        assert_eq!(heard.state.status, Status::Creating);
        assert_eq!(heard.state.pid, Some(held.pid));
        assert_eq!(heard.state.bundle, bundle.directory());
        assert_eq!(heard.state.annotations["a"], "b");
        assert_eq!(held.line(), "up");
        let outcome = bundle.exec(held.pid, &["mkdir", "/made"]).exits(1);
        assert!(outcome.stderr.contains("not supported"), "{outcome}");
        let joined = agent.heard();
        assert_eq!(joined.state.status, Status::Running);
        assert_eq!(joined.state.pid, Some(held.pid));
        assert_ne!(joined.pid, held.pid);
        held.kill();
        let (code, said) = held.end();
        assert_eq!(code, 137, "{said}");
        assert!(said.contains("not supported"), "{said}");
        assert!(!bundle.root().join("made").exists());
    }
}

#[test]
fn without_an_agent_there_is_no_container() {
    needs_root!();
    let mut bundle = Bundle::new();
    let nowhere = bundle.directory().join("nobody");
    bundle.spec.linux.as_mut().unwrap().seccomp = Some(asking(&nowhere, &["mkdir"]));
    drop(bundle.run(&["sh", "-c", SCRIPT]).exits(125).says("connect to the seccomp agent"));

    // One that listens and goes at once is found out when it is to be told.
    let deaf = bundle.directory().join("deaf");
    drop(UnixListener::bind(&deaf).unwrap());
    bundle.spec.linux.as_mut().unwrap().seccomp = Some(asking(&deaf, &["mkdir"]));
    drop(bundle.run(&["true"]).exits(125).says("connect to the seccomp agent"));

    let mut without = asking(&nowhere, &["mkdir"]);
    without.listener_path = None;
    bundle.spec.linux.as_mut().unwrap().seccomp = Some(without.clone());
    drop(bundle.run(&["true"]).exits(125).says("listenerMetadata: listenerPath is not set"));
    without.listener_metadata = None;
    bundle.spec.linux.as_mut().unwrap().seccomp = Some(without);
    drop(bundle.run(&["true"]).exits(125).says("listenerPath is not set"));

    // Where nothing asks, nobody need listen.
    let mut quiet = asking(&nowhere, &["mkdir"]);
    quiet.syscalls[0].action = Action::Errno;
    bundle.spec.linux.as_mut().unwrap().seccomp = Some(quiet);
    drop(bundle.run(&["true"]).ok());
}
