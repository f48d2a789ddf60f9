//! `rmi`: take names from images, and remove those that have none left.

use super::several;
use crate::{invocation::Invocation, tree::Act};
use dhow_base::{Kind, Result};
use dhow_image::Removed;

/// Remove images
///
/// A name is taken away; with its last name an image goes too, unless a container is made of it.
#[derive(clap::Args, Debug)]
pub(crate) struct Rmi {
    /// The images, by name or id
    #[arg(required_unless_present = "all", value_name = "IMAGE")]
    images: Vec<String>,

    /// Remove all images
    #[arg(short, long, conflicts_with = "images")]
    all: bool,

    /// Remove all names of an image at once; an image that is not there is no error
    #[arg(short, long)]
    force: bool,

    /// An image that is not there is no error
    #[arg(short, long)]
    ignore: bool,
}

impl Act for Rmi {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let mut engine = invocation.engine()?;
        let (images, state) = engine.images();
        let chosen = if self.all {
            images.outlines(state)?.into_iter().map(|image| image.id.to_string()).collect()
        } else {
            self.images
        };
        let force = self.force || self.all;
        several::each_removed(invocation, &chosen, |name| {
            match images.remove(state, &[name.to_owned()], force) {
                Ok(all) => all.iter().try_for_each(|removed| say(removed, invocation)),
                // What is wanted gone is gone, whoever did it.
                Err(error) if error.kind() == Kind::NotFound && (force || self.ignore) => Ok(()),
                Err(error) => Err(error),
            }
            .map(|()| None)
        })
    }
}

pub(super) fn say(removed: &Removed, invocation: &Invocation) -> Result<()> {
    let console = invocation.console;
    for name in &removed.untagged {
        console.line(&format!("Untagged: {name}"))?;
    }
    match &removed.deleted {
        Some(id) => console.line(&format!("Deleted: {}", invocation.manners.id(id))),
        None => Ok(()),
    }
}
