//! `image export`: the root of an image as a tar file.

use super::save::destination;
use crate::{exit::SUCCESS, invocation::Invocation, tree::Act};
use dhow_base::Result;

/// Write the root of an image as a tar file
///
/// All layers are one in it: it is what a container of the image would find. The same image gives the
/// same bytes each time; `dhow import` makes an image of it again. `dhow save` writes the image itself.
#[derive(clap::Args, Debug)]
pub(crate) struct Export {
    /// The image, by name or id
    #[arg(value_name = "IMAGE")]
    image: String,

    /// Write to this file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<String>,
}

impl Act for Export {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let to = destination(self.output.as_deref(), "export", invocation)?;
        let mut engine = invocation.engine()?;
        let (images, state) = engine.images();
        images.export(state, &self.image, to)?;
        Ok(SUCCESS)
    }
}
