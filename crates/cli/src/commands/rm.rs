//! `rm`: remove containers.

use super::{
    picked::{Picked, is_ignored},
    several,
};
use crate::{invocation::Invocation, tree::Act};
use dhow_base::{Kind, Result};
use dhow_engine::{Engine, RemoveOptions, StopOptions, Which};
use std::collections::HashSet;

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
            containers = with_requiring(&mut engine, containers)?;
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

/// The containers, each behind those that require it, and each once. One that is not there stays, to be told.
fn with_requiring(engine: &mut Engine, containers: Vec<String>) -> Result<Vec<String>> {
    let mut all = Vec::new();
    let mut seen = HashSet::new();
    for container in containers {
        let ids = match engine.with_requiring(&container) {
            Err(error) if error.kind() == Kind::NotFound => Vec::new(),
            ids => ids?,
        };
        let Some((own, requiring)) = ids.split_last() else {
            all.push(container);
            continue;
        };
        for id in requiring.iter().filter(|id| seen.insert((*id).clone())) {
            all.push(id.to_string());
        }
        if seen.insert(own.clone()) {
            all.push(container);
        }
    }
    Ok(all)
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
