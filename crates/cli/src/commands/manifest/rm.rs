//! `manifest rm`: lists go, their images stay.

use crate::{commands::several, invocation::Invocation, tree::Act};
use dhow_base::{Kind, Result};

/// Remove lists; their images stay
#[derive(clap::Args, Debug)]
pub(crate) struct Rm {
    /// The lists
    #[arg(value_name = "LIST", required = true)]
    lists: Vec<String>,

    /// A list that is not there is no error
    #[arg(short, long)]
    ignore: bool,
}

impl Act for Rm {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let mut engine = invocation.engine()?;
        let (images, state) = engine.images();
        several::each_removed(invocation, &self.lists, |list| {
            match images.remove_list(state, list) {
                Err(error) if error.kind() == Kind::NotFound && self.ignore => Ok(None),
                removed => removed.map(|digest| Some(digest.to_string())),
            }
        })
    }
}
