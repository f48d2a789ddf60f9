//! `kill -9` at random moments of an operation, again and again: the doctor finds nothing, and the
//! retry succeeds.

use dhow_testkit::{Dhow, OrdinaryUser, Outcome, need};
use std::{
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// Kills of each operation, unless this variable says how many.
const KILLS: u32 = 12;
const KILLS_VARIABLE: &str = "DHOW_TEST_KILLS";

/// Random numbers that are the same every time.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn throw(&mut self) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    /// A moment within a time and a bit beyond.
    fn moment(&mut self, whole: Duration) -> Duration {
        let micros = u64::try_from(whole.as_micros()).unwrap() * 11 / 10 + 1;
        Duration::from_micros(self.throw() % micros)
    }
}

/// Whose commands are killed.
pub(crate) trait Victim {
    fn run(&self, arguments: &[&str]) -> Outcome;
    fn command(&self, arguments: &[&str]) -> Command;
}

impl Victim for Dhow {
    fn run(&self, arguments: &[&str]) -> Outcome {
        Self::run(self, arguments)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        Self::command(self, arguments)
    }
}

impl Victim for OrdinaryUser {
    fn run(&self, arguments: &[&str]) -> Outcome {
        Self::run(self, arguments)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        Self::command(self, self.program(), arguments)
    }
}

/// An operation, what comes before each attempt, and what shows that an attempt has succeeded.
pub(crate) struct Operation<'a> {
    pub(crate) name: &'a str,
    pub(crate) before: &'a dyn Fn(),
    pub(crate) arguments: Vec<String>,
    pub(crate) after: &'a dyn Fn(),
}

fn spawn(dhow: &dyn Victim, arguments: &[String]) -> Child {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut command = dhow.command(&arguments);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

fn run(dhow: &dyn Victim, arguments: &[String]) {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    drop(dhow.run(&arguments).ok());
}

/// Kills the operation again and again; returns how often that came before its end.
fn torment_one(dhow: &dyn Victim, dice: &mut Dice, kills: u32, operation: &Operation<'_>) -> u32 {
    let Operation { name, before, arguments, after } = operation;
    before();
    let start = Instant::now();
    run(dhow, arguments);
    let mut pace = start.elapsed();
    after();
    let mut interrupted = 0;
    // One that takes no longer than its measurement is exact needs more throws until one hits.
    for kill in 0..kills * 8 {
        if kill >= kills && interrupted > 0 {
            break;
        }
        before();
        let mut child = spawn(dhow, arguments);
        std::thread::sleep(dice.moment(pace));
        child.kill().unwrap();
        if child.wait().unwrap().success() {
            // What resumes has less to do than the first attempt had.
            pace = pace * 9 / 10;
        } else {
            interrupted += 1;
        }

        let doctor = dhow.run(&["doctor"]);
        assert_eq!(doctor.stdout, "all is well\n", "{name}, kill {kill}: {}", doctor.stderr);
        // Every other time the retry finds what the killed one left; else it is given up.
        if kill % 2 == 0 {
            before();
            run(dhow, arguments);
            after();
        }
    }
    interrupted
}

/// Kills each operation as often as was asked for. `between` takes away what the last kill of the one
/// before has left.
pub(crate) fn torment(dhow: &dyn Victim, between: &dyn Fn(), operations: &[Operation<'_>]) {
    let mut dice = Dice(20);
    let kills = need::variable(KILLS_VARIABLE).map_or(KILLS, |count| count.parse().unwrap());
    for operation in operations {
        between();
        let interrupted = torment_one(dhow, &mut dice, kills, operation);
        println!("{}: {interrupted} of {kills} kills came before its end", operation.name);
        assert!(interrupted > 0, "{} was interrupted {interrupted} times", operation.name);
    }
}

/// The words of a command.
pub(crate) fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}
