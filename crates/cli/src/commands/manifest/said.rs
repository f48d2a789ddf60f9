//! What is said of an image in a list: the flags of `add` and `annotate`.

use crate::flags::pairs;
use dhow_base::Result;
use dhow_image::Annotation;

/// What is said of an image.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Said {
    /// Note something of the image
    #[arg(long, value_name = "KEY=VALUE")]
    annotation: Vec<String>,

    /// Say for which processor it is
    #[arg(long, value_name = "ARCH")]
    arch: Option<String>,

    /// Say what the processor must have
    #[arg(long, value_name = "FEATURE", value_delimiter = ',')]
    features: Vec<String>,

    /// Say for which system it is
    #[arg(long, value_name = "OS")]
    os: Option<String>,

    /// Say what the system must have
    #[arg(long, value_name = "FEATURE", value_delimiter = ',')]
    os_features: Vec<String>,

    /// Say for which version of the system it is
    #[arg(long, value_name = "VERSION")]
    os_version: Option<String>,

    /// Say for which kind of the processor it is
    #[arg(long, value_name = "VARIANT")]
    variant: Option<String>,
}

impl Said {
    pub(super) fn annotation(self) -> Result<Annotation> {
        let notes = self.annotation.iter().map(|text| pairs::parse("--annotation", text));
        Ok(Annotation {
            annotations: notes.collect::<Result<_>>()?,
            os: self.os,
            architecture: self.arch,
            variant: self.variant,
            os_version: self.os_version,
            os_features: self.os_features,
            features: self.features,
        })
    }
}
