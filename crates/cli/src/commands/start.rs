//! `start`: start containers that were created or have ended.

use super::{
    picked::Picked,
    ps, run,
    session::{Link, detach_keys},
    several,
};
use crate::{
    exit::{OWN_FAILURE, SUCCESS},
    invocation::Invocation,
    tree::Act,
};
use dhow_base::{Error, Kind, Result};
use dhow_engine::{Engine, Watch, Which};
use dhow_state::containers::Phase;

/// Start containers that do not run
///
/// With `--attach` or `--interactive`, which take one container, dhow stays with it as in `run`. A
/// container that runs is fine.
#[derive(clap::Args, Debug)]
pub(crate) struct Start {
    /// The containers, by name or id
    #[arg(value_name = "CONTAINER", required_unless_present_any = ["all", "filter", "latest"])]
    containers: Vec<String>,

    /// Show the output and pass signals on
    #[arg(short, long)]
    attach: bool,

    /// Start all containers that do not run
    #[arg(long, conflicts_with = "containers")]
    all: bool,

    /// Start containers for which this holds, as in `dhow ps`; with names, those of them
    #[arg(short, long, value_name = "KEY=VALUE")]
    filter: Vec<String>,

    /// Start the newest container
    #[arg(short, long, conflicts_with_all = ["containers", "all", "filter"])]
    latest: bool,

    /// Connect standard input too
    #[arg(short, long)]
    interactive: bool,

    /// Leave the session, but not the process, with these keys; ctrl-p,ctrl-q where nothing is said
    #[arg(long, value_name = "KEYS")]
    detach_keys: Option<String>,

    /// Pass signals on to the program
    #[arg(long, value_name = "BOOL", default_value_t = true)]
    sig_proxy: bool,
}

impl Act for Start {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let mut engine = invocation.engine()?;
        let containers = self.meant(&mut engine, invocation)?;
        if !self.attach && !self.interactive {
            let code = several::each(invocation, &containers, |container| {
                engine.start(container, Watch::Detached)?.client.detach()?;
                Ok(Some(container.to_owned()))
            })?;
            return Ok(if code == SUCCESS { code } else { OWN_FAILURE });
        }
        let [container] = &containers[..] else {
            return Err(Error::new(Kind::Invalid, "--attach takes one container"));
        };
        let terminal = invocation.has_terminal(&mut engine, container)?;
        let keys = detach_keys(self.detach_keys.as_deref(), terminal, invocation)?;
        let link = Link::new(self.interactive, terminal, keys.as_deref(), self.sig_proxy)?;
        let running = engine.start(container, Watch::Attached)?;
        run::stay(&mut engine, running, link)
    }
}

impl Start {
    /// What runs is not started by `--all` or a filter, and so not told of.
    fn meant(&self, engine: &mut Engine, invocation: &Invocation) -> Result<Vec<String>> {
        if !self.all && self.filter.is_empty() {
            let picked = Picked::of(self.containers.clone(), false, Vec::new(), self.latest);
            return picked.names(engine, Which::All, invocation);
        }
        let mut found = ps::matching(engine, Which::All, &self.filter)?;
        found.retain(|one| !matches!(one.phase, Phase::Running | Phase::Removing));
        if self.containers.is_empty() {
            return Ok(found.into_iter().map(|one| one.id.to_string()).collect());
        }
        let named = self.containers.iter().map(|name| Ok((name, engine.name_of(name)?.0)));
        let mut named = named.collect::<Result<Vec<_>>>()?;
        named.retain(|(_, id)| found.iter().any(|one| one.id == *id));
        Ok(named.into_iter().map(|(name, _)| name.clone()).collect())
    }
}
