//! `volume inspect`: all that is known of volumes.

use super::super::look::pretty;
use crate::{
    exit::{FAILURE, SUCCESS},
    invocation::Invocation,
    render::template::Format,
    tree::Act,
};
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
        let format = match self.format.as_deref() {
            None | Some("" | "json") => None,
            Some(text) => Some(Format::parse(text)?),
        };
        let mut engine = invocation.engine()?;
        let mut documents = Vec::new();
        let mut code = SUCCESS;
        if self.all {
            documents.extend(engine.volumes()?.iter().map(document));
        }
        for name in &self.volumes {
            match engine.volume(name) {
                Ok(volume) => documents.push(document(&volume)),
                Err(error) => {
                    invocation.console.error(&error);
                    code = FAILURE;
                }
            }
        }
        let text = match format {
            Some(format) => {
                let line = |document| Ok(format!("{}\n", format.fill(document)?));
                documents.iter().map(line).collect::<Result<String>>()?.into_bytes()
            }
            None => pretty(&documents)?,
        };
        invocation.console.print(text)?;
        Ok(code)
    }
}

/// Docker's document, with what podman's has besides.
fn document(volume: &Volume) -> Value {
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
