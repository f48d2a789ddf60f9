//! `push`: send images to registries.

use super::copy::write_digest;
use crate::{
    exit::SUCCESS,
    flags::{refuse, registry::RegistryFlags},
    invocation::Invocation,
    tree::Act,
};
use dhow_base::Result;

/// Send an image to a registry
///
/// Without a destination the image goes where its name says. What the registry has already is not
/// sent; the digests are those that the image has here. Prints the name with the digest.
#[derive(clap::Args, Debug)]
pub(crate) struct Push {
    /// The image, by name or, with a destination, by id
    #[arg(value_name = "IMAGE")]
    image: String,

    /// Where to: REGISTRY/NAME:TAG
    #[arg(value_name = "DESTINATION")]
    destination: Option<String>,

    /// Send all tags of the repository that IMAGE names
    #[arg(short, long, conflicts_with = "destination")]
    all_tags: bool,

    /// Show no progress
    #[arg(short, long)]
    quiet: bool,

    /// Write the manifest's digest to this file
    #[arg(long, value_name = "FILE", conflicts_with = "all_tags")]
    digestfile: Option<String>,

    #[command(flatten)]
    registry: RegistryFlags,
}

impl Act for Push {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let registries = self.registry.registries(invocation)?;
        let mut engine = invocation.engine()?;
        let (images, state) = engine.images();
        let names = if self.all_tags {
            if self.image.rsplit('/').next().is_some_and(|last| last.contains([':', '@'])) {
                return Err(refuse("--all-tags", &self.image, "a repository has no tag"));
            }
            images.tags_of(state, &self.image)?
        } else {
            vec![self.image.clone()]
        };
        for name in &names {
            let progress = invocation.progress_of("pushing", self.quiet);
            let destination = self.destination.as_deref();
            let pushed = images.push(state, name, destination, &registries, &progress)?;
            for notice in pushed.notices.iter().chain(&images.take_notices()) {
                invocation.console.note(notice);
            }
            if let Some(file) = &self.digestfile {
                write_digest(file, &pushed.digest, invocation)?;
            }
            invocation.console.line(&format!("{}@{}", pushed.reference, pushed.digest))?;
        }
        Ok(SUCCESS)
    }
}
