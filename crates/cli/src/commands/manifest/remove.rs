//! `manifest remove`: an image leaves a list.

use crate::{exit::SUCCESS, invocation::Invocation, tree::Act};
use dhow_base::Result;

/// Take an image out of a list
#[derive(clap::Args, Debug)]
pub(crate) struct Remove {
    /// The list
    #[arg(value_name = "LIST")]
    list: String,

    /// The image: its digest, or the name of one of our own
    #[arg(value_name = "IMAGE")]
    image: String,
}

impl Act for Remove {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let mut engine = invocation.engine()?;
        let (images, state) = engine.images();
        let digest = images.take_from_list(state, &self.list, &self.image)?;
        invocation.console.line(digest.as_str())?;
        Ok(SUCCESS)
    }
}
