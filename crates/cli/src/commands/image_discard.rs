//! `image discard`: the compressed layers of images go, the images stay.

use crate::{
    exit::{FAILURE, SUCCESS},
    flags::{images::ChosenImages, registry::RegistryFlags},
    invocation::Invocation,
    tree::Act,
};
use dhow_base::{Kind, Result, size};
use dhow_image::{Discarded, Proof};

/// Discard the compressed layers of images, which a registry has too
///
/// Containers run on unpacked layers. What is sent or saved later comes again from a registry that
/// the image was pulled from or pushed to, under the same digest; one of them is asked first
/// whether it has the layer. A layer that none is known to have is kept. Other tools that read the
/// content as an image layout do not find such an image there any more. `--discard-layers` before a
/// command does the same after every pull.
#[derive(clap::Args, Debug)]
pub(crate) struct Discard {
    #[command(flatten)]
    chosen: ChosenImages,

    /// Ask no registry: believe that it still has what came from it
    #[arg(short, long)]
    force: bool,

    #[command(flatten)]
    registry: RegistryFlags,
}

impl Act for Discard {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let mut engine = invocation.engine_with(self.registry.registries(invocation)?)?;
        let (images, state) = engine.images();
        let named = self.chosen.words(images, state)?;
        let proof = if self.force { Proof::Remembered } else { Proof::Asked };
        let (mut code, mut bytes) = (SUCCESS, 0);
        for image in &named {
            match images.discard(state, image, proof) {
                Ok(discarded) => {
                    bytes += discarded.bytes;
                    code = code.max(say(image, &discarded, invocation)?);
                }
                Err(error) => {
                    invocation.console.error(&error);
                    code = FAILURE;
                }
            }
        }
        invocation.console.line(&format!("Total reclaimed space: {}", size::humanly(bytes)))?;
        Ok(code)
    }
}

/// Only what could not be found out is a failure; that nobody else has a layer is a reason to keep
/// it.
fn say(image: &str, discarded: &Discarded, invocation: &Invocation) -> Result<u8> {
    let console = invocation.console;
    for layer in &discarded.layers {
        console.line(&format!("Discarded: {layer}"))?;
    }
    let mut code = SUCCESS;
    for (layer, why) in &discarded.kept {
        if why.kind() != Kind::NotFound {
            code = FAILURE;
        }
        console.note(&format!("layer {} of {image} is kept: {}", layer.short(), why.one_line()));
    }
    Ok(code)
}
