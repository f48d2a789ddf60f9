//! `secret ls`: the list of secrets.

use crate::{
    exit::SUCCESS,
    flags::refuse,
    invocation::Invocation,
    render::list::{Column, Row, Shape},
    tree::Act,
};
use dhow_base::{
    Result,
    clock::{Moment, humanly},
};
use dhow_engine::Secret;

const COLUMNS: &[Column] = &[
    ("ID", "ID"),
    ("NAME", "Name"),
    ("DRIVER", "Driver"),
    ("CREATED", "CreatedAt"),
    ("UPDATED", "UpdatedAt"),
];

/// List secrets
#[derive(clap::Args, Debug)]
pub(crate) struct Ls {
    /// List only secrets for which this holds: id= or name=
    #[arg(short, long, value_name = "KEY=VALUE")]
    filter: Vec<String>,

    /// Print as table, as json (one object a line) or by a template
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,

    /// Print ids only
    #[arg(short, long)]
    quiet: bool,

    /// Print the table without titles
    #[arg(short, long)]
    noheading: bool,
}

impl Act for Ls {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let shape = Shape::of(self.quiet, self.format.as_deref(), "ID")?.by(invocation.manners);
        let filters = self.filter.iter().map(|text| filter(text)).collect::<Result<Vec<_>>>()?;
        let now = Moment::now();
        let secrets = invocation.engine()?.secrets()?;
        let rows: Vec<Row> = secrets
            .iter()
            .filter(|secret| filters.iter().all(|filter| filter.holds(secret)))
            .map(|secret| row(secret, now))
            .collect();
        let text = shape.print_titled(COLUMNS, &rows, self.noheading)?;
        invocation.console.print(text)?;
        Ok(SUCCESS)
    }
}

enum Filter {
    Id(String),
    Name(String),
}

fn filter(text: &str) -> Result<Filter> {
    match text.split_once('=') {
        Some(("id", value)) => Ok(Filter::Id(value.to_owned())),
        Some(("name", value)) => Ok(Filter::Name(value.to_owned())),
        _ => Err(refuse("--filter", text, "no such filter").hint("there are id= and name=")),
    }
}

impl Filter {
    fn holds(&self, secret: &Secret) -> bool {
        match self {
            Self::Id(start) => secret.id.starts_with(start.as_str()),
            Self::Name(part) => secret.name.as_str().contains(part.as_str()),
        }
    }
}

fn row(secret: &Secret, now: Moment) -> Row {
    let ago = |moment: Moment| format!("{} ago", humanly(now.since(moment)));
    Row::new([
        ("CreatedAt", ago(secret.created)),
        ("Driver", "file".to_owned()),
        ("ID", secret.id.clone()),
        ("Name", secret.name.to_string()),
        ("UpdatedAt", ago(secret.updated)),
    ])
}
