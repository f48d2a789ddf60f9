//! `manifest exists`: a question for scripts.

use crate::{
    exit::{FAILURE, SUCCESS},
    invocation::Invocation,
    tree::Act,
};
use dhow_base::Result;

/// Say by the exit code whether there is a list of this name
#[derive(clap::Args, Debug)]
pub(crate) struct Exists {
    /// The list
    #[arg(value_name = "LIST")]
    list: String,
}

impl Act for Exists {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let mut engine = invocation.engine()?;
        let (images, state) = engine.images();
        Ok(if images.has_list(state, &self.list)? { SUCCESS } else { FAILURE })
    }
}
