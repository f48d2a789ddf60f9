//! `container exists`: whether there is a container of this name.

use crate::{
    exit::{FAILURE, SUCCESS},
    invocation::Invocation,
    tree::Act,
};
use dhow_base::{Kind, Result};

/// Say by the exit code whether there is a container of this name
#[derive(clap::Args, Debug)]
pub(crate) struct Exists {
    /// The container, by name or id
    #[arg(value_name = "CONTAINER")]
    container: String,

    /// Accepted for podman's sake: containers of other tools are not here
    #[arg(long, hide = true)]
    external: bool,
}

impl Act for Exists {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        match invocation.engine()?.run_directory(&self.container) {
            Ok(_) => Ok(SUCCESS),
            Err(error) if error.kind() == Kind::NotFound => Ok(FAILURE),
            Err(error) => Err(error),
        }
    }
}
