//! `image unpack`: an image of a layout as a bundle that any tool may change and any runtime run.

use super::repack::in_layout;
use crate::{exit::SUCCESS, invocation::Invocation, tree::Act};
use dhow_base::Result;
use dhow_spec::image::Platform;
use std::path::PathBuf;

/// Unpack an image to a bundle that can be changed
///
/// The bundle is one of umoci's too: either tool can pack it again.
#[derive(clap::Args, Debug)]
pub(crate) struct Unpack {
    /// The image: the directory of an OCI image layout, and the name in it
    #[arg(long, value_name = "LAYOUT[:NAME]")]
    image: String,

    /// The platform, where the layout has the image for several
    #[arg(long, value_name = "OS/ARCH")]
    platform: Option<String>,

    /// The directory of the bundle, which must not exist or be empty
    #[arg(value_name = "BUNDLE")]
    bundle: PathBuf,
}

impl Act for Unpack {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let (layout, name) = in_layout(&self.image)?;
        let platform = self.platform.as_deref().map(Platform::parse).transpose()?;
        let bounds = invocation.bounds()?;
        let (name, platform) = (name.as_deref(), platform.as_ref());
        dhow_engine::unpack_bundle(&layout, name, platform, &self.bundle, &bounds)?;
        Ok(SUCCESS)
    }
}
