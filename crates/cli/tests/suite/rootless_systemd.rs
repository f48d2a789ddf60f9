//! An ordinary user's containers where systemd hands cgroups over: limits, statistics, and whoever is
//! started, stopped and frozen there.

use dhow_testkit::{
    Outcome, need, needs, needs_root, needs_tool, rootfs,
    systemd::{Cgroups, Systemd},
};
use std::{fs, os::unix::fs::PermissionsExt, process::Command, time::Duration};
use tempfile::TempDir;

const SOON: Duration = Duration::from_secs(60);
const USER: &str = "id -u user >/dev/null 2>&1 || useradd -u 1000 -m user || exit 1";
/// What a login of theirs is.
const AS_USER: &str = "setpriv --reuid 1000 --regid 1000 --clear-groups \
    env XDG_RUNTIME_DIR=/run/user/1000 HOME=/home/user PATH=$PATH";
/// What systemd hands over to them.
const OF_USER: &str = "/sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service";

/// A machine with a user and their systemd.
struct Home {
    // First, so that it ends before what it uses.
    systemd: Systemd,
    shared: TempDir,
}

impl Home {
    fn new() -> Self {
        let shared = tempfile::Builder::new().prefix("dhow-home").tempdir_in("/var/tmp").unwrap();
        fs::set_permissions(shared.path(), fs::Permissions::from_mode(0o755)).unwrap();
        fs::copy(dhow_testkit::dhow::program(), shared.path().join("dhow")).unwrap();
        let root = rootfs::busybox().unwrap();
        let mut tar = Command::new("tar");
        tar.arg("-C").arg(root.path()).arg("-cf").arg(shared.path().join("box.tar")).arg(".");
        assert!(tar.status().unwrap().success());
        let home =
            Self { systemd: Systemd::boot(Cgroups::Unified, shared.path()).unwrap(), shared };
        drop(home.script(&format!("{USER}; systemctl start user@1000.service")).ok());
        home
    }

    fn script(&self, script: &str) -> Outcome {
        let script = format!("cd {}; {script}", self.shared.path().display());
        self.systemd.run(&["sh", "-c", &script]).unwrap()
    }

    /// A script of the user's, with `dhow` for ours, in a scope of theirs.
    fn scope(&self, script: &str) -> Outcome {
        self.user("systemd-run --user --quiet --scope", script)
    }

    /// The same wherever the tests are, in what is root's, as logins are too.
    fn login(&self, script: &str) -> Outcome {
        self.user("", script)
    }

    fn user(&self, words: &str, script: &str) -> Outcome {
        let text = format!(
            "set -e; cd {}; dhow() {{ ./dhow --root $HOME/dhow --runroot $XDG_RUNTIME_DIR/dhow \"$@\"; }}; \
             place() {{ cut -d: -f3 /proc/$(dhow inspect --format '{{{{.State.Pid}}}}' $1)/cgroup; }}; \
             {script}",
            self.shared.path().display()
        );
        let file = self.shared.path().join("script");
        fs::write(&file, text).unwrap();
        self.script(&format!("{AS_USER} {words} sh {}", file.display()))
    }
}

#[test]
fn a_users_containers_are_limited_measured_and_ended_in_what_systemd_hands_over() {
    needs_root!();
    needs_tool!("busybox");
    needs_tool!("tar");
    if let Some(obstacle) = Systemd::obstacle() {
        need::skip(obstacle);
        return;
    }
    let home = Home::new();
    let controllers = home.script(&format!("cat {OF_USER}/cgroup.controllers")).stdout;
    needs!(
        ["cpu", "memory", "pids"].iter().all(|name| controllers.contains(name)),
        "the controllers cpu, memory and pids, handed over to a user"
    );
    drop(home.scope("dhow import -q box.tar box >/dev/null").ok());

    lives_whole_life(&home, "web");

    assert_eq!(home.scope("dhow doctor").ok().stdout, "all is well\n");
}

fn lives_whole_life(home: &Home, name: &str) {
    let run = format!(
        "dhow rm -f -t 0 {name} >/dev/null 2>&1 || :; dhow run -q -d --name {name} --network none -m 64m --cpus 0.5 --pids-limit 55 box sleep 1000 \
           >/dev/null; place {name}; cd /sys/fs/cgroup/$(place {name}); \
         cat memory.max cpu.max pids.max"
    );
    let started = home.scope(&run).ok().stdout;
    let (place, limits) = started.split_once('\n').unwrap();
    assert!(format!("/sys/fs/cgroup{place}").starts_with(OF_USER), "{started}");
    assert_eq!(limits, "67108864\n50000 100000\n55\n");

    let work = format!(
        "dhow exec {name} echo in; dhow exec -d {name} sleep 1001; \
         wc -l </sys/fs/cgroup{place}/cgroup.procs; \
         dhow stats --no-stream --format '{{{{.PIDs}}}} {{{{.MemUsage}}}}' {name}; \
         dhow pause {name} >/dev/null; cat /sys/fs/cgroup{place}/cgroup.freeze; \
         dhow unpause {name} >/dev/null; cat /sys/fs/cgroup{place}/cgroup.freeze; \
         dhow update -m 32m {name} >/dev/null; cat /sys/fs/cgroup{place}/memory.max"
    );
    let done = home.scope(&work).ok().stdout;
    let lines: Vec<&str> = done.lines().collect();
    assert_eq!(lines[..2], ["in", "2"], "{done}");
    assert!(lines[2].starts_with("2 ") && lines[2].contains("/ 64MiB"), "{done}");
    assert_eq!(lines[3..], ["1", "0", "33554432"], "{done}");

    let by_login = |words: &str| home.login(&format!("dhow {words}"));
    let measured = by_login(&format!("stats --no-stream --format '{{{{.PIDs}}}}' {name}")).ok();
    assert_eq!(measured.stdout, "2\n");
    let refused = by_login(&format!("exec {name} true"));
    assert_ne!(refused.code, 0, "{refused}");
    assert!(refused.stderr.contains("`systemd-run --user --scope`"), "{refused}");
    let unlimited = by_login("run --rm -q --network none box echo there").ok();
    assert_eq!(unlimited.stdout, "there\n");
    let limited = by_login("run --rm -q --network none -m 64m box true").exits(125);
    assert!(limited.stderr.contains("limits take a cgroup"), "{limited}");

    let ended = home.scope(&format!("dhow stop -t 0 {name} >/dev/null; dhow rm {name}"));
    assert_eq!(ended.ok().line(), name);
    let gone = || (home.script(&format!("ls -d /sys/fs/cgroup{place}")).code != 0).then_some(());
    assert!(need::eventually(SOON, gone).is_some(), "{place} is left");
}
