//! `volume exists`: whether there is a volume of a name.

use crate::{
    exit::{FAILURE, SUCCESS},
    invocation::Invocation,
    tree::Act,
};
use dhow_base::{Kind, Result};

/// Say by the exit code whether there is a volume of this name
#[derive(clap::Args, Debug)]
pub(crate) struct Exists {
    /// The volume
    #[arg(value_name = "VOLUME")]
    volume: String,
}

impl Act for Exists {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        match invocation.engine()?.volume(&self.volume) {
            Ok(_) => Ok(SUCCESS),
            Err(error) if error.kind() == Kind::NotFound => Ok(FAILURE),
            Err(error) => Err(error),
        }
    }
}
