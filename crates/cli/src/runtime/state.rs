//! `state`: what the specification asks of it, and what runc adds.

use super::{Call, Command, Touches, grammar::Stop};
use crate::exit::{FAILURE, SUCCESS};
use dhow_base::{Error, Kind, Result};
use dhow_runtime::shelf::{Outline, Shelf};
use dhow_spec::runtime::{State, Status};
use serde::Serialize;
use std::{collections::BTreeMap, os::unix::fs::MetadataExt, path::PathBuf};

pub(super) const COMMAND: Command = Command {
    name: "state",
    about: "Print the state of a container as JSON",
    arguments: "ID",
    count: 1..=1,
    flags: &[],
    stop: Stop::Nowhere,
    failure: FAILURE,
    touches: Touches::Nothing,
    act,
};

fn act(call: &Call<'_>) -> Result<u8> {
    let (outline, state) = call.shelf.state(call.words.id()?)?;
    let text = serde_json::to_string_pretty(&Shown::new(&call.shelf, outline, state))
        .map_err(|error| Error::new(Kind::Internal, "write the state").because(error))?;
    call.console.print(format!("{text}\n"))?;
    Ok(SUCCESS)
}

/// A container as `state` and `list` show it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Shown {
    pub(super) oci_version: String,
    pub(super) id: String,
    /// 0 where it has none.
    pub(super) pid: i32,
    pub(super) status: Status,
    pub(super) bundle: PathBuf,
    pub(super) rootfs: PathBuf,
    pub(super) created: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) annotations: BTreeMap<String, String>,
    pub(super) owner: String,
}

impl Shown {
    pub(super) fn new(shelf: &Shelf, outline: Outline, state: State) -> Self {
        Self {
            owner: owner(shelf, &outline.id),
            rootfs: outline.rootfs(),
            oci_version: state.oci_version,
            id: outline.id,
            pid: state.pid.unwrap_or(0),
            status: state.status,
            bundle: outline.bundle,
            created: outline.created,
            annotations: state.annotations,
        }
    }
}

/// Who owns the record: a name of this machine's, or a number.
fn owner(shelf: &Shelf, id: &str) -> String {
    let directory = shelf.directory(id).ok();
    let Some(status) = directory.and_then(|at| std::fs::metadata(at).ok()) else {
        return String::new();
    };
    let uid = status.uid();
    if uid == 0 {
        return "root".to_owned();
    }
    let accounts = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    name_of(uid, &accounts).map_or_else(|| format!("#{uid}"), str::to_owned)
}

fn name_of(uid: u32, accounts: &str) -> Option<&str> {
    accounts.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_found_by_its_number() {
        let accounts = "root:x:0:0:::\nbad line\nme:x:1000:7:::\n";

        assert_eq!(name_of(1000, accounts), Some("me"));
        assert_eq!(name_of(7, accounts), None);
    }
}
