//! `artifact ls`: the list of artifacts.

use crate::{
    exit::SUCCESS,
    invocation::Invocation,
    render::list::{Column, Row, Shape},
    tree::Act,
};
use dhow_base::{
    Result,
    clock::{Moment, humanly},
    size,
};
use dhow_image::{Artifact, Reference};

const COLUMNS: &[Column] = &[
    ("REPOSITORY", "Repository"),
    ("TAG", "Tag"),
    ("DIGEST", "Digest"),
    ("CREATED", "Created"),
    ("SIZE", "Size"),
];

/// List artifacts
#[derive(clap::Args, Debug)]
pub(crate) struct Ls {
    /// Print as table, as json (one object a line) or by a template
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,

    /// Print digests only
    #[arg(short, long)]
    quiet: bool,

    /// Do not shorten digests
    #[arg(long)]
    no_trunc: bool,
}

impl Act for Ls {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let shape = Shape::of(self.quiet, self.format.as_deref(), "Digest")?;
        let mut engine = invocation.engine()?;
        let (images, state) = engine.images();
        let now = Moment::now();
        let rows: Vec<Row> = images
            .list_artifacts(state)?
            .iter()
            .map(|artifact| row(artifact, now, self.no_trunc))
            .collect();
        invocation.console.print(shape.print(COLUMNS, &rows)?)?;
        Ok(SUCCESS)
    }
}

fn row(artifact: &Artifact, now: Moment, whole: bool) -> Row {
    let reference = Reference::parse(&artifact.name).ok();
    let tag = reference.as_ref().and_then(Reference::tag).unwrap_or("<none>").to_owned();
    let repository = reference.map_or_else(|| artifact.name.clone(), |name| name.name());
    let digest = if whole { artifact.digest.as_str() } else { artifact.digest.short() };
    Row::new([
        ("Created", format!("{} ago", humanly(now.since(artifact.changed)))),
        ("Digest", digest.to_owned()),
        ("Repository", repository),
        ("Size", size::humanly(artifact.size())),
        ("Tag", tag),
    ])
}
