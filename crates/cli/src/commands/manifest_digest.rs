//! `image manifest-digest`: the digest of a manifest in a file.

use crate::{exit::SUCCESS, invocation::Invocation, tree::Act};
use dhow_base::{Doing, Result, file};

/// Print the digest that a manifest in a file has
#[derive(clap::Args, Debug)]
pub(crate) struct ManifestDigest {
    /// The file
    #[arg(value_name = "FILE")]
    file: String,
}

impl Act for ManifestDigest {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let path = invocation.surroundings().absolute(&self.file);
        let doing = || "read the manifest".to_owned();
        let bytes =
            file::read_limited(&path, dhow_spec::image::MANIFEST_LIMIT_BYTES).doing(doing)?;
        let digest = dhow_image::manifest_digest(&bytes).doing(doing)?;
        invocation.console.line(digest.as_str())?;
        Ok(SUCCESS)
    }
}
