//! `auto-update`: containers whose image has a successor are replaced, and come back where the
//! successor does not come up.

use crate::{
    exit::{FAILURE, SUCCESS},
    flags::{Surroundings, container::ContainerFlags, moment},
    invocation::Invocation,
    render::list::{Column, Row, Shape},
    tree::{self, Act, Switches},
};
use clap::FromArgMatches;
use dhow_base::{Error, Kind, Result};
use dhow_engine::{CreateOptions, Engine, ReplaceOptions, Replaced, Updatable, UpdateSource};
use std::{path::Path, time::Duration};

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
    #[arg(
        long,
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_value_t = true,
        default_missing_value = "true",
        hide_default_value = true,
        hide_possible_values = true,
        action = clap::ArgAction::Set
    )]
    rollback: bool,

    /// Let the new container run for so long, or become healthy in that time, before the old one goes
    #[arg(long, value_name = "DURATION", default_value = "10s")]
    patience: String,

    /// Print as table, as json (one object a line) or by a template
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
}

impl Act for AutoUpdate {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let shape = Shape::of(false, self.format.as_deref(), "Container")?;
        let patience = Duration::from_millis(moment::milliseconds("--patience", &self.patience)?);
        let how = ReplaceOptions { patience, rollback: self.rollback };
        let mut engine = invocation.engine()?;
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

fn row(container: &Updatable, updated: &str) -> Row {
    let name = format!("{} ({})", container.id.short(), container.name);
    Row::new([
        ("Container", name),
        ("ContainerID", container.id.to_string()),
        ("ContainerName", container.name.clone()),
        ("Image", container.image_name.clone()),
        ("Policy", container.policy.clone()),
        ("Updated", updated.to_owned()),
    ])
}

impl AutoUpdate {
    /// Looks at one container, and says in podman's words what became of it.
    fn update(
        &self,
        engine: &mut Engine,
        container: &Updatable,
        how: ReplaceOptions,
        invocation: &Invocation,
    ) -> Result<&'static str> {
        let source = match container.policy.as_str() {
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
        let options = options(container, invocation)?;
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

/// What the command line that made a container asks for; variables that it took from its
/// surroundings are taken from ours.
fn options(container: &Updatable, invocation: &Invocation) -> Result<CreateOptions> {
    let (words, directory) = &container.made_by;
    let unknown = || {
        Error::new(
            Kind::Unsupported,
            format!("update container {}: nobody knows how it was made", container.name),
        )
        .hint("containers of `dhow run` and `dhow create` can be updated")
    };
    let matches =
        tree::command(Switches::WithValues).try_get_matches_from(words).map_err(|_| unknown())?;
    let (_, inner, _) = tree::chosen(&matches).ok_or_else(unknown)?;
    let flags = ContainerFlags::from_arg_matches(inner).map_err(|_| unknown())?;
    let around = Surroundings { directory: Path::new(directory), ..invocation.surroundings() };
    let options = flags.options(around)?;
    Ok(CreateOptions {
        life: dhow_engine::options::LifeOptions {
            command_line: words.clone(),
            directory: directory.clone(),
            ..options.life.clone()
        },
        ..options
    })
}
