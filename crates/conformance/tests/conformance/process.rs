//! `process`: what runs, with which words, where, and with which limits. config.md, section Process.

use super::bundle;
use dhow_conformance::conformance;
use serde_json::json;

conformance! {
    /// "args (array of strings, OPTIONAL) with similar semantics to IEEE Std 1003.1-2008 execvp's
    /// argv."
    fn args_reach_the_program_as_they_are(runtime) {
        let mut bundle = bundle(runtime);
        bundle.args(&["probe", "", "two words", "$HOME", "\u{e4}"]);

        let seen: serde_json::Value = serde_json::from_str(&bundle.run().ok().stdout).unwrap();

        assert_eq!(seen["args"], json!(["probe", "", "two words", "$HOME", "\u{e4}"]));
    }

    /// The program is process 1 of a new pid namespace and the leader of its session.
    fn the_program_is_the_first_process(runtime) {
        let seen = bundle(runtime).see();

        assert_eq!(seen["pid"], 1);
        assert_eq!(seen["session"], 1);
    }

    /// "env (array of strings, OPTIONAL) with the same semantics as IEEE Std 1003.1-2008's environ."
    fn the_environment_is_the_listed_one(runtime) {
        let mut bundle = bundle(runtime);
        bundle.set("/process/env", json!(["PATH=/bin", "A=b=c", "EMPTY=", "HOME=/somewhere"]));

        let seen = bundle.see();

        assert_eq!(seen["env"], json!(["PATH=/bin", "A=b=c", "EMPTY=", "HOME=/somewhere"]));
    }

    /// "cwd (string, REQUIRED) is the working directory that will be set for the executable. This
    /// value MUST be an absolute path."
    fn the_working_directory_is_the_named_one(runtime) {
        let mut bundle = bundle(runtime);
        bundle.set("/process/cwd", json!("/var/tmp"));

        assert_eq!(bundle.see()["cwd"], "/var/tmp");
    }

    /// The same sentence: a relative path is an error of the configuration.
    fn a_relative_working_directory_is_refused(runtime) {
        let mut bundle = bundle(runtime);
        bundle.set("/process/cwd", json!("var"));

        drop(bundle.refused());
    }

    /// runc makes a working directory that the image lacks, and images rely on it.
    fn a_missing_working_directory_is_made(runtime) {
        let mut bundle = bundle(runtime);
        bundle.set("/process/cwd", json!("/srv/deep/down"));

        assert_eq!(bundle.see()["cwd"], "/srv/deep/down");
    }

    /// "rlimits (array of objects, OPTIONAL) allows setting resource limits for the process."
    fn resource_limits_are_set(runtime) {
        let mut bundle = bundle(runtime);
        bundle.set("/process/rlimits", json!([
            {"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200},
            {"type": "RLIMIT_CORE", "soft": 0, "hard": 0},
            {"type": "RLIMIT_STACK", "soft": 4_194_304, "hard": 8_388_608},
        ]));

        let limits = &bundle.see()["limits"];

        assert_eq!(limits["Max open files"], json!(["100", "200"]));
        assert_eq!(limits["Max core file size"], json!(["0", "0"]));
        assert_eq!(limits["Max stack size"], json!(["4194304", "8388608"]));
    }

    /// "If rlimits contains duplicated entries with same type, the runtime MUST generate an error."
    fn a_limit_that_is_given_twice_is_refused(runtime) {
        let mut bundle = bundle(runtime);
        let limit = |soft: u32| json!({"type": "RLIMIT_NOFILE", "soft": soft, "hard": 200});
        bundle.set("/process/rlimits", json!([limit(100), limit(150)]));

        drop(bundle.refused());
    }

    /// "The runtime MUST generate an error for any values which cannot be mapped to a relevant
    /// kernel interface."
    fn an_unknown_limit_is_refused(runtime) {
        let mut bundle = bundle(runtime);
        bundle.set("/process/rlimits", json!([{"type": "RLIMIT_PATIENCE", "soft": 1, "hard": 1}]));

        drop(bundle.refused());
    }

    /// "oomScoreAdj (int, OPTIONAL) adjusts the oom-killer score".
    fn the_oom_score_is_adjusted(runtime) {
        let mut bundle = bundle(runtime);
        bundle.set("/process/oomScoreAdj", json!(321));

        assert_eq!(bundle.see()["oom_score_adj"], "321");
    }

    /// "If oomScoreAdj is not set, the runtime MUST NOT change the value of oom_score_adj."
    fn without_a_word_the_oom_score_stays(runtime) {
        let own = std::fs::read_to_string("/proc/self/oom_score_adj").unwrap();

        assert_eq!(bundle(runtime).see()["oom_score_adj"], own.trim());
    }

    /// "setting noNewPrivileges to true prevents the process from gaining additional privileges."
    fn privileges_are_not_gained_where_that_is_said(runtime) {
        let mut bundle = bundle(runtime);

        assert_eq!(bundle.see()["status"]["NoNewPrivs"], "1");
        bundle.set("/process/noNewPrivileges", json!(false));
        assert_eq!(bundle.see()["status"]["NoNewPrivs"], "0");
    }

    /// Only the standard streams are open: an fd of the host's would be a way out (CVE-2024-21626).
    fn no_fd_of_the_runtime_is_left_open(runtime) {
        let seen = bundle(runtime).see();

        let open: Vec<&String> = seen["fds"].as_object().unwrap().keys().collect();
        assert_eq!(open, ["0", "1", "2"], "{}", seen["fds"]);
    }

    /// A program starts with no signal blocked or ignored, whatever the runtime itself does.
    fn signals_are_as_a_program_expects_them(runtime) {
        let seen = bundle(runtime).see();

        for name in ["SigBlk", "SigIgn"] {
            let set = u64::from_str_radix(seen["status"][name].as_str().unwrap(), 16).unwrap();
            // Rust's own start ignores SIGPIPE (13) in the probe.
            assert_eq!(set & 0x7fff_ffff & !(1 << 12), 0, "{name}");
        }
    }
}
