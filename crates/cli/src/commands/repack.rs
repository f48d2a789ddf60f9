//! `image repack`: what has changed in a bundle becomes a layer on the image that it was.

use crate::{env::variable, exit::SUCCESS, flags::refuse, invocation::Invocation, tree::Act};
use dhow_base::{Error, Kind, Result};
use dhow_image::{Encoding, Place, Repack as How};
use std::path::PathBuf;

/// Pack what has changed in a bundle as a layer
///
/// Prints the digest of the image. Where nothing has changed it is the image that was unpacked. With
/// SOURCE_DATE_EPOCH in the environment the same changes give the same image each time.
#[derive(clap::Args, Debug)]
pub(crate) struct Repack {
    /// The layout that the bundle was unpacked from, and the new name in it
    #[arg(long, value_name = "LAYOUT:NAME")]
    image: String,

    /// Let the bundle stand for the new image afterwards
    #[arg(long)]
    refresh_bundle: bool,

    /// Leave out this path of the root, with all below it (can be repeated)
    #[arg(long, value_name = "PATH")]
    mask_path: Vec<PathBuf>,

    /// Do not leave out the image's volumes
    #[arg(long)]
    no_mask_volumes: bool,

    /// What the image's history says of the step
    #[arg(long, visible_alias = "history.created_by", value_name = "TEXT")]
    created_by: Option<String>,

    /// How the layer is compressed: none, gzip, zstd or zstd:chunked
    #[arg(long, alias = "compress", value_name = "FORMAT", default_value = "gzip")]
    compression_format: String,

    /// The directory of the bundle
    #[arg(value_name = "BUNDLE")]
    bundle: PathBuf,
}

impl Act for Repack {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let (layout, name) = in_layout(&self.image)?;
        let name = name.ok_or_else(|| {
            refuse("--image", &self.image, "it has no name").hint("write LAYOUT:NAME")
        })?;
        let how = How {
            encoding: Encoding::from_word(&self.compression_format)?,
            epoch: epoch()?,
            created_by: self.created_by,
            masked: self.mask_path,
            with_volumes: self.no_mask_volumes,
            refresh: self.refresh_bundle,
        };
        let repacked = dhow_image::repack(&layout, &name, &self.bundle, &how)?;
        invocation.console.print(format!("{}\n", repacked.manifest))?;
        Ok(SUCCESS)
    }
}

/// A layout and a name in it, as umoci writes them.
pub(super) fn in_layout(text: &str) -> Result<(PathBuf, Option<String>)> {
    match Place::parse(&format!("oci:{}", text.strip_prefix("oci:").unwrap_or(text)))? {
        Place::Layout(layout, name) => Ok((layout, name)),
        _ => Err(refuse("--image", text, "it is no layout")),
    }
}

/// The time of what is made, by the agreement of reproducible-builds.org.
pub(super) fn epoch() -> Result<Option<i64>> {
    let Some(text) = variable("SOURCE_DATE_EPOCH").filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    text.parse().map(Some).map_err(|_| {
        let what = format!("SOURCE_DATE_EPOCH is {text:?}, which is no number of seconds");
        Error::new(Kind::Invalid, what)
    })
}
