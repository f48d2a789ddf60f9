//! What is told of containers: each change of one is an event beside the change of its row.

use crate::record::Record;
use dhow_base::{Result, id::ContainerId};
use dhow_state::{
    Write,
    containers::{Container, Phase},
    events,
};
use serde_json::{Map, Value};

/// The container that an event is about, with what lists and filters of events ask of it.
#[derive(Debug)]
pub(crate) struct Subject<'a> {
    row: &'a Container,
    record: &'a Record,
}

impl<'a> Subject<'a> {
    pub(crate) fn of(row: &'a Container, record: &'a Record) -> Self {
        Self { row, record }
    }
}

/// Writes an event of a container. Its name, image and labels go along, since the container may be
/// gone when somebody asks.
pub(crate) fn tell(
    write: &Write<'_>,
    subject: &Subject<'_>,
    action: &str,
    more: &[(&str, &str)],
) -> Result<()> {
    let Subject { row, record } = subject;
    let text = |value: &str| Value::String(value.to_owned());
    let mut detail: Map<String, Value> =
        record.labels.iter().map(|(name, value)| (name.clone(), text(value))).collect();
    detail.insert("image".to_owned(), text(&row.image_name));
    detail.insert("name".to_owned(), text(&row.name));
    detail.extend(more.iter().map(|(name, value)| ((*name).to_owned(), text(value))));
    let detail = Value::Object(detail).to_string();
    events::record(write, "container", action, row.id.as_str(), &detail)
}

/// Writes what the command that started a container would have told, had it lived to write so.
pub(crate) fn tell_of_start(write: &Write<'_>, subject: &Subject<'_>) -> Result<()> {
    let phase = subject.row.phase;
    if phase == Phase::Creating {
        tell(write, subject, "create", &[])?;
    }
    if matches!(phase, Phase::Creating | Phase::Starting) {
        tell(write, subject, "start", &[])?;
    }
    Ok(())
}

/// Writes for each volume of a container that it is mounted, or no longer.
pub(crate) fn tell_of_volumes(
    write: &Write<'_>,
    container: &ContainerId,
    record: &Record,
    action: &str,
) -> Result<()> {
    for mount in record.mounts.iter().filter(|mount| mount.kind == "volume") {
        let detail = serde_json::json!({
            "container": container.as_str(),
            "destination": mount.target,
            "driver": "local",
            "read/write": (!mount.read_only).to_string(),
        });
        events::record(write, "volume", action, &mount.name, &detail.to_string())?;
    }
    Ok(())
}
