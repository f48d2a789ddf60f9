//! `image unmount`: an image's root is looked into no more.

use super::several::each;
use crate::{invocation::Invocation, tree::Act};
use dhow_base::Result;

/// Take the mounts of images away that `image mount` made
///
/// A mount that others want too stays. Prints the ids of the images.
#[derive(clap::Args, Debug)]
pub(crate) struct Unmount {
    /// The images, by name or id
    #[arg(value_name = "IMAGE", required_unless_present = "all")]
    images: Vec<String>,

    /// All images that are mounted
    #[arg(short, long, conflicts_with = "images")]
    all: bool,

    /// Whoever else wants it
    #[arg(short, long)]
    force: bool,
}

impl Act for Unmount {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let mut engine = invocation.engine()?;
        let (images, state) = engine.images();
        let named = if self.all {
            let mounted = images.mounted(state)?;
            mounted.iter().map(|mounted| mounted.image.manifest.to_string()).collect()
        } else {
            self.images
        };
        let whom = if self.force { dhow_image::Unmount::All } else { dhow_image::Unmount::One };
        each(invocation, &named, |image| {
            images.unmount(state, image, whom).map(|image| Some(image.id.to_string()))
        })
    }
}
