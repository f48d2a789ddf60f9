//! What dhow gives to a real systemd: units of containers, services of quadlet files, the unit of a
//! boot, and lines for its journal.

use dhow_testkit::{
    Outcome, need, needs_root, needs_tool, rootfs,
    systemd::{Cgroups, Systemd},
};
use std::{fs, os::unix::fs::PermissionsExt, process::Command, time::Duration};
use tempfile::TempDir;

const SOON: Duration = Duration::from_secs(60);

/// A systemd that sees a dhow with an image.
struct Machine {
    // First, so that it ends before what it uses.
    systemd: Systemd,
    shared: TempDir,
}

impl Machine {
    fn boot() -> Self {
        let shared =
            tempfile::Builder::new().prefix("dhow-systemd").tempdir_in("/var/tmp").unwrap();
        fs::set_permissions(shared.path(), fs::Permissions::from_mode(0o755)).unwrap();
        fs::copy(dhow_testkit::dhow::program(), shared.path().join("dhow")).unwrap();
        let root = rootfs::busybox().unwrap();
        let mut tar = Command::new("tar");
        tar.arg("-C").arg(root.path()).arg("-cf").arg(shared.path().join("box.tar")).arg(".");
        assert!(tar.status().unwrap().success());
        let systemd = Systemd::boot(Cgroups::AsMachine, shared.path()).unwrap();
        let machine = Self { systemd, shared };
        drop(machine.script("dhow import box.tar box").ok());
        machine
    }

    /// A script inside, with `dhow` for ours and `$dhow` for its whole command line.
    fn script(&self, script: &str) -> Outcome {
        let at = self.shared.path().display();
        let script = format!(
            "set -e; cd {at}; dhow='{at}/dhow --root {at}/root --runroot /run/dhow-test'; \
             dhow() {{ $dhow \"$@\"; }}; {script}"
        );
        self.systemd.run(&["sh", "-c", &script]).unwrap()
    }

    fn says(&self, script: &str, text: &str) {
        let said =
            need::eventually(SOON, || (self.script(script).stdout.trim() == text).then_some(()));
        assert!(said.is_some(), "{script}: {:?} and not {text}", self.script(script));
    }

    fn is(&self, container: &str, state: &str) {
        self.says(&format!("dhow inspect --format '{{{{.State.Status}}}}' {container}"), state);
    }
}

#[test]
fn a_real_systemd_keeps_what_it_is_given() {
    needs_root!();
    needs_tool!("busybox");
    needs_tool!("tar");
    if let Some(obstacle) = Systemd::obstacle() {
        need::skip(obstacle);
        return;
    }
    let machine = Machine::boot();

    a_unit_ends_and_begins_with_its_container(&machine);
    a_generator_makes_services_of_quadlet_files(&machine);
    the_unit_of_a_boot_starts_what_should_run(&machine);
    the_journal_gets_what_a_container_prints(&machine);

    drop(machine.script("dhow rm -fa; dhow rmi -fa").ok());
    assert_eq!(machine.script("dhow doctor").ok().stdout, "all is well\n");
}

fn a_unit_ends_and_begins_with_its_container(machine: &Machine) {
    drop(machine.script(
        "dhow create -q --network none --name web box sh -c \
           'trap \"exit 0\" TERM; while :; do sleep 0.1; done'; \
         dhow generate systemd --name --restart-policy always web >/run/systemd/system/web.service; \
         systemctl daemon-reload; systemctl start web",
    ).ok());
    machine.is("web", "running");
    let pid = machine.script("dhow inspect --format '{{.State.Pid}}' web").ok().stdout;

    drop(machine.script("dhow kill web").ok());

    machine.says(
        &format!(
            "test \"$(dhow inspect --format '{{{{.State.Pid}}}}' web)\" -gt 0 -a \
                  \"$(dhow inspect --format '{{{{.State.Pid}}}}' web)\" -ne {} && echo another",
            pid.trim()
        ),
        "another",
    );
    machine.says("systemctl is-active web", "active");
    drop(machine.script("systemctl stop web").ok());
    machine.is("web", "exited");
    assert_eq!(machine.script("dhow inspect --format '{{.State.ExitCode}}' web").stdout, "0\n");
    assert_ne!(machine.script("systemctl is-active web").stdout, "active\n");
}

fn a_generator_makes_services_of_quadlet_files(machine: &Machine) {
    drop(machine.script(
        "mkdir -p /etc/containers/systemd /etc/systemd/system-generators; \
         generator=/etc/systemd/system-generators/dhow-test; \
         printf '#!/bin/sh\\nexec %s system quadlet \"$1\"\\n' \"$dhow\" >$generator; \
         chmod 755 $generator; \
         printf '[Volume]\\n' >/etc/containers/systemd/data.volume; \
         printf '[Container]\\nImage=box\\nNetwork=none\\nExec=sleep 1000\\nVolume=data.volume:/data\\n' \
           >/etc/containers/systemd/kept.container; \
         systemctl daemon-reload; systemctl start kept",
    ).ok());

    machine.is("systemd-kept", "running");
    assert_eq!(machine.script("dhow volume ls -q").ok().stdout, "systemd-data\n");
    machine.says("systemctl is-active kept", "active");
    drop(machine.script("systemctl stop kept").ok());
    machine.says("dhow ps -aq --filter name=systemd-kept | wc -l", "0");
    drop(
        machine
            .script(
                "rm /etc/containers/systemd/kept.container /etc/containers/systemd/data.volume \
           /etc/systemd/system-generators/dhow-test; systemctl daemon-reload; \
         dhow volume rm systemd-data",
            )
            .ok(),
    );
}

fn the_unit_of_a_boot_starts_what_should_run(machine: &Machine) {
    drop(
        machine
            .script(
                "for policy in always unless-stopped; do \
                   dhow run -q -d --network none --restart $policy --name $policy box sleep 1000; \
                 done; dhow stop -t 0 always unless-stopped; \
                 dhow generate systemd >/run/systemd/system/dhow-boot.service",
            )
            .ok(),
    );

    // The boot is played: the kernel's name for it is another one from here on.
    drop(
        machine
            .script(
                "echo 11111111-2222-3333-4444-555555555555 >boot_id; \
                 mount --bind boot_id /proc/sys/kernel/random/boot_id; \
                 systemctl daemon-reload; systemctl start dhow-boot",
            )
            .ok(),
    );

    // The unit's own process has ended, and the monitors that it began have not.
    machine.says("systemctl is-active dhow-boot", "active");
    machine.is("always", "running");
    machine.is("unless-stopped", "exited");
    assert_eq!(machine.script("dhow exec always echo here").ok().stdout, "here\n");
    drop(machine.script("systemctl stop dhow-boot").ok());
    machine.is("always", "running");
    drop(machine.script("dhow rm -f always; umount /proc/sys/kernel/random/boot_id").ok());
}

fn the_journal_gets_what_a_container_prints(machine: &Machine) {
    drop(
        machine
            .script(
                "systemctl start systemd-journald; \
         dhow run -q --network none --log-driver journald --name told box \
           sh -c 'echo to the journal; echo of troubles >&2'",
            )
            .ok(),
    );

    machine.says(
        "journalctl -q -o cat CONTAINER_NAME=told | sort | tr '\\n' ,",
        "of troubles,to the journal,",
    );
    let logs = machine.script("dhow logs told").ok();
    assert_eq!((&*logs.stdout, &*logs.stderr), ("to the journal\n", "of troubles\n"));
}
