//! `artifact pull`: an artifact from a registry.

use crate::{
    exit::SUCCESS,
    flags::way::{OnlyWay, Way},
    invocation::Invocation,
    tree::Act,
};
use dhow_base::Result;
use dhow_image::Place;

/// Fetch an artifact from a registry
///
/// Prints the digest of its manifest.
#[derive(clap::Args, Debug)]
pub(crate) struct Pull {
    /// The artifact
    #[arg(value_name = "NAME")]
    name: String,

    /// Show no progress
    #[arg(short, long)]
    quiet: bool,

    /// How often a request is tried again
    #[arg(long, value_name = "TIMES")]
    retry: Option<u32>,

    #[command(flatten)]
    way: OnlyWay,
}

impl Act for Pull {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let name = self.name.strip_prefix("docker://").unwrap_or(&self.name).to_owned();
        let end =
            Way::from(self.way).end_at(Place::Registry(name), invocation)?.retried(self.retry);
        let mut engine = invocation.engine()?;
        let (images, state) = engine.images();
        let digest = images.pull_artifact(state, &end, &invocation.progress(self.quiet))?;
        for notice in end.take_notices() {
            invocation.console.note(&notice);
        }
        invocation.console.line(digest.as_str())?;
        Ok(SUCCESS)
    }
}
