//! `completion`: a script that completes dhow's commands and flags in a shell.

use crate::{exit::SUCCESS, invocation::Invocation, tree::Act};
use clap_complete::Shell;
use dhow_base::Result;

/// Print the completion script of a shell
///
/// For bash: `source <(dhow completion bash)`.
#[derive(clap::Args, Debug)]
pub(crate) struct Completion {
    /// The shell
    shell: Shell,
}

impl Act for Completion {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        invocation.console.print(crate::completion(self.shell))?;
        Ok(SUCCESS)
    }
}
