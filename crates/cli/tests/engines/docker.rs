//! dhow under Docker's daemon, which is a private one with its own containerd.

use crate::{
    engine::{BOX, Engine, MISSING, PRIVILEGED, REFUSED, archive},
    steps::{Difference, Steps},
    subject::Subject,
    world::World,
};
use dhow_testkit::{needs_root, needs_tool};

const SOCKET: &str = "unix:///run/docker.sock";

/// What runc 1.1 and crun 1.8 do not manage.
const DIFFERENCES: [Difference; 4] = [
    ("runc", PRIVILEGED, "it refuses capabilities that root itself does not have"),
    ("crun", PRIVILEGED, "it refuses capabilities that root itself does not have"),
    ("crun", MISSING, "the daemon knows runc's words for a program that is missing"),
    ("crun", REFUSED, "the daemon knows runc's words for a program that is refused"),
];

#[test]
fn docker_runs_its_containers_with_dhow() {
    needs_root!();
    needs_tool!("dockerd", "docker", "containerd", "unshare", "nsenter", "ip", "busybox");
    let world = World::new();
    let subject = Subject::choose(world.shared());
    let runtime = format!("subject={}", subject.shown());
    let lib = world.lib().display().to_string();
    let mut daemon = world.daemon(&[
        "dockerd",
        "--host",
        SOCKET,
        "--data-root",
        &lib,
        "--exec-root",
        "/run/docker",
        "--pidfile",
        "/run/docker.pid",
        "--add-runtime",
        &runtime,
        "--default-runtime",
        "subject",
        "--bridge=none",
        "--iptables=false",
        "--ip6tables=false",
        "--ip-masq=false",
        // The machine may allow fewer open files than the daemon would ask for.
        "--default-ulimit",
        "nofile=1024:1024",
    ]);
    let docker = Engine::new(&world, &["docker", "--host", SOCKET], &["rm", "-f"]);
    daemon.wait_until(|| docker.run(&["version"]).code == 0);
    drop(docker.run(&["load", "-q", "-i", &archive(&world, BOX, &["sh"])]).ok());
    let mut steps = Steps::new(&subject, &DIFFERENCES);

    docker.shared_steps(&mut steps);
    own_steps(&docker, &mut steps);
    steps.step("nothing stays", || {
        docker.assert_clean(|line| {
            line.contains("dockerd --host") || line.contains("containerd --config")
        });
    });

    steps.end();
}

fn own_steps(docker: &Engine<'_>, steps: &mut Steps) {
    steps.step("the daemon knows its runtime's version", || {
        let said = docker.run(&["info"]).ok();
        assert!(!said.stdout.contains("runc version: N/A"), "{said}");
    });
    steps.step("a working directory that is missing is made", || {
        assert_eq!(docker.prints(&["-w", "/a/b", BOX, "pwd"]), "/a/b\n");
    });
    steps.step("too much memory is seen as that", || {
        let eat = ["-m", "16m", "--memory-swap", "16m", BOX, "sh", "-c", "tail /dev/zero"];
        docker.start("oom", &eat);
        docker.wait_for("oom", ".State.OOMKilled", "true");
        docker.remove(&["oom"]);
    });
    steps.step("a health check is made again and again", || {
        let check = ["--health-cmd", "test -e /tmp/ok", "--health-interval", "1s"];
        let more = ["--health-retries", "1", BOX, "sleep", "1000"];
        docker.start("health", &[&check[..], &more[..]].concat());
        docker.wait_for("health", ".State.Health.Status", "unhealthy");
        drop(docker.run(&["exec", "health", "touch", "/tmp/ok"]).ok());
        docker.wait_for("health", ".State.Health.Status", "healthy");
        docker.remove(&["health"]);
    });
    steps.step(PRIVILEGED, || {
        let script = "test -e /dev/loop-control && grep CapEff /proc/self/status && \
                          mount -t tmpfs none /tmp && grep Seccomp: /proc/self/status";
        let said = docker.prints(&["--privileged", BOX, "sh", "-c", script]);
        assert!(said.ends_with("ffffff\nSeccomp:\t0\n"), "{said}");
    });
    steps.step("attach gives input and ends with the container", || {
        docker.start("attach", &["-i", BOX, "sh", "-c", "read line; echo got $line; exit 8"]);
        drop(docker.run_with_input(&["attach", "attach"], b"it\n").exits(8));
        docker.wait_for_log("attach", "got it");
        docker.remove(&["attach"]);
    });
}
