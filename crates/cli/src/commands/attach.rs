//! `attach`: connect to a running container.

use super::{
    picked, run,
    session::{Link, detach_keys},
};
use crate::{invocation::Invocation, tree::Act};
use dhow_base::Result;

/// Connect to a running container
///
/// Shows what the program prints from now on and passes on what is typed, if the container was
/// made with `--interactive`. The exit code is the program's.
#[derive(clap::Args, Debug)]
pub(crate) struct Attach {
    /// The container, by name or id
    container: Option<String>,

    /// Connect to the newest container
    #[arg(short, long)]
    latest: bool,

    /// Do not connect standard input
    #[arg(long)]
    no_stdin: bool,

    /// Pass signals on to the program
    #[arg(long, value_name = "BOOL", default_value_t = true)]
    sig_proxy: bool,

    /// Leave the session, but not the process, with these keys; ctrl-p,ctrl-q where nothing is said
    #[arg(long, value_name = "KEYS")]
    detach_keys: Option<String>,
}

impl Act for Attach {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let mut engine = invocation.engine()?;
        let container = picked::one(&mut engine, self.container.as_ref(), self.latest)?;
        let terminal = invocation.has_terminal(&mut engine, &container)?;
        let keys = detach_keys(self.detach_keys.as_deref(), terminal, invocation)?;
        let link = Link::new(!self.no_stdin, terminal, keys.as_deref(), self.sig_proxy)?;
        let running = engine.attach(&container)?;
        run::stay(&mut engine, running, link)
    }
}
