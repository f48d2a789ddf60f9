//! `pause` and `resume`: stop all processes of a container for a while.

use super::{Call, Command, Touches, grammar::Stop};
use crate::exit::{FAILURE, SUCCESS};

pub(super) const PAUSE: Command = Command {
    name: "pause",
    about: "Stop all processes of a container until they are resumed",
    arguments: "ID",
    count: 1..=1,
    flags: &[],
    stop: Stop::Nowhere,
    failure: FAILURE,
    touches: Touches::Nothing,
    act: |call: &Call<'_>| call.shelf.pause(call.words.id()?).map(|()| SUCCESS),
};

pub(super) const RESUME: Command = Command {
    name: "resume",
    about: "Let all processes of a paused container go on",
    act: |call: &Call<'_>| call.shelf.resume(call.words.id()?).map(|()| SUCCESS),
    ..PAUSE
};
