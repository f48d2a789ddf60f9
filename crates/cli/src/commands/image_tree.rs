//! `image tree`: the layers of an image, and who else has them.

use crate::{exit::SUCCESS, invocation::Invocation, tree::Act};
use dhow_base::{Result, size};

/// Show the layers of an image
///
/// The lowest layer first, each with the names of the image that ends with it.
#[derive(clap::Args, Debug)]
pub(crate) struct Tree {
    /// The image, by name or id
    #[arg(value_name = "IMAGE")]
    image: String,

    /// Show all images that stand on this one instead
    #[arg(long)]
    whatrequires: bool,

    /// Do not shorten ids
    #[arg(long)]
    no_trunc: bool,
}

impl Act for Tree {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let mut engine = invocation.engine()?;
        let (images, state) = engine.images();
        let image = images.look_up(state, &self.image)?;
        let mut text = format!(
            "Image ID: {}\nTags:     [{}]\nSize:     {}\n",
            if self.no_trunc { image.id.as_str() } else { image.id.short() },
            image.tags().join(" "),
            size::humanly(image.size)
        );
        if self.whatrequires {
            text.push_str("Images that stand on it:\n");
            for other in images.standing_on(state, &image)? {
                text.push_str(&format!("  {} {}\n", other.id.short(), other.tags().join(" ")));
            }
        } else {
            text.push_str("Image Layers\n");
            let layers = images.layers(state, &image)?;
            let last = layers.len().saturating_sub(1);
            for (position, layer) in layers.iter().enumerate() {
                let branch = if position == last { "└──" } else { "├──" };
                let id = if self.no_trunc { layer.diff_id.as_str() } else { layer.diff_id.short() };
                let size = size::humanly(layer.size);
                let tops = layer.tops.join(" ");
                let tops = if tops.is_empty() { tops } else { format!(" Top Layer of: [{tops}]") };
                text.push_str(&format!("{branch} ID: {id} Size: {size}{tops}\n"));
            }
        }
        invocation.console.print(text)?;
        Ok(SUCCESS)
    }
}
