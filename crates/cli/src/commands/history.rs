//! `history`: how an image was made, the newest step first.

use crate::{
    exit::SUCCESS,
    invocation::Invocation,
    manners::Manners,
    render::{
        list::{Column, Podmans, Row, Shape},
        text::shortened,
    },
    tree::Act,
};
use dhow_base::{
    Result,
    clock::{Moment, humanly},
    size,
};
use dhow_image::{CompleteNames, HistoryEntry};
use serde_json::json;

const COLUMNS: &[Column] = &[
    ("IMAGE", "ID"),
    ("CREATED", "CreatedSince"),
    ("CREATED BY", "CreatedBy"),
    ("SIZE", "Size"),
    ("COMMENT", "Comment"),
];

/// In place of the id of a step that made no image of its own.
const MISSING: &str = "<missing>";

/// Letters of a step that fit its column.
const STEP_LIMIT: usize = 45;

/// Show how an image was made
#[derive(clap::Args, Debug)]
pub(crate) struct History {
    /// The image, by name or id
    image: String,

    /// Print sizes and times for people to read; with =false in bytes and as RFC 3339
    #[arg(short = 'H', long, value_name = "BOOL")]
    human: Option<bool>,

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
        let entries = image.history(state)?;
        let how =
            How { now: Moment::now(), whole: self.no_trunc, human: self.human != Some(false) };
        let tags = CompleteNames::of(&image.names, &image.manifest).tagged;
        let podman = invocation.manners == Manners::Podman;
        let row = |entry| {
            let row = row(entry, &how);
            if podman { row.with(podmans(entry, how.now, &tags)) } else { row }
        };
        let rows: Vec<Row> = entries.iter().map(row).collect();
        invocation.console.print(shape.print(COLUMNS, &rows)?)?;
        Ok(SUCCESS)
    }
}

/// How a step is told.
struct How {
    now: Moment,
    /// Ids and commands are not shortened.
    whole: bool,
    /// Sizes and times are for people to read.
    human: bool,
}

fn row(entry: &HistoryEntry, how: &How) -> Row {
    let created = created(entry);
    let step = if how.whole {
        entry.created_by.clone()
    } else {
        shortened(&entry.created_by, STEP_LIMIT).into_owned()
    };
    // Only the whole image has an id; what the steps before it made is nobody's image.
    let id = match &entry.id {
        Some(id) if how.whole => id.as_str(),
        Some(id) => id.short(),
        None => MISSING,
    };
    let at = if how.human { created.map(Moment::as_go_prints) } else { entry.created.clone() };
    let at = at.unwrap_or_default();
    Row::new([
        ("Comment", entry.comment.clone()),
        ("CreatedAt", at.clone()),
        ("CreatedBy", step),
        ("CreatedSince", if how.human { since(created, how.now) } else { at }),
        ("ID", id.to_owned()),
        ("Size", if how.human { size::humanly(entry.size) } else { entry.size.to_string() }),
    ])
}

fn created(entry: &HistoryEntry) -> Option<Moment> {
    entry.created.as_deref().and_then(|text| Moment::parse(text).ok())
}

fn since(created: Option<Moment>, now: Moment) -> String {
    created.map_or_else(|| "N/A".to_owned(), |at| format!("{} ago", humanly(now.since(at))))
}

/// The step as podman knows it, in its array and in templates.
fn podmans(entry: &HistoryEntry, now: Moment, tags: &[String]) -> Podmans {
    let tags = entry.id.as_ref().map_or(&[][..], |_| tags);
    let document = json!({
        "id": entry.id.as_ref().map_or(MISSING, |id| id.hex()),
        "created": entry.created,
        "CreatedBy": entry.created_by,
        "size": entry.size,
        "comment": entry.comment,
        "tags": tags,
    });
    let fields = [("Created", json!(since(created(entry), now))), ("Tags", json!(tags))];
    Podmans {
        document,
        fields: fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
    }
}
