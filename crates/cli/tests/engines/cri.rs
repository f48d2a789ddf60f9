//! dhow under the kubelet's interface: pods and containers by CRI, in containerd.

use crate::{
    engine::BOX,
    steps::Steps,
    wire::{Answer, Message, call},
    world::World,
};
use dhow_testkit::dhow;
use std::{fs, os::unix::fs::symlink, thread};

/// A container's state in CRI.
const RUNNING: u64 = 1;
const EXITED: u64 = 2;

/// Lets pods have addresses, by dhow's own plugins.
pub(crate) fn configure_network(world: &World) {
    let directory = world.shared().join("plugins");
    fs::create_dir(&directory).unwrap();
    for name in ["loopback", "bridge", "host-local", "portmap"] {
        symlink(dhow::program(), directory.join(name)).unwrap();
    }
    let directory = world.shared().join("cni");
    fs::create_dir(&directory).unwrap();
    let text = format!(
        r#"{{"cniVersion": "0.4.0", "name": "pods", "plugins": [
            {{"type": "bridge", "isGateway": true, "ipMasq": true, "ipam": {{
                "type": "host-local", "subnet": "10.88.0.0/24", "dataDir": "{}/cni"}}}},
            {{"type": "portmap", "capabilities": {{"portMappings": true}}}}]}}"#,
        world.lib().display()
    );
    fs::write(directory.join("10-pods.conflist"), text).unwrap();
}

/// A pod that is asked for.
struct Pod<'a> {
    world: &'a World,
    config: Message,
}

impl<'a> Pod<'a> {
    /// A pod with a network and a host name of its own.
    fn new(world: &'a World, name: &str) -> Self {
        let linux = Message::default().text(1, &format!("/pods/{name}"));
        let mut pod = Self::bare(world, name, &linux);
        pod.config = pod.config.text(2, name);
        pod
    }

    fn bare(world: &'a World, name: &str, linux: &Message) -> Self {
        let metadata = Message::default().text(1, name).text(2, name).text(3, "default");
        let config = Message::default()
            .message(1, &metadata)
            .text(3, &world.shared().display().to_string())
            .message(8, linux);
        Self { world, config }
    }

    fn start(&self) -> Sandbox<'_> {
        let request = Message::default().message(1, &self.config);
        Sandbox { pod: self, id: self.call("RunPodSandbox", &request).text(1) }
    }

    /// Creates and starts a container that logs to `<name>.log`.
    fn container(&self, pod: &str, name: &str, command: &[&str], linux: &Message) -> String {
        let config = Message::default()
            .message(1, &Message::default().text(1, name))
            .message(2, &Message::default().text(1, BOX))
            .texts(3, command)
            .message(6, &Message::default().text(1, "NAME").text(2, name))
            .text(11, &format!("{name}.log"))
            .message(15, linux);
        let request = Message::default().text(1, pod).message(2, &config).message(3, &self.config);
        let id = self.call("CreateContainer", &request).text(1);
        self.call("StartContainer", &Message::default().text(1, &id));
        id
    }

    fn call(&self, method: &str, request: &Message) -> Answer {
        self.try_call(method, request).unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    fn try_call(&self, method: &str, request: &Message) -> Result<Answer, String> {
        call(self.world, &format!("runtime.v1.RuntimeService/{method}"), request)
    }

    /// What a command in the container prints, and its exit code.
    fn exec(&self, container: &str, command: &[&str]) -> (String, u64) {
        let request = Message::default().text(1, container).texts(2, command).number(3, 60);
        let answer = self.call("ExecSync", &request);
        (answer.text(1), answer.number(3))
    }

    /// The state and the exit code.
    fn status(&self, container: &str) -> (u64, u64) {
        let answer = self.call("ContainerStatus", &Message::default().text(1, container));
        (answer.message(1).number(3), answer.message(1).number(7))
    }
}

/// The steps.
pub(crate) fn steps(world: &World, steps: &mut Steps) {
    steps.step("a pod of two containers", || two_containers(world));
    steps.step("limits of a container, set and changed", || limits(world));
    steps.step("a pod of the host's namespaces", || host_namespaces(world));
    steps.step("a container's rights", || rights(world));
    steps.step("a container that cannot start", || no_program(world));
}

fn two_containers(world: &World) {
    let pod = Pod::new(world, "two");
    let sandbox = pod.start();
    let first = pod.container(&sandbox.id, "first", &["sleep", "1000"], &Message::default());
    let script = "echo up; trap 'exit 3' TERM; while :; do sleep 0.1; done";
    let second = pod.container(&sandbox.id, "second", &["sh", "-c", script], &Message::default());

    let read = |kind: &str| {
        let link = format!("/proc/self/ns/{kind}");
        [&first, &second].map(|container| pod.exec(container, &["readlink", &link]).0)
    };
    for kind in ["net", "ipc", "uts"] {
        assert_eq!(read(kind)[0], read(kind)[1], "{kind}");
    }
    assert_ne!(read("mnt")[0], read("mnt")[1]);
    assert_eq!(pod.exec(&first, &["sh", "-c", "echo $NAME; hostname"]).0, "first\ntwo\n");
    assert_eq!(pod.exec(&first, &["sh", "-c", "exit 9"]).1, 9);
    let address = pod.exec(&first, &["ip", "addr", "show", "eth0"]).0;
    assert!(address.contains("10.88.0."), "{address}");

    let stats = pod.call("ContainerStats", &Message::default().text(1, &first)).message(1);
    assert_ne!(stats.message(2).message(2).number(1), 0, "no time was used: {stats:?}");
    assert_ne!(stats.message(3).message(2).number(1), 0, "no memory is used: {stats:?}");

    assert_eq!(pod.status(&second).0, RUNNING);
    pod.call("StopContainer", &Message::default().text(1, &second).number(2, 60));
    assert_eq!(pod.status(&second), (EXITED, 3));
    pod.call("StopContainer", &Message::default().text(1, &first));
    assert_eq!(pod.status(&first), (EXITED, 137));
    let log = fs::read_to_string(world.shared().join("second.log")).unwrap();
    assert!(log.contains("stdout F up"), "{log}");
    for container in [&first, &second] {
        pod.call("RemoveContainer", &Message::default().text(1, container));
    }
}

fn limits(world: &World) {
    let pod = Pod::new(world, "limits");
    let sandbox = pod.start();
    let resources = Message::default().number(1, 100_000).number(2, 50_000).number(4, 64 << 20);
    let limited = Message::default().message(1, &resources);
    let id = pod.container(&sandbox.id, "limits", &["sleep", "1000"], &limited);
    let script =
        "cd /sys/fs/cgroup; cat memory/memory.limit_in_bytes 2>/dev/null || cat memory.max";
    let limit = || pod.exec(&id, &["sh", "-c", script]).0;
    assert_eq!(limit(), "67108864\n");

    let more = Message::default().number(4, 96 << 20);
    pod.call("UpdateContainerResources", &Message::default().text(1, &id).message(2, &more));

    assert_eq!(limit(), "100663296\n");
}

fn host_namespaces(world: &World) {
    let node = Message::default().number(1, 2).number(2, 2).number(3, 2);
    let security = Message::default().message(1, &node);
    let linux = Message::default().text(1, "/pods/host").message(2, &security);
    let pod = Pod::bare(world, "host", &linux);
    let sandbox = pod.start();
    let security = Message::default().message(3, &node);
    let linux = Message::default().message(2, &security);
    let container = pod.container(&sandbox.id, "host", &["sleep", "1000"], &linux);

    for kind in ["net", "ipc", "pid"] {
        let link = format!("/proc/self/ns/{kind}");
        let hosts = world.run(&["readlink", &link]).ok().stdout;
        assert_eq!(pod.exec(&container, &["readlink", &link]).0, hosts, "{kind}");
    }
}

fn rights(world: &World) {
    let pod = Pod::new(world, "rights");
    let sandbox = pod.start();
    let security = Message::default()
        .message(1, &Message::default().text(2, "ALL"))
        .message(5, &Message::default().number(1, 1000))
        .number(7, 1)
        .number(8, 2000)
        .text(10, "runtime/default")
        .number(11, 1)
        .message(12, &Message::default().number(1, 1000));
    let linux = Message::default().message(2, &security);
    let container = pod.container(&sandbox.id, "rights", &["sleep", "1000"], &linux);

    let script =
        "id -u; id -g; touch /x; grep -E 'CapEff|NoNewPrivs|Seccomp:|Groups' /proc/self/status";
    let said = pod.exec(&container, &["sh", "-c", script]).0;
    let words: Vec<&str> = said.split_whitespace().collect();
    let expected = [
        "1000",
        "1000",
        "Groups:",
        "1000",
        "2000",
        "CapEff:",
        "0000000000000000",
        "NoNewPrivs:",
        "1",
        "Seccomp:",
        "2",
    ];
    assert_eq!(words.iter().filter(|word| expected.contains(word)).count(), words.len(), "{said}");
    assert!(said.contains("2000") && said.contains("NoNewPrivs:\t1"), "{said}");
    assert!(said.contains("Seccomp:\t2"), "{said}");
}

fn no_program(world: &World) {
    let pod = Pod::new(world, "none");
    let sandbox = pod.start();
    let config = Message::default()
        .message(1, &Message::default().text(1, "none"))
        .message(2, &Message::default().text(1, BOX))
        .texts(3, &["nothere"]);
    let request =
        Message::default().text(1, &sandbox.id).message(2, &config).message(3, &pod.config);
    let container = pod.call("CreateContainer", &request).text(1);

    let error = pod.try_call("StartContainer", &Message::default().text(1, &container));

    let error = error.expect_err("there is no such program");
    assert!(error.contains("executable file not found in $PATH"), "{error}");
    assert_eq!(pod.status(&container), (EXITED, 128));
}

/// A pod that runs. Dropping it stops and removes it with all its containers.
struct Sandbox<'a> {
    pod: &'a Pod<'a>,
    id: String,
}

impl Drop for Sandbox<'_> {
    fn drop(&mut self) {
        let request = Message::default().text(1, &self.id);
        let removed = ["StopPodSandbox", "RemovePodSandbox"]
            .map(|method| self.pod.try_call(method, &request).map(|_answer| ()));
        if !thread::panicking() {
            assert_eq!(removed, [Ok(()), Ok(())]);
            assert!(self.pod.try_call("PodSandboxStatus", &request).is_err(), "it is still there");
        }
    }
}
