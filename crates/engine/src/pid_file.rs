//! The file that `--pidfile` names: the number of a container's first process, for those who look there
//! and not into `inspect`.
//!
//! It is empty while the container starts, and has the number from then on, also of one that was started again
//! by its policy. Who removes the container leaves it: the place is the user's.

use dhow_base::{
    Doing, Result,
    file::{self, Durability},
};
use dhow_sys::output::Destination;
use std::{io::Write, path::Path};

/// Writes the file anew, so that nobody reads a part of a number.
pub(crate) fn write(path: &Path, pid: Option<i32>) -> Result<()> {
    let text = pid.map(|pid| pid.to_string()).unwrap_or_default();
    let doing = || format!("write the container's process to {}", path.display());
    // A stranger's link on the way decides nothing.
    match Destination::find(path).doing(doing)? {
        Destination::Open(mut file) => file.write_all(text.as_bytes()).doing(doing),
        Destination::Name(place) => {
            let (path, bytes) = (place.path(), text.as_bytes());
            file::write_atomically(&path, bytes, 0o644, Durability::Cached).doing(doing)
        }
    }
}
