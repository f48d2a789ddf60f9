//! `pull`: fetch images from registries, directories and archives.

use super::several;
use crate::{flags::container::platform, invocation::Invocation, tree::Act};
use dhow_base::{Doing, Result};
use dhow_image::{Credentials, PullOptions, Registries};

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

    /// Check certificates whatever registries.conf says; with =false do not, and try plain HTTP too
    #[arg(
        long,
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        hide_possible_values = true
    )]
    tls_verify: Option<bool>,
}

impl Act for Pull {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let credentials = self.creds.as_deref().map(Credentials::parse).transpose();
        let options = PullOptions {
            platform: self.platform.as_deref().map(platform).transpose()?,
            tls_verify: self.tls_verify,
            credentials: credentials.doing(|| "--creds")?,
            ..PullOptions::default()
        };
        let mut engine = invocation.engine_with(self.registries(invocation))?;
        let (images, state) = engine.images();
        several::each(invocation.console, &self.images, |name| {
            let progress = invocation.progress(self.quiet);
            let image = images.pull(state, name, &options, &progress)?;
            for notice in images.take_notices() {
                invocation.console.note(&notice);
            }
            Ok(Some(image.id.to_string()))
        })
    }
}

impl Pull {
    fn registries(&self, invocation: &Invocation) -> Registries {
        let mut registries = invocation.registries();
        if let Some(path) = &self.authfile {
            registries.auth_files = vec![invocation.surroundings().absolute(path)];
        }
        registries
    }
}
