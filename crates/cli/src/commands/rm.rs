//! `rm`: remove containers.

use super::{
    picked::{Picked, is_ignored},
    several,
};
use crate::{invocation::Invocation, tree::Act};
use dhow_base::{Kind, Result};
use dhow_engine::{Engine, RemoveOptions, StopOptions, Which};

/// Remove containers
#[derive(clap::Args, Debug)]
pub(crate) struct Rm {
    #[command(flatten)]
    picked: Picked,

    /// Kill containers that run; a container that is not there is no error
    #[arg(short, long)]
    force: bool,

    /// Remove their volumes that have no name
    #[arg(short, long)]
    volumes: bool,

    /// Let containers that are not there be no error
    #[arg(short, long)]
    ignore: bool,

    /// With --force, wait so many seconds for the program to end before it is killed
    #[arg(short, long, value_name = "SECONDS", allow_negative_numbers = true, requires = "force")]
    time: Option<i64>,

    /// Remove the containers first that require these
    #[arg(long)]
    depend: bool,
}

impl Act for Rm {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let mut engine = invocation.engine()?;
        let mut containers = self.picked.names(&mut engine, Which::All, invocation)?;
        if self.depend {
            let mut all = Vec::new();
            for container in containers {
                let requiring = engine.requiring(&container)?;
                all.extend(requiring.iter().rev().map(ToString::to_string));
                all.push(container);
            }
            containers = all;
        }
        let gone_is_fine = self.force || self.picked.all || self.ignore;
        several::each_removed(invocation, &containers, |container| {
            match self.remove(&mut engine, container) {
                Ok(()) => Ok(Some(container.to_owned())),
                // What is wanted gone is gone, whoever did it.
                Err(error) if is_ignored(gone_is_fine, &error) => Ok(None),
                Err(error) => Err(error),
            }
        })
    }
}

impl Rm {
    fn remove(&self, engine: &mut Engine, container: &str) -> Result<()> {
        if let Some(seconds) = self.time {
            let options = StopOptions { timeout_seconds: Some(seconds), signal: None };
            match engine.stop(container, &options) {
                // With --rm it is gone by now.
                Err(error) if error.kind() == Kind::NotFound => return Err(error),
                stopped => stopped?,
            }
        }
        let options = RemoveOptions { force: self.force, volumes: self.volumes };
        engine.remove(container, options)
    }
}
