//! `secret rm`: remove secrets.

use super::super::several::each;
use crate::{invocation::Invocation, tree::Act};
use dhow_base::{Kind, Result};

/// Remove secrets; containers keep what they were created with
#[derive(clap::Args, Debug)]
pub(crate) struct Rm {
    /// The secrets, by name or id
    #[arg(required_unless_present = "all", value_name = "SECRET")]
    secrets: Vec<String>,

    /// Remove all secrets
    #[arg(short, long, conflicts_with = "secrets")]
    all: bool,

    /// One that is not there is no error
    #[arg(short, long)]
    ignore: bool,
}

impl Act for Rm {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let mut engine = invocation.engine()?;
        let secrets = if self.all {
            engine.secrets()?.into_iter().map(|secret| secret.id).collect()
        } else {
            self.secrets
        };
        each(invocation, &secrets, |secret| match engine.remove_secret(secret) {
            Err(error) if error.kind() == Kind::NotFound && self.ignore => Ok(None),
            result => result.map(Some),
        })
    }
}
