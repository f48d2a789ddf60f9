//! `manifest inspect`: the document of a list, ours or a registry's.

use crate::{
    commands::look::pretty,
    exit::SUCCESS,
    flags::way::{OnlyWay, Way},
    invocation::Invocation,
    tree::Act,
};
use dhow_base::{Error, Kind, Result};
use dhow_image::Place;
use dhow_spec::image::Platform;
use serde_json::Value;

/// Show the document of a list
///
/// A list of ours, or what a name leads to in a registry or at another place.
#[derive(clap::Args, Debug)]
pub(crate) struct Inspect {
    /// The list
    #[arg(value_name = "LIST")]
    list: String,

    /// Show the whole document, which is what happens anyway
    #[arg(short, long, hide = true)]
    verbose: bool,

    #[command(flatten)]
    way: OnlyWay,
}

impl Act for Inspect {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let mut engine = invocation.engine()?;
        let (images, state) = engine.images();
        let is_place = Place::parse(&self.list).is_ok();
        let bytes = if !is_place && images.has_list(state, &self.list)? {
            images.list_document(state, &self.list)?
        } else {
            let end = super::end(&self.list, &Way::from(self.way), (images, &*state), invocation)?;
            images.raw_manifest(Some(state), &end, &Platform::host())?
        };
        let document: Value = serde_json::from_slice(&bytes)
            .map_err(|error| Error::new(Kind::Corrupt, format!("parse it: {error}")))?;
        invocation.console.print(pretty(&document)?)?;
        Ok(SUCCESS)
    }
}
