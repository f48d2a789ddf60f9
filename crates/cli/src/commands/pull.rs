//! `pull`: fetch images from registries, directories and archives.

use super::several;
use crate::{
    choice::Choice,
    flags::{container::platform, policy, registry::RegistryFlags},
    invocation::Invocation,
    tree::Act,
};
use dhow_base::Result;
use dhow_image::PullOptions;

/// Fetch images
///
/// An image is a name (debian:13, registry.example/a/b@sha256:…), oci:DIR, oci-archive:FILE or
/// docker-archive:FILE, the last three with :NAME where they hold several. Prints the image's id.
#[derive(clap::Args, Debug)]
pub(crate) struct Pull {
    /// The images
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,

    /// Print nothing but ids
    #[arg(short, long)]
    quiet: bool,

    /// Fetch the image of this platform
    #[arg(long, value_name = "OS/ARCH")]
    platform: Option<String>,

    /// Fetch the images of all platforms
    #[arg(long, conflicts_with_all = ["platform", "policy"])]
    all_platforms: bool,

    /// Ask the registry: always, missing (where the image is not here), newer or never
    #[arg(long, value_name = "WHEN", default_value = "always")]
    policy: String,

    #[command(flatten)]
    registry: RegistryFlags,
}

impl Act for Pull {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let options = PullOptions {
            platform: self.platform.as_deref().map(platform).transpose()?,
            policy: policy::pull("--policy", &self.policy)?,
        };
        let mut engine = invocation.engine_with(self.registry.registries(invocation)?)?;
        let (images, state) = engine.images();
        several::each(invocation.console, &self.images, |name| {
            let choice = Choice::make(name, || images.choices(state, name, &options))?;
            let name = &choice.name();
            let progress = invocation.progress(self.quiet);
            let image = if self.all_platforms {
                images.pull_all_platforms(state, name, &progress)?
            } else {
                images.pull(state, name, &options, &progress)?
            };
            choice.keep(images, invocation.console);
            for notice in images.take_notices() {
                invocation.console.note(&notice);
            }
            Ok(Some(image.id.to_string()))
        })
    }
}
