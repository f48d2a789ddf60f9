//! The environment of the process beside `-e` and `--env-file`.

/// What more is put into the environment, or left out of it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct EnvironmentOptions {
    /// Of `containers.conf`, which everything else may change.
    pub defaults: Vec<String>,
    /// `--env-host`: the caller's whole environment, which everything else may change.
    pub host: Vec<String>,
    /// `--http-proxy`: the caller's variables for proxies.
    pub proxies: Vec<String>,
    /// `--env-merge`: `NAME=text with ${NAME}` in which what the image says is put in.
    pub merge: Vec<String>,
    /// `--unsetenv`: names that neither the image nor the engine sets.
    pub unset: Vec<String>,
    /// `--unsetenv-all`: of the image and the engine nothing is set.
    pub unset_all: bool,
}
