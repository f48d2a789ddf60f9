//! `network exists`: whether there is a network of a name.

use crate::{
    exit::{FAILURE, SUCCESS},
    invocation::Invocation,
    tree::Act,
};
use dhow_base::{Kind, Result};

/// Say by the exit code whether there is a network of this name
#[derive(clap::Args, Debug)]
pub(crate) struct Exists {
    /// The network, by name or id
    #[arg(value_name = "NETWORK")]
    network: String,
}

impl Act for Exists {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        match super::engine(invocation)?.network(&self.network) {
            Ok(_) => Ok(SUCCESS),
            Err(error) if error.kind() == Kind::NotFound => Ok(FAILURE),
            Err(error) => Err(error),
        }
    }
}
