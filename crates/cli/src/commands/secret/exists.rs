//! `secret exists`: whether there is a secret of a name.

use crate::{
    exit::{FAILURE, SUCCESS},
    invocation::Invocation,
    tree::Act,
};
use dhow_base::{Kind, Result};

/// Say by the exit code whether there is a secret of this name
#[derive(clap::Args, Debug)]
pub(crate) struct Exists {
    /// The secret
    #[arg(value_name = "SECRET")]
    secret: String,
}

impl Act for Exists {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        match invocation.engine()?.secret(&self.secret) {
            Ok(_) => Ok(SUCCESS),
            Err(error) if error.kind() == Kind::NotFound => Ok(FAILURE),
            Err(error) => Err(error),
        }
    }
}
