//! `start`: run the program of a created container.

use super::{Call, Command, Touches, grammar::Stop, notify::Relay};
use crate::exit::{FAILURE, SUCCESS};
use dhow_base::Result;

pub(super) const COMMAND: Command = Command {
    name: "start",
    about: "Run the program of a created container",
    arguments: "ID",
    count: 1..=1,
    flags: &[],
    stop: Stop::Nowhere,
    failure: FAILURE,
    touches: Touches::Nothing,
    act,
};

fn act(call: &Call<'_>) -> Result<u8> {
    let id = call.words.id()?;
    let Some(host) = &call.environment.notify_socket else {
        return call.shelf.start(id).map(|()| SUCCESS);
    };
    // Before the start, so that the handle is on the container's process and no later one.
    let process = call.shelf.watch(id)?;
    let pid = call.shelf.state(id)?.1.pid.unwrap_or(0);
    let relay = Relay::bind(&call.shelf.directory(id)?, host, pid)?;
    call.shelf.start(id)?;
    relay.wait(&process)?;
    Ok(SUCCESS)
}
