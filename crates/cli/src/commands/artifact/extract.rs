//! `artifact extract`: the files of an artifact, as files.

use crate::{exit::SUCCESS, invocation::Invocation, tree::Act};
use dhow_base::Result;

/// Write the files of an artifact
///
/// Into a directory under their titles, or a single one to a path. A title that is no plain name is
/// refused.
#[derive(clap::Args, Debug)]
pub(crate) struct Extract {
    /// The artifact, by name or digest
    #[arg(value_name = "ARTIFACT")]
    artifact: String,

    /// The directory, or the path for a single file
    #[arg(value_name = "PATH")]
    path: String,

    /// Only the file with this digest
    #[arg(long, value_name = "DIGEST", conflicts_with = "title")]
    digest: Option<String>,

    /// Only the file with this title
    #[arg(long, value_name = "TITLE")]
    title: Option<String>,
}

impl Act for Extract {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let target = invocation.surroundings().absolute(&self.path);
        let wanted = self.title.as_deref().or(self.digest.as_deref());
        let mut engine = invocation.engine()?;
        let (images, state) = engine.images();
        images.extract_artifact(state, &self.artifact, &target, wanted)?;
        Ok(SUCCESS)
    }
}
