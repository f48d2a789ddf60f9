//! `volume export`: what is in a volume as a tar file.

use crate::{exit::SUCCESS, invocation::Invocation, tree::Act};
use dhow_base::{Doing, Error, Kind, Result, file, id::random_hex};
use dhow_engine::Engine;
use std::{
    io::{self, BufWriter, IsTerminal, Write},
    path::Path,
};

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
                self.to_file(&mut engine, &invocation.surroundings().absolute(path))?;
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

impl Export {
    /// Writes beside the file and then in its place, so that half of it is never there.
    fn to_file(&self, engine: &mut Engine, path: &Path) -> Result<()> {
        let doing = || format!("write {}", path.display());
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let temporary = path.with_file_name(format!(".{name}.{}.tmp", random_hex(6)?));
        let mut sink = BufWriter::new(file::create_new(&temporary, 0o600)?);
        let written = engine
            .export_volume(&self.volume, &mut sink)
            .and_then(|()| sink.flush().doing(doing))
            .and_then(|()| rustix::fs::rename(&temporary, path).doing(doing));
        if written.is_err() {
            // Why it was not written is the error to tell.
            let _removed = file::remove_if_there(&temporary);
        }
        written
    }
}
