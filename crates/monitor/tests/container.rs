//! Monitors with real containers: what a command promises its user, tried from outside.

#![expect(clippy::unwrap_used, reason = "a test's helpers panic as tests do")]

use dhow_base::{
    id::ContainerId,
    lock::{Lock, Sharing},
};
use dhow_monitor::{
    Client, Driver, Exec, ExitRecord, Home, Job, LogSettings, Run, Started, Stdin, Task, is_alive,
    log::{Query, read},
    wait_for_exit,
};
use dhow_spec::{
    Mount,
    runtime::{Capabilities, DEFAULT_CAPABILITIES, Process, Spec, default_spec},
};
use dhow_testkit::{
    Terminal, need, needs_root, needs_tool,
    rootfs::{self, Rootfs},
};
use std::{
    fs,
    io::{Read, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

/// A container of its own root and directories. Dropping it ends what runs there.
struct Lab {
    directory: tempfile::TempDir,
    root: Rootfs,
    id: ContainerId,
}

impl Lab {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("mountpoint")).unwrap();
        Self { directory, root: rootfs::busybox().unwrap(), id: ContainerId::random().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A job that runs a shell script; its run directory is new.
    fn job(&self, script: &str) -> Job {
        self.job_of(process(&["sh", "-c", script]))
    }

    fn job_of(&self, process: Process) -> Job {
        let spec = Spec { process: Some(process), ..default_spec() };
        fs::write(self.path("config.json"), serde_json::to_vec(&spec).unwrap()).unwrap();
        let directory = self.path("run");
        let _old = fs::remove_dir_all(&directory);
        let _old = fs::remove_file(self.path("exit.json"));
        let _old = fs::remove_file(self.path("log"));
        fs::create_dir(&directory).unwrap();
        Job {
            task: Task::Run(Box::new(Run {
                id: self.id.clone(),
                home: Home { directory, exit_record: self.path("exit.json") },
                removed_at_end: false,
                leavings: Vec::new(),
                config: self.path("config.json"),
                bundle: self.directory.path().to_owned(),
                rootfs: Some(Mount::Bind { source: self.root.path().to_owned(), read_only: false }),
                mountpoint: self.path("mountpoint"),
                driver: Driver::Files,
                variables: Vec::new(),
                revival: None,
                runtime: None,
                network: None,
            })),
            terminal: false,
            stdin: Stdin::Null,
            log: Some(LogSettings { path: self.path("log"), files: 1, ..LogSettings::default() }),
            cleanup: None,
            attached: true,
            time_limit_ms: None,
            health: None,
            handed: dhow_monitor::Handed::default(),
        }
    }

    fn exec_job(&self, script: &str) -> Job {
        let started = Started::read(&self.path("run")).unwrap().unwrap();
        Job {
            task: Task::Exec(Box::new(Exec {
                driver: Driver::Files,
                id: self.id.clone(),
                pid: started.pid,
                start_time: started.start_time,
                config: self.path("config.json"),
                bundle: self.directory.path().to_owned(),
                process: process(&["sh", "-c", script]),
            })),
            terminal: false,
            stdin: Stdin::Null,
            log: None,
            cleanup: None,
            attached: true,
            time_limit_ms: None,
            health: None,
            handed: dhow_monitor::Handed::default(),
        }
    }

    /// The command that a user would run.
    fn command(&self, job: &Job) -> Command {
        let path = self.path("job.json");
        fs::write(&path, serde_json::to_vec(job).unwrap()).unwrap();
        let mut command = Command::new(driver());
        command.arg(path);
        command
    }

    fn run(&self, job: &Job) -> Output {
        self.command(job).output().unwrap()
    }

    fn start(&self, job: &Job) -> Child {
        let mut command = self.command(job);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    }

    fn logged(&self) -> String {
        let entries = read(&self.path("log"), &Query::default()).unwrap();
        let bytes: Vec<u8> = entries.flat_map(|entry| entry.unwrap().bytes).collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn record(&self) -> ExitRecord {
        ExitRecord::read(&self.path("exit.json")).unwrap().unwrap()
    }

    fn wait_until_started(&self) -> Started {
        let directory = self.path("run");
        need::eventually(Duration::from_secs(10), || Started::read(&directory).unwrap())
            .expect("the container starts")
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if let Ok(Some(mut client)) = Client::connect(&self.path("run")) {
            drop(client.signal(9));
            drop(client.wait());
        }
    }
}

fn process(words: &[&str]) -> Process {
    Process {
        args: words.iter().map(|&word| word.to_owned()).collect(),
        env: vec!["PATH=/bin".to_owned(), "TERM=xterm".to_owned()],
        cwd: "/".to_owned(),
        capabilities: Some(Capabilities::of_root(&DEFAULT_CAPABILITIES)),
        ..Process::default()
    }
}

/// `examples/drive.rs`, which is built with the tests.
fn driver() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let release = test.parent().and_then(Path::parent).unwrap();
    let driver = release.join("examples/drive");
    assert!(driver.exists(), "{} is missing: build the example `drive`", driver.display());
    driver
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

macro_rules! lab {
    () => {{
        needs_root!();
        needs_tool!("busybox");
        Lab::new()
    }};
}

#[test]
fn output_exit_code_log_and_record_arrive() {
    let lab = lab!();

    let output = lab.run(&lab.job("echo out; echo err >&2; exit 7"));

    assert_eq!((text(&output.stdout), text(&output.stderr)), ("out\n".into(), "err\n".into()));
    assert_eq!(output.status.code(), Some(7));
    assert_eq!(lab.record().exit.code, 7);
    assert!(lab.record().started_at.unwrap() <= lab.record().finished_at.unwrap());
    let logged = lab.logged();
    assert!(logged.contains("out\n") && logged.contains("err\n"), "{logged}");
    assert!(!lab.path("run/attach").exists());
    // The command ends when it hears of the exit, and the monitor a moment after it has told it.
    need::eventually(Duration::from_secs(10), || {
        (!is_alive(&lab.path("run")).unwrap()).then_some(())
    })
    .expect("the monitor ends");
}

#[test]
fn exit_codes_are_those_of_a_shell() {
    let lab = lab!();
    for (script, code) in [("exit 0", 0), ("exit 255", 255), ("sleep 0.01; exit 128", 128)] {
        assert_eq!(lab.run(&lab.job(script)).status.code(), Some(code), "{script}");
    }
}

#[test]
fn short_lives_lose_no_output() {
    let lab = lab!();
    for number in 0..500 {
        let output = lab.run(&lab.job_of(process(&["echo", &number.to_string()])));

        assert_eq!(text(&output.stdout), format!("{number}\n"), "{}", text(&output.stderr));
        assert_eq!(lab.logged(), format!("{number}\n"));
    }
}

#[test]
fn a_program_that_is_not_there_fails_with_a_whole_error_and_leaves_nothing() {
    let lab = lab!();

    let output = lab.run(&lab.job_of(process(&["no-such-program"])));

    let error = text(&output.stderr);
    assert!(error.starts_with("CommandNotFound: "), "{error}");
    assert!(error.contains("no-such-program"), "{error}");
    let record = lab.record();
    assert_eq!((record.exit.code, record.started_at), (127, None));
    assert!(record.problem.unwrap().contains("no-such-program"));
    assert!(!lab.path("run/attach").exists());
}

#[test]
fn the_container_sees_nothing_of_the_monitors_signals_and_files() {
    let lab = lab!();
    // Signals 1 to 31: the two after these are the C library's own, and it ignores them in whatever
    // it spawns.
    let signals = "sed -n 's/^Sig\\(Blk\\|Ign\\):.*\\(........\\)$/\\1 \\2/p' /proc/self/status";
    let script = format!("{signals}; ls /proc/self/fd | tr '\\n' ' '; umask");

    // The last fd is the directory that `ls` reads.
    let output = lab.run(&lab.job(&script));

    let stdout = text(&output.stdout).replace("Ign 80000000", "Ign 00000000");
    assert_eq!(stdout, "Blk 00000000\nIgn 00000000\n0 1 2 3 0022\n");
}

#[test]
fn input_goes_in_and_ends() {
    let lab = lab!();
    let job = Job { stdin: Stdin::Once, ..lab.job("wc -c; echo end") };
    let mut child = lab.start(&job);

    child.stdin.take().unwrap().write_all(&vec![b'x'; 3_000_000]).unwrap();

    let output = child.wait_with_output().unwrap();
    assert_eq!(text(&output.stdout), "3000000\nend\n", "{}", text(&output.stderr));
}

#[test]
fn a_slow_reader_gets_every_byte() {
    let lab = lab!();
    let mut child = lab.start(&lab.job("head -c 5000000 /dev/zero"));
    let mut stdout = child.stdout.take().unwrap();
    let (mut total, mut piece) = (0, [0; 100_000]);

    loop {
        match stdout.read(&mut piece).unwrap() {
            0 => break,
            count => total += count,
        }
        std::thread::sleep(Duration::from_millis(5));
    }

    assert_eq!(total, 5_000_000);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn signals_to_the_command_are_the_containers() {
    let lab = lab!();
    let script = "trap 'echo got it; exit 5' TERM; echo ready; while :; do sleep 0.05; done";
    let mut child = lab.start(&lab.job(script));
    let mut ready = [0; 6];
    child.stdout.as_mut().unwrap().read_exact(&mut ready).unwrap();

    signal(child.id(), "TERM");

    let output = child.wait_with_output().unwrap();
    assert_eq!((text(&output.stdout), output.status.code()), ("got it\n".into(), Some(5)));
}

#[test]
fn a_reader_that_goes_away_is_noticed() {
    let lab = lab!();
    let mut child = lab.start(&lab.job("trap 'exit 3' TERM; while :; do echo y; done"));
    let mut first = [0; 2];
    child.stdout.as_mut().unwrap().read_exact(&mut first).unwrap();

    drop(child.stdout.take());

    assert_eq!(child.wait().unwrap().code(), Some(141));
    assert_eq!(lab.record().exit.code, 3);
}

#[test]
fn who_asks_whether_a_monitor_lives_does_not_keep_it_from_living() {
    let lab = lab!();
    let job = lab.job("exit 5");
    let asks = Lock::acquire(&lab.path("run/lock"), Sharing::Shared).unwrap();

    let mut child = lab.start(&job);
    // As long as one who asks may be kept from going on by others.
    std::thread::sleep(Duration::from_millis(1500));
    drop(asks);

    assert_eq!(child.wait().unwrap().code(), Some(5));
    assert_eq!(lab.record().exit.code, 5);
}

#[test]
fn a_terminal_echoes_resizes_and_lets_go() {
    let lab = lab!();
    let mut process = process(&["sh"]);
    process.terminal = true;
    let job = Job { terminal: true, stdin: Stdin::Once, ..lab.job_of(process) };
    let mut terminal = Terminal::start(&lab.command(&job)).unwrap();

    terminal.expect("# ");
    terminal.send("stty size; echo $((40 + 2))\r").expect("24 80");
    terminal.expect("42");
    terminal.resize(50, 132).unwrap();
    // The size goes another way than the keys. What is typed is shown too, so it says 132 otherwise.
    let until =
        "until test \"$(stty size)\" = \"50 $((130 + 2))\"; do usleep 10000; done; stty size\r";
    terminal.send(until).expect("50 132");
    terminal.send("\x10\x11");
    assert_eq!(terminal.end(), 0);
    assert!(terminal.transcript().contains("Detached"), "{}", terminal.transcript());

    let mut command = Command::new(driver());
    command.arg("attach").arg(lab.path("run"));
    let mut again = Terminal::start(&command).unwrap();
    again.send("\r").expect("# ");
    again.send("exit 9\r");
    assert_eq!(again.end(), 9);
    assert_eq!(lab.record().exit.code, 9);
}

#[test]
fn a_killed_command_leaves_the_container_and_its_cleanup_to_the_monitor() {
    let lab = lab!();
    let done = lab.path("cleaned");
    let cleanup = ["touch".into(), done.clone().into_os_string()].to_vec();
    let job = Job { cleanup: Some(cleanup), ..lab.job("sleep 0.5; echo late; exit 6") };
    let mut child = lab.start(&job);
    lab.wait_until_started();

    child.kill().unwrap();
    child.wait().unwrap();
    let record = wait_for_exit(&lab.path("run"), &lab.path("exit.json")).unwrap();

    assert_eq!(record.exit.code, 6);
    assert_eq!(lab.logged(), "late\n");
    let cleaned = need::eventually(Duration::from_secs(5), || done.exists().then_some(()));
    assert!(cleaned.is_some(), "the cleanup ran");
}

#[test]
fn a_command_that_stays_cleans_up_itself() {
    let lab = lab!();
    let done = lab.path("cleaned");
    let cleanup = ["touch".into(), done.clone().into_os_string()].to_vec();

    lab.run(&Job { cleanup: Some(cleanup), ..lab.job("exit 0") });
    std::thread::sleep(Duration::from_millis(200));

    assert!(!done.exists());
}

#[test]
fn a_detached_container_outlives_its_command_and_holds_nothing_of_it() {
    let lab = lab!();
    let job = Job { attached: false, ..lab.job("sleep 0.3; echo on; exit 2") };
    let begun = Instant::now();

    // A pipe that anybody else held would not come to its end.
    let output = lab.run(&job);

    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(begun.elapsed() < Duration::from_millis(250), "took {:?}", begun.elapsed());
    let record = wait_for_exit(&lab.path("run"), &lab.path("exit.json")).unwrap();
    assert_eq!((record.exit.code, lab.logged()), (2, "on\n".to_owned()));
}

#[test]
fn a_killed_monitor_can_be_told_from_a_living_one_and_names_its_orphan() {
    let lab = lab!();
    lab.run(&Job { attached: false, ..lab.job("exec sleep 1000") });
    let started = lab.wait_until_started();
    assert!(is_alive(&lab.path("run")).unwrap());

    signal(u32::try_from(started.monitor_pid).unwrap(), "KILL");

    let dead = need::eventually(Duration::from_secs(5), || {
        (!is_alive(&lab.path("run")).unwrap()).then_some(())
    });
    assert!(dead.is_some());
    assert!(Client::connect(&lab.path("run")).unwrap().is_none());
    assert!(wait_for_exit(&lab.path("run"), &lab.path("exit.json")).is_err());
    assert_eq!(dhow_sys::process::start_time(started.pid).unwrap(), started.start_time);
    signal(u32::try_from(started.pid).unwrap(), "KILL");
    let spec: Spec = default_spec();
    let (id, bundle) = (lab.id.as_str(), lab.directory.path());
    let driver = &dhow_runtime::Driver::Files;
    dhow_runtime::delete(&dhow_runtime::Leftovers { id, spec: &spec, driver, bundle }).unwrap();
}

#[test]
fn more_processes_have_monitors_of_their_own() {
    let lab = lab!();
    lab.run(&Job { attached: false, ..lab.job("exec sleep 1000") });

    let output = lab.run(&lab.exec_job("echo in; ps | wc -l; exit 4"));
    let missing = lab.run(&{
        let mut job = lab.exec_job("");
        if let Task::Exec(exec) = &mut job.task {
            exec.process = process(&["no-such-program"]);
        }
        job
    });

    assert_eq!(text(&output.stdout).lines().next(), Some("in"), "{}", text(&output.stderr));
    assert_eq!(output.status.code(), Some(4));
    assert!(text(&missing.stderr).starts_with("CommandNotFound: "), "{}", text(&missing.stderr));
    assert!(is_alive(&lab.path("run")).unwrap(), "the container goes on");
}

#[test]
fn an_idle_monitor_costs_little_memory() {
    let lab = lab!();
    lab.run(&Job { attached: false, ..lab.job("echo on; exec sleep 1000") });
    let started = lab.wait_until_started();
    std::thread::sleep(Duration::from_millis(1500));

    let rollup = fs::read_to_string(format!("/proc/{}/smaps_rollup", started.monitor_pid)).unwrap();

    let kib = |field: &str| {
        let line = rollup.lines().find(|line| line.starts_with(field)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
    };
    assert!(kib("Anonymous:") <= 120, "{rollup}");
    assert!(kib("Rss:") <= 800, "what is shared with other monitors\n{rollup}");
}

fn signal(pid: u32, name: &str) {
    let status = Command::new("kill").arg(format!("-{name}")).arg(pid.to_string()).status();
    assert!(status.unwrap().success());
}
