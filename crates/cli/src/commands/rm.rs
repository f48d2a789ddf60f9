//! `rm`: remove containers.

use super::several;
use crate::{invocation::Invocation, tree::Act};
use dhow_base::{Kind, Result};
use dhow_engine::{RemoveOptions, Which};

/// Remove containers
#[derive(clap::Args, Debug)]
pub(crate) struct Rm {
    /// The containers, by name or id
    #[arg(required_unless_present = "all", value_name = "CONTAINER")]
    containers: Vec<String>,

    /// Remove all containers
    #[arg(short, long, conflicts_with = "containers")]
    all: bool,

    /// Kill containers that run; a container that is not there is no error
    #[arg(short, long)]
    force: bool,

    /// Remove their volumes that have no name
    #[arg(short, long)]
    volumes: bool,
}

impl Act for Rm {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let options = RemoveOptions { force: self.force, volumes: self.volumes };
        let mut engine = invocation.engine()?;
        let containers = several::chosen(&mut engine, self.containers, self.all, Which::All)?;
        several::each(invocation.console, &containers, |container| {
            match engine.remove(container, options) {
                Ok(()) => Ok(Some(container.to_owned())),
                // What is wanted gone is gone, whoever did it.
                Err(error) if error.kind() == Kind::NotFound && (self.force || self.all) => {
                    Ok(None)
                }
                Err(error) => Err(error),
            }
        })
    }
}
