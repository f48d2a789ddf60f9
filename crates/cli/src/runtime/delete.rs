//! `delete`: take away what is left of a container.

use super::{
    Call, Command, Touches,
    grammar::{Flag, Stop, switch},
};
use crate::exit::{FAILURE, SUCCESS};
use dhow_base::Result;
use dhow_runtime::shelf::Force;

pub(super) const COMMAND: Command = Command {
    name: "delete",
    about: "Remove a container that does not run",
    arguments: "ID",
    count: 1..=1,
    flags: &[&FLAGS],
    stop: Stop::Nowhere,
    failure: FAILURE,
    touches: Touches::Nothing,
    act,
};

const FLAGS: [Flag; 1] =
    [switch("force", "f", "Kill it first; a container that is not there is no failure")];

fn act(call: &Call<'_>) -> Result<u8> {
    let force = if call.words.is_on("force") { Force::Kill } else { Force::Refuse };
    delete(call, force).map(|()| SUCCESS)
}

/// Deletes the container, and tells of what goes wrong without being a failure.
pub(super) fn delete(call: &Call<'_>, force: Force) -> Result<()> {
    for warning in call.shelf.delete(call.words.id()?, force)? {
        call.log.warning(&warning.one_line());
    }
    Ok(())
}
