//! `artifact rm`: artifacts go.

use crate::{commands::several, invocation::Invocation, tree::Act};
use dhow_base::{Error, Kind, Result};

/// Remove artifacts
#[derive(clap::Args, Debug)]
pub(crate) struct Rm {
    /// The artifacts, by name or digest
    #[arg(value_name = "ARTIFACT", required_unless_present = "all")]
    artifacts: Vec<String>,

    /// Remove all artifacts
    #[arg(short, long, conflicts_with = "artifacts")]
    all: bool,

    /// An artifact that is not there is no error
    #[arg(short, long)]
    ignore: bool,
}

impl Act for Rm {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let mut engine = invocation.engine()?;
        let (images, state) = engine.images();
        let chosen = if self.all {
            images.list_artifacts(state)?.into_iter().map(|artifact| artifact.name).collect()
        } else {
            self.artifacts
        };
        let missing = |error: &Error| error.kind() == Kind::NotFound;
        several::each(invocation, &chosen, |name| match images.remove_artifact(state, name) {
            Ok(digest) => Ok(Some(digest.to_string())),
            Err(error) if self.ignore && missing(&error) => Ok(None),
            Err(error) => Err(error),
        })
    }
}
