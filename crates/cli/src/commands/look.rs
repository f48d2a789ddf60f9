//! `image inspect`: what is known of an image, here or at any other place.

use super::inspect::Inspect;
use crate::{
    exit::SUCCESS,
    flags::{
        foreign::{DaemonFlags, PaceFlags},
        way::{OnlyWay, Way},
    },
    invocation::Invocation,
    render::template::Format,
    tree::Act,
};
use dhow_base::{Doing, Error, Kind, Result};
use dhow_image::{End, Images, Place, Tags};
use dhow_spec::image::Platform;
use dhow_state::State;
use serde::Serialize;
use serde_json::Value;

/// Show all that is known of an image at any place
///
/// Names of our own images give docker's document. Places with a transport (docker://NAME,
/// oci:DIR[:NAME], dir:DIR …) are looked at without fetching more than the configuration, and give
/// skopeo's.
#[derive(clap::Args, Debug)]
pub(crate) struct Look {
    /// The images
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,

    /// Print the configuration
    #[arg(long)]
    config: bool,

    /// Print as json or by a template such as '{{.Digest}}'
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<String>,

    /// Do not list the tags of the repository
    #[arg(short, long)]
    no_tags: bool,

    /// Print the manifest, or with --config the configuration, as it is
    #[arg(long)]
    raw: bool,

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

impl Act for Look {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let with_transport = |text: &String| Place::parse(text).is_ok();
        let skopeo = invocation.manners == crate::manners::Manners::Skopeo;
        if !skopeo && !self.images.iter().any(with_transport) {
            return Inspect::of_images(self.images, self.format).act(invocation);
        }
        let [image] = &self.images[..] else {
            return Err(Error::new(Kind::Invalid, "Exactly one argument expected"));
        };
        self.daemon.check()?;
        self.pace.check(invocation.console);
        let way = Way::from(self.way.clone());
        let end =
            way.end(image, invocation).doing(|| format!("Error parsing image name {image:?}"))?;
        let end = end.retried(self.retry_times);
        let text = invocation.with_images(end.place.is_local(), |images, state| {
            self.text(images, state.as_deref(), &end, invocation)
        })?;
        invocation.console.print(text)?;
        Ok(SUCCESS)
    }
}

impl Look {
    fn text(
        &self,
        images: &Images,
        state: Option<&State>,
        end: &End,
        invocation: &Invocation,
    ) -> Result<Vec<u8>> {
        let platform = invocation.platform.clone().unwrap_or_else(Platform::host);
        match (self.raw, self.config) {
            (true, false) => images.raw_manifest(state, end, &platform),
            (true, true) => images.raw_config(state, end, &platform),
            (false, true) => {
                let bytes = images.raw_config(state, end, &platform)?;
                let document: Value = serde_json::from_slice(&bytes)
                    .map_err(|error| Error::new(Kind::Corrupt, format!("parse it: {error}")))?;
                self.shown(&document)
            }
            (false, false) => {
                let tags = if self.no_tags { Tags::Unlisted } else { Tags::Listed };
                let described = images.describe(state, end, &platform, tags)?;
                let document = serde_json::to_value(&described)
                    .map_err(|error| Error::new(Kind::Internal, "write JSON").because(error))?;
                self.shown(&document)
            }
        }
    }

    fn shown(&self, document: &Value) -> Result<Vec<u8>> {
        match self.format.as_deref() {
            None | Some("" | "json") => pretty(document),
            Some(text) => Ok(format!("{}\n", Format::parse(text)?.fill(document)?).into_bytes()),
        }
    }
}

/// With four spaces, as docker and skopeo indent.
pub(crate) fn pretty(document: &impl Serialize) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    document
        .serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, formatter))
        .map_err(|error| Error::new(Kind::Internal, "write JSON").because(error))?;
    bytes.push(b'\n');
    Ok(bytes)
}
