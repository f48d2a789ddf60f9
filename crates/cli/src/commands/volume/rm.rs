//! `volume rm`: remove volumes.

use super::super::several::each_removed;
use crate::{console::Console, invocation::Invocation, manners::Manners, tree::Act};
use dhow_base::Result;
use dhow_engine::RemoveVolume;

/// Remove volumes, with all that is in them
///
/// One that a container uses is not removed, whether the container runs or not. Under podman's name
/// `--force` removes the containers too.
#[derive(clap::Args, Debug)]
pub(crate) struct Rm {
    /// The volumes
    #[arg(required_unless_present = "all", value_name = "VOLUME")]
    volumes: Vec<String>,

    /// Remove all volumes
    #[arg(short, long, conflicts_with = "volumes")]
    all: bool,

    /// One that is not there is no error, one that is mounted on the host is unmounted
    #[arg(short, long)]
    force: bool,

    /// Not kept: no container is stopped
    #[arg(short, long, value_name = "SECONDS", hide = true)]
    time: Option<u32>,
}

impl Act for Rm {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        tell_of_time(self.time, invocation.console);
        let how = match (self.force, invocation.manners) {
            (false, _) => RemoveVolume::Gently,
            (true, Manners::Podman) => RemoveVolume::WithUsers,
            (true, _) => RemoveVolume::Force,
        };
        let mut engine = invocation.engine()?;
        let volumes = if self.all {
            engine.volumes()?.into_iter().map(|volume| volume.name.to_string()).collect()
        } else {
            self.volumes
        };
        each_removed(invocation, &volumes, |volume| {
            engine.remove_volume(volume, how).map(|name| Some(name.to_string()))
        })
    }
}

fn tell_of_time(time: Option<u32>, console: Console) {
    if time.is_some() {
        console.warning("--time: no container is stopped for a volume; this one is not kept");
    }
}
