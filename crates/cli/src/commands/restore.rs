//! `container restore`: containers run on from their checkpoints.

use super::{
    checkpoint::{Statistics, Way, Work},
    container_clone::Asked,
    picked::Picked,
    several::each,
};
use crate::{exit::SUCCESS, flags::foreign::refuse_any, invocation::Invocation, tree::Act};
use dhow_base::{Doing, Result};
use dhow_engine::{Changes, Engine, Passage, RemoveOptions, RevivalOptions, Revived, Which};
use std::fs::File;

/// Let containers run on from their checkpoints, by criu
///
/// What they print goes to their logs again. Prints the ids.
#[derive(clap::Args, Debug)]
pub(crate) struct Restore {
    /// The containers, by name or id
    #[arg(value_name = "CONTAINER", required_unless_present_any = ["all", "latest", "import"])]
    containers: Vec<String>,

    /// Mean all containers of which there is a checkpoint
    #[arg(short, long, conflicts_with = "containers")]
    all: bool,

    /// Mean the newest container
    #[arg(short, long, conflicts_with_all = ["containers", "all"])]
    latest: bool,

    /// Keep the checkpoints
    #[arg(short, long)]
    keep: bool,

    #[command(flatten)]
    way: Way,

    /// Make a container of the checkpoint in a file
    #[arg(short, long, value_name = "FILE", conflicts_with_all = ["containers", "all", "latest"])]
    import: Option<String>,

    /// With --import, name the container; as the other one where it is missing
    #[arg(short, long, value_name = "NAME", requires = "import")]
    name: Option<String>,

    /// With --import, put the container into a pod
    #[arg(long, value_name = "POD", requires = "import")]
    pod: Option<String>,

    /// With --import, leave out what the other container had changed of its image
    #[arg(long, requires = "import")]
    ignore_rootfs: bool,

    /// With --import, as ever: volumes are not in the file
    #[arg(long, requires = "import")]
    ignore_volumes: bool,

    /// Refused: the memory is written with the rest
    #[arg(long, value_name = "FILE", hide = true)]
    import_previous: Option<String>,

    /// Refused: it has the addresses that it had
    #[arg(long, hide = true)]
    ignore_static_ip: bool,

    /// Refused: it has the addresses that it had
    #[arg(long, hide = true)]
    ignore_static_mac: bool,

    /// Refused: it has the ports that it had
    #[arg(short, long, value_name = "PORT", hide = true)]
    publish: Vec<String>,

    /// Close the connections that were open, instead of going on with them
    #[arg(long, conflicts_with = "tcp_established")]
    tcp_close: bool,

    /// Print how long it took and what criu has counted, as JSON, instead of the ids
    #[arg(long)]
    print_stats: bool,
}

impl Act for Restore {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        self.check()?;
        let options = RevivalOptions { tcp_close: self.tcp_close, ..self.way.options(self.keep) };
        let mut told = Statistics::new(Work::Restore);
        let mut engine = invocation.engine()?;
        if let Some(path) = &self.import {
            let restored = self.import(&mut engine, path, &options, invocation)?;
            if let Some(id) = told.take(&restored, self.print_stats) {
                invocation.console.line(&id)?;
            }
            told.print(self.print_stats, invocation.console)?;
            return Ok(SUCCESS);
        }
        let names =
            match self.all {
                true => engine.checkpointed()?.iter().map(ToString::to_string).collect(),
                false => Picked::of(self.containers.clone(), false, Vec::new(), self.latest)
                    .names(&mut engine, Which::All, invocation)?,
            };
        let code = each(invocation, &names, |container| {
            let restored = engine.restore(container, &options)?;
            Ok(told.take(&restored, self.print_stats))
        })?;
        told.print(self.print_stats, invocation.console)?;
        Ok(code)
    }
}

impl Restore {
    /// Makes a container like the one of which the file has the checkpoint, and lets it run on.
    fn import(
        &self,
        engine: &mut Engine,
        path: &str,
        options: &RevivalOptions,
        invocation: &Invocation,
    ) -> Result<Revived> {
        let place = invocation.surroundings().absolute(path);
        let file = File::open(&place).doing(|| format!("open {}", place.display()))?;
        let passage = Passage::open(file).doing(|| format!("import {}", place.display()))?;
        let asked = Asked {
            name: Some(self.name.clone().unwrap_or_else(|| passage.made.name.clone())),
            flags: self.pod.iter().map(|pod| format!("--pod={pod}")).collect(),
            ..Asked::default()
        };
        let id = asked.make(engine, &passage.made, invocation)?;
        let changes = if self.ignore_rootfs { Changes::Left } else { Changes::Taken };
        let restored = engine
            .import_checkpoint(&id, passage, changes)
            .and_then(|()| engine.restore(&id, options));
        if restored.is_err() {
            engine.remove(&id, RemoveOptions { force: true, volumes: true })?;
        }
        restored
    }

    fn check(&self) -> Result<()> {
        let previous = [("--import-previous", self.import_previous.is_some())];
        refuse_any(previous, "the memory is written with the rest")?;
        let bridged = [
            ("--ignore-static-ip", self.ignore_static_ip),
            ("--ignore-static-mac", self.ignore_static_mac),
            ("--publish", !self.publish.is_empty()),
        ];
        refuse_any(
            bridged,
            "a container that is connected to a network is not restored, so it has none",
        )
    }
}
