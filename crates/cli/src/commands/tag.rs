//! `tag`: more names for an image.

use crate::{exit::SUCCESS, invocation::Invocation, tree::Act};
use dhow_base::Result;

/// Give an image more names
#[derive(clap::Args, Debug)]
pub(crate) struct Tag {
    /// The image, by name or id
    #[arg(value_name = "IMAGE")]
    image: String,

    /// The new names; an image that has one of them loses it
    #[arg(value_name = "NAME", required = true)]
    names: Vec<String>,
}

impl Act for Tag {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let mut engine = invocation.engine()?;
        let (images, state) = engine.images();
        for name in &self.names {
            images.tag(state, &self.image, name)?;
        }
        Ok(SUCCESS)
    }
}
