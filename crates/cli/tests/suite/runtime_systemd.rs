//! `dhow runtime --systemd-cgroup` under a real systemd: one in namespaces of its own, or the
//! machine's in the lab, where version 2 has controllers and one test runs after the other.

use dhow_testkit::{
    Outcome, need, needs, needs_root, needs_tool,
    rootfs::{self, Rootfs},
    systemd::{Cgroups, Systemd},
};
use serde_json::{Value, json};
use std::{collections::BTreeMap, fs, os::unix::fs::PermissionsExt, path::PathBuf, time::Duration};
use tempfile::TempDir;

const SOON: Duration = Duration::from_secs(30);

/// A systemd, with dhow and a bundle of busybox in a directory that it sees.
struct Ground {
    // First, so that it ends before what it uses.
    systemd: Systemd,
    shared: TempDir,
    _root: Rootfs,
}

/// Boots, or returns from the test with a word on why not.
macro_rules! ground {
    ($cgroups:expr) => {{
        needs_root!();
        needs_tool!("busybox");
        if let Some(obstacle) = Systemd::obstacle() {
            need::skip(obstacle);
            return;
        }
        Ground::new($cgroups)
    }};
}

impl Ground {
    fn new(cgroups: Cgroups) -> Self {
        let shared =
            tempfile::Builder::new().prefix("dhow-systemd").tempdir_in("/var/tmp").unwrap();
        let root = rootfs::busybox().unwrap();
        fs::copy(dhow_testkit::dhow::program(), shared.path().join("dhow")).unwrap();
        let bundle = shared.path().join("bundle");
        fs::create_dir(&bundle).unwrap();
        fs::set_permissions(shared.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let copied = std::process::Command::new("cp")
            .arg("-a")
            .arg(root.path())
            .arg(bundle.join("rootfs"))
            .status()
            .unwrap();
        assert!(copied.success());
        let systemd = Systemd::boot(cgroups, shared.path()).unwrap();
        Self { systemd, shared, _root: root }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.shared.path().join(name)
    }

    /// A script inside, with `$dhow` for the runtime.
    fn script(&self, script: &str) -> Outcome {
        let directory = self.shared.path().display();
        let script = format!(
            "cd {directory}/bundle; \
             dhow() {{ {directory}/dhow runtime --root {directory}/records \"$@\"; }}; {script}"
        );
        self.systemd.run(&["sh", "-c", &script]).unwrap()
    }

    fn configure(&self, change: impl FnOnce(&mut Value)) {
        let mut spec: Value =
            serde_json::from_str(&self.script("dhow spec 2>/dev/null; cat config.json").stdout)
                .or_else(|_| {
                    serde_json::from_slice(&fs::read(self.path("bundle/config.json")).unwrap())
                })
                .unwrap();
        spec["process"]["args"] = json!(["sleep", "1000"]);
        spec["process"]["terminal"] = json!(false);
        change(&mut spec);
        fs::write(self.path("bundle/config.json"), spec.to_string()).unwrap();
    }

    /// Properties of a unit, by name; those that are listed several times joined by commas.
    fn properties(&self, unit: &str) -> BTreeMap<String, String> {
        let shown = self.systemd.run(&["systemctl", "show", unit]).unwrap().ok().stdout;
        let mut properties = BTreeMap::<String, String>::new();
        for (name, value) in shown.lines().filter_map(|line| line.split_once('=')) {
            let known = properties.entry(name.to_owned()).or_default();
            known.push_str(if known.is_empty() { "" } else { ", " });
            known.push_str(value);
        }
        properties
    }

    fn is_gone(&self, unit: &str) -> bool {
        let gone = |properties: &BTreeMap<String, String>| properties["LoadState"] == "not-found";
        need::eventually(SOON, || gone(&self.properties(unit)).then_some(())).is_some()
    }
}

/// Detached, with nothing of ours open.
const CREATE: &str =
    "dhow --systemd-cgroup create c1 </dev/null >log 2>&1 || { cat log >&2; exit 1; }";

#[test]
fn a_container_is_a_scope_from_its_creation_to_its_deletion() {
    let ground = ground!(Cgroups::Unified);
    ground.configure(|spec| {
        spec["linux"]["cgroupsPath"] = json!("machine-dhow.slice:box:c1");
        for set in spec["process"]["capabilities"].as_object_mut().unwrap().values_mut() {
            set.as_array_mut().unwrap().push(json!("CAP_MKNOD"));
        }
        spec["annotations"]["org.systemd.property.TimeoutStopSec"] = json!("7");
        spec["annotations"]["org.systemd.property.CollectMode"] = json!("'inactive-or-failed'");
        spec["linux"]["resources"] = json!({ "devices": [{ "allow": false, "access": "rwm" }] });
    });

    drop(ground.script(&format!("{CREATE}; dhow start c1")).ok());
    let properties = ground.properties("box-c1.scope");
    let pid = ground.script("dhow state c1").ok();
    let pid = serde_json::from_str::<Value>(&pid.stdout).unwrap()["pid"].to_string();
    let memberships = ground.script(&format!("cat /proc/{pid}/cgroup")).ok().stdout;
    let processes = ground
        .script("cat /sys/fs/cgroup/machine.slice/machine-dhow.slice/box-c1.scope/cgroup.procs");
    let exec = ground.script("dhow exec c1 cat /proc/1/comm </dev/null");
    let devices = "mknod /dev/log c 1 11 && : </dev/null && ! cat /dev/log";
    let devices = ground.script(&format!("dhow exec c1 sh -c '{devices}' </dev/null"));

    assert_eq!(properties["Slice"], "machine-dhow.slice");
    assert_eq!(properties["Delegate"], "yes");
    assert_eq!(properties["ActiveState"], "active");
    assert_eq!(properties["CollectMode"], "inactive-or-failed");
    assert_eq!(properties["TimeoutStopUSec"], "7s");
    assert_eq!(properties["DefaultDependencies"], "no");
    assert_eq!(properties["DevicePolicy"], "strict");
    assert!(properties["DeviceAllow"].contains("/dev/char/1:3 rwm"), "{properties:?}");
    let own = "0::/machine.slice/machine-dhow.slice/box-c1.scope";
    assert!(memberships.lines().any(|line| line == own), "{memberships}");
    // The process that waited in its place is gone.
    assert_eq!(processes.ok().stdout, format!("{pid}\n"));
    assert_eq!(exec.ok().stdout, "sleep\n");
    drop(devices.ok());

    drop(ground.script("dhow delete --force c1").ok());

    assert!(ground.is_gone("box-c1.scope"));
    let left = ground.script("ls -d /sys/fs/cgroup/machine.slice/machine-dhow.slice/box-c1.scope");
    assert!(!left.stdout.contains("box-c1"), "{left:?}");
}

#[test]
fn a_container_that_cannot_be_made_leaves_no_unit() {
    let ground = ground!(Cgroups::Unified);
    ground.configure(|spec| {
        spec["process"]["args"] = json!(["/nothing/of/this/name"]);
        spec["linux"]["cgroupsPath"] = json!("system.slice:box:c1");
        spec["linux"]["resources"] = json!({});
    });

    let failed = ground.script("dhow --systemd-cgroup run c1 </dev/null");
    assert_ne!(failed.code, 0, "{failed:?}");
    assert!(ground.is_gone("box-c1.scope"));

    ground.configure(|spec| spec["linux"]["cgroupsPath"] = json!("/a/path"));
    let refused = ground.script("dhow --systemd-cgroup run c1 </dev/null").exits(1);
    assert!(refused.stderr.contains("slice:prefix:name"), "{refused:?}");

    ground.configure(|spec| {
        spec["linux"]["cgroupsPath"] = json!("");
        spec["annotations"]["org.systemd.property.NoSuchThing"] = json!("1");
    });
    let refused = ground.script("dhow --systemd-cgroup run c1 </dev/null").exits(1);
    assert!(refused.stderr.contains("NoSuchThing"), "{refused:?}");
    assert!(ground.is_gone("dhow-c1.scope"));
}

#[test]
fn limits_are_systemds_and_the_kernels() {
    let ground = ground!(Cgroups::AsMachine);
    let unified = ground.script("[ -e /sys/fs/cgroup/cgroup.procs ]").code == 0;
    needs!(
        ground
            .script(
                "cat /sys/fs/cgroup/memory/memory.usage_in_bytes /sys/fs/cgroup/cgroup.controllers \
                       2>/dev/null | grep -Eq '^[0-9]|memory'"
            )
            .code
            == 0,
        "the memory controller"
    );
    ground.configure(|spec| {
        spec["linux"]["cgroupsPath"] = json!(":dhow:c1");
        spec["linux"]["resources"] = json!({
            "memory": { "limit": 67_108_864 },
            "cpu": { "shares": 512, "quota": 50_000, "period": 100_000 },
            "pids": { "limit": 55 },
            "devices": [{ "allow": false, "access": "rwm" }],
        });
    });
    let limit = || {
        let file = if unified {
            "/sys/fs/cgroup/system.slice/dhow-c1.scope/memory.max"
        } else {
            "/sys/fs/cgroup/memory/system.slice/dhow-c1.scope/memory.limit_in_bytes"
        };
        ground.script(&format!("cat {file}")).ok().stdout
    };
    let property = |legacy: &str, modern: &str| {
        ground.properties("dhow-c1.scope")[if unified { modern } else { legacy }].clone()
    };

    drop(ground.script(&format!("{CREATE}; dhow start c1")).ok());

    assert_eq!(limit(), "67108864\n");
    assert_eq!(property("MemoryLimit", "MemoryMax"), "67108864");
    assert_eq!(property("CPUShares", "CPUWeight"), if unified { "59" } else { "512" });
    assert_eq!(property("CPUQuotaPerSecUSec", "CPUQuotaPerSecUSec"), "500ms");
    assert_eq!(property("TasksMax", "TasksMax"), "55");
    // Setting the unit again, as systemd does when it is told to read its files, changes nothing.
    drop(ground.script("systemctl daemon-reload").ok());
    assert_eq!(limit(), "67108864\n");
    assert_eq!(
        ground.script("dhow exec c1 sh -c 'echo x >/dev/null && echo y' </dev/null").ok().stdout,
        "y\n"
    );

    drop(ground.script("dhow update --memory 33554432 --pids-limit 44 c1").ok());
    assert_eq!(limit(), "33554432\n");
    assert_eq!(property("MemoryLimit", "MemoryMax"), "33554432");
    assert_eq!(property("TasksMax", "TasksMax"), "44");
    assert_eq!(property("CPUQuotaPerSecUSec", "CPUQuotaPerSecUSec"), "500ms");

    drop(ground.script("dhow pause c1 && dhow resume c1").ok());
    drop(ground.script("dhow kill c1 KILL").ok());
    let stopped = need::eventually(SOON, || {
        let state = ground.script("dhow state c1").ok().stdout;
        state.contains("stopped").then_some(())
    });
    assert!(stopped.is_some());
    drop(ground.script("dhow delete c1").ok());
    assert!(ground.is_gone("dhow-c1.scope"));
}

#[test]
fn every_limit_is_a_property_of_the_unit_and_a_file_of_the_kernels() {
    let ground = ground!(Cgroups::Unified);
    let controllers = ground.script("cat /sys/fs/cgroup/cgroup.controllers").stdout;
    needs!(
        ["cpuset", "cpu", "io", "memory", "pids"].iter().all(|name| controllers.contains(name)),
        "version 2 with the controllers cpuset, cpu, io, memory and pids"
    );
    let last = need::processors() - 1;
    let cpus = if last == 0 { "0".to_owned() } else { format!("0-{last}") };
    let last = last.to_string();
    ground.configure(|spec| {
        spec["linux"]["cgroupsPath"] = json!(":dhow:c1");
        spec["linux"]["resources"] = json!({
            "memory": { "limit": 67_108_864, "reservation": 33_554_432, "swap": 100_663_296 },
            "cpu": {
                "shares": 512, "quota": 25_000, "period": 50_000, "cpus": cpus, "mems": "0",
            },
            "pids": { "limit": 99 },
            "blockIO": { "weight": 500 },
            "unified": { "memory.high": "50331648", "memory.min": "1048576" },
            "devices": [
                { "allow": false, "access": "rwm" },
                { "allow": true, "type": "c", "major": 1, "minor": 11, "access": "r" },
                { "allow": true, "type": "c", "major": 10, "access": "rw" },
            ],
        });
    });
    let limits = [
        ("MemoryMax", "67108864", "memory.max", "67108864"),
        ("MemoryLow", "33554432", "memory.low", "33554432"),
        ("MemoryHigh", "50331648", "memory.high", "50331648"),
        ("MemoryMin", "1048576", "memory.min", "1048576"),
        ("MemorySwapMax", "33554432", "memory.swap.max", "33554432"),
        ("CPUWeight", "59", "cpu.weight", "59"),
        ("CPUQuotaPerSecUSec", "500ms", "cpu.max", "25000 50000"),
        ("CPUQuotaPeriodUSec", "50ms", "cpu.max", "25000 50000"),
        ("AllowedCPUs", &cpus, "cpuset.cpus", &cpus),
        ("AllowedMemoryNodes", "0", "cpuset.mems", "0"),
        ("TasksMax", "99", "pids.max", "99"),
        ("IOWeight", "4950", "io.weight", "default 4950"),
    ];
    let place = "/sys/fs/cgroup/system.slice/dhow-c1.scope";
    let assert_set = |limits: &[(&str, &str, &str, &str)]| {
        let properties = ground.properties("dhow-c1.scope");
        for (property, value, file, text) in limits {
            assert_eq!(properties.get(*property).map(String::as_str), Some(*value), "{property}");
            let shown = ground.script(&format!("cat {place}/{file}")).ok().stdout;
            assert_eq!(shown.trim_end(), *text, "{file}");
        }
    };

    drop(ground.script(&format!("{CREATE}; dhow start c1")).ok());

    assert_set(&limits);
    let properties = ground.properties("dhow-c1.scope");
    assert_eq!(properties["DevicePolicy"], "strict");
    for rule in ["/dev/char/1:11 r", "char-misc rw", "/dev/char/1:3 rwm", "char-pts rwm"] {
        assert!(properties["DeviceAllow"].contains(rule), "{rule}: {properties:?}");
    }
    // Setting the unit again, as systemd does when it is told to read its files, changes nothing.
    drop(ground.script("systemctl daemon-reload").ok());
    assert_set(&limits);
    let words = format!(
        "--cpuset-cpus {last} --memory-reservation 16777216 --cpu-share 1024 \
         --blkio-weight 1000 --cpu-quota 50000 --cpu-period 50000"
    );
    drop(ground.script(&format!("dhow update {words} c1")).ok());
    assert_set(&[
        ("AllowedCPUs", &last, "cpuset.cpus", &last),
        ("MemoryLow", "16777216", "memory.low", "16777216"),
        ("MemoryMax", "67108864", "memory.max", "67108864"),
        ("CPUWeight", "100", "cpu.weight", "100"),
        ("CPUQuotaPerSecUSec", "1s", "cpu.max", "50000 50000"),
        ("IOWeight", "10000", "io.weight", "default 10000"),
    ]);
    drop(ground.script("dhow delete --force c1").ok());
    assert!(ground.is_gone("dhow-c1.scope"));
}

/// Makes the ordinary user, once for all tests on one systemd.
const USER: &str = "id -u user >/dev/null 2>&1 || useradd -u 1000 -m user || exit 1";
/// What a login of theirs is.
const AS_USER: &str = "setpriv --reuid 1000 --regid 1000 --clear-groups \
    env XDG_RUNTIME_DIR=/run/user/1000 HOME=/home/user PATH=$PATH";
/// What systemd hands over to them.
const OF_USER: &str = "/sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service";

/// A user namespace with the one user, and nothing that takes rights over the machine.
fn of_ordinary_user(spec: &mut Value) {
    let linux = &mut spec["linux"];
    linux["namespaces"] =
        ["pid", "ipc", "uts", "mount", "user"].map(|kind| json!({ "type": kind })).into();
    linux["uidMappings"] = json!([{ "containerID": 0, "hostID": 1000, "size": 1 }]);
    linux["gidMappings"] = linux["uidMappings"].clone();
    linux["resources"] = json!({});
    // Where a part of /proc is covered, as it is here, no other one may be mounted.
    let options = ["rbind"];
    spec["mounts"] = json!([
        { "destination": "/proc", "type": "bind", "source": "/proc", "options": options },
        { "destination": "/dev", "type": "tmpfs", "source": "tmpfs" }
    ]);
}

#[test]
fn an_ordinary_user_asks_their_own_systemd() {
    let ground = ground!(Cgroups::Unified);
    ground.configure(|spec| {
        of_ordinary_user(spec);
        spec["linux"]["cgroupsPath"] = json!(":dhow:u1");
    });
    let user = format!("{AS_USER} ../dhow runtime --root /run/user/1000/records");
    let place = format!("{OF_USER}/user.slice/dhow-u1.scope");
    drop(ground.script(&format!("{USER}; systemctl start user@1000.service")).ok());

    let created =
        format!("{user} --systemd-cgroup create u1 </dev/null >/tmp/log 2>&1 || cat /tmp/log >&2");
    let created = ground.script(&format!("{created}; {user} start u1")).ok();
    let processes = ground.script(&format!("cat {place}/cgroup.procs"));

    assert_eq!(created.stderr, "");
    assert_eq!(processes.ok().stdout.lines().count(), 1);
    drop(ground.script(&format!("{user} delete --force u1")).ok());
    let gone = need::eventually(SOON, || {
        (ground.script(&format!("ls -d {place}")).code != 0).then_some(())
    });
    assert!(gone.is_some());
}

#[test]
fn an_ordinary_users_limits_are_set_by_their_own_systemd() {
    let ground = ground!(Cgroups::Unified);
    drop(ground.script(&format!("{USER}; systemctl start user@1000.service")).ok());
    let controllers = ground.script(&format!("cat {OF_USER}/cgroup.controllers")).stdout;
    needs!(
        ["cpu", "memory", "pids"].iter().all(|name| controllers.contains(name)),
        "the controllers cpu, memory and pids, handed over to a user"
    );
    ground.configure(|spec| {
        of_ordinary_user(spec);
        spec["linux"]["cgroupsPath"] = json!("boxes.slice:dhow:u3");
        spec["linux"]["resources"] = json!({
            "memory": { "limit": 67_108_864 },
            "cpu": { "quota": 50_000, "period": 100_000 },
            "pids": { "limit": 55 },
        });
    });
    let user = format!("{AS_USER} ../dhow runtime --root /run/user/1000/records");
    let place = format!("{OF_USER}/boxes.slice/dhow-u3.scope");
    let files =
        || ground.script(&format!("cd {place} && cat memory.max cpu.max pids.max")).ok().stdout;
    let created =
        format!("{user} --systemd-cgroup create u3 </dev/null >/tmp/log 2>&1 || cat /tmp/log >&2");

    let created = ground.script(&format!("{created}; {user} start u3")).ok();

    assert_eq!(created.stderr, "");
    assert_eq!(files(), "67108864\n50000 100000\n55\n");
    let shown = ground.script(&format!("{AS_USER} systemctl --user show dhow-u3.scope")).ok();
    for property in
        ["MemoryMax=67108864", "CPUQuotaPerSecUSec=500ms", "TasksMax=55", "Delegate=yes"]
    {
        assert!(shown.stdout.lines().any(|line| line == property), "{property}: {shown}");
    }
    drop(ground.script(&format!("{user} update --memory 33554432 --pids-limit 44 u3")).ok());
    assert_eq!(files(), "33554432\n50000 100000\n44\n");
    drop(ground.script(&format!("{AS_USER} systemctl --user daemon-reload")).ok());
    assert_eq!(files(), "33554432\n50000 100000\n44\n");
    let inside = ground.script(&format!("{user} exec u3 cat /proc/self/cgroup </dev/null")).ok();
    assert!(inside.stdout.contains("boxes.slice/dhow-u3.scope"), "{inside}");
    drop(ground.script(&format!("{user} pause u3 && {user} resume u3")).ok());
    drop(ground.script(&format!("{user} delete --force u3")).ok());
    let gone = need::eventually(SOON, || {
        (ground.script(&format!("ls -d {place}")).code != 0).then_some(())
    });
    assert!(gone.is_some());
}

#[test]
fn an_ordinary_user_uses_the_cgroup_that_was_handed_over() {
    let ground = ground!(Cgroups::Unified);
    ground.configure(|spec| {
        of_ordinary_user(spec);
        spec["linux"].as_object_mut().unwrap().remove("cgroupsPath");
    });
    let directory = ground.path("bundle").display().to_string();
    let dhow = "../dhow runtime --root /tmp/records";
    let script = format!(
        "cd {directory}; {dhow} create u2 </dev/null >/tmp/log-u2 2>&1 || cat /tmp/log-u2; \
         {dhow} start u2; cat /sys/fs/cgroup/system.slice/lent.service/dhow/u2/cgroup.procs | wc -l; \
         {dhow} exec u2 echo in </dev/null; \
         cd /; $OLDPWD/{dhow} delete --force u2; \
         ls -d /sys/fs/cgroup/system.slice/lent.service/dhow/u2 2>&1 | grep -c 'No such'"
    );
    let lent = "systemd-run --quiet --unit=lent --uid=1000 --property=Delegate=yes --wait --pipe";

    drop(ground.script(USER).ok());
    let said = ground.script(&format!("{lent} sh -c '{}'", script.replace('\'', "\"")));

    assert_eq!(said.stdout, "1\nin\n1\n", "{said:?}");
}
