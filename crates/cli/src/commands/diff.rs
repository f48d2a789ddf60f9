//! `diff`: what a container has otherwise than its image.

use super::{image_diff, several};
use crate::{exit::SUCCESS, invocation::Invocation, manners::Manners, tree::Act};
use dhow_base::Result;
use dhow_engine::Places;

/// Show what files a container has otherwise than its image
///
/// One line a path: A for what is added, C for what is changed, D for what is gone, with all that was
/// in it. What is mounted in the container is not part of it. `dhow image diff` compares images.
#[derive(clap::Args, Debug)]
pub(crate) struct Diff {
    /// The container, by name or id
    #[arg(value_name = "CONTAINER", required_unless_present = "latest")]
    container: Option<String>,

    /// The newest container
    #[arg(short, long, conflicts_with = "container")]
    latest: bool,

    /// Print as text or as json
    #[arg(long, value_name = "FORMAT", value_parser = ["text", "json"], default_value = "text")]
    format: String,
}

impl Act for Diff {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let mut engine = invocation.engine()?;
        let container = several::one(&mut engine, self.container)?;
        let places = match invocation.manners {
            Manners::Podman => Places::Told,
            _ => Places::LeftOut,
        };
        let changes = engine.changes(&container, places)?;
        invocation.console.print(image_diff::text(&changes, &self.format)?)?;
        Ok(SUCCESS)
    }
}
