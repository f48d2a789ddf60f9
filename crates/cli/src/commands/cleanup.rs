//! `cleanup`: what a monitor becomes when its container has ended and nobody watched, and what the
//! wait before a restart becomes. Not for people, and not in the help.

use crate::{exit::SUCCESS, invocation::Invocation, tree::Act};
use dhow_base::{Result, id::ContainerId};

/// Write down how a container ended
#[derive(clap::Args, Debug)]
pub(crate) struct Cleanup {
    /// The container's whole id
    id: String,

    /// Start it again: the pause before its next life is over
    #[arg(long)]
    again: bool,

    /// Write down what its last health check has found
    #[arg(long)]
    health: bool,

    /// Tell of the end of this process of `exec`
    #[arg(long, value_name = "ID", requires = "code")]
    session: Option<String>,

    /// The exit code of that process
    #[arg(long)]
    code: Option<u8>,
}

impl Act for Cleanup {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let id: ContainerId = self.id.parse()?;
        let mut engine = invocation.engine()?;
        if let (Some(session), Some(code)) = (&self.session, self.code) {
            engine.tell_session_end(&id, session, code)?;
        } else if self.again {
            engine.start_after_pause(&id)?;
        } else if self.health {
            engine.note_health(&id)?;
        } else {
            // The monitor has become this command, so its pid is ours.
            engine.finish(&id, rustix::process::getpid().as_raw_pid())?;
        }
        Ok(SUCCESS)
    }
}
