//! `untag`: names go, the image stays.

use crate::{exit::SUCCESS, invocation::Invocation, tree::Act};
use dhow_base::Result;

/// Take names from an image and keep it
#[derive(clap::Args, Debug)]
pub(crate) struct Untag {
    /// The image, by name or id
    #[arg(value_name = "IMAGE")]
    image: String,

    /// The names that go; all of the image's where none is given
    #[arg(value_name = "NAME")]
    names: Vec<String>,
}

impl Act for Untag {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let mut engine = invocation.engine()?;
        let (images, state) = engine.images();
        images.untag(state, &self.image, &self.names)?;
        Ok(SUCCESS)
    }
}
