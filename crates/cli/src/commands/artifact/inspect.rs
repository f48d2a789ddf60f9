//! `artifact inspect`: the manifest of an artifact, and its name here.

use crate::{
    commands::look::pretty, exit::SUCCESS, invocation::Invocation, render::template::Format,
    tree::Act,
};
use dhow_base::Result;
use serde_json::json;

/// Show all that is known of an artifact
#[derive(clap::Args, Debug)]
pub(crate) struct Inspect {
    /// The artifact, by name or digest
    #[arg(value_name = "ARTIFACT")]
    artifact: String,

    /// Print as json or by a template such as '{{.Digest}}'
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<String>,
}

impl Act for Inspect {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let mut engine = invocation.engine()?;
        let (images, state) = engine.images();
        let artifact = images.look_up_artifact(state, &self.artifact)?;
        let document = json!({
            "Manifest": artifact.manifest,
            "Name": artifact.name,
            "Digest": artifact.digest.as_str(),
        });
        let text = match self.format.as_deref() {
            None | Some("" | "json") => pretty(&document)?,
            Some(text) => format!("{}\n", Format::parse(text)?.fill(&document)?).into_bytes(),
        };
        invocation.console.print(text)?;
        Ok(SUCCESS)
    }
}
