//! `image list-tags`: which tags there are at a place.

use super::look::pretty;
use crate::{
    exit::SUCCESS,
    flags::{
        foreign::PaceFlags,
        way::{OnlyWay, Way},
    },
    invocation::Invocation,
    tree::Act,
};
use dhow_base::{Doing, Result};

/// List the tags of a repository or archive
///
/// A place is docker://NAME, docker-archive:FILE or oci:DIR.
#[derive(clap::Args, Debug)]
pub(crate) struct ListTags {
    /// The repository or archive
    #[arg(value_name = "PLACE")]
    place: String,

    /// How often a request is tried again
    #[arg(long, value_name = "TIMES")]
    retry_times: Option<u32>,

    #[command(flatten)]
    pace: PaceFlags,

    #[command(flatten)]
    way: OnlyWay,
}

impl Act for ListTags {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        self.pace.check(invocation.console);
        let end = Way::from(self.way).end(&self.place, invocation)?.retried(self.retry_times);
        let tags = invocation.with_images(false, |images, _| {
            images.list_tags(&end).doing(|| format!("list the tags of {}", end.place))
        })?;
        invocation.console.print(pretty(&tags)?)?;
        Ok(SUCCESS)
    }
}
