//! `artifact add`: an artifact of files.

use crate::{exit::SUCCESS, flags::pairs, invocation::Invocation, tree::Act};
use dhow_base::Result;
use dhow_image::{AddOptions, ArtifactFile, Existing};

/// Make an artifact of files
///
/// Prints the digest of its manifest.
#[derive(clap::Args, Debug)]
pub(crate) struct Add {
    /// The artifact's name
    #[arg(value_name = "NAME")]
    name: String,

    /// The files
    #[arg(value_name = "FILE", required = true)]
    files: Vec<String>,

    /// Note something of each file
    #[arg(long, value_name = "KEY=VALUE")]
    annotation: Vec<String>,

    /// Add the files to an artifact that is there
    #[arg(short, long, conflicts_with = "replace")]
    append: bool,

    /// Take the place of an artifact that is there
    #[arg(long)]
    replace: bool,

    /// What the files are: their media type
    #[arg(long, value_name = "TYPE")]
    file_type: Option<String>,

    /// What the artifact is: its media type
    #[arg(long, value_name = "TYPE", conflicts_with = "append")]
    r#type: Option<String>,
}

impl Act for Add {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let around = invocation.surroundings();
        let files: Vec<ArtifactFile> = self
            .files
            .iter()
            .map(|path| ArtifactFile {
                path: around.absolute(path),
                media_type: self.file_type.clone(),
            })
            .collect();
        let notes = self.annotation.iter().map(|text| pairs::parse("--annotation", text));
        let options = AddOptions {
            artifact_type: self.r#type,
            annotations: notes.collect::<Result<_>>()?,
            existing: match (self.append, self.replace) {
                (true, _) => Existing::Append,
                (_, true) => Existing::Replace,
                _ => Existing::Refuse,
            },
        };
        let mut engine = invocation.engine()?;
        let (images, state) = engine.images();
        let digest = images.add_artifact(state, &self.name, &files, &options)?;
        invocation.console.line(digest.as_str())?;
        Ok(SUCCESS)
    }
}
