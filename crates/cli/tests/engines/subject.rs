//! The runtime under test: dhow under the name by which engines call it, or a peer as a control.

use dhow_testkit::dhow;
use std::{
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

/// Who runs the containers.
#[derive(Clone, Debug)]
pub(crate) struct Subject {
    pub(crate) path: PathBuf,
}

impl Subject {
    /// The peer that the environment names, else dhow, linked into `directory`.
    #[expect(clippy::disallowed_methods, reason = "whoever runs the suite says so by this")]
    pub(crate) fn choose(directory: &Path) -> Self {
        match std::env::var_os("DHOW_ENGINES_RUNTIME").filter(|path| !path.is_empty()) {
            Some(path) => Self { path: path.into() },
            None => {
                let path = directory.join("dhow-runtime");
                symlink(dhow::program(), &path).unwrap();
                Self { path }
            }
        }
    }

    /// Its path as engines are told.
    pub(crate) fn shown(&self) -> String {
        self.path.display().to_string()
    }

    /// Its name.
    pub(crate) fn name(&self) -> &str {
        self.path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
    }
}
