//! `manifest push`: a list with its images, to where it belongs.

use crate::{
    commands::copy::{dialect, write_digest},
    exit::SUCCESS,
    flags::way::{OnlyWay, Way},
    invocation::Invocation,
    tree::Act,
};
use dhow_base::{Error, Kind, Result};
use dhow_image::{CopyOptions, End, MultiArch, Place};

/// Send a list and its images to a registry or another place
///
/// Without a destination it goes where its name says. Prints the digest that it has there.
#[derive(clap::Args, Debug)]
pub(crate) struct Push {
    /// The list
    #[arg(value_name = "LIST")]
    list: String,

    /// Where to: REGISTRY/NAME:TAG, or a place with its transport
    #[arg(value_name = "DESTINATION")]
    destination: Option<String>,

    /// Send the images too; with =false they are there already
    #[arg(long, value_name = "BOOL", default_value = "true")]
    all: bool,

    /// Write the list's digest to this file
    #[arg(long, value_name = "FILE")]
    digestfile: Option<String>,

    /// The kind of documents that are sent: oci or v2s2
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<String>,

    /// Show no progress
    #[arg(short, long)]
    quiet: bool,

    /// Remove the list here when it is there
    #[arg(long)]
    rm: bool,

    #[command(flatten)]
    way: OnlyWay,
}

impl Act for Push {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let way = Way::from(self.way.clone());
        let to = self.destination.as_deref().unwrap_or(&self.list);
        let to = Place::parse(to).unwrap_or_else(|_| Place::Registry(to.to_owned()));
        let to = way.end_at(to.below(&invocation.directory), invocation)?;
        let from = End::new(Place::Local(self.list.clone()), invocation.registries());
        let options = CopyOptions {
            multi_arch: if self.all { MultiArch::All } else { MultiArch::IndexOnly },
            format: self.format.as_deref().map(dialect).transpose()?,
            ..CopyOptions::default()
        };
        let mut engine = invocation.engine()?;
        let (images, state) = engine.images();
        if !images.has_list(state, &self.list)? {
            return Err(Error::new(Kind::NotFound, format!("no such list: {}", self.list)));
        }
        let progress = invocation.progress_of("pushing", self.quiet);
        let copied = images.copy(Some(state), &from, &to, &options, &progress)?;
        for note in to.take_notices().into_iter().chain(copied.notes) {
            invocation.console.note(&note);
        }
        if let Some(file) = &self.digestfile {
            write_digest(file, &copied.digest, invocation)?;
        }
        if self.rm {
            images.remove_list(state, &self.list)?;
        }
        invocation.console.line(copied.digest.as_str())?;
        Ok(SUCCESS)
    }
}
