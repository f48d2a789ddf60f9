//! A monitor in a thread, with a shell in place of a container.

use super::*;
use crate::{
    Client, Driver, Event, Exit, ExitRecord, Home, LogSettings, Run, Task,
    log::{Query, read},
    process,
};
use dhow_base::id::ContainerId;
use rustix::net::{AddressFamily, SocketType};
use std::{path::PathBuf, thread::JoinHandle};

/// A monitor in a thread, with a shell in place of a container.
struct Kept {
    directory: tempfile::TempDir,
    monitor: JoinHandle<bool>,
    client: Client,
}

impl Kept {
    fn start(script: &str, stdin: Stdin, attached: bool) -> Self {
        Self::start_as(script, stdin, attached, |_| {})
    }

    fn start_as(script: &str, stdin: Stdin, attached: bool, change: impl FnOnce(&mut Run)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut job = job_in(directory.path().into(), stdin, attached);
        if let Task::Run(run) = &mut job.task {
            change(run);
        }
        let (ours, theirs) = rustix::net::socketpair(
            AddressFamily::UNIX,
            SocketType::STREAM,
            SocketFlags::CLOEXEC,
            None,
        )
        .unwrap();
        let place = Place {
            door: job.home().map(|home| Door::open(home).unwrap()),
            signals: signal::Reader::new(&[]).unwrap(),
            log: job.log.clone().map(|settings| Writer::open(settings).unwrap()),
        };
        let process = process::tests::shell(script, stdin);
        let started = Started {
            pid: process.pid,
            start_time: 1,
            monitor_pid: 1,
            started_at: 1,
            ports: Vec::new(),
            leases: Vec::new(),
        };
        let monitor = std::thread::spawn(move || {
            let mut starter = Connection::new(theirs, 0, Role::Starter);
            starter.attached = attached;
            Watch::new(&job, process, started, place, starter).run().has_heard
        });
        let mut client = Client::on(ours);
        client.started().unwrap();
        Self { directory, monitor, client }
    }

    fn visitor(&self) -> Client {
        let mut client = Client::connect(self.directory.path()).unwrap().unwrap();
        client.attach().unwrap();
        client.started().unwrap();
        client
    }

    fn logged(&self) -> Vec<u8> {
        let entries = read(&self.directory.path().join("log"), &Query::default()).unwrap();
        entries.flat_map(|entry| entry.unwrap().bytes).collect()
    }

    fn record(&self) -> ExitRecord {
        ExitRecord::read(&self.directory.path().join("exit.json")).unwrap().unwrap()
    }
}

fn job_in(directory: PathBuf, stdin: Stdin, attached: bool) -> Job {
    let log = LogSettings { path: directory.join("log"), files: 1, ..LogSettings::default() };
    Job {
        task: Task::Run(Box::new(Run {
            id: ContainerId::random().unwrap(),
            home: Home { exit_record: directory.join("exit.json"), directory },
            removed_at_end: false,
            leavings: Vec::new(),
            config: PathBuf::new(),
            bundle: PathBuf::new(),
            rootfs: None,
            mountpoint: PathBuf::new(),
            driver: Driver::Files,
            variables: Vec::new(),
            revival: None,
            runtime: None,
            network: None,
        })),
        terminal: false,
        stdin,
        log: Some(log),
        cleanup: None,
        attached,
        time_limit_ms: None,
        health: None,
        handed: crate::Handed::default(),
    }
}

/// All output of one client, and the exit.
fn listen_to_the_end(client: &mut Client) -> (Vec<u8>, Vec<u8>, Exit) {
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    loop {
        match client.next().unwrap() {
            Event::Stdout(bytes) => stdout.extend(bytes),
            Event::Stderr(bytes) => stderr.extend(bytes),
            Event::Exited(exit) => return (stdout, stderr, exit),
            Event::Started(_)
            | Event::StdinTaken(_)
            | Event::Checked(_)
            | Event::NetworksChanged
            | Event::HealthChanged => {}
        }
    }
}

#[test]
fn the_starter_hears_everything_and_cleans_up() {
    let mut kept = Kept::start("echo out; echo err >&2; exit 3", Stdin::Null, true);

    let (stdout, stderr, exit) = listen_to_the_end(&mut kept.client);

    assert_eq!((&stdout[..], &stderr[..], exit.code), (&b"out\n"[..], &b"err\n"[..], 3));
    assert_eq!(kept.record().exit, exit, "the record is there before the exit is heard");
    assert_eq!(kept.logged().len(), 8);
    assert!(kept.monitor.join().unwrap());
    assert!(Client::connect(kept.directory.path()).unwrap().is_none());
    assert!(!crate::is_alive(kept.directory.path()).unwrap());
}

#[test]
fn who_removes_the_container_hears_of_its_end_once_and_after_all_else() {
    for work in ["echo out; exit 3", "(sleep 0.1; echo out) & exit 3"] {
        // It does not end before the visitor is there.
        let script = format!("read line; {work}");
        let mut kept = Kept::start_as(&script, Stdin::Once, true, |run| run.removed_at_end = true);
        let mut visitor = kept.visitor();
        kept.client.send_stdin(b"go\n").unwrap();

        let (stdout, _, exit) = listen_to_the_end(&mut kept.client);

        assert_eq!(kept.client.next().unwrap_err().kind(), Kind::Unavailable, "heard twice");
        assert_eq!(kept.record().exit, exit, "the record is there when the monitor is gone");
        assert_eq!(listen_to_the_end(&mut visitor).2, exit);
        // Another process that holds the output is not waited for.
        assert!(work.starts_with('(') || stdout == b"out\n", "{stdout:?}");
        assert!(kept.monitor.join().unwrap());
        assert!(!crate::is_alive(kept.directory.path()).unwrap());
    }
}

#[test]
fn nobody_has_heard_who_went_before_the_end() {
    let kept = Kept::start("read line; exit 4", Stdin::Once, true);
    let waiter = kept.visitor();

    // With it goes the input, so that the shell does not wait for ever.
    drop(kept.client);

    assert_eq!(waiter.wait().unwrap().code, 4);
    assert!(!kept.monitor.join().unwrap());
}

#[test]
fn who_detaches_leaves_the_input_open_for_the_next() {
    let kept = Kept::start("read line; echo got $line", Stdin::Once, true);
    let mut visitor = kept.visitor();

    kept.client.detach().unwrap();
    std::thread::sleep(Duration::from_millis(50));
    visitor.send_stdin(b"it\n").unwrap();

    assert_eq!(listen_to_the_end(&mut visitor).0, b"got it\n");
    assert!(!kept.monitor.join().unwrap());
}

#[test]
fn input_goes_through_as_fast_as_it_is_read_and_comes_to_its_end() {
    let mut kept = Kept::start("sleep 0.2; wc -c", Stdin::Once, true);
    let total_bytes = 1_000_000;

    let (mut sent_bytes, mut taken_bytes) = (0, 0);
    while taken_bytes < total_bytes {
        let room = (crate::STDIN_WINDOW + taken_bytes - sent_bytes).min(total_bytes - sent_bytes);
        kept.client.send_stdin(&vec![b'x'; room]).unwrap();
        sent_bytes += room;
        if let Event::StdinTaken(count) = kept.client.next().unwrap() {
            taken_bytes += usize::try_from(count).unwrap();
        }
    }
    kept.client.close_stdin().unwrap();

    assert_eq!(listen_to_the_end(&mut kept.client).0, b"1000000\n");
}

#[test]
fn a_signal_passes_input_that_is_not_read() {
    let mut kept = Kept::start("exec sleep 100", Stdin::Open, true);
    for _ in 0..2 {
        kept.client.send_stdin(&[b'x'; 30_000]).unwrap();
    }

    kept.client.signal(15).unwrap();

    assert_eq!(listen_to_the_end(&mut kept.client).2.code, 143);
}

#[test]
fn a_client_that_breaks_the_rules_loses_its_connection_and_nothing_else() {
    let mut kept = Kept::start("read line; echo $line", Stdin::Open, true);
    let mut greedy = kept.visitor();
    for _ in 0..4 {
        // The pipe takes 64 KiB, and as much again may wait.
        let _refused = greedy.send_stdin(&[b'x'; 64_000]);
    }
    let mut confused = kept.visitor();
    let _refused = confused.send(&Frame::StdinTaken(1));

    assert!(listen_until_gone(&mut greedy) && listen_until_gone(&mut confused));
    kept.client.signal(9).unwrap();
    assert_eq!(listen_to_the_end(&mut kept.client).2.code, 137);
}

fn listen_until_gone(client: &mut Client) -> bool {
    loop {
        match client.next() {
            Ok(Event::Exited(_)) => return false,
            Ok(_) => {}
            Err(_) => return true,
        }
    }
}

#[test]
fn a_slow_starter_holds_the_process_back_and_loses_nothing() {
    let mut kept = Kept::start("head -c 20000000 /dev/zero; echo done >&2", Stdin::Null, true);
    std::thread::sleep(Duration::from_millis(300));
    let logged_bytes = kept.logged().len();
    assert!(logged_bytes < 2_000_000, "{logged_bytes} bytes were taken from the process");

    let (stdout, stderr, exit) = listen_to_the_end(&mut kept.client);

    assert_eq!((stdout.len(), &stderr[..], exit.code), (20_000_000, &b"done\n"[..], 0));
    assert_eq!(kept.logged().len(), 20_000_005);
}

#[test]
fn output_outlives_the_process_in_the_pipe_and_reaches_a_late_reader() {
    let mut kept = Kept::start("head -c 60000 /dev/zero; exit 1", Stdin::Null, true);
    std::thread::sleep(Duration::from_millis(300));

    assert_eq!(kept.record().exit.code, 1, "a slow reader does not delay the record");
    assert_eq!(listen_to_the_end(&mut kept.client).0.len(), 60_000);
}

#[test]
fn a_stream_that_somebody_else_holds_is_not_waited_for() {
    let script = "sleep 5 & echo $!; echo early; exit 0";
    let mut kept = Kept::start(script, Stdin::Null, true);
    let begun = Instant::now();

    let (stdout, _, _) = listen_to_the_end(&mut kept.client);

    assert!(String::from_utf8(stdout).unwrap().ends_with("early\n"));
    assert!(begun.elapsed() < Duration::from_secs(3), "took {:?}", begun.elapsed());
}

#[test]
fn short_lives_lose_no_output() {
    for number in 0..300 {
        let mut kept =
            Kept::start(&format!("echo {number}; echo e{number} >&2"), Stdin::Null, true);

        let (stdout, stderr, _) = listen_to_the_end(&mut kept.client);

        assert_eq!(stdout, format!("{number}\n").as_bytes());
        assert_eq!(stderr, format!("e{number}\n").as_bytes());
    }
}

#[test]
fn a_follower_reads_the_log_to_the_end() {
    let kept = Kept::start("for n in 1 2 3; do echo $n; sleep 0.1; done", Stdin::Null, false);
    let path = kept.directory.path().join("log");
    let query = Query { follow: Some(kept.directory.path().to_owned()), ..Query::default() };

    let bytes: Vec<u8> =
        read(&path, &query).unwrap().flat_map(|entry| entry.unwrap().bytes).collect();

    assert_eq!(bytes, b"1\n2\n3\n");
    assert_eq!(kept.client.wait().unwrap().code, 0);
}

#[test]
fn whoever_waits_hears_and_whoever_comes_later_reads() {
    let kept = Kept::start("sleep 0.1; exit 9", Stdin::Null, false);
    let (directory, record) =
        (kept.directory.path().to_owned(), kept.directory.path().join("exit.json"));

    let heard = crate::wait_for_exit(&directory, &record).unwrap();
    kept.monitor.join().unwrap();
    let read = crate::wait_for_exit(&directory, &record).unwrap();

    assert_eq!((heard.exit.code, &heard), (9, &read));
}

/// A container that leaves two directories, besides that in which its monitor lives.
fn kept_with_leavings(script: &str, leavings: &[PathBuf]) -> Kept {
    for directory in leavings {
        std::fs::create_dir_all(directory.join("below")).unwrap();
    }
    Kept::start_as(script, Stdin::Once, true, |run| {
        run.removed_at_end = true;
        run.leavings = leavings.to_vec();
        run.leavings.push(run.home.directory.clone());
    })
}

#[test]
fn what_a_container_leaves_goes_when_the_client_says_so() {
    let place = tempfile::tempdir().unwrap();
    let leavings = [place.path().join("snapshot"), place.path().join("container")];
    let mut kept = kept_with_leavings("exit 3", &leavings);
    let (_, _, exit) = listen_to_the_end(&mut kept.client);
    assert_eq!(exit.code, 3);
    assert!(leavings.iter().all(|directory| directory.exists()), "the rows are still there");

    kept.client.erase();

    assert!(kept.monitor.join().unwrap());
    assert!(!leavings.iter().any(|directory| directory.exists()));
    assert!(!kept.directory.path().exists());
}

#[test]
fn what_a_container_leaves_stays_when_the_client_goes_without_a_word() {
    let place = tempfile::tempdir().unwrap();
    let leavings = [place.path().join("snapshot")];
    let mut kept = kept_with_leavings("exit 3", &leavings);
    listen_to_the_end(&mut kept.client);

    drop(kept.client);

    assert!(kept.monitor.join().unwrap());
    assert!(leavings[0].join("below").exists());
    assert!(kept.directory.path().exists());
}
