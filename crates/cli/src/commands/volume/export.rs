//! `volume export`: what is in a volume as a tar file.

use crate::{exit::SUCCESS, invocation::Invocation, outfile, tree::Act};
use dhow_base::{Doing, Error, Kind, Result};
use std::io::{self, BufWriter, IsTerminal, Write};

/// Write what is in a volume as a tar file
///
/// Owners, modes, extended attributes and links come along. `dhow volume import` reads it.
#[derive(clap::Args, Debug)]
pub(crate) struct Export {
    /// The volume
    #[arg(value_name = "VOLUME")]
    volume: String,

    /// Write to this file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<String>,
}

impl Act for Export {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let mut engine = invocation.engine()?;
        // Podman's name for standard output is a path.
        match self.output.as_deref().filter(|path| !matches!(*path, "-" | "/dev/stdout")) {
            Some(path) => {
                let path = invocation.surroundings().absolute(path);
                outfile::fill(&path, 0o600, |sink| engine.export_volume(&self.volume, sink))?;
            }
            None if io::stdout().is_terminal() => {
                return Err(Error::new(Kind::Invalid, "refusing to export to a terminal")
                    .hint("use --output, or send standard output somewhere else"));
            }
            None => {
                let mut sink = BufWriter::new(io::stdout().lock());
                engine.export_volume(&self.volume, &mut sink)?;
                sink.flush().doing(|| "write to standard output")?;
            }
        }
        Ok(SUCCESS)
    }
}
