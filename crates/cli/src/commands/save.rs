//! `save`: write images into a file.

use crate::{exit::SUCCESS, invocation::Invocation, tree::Act};
use clap::ValueEnum;
use dhow_base::{Error, Kind, Result};
use dhow_image::{SaveForm, SaveOptions, SaveTo};
use std::io::{self, IsTerminal};

/// Write images into a file
///
/// `dhow load` reads every form; docker and podman read the first.
#[derive(clap::Args, Debug)]
pub(crate) struct Save {
    /// The images
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,

    /// Compress layers that are not, in a directory
    #[arg(long)]
    compress: bool,

    /// The form of the file
    #[arg(long, value_name = "FORM", value_enum, default_value = "docker-archive")]
    format: Form,

    /// Accepted for podman's sake: several images always go into one archive
    #[arg(short, long, hide = true)]
    multi_image_archive: bool,

    /// Write to this file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<String>,

    /// Accepted for podman's sake: nothing is printed anyway
    #[arg(short, long, hide = true)]
    quiet: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Form {
    /// What `docker save` writes.
    DockerArchive,
    /// A tar file of an OCI image layout.
    OciArchive,
    /// An OCI image layout in a directory.
    OciDir,
    /// One image as a directory of files.
    DockerDir,
}

impl Act for Save {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let form = match self.format {
            Form::DockerArchive => SaveForm::DockerArchive,
            Form::OciArchive => SaveForm::OciArchive,
            Form::OciDir => SaveForm::OciDirectory,
            Form::DockerDir => SaveForm::DockerDirectory,
        };
        let to = destination(self.output.as_deref(), "save", invocation)?;
        let options = SaveOptions { form, compress: self.compress };
        let mut engine = invocation.engine()?;
        let (images, state) = engine.images();
        images.save(state, &self.images, to, options)?;
        Ok(SUCCESS)
    }
}

/// Where `--output` wants an archive: a file, or standard output, where that is no terminal.
pub(super) fn destination(
    output: Option<&str>,
    doing: &str,
    invocation: &Invocation,
) -> Result<SaveTo> {
    match output {
        Some(path) if path != "-" => Ok(SaveTo::Path(invocation.surroundings().absolute(path))),
        _ if io::stdout().is_terminal() => {
            Err(Error::new(Kind::Invalid, format!("refusing to {doing} to a terminal"))
                .hint("use --output, or send standard output somewhere else"))
        }
        _ => Ok(SaveTo::Stream(Box::new(io::stdout()))),
    }
}
