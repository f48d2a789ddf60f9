//! dhow under Docker's daemon, which is a private one with its own containerd.

use crate::{
    engine::{BOX, Engine, MISSING, PRIVILEGED, REFUSED, archive},
    steps::{Difference, Steps},
    subject::Subject,
    world::{Daemon, World},
};
use dhow_testkit::{need, needs_root, needs_tool};
use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
};

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
    let (_daemon, docker) = start(&world, &subject, &[]);
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

/// Starts the daemon, with the subject as its runtime and the image loaded.
fn start<'a>(world: &'a World, subject: &Subject, more: &[&str]) -> (Daemon, Engine<'a>) {
    let (daemon, docker) = serve(world, subject, more, "docker");
    drop(docker.run(&["load", "-q", "-i", &archive(world, BOX, &["sh"])]).ok());
    (daemon, docker)
}

/// The client of the distribution if there is one, since it is the daemon's.
fn client() -> String {
    let beside = need::tool("dockerd").map(|daemon| daemon.with_file_name("../bin/docker"));
    let client = beside.filter(|client| client.is_file()).or_else(|| need::tool("docker"));
    client.unwrap().display().to_string()
}

/// Starts the daemon, for what is docker's own and not the runtime's: with the daemon's own client.
pub(crate) fn start_empty<'a>(world: &'a World, subject: &Subject) -> (Daemon, Engine<'a>) {
    serve(world, subject, &[], &client())
}

/// Starts the daemon, with the subject as its runtime.
fn serve<'a>(
    world: &'a World,
    subject: &Subject,
    more: &[&str],
    client: &str,
) -> (Daemon, Engine<'a>) {
    let runtime = format!("subject={}", subject.shown());
    let lib = world.lib().display().to_string();
    let words = [
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
    ];
    let mut daemon = world.daemon(&[&words, more].concat());
    let docker = Engine::new(world, &[client, "--host", SOCKET], &["rm", "-f"]);
    daemon.wait_until(|| docker.run(&["version"]).code == 0);
    (daemon, docker)
}

/// Makes a user with ids to map, in the `/etc` of the world alone.
const MAKE_USER: &str = r#"
set -e
for file in passwd group subuid subgid; do cp /etc/$file /run/$file; done
echo mapped:x:5000:5000::/:/bin/false >>/run/passwd
echo mapped:x:5000: >>/run/group
for file in subuid subgid; do echo mapped:200000:65536 >/run/$file; done
for file in passwd group subuid subgid; do mount --bind /run/$file /etc/$file; done
"#;

#[test]
fn docker_maps_the_ids_of_its_containers_with_dhow() {
    needs_root!();
    needs_tool!("dockerd", "docker", "containerd", "unshare", "nsenter", "ip", "busybox");
    let world = World::new();
    let subject = Subject::choose(world.shared());
    drop(world.run(&["sh", "-c", MAKE_USER]).ok());
    // The container's root goes through it as an ordinary user.
    let passable = fs::Permissions::from_mode(0o711);
    fs::set_permissions(world.shared(), passable).unwrap();
    let (_daemon, docker) = start(&world, &subject, &["--userns-remap", "mapped"]);
    let mut steps = Steps::new(&subject, &[]);

    steps.step("the container's root is an ordinary user outside", || {
        let script = "id -u; cat /proc/self/uid_map /proc/self/gid_map";
        let said = docker.prints(&[BOX, "sh", "-c", script]);
        let words: Vec<&str> = said.split_whitespace().collect();
        assert_eq!(words, ["0", "0", "200000", "65536", "0", "200000", "65536"]);
        docker.start("mapped", &[BOX, "sleep", "1000"]);
        let pid = docker.inspect("mapped", ".State.Pid");
        let owner = world.run(&["stat", "-c", "%u", &format!("/proc/{pid}")]).ok();
        assert_eq!(owner.stdout, "200000\n");
    });
    steps.step("one more process is mapped like the first", || {
        let said = docker.run(&["exec", "mapped", "sh", "-c", "id -u; cat /proc/self/uid_map"]);
        assert!(said.ok().stdout.starts_with("0\n"));
        let said = docker.run(&["exec", "-u", "1000", "mapped", "sh", "-c", "id -u"]).ok();
        assert_eq!(said.stdout, "1000\n");
        let mut terminal = docker.terminal(&["exec", "-it", "mapped", "sh", "-c", "tty"]);
        terminal.expect("/dev/pts/0");
        assert_eq!(terminal.end(), 0);
    });
    steps.step("what it writes into a volume is its user's", || {
        let directory = docker.shared("volume");
        chown(&directory, Some(200_000), Some(200_000)).unwrap();
        let volume = format!("{}:/v", directory.display());
        let script = "touch /v/x && chown 7:7 /v/x && echo x >/dev/null";
        docker.prints(&["-v", &volume, BOX, "sh", "-c", script]);
        assert_eq!(fs::metadata(directory.join("x")).unwrap().uid(), 200_007);
    });
    steps.step("what is the host's root's stays that", || {
        let directory = docker.shared("roots");
        let volume = format!("{}:/v", directory.display());
        assert_ne!(docker.once(&["-v", &volume, BOX, "touch", "/v/x"]).code, 0);
        assert_ne!(docker.once(&[BOX, "sh", "-c", "echo 1 >/proc/sys/kernel/panic"]).code, 0);
    });
    steps.step("limits hold, and it stops, starts and pauses", || {
        let limited = ["-m", "64m", "--pids-limit", "50", BOX, "true"];
        docker.prints(&limited);
        drop(docker.run(&["pause", "mapped"]).ok());
        drop(docker.run(&["unpause", "mapped"]).ok());
        drop(docker.run(&["restart", "-t", "0", "mapped"]).ok());
        docker.wait_for("mapped", ".State.Running", "true");
    });
    steps.step("a container may go without", || {
        let said = docker.prints(&["--userns", "host", BOX, "cat", "/proc/self/uid_map"]);
        assert!(said.contains("4294967295"), "{said}");
        docker.remove(&["mapped"]);
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
