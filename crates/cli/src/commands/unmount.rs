//! `unmount`: a container's root is looked into no more.

use super::{init::Named, several::each};
use crate::{invocation::Invocation, tree::Act};
use dhow_base::Result;
use dhow_engine::Unmount as Whom;

/// Take the mounts of containers away that `mount` made
///
/// A mount that others want too stays. Prints the ids.
#[derive(clap::Args, Debug)]
pub(crate) struct Unmount {
    #[command(flatten)]
    named: Named,

    /// Whoever else wants it
    #[arg(short, long)]
    force: bool,
}

impl Act for Unmount {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let mut engine = invocation.engine()?;
        let names = if self.named.all {
            engine.mounted()?.into_iter().map(|(_, mounted)| mounted.id.to_string()).collect()
        } else {
            self.named.picked().names(&mut engine, dhow_engine::Which::All, invocation)?
        };
        let whom = if self.force { Whom::All } else { Whom::One };
        each(invocation, &names, |container| {
            engine.unmount(container, whom).map(|id| Some(id.to_string()))
        })
    }
}
