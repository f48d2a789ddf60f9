//! `image exists`: whether an image is here.

use crate::{
    exit::{FAILURE, SUCCESS},
    invocation::Invocation,
    tree::Act,
};
use dhow_base::Result;

/// Say by the exit code whether there is an image of this name
#[derive(clap::Args, Debug)]
pub(crate) struct Exists {
    /// The image, by name or id
    #[arg(value_name = "IMAGE")]
    image: String,
}

impl Act for Exists {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let mut engine = invocation.engine()?;
        let (images, state) = engine.images();
        Ok(if images.find(state, &self.image)?.is_some() { SUCCESS } else { FAILURE })
    }
}
