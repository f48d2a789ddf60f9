//! `push`: send images to registries.

use super::copy::{dialect, write_digest};
use crate::{
    exit::SUCCESS,
    flags::{refuse, registry::RegistryFlags, retrying::RetryFlags},
    invocation::Invocation,
    tree::Act,
};
use dhow_base::Result;
use dhow_image::{Encoding, Packing, PushForm, PushTo};

/// Send an image to a registry
///
/// Without a destination the image goes where its name says. What the registry has already is not
/// sent; the digests are those that the image has here, unless another form is asked for. Prints the
/// name with the digest.
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

    /// The kind of manifest that is sent: oci or v2s2
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<String>,

    /// Compress all layers so: gzip, zstd or zstd:chunked
    #[arg(long, value_name = "FORMAT")]
    compression_format: Option<String>,

    /// How hard to compress
    #[arg(long, value_name = "LEVEL", allow_hyphen_values = true, requires = "compression_format")]
    compression_level: Option<i32>,

    /// Compress layers anew that are compressed; with =false only those that are not
    #[arg(long, value_name = "BOOL", requires = "compression_format")]
    force_compression: Option<bool>,

    /// Show no progress
    #[arg(short, long)]
    quiet: bool,

    /// Write the manifest's digest to this file
    #[arg(long, value_name = "FILE", conflicts_with = "all_tags")]
    digestfile: Option<String>,

    /// Leave the signatures behind that the image came with
    #[arg(long)]
    remove_signatures: bool,

    #[command(flatten)]
    retrying: RetryFlags,

    #[command(flatten)]
    registry: RegistryFlags,
}

impl Act for Push {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let mut registries = self.registry.registries(invocation)?;
        self.retrying.lay_over(&mut registries.patience)?;
        let form = self.form()?;
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
            let to = PushTo { name: self.destination.as_deref(), registries: &registries };
            let pushed = images.push(state, name, to, &form, &progress)?;
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

impl Push {
    fn form(&self) -> Result<PushForm> {
        let encoding = self.compression_format.as_deref().map(Encoding::from_word).transpose()?;
        Ok(PushForm {
            dialect: self.format.as_deref().map(dialect).transpose()?,
            packing: match encoding {
                None => Packing::Keep,
                Some(encoding) if self.force_compression == Some(false) => Packing::Pack(encoding),
                Some(encoding) => Packing::Repack(encoding),
            },
            level: self.compression_level,
            remove_signatures: self.remove_signatures,
        })
    }
}
