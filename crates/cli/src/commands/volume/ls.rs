//! `volume ls`: the list of volumes.

use super::filter;
use crate::{
    exit::SUCCESS,
    invocation::Invocation,
    manners::Manners,
    render::list::{Column, Podmans, Row, Shape},
    tree::Act,
};
use dhow_base::Result;
use dhow_engine::Volume;
use serde_json::{Map, json};

const COLUMNS: &[Column] = &[("DRIVER", "Driver"), ("VOLUME NAME", "Name")];

/// List volumes
#[derive(clap::Args, Debug)]
pub(crate) struct Ls {
    /// List only volumes for which this holds: name=, label=, dangling=, driver=, opt=, until= …
    #[arg(short, long, value_name = "KEY=VALUE")]
    filter: Vec<String>,

    /// Print as table, as json (one object a line) or by a template
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,

    /// Print names only
    #[arg(short, long)]
    quiet: bool,

    /// Print the table without titles
    #[arg(short, long)]
    noheading: bool,
}

impl Act for Ls {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let shape = Shape::of(self.quiet, self.format.as_deref(), "Name")?.by(invocation.manners);
        let filters = filter::all(&self.filter)?;
        let volumes = invocation.engine()?.volumes_where(&filters)?;
        let podmans = |volume: &Volume| match invocation.manners {
            Manners::Podman => row(volume).with(Podmans {
                document: super::inspect::document(volume),
                fields: Map::from_iter([("Labels".to_owned(), json!(volume.labels))]),
            }),
            _ => row(volume),
        };
        let rows: Vec<Row> = volumes.iter().map(podmans).collect();
        let text = shape.print_titled(COLUMNS, &rows, self.noheading)?;
        invocation.console.print(text)?;
        Ok(SUCCESS)
    }
}

fn row(volume: &Volume) -> Row {
    let labels: Vec<String> =
        volume.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    Row::new([
        ("Availability", "N/A".to_owned()),
        ("CreatedAt", volume.created.rfc3339()),
        ("Driver", volume.driver.clone()),
        ("Group", "N/A".to_owned()),
        ("Labels", labels.join(",")),
        ("Links", volume.users.len().to_string()),
        ("Mountpoint", volume.mountpoint.display().to_string()),
        ("Name", volume.name.to_string()),
        ("Scope", "local".to_owned()),
        ("Size", "N/A".to_owned()),
        ("Status", "N/A".to_owned()),
    ])
}
