//! `history`: how an image was made, the newest step first.

use crate::{
    exit::SUCCESS,
    invocation::Invocation,
    render::{
        list::{Column, Row, Shape},
        text::shortened,
    },
    tree::Act,
};
use dhow_base::{
    Result,
    clock::{Moment, humanly},
    size,
};
use dhow_image::HistoryEntry;

const COLUMNS: &[Column] = &[
    ("IMAGE", "ID"),
    ("CREATED", "CreatedSince"),
    ("CREATED BY", "CreatedBy"),
    ("SIZE", "Size"),
    ("COMMENT", "Comment"),
];

/// Letters of a step that fit its column.
const STEP_LIMIT: usize = 45;

/// Show how an image was made
#[derive(clap::Args, Debug)]
pub(crate) struct History {
    /// The image, by name or id
    image: String,

    /// Print ids only
    #[arg(short, long)]
    quiet: bool,

    /// Do not shorten ids and steps
    #[arg(long)]
    no_trunc: bool,

    /// Print as table, as json (one object a line) or by a template
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
}

impl Act for History {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let shape = Shape::of(self.quiet, self.format.as_deref(), "ID")?.by(invocation.manners);
        let mut engine = invocation.engine()?;
        let (images, state) = engine.images();
        let image = images.look_up(state, &self.image)?;
        let now = Moment::now();
        let entries = image.history(state)?;
        let rows: Vec<Row> = entries.iter().map(|entry| row(entry, now, self.no_trunc)).collect();
        invocation.console.print(shape.print(COLUMNS, &rows)?)?;
        Ok(SUCCESS)
    }
}

fn row(entry: &HistoryEntry, now: Moment, whole: bool) -> Row {
    let created = entry.created.as_deref().and_then(|text| Moment::parse(text).ok());
    let since =
        created.map_or_else(|| "N/A".to_owned(), |at| format!("{} ago", humanly(now.since(at))));
    let step = if whole {
        entry.created_by.clone()
    } else {
        shortened(&entry.created_by, STEP_LIMIT).into_owned()
    };
    // Only the whole image has an id; what the steps before it made is nobody's image.
    let id = match &entry.id {
        Some(id) if whole => id.as_str(),
        Some(id) => id.short(),
        None => "<missing>",
    };
    Row::new([
        ("Comment", entry.comment.clone()),
        ("CreatedAt", created.map(Moment::as_go_prints).unwrap_or_default()),
        ("CreatedBy", step),
        ("CreatedSince", since),
        ("ID", id.to_owned()),
        ("Size", size::humanly(entry.size)),
    ])
}
