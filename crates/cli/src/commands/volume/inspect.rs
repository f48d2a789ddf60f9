//! `volume inspect`: all that is known of volumes.

use super::super::documents::Documents;
use crate::{invocation::Invocation, tree::Act};
use dhow_base::Result;
use dhow_engine::Volume;
use serde_json::{Value, json};

/// Show all that is known of volumes
#[derive(clap::Args, Debug)]
pub(crate) struct Inspect {
    /// The volumes
    #[arg(required_unless_present = "all", value_name = "VOLUME")]
    volumes: Vec<String>,

    /// Show all volumes
    #[arg(short, long, conflicts_with = "volumes")]
    all: bool,

    /// Print as json or by a template such as '{{.Mountpoint}}'
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<String>,
}

impl Act for Inspect {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let mut documents = Documents::new(self.format.as_deref())?;
        let mut engine = invocation.engine()?;
        if self.all {
            documents.found.extend(engine.volumes()?.iter().map(document));
        }
        for name in &self.volumes {
            documents.take(engine.volume(name).map(|volume| document(&volume)), invocation);
        }
        documents.print(invocation)
    }
}

/// Docker's document, with what podman's has besides.
pub(super) fn document(volume: &Volume) -> Value {
    let (uid, gid) = volume.owner;
    json!({
        "CreatedAt": volume.created.rfc3339(),
        "Driver": volume.driver,
        "Labels": volume.labels,
        "Mountpoint": volume.mountpoint,
        "Name": volume.name.as_str(),
        "Options": volume.options,
        "Scope": "local",
        "Anonymous": volume.anonymous,
        "MountCount": volume.mounts,
        "NeedsCopyUp": volume.needs_copy,
        "UID": uid.unwrap_or(0),
        "GID": gid.unwrap_or(0),
        "UsedBy": volume.users.iter().map(|user| user.name.as_str()).collect::<Vec<_>>(),
    })
}
