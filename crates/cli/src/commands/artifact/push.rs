//! `artifact push`: an artifact to a registry.

use crate::{
    commands::copy::write_digest,
    exit::SUCCESS,
    flags::way::{OnlyWay, Way},
    invocation::Invocation,
    tree::Act,
};
use dhow_base::Result;
use dhow_image::{CopyOptions, End, Place};

/// Send an artifact to a registry
///
/// Without a destination it goes where its name says. Prints the digest of its manifest.
#[derive(clap::Args, Debug)]
pub(crate) struct Push {
    /// The artifact, by name or, with a destination, by digest
    #[arg(value_name = "ARTIFACT")]
    artifact: String,

    /// Where to: REGISTRY/NAME:TAG
    #[arg(value_name = "DESTINATION")]
    destination: Option<String>,

    /// Show no progress
    #[arg(short, long)]
    quiet: bool,

    /// Write the manifest's digest to this file
    #[arg(long, value_name = "FILE")]
    digestfile: Option<String>,

    /// How often a request is tried again
    #[arg(long, value_name = "TIMES")]
    retry: Option<u32>,

    #[command(flatten)]
    way: OnlyWay,
}

impl Act for Push {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let mut engine = invocation.engine()?;
        let (images, state) = engine.images();
        let artifact = images.look_up_artifact(state, &self.artifact)?;
        let to = self.destination.as_deref().unwrap_or(&artifact.name);
        let to = to.strip_prefix("docker://").unwrap_or(to).to_owned();
        let to = Way::from(self.way).end_at(Place::Registry(to), invocation)?.retried(self.retry);
        let from = End::new(Place::Local(artifact.name), invocation.registries());
        let progress = invocation.progress_of("pushing", self.quiet);
        let copied = images.copy(Some(state), &from, &to, &CopyOptions::default(), &progress)?;
        for notice in to.take_notices() {
            invocation.console.note(&notice);
        }
        if let Some(file) = &self.digestfile {
            write_digest(file, &copied.digest, invocation)?;
        }
        invocation.console.line(copied.digest.as_str())?;
        Ok(SUCCESS)
    }
}
