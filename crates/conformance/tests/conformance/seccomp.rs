//! `linux.seccomp`: actions, operators, flags, and the socket for notifications. config-linux.md,
//! section Seccomp.

use super::bundle;
use dhow_conformance::{Runtime, conformance};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use serde_json::{Value, json};
use std::{
    io::IoSliceMut,
    mem::MaybeUninit,
    os::{
        fd::OwnedFd,
        unix::net::{UnixListener, UnixStream},
    },
    thread,
};

/// A profile that lets everything pass but these rules.
pub(super) fn profile(rules: &Value) -> Value {
    json!({"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"],
        "syscalls": rules})
}

/// Does busybox's `mkdir /made` pass, and what does it say?
pub(super) fn make_directory(runtime: &Runtime, rule: &Value) -> (i32, String) {
    let mut bundle = bundle(runtime);
    bundle.set("/linux/seccomp", profile(&json!([rule])));
    bundle.args(&["mkdir", "/made"]);
    let outcome = bundle.run();
    (outcome.code, outcome.stderr)
}

/// Which of these modes may be set where the rule forbids chmod by its second argument?
pub(super) fn modes_that_pass(runtime: &Runtime, arguments: &Value) -> Vec<u32> {
    let mut bundle = bundle(runtime);
    bundle.set(
        "/linux/seccomp",
        profile(&json!([
            {"names": ["chmod", "fchmodat"], "action": "SCMP_ACT_ERRNO", "args": arguments},
        ])),
    );
    bundle.script("for m in 600 640 644 700 711; do chmod $m /etc/hostname 2>/dev/null && echo $m; done; true");
    let printed = bundle.run().ok().stdout;
    printed.lines().map(|mode| u32::from_str_radix(mode, 8).unwrap()).collect()
}

/// Is this mode forbidden?
pub(super) type Forbids = fn(u32) -> bool;

pub(super) fn all_but(forbidden: impl Fn(u32) -> bool) -> Vec<u32> {
    [0o600, 0o640, 0o644, 0o700, 0o711].into_iter().filter(|mode| !forbidden(*mode)).collect()
}

/// Takes one document and the fds that come with it. The runtime may keep the connection open until
/// the call is answered, so the document's end is where it is whole.
fn receive(stream: &UnixStream) -> (Value, Vec<OwnedFd>) {
    let (mut text, mut fds) = (Vec::new(), Vec::new());
    loop {
        let mut bytes = vec![0; 65_536];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let count = {
            let mut parts = [IoSliceMut::new(&mut bytes)];
            recvmsg(stream, &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC).unwrap().bytes
        };
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(received) = message {
                fds.extend(received);
            }
        }
        text.extend_from_slice(&bytes[..count]);
        match serde_json::from_slice(&text) {
            Ok(document) => return (document, fds),
            Err(error) => assert_ne!(count, 0, "{error} in what the listener got"),
        }
    }
}

conformance! {
    /// "action (string, REQUIRED) - the action for seccomp rules": with SCMP_ACT_ERRNO the call
    /// fails with EPERM where nothing else is said.
    fn an_action_of_errno_fails_the_call(runtime) {
        let rule = json!({"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"});

        let (code, said) = make_directory(runtime, &rule);

        assert_eq!(code, 1, "{said}");
        assert!(said.contains("Operation not permitted"), "{said}");
    }

    /// "errnoRet (uint, OPTIONAL) - the errno return code to use."
    fn an_errno_may_be_named(runtime) {
        let rule = json!({"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO",
            "errnoRet": 122});

        let (code, said) = make_directory(runtime, &rule);

        assert_eq!(code, 1, "{said}");
        assert!(said.contains("quota exceeded"), "{said}");
    }

    /// SCMP_ACT_KILL_PROCESS, SCMP_ACT_KILL, SCMP_ACT_KILL_THREAD end the process by SIGSYS.
    fn actions_of_killing_end_the_process(runtime) {
        for action in ["SCMP_ACT_KILL", "SCMP_ACT_KILL_THREAD", "SCMP_ACT_KILL_PROCESS"] {
            let rule = json!({"names": ["mkdir", "mkdirat"], "action": action});

            assert_eq!(make_directory(runtime, &rule).0, 128 + 31, "{action}");
        }
    }

    /// SCMP_ACT_TRAP sends SIGSYS, whose default is death.
    fn an_action_of_trapping_sends_a_signal(runtime) {
        let rule = json!({"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_TRAP"});

        assert_eq!(make_directory(runtime, &rule).0, 128 + 31);
    }

    /// SCMP_ACT_TRACE fails with ENOSYS where nobody traces; SCMP_ACT_LOG and SCMP_ACT_ALLOW pass.
    fn actions_of_passing_pass(runtime) {
        for (action, expected) in
            [("SCMP_ACT_TRACE", 1), ("SCMP_ACT_LOG", 0), ("SCMP_ACT_ALLOW", 0)]
        {
            let mut bundle = bundle(runtime);
            let mut it = profile(&json!([{"names": ["mkdir", "mkdirat"], "action": action}]));
            if action == "SCMP_ACT_ALLOW" {
                it["defaultAction"] = json!("SCMP_ACT_LOG");
            }
            bundle.set("/linux/seccomp", it);
            bundle.args(&["mkdir", "/made"]);

            drop(bundle.run().exits(expected));
        }
    }

    /// "defaultAction (string, REQUIRED)" and "defaultErrnoRet (uint, OPTIONAL)".
    fn what_no_rule_names_gets_the_default(runtime) {
        let mut bundle = bundle(runtime);
        let names = ["arch_prctl", "brk", "chdir", "close", "dup2", "execve", "exit_group", "fcntl",
            "fstat", "futex", "getdents64", "getpid", "getppid", "getuid", "ioctl", "lstat", "mmap",
            "mprotect", "munmap", "newfstatat", "open", "openat", "prctl", "prlimit64", "read",
            "readlink", "readlinkat", "rseq", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn",
            "set_robust_list", "set_tid_address", "sigaltstack", "stat", "statx", "uname", "write",
            "writev", "getrandom", "capget", "capset", "setuid", "setgid", "setgroups", "poll",
            "epoll_pwait", "epoll_ctl", "nanosleep", "fstatfs", "statfs", "getcwd", "pipe2",
            "geteuid", "getgid", "getegid", "gettid", "tgkill", "sched_yield", "fchdir", "dup3",
            "dup", "access", "faccessat", "faccessat2", "fchown", "close_range", "umask",
            "getdents", "clock_gettime", "madvise", "exit", "clock_nanosleep", "sched_getaffinity"];
        bundle.set("/linux/seccomp", json!({
            "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 122,
            "architectures": ["SCMP_ARCH_X86_64"],
            "syscalls": [{"names": names.to_vec(), "action": "SCMP_ACT_ALLOW"}],
        }));
        bundle.args(&["mkdir", "/made"]);

        let outcome = bundle.run().exits(1);

        assert!(outcome.stderr.contains("quota exceeded"), "{outcome}");
    }

    /// "op (string, REQUIRED) - the operator for syscall arguments": SCMP_CMP_EQ, NE, LT, LE, GE, GT.
    fn operators_compare_an_argument(runtime) {
        let value = 0o644;
        let cases: [(&str, Forbids); 6] = [
            ("SCMP_CMP_EQ", |mode| mode == 0o644),
            ("SCMP_CMP_NE", |mode| mode != 0o644),
            ("SCMP_CMP_LT", |mode| mode < 0o644),
            ("SCMP_CMP_LE", |mode| mode <= 0o644),
            ("SCMP_CMP_GE", |mode| mode >= 0o644),
            ("SCMP_CMP_GT", |mode| mode > 0o644),
        ];
        for (operator, forbidden) in cases {
            let arguments = json!([{"index": 1, "value": value, "op": operator}]);

            assert_eq!(modes_that_pass(runtime, &arguments), all_but(forbidden), "{operator}");
        }
    }

    /// SCMP_CMP_MASKED_EQ: "value" is the mask, "valueTwo" what is left.
    fn an_operator_compares_by_a_mask(runtime) {
        let arguments =
            json!([{"index": 1, "value": 0o077, "valueTwo": 0o044, "op": "SCMP_CMP_MASKED_EQ"}]);

        assert_eq!(modes_that_pass(runtime, &arguments), all_but(|mode| mode & 0o077 == 0o044));
    }

    /// Several arguments of one rule must all match. (With one argument twice, libseccomp makes a
    /// rule of each: runc and crun document that.)
    fn several_arguments_must_all_match(runtime) {
        let arguments = json!([
            {"index": 1, "value": 0o644, "op": "SCMP_CMP_EQ"},
            {"index": 0, "value": 0, "op": "SCMP_CMP_EQ"},
        ]);

        assert_eq!(modes_that_pass(runtime, &arguments), all_but(|_| false));
    }

    /// An unknown name of a call is passed over, so that profiles may know newer kernels.
    fn unknown_calls_are_passed_over(runtime) {
        let rule = json!({"names": ["no_such_call_at_all", "mkdir", "mkdirat"],
            "action": "SCMP_ACT_ERRNO"});

        assert_eq!(make_directory(runtime, &rule).0, 1);
    }

    /// config.md, Extensibility: "Runtimes MUST generate an error when invalid or unsupported values
    /// are encountered."
    fn unknown_words_are_refused(runtime) {
        let unknown = [
            ("/defaultAction", json!("SCMP_ACT_PRAY")),
            ("/architectures", json!(["SCMP_ARCH_ABACUS"])),
            ("/syscalls/0/action", json!("SCMP_ACT_PRAY")),
            ("/syscalls/0/args", json!([{"index": 0, "value": 0, "op": "SCMP_CMP_MAYBE"}])),
        ];
        for (pointer, value) in unknown {
            let mut bundle = bundle(runtime);
            let rules = json!([{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO"}]);
            bundle.set("/linux/seccomp", profile(&rules));
            bundle.set(&format!("/linux/seccomp{pointer}"), value);

            drop(bundle.refused());
        }
    }

    /// "flags (array of strings, OPTIONAL) - list of flags to use with seccomp(2)": LOG, SPEC_ALLOW.
    fn flags_are_taken(runtime) {
        for flags in [json!(["SECCOMP_FILTER_FLAG_LOG"]), json!(["SECCOMP_FILTER_FLAG_SPEC_ALLOW"])] {
            let mut bundle = bundle(runtime);
            let rules = json!([{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO"}]);
            bundle.set("/linux/seccomp", profile(&rules));
            bundle.set("/linux/seccomp/flags", flags);

            assert_eq!(bundle.see()["status"]["Seccomp"], "2");
        }
    }

    /// The filter is there whether the process may gain privileges or not.
    fn the_filter_holds_with_and_without_new_privileges(runtime) {
        for forbidden in [true, false] {
            let mut bundle = bundle(runtime);
            bundle.set("/process/noNewPrivileges", json!(forbidden));
            bundle.set("/linux/seccomp",
                profile(&json!([{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO"}])));

            let status = &bundle.see()["status"];

            assert_eq!(status["Seccomp"], "2");
            assert_eq!(status["Seccomp_filters"], "1");
        }
    }

    /// "listenerPath (string, OPTIONAL) - specifies the path of UNIX domain socket over which the
    /// runtime will send the container process state data structure when the SCMP_ACT_NOTIFY action
    /// is used": fds, pid, metadata, state; "The runtime MUST send exactly one container process
    /// state per connection."
    fn a_listener_gets_the_filters_fd(runtime) {
        let mut bundle = bundle(runtime);
        let path = bundle.directory().join("listener");
        let listener = UnixListener::bind(&path).unwrap();
        bundle.set("/linux/seccomp",
            profile(&json!([{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_NOTIFY"}])));
        bundle.set("/linux/seccomp/listenerPath", json!(path));
        bundle.set("/linux/seccomp/listenerMetadata", json!("a word"));
        bundle.args(&["mkdir", "/made"]);
        let waiting = thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let (document, fds) = receive(&stream);
            // Nobody answers any more, so the call fails with ENOSYS.
            (document, fds.len())
        });

        let outcome = bundle.run();
        if outcome.stderr.is_empty() || !waiting.is_finished() {
            // Ends the wait where nobody came.
            drop(UnixStream::connect(&path));
        }

        assert!(outcome.stderr.contains("Function not implemented"), "{outcome}");
        let (document, fds) = waiting.join().unwrap();
        assert_eq!(document["metadata"], "a word");
        assert_eq!(document["fds"], json!(["seccompFd"]));
        assert_eq!(document["state"]["id"], bundle.id());
        assert!(document["pid"].as_u64().is_some_and(|pid| pid > 0), "{document}");
        assert_eq!(fds, 1);
    }

    /// "If sending to this socket fails, the runtime MUST generate an error."
    fn a_listener_that_is_not_there_is_an_error(runtime) {
        let mut bundle = bundle(runtime);
        let path = bundle.directory().join("nobody");
        bundle.set("/linux/seccomp",
            profile(&json!([{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_NOTIFY"}])));
        bundle.set("/linux/seccomp/listenerPath", json!(path));

        drop(bundle.refused());
    }

    /// "listenerMetadata … This field MUST NOT be set if listenerPath is not set."
    fn metadata_without_a_listener_is_refused(runtime) {
        let mut bundle = bundle(runtime);
        bundle.set("/linux/seccomp",
            profile(&json!([{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO"}])));
        bundle.set("/linux/seccomp/listenerMetadata", json!("a word"));

        drop(bundle.refused());
    }
}
