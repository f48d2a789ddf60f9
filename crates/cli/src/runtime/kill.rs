//! `kill`: send a signal to a container.

use super::{
    Call, Command, Touches,
    grammar::{Flag, Stop, misused, switch},
};
use crate::exit::{FAILURE, SUCCESS};
use dhow_base::{Kind, Result};
use dhow_runtime::shelf::Message;

pub(super) const COMMAND: Command = Command {
    name: "kill",
    about: "Send a signal to a container's first process",
    arguments: "ID [SIGNAL]",
    count: 1..=2,
    flags: &[&FLAGS],
    stop: Stop::AfterFirst,
    failure: FAILURE,
    touches: Touches::Nothing,
    act,
};

const FLAGS: [Flag; 1] =
    [switch("all", "a", "Obsolete: only that there is no process is no failure with it")];

fn act(call: &Call<'_>) -> Result<u8> {
    let text = call.words.arguments.get(1).map_or("SIGTERM", String::as_str);
    match call.shelf.kill(call.words.id()?, message(text)?) {
        Err(error) if call.words.is_on("all") && error.kind() == Kind::Conflict => Ok(SUCCESS),
        result => result.map(|()| SUCCESS),
    }
}

fn message(text: &str) -> Result<Message> {
    if text == "0" {
        return Ok(Message::Nothing);
    }
    dhow_engine::signal_number(text)
        .and_then(dhow_sys::signal::from_number)
        .map(Message::Signal)
        .ok_or_else(|| misused(format!("unknown signal {text:?}")))
}
