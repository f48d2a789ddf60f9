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
        let shape = Shape::of(self.quiet, self.format.as_deref(), "ID")?;
        let mut engine = invocation.engine()?;
        let (images, state) = engine.images();
        let id = images.look_up(state, &self.image)?.id;
        let id = if self.no_trunc { id.as_str() } else { id.short() };
        let now = Moment::now();
        let entries = images.history(state, &self.image)?;
        let rows: Vec<Row> = entries
            .iter()
            .enumerate()
            // Only the whole image has an id; the steps before it are nobody's image.
            .map(|(at, entry)| {
                row(entry, if at == 0 { id } else { "<missing>" }, now, self.no_trunc)
            })
            .collect();
        invocation.console.print(shape.print(COLUMNS, &rows)?)?;
        Ok(SUCCESS)
    }
}

fn row(entry: &HistoryEntry, id: &str, now: Moment, whole: bool) -> Row {
    let since = entry
        .created
        .map_or_else(|| "N/A".to_owned(), |at| format!("{} ago", humanly(now.since(at))));
    let step = if whole {
        entry.created_by.clone()
    } else {
        shortened(&entry.created_by, STEP_LIMIT).into()
    };
    Row::new([
        ("Comment", entry.comment.clone()),
        ("CreatedAt", entry.created.map(Moment::rfc3339).unwrap_or_default()),
        ("CreatedBy", step),
        ("CreatedSince", since),
        ("ID", id.to_owned()),
        ("Size", size::humanly(entry.size)),
    ])
}
