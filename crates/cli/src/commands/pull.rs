//! `pull`: fetch images from registries, directories and archives.

use super::several;
use crate::{flags::container::platform, invocation::Invocation, tree::Act};
use dhow_base::{Doing, Result};
use dhow_image::{Credentials, PullOptions, Registries, TlsVerify};

/// Fetch images
///
/// An image is a name (debian:13, registry.example/a/b@sha256:…), oci:DIR, oci-archive:FILE or
/// docker-archive:FILE, the last three with :NAME where they hold several. Prints the image's id.
#[derive(clap::Args, Debug)]
pub(crate) struct Pull {
    /// The images
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,

    /// Print nothing but ids
    #[arg(short, long)]
    quiet: bool,

    /// Fetch the image of this platform
    #[arg(long, value_name = "OS/ARCH")]
    platform: Option<String>,

    /// Use this name and password at the registry
    #[arg(long, value_name = "NAME:PASSWORD")]
    creds: Option<String>,

    /// Read credentials from this file alone
    #[arg(long, value_name = "FILE")]
    authfile: Option<String>,

    /// Check certificates; without, plain HTTP is tried too
    #[arg(long, num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true", action = clap::ArgAction::Set, value_name = "BOOL")]
    tls_verify: bool,
}

impl Act for Pull {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let platform = self.platform.as_deref().map(platform).transpose()?;
        let options = PullOptions { platform, ..PullOptions::default() };
        let mut engine = invocation.engine_with(self.registries(invocation)?)?;
        let (images, state) = engine.images();
        several::each(invocation.console, &self.images, |name| {
            let progress = invocation.progress(self.quiet);
            let image =
                images.pull(state, name, &options, &progress).doing(|| format!("pull {name}"))?;
            for notice in images.take_notices() {
                invocation.console.note(&notice);
            }
            Ok(Some(image.id.to_string()))
        })
    }
}

impl Pull {
    fn registries(&self, invocation: &Invocation) -> Result<Registries> {
        let mut registries = invocation.registries();
        if let Some(path) = &self.authfile {
            registries.auth_files = vec![invocation.surroundings().absolute(path)];
        }
        if let Some(text) = &self.creds {
            registries.credentials = Some(Credentials::parse(text).doing(|| "--creds")?);
        }
        if !self.tls_verify {
            registries.tls_verify = TlsVerify::Never;
        }
        Ok(registries)
    }
}
