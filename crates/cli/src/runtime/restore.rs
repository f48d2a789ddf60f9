//! `restore`: a container is made again from files, and runs.

use super::{
    Call, Command, Touches,
    checkpoint::{Places, REVIVAL},
    create::{BIRTH, Company, Files, creation, given_paths},
    grammar::{Flag, Stop, value},
    run::{self, STAY},
};
use crate::exit::FAILURE;
use dhow_base::Result;
use dhow_runtime::shelf::Restore;

pub(super) const COMMAND: Command = Command {
    name: "restore",
    about: "Make a container again that was written down, by criu",
    arguments: "ID",
    count: 1..=1,
    flags: &[&BIRTH, &STAY, &REVIVAL, &READING],
    stop: Stop::Nowhere,
    failure: FAILURE,
    touches: Touches::Nothing,
    act,
};

const READING: [Flag; 2] = [
    value("lsm-profile", "", "TYPE:NAME", "Another profile or label of a security module"),
    value("lsm-mount-context", "", "LABEL", "Another SELinux label of mounts"),
];

fn act(call: &Call<'_>) -> Result<u8> {
    let files = Files::given(call)?;
    let places = Places::given(call)?;
    run::stay_with(call, |company: Company| {
        let paths = given_paths(call)?;
        let restore = Restore {
            revival: places.revival(call)?,
            lsm_profile: call.words.filled("lsm-profile"),
            lsm_mount_context: call.words.filled("lsm-mount-context"),
        };
        call.shelf.restore(&creation(call, company, files, &paths)?, &restore)
    })
}
