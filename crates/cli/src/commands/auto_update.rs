//! `auto-update`: containers whose image has a successor are replaced, and come back where the
//! successor does not come up.

use super::recipe::Recipe;
use crate::{
    exit::{FAILURE, SUCCESS},
    flags::{moment, registry::TrustFlags},
    invocation::Invocation,
    render::list::{Column, Row, Shape},
    tree::Act,
};
use dhow_base::{Error, Kind, Result};
use dhow_engine::{Engine, ReplaceOptions, Replaced, Updatable, UpdateSource};
use std::time::Duration;

const COLUMNS: &[Column] =
    &[("CONTAINER", "Container"), ("IMAGE", "Image"), ("POLICY", "Policy"), ("UPDATED", "Updated")];

/// Replace containers whose image has a successor
///
/// Containers that run and have the label io.containers.autoupdate: registry looks at the registry,
/// local at the images here. The new container must run for a while, and be healthy where its health
/// is checked; where it does not come up, the old one runs again.
#[derive(clap::Args, Debug)]
pub(crate) struct AutoUpdate {
    /// Replace nothing, and say what would be: pending. Newer images are fetched all the same
    #[arg(long)]
    dry_run: bool,

    /// Bring the old container back where the new one does not come up
    #[arg(long, value_name = "BOOL", default_value_t = true)]
    rollback: bool,

    /// Let the new container run for so long, or become healthy in that time, before the old one goes
    #[arg(long, value_name = "DURATION", default_value = "10s")]
    patience: String,

    /// Print as table, as json (one object a line) or by a template
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,

    #[command(flatten)]
    trust: TrustFlags,
}

impl Act for AutoUpdate {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let shape = Shape::of(false, self.format.as_deref(), "Container")?;
        let patience = Duration::from_millis(moment::milliseconds("--patience", &self.patience)?);
        let how = ReplaceOptions { patience, rollback: self.rollback };
        let mut engine = invocation.engine_with(self.trust.registries(invocation))?;
        let mut rows = Vec::new();
        let mut code = SUCCESS;
        for container in engine.updatable()? {
            let updated = match self.update(&mut engine, &container, how, invocation) {
                Ok(word) => word,
                Err(error) => {
                    invocation.console.error(&error);
                    code = FAILURE;
                    "failed"
                }
            };
            rows.push(row(&container, updated));
        }
        invocation.console.print(shape.print(COLUMNS, &rows)?)?;
        Ok(code)
    }
}

fn row(Updatable { made: container, policy }: &Updatable, updated: &str) -> Row {
    let name = format!("{} ({})", container.id.short(), container.name);
    Row::new([
        ("Container", name),
        ("ContainerID", container.id.to_string()),
        ("ContainerName", container.name.clone()),
        ("Image", container.image_name.clone()),
        ("Policy", policy.clone()),
        ("Updated", updated.to_owned()),
    ])
}

impl AutoUpdate {
    /// Looks at one container, and says in podman's words what became of it.
    fn update(
        &self,
        engine: &mut Engine,
        Updatable { made: container, policy }: &Updatable,
        how: ReplaceOptions,
        invocation: &Invocation,
    ) -> Result<&'static str> {
        let source = match policy.as_str() {
            "registry" | "image" => UpdateSource::Registry,
            "local" => UpdateSource::Local,
            other => {
                return Err(Error::new(
                    Kind::Invalid,
                    format!("update container {}: there is no policy {other:?}", container.name),
                )
                .hint("there are registry, local and disabled"));
            }
        };
        let progress = invocation.progress(true);
        let image = engine.successor(&container.image_name, source, &progress)?;
        if Some(&image) == container.image.as_ref() {
            return Ok("false");
        }
        if self.dry_run {
            return Ok("pending");
        }
        let options = Recipe::of(container.clone()).options(invocation)?;
        match engine.replace(container.id.as_str(), &options, how, &progress)? {
            Replaced::By(_) => Ok("true"),
            Replaced::RolledBack(error) => {
                let text = format!("container {}: {}", container.name, error.one_line());
                invocation.console.warning(&text);
                Ok("rolled back")
            }
            Replaced::Failed(error) => Err(error),
        }
    }
}
