//! `commit`: an image of what a container has become.

use super::repack::epoch;
use crate::{exit::SUCCESS, invocation::Invocation, manners::Manners, outfile, tree::Act};
use clap::ValueEnum;
use dhow_base::{Doing, Error, Kind, Result, file};
use dhow_engine::CommitOptions;
use dhow_image::{Dialect, Layers};
use serde_json::{Map, Value};
use std::path::Path;

/// Make an image of a container
///
/// The layers of its image stay, and what has changed is one more above them. What is mounted in the
/// container, volumes above all, is not part of it. Prints the image's id. With SOURCE_DATE_EPOCH in
/// the environment the same container gives the same image each time.
#[derive(clap::Args, Debug)]
pub(crate) struct Commit {
    /// The container, by name or id
    #[arg(value_name = "CONTAINER")]
    container: String,

    /// The image's name; without one it is found by its id
    #[arg(value_name = "IMAGE")]
    image: Option<String>,

    /// Who made it
    #[arg(short, long, value_name = "AUTHOR")]
    author: Option<String>,

    /// Change how it runs by a line of a Dockerfile: CMD, ENTRYPOINT, ENV, EXPOSE, HEALTHCHECK,
    /// LABEL, ONBUILD, SHELL, STOPSIGNAL, USER, VOLUME or WORKDIR (can be repeated)
    #[arg(short, long, value_name = "LINE")]
    change: Vec<String>,

    /// Write the image's documents as OCI has them, which is usual, or docker
    #[arg(short, long, value_name = "FORMAT", value_enum)]
    format: Option<Form>,

    /// Take fields of the configuration from a file, as JSON in docker's form
    #[arg(long, value_name = "FILE")]
    config: Option<String>,

    /// Write the image's id to this file
    #[arg(long, value_name = "FILE")]
    iidfile: Option<String>,

    /// Have the image name the places of the container's mounts as volumes; not what is in them
    #[arg(long)]
    include_volumes: bool,

    /// Why it was made
    #[arg(short, long, value_name = "TEXT")]
    message: Option<String>,

    /// Let the processes stand still meanwhile, which is usual but under podman's name
    #[arg(short, long, value_name = "BOOL")]
    pause: Option<bool>,

    /// Do not print the id; under podman's name it is printed, and nothing else is said anyway
    #[arg(short, long)]
    quiet: bool,

    /// Put all layers into one
    #[arg(short, long)]
    squash: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Form {
    /// OCI's documents.
    Oci,
    /// Docker's documents.
    Docker,
}

/// The largest file of fields; an image's configuration has the same limit.
const FIELDS_LIMIT_BYTES: u64 = 4 << 20;

/// What `--config` says.
fn fields(path: &Path) -> Result<Map<String, Value>> {
    let doing = || format!("read {}", path.display());
    let bytes = file::read_limited(path, FIELDS_LIMIT_BYTES).doing(doing)?;
    serde_json::from_slice(&bytes).map_err(|error| {
        Error::new(Kind::Invalid, doing())
            .because(error)
            .hint(r#"it holds one object, such as {"Cmd": ["sh"], "Env": ["A=1"]}"#)
    })
}

impl Act for Commit {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let manners = invocation.manners;
        let options = CommitOptions {
            name: self.image,
            fields: match &self.config {
                Some(path) => fields(&invocation.surroundings().absolute(path))?,
                None => Map::new(),
            },
            changes: self.change,
            author: self.author,
            message: self.message,
            pause: self.pause.unwrap_or(manners != Manners::Podman),
            dialect: match (self.format, manners) {
                (Some(Form::Docker), _) | (None, Manners::Docker) => Dialect::Docker,
                (Some(Form::Oci) | None, _) => Dialect::Oci,
            },
            layers: if self.squash { Layers::Squashed } else { Layers::Kept },
            names_mounts: self.include_volumes,
            epoch: epoch()?,
        };
        let image = invocation.engine()?.commit(&self.container, &options)?;
        if let Some(path) = &self.iidfile {
            let path = invocation.surroundings().absolute(path);
            outfile::write(&path, image.id.as_str())?;
        }
        if !self.quiet || manners == Manners::Podman {
            invocation.console.line(manners.id(&image.id))?;
        }
        Ok(SUCCESS)
    }
}
