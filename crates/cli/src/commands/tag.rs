//! `tag`: one more name for an image.

use crate::{exit::SUCCESS, invocation::Invocation, tree::Act};
use dhow_base::Result;

/// Give an image another name
#[derive(clap::Args, Debug)]
pub(crate) struct Tag {
    /// The image, by name or id
    #[arg(value_name = "IMAGE")]
    image: String,

    /// The new name; an image that has it loses it
    #[arg(value_name = "NAME")]
    name: String,
}

impl Act for Tag {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let mut engine = invocation.engine()?;
        let (images, state) = engine.images();
        images.tag(state, &self.image, &self.name)?;
        Ok(SUCCESS)
    }
}
