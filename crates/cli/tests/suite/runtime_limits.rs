//! The OCI runtime's `update` and `events`.

use crate::{bundle::Bundle, fixture::SOON};
use dhow_testkit::{need, needs, needs_root, outcome};
use serde_json::{Value, json};
use std::{
    fs,
    io::{BufRead, BufReader},
    path::PathBuf,
    process::Stdio,
};

/// A file of the container's cgroup, of version 1.
fn file(bundle: &Bundle, controller: &str, name: &str) -> PathBuf {
    PathBuf::from("/sys/fs/cgroup").join(controller).join("dhow").join(&bundle.id).join(name)
}

fn limit(bundle: &Bundle, controller: &str, name: &str) -> String {
    fs::read_to_string(file(bundle, controller, name)).unwrap().trim().to_owned()
}

fn sleeper() -> Bundle {
    let bundle = Bundle::new(&["sleep", "100"]);
    bundle.start();
    bundle
}

fn has_legacy() -> bool {
    fs::exists("/sys/fs/cgroup/memory/memory.limit_in_bytes").unwrap_or(false)
}

#[test]
fn limits_change_by_flags() {
    needs_root!();
    needs!(has_legacy(), "version 1's controllers");
    let bundle = sleeper();
    needs!(bundle.is_ours(), "our own runtime");
    let update =
        |words: &[&str]| drop(bundle.run(&[&["update"], words, &[&bundle.id]].concat()).ok());

    update(&["--memory", "64m", "--memory-swap=-1", "--memory-reservation", "32m"]);
    update(&["--cpu-period", "50000", "--cpu-quota", "25000", "--cpu-share", "512"]);
    update(&["-pids-limit", "20", "--cpuset-cpus=0"]);

    assert_eq!(limit(&bundle, "memory", "memory.limit_in_bytes"), (64 << 20).to_string());
    assert_eq!(limit(&bundle, "memory", "memory.soft_limit_in_bytes"), (32 << 20).to_string());
    assert_eq!(limit(&bundle, "cpu", "cpu.cfs_period_us"), "50000");
    assert_eq!(limit(&bundle, "cpu", "cpu.cfs_quota_us"), "25000");
    assert_eq!(limit(&bundle, "cpu", "cpu.shares"), "512");
    assert_eq!(limit(&bundle, "pids", "pids.max"), "20");
    assert_eq!(limit(&bundle, "cpuset", "cpuset.cpus"), "0");
    update(&["--memory=-1", "--pids-limit=-1", "--cpu-quota=-1"]);
    assert_eq!(limit(&bundle, "pids", "pids.max"), "max");
    assert_eq!(limit(&bundle, "cpu", "cpu.cfs_quota_us"), "-1");
    for (flag, said) in [
        ("--memory=much", "memory"),
        ("--cpu-period=-1", "cpu-period"),
        ("--l3-cache-schema=x", "Intel RDT/CAT"),
        ("--mem-bw-schema=x", "Intel RDT/MBA"),
    ] {
        drop(bundle.run(&["update", flag, &bundle.id]).exits(1).says(said));
    }
}

/// Whoever joined it would stand still before the first step, and the command wait for ever.
#[test]
fn a_cgroup_that_stands_still_takes_no_container() {
    needs_root!();
    let bundle = Bundle::new(&["true"]);
    let name = format!("/dhow/{}", bundle.id);
    let (directory, file, stop, go) = if has_legacy() {
        ("/sys/fs/cgroup/freezer", "freezer.state", "FROZEN", "THAWED")
    } else {
        ("/sys/fs/cgroup", "cgroup.freeze", "1", "0")
    };
    let cgroup = PathBuf::from(format!("{directory}{name}"));
    needs!(fs::exists(directory).unwrap(), "cgroups that can be stopped");
    bundle.change(|config| config["linux"]["cgroupsPath"] = json!(name));
    fs::create_dir_all(&cgroup).unwrap();
    fs::write(cgroup.join(file), stop).unwrap();

    for command in ["run", "create"] {
        let outcome = bundle.run(&[command, &bundle.id]).exits(1);
        drop(outcome.says("container's cgroup unexpectedly frozen"));
        assert!(!bundle.records().join(&bundle.id).exists(), "{command}");
    }
    fs::write(cgroup.join(file), go).unwrap();

    drop(bundle.run(&["run", &bundle.id]).ok());
    assert!(!cgroup.exists());
}

/// What shrinks first is what the other has to fit into.
#[test]
fn a_realtime_period_and_its_runtime_change_together() {
    needs_root!();
    let bundle = Bundle::new(&["sleep", "100"]);
    let parent = format!("share-{}", bundle.id);
    let shared = PathBuf::from("/sys/fs/cgroup/cpu").join(&parent);
    needs!(fs::exists("/sys/fs/cgroup/cpu/cpu.rt_runtime_us").unwrap(), "real-time groups");
    fs::create_dir(&shared).unwrap();
    let has_share = fs::write(shared.join("cpu.rt_runtime_us"), "100000").is_ok();
    if has_share {
        bundle.change(|config| config["linux"]["cgroupsPath"] = json!(format!("/{parent}/one")));
        bundle.start();

        for (period, runtime) in [("900000", "60000"), ("10000", "500"), ("800000", "70000")] {
            let (period_flag, runtime_flag) =
                (format!("--cpu-rt-period={period}"), format!("--cpu-rt-runtime={runtime}"));
            drop(bundle.run(&["update", &period_flag, &runtime_flag, &bundle.id]).ok());

            let read = |file: &str| fs::read_to_string(shared.join("one").join(file)).unwrap();
            assert_eq!(read("cpu.rt_period_us").trim(), period);
            assert_eq!(read("cpu.rt_runtime_us").trim(), runtime);
        }
        drop(bundle.run(&["delete", "--force", &bundle.id]).ok());
    }
    for hierarchy in fs::read_dir("/sys/fs/cgroup").unwrap() {
        let _not_there = fs::remove_dir(hierarchy.unwrap().path().join(&parent));
    }
    needs!(has_share, "a part of the real-time work");
}

/// The record says what was set last, so that a later change, and whoever reads it, sees that.
#[test]
fn the_record_has_the_limits_that_were_changed() {
    needs_root!();
    needs!(has_legacy(), "version 1's controllers");
    let bundle = Bundle::new(&["sleep", "100"]);
    needs!(bundle.is_ours(), "our own runtime");
    bundle.change(|config| {
        config["linux"]["resources"]["memory"] = json!({"limit": 64 << 20, "swap": 96 << 20});
        config["linux"]["resources"]["cpu"] = json!({"quota": 20_000, "period": 50_000});
    });
    bundle.start();
    let recorded = || {
        let path = bundle.records().join(&bundle.id).join("state.json");
        let record: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        record["spec"]["linux"]["resources"].clone()
    };
    let before = recorded();

    drop(bundle.run(&["update", "--memory", "32m", "--cpu-quota", "30000", &bundle.id]).ok());

    let after = recorded();
    assert_eq!(after["memory"], json!({"limit": 32 << 20, "swap": 96 << 20}));
    assert_eq!(after["cpu"], json!({"quota": 30_000, "period": 50_000}));
    assert_eq!(after["devices"], before["devices"]);
    assert_eq!(bundle.status(), "running");
    // The second of these is refused by the kernel, so the first is taken back, and none recorded.
    let refused = ["update", "--cpu-quota", "40000", "--cpuset-cpus", "9999", &bundle.id];
    drop(bundle.run(&refused).exits(1).says("cpuset.cpus"));
    assert_eq!(recorded(), after);
    assert_eq!(limit(&bundle, "cpu", "cpu.cfs_quota_us"), "30000");
}

#[test]
fn limits_change_by_a_file_and_by_standard_input() {
    needs_root!();
    needs!(has_legacy(), "version 1's controllers");
    let bundle = sleeper();
    needs!(bundle.is_ours(), "our own runtime");
    let limits = json!({"pids": {"limit": 30}, "memory": {"limit": 80 << 20}});
    fs::write(bundle.path.join("limits.json"), limits.to_string()).unwrap();

    drop(bundle.run(&["update", "-r", "limits.json", &bundle.id]).ok());
    assert_eq!(limit(&bundle, "pids", "pids.max"), "30");
    let mut command = bundle.command(&["update", "--resources", "-", &bundle.id]);
    drop(outcome::run(&mut command, br#"{"pids":{"limit":40}}"#, outcome::LIMIT).unwrap().ok());

    assert_eq!(limit(&bundle, "pids", "pids.max"), "40");
    assert_eq!(limit(&bundle, "memory", "memory.limit_in_bytes"), (80 << 20).to_string());
    let mut command = bundle.command(&["update", "--resources", "-", &bundle.id]);
    drop(outcome::run(&mut command, b"{", outcome::LIMIT).unwrap().exits(1));
}

#[test]
fn statistics_have_the_names_that_engines_read() {
    needs_root!();
    let bundle = sleeper();

    let printed = bundle.run(&["events", "--stats", &bundle.id]).ok().stdout;

    let event: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!((&event["type"], &event["id"]), (&json!("stats"), &json!(bundle.id)));
    let data = &event["data"];
    assert!(data["cpu"]["usage"]["total"].as_u64().unwrap() > 0, "{data}");
    assert!(data["memory"]["usage"]["usage"].as_u64().unwrap() > 0, "{data}");
    assert!(data["memory"]["raw"].is_object(), "{data}");
    assert_eq!(data["pids"]["current"], 1);
    for name in ["cpuset", "blkio", "hugetlb", "intel_rdt"] {
        assert!(data[name].is_object(), "{name} in {data}");
    }
}

#[test]
fn statistics_come_again_and_again_until_the_end() {
    needs_root!();
    let bundle = sleeper();
    drop(bundle.run(&["events", "--interval", "0s", &bundle.id]).exits(1).says("greater than 0"));
    let mut command = bundle.command(&["events", "--interval", "50ms", &bundle.id]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for _ in 0..3 {
        let event: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        assert_eq!(event["type"], "stats");
    }

    drop(bundle.run(&["kill", &bundle.id, "KILL"]).ok());

    // A runtime of another kind notices the end when the cgroup goes.
    bundle.wait_for("stopped");
    drop(bundle.run(&["delete", &bundle.id]).ok());
    let ended = need::eventually(SOON, || child.try_wait().unwrap());
    assert!(ended.is_some_and(|status| status.success()), "{ended:?}");
}

#[test]
fn memory_that_runs_out_is_an_event() {
    needs_root!();
    needs!(has_legacy(), "version 1's memory controller");
    let hungry = "while ! [ -e /go ]; do sleep 0.05; done; tail /dev/zero; sleep 100";
    let bundle = Bundle::new(&["sh", "-c", hungry]);
    bundle.change(|config| {
        config["root"]["readonly"] = json!(false);
        config["linux"]["resources"]["memory"] = json!({"limit": 16 << 20, "swap": 16 << 20});
    });
    bundle.start();
    let mut command = bundle.command(&["events", "--interval", "1h", &bundle.id]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    // It watches once it has opened what tells.
    std::thread::sleep(std::time::Duration::from_secs(1));

    drop(bundle.run(&["exec", &bundle.id, "touch", "/go"]).ok());

    let event: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
    assert_eq!((&event["type"], &event["id"]), (&json!("oom"), &json!(bundle.id)));
    drop(bundle.run(&["kill", &bundle.id, "KILL"]).ok());
    bundle.wait_for("stopped");
    drop(bundle.run(&["delete", &bundle.id]).ok());
    assert!(need::eventually(SOON, || child.try_wait().unwrap()).is_some());
}
