//! `pod exists`: whether there is a pod of a name.

use crate::{
    exit::{FAILURE, SUCCESS},
    invocation::Invocation,
    tree::Act,
};
use dhow_base::{Kind, Result};

/// Say by the exit code whether there is a pod of this name
#[derive(clap::Args, Debug)]
pub(crate) struct Exists {
    /// The pod
    #[arg(value_name = "POD")]
    pod: String,
}

impl Act for Exists {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        match invocation.engine()?.pod(&self.pod) {
            Ok(_) => Ok(SUCCESS),
            Err(error) if error.kind() == Kind::NotFound => Ok(FAILURE),
            Err(error) => Err(error),
        }
    }
}
