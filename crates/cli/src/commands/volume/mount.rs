//! `volume mount` and `volume unmount`: the data of volumes, to be looked into on the host.

use super::super::several::each;
use crate::{exit::SUCCESS, invocation::Invocation, tree::Act};
use dhow_base::Result;

/// Print where the data of volumes is on the host, mounted where it is a file system of its own
///
/// Stays until as many have called `volume unmount`, or to the next reboot.
#[derive(clap::Args, Debug)]
pub(crate) struct Mount {
    /// The volumes; none to list those that are mounted
    #[arg(value_name = "VOLUME")]
    volumes: Vec<String>,
}

impl Act for Mount {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let mut engine = invocation.engine()?;
        if self.volumes.is_empty() {
            for volume in engine.volumes()?.iter().filter(|volume| volume.mounts > 0) {
                let line = format!("{} {}", volume.name, volume.mountpoint.display());
                invocation.console.line(&line)?;
            }
            return Ok(SUCCESS);
        }
        each(invocation, &self.volumes, |volume| {
            engine.mount_volume(volume).map(|path| Some(path.display().to_string()))
        })
    }
}

/// Take back what `volume mount` did
#[derive(clap::Args, Debug)]
pub(crate) struct Unmount {
    /// The volumes
    #[arg(required = true, value_name = "VOLUME")]
    volumes: Vec<String>,
}

impl Act for Unmount {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let mut engine = invocation.engine()?;
        each(invocation, &self.volumes, |volume| {
            engine.unmount_volume(volume).map(|name| Some(name.to_string()))
        })
    }
}
