//! `pull`: fetch images from registries, directories and archives.

use super::several;
use crate::{
    choice::Choice,
    flags::{policy, pulling::PullingFlags, refuse},
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

    /// Fetch all images of the repositories that are named
    #[arg(short, long)]
    all_tags: bool,

    /// Ask the registry: always, missing (where the image is not here), newer or never
    #[arg(long, value_name = "WHEN", default_value = "always")]
    policy: String,

    #[command(flatten)]
    pulling: PullingFlags,
}

impl Act for Pull {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let options = PullOptions {
            platform: self.pulling.platform(self.platform.as_deref())?,
            policy: policy::pull("--policy", &self.policy)?,
        };
        if self.all_platforms && options.platform.is_some() {
            return Err(refuse("--all-platforms", "true", "a platform is named too"));
        }
        let registries = self.pulling.registries(invocation)?;
        let mut engine = invocation.engine_with(registries)?;
        let (images, state) = engine.images();
        let mut names = self.images;
        if self.all_tags {
            let all = names.iter().map(|name| images.all_tags(name));
            names = all.collect::<Result<Vec<_>>>()?.concat();
        }
        several::each(invocation, &names, |name| {
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
            Ok(Some(invocation.manners.id(&image.id).to_owned()))
        })
    }
}
