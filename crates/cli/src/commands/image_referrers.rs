//! `image referrers`: what refers to an image.

use crate::{
    exit::SUCCESS,
    flags::way::{OnlyWay, Way},
    invocation::Invocation,
    render::list::{Column, Row, Shape},
    tree::Act,
};
use dhow_base::{Result, size};
use dhow_image::Place;
use dhow_spec::image::Descriptor;

const COLUMNS: &[Column] =
    &[("DIGEST", "Digest"), ("ARTIFACT TYPE", "ArtifactType"), ("SIZE", "Size")];

/// List what refers to an image: signatures, bills of materials and the like
///
/// The image is one of ours, or at a place: docker://NAME in a registry, oci:DIR[:NAME]. A name that
/// is not here is looked for in a registry.
#[derive(clap::Args, Debug)]
pub(crate) struct Referrers {
    /// The image
    #[arg(value_name = "IMAGE")]
    image: String,

    /// List only what is of this type
    #[arg(long, value_name = "TYPE")]
    artifact_type: Option<String>,

    /// Print as table, as json (one object a line) or by a template
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,

    /// Print digests only
    #[arg(short, long)]
    quiet: bool,

    /// How often a request is tried again
    #[arg(long, value_name = "TIMES")]
    retry_times: Option<u32>,

    #[command(flatten)]
    way: OnlyWay,
}

impl Act for Referrers {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let shape = Shape::of(self.quiet, self.format.as_deref(), "Digest")?;
        let mut engine = invocation.engine()?;
        let (images, state) = engine.images();
        let place = Place::meant(images, state, &self.image)?.below(&invocation.directory);
        let end = Way::from(self.way).end_at(place, invocation)?.retried(self.retry_times);
        let found = images.referrers(Some(state), &end, self.artifact_type.as_deref())?;
        let rows: Vec<Row> = found.iter().map(row).collect();
        for notice in end.take_notices() {
            invocation.console.note(&notice);
        }
        invocation.console.print(shape.print(COLUMNS, &rows)?)?;
        Ok(SUCCESS)
    }
}

fn row(found: &Descriptor) -> Row {
    let notes: Vec<String> =
        found.annotations.iter().map(|(key, value)| format!("{key}={value}")).collect();
    Row::new([
        ("Annotations", notes.join(",")),
        ("ArtifactType", found.artifact_type.clone().unwrap_or_default()),
        ("Digest", found.digest.to_string()),
        ("MediaType", found.media_type.clone()),
        ("RawSize", found.size.to_string()),
        ("Size", size::humanly(found.size)),
    ])
}
