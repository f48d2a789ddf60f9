//! What a client is told at its birth: paths, proxies, limits and the user's own credentials.
//!
//! Nothing here reads the environment or knows a home directory; the caller does and passes on
//! what it found. The defaults are those of a root user on a machine without proxies.

use crate::{balance::Parts, credentials::Credentials};
use std::{path::PathBuf, time::Duration};

/// Whether the certificates of registries are checked.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum TlsVerify {
    /// Yes, except where registries.conf says `insecure`.
    #[default]
    Always,
    /// No, and plain HTTP is tried too: every registry is treated as insecure.
    Never,
}

/// As flags say it: `--tls-verify=false`.
impl From<bool> for TlsVerify {
    fn from(verify: bool) -> Self {
        if verify { Self::Always } else { Self::Never }
    }
}

/// The proxies to go through, as the usual variables name them.
///
/// Loopback addresses are never reached through a proxy.
#[derive(Clone, Default, Eq, PartialEq)]
pub struct Proxies {
    /// For `http://` addresses; `HTTP_PROXY`.
    pub http: Option<String>,
    /// For `https://` addresses; `HTTPS_PROXY`.
    pub https: Option<String>,
    /// Hosts, domains and networks to reach directly, separated by commas; `NO_PROXY`.
    pub except: Option<String>,
}

// A proxy's address may hold a password.
impl std::fmt::Debug for Proxies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Proxies")
            .field("http", &self.http.is_some())
            .field("https", &self.https.is_some())
            .field("except", &self.except)
            .finish()
    }
}

/// How long a client waits and how often it tries.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Patience {
    /// For a connection to be made, the TLS handshake included.
    pub connect: Duration,
    /// For the next KiB of an answer. What comes more slowly counts as broken off.
    pub stall: Duration,
    /// How often a request, or a body without progress, is tried again.
    pub retries: u32,
    /// The pause before the first new try; it doubles from try to try.
    pub first_pause: Duration,
    /// The longest pause that a registry may ask for with `Retry-After`.
    pub longest_pause: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(15),
            stall: Duration::from_secs(60),
            retries: 4,
            first_pause: Duration::from_millis(250),
            longest_pause: Duration::from_secs(60),
        }
    }
}

/// Which `policy.json` counts.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum PolicyFile {
    /// The first of these that there is; without any, everything is taken.
    Usual(Vec<PathBuf>),
    /// This one.
    Named(PathBuf),
    /// None: everything is taken.
    Nobodys,
}

/// Everything that a [`crate::Client`] is told.
#[derive(Clone, Debug)]
pub struct Config {
    /// The main registries.conf; it may be missing.
    pub registries_conf: PathBuf,
    /// Directories of `*.conf` files that add to it, in this order; they may be missing.
    pub registries_conf_dirs: Vec<PathBuf>,
    /// The file of what somebody has chosen for short names, which other tools keep too; may be
    /// missing.
    pub short_name_aliases: Option<PathBuf>,
    /// Directories that hold `<host[:port]>/` with `*.crt`, `*.cert` and `*.key`; the first that
    /// knows a host wins.
    pub certs_dirs: Vec<PathBuf>,
    /// A directory with the same files for whatever registry is asked (`--cert-dir`).
    pub own_certs_dir: Option<PathBuf>,
    /// Files of trusted certificates; the first that exists is read.
    pub ca_bundles: Vec<PathBuf>,
    /// auth.json and Docker's config.json, the most important first; they may be missing.
    pub auth_files: Vec<PathBuf>,
    /// The user's own credentials (`--creds`): they go to the registry that a reference names, in
    /// place of those in the files, and never to its mirrors.
    pub credentials: Option<Credentials>,
    /// From where images may be taken; for whoever takes them, a client asks all the same.
    pub policy: PolicyFile,
    /// Whether certificates are checked.
    pub tls_verify: TlsVerify,
    /// The proxies to go through.
    pub proxies: Proxies,
    /// How long to wait and how often to try.
    pub patience: Patience,
    /// When a large blob comes over several connections.
    pub parts: Parts,
}

impl Default for Config {
    fn default() -> Self {
        let paths = |texts: &[&str]| texts.iter().map(PathBuf::from).collect();
        Self {
            registries_conf: "/etc/containers/registries.conf".into(),
            registries_conf_dirs: paths(&["/etc/containers/registries.conf.d"]),
            short_name_aliases: Some("/var/cache/containers/short-name-aliases.conf".into()),
            certs_dirs: paths(&["/etc/containers/certs.d", "/etc/docker/certs.d"]),
            own_certs_dir: None,
            ca_bundles: paths(&[
                "/etc/ssl/certs/ca-certificates.crt",
                "/etc/pki/tls/certs/ca-bundle.crt",
                "/etc/ssl/ca-bundle.pem",
                "/etc/ssl/cert.pem",
            ]),
            auth_files: paths(&["/run/containers/0/auth.json", "/root/.docker/config.json"]),
            credentials: None,
            policy: PolicyFile::Usual(paths(&[
                "/etc/containers/policy.json",
                "/usr/share/containers/policy.json",
            ])),
            tls_verify: TlsVerify::default(),
            proxies: Proxies::default(),
            patience: Patience::default(),
            parts: Parts::default(),
        }
    }
}
