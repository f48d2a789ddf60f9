//! `cargo xtask`: what developers and the automatic check run on this workspace.
//!
//! Nothing here is in the product. A task reads the workspace, does one thing, prints what it found
//! and says by its exit code whether that is well: 0 if so, 1 if not.

mod bench;
mod lab;
mod machine;
#[cfg(target_arch = "x86_64")]
mod order;
mod reference;
mod suite;
mod tidy;
mod workspace;

use clap::Parser;
use dhow_base::{Doing, Result};
use std::{
    io::{self, Write},
    process::ExitCode,
};
use workspace::Workspace;

/// Work on dhow
#[derive(Debug, Parser)]
#[command(name = "cargo xtask")]
enum Task {
    /// Install what the tests need, build the release binary and run every test
    Test(suite::TestArgs),
    /// Check the rules of the house that no compiler checks
    Tidy,
    /// Write manual pages, completions and the command reference into docs/
    Gen,
    /// Measure dhow in pairs against whichever of its peers is installed
    Bench(bench::BenchArgs),
    /// Trace what the runtime's commands run, and write it down for the linker
    #[cfg(target_arch = "x86_64")]
    Order,
    /// Run the tests on other kernels: cgroup version 2 alone, AppArmor, SELinux
    Lab(lab::LabArgs),
    /// Time commands given on standard input (what `bench` runs inside a namespace)
    #[command(hide = true)]
    Measure,
}

fn main() -> ExitCode {
    match run(&Task::parse()) {
        Ok(code) => code,
        Err(error) => {
            complain(&format!("error: {}", error.one_line()));
            if let Some(hint) = error.innermost_hint() {
                complain(&format!("  hint: {hint}"));
            }
            ExitCode::FAILURE
        }
    }
}

fn run(task: &Task) -> Result<ExitCode> {
    match task {
        Task::Test(args) => suite::run(args, &Workspace::find()?),
        Task::Tidy => tidy_up(&Workspace::find()?),
        Task::Gen => reference::generate(&command_line(), &Workspace::find()?.root),
        Task::Bench(args) => bench::run(args),
        #[cfg(target_arch = "x86_64")]
        Task::Order => order::write(&Workspace::find()?),
        Task::Lab(args) => lab::run(args, &Workspace::find()?),
        Task::Measure => bench::measure(),
    }
}

fn tidy_up(workspace: &Workspace) -> Result<ExitCode> {
    let problems = tidy::check(workspace, &command_line())?;
    for problem in &problems {
        say(&problem.to_string())?;
    }
    let verdict = match problems.len() {
        0 => "tidy: nothing to complain about".to_owned(),
        1 => "tidy: 1 problem".to_owned(),
        count => format!("tidy: {count} problems"),
    };
    say(&verdict)?;
    Ok(if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The one place where this program meets the product's code.
fn command_line() -> clap::Command {
    dhow_cli::command()
}

/// Prints a line of a task's result.
fn say(line: &str) -> Result<()> {
    writeln!(io::stdout(), "{line}").doing(|| "write to standard output")
}

/// Says something beside the result. Whoever closed standard error does not want to hear it.
fn complain(line: &str) {
    let _heard = writeln!(io::stderr(), "{line}");
}
