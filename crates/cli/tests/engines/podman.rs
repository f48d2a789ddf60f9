//! dhow under podman and its conmon, with storage of its own.

use crate::{
    engine::{BOX, Engine, PRIVILEGED, archive},
    steps::{Difference, Steps},
    subject::Subject,
    world::World,
};
use dhow_testkit::{need, needs_root, needs_tool};
use std::fs;

/// What would otherwise be read from the machine, or be asked of its systemd.
const CONFIGURATION: &str = r#"
[containers]
# The machine may allow less than podman asks for by itself.
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
log_driver = "k8s-file"
init_path = "INIT"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "subject"
runtime_supports_json = ["subject"]
runtime_supports_nocgroup = ["subject"]
[engine.runtimes]
subject = ["RUNTIME"]
"#;

/// What runc 1.1 does not manage.
const DIFFERENCES: [Difference; 3] = [
    ("runc", NO_GROUP, "it has no option for that"),
    ("dhow-runtime", "update changes them", "update is not there yet"),
    ("dhow-runtime", NO_GROUP, "it has no option for that yet"),
];

/// A step's name.
const NO_GROUP: &str = "a container without a group of its own";

#[test]
fn podman_runs_its_containers_with_dhow() {
    needs_root!();
    needs_tool!("podman", "conmon", "docker-init", "unshare", "nsenter", "ip", "busybox");
    let world = World::new();
    let subject = Subject::choose(world.shared());
    let configuration = world.shared().join("containers.conf");
    let init = need::tool("docker-init").unwrap().display().to_string();
    let text = CONFIGURATION.replace("RUNTIME", &subject.shown()).replace("INIT", &init);
    fs::write(&configuration, text).unwrap();
    let variable = format!("CONTAINERS_CONF={}", configuration.display());
    let lib = world.lib().display().to_string();
    let podman = Engine::new(
        &world,
        &[
            "env",
            &variable,
            "podman",
            "--root",
            &lib,
            "--runroot",
            "/run/containers",
            "--tmpdir",
            "/run/libpod",
            "--storage-driver",
            "overlay",
        ],
        &["rm", "-f", "-t", "0"],
    );
    drop(podman.run(&["load", "-q", "-i", &archive(&world, BOX, &["sh"])]).ok());
    let mut steps = Steps::new(&subject, &DIFFERENCES);

    podman.shared_steps(&mut steps);
    own_steps(&podman, &mut steps);
    steps.step("nothing stays", || {
        // Podman removes the group of a pod where there is a controller, and nowhere else.
        podman.assert_clean(|line| line.contains("/systemd/") && !line.contains("/libpod-"));
    });

    steps.end();
}

fn own_steps(podman: &Engine<'_>, steps: &mut Steps) {
    steps.step("exec of what is missing or no program has the codes of run", || {
        podman.start("codes", &[BOX, "sleep", "1000"]);
        drop(podman.run(&["exec", "codes", "nothere"]).exits(127));
        drop(podman.run(&["exec", "codes", "/etc"]).exits(126));
        drop(podman.run(&["exec", "-w", "/nothere", "codes", "true"]).exits(127));
        podman.remove(&["codes"]);
    });
    steps.step("a health check is made when asked for", || {
        podman.start("health", &["--health-cmd", "test -e /tmp/ok", BOX, "sleep", "1000"]);
        drop(podman.run(&["healthcheck", "run", "health"]).exits(1));
        drop(podman.run(&["exec", "health", "touch", "/tmp/ok"]).ok());
        drop(podman.run(&["healthcheck", "run", "health"]).ok());
        podman.remove(&["health"]);
    });
    steps.step("a user namespace maps the container's root", || {
        let map = ["--uidmap", "0:100000:65536", "--gidmap", "0:100000:65536", BOX];
        let script = "id -u; cat /proc/self/uid_map; touch /root/x && stat -c %u /root/x";
        let said = podman.prints(&[&map[..], &["sh", "-c", script]].concat());
        let words: Vec<&str> = said.split_whitespace().collect();
        assert_eq!(words, ["0", "0", "100000", "65536", "0"]);
        let directory = podman.world.shared().join("mapped");
        fs::create_dir(&directory).unwrap();
        let volume = format!("{}:/v", directory.display());
        let chown = [&["-v", &volume], &map[..], &["touch", "/v/x"]].concat();
        assert_ne!(podman.once(&chown).code, 0, "the host's root is not the container's");
    });
    steps.step("a pod shares namespaces", || {
        let infra = ["--infra-image", BOX, "--infra-command", "sleep 1000"];
        let create = [&["pod", "create", "--name", "pod", "--network", "none"], &infra[..]];
        drop(podman.run(&create.concat()).ok());
        for name in ["first", "second"] {
            let run = ["run", "-d", "--pod", "pod", "--name", name, BOX, "sleep", "1000"];
            drop(podman.run(&run).ok());
        }
        for kind in ["net", "ipc", "uts"] {
            let link = format!("/proc/self/ns/{kind}");
            let read = |name: &str| podman.run(&["exec", name, "readlink", &link]).ok().stdout;
            assert_eq!(read("first"), read("second"), "{kind}");
        }
        let read = |name: &str| podman.run(&["exec", name, "readlink", "/proc/self/ns/pid"]);
        assert_ne!(read("first").ok().stdout, read("second").ok().stdout);
        drop(podman.run(&["pod", "pause", "pod"]).ok());
        drop(podman.run(&["pod", "unpause", "pod"]).ok());
        drop(podman.run(&["pod", "stop", "-t", "0", "pod"]).ok());
        drop(podman.run(&["pod", "rm", "-f", "pod"]).ok());
    });
    steps.step(PRIVILEGED, || {
        let script = "test -e /dev/loop-control && grep CapEff /proc/self/status && \
                          mount -t tmpfs none /tmp && grep Seccomp: /proc/self/status";
        let said = podman.prints(&["--privileged", BOX, "sh", "-c", script]);
        assert!(said.ends_with("ffffff\nSeccomp:\t0\n"), "{said}");
    });
    steps.step(NO_GROUP, || {
        assert_eq!(podman.prints(&["--cgroups", "disabled", BOX, "echo", "hi"]), "hi\n");
    });
    steps.step("a umask is set", || {
        assert_eq!(podman.prints(&["--umask", "0077", BOX, "sh", "-c", "umask"]), "0077\n");
    });
    steps.step("ps knows the state", || {
        podman.start("listed", &[BOX, "sleep", "1000"]);
        let running = ["ps", "--filter", "status=running", "--format", "{{.Names}}"];
        assert_eq!(podman.run(&running).ok().stdout, "listed\n");
        podman.remove(&["listed"]);
    });
}
