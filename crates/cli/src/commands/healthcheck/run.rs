//! `healthcheck run`: check a container now.

use crate::{
    exit::{FAILURE, SUCCESS},
    invocation::Invocation,
    tree::Act,
};
use dhow_base::Result;

/// Check the health of a container now
///
/// The exit code is 0 where the check succeeds and 1 where it fails, which also prints unhealthy.
/// What was found counts as any check does.
#[derive(clap::Args, Debug)]
pub(crate) struct Run {
    /// The container, by name or id
    container: String,

    /// Exit with 0 also where the check fails
    #[arg(long)]
    ignore_result: bool,
}

impl Act for Run {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let checked = invocation.engine()?.check_health(&self.container)?;
        if checked.exit_code == 0 {
            return Ok(SUCCESS);
        }
        invocation.console.line("unhealthy")?;
        Ok(if self.ignore_result { SUCCESS } else { FAILURE })
    }
}
