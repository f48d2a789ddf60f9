//! `container clone`: another container like one that is there.

use super::recipe::Recipe;
use crate::{
    exit::SUCCESS,
    flags::{block_io::BlockIoFlags, container::LimitFlags},
    invocation::Invocation,
    tree::Act,
};
use dhow_base::{Error, Kind, Result};
use dhow_engine::{CreateOptions, Engine, Made, RemoveOptions, Watch};

/// Make another container like one that is there
///
/// It is made as the other one was, of the same image; what that one has written is not copied, `commit`
/// keeps it. Limits that are named here are its own. Prints its id.
#[derive(clap::Args, Debug)]
pub(crate) struct Clone {
    /// The container to make another of
    #[arg(value_name = "CONTAINER")]
    container: String,

    /// The name of the new one; the other's and -clone where it is missing
    #[arg(value_name = "NAME")]
    named: Option<String>,

    /// Make it of this image
    #[arg(value_name = "IMAGE")]
    image: Option<String>,

    /// Name the new one
    #[arg(long, value_name = "NAME", conflicts_with = "named")]
    name: Option<String>,

    /// Remove the other one afterwards
    #[arg(long)]
    destroy: bool,

    /// With --destroy, also one that runs
    #[arg(short, long, requires = "destroy")]
    force: bool,

    /// Start it
    #[arg(long)]
    run: bool,

    /// Put it into a pod
    #[arg(long, value_name = "POD")]
    pod: Option<String>,

    #[command(flatten)]
    limits: LimitFlags,

    #[command(flatten)]
    block_io: BlockIoFlags,
}

impl Act for Clone {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let mut flags = self.limits.words();
        flags.extend(self.block_io.words());
        flags.extend(self.pod.as_ref().map(|pod| format!("--pod={pod}")));
        let asked = Asked { name: self.named.or(self.name), image: self.image, flags };
        let mut engine = invocation.engine()?;
        let old = engine.made(&self.container)?;
        let new = asked.make(&mut engine, &old, invocation)?;
        if self.destroy {
            let options = RemoveOptions { force: self.force, volumes: false };
            engine.remove(old.id.as_str(), options)?;
        }
        if self.run {
            engine.start(&new, Watch::Detached)?.client.detach()?;
        }
        invocation.console.line(&new)?;
        Ok(SUCCESS)
    }
}

/// What a container is to have otherwise than the one that it is made like.
#[derive(Debug, Default)]
pub(super) struct Asked {
    pub(super) name: Option<String>,
    pub(super) image: Option<String>,
    pub(super) flags: Vec<String>,
}

impl Asked {
    /// Makes it, and returns its id.
    pub(super) fn make(
        mut self,
        engine: &mut Engine,
        made: &Made,
        invocation: &Invocation,
    ) -> Result<String> {
        let image = match self.image.take() {
            Some(image) => Some(image),
            // Of the very image that the other stands on, also where its name means another by now.
            None => match &made.image {
                Some(image) if engine.image_named(&made.image_name)?.as_ref() != Some(image) => {
                    Some(image.to_string())
                }
                _ => None,
            },
        };
        let recipe = Recipe::of(made.clone());
        let progress = invocation.progress(true);
        if let Some(name) = &self.name {
            let options = self.settle(&recipe, name, image, invocation)?;
            return Ok(engine.create(&options, &progress)?.id.to_string());
        }
        for number in 0..MOST_CLONES {
            let name = match number {
                0 => format!("{}-clone", made.name),
                _ => format!("{}-clone{number}", made.name),
            };
            let options = self.settle(&recipe, &name, image.clone(), invocation)?;
            match engine.create(&options, &progress) {
                Err(error) if error.kind() == Kind::AlreadyExists => {}
                created => return Ok(created?.id.to_string()),
            }
        }
        let text = format!("find a free name for a clone of {}", made.name);
        Err(Error::new(Kind::AlreadyExists, text).hint("choose one with --name"))
    }

    fn settle(
        &self,
        recipe: &Recipe,
        name: &str,
        image: Option<String>,
        invocation: &Invocation,
    ) -> Result<CreateOptions> {
        let name = format!("--name={name}");
        let flags = self.flags.iter().cloned().chain([name]).collect();
        recipe.clone().with(flags, image)?.options(invocation)
    }
}

/// How many clones get a name by themselves.
const MOST_CLONES: usize = 1000;
