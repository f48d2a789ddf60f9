//! `init`: whether containers could start now.

use super::{picked::Picked, several::each};
use crate::{exit::SUCCESS, invocation::Invocation, tree::Act};
use dhow_base::{Kind, Result};
use dhow_engine::Which;

/// See that everything is there for containers to start
///
/// The configuration, the root and what is to be mounted are looked at. Nothing is made: namespaces and
/// a process come with `dhow start`, in a few milliseconds. Prints the ids.
#[derive(clap::Args, Debug)]
pub(crate) struct Init {
    #[command(flatten)]
    picked: Named,
}

/// The containers that a command of podman's is for.
#[derive(clap::Args, Debug)]
pub(super) struct Named {
    /// The containers, by name or id
    #[arg(value_name = "CONTAINER", required_unless_present_any = ["all", "latest"])]
    pub(super) containers: Vec<String>,

    /// Mean all containers
    #[arg(short, long, conflicts_with = "containers")]
    pub(super) all: bool,

    /// Mean the newest container
    #[arg(short, long, conflicts_with_all = ["containers", "all"])]
    pub(super) latest: bool,
}

impl Named {
    /// The same, to be looked up.
    pub(super) fn picked(self) -> Picked {
        Picked::of(self.containers, self.all, Vec::new(), self.latest)
    }
}

impl Act for Init {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let all = self.picked.all;
        let mut engine = invocation.engine()?;
        let names = match self.picked.picked().names(&mut engine, Which::All, invocation) {
            Ok(names) => names,
            Err(error) if all && error.kind() == Kind::Invalid => return Ok(SUCCESS),
            Err(error) => return Err(error),
        };
        each(invocation, &names, |container| match engine.check_ready(container) {
            // Of all containers those are meant that could start.
            Err(error) if all && error.kind() == Kind::Conflict => Ok(None),
            result => result.map(|id| Some(id.to_string())),
        })
    }
}
