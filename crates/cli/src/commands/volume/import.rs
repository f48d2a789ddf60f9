//! `volume import`: a tar file into a volume.

use crate::{exit::SUCCESS, invocation::Invocation, tree::Act};
use dhow_base::{Doing, Error, Kind, Result};
use std::{
    fs::File,
    io::{self, BufReader, IsTerminal},
};

/// Put what is in a tar file into a volume, over what is there
///
/// The file may be compressed. Nothing in it gets out of the volume.
#[derive(clap::Args, Debug)]
pub(crate) struct Import {
    /// The volume
    #[arg(value_name = "VOLUME")]
    volume: String,

    /// The file; - for standard input
    #[arg(value_name = "FILE", default_value = "-", hide_default_value = true)]
    source: String,
}

impl Act for Import {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let mut engine = invocation.engine()?;
        if self.source != "-" {
            let path = invocation.surroundings().absolute(&self.source);
            let file = File::open(&path).doing(|| format!("open {}", path.display()))?;
            engine.import_volume(&self.volume, &mut BufReader::new(file))?;
            return Ok(SUCCESS);
        }
        if io::stdin().is_terminal() {
            return Err(Error::new(Kind::Invalid, "refusing to import from a terminal")
                .hint("name a file, or redirect standard input"));
        }
        engine.import_volume(&self.volume, &mut io::stdin().lock())?;
        Ok(SUCCESS)
    }
}
