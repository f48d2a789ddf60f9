//! `test`: everything that the tests need, then the tests, then one plain closing line.
//!
//! Tests run in the release profile against the release binary: what is tested is what ships. The
//! runner is cargo-nextest where it is installed, else cargo itself.

use crate::{
    lab,
    machine::{self, Install},
    say,
    workspace::Workspace,
};
use dhow_base::{Doing, Error, Kind, Result};
use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    thread,
};

/// Arguments of `cargo xtask test`
#[derive(clap::Args, Debug)]
pub(crate) struct TestArgs {
    /// Run only the tests whose name holds this text
    filter: Option<String>,

    /// Do not install anything; tests that miss a tool are skipped
    #[arg(long)]
    no_install: bool,
}

/// Who runs the tests.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Runner {
    /// cargo-nextest: one closing line, after the output of failed tests, which hold other lines.
    Nextest,
    /// cargo: a closing line for each test program.
    Cargo,
}

/// What became of the tests.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: u64,
}

impl Tally {
    /// The plain closing line.
    pub(crate) fn line(self) -> String {
        format!("{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.passed = self.passed.wrapping_add(other.passed);
        self.failed += other.failed;
        self.skipped += other.skipped;
    }

    /// A test that failed has passed when it was tried again.
    pub(crate) fn forgive_one(&mut self) {
        self.failed = self.failed.saturating_sub(1);
        self.passed = self.passed.wrapping_add(1);
    }

    /// A test that skipped itself counts as passed for the runner, which cannot know better.
    fn without_skips(mut self, skips: u64) -> Self {
        let moved = skips.min(self.passed);
        self.passed -= moved;
        self.skipped += moved;
        self
    }
}

/// Prepares the machine, builds, runs everything and closes with the tally.
pub(crate) fn run(args: &TestArgs, workspace: &Workspace) -> Result<ExitCode> {
    let install = if args.no_install { Install::Forbidden } else { Install::Allowed };
    machine::prepare(install)?;
    let binary = build(&workspace.root)?;
    let notes = tempfile::NamedTempFile::new().doing(|| "make a file for skipped tests")?;
    let verdicts = tempfile::NamedTempFile::new().doing(|| "make a file for verdicts")?;
    let mut tally = Tally::default();
    let mut well = true;
    if args.filter.is_none() {
        well &= follow(&mut doc_tests(&workspace.root), Runner::Cargo, &mut tally)?;
    }
    let runner = if has_nextest() { Runner::Nextest } else { Runner::Cargo };
    let mut tests = match runner {
        Runner::Nextest => nextest(args),
        Runner::Cargo => cargo_test(args),
    };
    tests.current_dir(&workspace.root).env("DHOW_BIN", &binary).env("DHOW_SKIPS", notes.path());
    tests.env("DHOW_CONFORMANCE", verdicts.path());
    // A test that says nothing of networks, and starts dhow in a way of its own, must not change those
    // of the machine either.
    let no_network = tempfile::NamedTempFile::new().doing(|| "make a file of configuration")?;
    std::fs::write(no_network.path(), "[containers]\nnetns = \"none\"\n")
        .doing(|| "write a file of configuration")?;
    tests.env("CONTAINERS_CONF_OVERRIDE", no_network.path());
    well &= follow(&mut tests, runner, &mut tally)?;
    let skips = report_skips(notes.path())?;
    for line in conformance(&read(verdicts.path())?) {
        say(&line)?;
    }
    let mut tally = tally.without_skips(skips);
    if args.filter.is_none() {
        tally.add(lab::as_tests(workspace)?);
    }
    say(&tally.line())?;
    Ok(if well && tally.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Builds the product and returns where the binary is.
pub(crate) fn build(root: &Path) -> Result<PathBuf> {
    let output = Command::new("cargo")
        .args(["build", "--quiet", "--release", "--package", "dhow-cli"])
        .args(["--bin", "dhow", "--message-format", "json-render-diagnostics"])
        .current_dir(root)
        .stderr(Stdio::inherit())
        .output()
        .doing(|| "run cargo build")?;
    if !output.status.success() {
        return Err(Error::new(Kind::Invalid, "build the release binary"));
    }
    let messages = String::from_utf8_lossy(&output.stdout);
    executable(&messages)
        .ok_or_else(|| Error::new(Kind::NotFound, "find the binary that was built"))
}

/// Where cargo puts what it builds.
pub(crate) fn target_directory(root: &Path) -> Result<PathBuf> {
    let binary = build(root)?;
    // <target>/<triple>/release/dhow
    binary.ancestors().nth(3).map(Path::to_owned).ok_or_else(|| {
        Error::new(Kind::NotFound, format!("find the folder of builds above {}", binary.display()))
    })
}

/// What a line of cargo's own test runner counts.
pub(crate) fn count_of_cargo(line: &str) -> Tally {
    count(Runner::Cargo, line)
}

/// Finds the binary in cargo's messages, one JSON object a line.
fn executable(messages: &str) -> Option<PathBuf> {
    let parsed = messages.lines().filter_map(|line| serde_json::from_str(line).ok());
    let mut found = parsed.filter_map(|message: serde_json::Value| {
        let ours = message["target"]["name"] == "dhow";
        message["executable"].as_str().filter(|_| ours).map(PathBuf::from)
    });
    found.next()
}

fn has_nextest() -> bool {
    let mut asked = Command::new("cargo");
    asked.args(["nextest", "--version"]).stdout(Stdio::null()).stderr(Stdio::null());
    asked.status().is_ok_and(|status| status.success())
}

fn nextest(args: &TestArgs) -> Command {
    let mut command = Command::new("cargo");
    command.args(["nextest", "run", "--cargo-quiet", "--release", "--workspace", "--no-fail-fast"]);
    command.args(["--status-level", "retry", "--final-status-level", "flaky"]);
    command.args(&args.filter);
    command
}

fn cargo_test(args: &TestArgs) -> Command {
    let mut command = Command::new("cargo");
    command.args(["test", "--quiet", "--release", "--workspace", "--no-fail-fast"]);
    command.args(["--lib", "--bins", "--tests"]);
    command.args(&args.filter);
    command
}

/// The examples in the documentation. Nextest does not run them.
fn doc_tests(root: &Path) -> Command {
    let mut command = Command::new("cargo");
    command.args(["test", "--quiet", "--release", "--workspace", "--doc", "--no-fail-fast"]);
    command.current_dir(root);
    command
}

/// Runs a test runner, lets its words through and counts by its closing lines.
fn follow(command: &mut Command, runner: Runner, tally: &mut Tally) -> Result<bool> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .doing(|| "start the test runner")?;
    let stderr = child.stderr.take().expect("it was asked for");
    let other = thread::spawn(move || pass_on(stderr, runner, &mut std::io::stderr()));
    let stdout = child.stdout.take().expect("it was asked for");
    tally.add(pass_on(stdout, runner, &mut std::io::stdout()));
    tally.add(other.join().unwrap_or_default());
    Ok(child.wait().doing(|| "wait for the test runner")?.success())
}

fn pass_on(from: impl Read, runner: Runner, to: &mut dyn Write) -> Tally {
    let mut tally = Tally::default();
    let mut reader = BufReader::new(from);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
        // Whoever does not listen any more still gets the exit code.
        let _heard = to.write_all(&line);
        tally.add(count(runner, &String::from_utf8_lossy(&line)));
        line.clear();
    }
    tally
}

/// Reads a runner's closing line.
///
/// ```text
///      Summary [   1.171s] 32 tests run: 31 passed (1 slow), 1 failed, 0 skipped
/// test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.3s
/// ```
fn count(runner: Runner, line: &str) -> Tally {
    let (starts, skipped) = match runner {
        Runner::Nextest => ("Summary [", "skipped"),
        Runner::Cargo => ("test result: ", "ignored"),
    };
    let line = line.trim_start();
    if !line.starts_with(starts) {
        return Tally::default();
    }
    let pieces: Vec<&str> = line.split_whitespace().collect();
    let before = |words: &[&str]| {
        let named = |word: &str| words.contains(&word.trim_end_matches([',', ';']));
        let pairs = pieces.windows(2).filter(|pair| named(pair[1]));
        pairs.filter_map(|pair| pair[0].trim_start_matches('(').parse::<u64>().ok()).sum()
    };
    Tally {
        passed: before(&["passed"]),
        failed: before(&["failed", "timed"]),
        skipped: before(&[skipped]),
    }
}

/// How each runtime did in the conformance suite, and each engine in the daily work; their tests note
/// `runtime end` and `engine name end` in a file.
///
/// ```text
/// conformance: crun: 150 passed, 12 differ as listed
/// conformance: engine podman: 120 passed, 30 differ as listed
/// ```
fn conformance(notes: &str) -> Vec<String> {
    let mut tallies = BTreeMap::<&str, (u64, u64)>::new();
    for (runtime, end) in notes.lines().filter_map(|line| line.rsplit_once(' ')) {
        let tally = tallies.entry(runtime).or_default();
        if end == "passed" {
            tally.0 += 1;
        } else {
            tally.1 += 1;
        }
    }
    let line = |(runtime, (passed, differ))| {
        format!("conformance: {runtime}: {passed} passed, {differ} differ as listed")
    };
    tallies.into_iter().map(line).collect()
}

fn read(notes: &Path) -> Result<String> {
    fs::read_to_string(notes).doing(|| format!("read the notes in {}", notes.display()))
}

/// Prints what tests needed and did not find; returns how many of them there were.
fn report_skips(notes: &Path) -> Result<u64> {
    let text = read(notes)?;
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    for line in &lines {
        say(&format!("skipped: {line}"))?;
    }
    Ok(lines.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_lines_of_both_runners_are_counted() {
        let cargo = "test result: ok. 3 passed; 1 failed; 2 ignored; 0 measured; 9 filtered out";
        let cases = [
            (
                Runner::Nextest,
                "  Summary [   1.171s] 32 tests run: 32 passed, 0 skipped",
                (32, 0, 0),
            ),
            (
                Runner::Nextest,
                "  Summary [ 9s] 7 tests run: 4 passed (1 slow), 2 failed, 1 timed out, 5 skipped",
                (4, 3, 5),
            ),
            (
                Runner::Nextest,
                "Summary [ 1s] 11/31 tests run: 10 passed, 1 failed, 0 skipped",
                (10, 1, 0),
            ),
            (Runner::Nextest, cargo, (0, 0, 0)),
            (Runner::Cargo, cargo, (3, 1, 2)),
            (Runner::Cargo, "a test that says 5 passed", (0, 0, 0)),
        ];
        for (runner, line, (passed, failed, skipped)) in cases {
            let expected = Tally { passed, failed, skipped };
            assert_eq!(count(runner, line), expected, "counting {line:?}");
        }
    }

    #[test]
    fn a_test_that_skipped_itself_did_not_pass() {
        let tally = Tally { passed: 5, failed: 1, skipped: 2 };

        assert_eq!(tally.without_skips(2), Tally { passed: 3, failed: 1, skipped: 4 });
    }

    #[test]
    fn the_part_of_each_runtime_is_told() {
        let notes = "runc passed\ncrun differs\ncrun passed\ncrun passed\nengine podman passed\n";

        let lines = conformance(notes);

        assert_eq!(
            lines,
            [
                "conformance: crun: 2 passed, 1 differ as listed",
                "conformance: engine podman: 1 passed, 0 differ as listed",
                "conformance: runc: 1 passed, 0 differ as listed",
            ]
        );
    }

    #[test]
    fn the_binary_is_found_in_cargos_messages() {
        let messages = r#"{"reason":"compiler-artifact","target":{"name":"dhow_cli"},"executable":null}
{"reason":"compiler-artifact","target":{"name":"dhow"},"executable":"/t/release/dhow"}
{"reason":"build-finished","success":true}"#;

        assert_eq!(executable(messages), Some(PathBuf::from("/t/release/dhow")));
    }
}
