//! `start`: start containers that were created or have ended.

use super::{run, session::Link, several};
use crate::{exit::SUCCESS, invocation::Invocation, tree::Act};
use dhow_base::{Error, Kind, Result};
use dhow_engine::Watch;

/// Start containers that do not run
///
/// With `--attach` or `--interactive`, which take one container, dhow stays with it as in `run`.
#[derive(clap::Args, Debug)]
pub(crate) struct Start {
    /// The containers, by name or id
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,

    /// Show the output and pass signals on
    #[arg(short, long)]
    attach: bool,

    /// Connect standard input too
    #[arg(short, long)]
    interactive: bool,

    /// Leave the session, but not the process, with these keys
    #[arg(long, value_name = "KEYS", default_value = "ctrl-p,ctrl-q")]
    detach_keys: String,
}

impl Act for Start {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        if !self.attach && !self.interactive {
            let mut engine = invocation.engine()?;
            let code = several::each(invocation.console, &self.containers, |container| {
                engine.start(container, Watch::Detached)?.client.detach()?;
                Ok(Some(container.to_owned()))
            })?;
            return Ok(if code == SUCCESS { code } else { crate::exit::OWN_FAILURE });
        }
        let [container] = &self.containers[..] else {
            return Err(Error::new(Kind::Invalid, "--attach takes one container"));
        };
        let mut engine = invocation.engine()?;
        let terminal = invocation.has_terminal(&mut engine, container)?;
        let link = Link::new(self.interactive, terminal, &self.detach_keys, true)?;
        let running = engine.start(container, Watch::Attached)?;
        run::stay(&mut engine, running, link)
    }
}
