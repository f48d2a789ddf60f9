//! Flags about fetching the image of a container: which of a list, from where, how patiently.

use super::{container::platform, refuse, registry::RegistryFlags, retrying::RetryFlags};
use crate::invocation::Invocation;
use dhow_base::Result;
use dhow_image::Registries;
use dhow_spec::image::Platform;

/// A platform, said in parts.
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct PlatformParts {
    /// Use the image of this architecture
    #[arg(long, value_name = "NAME")]
    arch: Option<String>,

    /// Use the image of this operating system
    #[arg(long, value_name = "NAME")]
    os: Option<String>,

    /// Use the image of this variant of the architecture
    #[arg(long, value_name = "NAME")]
    variant: Option<String>,
}

/// How the image is fetched.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(next_help_heading = "Fetching the image")]
pub(crate) struct PullingFlags {
    #[command(flatten)]
    parts: PlatformParts,

    #[command(flatten)]
    retrying: RetryFlags,

    #[command(flatten)]
    registry: RegistryFlags,
}

impl PlatformParts {
    /// The platform that these flags, or `--platform`, ask for.
    pub(crate) fn platform(&self, whole: Option<&str>) -> Result<Option<Platform>> {
        let parts = [("--arch", &self.arch), ("--os", &self.os), ("--variant", &self.variant)];
        let said = parts.iter().find_map(|(flag, text)| Some((flag, text.as_deref()?)));
        match (whole, said) {
            (None, None) => Ok(None),
            (Some(text), None) => platform(text).map(Some),
            (Some(_), Some((flag, text))) => {
                Err(refuse(flag, text, "it does not go with --platform"))
            }
            (None, Some((flag, text))) => {
                let host = Platform::host();
                let os = self.os.clone().unwrap_or(host.os);
                let arch = self.arch.clone().unwrap_or(host.architecture);
                let variant = self.variant.as_ref().map(|name| format!("/{name}"));
                let whole = format!("{os}/{arch}{}", variant.unwrap_or_default());
                let parsed = Platform::parse(&whole);
                parsed.map(Some).map_err(|_| refuse(flag, text, "there is no such platform"))
            }
        }
    }
}

impl PullingFlags {
    /// The platform that these flags, or `--platform`, ask for.
    pub(crate) fn platform(&self, whole: Option<&str>) -> Result<Option<Platform>> {
        self.parts.platform(whole)
    }

    /// What is known of registries, with what these flags say.
    pub(crate) fn registries(&self, invocation: &Invocation) -> Result<Registries> {
        let mut registries = self.registry.registries(invocation)?;
        self.retrying.lay_over(&mut registries.patience)?;
        Ok(registries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_platform_is_said_in_parts_or_as_a_whole() {
        let flags =
            |arch: &str| PlatformParts { arch: Some(arch.into()), ..PlatformParts::default() };

        assert_eq!(flags("arm64").platform(None).unwrap().unwrap().architecture, "arm64");
        assert!(flags("arm64").platform(Some("linux/arm64")).is_err());
        assert!(flags("a/b/c").platform(None).is_err());
        assert_eq!(PullingFlags::default().platform(None).unwrap(), None);
    }
}
