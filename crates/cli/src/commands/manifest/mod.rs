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

/// The place that a user means, reached this way.
fn end(
    text: &str,
    way: &Way,
    (images, state): (&Images, &State),
    invocation: &Invocation,
) -> Result<End> {
    let place = Place::meant(images, state, text)?.below(&invocation.directory);
    way.end_at(place, invocation)
}
