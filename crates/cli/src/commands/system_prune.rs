//! `system prune`: everything that is not in use goes, but volumes.

use super::{
    asked::asked,
    image_prune::{options, say_reclaimed},
};
use crate::{exit::SUCCESS, invocation::Invocation, tree::Act};
use dhow_base::Result;

/// Remove what is not in use: stopped containers, images, interrupted pulls
///
/// Images without a name, or with `--all` all that no container is made of. Volumes stay: they hold
/// the only copy of what is in them.
#[derive(clap::Args, Debug)]
pub(crate) struct Prune {
    /// Remove all images that no container is made of
    #[arg(short, long)]
    all: bool,

    /// Do not ask
    #[arg(short, long)]
    force: bool,

    /// Remove only what this holds for: until=, for images also label= or label!=
    #[arg(long, value_name = "KEY=VALUE")]
    filter: Vec<String>,
}

impl Act for Prune {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let options = options(&self.filter, self.all)?;
        let images = if self.all { "without a container" } else { "without a name" };
        let what = format!("This removes all stopped containers and all images {images}.");
        if !self.force && !asked(invocation, &what)? {
            return Ok(SUCCESS);
        }
        let mut engine = invocation.engine()?;
        let before = engine.disk_usage()?.total();
        // Containers first: with them go the last reasons to keep their images.
        for id in engine.prune_containers(options.until)? {
            invocation.console.line(&format!("Deleted: {id}"))?;
        }
        let (images, state) = engine.images();
        for removed in images.prune(state, &options)? {
            super::rmi::say(&removed, invocation.console)?;
        }
        images.forget_interrupted(state)?;
        let after = engine.disk_usage()?.total();
        say_reclaimed(invocation, before.saturating_sub(after))?;
        Ok(SUCCESS)
    }
}
