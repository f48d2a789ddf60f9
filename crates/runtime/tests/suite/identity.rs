//! Who the process is: user, groups, capabilities, limits, filter, directory.

use crate::bundle::Bundle;
use dhow_spec::runtime::{Capabilities, DEFAULT_CAPABILITIES, Rlimit, User};
use dhow_testkit::{needs, needs_root};

fn field(status: &str, name: &str) -> String {
    let line = status.lines().find(|line| line.starts_with(&format!("{name}:")));
    line.unwrap().split_whitespace().nth(1).unwrap().to_owned()
}

const DEFAULT_MASK: &str = "00000000a80425fb";
const NOTHING: &str = "0000000000000000";

/// Attack test 12.
#[test]
fn root_has_exactly_the_declared_capabilities() {
    needs_root!();
    let mut bundle = Bundle::new();

    let status = bundle.run(&["cat", "/proc/self/status"]).ok().stdout;

    for name in ["CapPrm", "CapEff", "CapBnd"] {
        assert_eq!(field(&status, name), DEFAULT_MASK, "{name}");
    }
    for name in ["CapInh", "CapAmb"] {
        assert_eq!(field(&status, name), NOTHING, "{name}");
    }
    assert_eq!(field(&status, "NoNewPrivs"), "0");
}

/// Attack test 12.
#[test]
fn another_user_has_no_capabilities_but_the_bound() {
    needs_root!();
    let mut bundle = Bundle::new();
    bundle.process().user =
        User { uid: 1000, gid: 1000, umask: Some(0o027), additional_gids: vec![2000, 3000] };
    bundle.process().capabilities = Some(Capabilities::of_user(&DEFAULT_CAPABILITIES));
    bundle.process().no_new_privileges = true;

    let outcome = bundle.sh("cat /proc/self/status; umask").ok();

    let status = &outcome.stdout;
    for name in ["CapPrm", "CapEff", "CapInh", "CapAmb"] {
        assert_eq!(field(status, name), NOTHING, "{name}");
    }
    assert_eq!(field(status, "CapBnd"), DEFAULT_MASK);
    assert_eq!(field(status, "NoNewPrivs"), "1");
    assert_eq!(field(status, "Uid"), "1000");
    assert!(status.contains("Groups:\t2000 3000"), "{status}");
    assert!(status.ends_with("0027\n"), "{status}");
}

#[test]
fn ambient_capabilities_reach_another_user_s_program() {
    needs_root!();
    let mut bundle = Bundle::new();
    bundle.process().user.uid = 1000;
    let names = vec!["CAP_NET_BIND_SERVICE".to_owned()];
    bundle.process().capabilities = Some(Capabilities {
        bounding: names.clone(),
        effective: names.clone(),
        inheritable: names.clone(),
        permitted: names.clone(),
        ambient: names,
    });

    let status = bundle.run(&["cat", "/proc/self/status"]).ok().stdout;

    for name in ["CapPrm", "CapEff", "CapInh", "CapAmb", "CapBnd"] {
        assert_eq!(field(&status, name), "0000000000000400", "{name}");
    }
}

#[test]
fn resource_limits_are_set() {
    needs_root!();
    let mut bundle = Bundle::new();
    let limit = |kind: &str, soft, hard| Rlimit { kind: kind.to_owned(), soft, hard };
    bundle.process().rlimits = vec![limit("RLIMIT_NOFILE", 100, 200), limit("RLIMIT_CORE", 0, 0)];

    let outcome = bundle.sh("ulimit -n; ulimit -Hn; ulimit -c").ok();

    assert_eq!(outcome.stdout, "100\n200\n0\n");
}

/// Attack test 13, in part: the filter is there before any code of the container's.
#[test]
fn the_filter_holds_with_and_without_new_privileges() {
    needs_root!();
    for no_new_privileges in [false, true] {
        let mut bundle = Bundle::new();
        bundle.process().no_new_privileges = no_new_privileges;
        let profile =
            dhow_seccomp::default_profile(dhow_seccomp::Arch::X86_64, &DEFAULT_CAPABILITIES);
        needs!(dhow_seccomp::compile(&profile).is_ok(), "a compiler of seccomp filters");
        bundle.spec.linux.as_mut().unwrap().seccomp = Some(profile);

        let outcome = bundle.sh("cat /proc/self/status; unshare -U true 2>&1").exits(1);

        assert_eq!(field(&outcome.stdout, "Seccomp"), "2");
        assert!(outcome.stdout.contains("Operation not permitted"), "{outcome}");
    }
}

#[test]
fn the_working_directory_is_made_where_it_is_missing() {
    needs_root!();
    let mut bundle = Bundle::new();
    bundle.process().cwd = "/srv/new/../deep".to_owned();

    drop(bundle.run(&["true"]).exits(125));
    bundle.process().cwd = "/srv/deep".to_owned();
    assert_eq!(bundle.run(&["pwd"]).ok().line(), "/srv/deep");
    assert!(bundle.root().join("srv/deep").is_dir());
}

#[test]
fn the_oom_score_is_raised_and_lowering_it_without_the_right_says_so() {
    needs_root!();
    let mut bundle = Bundle::new();
    bundle.process().oom_score_adj = Some(500);

    assert_eq!(bundle.run(&["cat", "/proc/self/oom_score_adj"]).ok().line(), "500");
    bundle.process().oom_score_adj = Some(-1000);
    let outcome = bundle.run(&["true"]);
    if outcome.code != 0 {
        drop(outcome.exits(125).says("set oom_score_adj to -1000"));
    }
}

#[test]
fn a_program_starts_with_default_signals() {
    needs_root!();
    let mut bundle = Bundle::new();

    let status = bundle.run(&["cat", "/proc/self/status"]).ok().stdout;

    for name in ["SigBlk", "SigIgn", "SigCgt"] {
        // The C library keeps signals 32 and 33 for itself, and hands them on as it found them.
        let set = u64::from_str_radix(&field(&status, name), 16).unwrap();
        assert_eq!(set & 0x7fff_ffff, 0, "{name}");
    }
}
