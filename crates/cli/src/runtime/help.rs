//! What `--help` and `--version` print, from the tables.

use super::{
    COMMANDS, Command, GLOBALS,
    grammar::{Flag, Takes},
};
use dhow_spec::runtime::OCI_VERSION;
use std::fmt::Write;

/// The lines that engines read the version, the commit and the specification from. runc's last lines
/// tell what it is made with: dhow makes its filters itself, so there is no libseccomp to name.
pub(super) fn version(name: &str) -> String {
    let commit = option_env!("DHOW_COMMIT").map(|commit| format!("commit: {commit}\n"));
    format!(
        "{name} version {}\n{}spec: {OCI_VERSION}\nrustc: {}\n",
        env!("CARGO_PKG_VERSION"),
        commit.unwrap_or_default(),
        env!("DHOW_RUSTC"),
    )
}

/// The help of the runtime as a whole.
pub(super) fn of_all(name: &str) -> String {
    let mut text = format!(
        "Run containers from OCI bundles\n\nUsage: {name} [global options] command \
         [command options] [arguments...]\n\nCommands:\n"
    );
    let width = COMMANDS.iter().map(|command| command.name.len()).max().unwrap_or(0);
    for command in COMMANDS {
        line(&mut text, command.name, command.about, width);
    }
    text.push_str("\nGlobal options:\n");
    flags(&mut text, &[&GLOBALS]);
    text
}

/// The help of one command.
pub(super) fn of(name: &str, command: &Command) -> String {
    let mut text = format!(
        "{}\n\nUsage: {name} {} [command options] {}\n\nOptions:\n",
        command.about, command.name, command.arguments
    );
    flags(&mut text, command.flags);
    text
}

fn flags(text: &mut String, tables: &[&[Flag]]) {
    let shown = || tables.iter().copied().flatten().filter(|flag| !flag.help.is_empty());
    let width = shown().map(|flag| spelling(flag).len()).max().unwrap_or(0).max("--help, -h".len());
    for flag in shown() {
        line(text, &spelling(flag), flag.help, width);
    }
    line(text, "--help, -h", "Print this", width);
}

fn spelling(flag: &Flag) -> String {
    let mut text = format!("--{}", flag.name);
    if !flag.short.is_empty() {
        text = format!("{text}, -{}", flag.short);
    }
    match flag.takes {
        Takes::Nothing => text,
        Takes::Value(what) => format!("{text} {what}"),
    }
}

fn line(text: &mut String, name: &str, what: &str, width: usize) {
    // A string takes every write.
    let _written = writeln!(text, "  {name:width$}  {what}");
}
