//! `load`: take images in from a file.

use crate::{exit::SUCCESS, invocation::Invocation, tree::Act};
use dhow_base::{Error, Kind, Result};
use dhow_image::{LoadFrom, Loaded};
use std::io::{self, IsTerminal};

/// Take images in from a file
///
/// The file is what `dhow save`, `docker save` or `podman save` wrote, compressed or not, or a
/// directory of such form; its content says which.
#[derive(clap::Args, Debug)]
pub(crate) struct Load {
    /// Read this file or directory instead of standard input
    #[arg(short, long, value_name = "FILE")]
    input: Option<String>,

    /// Print nothing but the names
    #[arg(short, long)]
    quiet: bool,
}

impl Act for Load {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let mut stdin = io::stdin();
        let from = match self.input.as_deref() {
            Some(path) if path != "-" => LoadFrom::Path(invocation.surroundings().absolute(path)),
            _ if stdin.is_terminal() => {
                return Err(Error::new(Kind::Invalid, "refusing to load from a terminal")
                    .hint("use --input, or redirect standard input"));
            }
            _ => LoadFrom::Stream(&mut stdin),
        };
        let mut engine = invocation.engine()?;
        let (images, state) = engine.images();
        let progress = invocation.progress_of("loading", self.quiet);
        for loaded in images.load(state, from, &progress)? {
            for name in &loaded.refused_names {
                invocation.console.warning(&not_taken(name, &loaded));
            }
            for line in lines(&loaded) {
                invocation.console.line(&line)?;
            }
        }
        Ok(SUCCESS)
    }
}

fn not_taken(name: &str, loaded: &Loaded) -> String {
    let why = dhow_image::why_refused(name);
    format!("image {} is not called {name:?}, as the file has it: {why}", loaded.image.id)
}

fn lines(loaded: &Loaded) -> Vec<String> {
    if loaded.names.is_empty() {
        return vec![format!("Loaded image: {}", loaded.image.id)];
    }
    loaded.names.iter().map(|name| format!("Loaded image: {name}")).collect()
}
