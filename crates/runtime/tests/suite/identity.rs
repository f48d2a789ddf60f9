//! Who the process is: user, groups, capabilities, limits, filter, directory.

use crate::bundle::Bundle;
use dhow_spec::runtime::{
    Capabilities, DEFAULT_CAPABILITIES, IdMapping, Namespace, NamespaceKind, Rlimit, User,
};
use dhow_testkit::{needs, needs_root};
use std::{fs::Permissions, os::unix::fs::PermissionsExt};

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

/// Docker and runc enter it as root first: an image may name a directory that its user cannot search.
#[test]
fn the_working_directory_may_be_closed_to_the_user() {
    needs_root!();
    let mut bundle = Bundle::new();
    let closed = bundle.root().join("closed");
    std::fs::create_dir(&closed).unwrap();
    std::fs::set_permissions(&closed, Permissions::from_mode(0o700)).unwrap();
    let process = bundle.process();
    process.cwd = "/closed".to_owned();
    process.user.uid = 1234;

    let outcome = bundle.sh("id -u; ls / > /dev/null && echo ran; ls . 2>&1").exits(1);

    assert!(outcome.stdout.starts_with("1234\nran\n"), "{outcome}");
    assert!(outcome.stdout.contains("Permission denied"), "{outcome}");
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

/// The specification wants a warning of a capability that nobody knows, and no failure.
#[test]
fn a_capability_that_nobody_knows_stops_nothing() {
    needs_root!();
    let mut bundle = Bundle::new();
    let sets = bundle.process().capabilities.as_mut().unwrap();
    sets.bounding.push("CAP_FLY".to_owned());
    sets.effective.push("CAP_FLY".to_owned());

    let status = bundle.run(&["cat", "/proc/self/status"]).ok().stdout;

    assert_eq!(field(&status, "CapEff"), DEFAULT_MASK);
    assert_eq!(field(&status, "CapBnd"), DEFAULT_MASK);
}

/// As in runc and crun: from the accounts of the root, whatever those are.
#[test]
fn a_home_comes_from_the_root_s_accounts_where_the_environment_has_none() {
    needs_root!();
    let passwd = "root:x:0:0::/root:/bin/sh\nme:x:1000:1000::/home/me:/bin/sh\n";
    let mut bundle = Bundle::new();
    let file = bundle.root().join("etc/passwd");
    let home = |bundle: &mut Bundle| bundle.sh("echo $HOME").ok().line().to_owned();
    std::fs::write(&file, passwd).unwrap();

    assert_eq!(home(&mut bundle), "/root");
    bundle.process().user.uid = 1000;
    assert_eq!(home(&mut bundle), "/home/me");
    bundle.process().env.push("HOME=".to_owned());
    assert_eq!(home(&mut bundle), "/home/me");
    bundle.process().env.push("HOME=/set".to_owned());
    assert_eq!(home(&mut bundle), "/set");
    bundle.process().env = vec!["PATH=/bin".to_owned()];
    bundle.process().user.uid = 4711;
    assert_eq!(home(&mut bundle), "/");

    // Attack test 16: neither hangs, nor fills the memory, nor leads out.
    bundle.process().user.uid = 0;
    std::fs::remove_file(&file).unwrap();
    std::os::unix::fs::symlink("/proc/1/environ", &file).unwrap();
    assert_eq!(home(&mut bundle), "/");
    std::fs::remove_file(&file).unwrap();
    std::fs::File::create_new(&file).unwrap().set_len(10 << 30).unwrap();
    assert_eq!(home(&mut bundle), "/");
    std::fs::remove_file(&file).unwrap();
    let (kind, mode) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::from_raw_mode(0o644));
    rustix::fs::mknodat(rustix::fs::CWD, &file, kind, mode, 0).unwrap();
    assert_eq!(home(&mut bundle), "/");
}

#[test]
fn of_several_values_of_a_variable_the_last_counts() {
    needs_root!();
    let mut bundle = Bundle::new();
    bundle.process().env =
        ["X=1", "PATH=/nowhere", "HOME=/", "X=2", "PATH=/bin"].map(str::to_owned).to_vec();

    assert_eq!(bundle.run(&["env"]).ok().stdout, "HOME=/\nX=2\nPATH=/bin\n");
}

/// The specification: unspecified, it is the calling process's.
#[test]
fn a_mask_that_is_not_set_is_the_caller_s() {
    needs_root!();
    let mut bundle = Bundle::new();
    let own = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o027));

    let inherited = bundle.sh("umask; stat -c %a /dev/null /dev/shm").ok();
    rustix::process::umask(own);
    bundle.process().user.umask = Some(0o007);

    assert_eq!(inherited.stdout, "0027\n666\n1777\n");
    assert_eq!(bundle.sh("umask").ok().line(), "0007");
}

#[test]
fn all_resource_limits_have_names_and_no_limit_is_a_number_too() {
    needs_root!();
    let mut bundle = Bundle::new();
    let limit = |kind: &str, soft, hard| Rlimit { kind: kind.to_owned(), soft, hard };
    let names = [
        ("RLIMIT_CPU", "Max cpu time", 1000),
        ("RLIMIT_FSIZE", "Max file size", 1 << 30),
        ("RLIMIT_DATA", "Max data size", 1 << 33),
        ("RLIMIT_STACK", "Max stack size", 1 << 22),
        ("RLIMIT_CORE", "Max core file size", 7),
        ("RLIMIT_RSS", "Max resident set", 1 << 34),
        ("RLIMIT_NPROC", "Max processes", 3000),
        ("RLIMIT_NOFILE", "Max open files", 300),
        ("RLIMIT_MEMLOCK", "Max locked memory", 4096),
        ("RLIMIT_AS", "Max address space", 1 << 35),
        ("RLIMIT_LOCKS", "Max file locks", 11),
        ("RLIMIT_SIGPENDING", "Max pending signals", 200),
        ("RLIMIT_MSGQUEUE", "Max msgqueue size", 4097),
        ("RLIMIT_NICE", "Max nice priority", 0),
        ("RLIMIT_RTPRIO", "Max realtime priority", 0),
        ("RLIMIT_RTTIME", "Max realtime timeout", 12345),
    ];
    bundle.process().rlimits =
        names.iter().map(|(kind, _, value)| limit(kind, *value, *value)).collect();
    let shown = bundle.run(&["cat", "/proc/self/limits"]).ok();
    for (kind, title, value) in names {
        let line = shown.stdout.lines().find(|line| line.starts_with(title)).unwrap();
        let words: Vec<&str> = line[title.len()..].split_whitespace().collect();
        let value = value.to_string();
        assert_eq!(words[..2], [value.as_str(), value.as_str()], "{kind}");
    }

    bundle.process().rlimits = vec![limit("RLIMIT_CORE", 0, u64::MAX)];
    let shown = bundle.sh("ulimit -c; ulimit -Hc");
    if shown.code == 0 {
        assert_eq!(shown.stdout, "0\nunlimited\n");
    } else {
        drop(shown.exits(125).says("set resource limit RLIMIT_CORE"));
    }
}

/// What takes rights outside of the user namespace is done from there.
#[test]
fn limits_and_the_oom_score_reach_into_a_user_namespace() {
    needs_root!();
    let mut bundle = Bundle::new();
    let linux = bundle.spec.linux.as_mut().unwrap();
    linux.namespaces.push(Namespace { kind: NamespaceKind::User, path: None });
    let all = IdMapping { container_id: 0, host_id: 200_000, size: 65536 };
    (linux.uid_mappings, linux.gid_mappings) = (vec![all], vec![all]);
    std::os::unix::fs::chown(bundle.root(), Some(200_000), Some(200_000)).unwrap();
    crate::namespaces::open_for_all(bundle.root());
    bundle.process().oom_score_adj = Some(321);
    bundle.process().rlimits =
        vec![Rlimit { kind: "RLIMIT_NOFILE".to_owned(), soft: 50, hard: 60 }];
    let script = "cat /proc/self/oom_score_adj; ulimit -n; ulimit -Hn; id -u";

    assert_eq!(bundle.sh(script).ok().stdout, "321\n50\n60\n0\n");
    bundle.process().user.uid = 70_000;
    let outcome = bundle.sh(script).exits(125);
    drop(outcome.says("become user 70000"));
}
