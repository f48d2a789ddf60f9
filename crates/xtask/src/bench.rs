//! `bench`: dhow and its peers, side by side in one run, on the same image from the same registry.
//!
//! Machines differ and are noisy, so a number alone says nothing: in every round each contender
//! runs once, in an order that turns from round to round, and what counts is the ratio of the
//! medians. A peer that is not installed, or does not work here, is named as missing and never
//! guessed. What is measured is the wall time of the whole command.

mod containerd;
mod docker;
mod field;
mod report;
mod runtimes;
mod stopwatch;

use crate::{complain, say, suite, workspace::Workspace};
use clap::ValueEnum;
use dhow_base::{Error, Kind, Result};
use field::{Contender, Field, ROUND, Row, Step};
use report::{Machine, Report, RowReport};
use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};
use stopwatch::{Spent, Timed};

pub(crate) use runtimes::Runtime;
pub(crate) use stopwatch::measure;

/// Arguments of `cargo xtask bench`
#[derive(clap::Args, Debug)]
pub(crate) struct BenchArgs {
    /// The rows to measure; all of them where none is named
    #[arg(value_enum, value_name = "ROW")]
    rows: Vec<RowName>,

    /// Rounds a row, in each of which every contender runs once
    #[arg(long)]
    pairs: Option<usize>,

    /// Measure this binary instead of building one
    #[arg(long, value_name = "FILE")]
    dhow: Option<PathBuf>,

    /// How to print the results
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

/// How results are printed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Format {
    /// A table in Markdown
    Table,
    /// One JSON document
    Json,
}

/// What can be measured.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum RowName {
    /// `--version`, the price of starting the program at all
    Version,
    /// `run --rm --network none` of `true` on busybox
    Run,
    /// `exec` of `true` in a running container
    Exec,
    /// `ps` with one running container
    Ps,
    /// `create --network none` on busybox
    Create,
    /// `run --rm --network none` of `true`, a hundred at once
    Crowd,
    /// `ps -a` with 150 containers
    PsMany,
    /// `ps -a` with 5,000 containers, without peers
    PsCrowd,
    /// `logs` of a container that has printed half a gigabyte
    Logs,
    /// `run --rm -p 8080:80` of `true`, on each engine's usual bridge
    Published,
    /// `start` of a container on the usual bridge with a published port, on it alone, and on none, without
    /// peers: what a network costs at the beginning of a life
    NetworkSetup,
    /// `rm -f` of such containers that run: what it costs at the end
    NetworkTeardown,
    /// 8 GiB through a published port, from the host's other side, by iperf3
    Throughput,
    /// 8 GiB from the host over each engine's bridge, by iperf3
    Bridge,
    /// `pull` of an image of more than 400 MB from a registry on loopback
    Pull,
    /// `pull` of that image from a layout in a directory, without a registry
    Unpack,
    /// `push` of that image into a repository that has nothing of it
    Push,
    /// `push` of that image into a repository that has all of it
    PushFull,
    /// `rmi` of that image, the only one there
    Rmi,
    /// `images` with 1,000 images
    Images,
    /// The same image from one registry to another
    Copy,
    /// The runtimes alone: create, start and delete of `true`
    Runtime,
    /// The runtimes alone: `exec` of `true` in a running container
    RuntimeExec,
    /// The runtimes alone: `state`
    RuntimeState,
    /// The runtimes alone: `kill` with a signal that changes nothing
    RuntimeKill,
    /// The runtimes alone: `ps`
    RuntimePs,
    /// The runtimes alone: `list` with one container
    RuntimeList,
    /// The runtimes alone: 200 containers, 8 at a time
    Storm,
}

impl RowName {
    fn rounds(self) -> usize {
        match self {
            Self::Run | Self::Exec | Self::Ps | Self::Create | Self::PsMany | Self::PsCrowd => 20,
            Self::Published => 20,
            Self::NetworkSetup | Self::NetworkTeardown => 100,
            Self::Crowd | Self::Logs | Self::Throughput | Self::Bridge => 3,
            Self::Pull | Self::Unpack | Self::Push | Self::Rmi | Self::Copy | Self::Storm => 3,
            Self::PushFull => 3,
            Self::Images => 10,
            _ => 50,
        }
    }

    fn warm_up(self) -> usize {
        match self {
            Self::Pull | Self::Unpack | Self::Push | Self::PushFull => 1,
            Self::Rmi | Self::Images | Self::Copy => 1,
            Self::Storm => 0,
            Self::Crowd | Self::Logs | Self::Throughput | Self::Bridge => 1,
            _ => 3,
        }
    }

    /// Whether its containers are still there when it is measured.
    pub(crate) fn leaves_containers(self) -> bool {
        matches!(self, Self::Exec | Self::Ps | Self::Create)
            || matches!(self, Self::PsMany | Self::PsCrowd | Self::Logs)
    }

    /// Whether engines take part, and not only runtimes.
    pub(crate) fn is_of_engines(self) -> bool {
        !matches!(
            self,
            Self::Copy
                | Self::Runtime
                | Self::RuntimeExec
                | Self::RuntimeState
                | Self::RuntimeKill
                | Self::RuntimePs
                | Self::RuntimeList
                | Self::Storm
        )
    }

    /// Whether other engines do the same.
    pub(crate) fn has_peers(self) -> bool {
        let is_alone = matches!(self, Self::PsCrowd | Self::NetworkSetup | Self::NetworkTeardown);
        self.is_of_engines() && !is_alone
    }

    /// As it is written on the command line.
    fn name(self) -> String {
        let value = self.to_possible_value().expect("no row is hidden");
        value.get_name().to_owned()
    }
}

/// Measures the rows and prints what came out. Fails where dhow itself failed.
pub(crate) fn run(args: &BenchArgs) -> Result<ExitCode> {
    if args.pairs == Some(0) {
        return Err(Error::new(Kind::Invalid, "measure 0 pairs"));
    }
    // Where a binary is named, no sources are needed: in a chroot of other peers there are none.
    let dhow = match &args.dhow {
        Some(binary) => binary.clone(),
        None => suite::build(&Workspace::find()?.root)?,
    };
    let mut machine = Machine::look(&dhow);
    let mut field = Field::open(&dhow)?;
    let all = RowName::value_variants();
    let names = if args.rows.is_empty() { all } else { &args.rows };
    let mut rows = Vec::new();
    for name in names {
        complain(&format!("measuring {}", name.name()));
        let row = field.row(*name)?;
        let rounds = args.pairs.unwrap_or_else(|| name.rounds());
        rows.push(measure_row(&mut field, &row, rounds, name.warm_up())?);
        field.close_row(&row);
    }
    machine.look_again();
    let report = Report { machine, rows };
    let text = match args.format {
        Format::Table => report.table(),
        Format::Json => report.json(),
    };
    say(text.trim_end())?;
    Ok(if report.dhow_worked() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn measure_row(field: &mut Field, row: &Row, rounds: usize, warm_up: usize) -> Result<RowReport> {
    let mut report = RowReport::new(row.name.name(), row.missing.clone());
    let mut running: Vec<&Contender> = row.contenders.iter().collect();
    for _ in 0..warm_up {
        let mut working = Vec::new();
        for contender in running {
            match attempt(field, contender)? {
                Ok(_) => working.push(contender),
                Err(said) => report.leave_out(&contender.name, &said),
            }
        }
        running = working;
    }
    for round in 0..rounds {
        for contender in in_turn(&running, round) {
            match attempt(field, contender)? {
                Ok(spent) => report.add(&contender.name, spent),
                Err(said) => {
                    report.leave_out(&contender.name, &format!("round {}: {said}", round + 1));
                }
            }
        }
    }
    Ok(report)
}

/// Nobody always runs first: every second round goes backwards, and the start moves along.
fn in_turn<'a>(contenders: &[&'a Contender], round: usize) -> Vec<&'a Contender> {
    let mut order = contenders.to_vec();
    if round % 2 == 1 {
        order.reverse();
    }
    if !order.is_empty() {
        let start = (round / 2) % order.len();
        order.rotate_left(start);
    }
    order
}

/// Goes through a contender's steps; the sum of the timed ones, or what a command said that failed.
fn attempt(field: &mut Field, contender: &Contender) -> Result<std::result::Result<Spent, String>> {
    let number = field.next_number().to_string();
    let fill = |words: &[String]| -> Vec<String> {
        words.iter().map(|word| word.replace(ROUND, &number)).collect()
    };
    let mut sum = Spent::default();
    for step in &contender.steps {
        match step {
            Step::Prepare(words) => drop(field.time(contender.place, &fill(words))?),
            Step::AwaitEnd(path) => stopwatch::await_end(Path::new(&path.replace(ROUND, &number)))?,
            Step::Time(words) => {
                let words = fill(words);
                let Timed { spent, code, said } = field.time(contender.place, &words)?;
                if code != 0 {
                    let last = said.lines().last().unwrap_or_default();
                    return Ok(Err(format!("`{}` ended with {code}: {last}", words.join(" "))));
                }
                sum.took += spent.took;
                sum.cpu += spent.cpu;
            }
        }
    }
    Ok(Ok(sum))
}

#[cfg(test)]
mod tests {
    use super::*;
    use field::Place;

    #[test]
    fn everybody_runs_once_a_round_and_first_in_some_round() {
        let named =
            |name: &str| Contender { name: name.into(), place: Place::Host, steps: Vec::new() };
        let (a, b, c) = (named("a"), named("b"), named("c"));
        let all = [&a, &b, &c];

        let rounds: Vec<String> = (0..6)
            .map(|round| in_turn(&all, round).iter().map(|one| one.name.as_str()).collect())
            .collect();

        assert_eq!(rounds, ["abc", "cba", "bca", "bac", "cab", "acb"]);
    }
}
