//! `image delete`: delete an image at a place.

use crate::{
    exit::SUCCESS,
    flags::{
        foreign::{DaemonFlags, PaceFlags},
        way::{OnlyWay, Way},
    },
    invocation::Invocation,
    tree::Act,
};
use dhow_base::Result;

/// Delete an image at a place
///
/// In a registry all tags of the image go; the registry frees its blobs when it collects garbage. A
/// place is docker://NAME, oci:DIR[:NAME] or dhow:NAME.
#[derive(clap::Args, Debug)]
pub(crate) struct Delete {
    /// The image
    #[arg(value_name = "PLACE")]
    place: String,

    /// How often a request is tried again
    #[arg(long, value_name = "TIMES")]
    retry_times: Option<u32>,

    #[command(flatten)]
    pace: PaceFlags,

    #[command(flatten)]
    daemon: DaemonFlags,

    #[command(flatten)]
    way: OnlyWay,
}

impl Act for Delete {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        self.daemon.check()?;
        self.pace.check(invocation.console);
        let end = Way::from(self.way).end(&self.place, invocation)?.retried(self.retry_times);
        invocation
            .with_images(end.place.is_local(), |images, state| images.delete_at(state, &end))?;
        Ok(SUCCESS)
    }
}
