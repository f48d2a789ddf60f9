//! A file that a user has named for what a command gives: an id, a digest, an archive.
//!
//! It is written beside its name and then put there, so that half of it is never seen; what is no file,
//! such as `/dev/null` or a pipe, stays and is written into.

use dhow_base::{Doing, Result, file};
use dhow_sys::output::Destination;
use std::{
    io::{BufWriter, Write},
    path::Path,
};

/// Writes a short text.
pub(crate) fn write(path: &Path, text: &str) -> Result<()> {
    fill(path, 0o644, |sink| {
        sink.write_all(text.as_bytes()).doing(|| format!("write {}", path.display()))
    })
}

/// Has something written; where that fails, the file is as it was.
pub(crate) fn fill(
    path: &Path,
    mode: u32,
    content: impl FnOnce(&mut dyn Write) -> Result<()>,
) -> Result<()> {
    let doing = || format!("write {}", path.display());
    let place = match Destination::find(path).doing(doing)? {
        Destination::Open(file) => {
            let mut sink = BufWriter::new(file);
            content(&mut sink)?;
            return sink.flush().doing(doing);
        }
        Destination::Name(place) => place,
    };
    let target = place.path();
    let temporary = file::temporary_beside(&target)?;
    let mut sink = BufWriter::new(file::create_new(&temporary, mode).doing(doing)?);
    let written = content(&mut sink)
        .and_then(|()| sink.flush().doing(doing))
        .and_then(|()| rustix::fs::rename(&temporary, &target).doing(doing));
    if written.is_err() {
        // Why it was not written is the error to tell.
        let _removed = file::remove_if_there(&temporary);
    }
    written
}
