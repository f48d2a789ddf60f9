//! The flags of commands that talk to registries: who we are there, and how far it is trusted.

use crate::invocation::Invocation;
use dhow_base::{Doing, Result};
use dhow_image::{Credentials, Registries};

/// Who we are at a registry, and how far it is trusted.
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct RegistryFlags {
    /// Use this name and password at the registry
    #[arg(long, value_name = "NAME:PASSWORD")]
    creds: Option<String>,

    #[command(flatten)]
    trust: TrustFlags,
}

/// Where credentials are, and how far a registry is trusted.
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct TrustFlags {
    /// Read credentials from this file alone
    #[arg(long, value_name = "FILE")]
    pub(crate) authfile: Option<String>,

    #[command(flatten)]
    pub(crate) tls: TlsFlags,
}

/// How far a server is trusted.
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct TlsFlags {
    /// Look for authorities and certificates to show in this directory
    #[arg(long, value_name = "DIR")]
    pub(crate) cert_dir: Option<String>,

    /// Check certificates whatever registries.conf says; with =false do not, and try plain HTTP too
    #[arg(long, value_name = "BOOL")]
    pub(crate) tls_verify: Option<bool>,
}

impl RegistryFlags {
    /// What is known of registries, with what these flags say.
    pub(crate) fn registries(&self, invocation: &Invocation) -> Result<Registries> {
        let credentials = self.creds.as_deref().map(Credentials::parse).transpose();
        let credentials = credentials.doing(|| "--creds")?;
        Ok(Registries { credentials, ..self.trust.registries(invocation) })
    }
}

impl TrustFlags {
    /// What is known of registries, with what these flags say.
    pub(crate) fn registries(&self, invocation: &Invocation) -> Registries {
        let mut registries = self.tls.registries(invocation);
        if let Some(path) = &self.authfile {
            registries.auth_files = vec![invocation.surroundings().absolute(path)];
        }
        registries
    }
}

impl TlsFlags {
    /// What is known of registries, with what these flags say.
    pub(crate) fn registries(&self, invocation: &Invocation) -> Registries {
        let mut registries = invocation.registries();
        if let Some(path) = &self.cert_dir {
            registries.own_certs_dir = Some(invocation.surroundings().absolute(path));
        }
        if let Some(verify) = self.tls_verify {
            registries.tls_verify = verify.into();
        }
        registries
    }
}
