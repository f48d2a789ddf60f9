//! The programs that plugins are: where they are, one call of one of them, and why it failed.

use super::{
    Refusal,
    guard::Guard,
    process::{self, Ended, Run},
};
use dhow_base::{Error, Kind, Result};
use serde_json::Value;
use std::{
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

/// Time for one plugin, where the caller names none. DHCP servers and clouds are slow; a plugin that
/// hangs must end some day.
pub const TIME_LIMIT: Duration = Duration::from_secs(120);

/// Where programs are that plugins call (iptables and others).
pub(crate) const SEARCH_PATH: &str =
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Directories with plugins, and how long one may take.
#[derive(Clone, Debug)]
pub(crate) struct Programs {
    directories: Vec<PathBuf>,
    time_limit: Duration,
}

impl Programs {
    pub(crate) fn new(directories: Vec<PathBuf>) -> Self {
        Self { directories, time_limit: TIME_LIMIT }
    }

    /// As `CNI_PATH` has them.
    pub(crate) fn of_path(path: &str) -> Self {
        let parts = path.split(':').filter(|part| !part.is_empty());
        Self::new(parts.map(PathBuf::from).collect())
    }

    pub(crate) fn time_limit(mut self, limit: Duration) -> Self {
        self.time_limit = limit;
        self
    }

    /// As `CNI_PATH` has them.
    pub(crate) fn path(&self) -> String {
        let directories = self.directories.iter().map(|path| path.to_string_lossy());
        directories.collect::<Vec<_>>().join(":")
    }

    /// The file of a plugin.
    pub(crate) fn find(&self, program: &str) -> Result<PathBuf> {
        let is_program = |path: &PathBuf| {
            path.metadata()
                .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
        };
        let paths = self.directories.iter().map(|directory| directory.join(program));
        paths.into_iter().find(is_program).ok_or_else(|| {
            let looked: Vec<_> =
                self.directories.iter().map(|path| path.display().to_string()).collect();
            let text = format!("find the plugin {program:?} in {}", looked.join(", "));
            Error::new(Kind::NotFound, text)
                .hint("Debian has the usual plugins in its package containernetworking-plugins")
        })
    }

    /// What the program answers to a document; the guard is held by it, and by whom it calls.
    pub(crate) fn execute(
        &self,
        program: &Path,
        environment: &[String],
        document: &Value,
        guard: Option<&Guard>,
    ) -> Result<Vec<u8>> {
        let document = document.to_string();
        let run = Run { program, arguments: &[], environment, document: document.as_bytes() };
        let ended = process::run(&run, self.time_limit, guard)?;
        if ended.is_success { Ok(ended.answer) } else { Err(failure(&ended)) }
    }
}

/// Why a plugin ended with another code than 0: in its own words, where it has some.
fn failure(ended: &Ended) -> Error {
    if let Some(refusal) = Refusal::parse(&ended.answer) {
        return Error::new(refusal.kind(), "it refuses").because(refusal);
    }
    let said = if ended.complaint.is_empty() { &ended.answer } else { &ended.complaint };
    let error = Error::new(Kind::Internal, format!("it ended with {}", ended.how));
    match excerpt(said) {
        said if said.is_empty() => error,
        said => error.because(Error::new(Kind::Internal, format!("it said {said:?}"))),
    }
}

/// The plugin's own words in an error, where it had some.
pub(crate) fn refusal_of(error: &Error) -> Option<&Refusal> {
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        if let Some(refusal) = cause.downcast_ref() {
            return Some(refusal);
        }
        next = cause.source();
    }
    None
}

/// The beginning of what a plugin printed, on one line.
pub(crate) fn excerpt(bytes: &[u8]) -> String {
    const CHARACTERS: usize = 300;
    let text = String::from_utf8_lossy(bytes);
    text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(CHARACTERS).collect()
}
