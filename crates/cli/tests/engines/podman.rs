//! dhow under podman and its conmon, with storage of its own.

use crate::{
    engine::{BOX, Engine, PRIVILEGED, archive},
    steps::{Difference, Steps},
    subject::Subject,
    world::World,
};
use dhow_testkit::{need, needs_root, needs_tool, rootfs};
use std::{fs, path::Path};

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
const DIFFERENCES: [Difference; 1] = [("runc", NO_GROUP, "it has no option for that")];

/// Steps' names.
const NO_GROUP: &str = "a container without a group of its own";
const CHECKPOINT: &str = "a container is written down and goes on from there";

#[test]
fn podman_runs_its_containers_with_dhow() {
    needs_root!();
    needs_tool!("podman", "conmon", "docker-init", "unshare", "nsenter", "ip", "busybox");
    needs_tool!("newuidmap", "setpriv");
    let world = World::new();
    let subject = Subject::choose(world.shared());
    // Podman looks for CRIU as it looks for every program.
    let criu = rootfs::working_criu();
    let path = need::variable("PATH").unwrap_or_default();
    let directory = criu.as_deref().and_then(Path::parent).map(|path| path.display().to_string());
    let path =
        format!("PATH={}", directory.into_iter().chain([path]).collect::<Vec<_>>().join(":"));
    let mut words = words(&world, &subject);
    words.insert(1, path);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let podman = Engine::new(&world, &words, &["rm", "-f", "-t", "0"]);
    drop(podman.run(&["load", "-q", "-i", &archive(&world, BOX, &["sh"])]).ok());
    let mut steps = Steps::new(&subject, &DIFFERENCES);

    podman.shared_steps(&mut steps);
    own_steps(&podman, &mut steps);
    match criu {
        Some(_) => checkpoints(&podman, &mut steps),
        None => need::skip("a criu that works on this kernel, for checkpoints"),
    }
    as_ordinary_user(&world, &subject, &mut steps);
    steps.step("nothing stays", || {
        // Podman removes the group of a pod where there is a controller, and nowhere else.
        podman.assert_clean(|line| line.contains("/systemd/") && !line.contains("/libpod-"));
    });

    steps.end();
}

/// Podman's command line, with a configuration that makes the subject its runtime.
pub(crate) fn words(world: &World, subject: &Subject) -> Vec<String> {
    let configuration = world.shared().join("containers.conf");
    let init = need::tool("docker-init").unwrap().display().to_string();
    let text = CONFIGURATION.replace("RUNTIME", &subject.shown()).replace("INIT", &init);
    fs::write(&configuration, text).unwrap();
    let variable = format!("CONTAINERS_CONF={}", configuration.display());
    let lib = world.lib().display().to_string();
    let words = ["env", &variable, "podman", "--root", &lib, "--runroot", "/run/containers"];
    let more = ["--tmpdir", "/run/libpod", "--storage-driver", "overlay"];
    words.into_iter().chain(more).map(str::to_owned).collect()
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
        podman.start("free", &["--cgroups", "disabled", BOX, "sleep", "1000"]);
        let pid = podman.inspect("free", ".State.Pid");
        let groups = podman.world.run(&["cat", &format!("/proc/{pid}/cgroup")]).ok().stdout;
        assert!(!groups.contains("libpod-"), "{groups}");
        drop(podman.run(&["exec", "free", "true"]).ok());
        podman.remove(&["free"]);
    });
    steps.step("hooks get the state, at their time", || {
        let (hooks, told) = (podman.shared("hooks"), podman.shared("told"));
        let script = format!("cat > {}/$1; echo >> {0}/$1", told.display());
        for stage in ["prestart", "createRuntime", "poststart", "poststop"] {
            let hook = serde_json::json!({
                "version": "1.0.0",
                "when": {"always": true},
                "hook": {"path": "/bin/sh", "args": ["sh", "-c", script, "hook", stage]},
                "stages": [stage],
            });
            fs::write(hooks.join(format!("{stage}.json")), hook.to_string()).unwrap();
        }
        let hooks = hooks.display().to_string();
        let run = ["--hooks-dir", &hooks, "run", "--rm", "--network", "none", BOX, "true"];
        drop(podman.run(&run).ok());
        let states = [
            ("prestart", "created"),
            ("createRuntime", "created"),
            ("poststart", "running"),
            ("poststop", "stopped"),
        ];
        let told = |stage: &str| fs::read_to_string(told.join(stage)).unwrap_or_default();
        for (stage, status) in states {
            let state: serde_json::Value = serde_json::from_str(&told(stage)).unwrap();
            // The program may have ended before the hook is called; and runc may not have noticed
            // its start.
            let late = stage == "poststart" && state["status"] != "creating";
            let early = stage != "poststart" && state["status"] == "creating";
            assert!(state["status"] == status || late || early, "{stage}: {state}");
        }
    });
    steps.step("files that are open for the container stay open", || {
        let words = podman.words(&["run", "--rm", "--network", "none", "--preserve-fds", "1"]);
        let script = "exec 3</etc/os-release; exec \"$@\"";
        let command = [BOX, "sh", "-c", "head -1 <&3; ls /proc/self/fd | wc -l"];
        let said = podman.world.run(&[&["sh", "-c", script, "sh"], &words[..], &command].concat());
        let said = said.ok().stdout;
        assert_eq!(said.lines().count(), 2, "{said}");
        assert!(said.contains("=") && said.ends_with("5\n"), "{said}");
    });
    steps.step("a directory is a root", || {
        let root = rootfs::busybox().unwrap();
        let words = ["--rootfs", &root.path().display().to_string(), "cat", "/etc/hostname"];
        drop(podman.once(&words).ok());
        assert!(root.path().join("bin/busybox").exists());
    });
    steps.step("places are unmasked, and others masked", || {
        let script = "cat /proc/timer_list | wc -l; cat /etc/passwd | wc -l";
        let masked = ["--security-opt", "mask=/etc/passwd", BOX, "sh", "-c", script];
        assert!(podman.prints(&masked).ends_with("\n0\n"));
        let open = ["--security-opt", "unmask=/proc/timer_list", BOX, "sh", "-c", script];
        assert!(!podman.prints(&open).starts_with("0\n"));
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

fn checkpoints(podman: &Engine<'_>, steps: &mut Steps) {
    steps.step(CHECKPOINT, || {
        let count = "i=0; while true; do i=$((i+1)); echo number $i; sleep 0.05; done";
        podman.start("counter", &[BOX, "sh", "-c", count]);
        podman.wait_for_log("counter", "number 5\n");

        drop(podman.run(&["container", "checkpoint", "counter"]).ok());
        podman.wait_for("counter", ".State.Status", "exited");
        let last = |text: &str| -> u64 {
            let number = text.lines().filter_map(|line| line.strip_prefix("number ")).next_back();
            number.and_then(|number| number.parse().ok()).unwrap_or(0)
        };
        let before = last(&podman.run(&["logs", "counter"]).ok().stdout);
        drop(podman.run(&["container", "restore", "counter"]).ok());

        podman.wait_for_log("counter", &format!("number {}\n", before + 5));
        let said = podman.run(&["logs", "counter"]).ok().stdout;
        assert_eq!(said.matches("number 1\n").count(), 1, "it went on and did not begin again");
        drop(podman.run(&["exec", "counter", "true"]).ok());
        podman.remove(&["counter"]);
    });
}

/// Makes a user with ids to map, whose home has the runtime and the image. `/etc` of the world alone
/// is changed.
const MAKE_USER: &str = r#"
set -e
for file in passwd group subuid subgid; do cp /etc/$file /run/$file; done
echo pat:x:5000:5000::/run/pat:/bin/sh >>/run/passwd
echo pat:x:5000: >>/run/group
for file in subuid subgid; do echo pat:200000:65536 >/run/$file; done
for file in passwd group subuid subgid; do mount --bind /run/$file /etc/$file; done
mkdir /run/pat /run/user /run/user/5000
cp -L "$1" /run/pat/"$2"
sed "s|$1|/run/pat/$2|" <"$3" >/run/pat/containers.conf
cp "$4" /run/pat/image.tar
chown -R 5000:5000 /run/pat /run/user/5000
"#;

/// Podman without root: its own user namespace, no cgroups of version 1.
fn as_ordinary_user(world: &World, subject: &Subject, steps: &mut Steps) {
    let configuration = world.shared().join("containers.conf").display().to_string();
    let (path, image) = (subject.shown(), archive(world, BOX, &["sh"]));
    let words = ["sh", "-c", MAKE_USER, "make", &path, subject.name(), &configuration, &image];
    drop(world.run(&words).ok());
    let podman = Engine::new(
        world,
        &[
            "env",
            "HOME=/run/pat",
            "XDG_RUNTIME_DIR=/run/user/5000",
            "CONTAINERS_CONF=/run/pat/containers.conf",
            "setpriv",
            "--reuid",
            "5000",
            "--regid",
            "5000",
            "--clear-groups",
            "podman",
            "--storage-driver",
            "overlay",
        ],
        &["rm", "-f", "-t", "0"],
    );
    steps.step("without root: run, in a user namespace", || {
        drop(podman.run(&["load", "-q", "-i", "/run/pat/image.tar"]).ok());
        let script = "id -u; cat /proc/self/uid_map; touch /x && stat -c %u /x; exit 7";
        let said = podman.once(&[BOX, "sh", "-c", script]).exits(7).stdout;
        let words: Vec<&str> = said.split_whitespace().collect();
        assert_eq!(words, ["0", "0", "5000", "1", "1", "200000", "65536", "0"]);
        let said = podman.prints(&["--userns", "keep-id", BOX, "id", "-u"]);
        assert_eq!(said, "5000\n");
        drop(podman.once(&[BOX, "nothere"]).exits(127));
        let said = podman.once(&["--read-only", BOX, "touch", "/x"]).exits(1);
        drop(said.says("Read-only file system"));
    });
    steps.step("without root: exec, logs, top, kill, restart", || {
        podman.start("long", &[BOX, "sh", "-c", "echo up; sleep 1000"]);
        podman.wait_for_log("long", "up");
        let said = podman.run(&["exec", "-u", "1000", "long", "id", "-u"]).ok();
        assert_eq!(said.stdout, "1000\n");
        drop(podman.run(&["exec", "long", "nothere"]).exits(127));
        let mut terminal = podman.terminal(&["exec", "-it", "long", "sh"]);
        terminal.expect("# ");
        terminal.send("tty; exit 6\r");
        terminal.expect("/dev/pts/");
        assert_eq!(terminal.end(), 6, "{}", terminal.transcript());
        assert!(podman.run(&["top", "long"]).ok().stdout.contains("sleep 1000"));
        drop(podman.run(&["kill", "-s", "KILL", "long"]).ok());
        podman.wait_for("long", ".State.ExitCode", "137");
        drop(podman.run(&["start", "long"]).ok());
        podman.wait_for("long", ".State.Status", "running");
        podman.remove(&["long"]);
    });
    // Podman's own process that keeps its user namespace.
    drop(podman.run(&["system", "migrate"]));
}
