//! `thaw`: lets a container go on when the process that stopped it for a while has ended, which the
//! end of standard input tells. Not for people, and not in the help.

use crate::{exit::SUCCESS, invocation::Invocation, tree::Act};
use dhow_base::{Doing, Result};
use std::io;

/// Let a container go on when standard input ends
#[derive(clap::Args, Debug)]
pub(crate) struct Thaw {
    /// The container's whole id
    id: String,
}

impl Act for Thaw {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        io::copy(&mut io::stdin().lock(), &mut io::sink()).doing(|| "wait for the end")?;
        invocation.engine()?.thaw(&self.id)?;
        Ok(SUCCESS)
    }
}
