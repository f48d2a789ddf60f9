//! `manifest …`: lists of images for several platforms, put together here.

pub(crate) mod add;
pub(crate) mod annotate;
pub(crate) mod create;
pub(crate) mod exists;
pub(crate) mod inspect;
pub(crate) mod push;
pub(crate) mod remove;
pub(crate) mod rm;
mod said;

use crate::{flags::way::Way, invocation::Invocation};
use dhow_base::Result;
use dhow_image::{End, Images, Place};
use dhow_state::State;

/// The place that a user means: one with a transport, else one of our images, else a registry.
fn place(
    text: &str,
    way: &Way,
    (images, state): (&Images, &State),
    invocation: &Invocation,
) -> Result<End> {
    let place = match Place::parse(text) {
        Ok(place) => place.below(&invocation.directory),
        Err(_) if images.find(state, text)?.is_some() => Place::Local(text.to_owned()),
        Err(_) => Place::Registry(text.to_owned()),
    };
    way.end_at(place, invocation)
}
