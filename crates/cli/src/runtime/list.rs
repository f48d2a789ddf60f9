//! `list`: all containers of the place for records.

use super::{
    Call, Command, Touches,
    grammar::{Flag, Stop, misused, switch, value},
    state::Shown,
};
use crate::exit::{FAILURE, SUCCESS};
use dhow_base::{Error, Kind, Result};

pub(super) const COMMAND: Command = Command {
    name: "list",
    about: "List the containers of --root",
    arguments: "",
    count: 0..=0,
    flags: &[&FLAGS],
    stop: Stop::Nowhere,
    failure: FAILURE,
    touches: Touches::Nothing,
    act,
};

const FLAGS: [Flag; 2] = [
    value("format", "f", "FORMAT", "Print as table (the default) or json"),
    switch("quiet", "q", "Print ids only"),
];

fn act(call: &Call<'_>) -> Result<u8> {
    let containers = match call.shelf.list() {
        // Nobody has made a container yet.
        Err(error) if error.kind() == Kind::NotFound && call.globals.filled("root").is_none() => {
            Vec::new()
        }
        result => result?,
    };
    let shown: Vec<Shown> = containers
        .into_iter()
        .map(|(outline, state)| Shown::new(&call.shelf, outline, state))
        .collect();
    let text = if call.words.is_on("quiet") {
        shown.iter().map(|one| format!("{}\n", one.id)).collect()
    } else {
        match call.words.filled("format") {
            None | Some("table") => table(&shown),
            Some("json") => json(&shown)?,
            Some(_) => return Err(misused("invalid format option")),
        }
    };
    call.console.print(text)?;
    Ok(SUCCESS)
}

/// As Go writes a list that nobody has put anything in: `null`.
fn json(shown: &[Shown]) -> Result<String> {
    let list = (!shown.is_empty()).then_some(shown);
    let text = serde_json::to_string(&list)
        .map_err(|error| Error::new(Kind::Internal, "write the list").because(error))?;
    Ok(format!("{text}\n"))
}

/// Columns at least twelve wide, three spaces apart.
fn table(shown: &[Shown]) -> String {
    let mut rows = vec![["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"].map(str::to_owned)];
    rows.extend(shown.iter().map(|one| {
        [
            one.id.clone(),
            one.pid.to_string(),
            one.status.to_string(),
            one.bundle.display().to_string(),
            one.created.clone(),
            one.owner.clone(),
        ]
    }));
    let width = |column: usize| {
        rows.iter().map(|row| row[column].chars().count() + 3).max().unwrap_or(0).max(12)
    };
    let widths: [usize; 5] = std::array::from_fn(width);
    let mut text = String::new();
    for row in &rows {
        for (cell, width) in row.iter().zip(widths) {
            text.push_str(&format!("{cell:width$}"));
        }
        text.push_str(&row[5]);
        text.push('\n');
    }
    text
}
