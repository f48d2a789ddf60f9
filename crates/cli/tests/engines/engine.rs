//! The words that docker and podman share, and the steps that hold for both.

use crate::{steps::Steps, world::World};
use dhow_testkit::{
    Outcome, Terminal,
    image::{Compression, Image, Layout},
    need, rootfs,
};
use std::{fs, path::PathBuf, time::Duration};

/// The image that all engines load.
pub(crate) const BOX: &str = "box.example/box:1";

/// Names of steps that a peer does not manage.
pub(crate) const MISSING: &str = "a program that is missing ends with 127";
pub(crate) const REFUSED: &str = "a program that cannot be executed ends with 126";
pub(crate) const PRIVILEGED: &str = "--privileged has all capabilities there are, and devices";

/// How long something that should happen soon is waited for.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// Writes busybox with a default command, as `docker save` does, to a file of the world.
pub(crate) fn archive(world: &World, name: &str, command: &[&str]) -> String {
    let directory = tempfile::tempdir_in(world.shared()).unwrap().keep();
    let path = directory.join("image.tar");
    let layout = Layout::new(&directory.join("layout")).unwrap();
    let layer = layout.layer_of(rootfs::busybox().unwrap().path(), Compression::Plain).unwrap();
    layout.docker_archive(&Image::new([layer]).command(command), name, &path).unwrap();
    path.display().to_string()
}

/// A client with its global options.
#[derive(Debug)]
pub(crate) struct Engine<'a> {
    pub(crate) world: &'a World,
    prefix: Vec<String>,
    /// How to remove a container at once.
    remove: &'static [&'static str],
}

impl<'a> Engine<'a> {
    pub(crate) fn new(world: &'a World, prefix: &[&str], remove: &'static [&'static str]) -> Self {
        let prefix = prefix.iter().map(|word| (*word).to_owned()).collect();
        Self { world, prefix, remove }
    }

    /// The whole command line of a command.
    pub(crate) fn words<'b>(&'b self, words: &[&'b str]) -> Vec<&'b str> {
        self.prefix.iter().map(String::as_str).chain(words.iter().copied()).collect()
    }

    /// Runs a command of the engine to its end.
    pub(crate) fn run(&self, words: &[&str]) -> Outcome {
        self.world.run(&self.words(words))
    }

    /// As [`Engine::run`], with something on its standard input.
    pub(crate) fn run_with_input(&self, words: &[&str], input: &[u8]) -> Outcome {
        self.world.run_with_input(&self.words(words), input)
    }

    /// Runs a command of the engine on a terminal.
    pub(crate) fn terminal(&self, words: &[&str]) -> Terminal {
        self.world.terminal(&self.words(words))
    }

    /// `run --rm` without a network, which must succeed; returns what it printed.
    pub(crate) fn prints(&self, words: &[&str]) -> String {
        self.once(words).ok().stdout
    }

    /// `run --rm` without a network.
    pub(crate) fn once(&self, words: &[&str]) -> Outcome {
        self.run(&[&["run", "--rm", "--network", "none"], words].concat())
    }

    /// What a command prints that must succeed, words with one space between.
    pub(crate) fn said(&self, words: &[&str]) -> String {
        self.run(words).ok().stdout.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// Runs a command that must fail, with a word about it.
    pub(crate) fn fails(&self, words: &[&str]) {
        let outcome = self.run(words);
        assert!(outcome.code != 0 && !outcome.stderr.trim().is_empty(), "no error by {outcome}");
    }

    /// Makes a container that is not started.
    pub(crate) fn create(&self, name: &str, words: &[&str]) {
        drop(self.run(&[&["create", "--name", name, "--network", "none"], words].concat()).ok());
    }

    /// Starts a container in the background.
    pub(crate) fn start(&self, name: &str, words: &[&str]) {
        let run = ["run", "-d", "--name", name, "--network", "none"];
        drop(self.run(&[&run, words].concat()).ok());
    }

    /// A field of `inspect`.
    pub(crate) fn inspect(&self, name: &str, field: &str) -> String {
        let format = format!("{{{{{field}}}}}");
        self.run(&["inspect", "--format", &format, name]).ok().line().to_owned()
    }

    /// Waits until a field of `inspect` has a value.
    pub(crate) fn wait_for(&self, name: &str, field: &str, value: &str) {
        let there = need::eventually(SOON, || (self.inspect(name, field) == value).then_some(()));
        let is = self.inspect(name, field);
        assert!(there.is_some(), "{field} of {name} is {is:?} and not {value:?}");
    }

    /// Waits until a container's log holds some text.
    pub(crate) fn wait_for_log(&self, name: &str, text: &str) {
        let there = need::eventually(SOON, || {
            let logs = self.run(&["logs", name]);
            (logs.stdout.contains(text) || logs.stderr.contains(text)).then_some(())
        });
        assert!(there.is_some(), "{name} does not print {text:?}: {}", self.run(&["logs", name]));
    }

    /// Removes containers, running or not.
    pub(crate) fn remove(&self, names: &[&str]) {
        drop(self.run(&[self.remove, names].concat()).ok());
    }

    /// What `pod create` needs where a process keeps a pod: podman's own is built from a program that
    /// may not be there.
    pub(crate) fn infra(&self) -> &'static [&'static str] {
        match self.prefix.iter().any(|word| word == "podman") {
            true => &["--infra-image", BOX, "--infra-command", "sleep 1000"],
            false => &[],
        }
    }

    /// Removes all containers.
    pub(crate) fn remove_all(&self) {
        let all = self.run(&["ps", "-a", "-q"]).ok().stdout;
        let all: Vec<&str> = all.split_whitespace().collect();
        if !all.is_empty() {
            self.remove(&all);
        }
    }

    /// Once all containers are removed, nothing must stay of any: neither groups nor processes but
    /// those that `may_stay`.
    pub(crate) fn assert_clean(&self, may_stay: impl Fn(&str) -> bool) {
        self.remove_all();
        self.world.assert_clean(may_stay);
    }

    /// The steps that hold for both.
    pub(crate) fn shared_steps(&self, steps: &mut Steps) {
        self.output_and_codes(steps);
        self.terminals(steps);
        self.signals(steps);
        self.life(steps);
        self.limits(steps);
        self.rights(steps);
        self.files(steps);
    }

    fn output_and_codes(&self, steps: &mut Steps) {
        steps.step("output, input and the exit code are the program's", || {
            let script = "cat; echo no >&2; exit 7";
            let words = ["run", "--rm", "-i", "--network", "none", BOX, "sh", "-c", script];
            let outcome = self.run_with_input(&words, b"in\n").exits(7).says("no");
            assert_eq!(outcome.stdout, "in\n");
        });
        steps.step("environment, directory, user and host name are as asked for", || {
            let options = [
                "-e",
                "A=b c",
                "-w",
                "/tmp",
                "-u",
                "1000:1000",
                "--group-add",
                "2000",
                "-h",
                "here",
            ];
            let script = "echo $A; pwd; id; hostname";
            let said = self.prints(&[&options[..], &[BOX, "sh", "-c", script]].concat());
            for line in
                ["b c\n", "/tmp\n", "uid=1000(user) gid=1000(user)", "2000(extra)", "here\n"]
            {
                assert!(said.contains(line), "{line:?} is not in {said}");
            }
        });
        steps.step("a bad option ends with 125", || {
            drop(self.once(&["--no-such-option", BOX, "true"]).exits(125));
        });
        steps.step(MISSING, || {
            drop(self.once(&[BOX, "nothere"]).exits(127).says("not found in $PATH"));
            drop(self.once(&[BOX, "/nothere"]).exits(127).says("uch file or directory"));
        });
        steps.step(REFUSED, || {
            drop(self.once(&[BOX, "/etc"]).exits(126));
            drop(self.once(&[BOX, "/etc/passwd"]).exits(126).says("permission denied"));
        });
    }

    fn terminals(&self, steps: &mut Steps) {
        steps.step("run -it gives a terminal of the right size", || {
            let run = ["run", "--rm", "-it", "--network", "none", BOX];
            let mut terminal = self.terminal(&[&run[..], &["sh"]].concat());
            terminal.expect("# ");
            terminal.send("tty; echo so; stty size\r");
            terminal.expect("/dev/pts/0");
            terminal.expect("24 80");
            terminal.resize(30, 100).unwrap();
            // The engine passes the size on in its own time.
            terminal.send("until stty size | grep '30 100'; do sleep 0.1; done; exit 5\r");
            assert_eq!(terminal.end(), 5, "{}", terminal.transcript());
        });
    }

    fn signals(&self, steps: &mut Steps) {
        steps.step("exec runs beside the first process, with codes of its own", || {
            self.start("exec", &["-e", "A=b", BOX, "sleep", "1000"]);
            let said = self.run(&["exec", "-e", "C=d", "exec", "sh", "-c", "echo $A $C; ps"]).ok();
            assert!(said.stdout.starts_with("b d\n"), "{said}");
            assert!(said.stdout.contains("sleep 1000"), "{said}");
            drop(self.run(&["exec", "exec", "sh", "-c", "exit 9"]).exits(9));
            let said = self.run_with_input(&["exec", "-i", "exec", "cat"], b"in").ok();
            assert_eq!(said.stdout, "in");
            let said =
                self.run(&["exec", "-u", "1000", "-w", "/tmp", "exec", "sh", "-c", "id -u; pwd"]);
            assert_eq!(said.ok().stdout, "1000\n/tmp\n");
            let missing = self.run(&["exec", "exec", "nothere"]);
            assert!([126, 127].contains(&missing.code), "{missing}");
            let said = format!("{}{}", missing.stdout, missing.stderr);
            assert!(said.contains("not found in $PATH"), "{missing}");
        });
        steps.step("exec -it gives a terminal", || {
            let mut terminal = self.terminal(&["exec", "-it", "exec", "sh"]);
            terminal.expect("# ");
            terminal.send("test -t 0 && tty; exit 6\r");
            terminal.expect("/dev/pts/");
            assert_eq!(terminal.end(), 6, "{}", terminal.transcript());
        });
        steps.step("exec -d does not stay", || {
            drop(
                self.run(&["exec", "-d", "exec", "sh", "-c", "echo > /tmp/done; sleep 1000"]).ok(),
            );
            let there = need::eventually(SOON, || {
                (self.run(&["exec", "exec", "test", "-e", "/tmp/done"]).code == 0).then_some(())
            });
            assert!(there.is_some());
        });
        steps.step("top shows the processes", || {
            let said = self.run(&["top", "exec"]).ok();
            assert!(said.stdout.contains("sleep 1000"), "{said}");
        });
        steps.step("stop reaches a program that listens", || {
            let script = "trap 'echo bye; exit 3' TERM; echo up; while :; do sleep 0.1; done";
            self.start("polite", &[BOX, "sh", "-c", script]);
            self.wait_for_log("polite", "up");
            drop(self.run(&["stop", "-t", "60", "polite"]).ok());
            assert_eq!(self.inspect("polite", ".State.ExitCode"), "3");
            self.wait_for_log("polite", "bye");
        });
        steps.step("stop kills a program that does not listen", || {
            drop(self.run(&["stop", "-t", "1", "exec"]).ok());
            assert_eq!(self.inspect("exec", ".State.ExitCode"), "137");
            drop(self.run(&["start", "exec"]).ok());
            self.wait_for("exec", ".State.Status", "running");
            drop(self.run(&["exec", "exec", "true"]).ok());
        });
        steps.step("kill sends the signal that is named", || {
            let script = "trap 'echo one' USR1; echo up; while :; do sleep 0.1; done";
            self.start("signal", &[BOX, "sh", "-c", script]);
            self.wait_for_log("signal", "up");
            drop(self.run(&["kill", "-s", "USR1", "signal"]).ok());
            self.wait_for_log("signal", "one");
            drop(self.run(&["kill", "signal"]).ok());
            self.wait_for("signal", ".State.ExitCode", "137");
        });
        self.remove(&["exec", "polite", "signal"]);
    }

    fn life(&self, steps: &mut Steps) {
        steps.step("logs keep both streams, also after the end", || {
            self.start("logs", &[BOX, "sh", "-c", "echo out; echo err >&2; exit 4"]);
            self.wait_for("logs", ".State.Status", "exited");
            let said = self.run(&["logs", "logs"]).ok();
            assert_eq!((said.stdout.as_str(), said.stderr.as_str()), ("out\n", "err\n"));
            assert_eq!(self.inspect("logs", ".State.ExitCode"), "4");
            assert_eq!(self.run(&["wait", "logs"]).ok().line(), "4");
        });
        steps.step("pause stops all processes and unpause lets them go on", || {
            let script = "i=0; while :; do i=$((i+1)); echo $i > /tmp/i; sleep 0.05; done";
            self.start("pause", &[BOX, "sh", "-c", script]);
            drop(self.run(&["pause", "pause"]).ok());
            assert_eq!(self.inspect("pause", ".State.Status"), "paused");
            assert_ne!(self.run(&["exec", "pause", "true"]).code, 0);
            drop(self.run(&["unpause", "pause"]).ok());
            let read = || self.run(&["exec", "pause", "cat", "/tmp/i"]).ok().line().to_owned();
            let before = read();
            let went_on = need::eventually(SOON, || (read() != before).then_some(()));
            assert!(went_on.is_some(), "it counts no further than {before}");
        });
        steps.step("what is paused can be removed", || {
            drop(self.run(&["pause", "pause"]).ok());
            self.remove(&["pause"]);
        });
        steps.step("create, start, restart", || {
            let create = ["create", "--name", "again", "--network", "none", BOX, "sleep", "1000"];
            drop(self.run(&create).ok());
            drop(self.run(&["start", "again"]).ok());
            let first = self.inspect("again", ".State.Pid");
            drop(self.run(&["restart", "-t", "0", "again"]).ok());
            assert_ne!(self.inspect("again", ".State.Pid"), first);
            assert_eq!(self.inspect("again", ".State.Status"), "running");
        });
        steps.step("a restart policy is followed", || {
            let script = "echo again; exit 4";
            self.start("policy", &["--restart", "on-failure:2", BOX, "sh", "-c", script]);
            let thrice = need::eventually(SOON, || {
                let said = self.run(&["logs", "policy"]).stdout;
                (said == "again\nagain\nagain\n").then_some(())
            });
            assert!(thrice.is_some(), "{}", self.run(&["logs", "policy"]));
            self.wait_for("policy", ".State.Status", "exited");
            assert_eq!(self.inspect("policy", ".State.ExitCode"), "4");
        });
        steps.step("stats measure", || {
            let said = self.run(&["stats", "--no-stream", "again"]).ok();
            assert!(said.stdout.contains("again"), "{said}");
            assert!(!said.stdout.contains("0B / 0B       "), "{said}");
        });
        self.remove(&["logs", "again", "policy"]);
    }

    fn limits(&self, steps: &mut Steps) {
        let memory =
            "cd /sys/fs/cgroup; cat memory/memory.limit_in_bytes 2>/dev/null || cat memory.max";
        let pids = "cd /sys/fs/cgroup; cat pids/pids.max 2>/dev/null || cat pids.max";
        let cpu = "cd /sys/fs/cgroup; cat cpu/cpu.cfs_quota_us 2>/dev/null || cat cpu.max";
        steps.step("limits hold", || {
            let options = ["-m", "64m", "--cpus", "0.5", "--pids-limit", "50"];
            self.start("limits", &[&options[..], &[BOX, "sleep", "1000"]].concat());
            let read = |script| self.run(&["exec", "limits", "sh", "-c", script]).ok().stdout;
            assert_eq!(read(memory), "67108864\n");
            assert_eq!(read(pids), "50\n");
            assert!(read(cpu).starts_with("50000"), "{}", read(cpu));
        });
        steps.step("shares, processors and the score for the out-of-memory killer", || {
            let options = ["--cpuset-cpus", "0", "--cpu-shares", "512", "--oom-score-adj", "500"];
            let script = "cat /proc/self/oom_score_adj; cd /sys/fs/cgroup; \
                          cat cpuset/cpuset.cpus 2>/dev/null || cat cpuset.cpus; \
                          ! test -d cpu || cat cpu/cpu.shares";
            let said = self.prints(&[&options[..], &[BOX, "sh", "-c", script]].concat());
            assert!(["500\n0\n512\n", "500\n0\n"].contains(&said.as_str()), "{said}");
        });
        steps.step("update changes them", || {
            let options = ["-m", "96m", "--memory-swap", "192m", "--cpus", "0.25"];
            drop(self.run(&[&["update"], &options[..], &["limits"]].concat()).ok());
            let read = |script| self.run(&["exec", "limits", "sh", "-c", script]).ok().stdout;
            assert_eq!(read(memory), "100663296\n");
            assert!(read(cpu).starts_with("25000"), "{}", read(cpu));
        });
        steps.step("too much memory is deadly", || {
            let eat = ["-m", "16m", "--memory-swap", "16m", BOX, "sh", "-c", "tail /dev/zero"];
            self.start("oom", &eat);
            self.wait_for("oom", ".State.Status", "exited");
            assert_eq!(self.inspect("oom", ".State.ExitCode"), "137");
        });
        steps.step("too many processes are refused", || {
            let script = "for i in 1 2 3 4 5 6 7 8; do sleep 5 & done; echo all";
            let outcome = self.once(&["--pids-limit", "4", BOX, "sh", "-c", script]);
            assert!(outcome.stderr.contains("fork"), "{outcome}");
        });
        steps.step("resource limits are set", || {
            // With one limit named, podman sets its own number of processes, which may be too high.
            let limits = ["--ulimit", "nofile=100:200", "--ulimit", "nproc=1024:1024"];
            let script = "ulimit -n; ulimit -Hn";
            let said = self.prints(&[&limits[..], &[BOX, "sh", "-c", script]].concat());
            assert_eq!(said, "100\n200\n");
        });
        self.remove(&["limits", "oom"]);
    }

    fn rights(&self, steps: &mut Steps) {
        let capabilities = ["grep", "CapEff", "/proc/self/status"];
        steps.step("capabilities are as asked for", || {
            let options = ["--cap-drop", "all", "--cap-add", "net_raw"];
            let said = self.prints(&[&options[..], &[BOX], &capabilities[..]].concat());
            assert_eq!(said, "CapEff:\t0000000000002000\n");
        });
        steps.step("a user has none", || {
            let said = self.prints(&[&["-u", "1000", BOX], &capabilities[..]].concat());
            assert_eq!(said, "CapEff:\t0000000000000000\n");
        });
        steps.step("the default profile filters, and unconfined does not", || {
            let mode = ["grep", "Seccomp:", "/proc/self/status"];
            assert_eq!(self.prints(&[&[BOX], &mode[..]].concat()), "Seccomp:\t2\n");
            let open = ["--security-opt", "seccomp=unconfined", BOX];
            assert_eq!(self.prints(&[&open[..], &mode[..]].concat()), "Seccomp:\t0\n");
        });
        steps.step("a profile of one's own is followed", || {
            let profile = self.world.shared().join("profile.json");
            let text = r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
                {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28}]}"#;
            fs::write(&profile, text).unwrap();
            let option = format!("seccomp={}", profile.display());
            let outcome = self.once(&["--security-opt", &option, BOX, "mkdir", "/tmp/x"]);
            drop(outcome.exits(1).says("No space left"));
        });
        steps.step("no-new-privileges is set", || {
            let words = ["grep", "NoNewPrivs", "/proc/self/status"];
            let option = ["--security-opt", "no-new-privileges", BOX];
            assert_eq!(self.prints(&[&option[..], &words[..]].concat()), "NoNewPrivs:\t1\n");
        });
        steps.step("devices are given by name", || {
            let list = ["sh", "-c", "ls /dev/loop-control && cat /proc/self/status > /dev/null"];
            drop(self.once(&[&[BOX], &list[..]].concat()).exits(1));
            let device = ["--device", "/dev/loop-control", BOX];
            drop(self.once(&[&device[..], &list[..]].concat()).ok());
        });
        steps.step("a sysctl is set", || {
            let words =
                ["--sysctl", "net.ipv4.ip_forward=1", BOX, "cat", "/proc/sys/net/ipv4/ip_forward"];
            assert_eq!(self.prints(&words), "1\n");
        });
        steps.step("--init puts an init before the program", || {
            let said =
                self.prints(&["--init", BOX, "sh", "-c", "cat /proc/1/comm; cat /proc/self/comm"]);
            assert!(said.contains("init") || said.contains("tini"), "{said}");
        });
        steps.step("the kernel's places are masked", || {
            let script = "cat /proc/kcore | wc -c; echo 1 > /proc/sys/kernel/panic && echo written";
            let said = self.prints(&[BOX, "sh", "-c", &format!("{script}; true")]);
            assert_eq!(said, "0\n");
        });
    }

    fn files(&self, steps: &mut Steps) {
        steps.step("--read-only, with a tmpfs that is not", || {
            let script = "touch /x; touch /t/x && stat -f -c %T /t";
            let said =
                self.once(&["--read-only", "--tmpfs", "/t:size=1m", BOX, "sh", "-c", script]);
            let said = said.ok().says("Read-only file system");
            assert_eq!(said.stdout, "tmpfs\n");
        });
        steps.step("a tmpfs has the mode and the size that are asked for", || {
            let option = "/t:mode=700,size=2m,exec";
            let script = "stat -c %a /t; df -k /t | tail -1; cp /bin/busybox /t/true && /t/true";
            let said = self.prints(&["--tmpfs", option, BOX, "sh", "-c", script]);
            assert!(said.starts_with("700\n") && said.contains(" 2048 "), "{said}");
        });
        steps.step("directories of the host, writable and not", || {
            let (writable, fixed) = (self.shared("writable"), self.shared("fixed"));
            let first = format!("{}:/w", writable.display());
            let second = format!("{}:/f:ro", fixed.display());
            let script = "echo in > /w/file; touch /f/x";
            let outcome = self.once(&["-v", &first, "-v", &second, BOX, "sh", "-c", script]);
            drop(outcome.exits(1).says("Read-only file system"));
            assert_eq!(fs::read_to_string(writable.join("file")).unwrap(), "in\n");
        });
        steps.step("a named volume outlives its container", || {
            drop(self.run(&["volume", "create", "data"]).ok());
            drop(self.once(&["-v", "data:/d", BOX, "sh", "-c", "echo kept > /d/file"]).ok());
            assert_eq!(self.prints(&["-v", "data:/d", BOX, "cat", "/d/file"]), "kept\n");
            drop(self.run(&["volume", "rm", "data"]).ok());
        });
        steps.step("cp goes in and out of a running container", || {
            self.start("cp", &["--tmpfs", "/t", BOX, "sleep", "1000"]);
            let (there, back) =
                (self.world.shared().join("there"), self.world.shared().join("back"));
            fs::write(&there, "in").unwrap();
            drop(self.run(&["cp", &there.display().to_string(), "cp:/etc/there"]).ok());
            drop(self.run(&["exec", "cp", "sh", "-c", "cp /etc/there /etc/back"]).ok());
            drop(self.run(&["cp", "cp:/etc/back", &back.display().to_string()]).ok());
            assert_eq!(fs::read_to_string(&back).unwrap(), "in");
            self.remove(&["cp"]);
        });
        steps.step("shared memory has the size that is asked for", || {
            let said = self.prints(&["--shm-size", "2m", BOX, "df", "-k", "/dev/shm"]);
            assert!(said.contains(" 2048 "), "{said}");
        });
        steps.step("namespaces of the host and of another container are joined", || {
            self.start("other", &["--ipc", "shareable", BOX, "sleep", "1000"]);
            let name = |kind| ["readlink", kind];
            for (option, kind) in [
                ("--pid", "/proc/self/ns/pid"),
                ("--ipc", "/proc/self/ns/ipc"),
                ("--network", "/proc/self/ns/net"),
            ] {
                let others = self.run(&[&["exec", "other"], &name(kind)[..]].concat()).ok().stdout;
                let option = format!("{option}=container:other");
                let words = [&["run", "--rm", &option, BOX], &name(kind)[..]].concat();
                assert_eq!(self.run(&words).ok().stdout, others, "{option}");
            }
            let hosts = self.world.run(&name("/proc/self/ns/pid")).ok().stdout;
            let words = [&["--pid", "host", BOX], &name("/proc/self/ns/pid")[..]].concat();
            assert_eq!(self.prints(&words), hosts);
            self.remove(&["other"]);
        });
    }

    /// Makes a directory that is the same inside and outside of the world.
    pub(crate) fn shared(&self, name: &str) -> PathBuf {
        let path = self.world.shared().join(name);
        fs::create_dir(&path).unwrap();
        path
    }
}
