//! `mount`: the root of a container, to be looked into on the host.

use super::picked::{Picked, latest};
use crate::{exit::SUCCESS, flags::refuse, invocation::Invocation, tree::Act};
use dhow_base::{Error, Kind, Result};
use dhow_engine::{Engine, MountedContainer, Unmount, Which};
use serde_json::json;

/// Mount the root of containers, or list what is mounted
///
/// Prints where. Of a running container it is the root that its processes have, without what is mounted
/// in it; of one that does not run it is what the next start takes. Devices and set-user-id programs
/// count for nothing there. Who mounts a container that is mounted already is counted, and it stays until as
/// many have called `unmount`. Nothing is mounted any more after a reboot.
#[derive(clap::Args, Debug)]
pub(crate) struct Mount {
    /// The containers, by name or id; none to list what is mounted
    #[arg(value_name = "CONTAINER")]
    containers: Vec<String>,

    /// Mount all containers
    #[arg(short, long, conflicts_with = "containers")]
    all: bool,

    /// Mount the newest container
    #[arg(short, long, conflicts_with_all = ["containers", "all"])]
    latest: bool,

    /// Print json: one array
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,

    /// Do not shorten ids
    #[arg(long, alias = "notruncate")]
    no_trunc: bool,
}

impl Act for Mount {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        if let Some(format) = self.format.as_deref().filter(|format| *format != "json") {
            return Err(refuse("--format", format, "there is json"));
        }
        let lists = self.containers.is_empty() && !self.all && !self.latest;
        if !lists {
            invocation.sees_mounts("mount a container")?;
        }
        let mut engine = invocation.engine()?;
        let names = self.names(&mut engine, invocation)?;
        let mounted = if lists { engine.mounted()? } else { mount(&mut engine, &names)? };
        if self.format.is_some() {
            let all: Vec<_> = mounted.iter().map(document).collect();
            let text = serde_json::to_string_pretty(&all).map_err(|error| {
                Error::new(Kind::Internal, "write what is mounted as json").because(error)
            })?;
            invocation.console.line(&text)?;
            return Ok(SUCCESS);
        }
        if let ([(_, one)], false, false) = (&mounted[..], lists, self.all) {
            invocation.console.line(&one.path.to_string_lossy())?;
            return Ok(SUCCESS);
        }
        for (_, one) in &mounted {
            let id = if self.no_trunc { one.id.as_str() } else { one.id.short() };
            invocation.console.line(&format!("{id}  {}", one.path.display()))?;
        }
        Ok(SUCCESS)
    }
}

impl Mount {
    fn names(&self, engine: &mut Engine, invocation: &Invocation) -> Result<Vec<String>> {
        if self.latest {
            return Ok(vec![latest(engine)?]);
        }
        if !self.all {
            return Ok(self.containers.clone());
        }
        Picked::of(Vec::new(), true, Vec::new(), false).names(engine, Which::All, invocation)
    }
}

/// Mounts all of them or, as far as this command goes, none.
fn mount(engine: &mut Engine, names: &[String]) -> Result<Vec<(String, MountedContainer)>> {
    let mut mounted: Vec<(String, MountedContainer)> = Vec::with_capacity(names.len());
    for name in names {
        match engine.mount(name) {
            Ok(one) => mounted.push(one),
            Err(error) => {
                for (_, one) in &mounted {
                    engine.unmount(one.id.as_str(), Unmount::One)?;
                }
                return Err(error);
            }
        }
    }
    Ok(mounted)
}

fn document((name, mounted): &(String, MountedContainer)) -> serde_json::Value {
    json!({
        "id": mounted.id.as_str(),
        "Names": [name],
        "mountpoint": mounted.path,
        "users": mounted.users,
    })
}
