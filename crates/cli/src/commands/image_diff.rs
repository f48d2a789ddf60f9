//! `image diff`: what an image has otherwise than another one.

use super::look::pretty;
use crate::{exit::SUCCESS, invocation::Invocation, render::text::escaped, tree::Act};
use dhow_base::Result;
use dhow_image::{Change, ChangeKind};
use serde_json::json;
use std::path::Path;

/// Show what files an image has otherwise than another one
///
/// Without another, what its uppermost layer has changed. One line a path, as `docker diff` has it:
/// A for what is added, C for what is changed, D for what is gone, with all that was in it.
#[derive(clap::Args, Debug)]
pub(crate) struct Diff {
    /// The image, by name or id
    #[arg(value_name = "IMAGE")]
    image: String,

    /// The image that it is compared with
    #[arg(value_name = "OTHER")]
    other: Option<String>,

    /// Print as text or as json
    #[arg(long, value_name = "FORMAT", value_parser = ["text", "json"], default_value = "text")]
    format: String,
}

impl Act for Diff {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let mut engine = invocation.engine()?;
        let (images, state) = engine.images();
        let changes = images.differences(state, &self.image, self.other.as_deref())?;
        invocation.console.print(text(&changes, &self.format)?)?;
        Ok(SUCCESS)
    }
}

/// Changes in one of the two forms.
pub(super) fn text(changes: &[Change], format: &str) -> Result<Vec<u8>> {
    if format == "json" { as_json(changes) } else { Ok(as_text(changes)) }
}

fn as_text(changes: &[Change]) -> Vec<u8> {
    let line =
        |change: &Change| format!("{} {}\n", change.kind.letter(), escaped(&shown(&change.path)));
    changes.iter().map(line).collect::<String>().into_bytes()
}

/// As podman has it.
fn as_json(changes: &[Change]) -> Result<Vec<u8>> {
    let of = |kind: ChangeKind| -> Vec<String> {
        let such = changes.iter().filter(|change| change.kind == kind);
        such.map(|change| shown(&change.path)).collect()
    };
    pretty(&json!({
        "changed": of(ChangeKind::Modified),
        "added": of(ChangeKind::Added),
        "deleted": of(ChangeKind::Deleted),
    }))
}

fn shown(path: &Path) -> String {
    format!("/{}", path.display())
}
