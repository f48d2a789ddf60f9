//! `network ls`: the list of networks.

use super::{filter, shown_name};
use crate::{
    exit::SUCCESS,
    invocation::Invocation,
    manners::Manners,
    render::list::{Column, Podmans, Row, Shape},
    tree::Act,
};
use dhow_base::Result;
use dhow_engine::Network;
use serde_json::{Map, json};

const COLUMNS: &[Column] =
    &[("NETWORK ID", "ID"), ("NAME", "Name"), ("DRIVER", "Driver"), ("SCOPE", "Scope")];
const PODMANS_COLUMNS: &[Column] = &[("NETWORK ID", "ID"), ("NAME", "Name"), ("DRIVER", "Driver")];

/// List networks
#[derive(clap::Args, Debug)]
pub(crate) struct Ls {
    /// List only networks for which this holds: name=, id=, driver=, label=, dangling=, scope=, type= …
    #[arg(short, long, value_name = "KEY=VALUE")]
    filter: Vec<String>,

    /// Print as table, as json (one object a line) or by a template
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,

    /// Print ids only, and names under podman's
    #[arg(short, long)]
    quiet: bool,

    /// Print whole ids
    #[arg(long)]
    no_trunc: bool,

    /// Print the table without titles
    #[arg(short, long)]
    noheading: bool,
}

impl Act for Ls {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let manners = invocation.manners;
        let podman = manners == Manners::Podman;
        let alone = if podman { "Name" } else { "ID" };
        let shape = Shape::of(self.quiet, self.format.as_deref(), alone)?.by(manners);
        let filters = filter::all(&self.filter)?;
        let mut networks = super::engine(invocation)?.networks_where(&filters)?;
        if podman {
            // To podman these are words for `--network`, and no networks.
            networks.retain(|network| !matches!(network.name.as_str(), "host" | "none"));
        }
        let rows: Vec<Row> =
            networks.iter().map(|network| row(network, self.no_trunc, manners)).collect();
        let columns = if podman { PODMANS_COLUMNS } else { COLUMNS };
        invocation.console.print(shape.print_titled(columns, &rows, self.noheading)?)?;
        Ok(SUCCESS)
    }
}

fn row(network: &Network, whole: bool, manners: Manners) -> Row {
    let labels: Vec<String> =
        network.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let id = if whole { &network.id } else { &network.id[..12] };
    let has = |ipv6| network.made.subnets.iter().any(|range| range.subnet.is_ipv6() == ipv6);
    let row = Row::new([
        ("CreatedAt", network.created.rfc3339()),
        ("Driver", network.driver.clone()),
        ("ID", id.to_owned()),
        ("IPv4", has(false).to_string()),
        ("IPv6", has(true).to_string()),
        ("Internal", network.made.internal.to_string()),
        ("Labels", labels.join(",")),
        ("Name", shown_name(&network.name, manners).to_owned()),
        ("Scope", "local".to_owned()),
    ]);
    if manners != Manners::Podman {
        return row;
    }
    row.with(Podmans {
        document: super::inspect::podmans(network, super::inspect::Part::WithoutContainers),
        fields: Map::from_iter([("Labels".to_owned(), json!(network.labels))]),
    })
}
