//! `inspect`: all that is known of containers and images, as docker's documents; under podman's name
//! they are podman's.

use super::look::pretty;
use crate::{
    exit::{SUCCESS, failure},
    invocation::Invocation,
    manners::Manners,
    render::template::Format,
    tree::Act,
};
use clap::ValueEnum;
use dhow_base::{Error, Kind, Result};
use dhow_engine::Engine;
use serde_json::Value;

/// Show all that is known of containers and images
///
/// Prints a JSON array, or a line for each object where a template is given. A name that is both a
/// container's and an image's means the container.
#[derive(clap::Args, Debug)]
pub(crate) struct Inspect {
    /// The objects, by name or id
    #[arg(required_unless_present = "latest", value_name = "NAME")]
    names: Vec<String>,

    /// Look for objects of this type only
    #[arg(long, value_enum, value_name = "TYPE")]
    r#type: Option<Type>,

    /// The newest container
    #[arg(short, long, conflicts_with = "names")]
    latest: bool,

    /// Tell of a container what it takes on disk too
    #[arg(short, long)]
    size: bool,

    /// Print as json or by a template such as '{{.State.Status}}'
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<String>,
}

/// What can be inspected.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Type {
    /// A container.
    Container,
    /// An image.
    Image,
}

impl Act for Inspect {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let format = match self.format.as_deref() {
            None | Some("" | "json") => None,
            Some(text) => Some(Format::parse(text)?),
        };
        let mut engine = invocation.engine()?;
        let mut documents = Vec::new();
        let mut code = SUCCESS;
        let names = match self.latest {
            true => vec![super::several::one(&mut engine, None)?],
            false => self.names.clone(),
        };
        for name in &names {
            match self.find(&mut engine, name, invocation.manners) {
                Ok(document) => documents.push(document),
                Err(error) => {
                    invocation.console.error(&error);
                    code = failure(invocation.manners);
                }
            }
        }
        let text = match format {
            Some(format) => {
                let line = |document| Ok(format!("{}\n", format.fill(document)?));
                documents.iter_mut().for_each(name_as_programs_do);
                documents.iter().map(line).collect::<Result<String>>()?.into_bytes()
            }
            None => pretty(&documents)?,
        };
        invocation.console.print(text)?;
        Ok(code)
    }
}

impl Inspect {
    /// The command for images alone.
    pub(super) fn of_images(names: Vec<String>, format: Option<String>) -> Self {
        Self { names, r#type: Some(Type::Image), latest: false, size: false, format }
    }

    fn find(&self, engine: &mut Engine, name: &str, manners: Manners) -> Result<Value> {
        let image = |engine: &mut Engine| {
            let (images, state) = engine.images();
            images.look_up(state, name).map(|image| match manners {
                Manners::Podman => image.inspect_as_podman(),
                _ => image.inspect(),
            })
        };
        let container = |engine: &mut Engine| match (manners, self.size) {
            (Manners::Podman, size) => engine.inspect_as_podman(name, size),
            (_, true) => engine.inspect_with_size(name),
            (_, false) => engine.inspect(name),
        };
        match self.r#type {
            Some(Type::Container) => container(engine),
            Some(Type::Image) => image(engine),
            None => match container(engine) {
                Err(error) if error.kind() == Kind::NotFound => {
                    image(engine).map_err(|error| neither(name, error))
                }
                found => found,
            },
        }
    }
}

/// Podman's templates know the health by another name too, which its document has not.
fn name_as_programs_do(document: &mut Value) {
    if let Some(Value::Object(state)) = document.get_mut("State")
        && let Some(health) = state.get("Health").cloned()
    {
        state.entry("Healthcheck").or_insert(health);
    }
}

/// Where there is neither, the error says so; other troubles of the image speak for themselves.
fn neither(name: &str, error: Error) -> Error {
    if error.kind() == Kind::NotFound {
        Error::new(Kind::NotFound, format!("no such object: {name}"))
            .hint("`dhow ps -a` and `dhow images` list what is here")
    } else {
        error
    }
}
