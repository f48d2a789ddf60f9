//! Drives a monitor as the command line does, for the tests: `drive JOB.json` starts the job and, if
//! it says so, stays attached; `drive attach DIRECTORY` joins a session with a terminal.
//!
//! It is the binary that becomes the monitor, so the tests try the real exec, fork and role.

use dhow_monitor::{Client, DetachKeys, Job, Outcome, ROLE, Session, Signals, WaitingMonitor};
use std::{env, os::fd::AsFd, path::Path, process::ExitCode};

fn main() -> ExitCode {
    let words: Vec<String> = env::args().collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        [ROLE, ..] => dhow_monitor::main(),
        [_, "attach", directory] => attach(Path::new(directory)),
        [_, job] => run(Path::new(job)),
        _ => ExitCode::from(2),
    }
}

#[expect(clippy::print_stderr, clippy::print_stdout, reason = "a command of the tests")]
fn run(path: &Path) -> ExitCode {
    let bytes = std::fs::read(path).expect("the test wrote the job");
    let job: Job = serde_json::from_slice(&bytes).expect("the test wrote a job");
    let monitor = WaitingMonitor::start().expect("a monitor starts");
    let mut client = monitor.take_job(&job).expect("it takes its job");
    match client.started() {
        Err(error) => {
            eprintln!("{:?}: {}", error.kind(), error.one_line());
            ExitCode::from(125)
        }
        Ok(started) if !job.attached => {
            println!("{} {}", started.pid, started.monitor_pid);
            ExitCode::SUCCESS
        }
        Ok(_) => {
            let has_input = job.stdin != dhow_monitor::Stdin::Null;
            session(client, job.terminal, has_input)
        }
    }
}

fn attach(directory: &Path) -> ExitCode {
    let mut client =
        Client::connect(directory).expect("a directory").expect("a monitor that lives");
    client.attach().expect("a monitor that listens");
    client.started().expect("a monitor that answers");
    session(client, true, true)
}

#[expect(clippy::print_stderr, reason = "a command of the tests")]
fn session(client: Client, terminal: bool, has_input: bool) -> ExitCode {
    let (stdin, stdout, stderr) = (std::io::stdin(), std::io::stdout(), std::io::stderr());
    let session = Session {
        input: has_input.then(|| stdin.as_fd()),
        output: stdout.as_fd(),
        errors: stderr.as_fd(),
        terminal,
        detach_keys: DetachKeys::default(),
        signals: Signals::PassOn,
    };
    match session.run(client) {
        Ok(Outcome::Exited(exit, _)) => ExitCode::from(exit.code),
        Ok(Outcome::OutputClosed(mut client)) => {
            client.signal(15).expect("a monitor that listens");
            drop(client.wait());
            ExitCode::from(141)
        }
        Ok(outcome) => {
            eprintln!("{outcome:?}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{}", error.one_line());
            ExitCode::from(125)
        }
    }
}
