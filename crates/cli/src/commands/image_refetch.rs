//! `image refetch`: the compressed layers of images that were discarded come back.

use crate::{
    exit::{FAILURE, SUCCESS},
    flags::{images::ChosenImages, registry::RegistryFlags},
    invocation::Invocation,
    tree::Act,
};
use dhow_base::{Result, size};

/// Fetch the compressed layers of images again that were discarded
///
/// The opposite of `image discard`: the layers come from a registry that the image was pulled from
/// or pushed to, and are verified by their digests. The image then needs no registry any more to be
/// sent or saved, and other tools find it in the content again.
#[derive(clap::Args, Debug)]
pub(crate) struct Refetch {
    #[command(flatten)]
    chosen: ChosenImages,

    #[command(flatten)]
    registry: RegistryFlags,
}

impl Act for Refetch {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let mut engine = invocation.engine_with(self.registry.registries(invocation)?)?;
        let (images, state) = engine.images();
        let named = self.chosen.words(images, state)?;
        let (mut code, mut bytes) = (SUCCESS, 0);
        for image in &named {
            match images.refetch(state, image) {
                Ok(refetched) => {
                    bytes += refetched.bytes;
                    for layer in &refetched.layers {
                        invocation.console.line(&format!("Fetched: {layer}"))?;
                    }
                }
                Err(error) => {
                    invocation.console.error(&error);
                    code = FAILURE;
                }
            }
        }
        invocation.console.line(&format!("Total fetched space: {}", size::humanly(bytes)))?;
        Ok(code)
    }
}
