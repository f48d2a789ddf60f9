//! `import`: make an image of the tar file of a file system.

use crate::{
    exit::SUCCESS,
    flags::{pulling::PlatformParts, registry::TlsFlags},
    invocation::Invocation,
    tree::Act,
};
use dhow_base::{Doing, Result};
use dhow_image::{Address, ImportOptions};
use std::{
    fs::File,
    io::{self, Read},
};

/// Make an image of the tar file of a file system
///
/// The file may be compressed, and may be at an http:// or https:// address; - is standard input.
/// Prints the image's id.
#[derive(clap::Args, Debug)]
pub(crate) struct Import {
    /// The file, or its address
    #[arg(value_name = "FILE")]
    file: String,

    /// The image's name
    #[arg(value_name = "NAME")]
    name: Option<String>,

    /// Change the configuration by a line of a Dockerfile, such as 'CMD ["sh"]'
    #[arg(short, long, value_name = "LINE")]
    change: Vec<String>,

    /// Say why the image was made
    #[arg(short, long, value_name = "TEXT")]
    message: Option<String>,

    /// Say that the image is for this platform
    #[arg(long, value_name = "OS/ARCH")]
    platform: Option<String>,

    /// Accepted for podman's sake: nothing but the id is printed anyway
    #[arg(short, long, hide = true)]
    quiet: bool,

    #[command(flatten)]
    parts: PlatformParts,

    #[command(flatten)]
    tls: TlsFlags,
}

impl Act for Import {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let address = Address::parse(&self.file)?;
        let options = ImportOptions {
            name: self.name,
            changes: self.change,
            message: self.message,
            platform: self.parts.platform(self.platform.as_deref())?,
            source: self.file.clone(),
        };
        if let Some(address) = address {
            let mut engine = invocation.engine_with(self.tls.registries(invocation))?;
            let (images, state) = engine.images();
            let image = images.import_from(state, &address, &options)?;
            for notice in images.take_notices() {
                invocation.console.note(&notice);
            }
            invocation.console.line(image.id.as_str())?;
            return Ok(SUCCESS);
        }
        let mut stream: Box<dyn Read + Send> = match self.file.as_str() {
            "-" => Box::new(io::stdin()),
            path => {
                let path = invocation.surroundings().absolute(path);
                Box::new(File::open(&path).doing(|| format!("open {}", path.display()))?)
            }
        };
        let mut engine = invocation.engine()?;
        let (images, state) = engine.images();
        let image = images.import(state, stream.as_mut(), &options)?;
        invocation.console.line(image.id.as_str())?;
        Ok(SUCCESS)
    }
}
