//! `system boot`: start what should run after a boot.

use crate::{
    exit::{FAILURE, SUCCESS},
    invocation::Invocation,
    tree::Act,
};
use dhow_base::Result;

/// Start the containers that should run after a boot
///
/// Those with the restart policy always, those with unless-stopped that were not stopped, and those
/// with on-failure that the boot has ended. `dhow generate systemd` prints a unit that does this.
#[derive(clap::Args, Debug)]
pub(crate) struct Boot {}

impl Act for Boot {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let mut code = SUCCESS;
        for booted in invocation.engine()?.boot()? {
            match booted.failure {
                None => invocation.console.line(&booted.name)?,
                Some(error) => {
                    invocation.console.error(&error);
                    code = FAILURE;
                }
            }
        }
        Ok(code)
    }
}
