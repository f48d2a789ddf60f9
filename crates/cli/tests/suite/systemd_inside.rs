//! A real systemd as the first process of a container: `--systemd`.

use crate::fixture::{SOON, with_box};
use dhow_testkit::{Dhow, need, needs_root, needs_tool, rootfs};
use std::time::Instant;

/// Memory that it finds.
const IN_MEMORY: [&str; 4] = ["/run", "/run/lock", "/tmp", "/var/log/journal"];

#[test]
fn a_systemd_boots_keeps_services_and_halts_when_it_is_stopped() {
    needs_root!();
    needs_tool!("mmdebstrap");
    let dhow = Dhow::new();
    let machine = rootfs::systemd().unwrap();
    let root = format!("{}:O", machine.path().display());
    let words = ["--network=none", "--name=host", "--rootfs", &root, "/sbin/init"];
    drop(dhow.run(&[&["run", "-qd"], &words[..], &["--unit=basic.target"]].concat()).ok());

    let boots = need::eventually(SOON * 4, || {
        let asked = dhow.run(&["exec", "host", "systemctl", "is-active", "basic.target"]);
        (asked.stdout == "active\n").then_some(())
    });
    assert!(boots.is_some(), "{}", dhow.run(&["exec", "host", "systemctl", "--no-pager"]).stdout);
    let script = "systemd-run -q --unit=work sleep 1000 && systemctl is-active work && \
                  cat /proc/$(systemctl show -P MainPID work)/cgroup && systemd-detect-virt -c; \
                  cat /etc/machine-id; stat -fc %T /run /run/lock /tmp /var/log/journal";
    let told = dhow.run(&["exec", "host", "sh", "-c", script]).ok().stdout;
    assert!(told.starts_with("active\n") && told.contains("/system.slice/work.service"), "{told}");
    let id = dhow.run(&["inspect", "--format", "{{.Id}}", "host"]).ok().stdout;
    assert!(told.contains(&id[..32]), "{told} {id}");
    assert_eq!(told.matches("tmpfs\n").count(), IN_MEMORY.len(), "{told}");

    let begun = Instant::now();
    drop(dhow.run(&["stop", "-t", "100", "host"]).ok());
    assert!(begun.elapsed().as_secs() < 90, "it was killed");
    drop(dhow.run(&["rm", "host"]).ok());
    dhow.assert_clean();
}

/// What a program sees of memory and of its group, where it is taken for a systemd or not.
#[test]
fn a_container_is_prepared_where_its_program_is_a_systemd_or_where_that_is_said() {
    needs_root!();
    let dhow = with_box();
    let script = "grep -c ' /run tmpfs ' /proc/mounts; echo ${container:-none}";
    let sees = |words: &[&str]| {
        let run = ["run", "--rm", "-q", "--network=none"];
        dhow.run(&[&run, words, &["box", "sh", "-c", script]].concat()).stdout
    };
    let unprepared = "0\nnone\n";
    assert_eq!(sees(&[]), unprepared);
    assert_eq!(sees(&["--systemd=false"]), unprepared);
    assert_eq!(sees(&["--systemd", "always"]), "1\noci\n");
    let sized =
        ["run", "--rm", "-q", "--network=none", "--systemd=always", "--shm-size-systemd=1m"];
    let size = dhow.run(&[&sized[..], &["box", "df", "-k", "/run"]].concat()).ok().stdout;
    assert!(size.contains(" 1024 "), "{size}");
    drop(dhow.run(&["run", "--systemd=often", "box"]).exits(125).says("--systemd"));

    let signal = |name: &str, words: &[&str]| {
        let create = ["create", "-q", "--network=none", "--name", name];
        let create = [&create[..], words, &["box", "/sbin/init"]].concat();
        drop(dhow.run(&create).ok());
        let format = "{{.Config.StopSignal}} {{.Config.SystemdMode}}";
        let told = dhow.run_as("podman", &["inspect", "--format", format, name]).ok().stdout;
        drop(dhow.run(&["rm", name]).ok());
        told
    };
    assert_eq!(signal("one", &[]), "SIGRTMIN+3 true\n");
    assert_eq!(signal("two", &["--stop-signal=TERM"]), "SIGTERM true\n");
    assert_eq!(signal("three", &["--systemd=false"]), "SIGTERM false\n");
    dhow.assert_clean();
}
