//! How a place of images is reached: credentials, certificates, files.
//!
//! The same flags stand in commands with one place and, with `src-` and `dest-` in front, in those
//! with two; so they are written once, as a macro over the words in front.

use super::registry::{TlsFlags, TrustFlags};
use crate::invocation::Invocation;
use dhow_base::{Doing, Error, Kind, Result};
use dhow_image::{Credentials, End, Place, Registries, Secret};

/// What the flags say.
#[derive(Clone, Debug, Default)]
pub(crate) struct Way {
    pub(crate) trust: TrustFlags,
    pub(crate) creds: Option<String>,
    pub(crate) no_creds: bool,
    pub(crate) password: Option<String>,
    pub(crate) registry_token: Option<String>,
    pub(crate) shared_blob_dir: Option<String>,
    pub(crate) username: Option<String>,
}

macro_rules! way_flags {
    ($name:ident, $front:literal $(, $old:literal)?) => {
        /// How a place of images is reached.
        #[derive(clap::Args, Clone, Debug)]
        pub(crate) struct $name {
            /// Read credentials from this file alone
            #[arg(id = concat!($front, "authfile"), long = concat!($front, "authfile"), value_name = "FILE")]
            authfile: Option<String>,

            /// Use the certificates (*.crt, *.cert, *.key) in this directory
            #[arg(id = concat!($front, "cert-dir"), long = concat!($front, "cert-dir"), value_name = "DIR")]
            cert_dir: Option<String>,

            /// Use this name and password at the registry
            #[arg(id = concat!($front, "creds"), long = concat!($front, "creds"), value_name = "NAME[:PASSWORD]" $(, alias = $old)?)]
            creds: Option<String>,

            /// Ask the registry as nobody
            #[arg(id = concat!($front, "no-creds"), long = concat!($front, "no-creds"))]
            no_creds: bool,

            /// The password at the registry, with a username
            #[arg(id = concat!($front, "password"), long = concat!($front, "password"), value_name = "PASSWORD")]
            password: Option<String>,

            /// Send this bearer token to the registry
            #[arg(id = concat!($front, "registry-token"), long = concat!($front, "registry-token"), value_name = "TOKEN")]
            registry_token: Option<String>,

            /// The directory in which OCI layouts share their blobs
            #[arg(id = concat!($front, "shared-blob-dir"), long = concat!($front, "shared-blob-dir"), value_name = "DIR")]
            shared_blob_dir: Option<String>,

            /// Check certificates; with =false do not, and try plain HTTP too
            #[arg(id = concat!($front, "tls-verify"), long = concat!($front, "tls-verify"), value_name = "BOOL")]
            tls_verify: Option<bool>,

            /// The name at the registry, with a password
            #[arg(id = concat!($front, "username"), long = concat!($front, "username"), value_name = "NAME")]
            username: Option<String>,
        }

        impl From<$name> for Way {
            fn from(flags: $name) -> Self {
                let trust = TrustFlags {
                    authfile: flags.authfile,
                    tls: TlsFlags { cert_dir: flags.cert_dir, tls_verify: flags.tls_verify },
                };
                Self {
                    trust,
                    creds: flags.creds,
                    no_creds: flags.no_creds,
                    password: flags.password,
                    registry_token: flags.registry_token,
                    shared_blob_dir: flags.shared_blob_dir,
                    username: flags.username,
                }
            }
        }
    };
}

way_flags!(OnlyWay, "");
// The short forms are skopeo's of old.
way_flags!(SourceWay, "src-", "screds");
way_flags!(DestinationWay, "dest-", "dcreds");

impl Way {
    /// The place that `text` names, reached this way.
    pub(crate) fn end(&self, text: &str, invocation: &Invocation) -> Result<End> {
        let place = Place::parse(text)?.below(&invocation.directory);
        self.end_at(place, invocation)
    }

    /// The same way with credentials from this file, unless it says another.
    pub(crate) fn or_authfile(mut self, common: Option<&String>) -> Self {
        self.trust.authfile = self.trust.authfile.or_else(|| common.cloned());
        self
    }

    /// A place, reached this way.
    pub(crate) fn end_at(&self, place: Place, invocation: &Invocation) -> Result<End> {
        let mut end = End::new(place, self.registries(invocation)?);
        end.shared_blobs =
            self.shared_blob_dir.as_deref().map(|path| invocation.surroundings().absolute(path));
        Ok(end)
    }

    /// The registries as these flags want them.
    pub(crate) fn registries(&self, invocation: &Invocation) -> Result<Registries> {
        let mut registries = self.trust.registries(invocation);
        if self.no_creds {
            registries.auth_files.clear();
        }
        registries.credentials = self.credentials()?;
        Ok(registries)
    }

    fn credentials(&self) -> Result<Option<Credentials>> {
        let said = [
            self.no_creds,
            self.creds.is_some(),
            self.registry_token.is_some(),
            self.username.is_some() || self.password.is_some(),
        ];
        if said.into_iter().filter(|said| *said).count() > 1 {
            let what = "say once who is asking: creds, username and password, registry-token and no-creds exclude each other";
            return Err(Error::new(Kind::Invalid, what));
        }
        if let Some(token) = &self.registry_token {
            return Ok(Some(Credentials::RegistryToken(Secret::new(token.as_str()))));
        }
        match (&self.creds, &self.username, &self.password) {
            (Some(creds), ..) if !creds.contains(':') => {
                Credentials::parse(&format!("{creds}:")).map(Some).doing(|| "--creds")
            }
            (Some(creds), ..) => Credentials::parse(creds).map(Some).doing(|| "--creds"),
            (None, Some(user), Some(password)) => Ok(Some(Credentials::Password {
                user: user.clone(),
                password: Secret::new(password.as_str()),
            })),
            (None, None, None) => Ok(None),
            (None, ..) => {
                let what = "a username and a password belong together";
                Err(Error::new(Kind::Invalid, what))
            }
        }
    }
}
