//! `manifest add`: more images for a list.

use super::{end, said::Said};
use crate::{
    exit::SUCCESS,
    flags::way::{OnlyWay, Way},
    invocation::Invocation,
    tree::Act,
};
use dhow_base::Result;
use dhow_image::Which;

/// Add images to a list
///
/// What is said of an image is said of each that is named, and not of those of an index with --all.
/// Prints the list's digest.
#[derive(clap::Args, Debug)]
pub(crate) struct Add {
    /// The list
    #[arg(value_name = "LIST")]
    list: String,

    /// The images: our own, or at places such as docker://NAME
    #[arg(value_name = "IMAGE", required = true)]
    images: Vec<String>,

    /// Add all images of an index, not only the one for this machine
    #[arg(short, long)]
    all: bool,

    #[command(flatten)]
    said: Said,

    #[command(flatten)]
    way: OnlyWay,
}

impl Act for Add {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let way = Way::from(self.way);
        let said = self.said.annotation()?;
        let which = if self.all { Which::All } else { Which::One };
        let mut engine = invocation.engine()?;
        let (images, state) = engine.images();
        let mut digest = None;
        for image in &self.images {
            let end = end(image, &way, (images, &*state), invocation)?;
            digest = Some(images.add_to_list(state, &self.list, &end, which, &said)?);
        }
        if let Some(digest) = digest {
            invocation.console.line(digest.as_str())?;
        }
        Ok(SUCCESS)
    }
}
