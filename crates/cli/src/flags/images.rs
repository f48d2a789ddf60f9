//! Which of the images here a command is about.

use dhow_base::Result;
use dhow_image::Images;
use dhow_state::State;

/// Some images, or all of them.
#[derive(clap::Args, Debug)]
pub(crate) struct ChosenImages {
    /// The images, by name or id
    #[arg(value_name = "IMAGE", required_unless_present = "all")]
    images: Vec<String>,

    /// All images
    #[arg(short, long, conflicts_with = "images")]
    all: bool,
}

impl ChosenImages {
    /// The words that the user said, or what finds each image that there is.
    pub(crate) fn words(self, images: &Images, state: &State) -> Result<Vec<String>> {
        if self.all { every_image(images, state) } else { Ok(self.images) }
    }
}

/// By their manifests, since not all have names.
pub(crate) fn every_image(images: &Images, state: &State) -> Result<Vec<String>> {
    Ok(images.outlines(state)?.iter().map(|image| image.manifest.to_string()).collect())
}
