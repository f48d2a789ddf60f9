//! `system check`: the doctor, with the content of every blob, under podman's name and flags.

use super::doctor::Examination;
use crate::{invocation::Invocation, tree::Act};
use dhow_base::Result;
use dhow_engine::Depth;

/// Prove that everything stored is whole
///
/// As `dhow doctor`, with every blob hashed again.
#[derive(clap::Args, Debug)]
pub(crate) struct Check {
    /// Compare names and sizes only
    #[arg(short, long)]
    quick: bool,

    /// First remove what no row names, and let go of images that are not whole
    #[arg(short, long)]
    repair: bool,

    /// Print as text, or as json (one object a line)
    #[arg(long, value_name = "FORMAT", value_parser = ["text", "json"], default_value = "text")]
    format: String,
}

impl Act for Check {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let depth = if self.quick { Depth::Names } else { Depth::Content };
        Examination { depth, repair: self.repair, json: self.format == "json" }.run(invocation)
    }
}
