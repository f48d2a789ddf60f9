//! Flags about a process in a container, shared by `run`, `create` and `exec`.

use super::{Surroundings, variables};
use dhow_base::Result;

/// What the process sees and who it is.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(next_help_heading = "Process")]
pub(crate) struct ProcessFlags {
    /// Keep standard input open
    #[arg(short, long)]
    pub(crate) interactive: bool,

    /// Give the process a terminal
    #[arg(short, long)]
    pub(crate) tty: bool,

    /// Run in the background
    #[arg(short, long)]
    pub(crate) detach: bool,

    /// Set an environment variable; a name alone takes its value from here
    #[arg(short, long, value_name = "NAME[=VALUE]")]
    pub(crate) env: Vec<String>,

    /// Read environment variables from a file, one a line
    #[arg(long, value_name = "FILE")]
    pub(crate) env_file: Vec<String>,

    /// Run as this user, by name or number
    #[arg(short, long, value_name = "USER[:GROUP]")]
    pub(crate) user: Option<String>,

    /// Run in this directory of the container
    #[arg(short, long, value_name = "DIR")]
    pub(crate) workdir: Option<String>,

    /// Leave the session, but not the process, with these keys; ctrl-p,ctrl-q where nothing is said
    #[arg(long, value_name = "KEYS")]
    pub(crate) detach_keys: Option<String>,
}

impl ProcessFlags {
    /// The environment variables of all flags and files.
    pub(crate) fn variables(&self, around: Surroundings<'_>) -> Result<Vec<String>> {
        variables::collect(&self.env_file, &self.env, around)
    }
}
