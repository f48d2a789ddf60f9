//! The OCI runtime's `checkpoint` and `restore`, by a CRIU that works on this kernel.

use crate::bundle::Bundle;
use dhow_testkit::{Outcome, needs, needs_root, needs_tool, outcome, rootfs};
use std::{
    io::{BufRead, BufReader, PipeReader, PipeWriter},
    path::PathBuf,
    process::Command,
};

/// Prints ever larger numbers.
const COUNTER: &str = "i=0; while true; do i=$((i+1)); echo $i; sleep 0.05; done";

/// CRIU, where it finds the kernel good.
fn criu() -> Option<PathBuf> {
    let criu = rootfs::criu().ok()?;
    let checked = outcome::run(Command::new(&criu).arg("check"), b"", outcome::LIMIT).ok()?;
    (checked.code == 0).then_some(criu)
}

/// What a container writes into and reads from: pipes, which CRIU can replace.
struct Streams {
    output: BufReader<PipeReader>,
    _input: PipeWriter,
}

impl Streams {
    /// The next number.
    fn number(&mut self) -> u64 {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim().parse().unwrap_or_else(|_| panic!("{line:?} is no number"))
    }
}

/// Runs a command whose streams a container keeps.
fn run_on_pipes(bundle: &Bundle, words: &[&str]) -> (Streams, i32) {
    let (input, typed) = std::io::pipe().unwrap();
    let (output, printed) = std::io::pipe().unwrap();
    let mut command = bundle.command(words);
    command.stdin(input).stdout(printed.try_clone().unwrap()).stderr(printed);
    let status = command.status().unwrap();
    (Streams { output: BufReader::new(output), _input: typed }, status.code().unwrap_or(-1))
}

fn counter() -> (Bundle, Streams) {
    let bundle = Bundle::new(&["sh", "-c", COUNTER]);
    let id = bundle.id.clone();
    let (streams, code) = run_on_pipes(&bundle, &["run", "--detach", &id]);
    assert_eq!(code, 0);
    (bundle, streams)
}

/// Asks criu, found at `program`, for something.
fn checkpoint(bundle: &Bundle, program: &str, words: &[&str]) -> Outcome {
    let global = ["--criu", program, "checkpoint", "--image-path", "images"];
    bundle.run(&[&global, words, &[&bundle.id]].concat())
}

#[test]
fn a_container_is_written_down_and_goes_on_from_there() {
    needs_root!();
    needs_tool!("mmdebstrap", "busybox");
    let criu = criu();
    needs!(criu.is_some(), "a criu that works on this kernel");
    let criu = criu.unwrap().to_str().unwrap().to_owned();
    let (bundle, mut streams) = counter();
    needs!(bundle.is_ours(), "our own runtime");
    while streams.number() < 3 {}

    drop(checkpoint(&bundle, &criu, &[]).ok());

    assert!(bundle.leftovers().is_empty(), "left behind: {:?}", bundle.leftovers());
    let words = ["--criu", &criu, "restore", "--detach", "--image-path", "images", &bundle.id];
    let (mut streams, code) = run_on_pipes(&bundle, &words);
    let mut said = String::new();
    if code != 0 {
        streams.output.read_line(&mut said).unwrap();
    }
    assert_eq!(code, 0, "{said}");
    let first = streams.number();
    assert!(first > 3, "it began again with {first}");
    assert_eq!(streams.number(), first + 1);
    assert_eq!(bundle.status(), "running");
    let inside = bundle.run(&["exec", &bundle.id, "sh", "-c", "echo $$; hostname"]).ok();
    assert!(inside.stdout.lines().count() == 2, "{inside:?}");
}

#[test]
fn a_container_can_go_on_after_its_checkpoint() {
    needs_root!();
    needs_tool!("mmdebstrap", "busybox");
    let criu = criu();
    needs!(criu.is_some(), "a criu that works on this kernel");
    let (bundle, mut streams) = counter();
    needs!(bundle.is_ours(), "our own runtime");

    drop(checkpoint(&bundle, criu.unwrap().to_str().unwrap(), &["--leave-running"]).ok());

    assert_eq!(bundle.status(), "running");
    let number = streams.number();
    assert_eq!(streams.number(), number + 1);
}

#[test]
fn what_criu_says_against_it_is_what_the_user_reads() {
    needs_root!();
    needs_tool!("mmdebstrap", "busybox");
    let criu = criu();
    needs!(criu.is_some(), "a criu that works on this kernel");
    // A file of the host's as output cannot come along.
    let bundle = Bundle::new(&["sleep", "100"]);
    needs!(bundle.is_ours(), "our own runtime");
    bundle.start();

    let outcome = checkpoint(&bundle, criu.unwrap().to_str().unwrap(), &[]).exits(1);

    let outcome = outcome.says("criu/").says("dump.log");
    assert!(outcome.stderr.contains("checkpoint container"), "{outcome:?}");
    assert_eq!(bundle.status(), "running");
}

#[test]
fn what_cannot_be_is_refused_and_nothing_is_left() {
    needs_root!();
    needs_tool!("busybox");
    let bundle = Bundle::new(&["true"]);
    needs!(bundle.is_ours(), "our own runtime");
    let id = bundle.id.clone();

    let missing = checkpoint(&bundle, "criu", &[]).exits(1);
    drop(missing.says("container does not exist"));
    bundle.create();
    let created = checkpoint(&bundle, "criu", &[]).exits(1);
    drop(created.says("cannot be checkpointed in created state"));
    drop(bundle.run(&["delete", "--force", &id]).ok());
    let sleeper = Bundle::new(&["sleep", "100"]);
    sleeper.start();
    let without = checkpoint(&sleeper, "/no/such/criu", &[]).exits(1);
    drop(without.says("/no/such/criu").says("not installed"));
    assert_eq!(sleeper.status(), "running");

    let nowhere = bundle.run(&["restore", "--image-path", "/no/such/images", &id]).exits(1);
    drop(nowhere.says("/no/such/images"));
    assert!(bundle.leftovers().is_empty(), "left behind: {:?}", bundle.leftovers());
    let mode = checkpoint(&sleeper, "criu", &["--manage-cgroups-mode", "maybe"]).exits(1);
    drop(mode.says("manage-cgroups-mode"));
}
