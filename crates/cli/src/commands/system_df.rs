//! `system df`: what everything costs on disk, as `du` counts.

use crate::{
    exit::SUCCESS,
    invocation::Invocation,
    manners::Manners,
    render::list::{Column, Podmans, Row, Shape},
    tree::Act,
};
use dhow_base::{
    Result,
    clock::{Moment, humanly},
    size,
};
use dhow_engine::{ContainerUsage, DiskUsage, KindUsage, VolumeUsage};
use dhow_image::ImageUsage;
use serde_json::json;

const COLUMNS: &[Column] = &[
    ("TYPE", "Type"),
    ("TOTAL", "TotalCount"),
    ("ACTIVE", "Active"),
    ("SIZE", "Size"),
    ("RECLAIMABLE", "Reclaimable"),
];

const IMAGE_COLUMNS: &[Column] = &[
    ("REPOSITORY", "Repository"),
    ("TAG", "Tag"),
    ("IMAGE ID", "ID"),
    ("CREATED", "CreatedSince"),
    ("SIZE", "Size"),
    ("SHARED SIZE", "SharedSize"),
    ("UNIQUE SIZE", "UniqueSize"),
    ("CONTAINERS", "Containers"),
];

const CONTAINER_COLUMNS: &[Column] = &[
    ("CONTAINER ID", "ID"),
    ("IMAGE", "Image"),
    ("LOCAL VOLUMES", "LocalVolumes"),
    ("SIZE", "Size"),
    ("CREATED", "RunningFor"),
    ("STATUS", "Status"),
    ("NAMES", "Names"),
];

const VOLUME_COLUMNS: &[Column] = &[("VOLUME NAME", "Name"), ("LINKS", "Links"), ("SIZE", "Size")];

/// Show what images, containers and volumes cost on disk
///
/// Counts blocks, as `du` does: the sizes together are what `du` says of the root.
#[derive(clap::Args, Debug)]
pub(crate) struct Df {
    /// Show each image, container and volume
    #[arg(short, long)]
    verbose: bool,

    /// Print as table, as json (one object a line) or by a template
    #[arg(long, value_name = "FORMAT", conflicts_with = "verbose")]
    format: Option<String>,
}

impl Act for Df {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let manners = invocation.manners;
        let shape = Shape::of(false, self.format.as_deref(), "Type")?.by(manners);
        let usage = invocation.engine()?.disk_usage()?;
        let text = if self.verbose {
            verbose(&usage)?
        } else {
            let of_kind = |usage: &KindUsage| match manners {
                Manners::Podman => row(usage).with(podmans(usage)),
                _ => row(usage),
            };
            let rows: Vec<Row> = usage.kinds().iter().map(of_kind).collect();
            shape.print(COLUMNS, &rows)?
        };
        invocation.console.print(text)?;
        Ok(SUCCESS)
    }
}

fn row(usage: &KindUsage) -> Row {
    let KindUsage { kind, total, active, size, reclaimable } = usage;
    let percent = (reclaimable * 100).checked_div(*size).unwrap_or(0);
    Row::new([
        ("Active", active.to_string()),
        ("RawReclaimable", reclaimable.to_string()),
        ("RawSize", size.to_string()),
        ("Reclaimable", format!("{} ({percent}%)", size::humanly(*reclaimable))),
        ("Size", size::humanly(*size)),
        ("TotalCount", total.to_string()),
        ("Type", (*kind).to_owned()),
    ])
}

/// Podman has numbers as numbers, and two names for how many there are.
fn podmans(usage: &KindUsage) -> Podmans {
    let KindUsage { kind, total, active, size, reclaimable } = usage;
    let texts = row(usage);
    let document = json!({
        "Type": kind, "Total": total, "TotalCount": total, "Active": active,
        "RawSize": size, "RawReclaimable": reclaimable,
        "Size": texts.cell("Size"), "Reclaimable": texts.cell("Reclaimable"),
    });
    let fields = document.as_object().cloned().unwrap_or_default();
    Podmans { document, fields }
}

fn verbose(usage: &DiskUsage) -> Result<String> {
    let now = Moment::now();
    let images: Vec<Row> = usage.images.images.iter().map(|one| image(one, now)).collect();
    let containers: Vec<Row> = usage.containers.iter().map(|one| container(one, now)).collect();
    let volumes: Vec<Row> = usage.volumes.iter().map(volume).collect();
    let mut text = String::new();
    for (title, columns, rows) in [
        ("Images", IMAGE_COLUMNS, &images),
        ("Containers", CONTAINER_COLUMNS, &containers),
        ("Local Volumes", VOLUME_COLUMNS, &volumes),
    ] {
        text.push_str(&format!("{title} space usage:\n\n"));
        text.push_str(&Shape::Table.print(columns, rows)?);
        text.push('\n');
    }
    if usage.images.interrupted > 0 {
        let size = size::humanly(usage.images.interrupted);
        text.push_str(&format!("Interrupted pulls: {size}\n"));
    }
    text.push_str(&format!("Database and directories: {}\n", size::humanly(usage.state)));
    Ok(text)
}

fn image(usage: &ImageUsage, now: Moment) -> Row {
    let ImageUsage { image, size, unique, containers, .. } = usage;
    let tags = image.tags();
    let name = tags.first().map_or("<none>:<none>", String::as_str);
    let (repository, tag) = name.rsplit_once(':').unwrap_or((name, "<none>"));
    let created = image.created().unwrap_or(image.pulled);
    Row::new([
        ("Containers", containers.to_string()),
        ("CreatedSince", format!("{} ago", humanly(now.since(created)))),
        ("ID", image.id.short().to_owned()),
        ("Repository", repository.to_owned()),
        ("SharedSize", size::humanly(size - unique)),
        ("Size", size::humanly(*size)),
        ("Tag", tag.to_owned()),
        ("UniqueSize", size::humanly(*unique)),
    ])
}

fn container(usage: &ContainerUsage, now: Moment) -> Row {
    Row::new([
        ("ID", usage.id.short().to_owned()),
        ("Image", usage.image_name.clone()),
        ("LocalVolumes", usage.volumes.to_string()),
        ("Names", usage.name.clone()),
        ("RunningFor", format!("{} ago", humanly(now.since(usage.created)))),
        ("Size", size::humanly(usage.size)),
        ("Status", usage.phase.word().to_owned()),
    ])
}

fn volume(usage: &VolumeUsage) -> Row {
    Row::new([
        ("Links", usage.containers.to_string()),
        ("Name", usage.name.clone()),
        ("Size", size::humanly(usage.size)),
    ])
}
