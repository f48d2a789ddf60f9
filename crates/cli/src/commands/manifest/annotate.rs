//! `manifest annotate`: what a list says of one of its images.

use super::said::Said;
use crate::{exit::SUCCESS, invocation::Invocation, tree::Act};
use dhow_base::Result;

/// Change what a list says of one of its images
#[derive(clap::Args, Debug)]
pub(crate) struct Annotate {
    /// The list
    #[arg(value_name = "LIST")]
    list: String,

    /// The image: its digest, or the name of one of our own
    #[arg(value_name = "IMAGE")]
    image: String,

    #[command(flatten)]
    said: Said,
}

impl Act for Annotate {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let said = self.said.annotation()?;
        let mut engine = invocation.engine()?;
        let (images, state) = engine.images();
        let digest = images.annotate_list(state, &self.list, &self.image, &said)?;
        invocation.console.line(digest.as_str())?;
        Ok(SUCCESS)
    }
}
