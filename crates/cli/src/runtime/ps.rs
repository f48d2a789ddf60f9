//! `ps`: the processes of a container, as the machine's `ps` shows them. What that shows when it is
//! not told otherwise, [`ps_table`] writes itself.

use super::{
    Call, Command, Touches,
    grammar::{Flag, Stop, misused, value},
    ps_table,
};
use crate::exit::{FAILURE, SUCCESS};
use dhow_base::{Doing, Error, Kind, Result};
use std::process::{Command as Program, Stdio};

pub(super) const COMMAND: Command = Command {
    name: "ps",
    about: "Show the processes of a container",
    arguments: "ID [PS OPTION...]",
    count: 1..=usize::MAX,
    flags: &[&FLAGS],
    stop: Stop::AfterFirst,
    failure: FAILURE,
    touches: Touches::Nothing,
    act,
};

const FLAGS: [Flag; 1] =
    [value("format", "f", "FORMAT", "Print as table (the default) or, numbers only, as json")];

fn act(call: &Call<'_>) -> Result<u8> {
    let pids = call.shelf.processes(call.words.id()?)?;
    let text = match call.words.filled("format") {
        Some("json") => format!("{}\n", serde_json::json!(pids)),
        None | Some("table") => {
            let options = call.words.arguments.get(1..).unwrap_or_default();
            table(&pids, options)?
        }
        Some(_) => return Err(misused("invalid format option")),
    };
    call.console.print(text)?;
    Ok(SUCCESS)
}

/// The table of some processes, with the columns that options of `ps` ask for.
pub(crate) fn table(pids: &[i32], options: &[String]) -> Result<String> {
    match options.is_empty().then(|| ps_table::of(pids)).flatten() {
        Some(table) => Ok(table),
        None => choose(&shown(options)?, pids),
    }
}

/// What the machine's `ps` says of all processes.
fn shown(options: &[String]) -> Result<String> {
    let mut program = Program::new("ps");
    if options.is_empty() {
        program.arg("-ef");
    }
    let output = program.args(options).stdin(Stdio::null()).output().doing(|| "run ps")?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Error::new(Kind::Invalid, format!("run ps: {}: {}", output.status, said.trim())))
}

/// The heading, and the lines whose PID is one of these.
fn choose(table: &str, pids: &[i32]) -> Result<String> {
    let heading = table.lines().next().unwrap_or_default();
    let column = heading
        .split_whitespace()
        .position(|title| title == "PID")
        .ok_or_else(|| misused("couldn't find PID field in ps output"))?;
    let is_meant = |line: &&str| {
        let pid = line.split_whitespace().nth(column).and_then(|field| field.parse().ok());
        pid.is_some_and(|pid: i32| pids.contains(&pid))
    };
    let lines = table.lines().skip(1).filter(is_meant);
    Ok(std::iter::once(heading).chain(lines).map(|line| format!("{line}\n")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_chosen_by_their_number_wherever_that_stands() {
        let table = "UID   PID  CMD\nroot    7  a 8\nroot    8  b\n";

        assert_eq!(choose(table, &[8]).unwrap(), "UID   PID  CMD\nroot    8  b\n");
        assert!(choose("USER CMD\n", &[8]).is_err());
    }
}
