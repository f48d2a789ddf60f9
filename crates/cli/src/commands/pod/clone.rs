//! `pod clone`: another pod like one that is there, with its containers.

use super::{super::container_clone::Asked, create::parse_name};
use crate::{exit::SUCCESS, flags::pod::PodFlags, invocation::Invocation, tree::Act};
use dhow_base::{Error, Kind, Result};
use dhow_engine::{
    Engine, Watch,
    pods::{Force, Pod, PodOptions},
};

/// Make another pod like one that is there, with its containers
///
/// Its containers are made as `container clone` makes them, with -clone behind their names. What the flags
/// say comes on top of what the other pod has. Prints its id.
#[derive(clap::Args, Debug)]
pub(crate) struct Clone {
    /// The pod to make another of
    #[arg(value_name = "POD")]
    pod: String,

    /// The name of the new one; the other's and -clone where it is missing
    #[arg(value_name = "NAME")]
    named: Option<String>,

    /// Name the new one
    #[arg(short, long, value_name = "NAME", conflicts_with = "named")]
    name: Option<String>,

    /// Remove the other one afterwards, with its containers
    #[arg(long)]
    destroy: bool,

    /// Start it
    #[arg(long)]
    start: bool,

    #[command(flatten)]
    flags: PodFlags,
}

impl Act for Clone {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let mut engine = invocation.engine()?;
        let old = engine.pod(&self.pod)?;
        let options = engine.pod_options(old.id.as_str())?;
        let options = self.flags.lay_over(options, invocation.surroundings())?;
        let name = self.named.as_deref().or(self.name.as_deref());
        let new = match name {
            Some(name) => {
                let options = PodOptions { name: Some(parse_name(name)?), ..options };
                engine.create_pod(&options, &invocation.progress(true))?.to_string()
            }
            None => named_anew(&mut engine, &old, &options, invocation)?,
        };
        if let Err(error) = clone_members(&mut engine, &old, &new, invocation) {
            // Half a pod is none.
            engine.remove_pod(&new, Force::Yes)?;
            return Err(error);
        }
        if self.destroy {
            engine.remove_pod(old.id.as_str(), Force::Yes)?;
        }
        if self.start {
            engine.each_of_pod(
                &new,
                "start",
                |_| true,
                |engine, id| engine.start(id.as_str(), Watch::Detached)?.client.detach(),
            )?;
        }
        invocation.console.line(&new)?;
        Ok(SUCCESS)
    }
}

/// How many clones get a name by themselves.
const MOST_CLONES: usize = 1000;

fn named_anew(
    engine: &mut Engine,
    old: &Pod,
    options: &PodOptions,
    invocation: &Invocation,
) -> Result<String> {
    for number in 0..MOST_CLONES {
        let name = match number {
            0 => format!("{}-clone", old.name),
            _ => format!("{}-clone{number}", old.name),
        };
        let options = PodOptions { name: Some(parse_name(&name)?), ..options.clone() };
        match engine.create_pod(&options, &invocation.progress(true)) {
            Err(error) if error.kind() == Kind::AlreadyExists => {}
            created => return Ok(created?.to_string()),
        }
    }
    let text = format!("find a free name for a clone of pod {}", old.name);
    Err(Error::new(Kind::AlreadyExists, text).hint("choose one with --name"))
}

fn clone_members(engine: &mut Engine, old: &Pod, new: &str, invocation: &Invocation) -> Result<()> {
    for member in old.members.iter().filter(|member| Some(&member.id) != old.infra.as_ref()) {
        let asked = Asked { flags: vec![format!("--pod={new}")], ..Asked::default() };
        let made = engine.made(member.id.as_str())?;
        asked.make(engine, &made, invocation)?;
    }
    Ok(())
}
