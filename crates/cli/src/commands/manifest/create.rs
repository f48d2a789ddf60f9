//! `manifest create`: a new list.

use super::end;
use crate::{
    exit::SUCCESS,
    flags::way::{OnlyWay, Way},
    invocation::Invocation,
    tree::Act,
};
use dhow_base::Result;
use dhow_image::Which;

/// Make a list of images for several platforms
///
/// Images are our own, or at places such as docker://NAME. Prints the list's digest.
#[derive(clap::Args, Debug)]
pub(crate) struct Create {
    /// The list's name
    #[arg(value_name = "LIST")]
    list: String,

    /// Images that it has from the start
    #[arg(value_name = "IMAGE")]
    images: Vec<String>,

    /// Add all images of an index, not only the one for this machine
    #[arg(short, long)]
    all: bool,

    /// Go on with a list that exists
    #[arg(long)]
    amend: bool,

    #[command(flatten)]
    way: OnlyWay,
}

impl Act for Create {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let way = Way::from(self.way);
        let which = if self.all { Which::All } else { Which::One };
        let mut engine = invocation.engine()?;
        let (images, state) = engine.images();
        let members =
            self.images.iter().map(|image| end(image, &way, (images, &*state), invocation));
        let members = members.collect::<Result<Vec<_>>>()?;
        let digest = images.create_list(state, &self.list, self.amend, &members, which)?;
        invocation.console.line(invocation.manners.id(&digest))?;
        Ok(SUCCESS)
    }
}
