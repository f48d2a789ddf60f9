//! dhow under containerd alone, by `ctr`.

use crate::{
    cri,
    engine::{BOX, SOON, archive},
    steps::Steps,
    subject::Subject,
    world::{Daemon, World},
};
use dhow_testkit::{Outcome, need, needs_root, needs_tool};
use std::fs;

/// Where it listens in its world.
pub(crate) const SOCKET: &str = "/run/containerd/containerd.sock";

/// The image that keeps a pod's namespaces.
const PAUSE: &str = "box.example/pause:1";

const CONFIGURATION: &str = r#"
version = 2
root = "LIB"
state = "/run/containerd"
[grpc]
address = "SOCKET"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "PAUSE"
# Root may not be allowed to favour processes.
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "SHARED/plugins"
conf_dir = "SHARED/cni"
[plugins."io.containerd.grpc.v1.cri".containerd]
default_runtime_name = "subject"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.subject]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.subject.options]
BinaryName = "RUNTIME"
"#;

#[test]
fn containerd_runs_its_containers_with_dhow() {
    needs_root!();
    needs_tool!("containerd", "ctr", "curl", "unshare", "nsenter", "ip", "busybox");
    let world = World::new();
    let subject = Subject::choose(world.shared());
    let mut daemon = start(&world, &subject);
    let ctr = Ctr { world: &world, runtime: subject.shown() };
    daemon.wait_until(|| ctr.run(&["version"]).code == 0);
    for (space, name, command) in [
        ("default", BOX, &["sh"][..]),
        ("k8s.io", BOX, &["sh"]),
        ("k8s.io", PAUSE, &["sleep", "100000"]),
    ] {
        let image = archive(&world, name, command);
        drop(ctr.run(&["-n", space, "image", "import", &image]).ok());
    }
    let mut steps = Steps::new(&subject, &[]);

    once(&ctr, &mut steps);
    life(&ctr, &mut steps);
    cri::steps(&world, &mut steps);
    steps.step("nothing stays", || world.assert_clean(|line| line.contains("containerd --config")));

    steps.end();
}

fn start(world: &World, subject: &Subject) -> Daemon {
    let shared = world.shared().display().to_string();
    let text = CONFIGURATION
        .replace("LIB", &world.lib().display().to_string())
        .replace("SOCKET", SOCKET)
        .replace("PAUSE", PAUSE)
        .replace("SHARED", &shared)
        .replace("RUNTIME", &subject.shown());
    let path = world.shared().join("config.toml");
    fs::write(&path, text).unwrap();
    cri::configure_network(world);
    world.daemon(&["containerd", "--config", &path.display().to_string()])
}

/// The client.
struct Ctr<'a> {
    world: &'a World,
    runtime: String,
}

impl Ctr<'_> {
    fn run(&self, words: &[&str]) -> Outcome {
        self.world.run(&[&["ctr", "--address", SOCKET], words].concat())
    }

    /// `run --rm` of a container with this name and command.
    fn once(&self, options: &[&str], name: &str, command: &[&str]) -> Outcome {
        let run = ["run", "--rm", "--runc-binary", &self.runtime];
        self.run(&[&run, options, &[BOX, name], command].concat())
    }

    /// The status that `task ls` shows.
    fn status(&self, name: &str) -> String {
        let listed = self.run(&["task", "ls"]).ok();
        let line = listed.stdout.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        line.split_whitespace().last().unwrap_or_default().to_owned()
    }

    fn wait_for(&self, name: &str, status: &str) {
        let there = need::eventually(SOON, || (self.status(name) == status).then_some(()));
        assert!(there.is_some(), "{name} is {} and not {status}", self.status(name));
    }
}

fn once(ctr: &Ctr<'_>, steps: &mut Steps) {
    steps.step("output and the exit code are the program's", || {
        let script = "echo hi; echo no >&2; exit 7";
        let outcome = ctr.once(&[], "dhow-test-1", &["sh", "-c", script]).exits(7).says("no");
        assert_eq!(outcome.stdout, "hi\n");
    });
    steps.step("a program that is missing is named", || {
        let outcome = ctr.once(&[], "dhow-test-2", &["nothere"]);
        assert_ne!(outcome.code, 0, "{outcome}");
        drop(outcome.says("exec: \"nothere\": executable file not found in $PATH"));
    });
    steps.step("a fixed root, a mount, and a filter", || {
        let mount = "type=tmpfs,src=tmpfs,dst=/t,options=rw:size=1m";
        let script = "touch /x; touch /t/x && grep Seccomp: /proc/self/status";
        let options = ["--read-only", "--seccomp", "--mount", mount];
        let outcome = ctr.once(&options, "dhow-test-3", &["sh", "-c", script]).ok();
        assert_eq!(outcome.stdout, "Seccomp:\t2\n");
        drop(outcome.says("Read-only file system"));
    });
    steps.step("capabilities are added and taken away", || {
        let options = ["--cap-add", "CAP_NET_ADMIN", "--cap-drop", "CAP_NET_RAW"];
        let words = ["grep", "CapEff", "/proc/self/status"];
        let outcome = ctr.once(&options, "dhow-test-4", &words).ok();
        assert_eq!(outcome.stdout, "CapEff:\t00000000a80415fb\n");
    });
    steps.step("run on a terminal", || {
        let words =
            ["ctr", "--address", SOCKET, "run", "--rm", "-t", "--runc-binary", &ctr.runtime];
        let command = [BOX, "dhow-test-5", "sh"];
        let mut terminal = ctr.world.terminal(&[&words[..], &command[..]].concat());
        terminal.expect("# ");
        terminal.send("until stty size | grep '24 80'; do sleep 0.1; done; tty; exit 5\r");
        terminal.expect("/dev/pts/0");
        assert_eq!(terminal.end(), 5, "{}", terminal.transcript());
    });
}

fn life(ctr: &Ctr<'_>, steps: &mut Steps) {
    let name = "dhow-test-long";
    steps.step("a task in the background, with limits", || {
        let run = ["run", "-d", "--runc-binary", &ctr.runtime];
        let limits = ["--memory-limit", "67108864", "--cpus", "0.5"];
        drop(ctr.run(&[&run, &limits[..], &[BOX, name, "sleep", "1000"]].concat()).ok());
        ctr.wait_for(name, "RUNNING");
        let said = ctr.run(&["task", "metrics", name]).ok();
        assert!(said.stdout.contains("67108864"), "{said}");
    });
    steps.step("exec, also on a terminal", || {
        let exec = ["task", "exec", "--exec-id"];
        let said = ctr.run(&[&exec[..], &["e1", name, "sh", "-c", "echo hi; exit 3"]].concat());
        assert_eq!(said.exits(3).stdout, "hi\n");
        let said = ctr.run(&[&exec[..], &["e2", name, "nothere"]].concat());
        drop(said.exits(1).says("executable file not found in $PATH"));
        let words = ["ctr", "--address", SOCKET, "task", "exec", "-t", "--exec-id", "e3"];
        let mut terminal = ctr.world.terminal(&[&words[..], &[name, "sh"]].concat());
        terminal.expect("# ");
        terminal.send("tty; exit 4\r");
        terminal.expect("/dev/pts/");
        assert_eq!(terminal.end(), 4, "{}", terminal.transcript());
    });
    steps.step("the processes are listed", || {
        let said = ctr.run(&["task", "ps", name]).ok();
        let pid = said.stdout.lines().nth(1).and_then(|line| line.split_whitespace().next());
        let pid = pid.unwrap_or_else(|| panic!("no process: {said}"));
        let shown = ctr.world.run(&["cat", &format!("/proc/{pid}/comm")]).ok();
        assert_eq!(shown.stdout, "sleep\n");
    });
    steps.step("pause and resume", || {
        drop(ctr.run(&["task", "pause", name]).ok());
        assert_eq!(ctr.status(name), "PAUSED");
        drop(ctr.run(&["task", "resume", name]).ok());
        assert_eq!(ctr.status(name), "RUNNING");
    });
    steps.step("kill and remove", || {
        drop(ctr.run(&["task", "kill", "-s", "KILL", name]).ok());
        ctr.wait_for(name, "STOPPED");
        let removed = ctr.run(&["task", "rm", name]);
        assert!(removed.stderr.contains("137"), "{removed}");
        drop(ctr.run(&["container", "rm", name]).ok());
    });
}
