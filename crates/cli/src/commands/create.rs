//! `create`: make a container that does not run yet.

use crate::{
    choice::Choice,
    exit::SUCCESS,
    flags::{container::ContainerFlags, network_defaults, refuse},
    invocation::Invocation,
    tree::Act,
};
use dhow_base::{
    Doing, Kind, Result,
    file::{self, Durability},
    id::ContainerId,
};
use dhow_engine::{CreateOptions, Engine, Purpose, RemoveOptions};
use dhow_sys::host_path::{LastLink, Place};
use std::path::{Path, PathBuf};

/// Create a container without starting it
///
/// Prints the container's id, which `dhow start` takes.
#[derive(clap::Args, Debug)]
#[command(override_usage = "dhow create [OPTIONS] IMAGE [COMMAND] [ARG...]")]
pub(crate) struct Create {
    #[command(flatten)]
    container: ContainerFlags,
}

impl Act for Create {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let conf = invocation.containers_conf()?;
        let flags = self.container.with_defaults(&conf, invocation.surroundings())?;
        let mut options = flags.options(invocation.surroundings())?;
        (options.life.command_line, options.life.directory) = invocation.command_line();
        let cid_file = CidFile::check(self.container.cidfile.as_deref(), invocation)?;
        let progress = invocation.progress(self.container.quiet);
        let mut engine =
            invocation.last_engine(flags.pulling.registries(invocation)?, Purpose::Any)?;
        network_defaults::apply(&conf, &mut engine)?;
        let choice = choose_image(&engine, &mut options)?;
        make_room(&mut engine, &flags)?;
        let created = engine.create(&options, &progress)?;
        choice.keep(engine.images().0, invocation.console);
        cid_file.write(&created.id)?;
        invocation.console.line(created.id.as_str())?;
        Ok(SUCCESS)
    }
}

/// Asks which image is meant, where that is not clear.
pub(super) fn choose_image(engine: &Engine, options: &mut CreateOptions) -> Result<Choice> {
    let choice = Choice::make(&options.image, || engine.choices(options))?;
    options.image = choice.name();
    Ok(choice)
}

/// Removes the container that has the name, where that was asked for. One whose id begins like the
/// name is another.
pub(super) fn make_room(engine: &mut Engine, flags: &ContainerFlags) -> Result<()> {
    let Some(name) = flags.name.as_deref().filter(|_| flags.replace) else { return Ok(()) };
    let found = match engine.inspect(name) {
        Err(error) if error.kind() == Kind::NotFound => return Ok(()),
        found => found?,
    };
    if found["Name"].as_str().map(|found| found.trim_start_matches('/')) != Some(name) {
        return Ok(());
    }
    engine.remove(name, RemoveOptions { force: true, volumes: false })
}

/// The file that `--cidfile` names: it must not be there before, so that no id is taken for another.
#[derive(Debug)]
pub(super) struct CidFile(Option<PathBuf>);

impl CidFile {
    /// Refuses a file that is there, before anything is made.
    pub(super) fn check(path: Option<&str>, invocation: &Invocation) -> Result<Self> {
        let Some(text) = path else { return Ok(Self(None)) };
        let path = invocation.surroundings().absolute(text);
        let place = place(&path).map_err(|error| refuse("--cidfile", text, error.one_line()))?;
        if rustix::fs::lstat(place.path()).is_ok() {
            return Err(
                refuse("--cidfile", text, "the file exists").hint("remove it, or name another")
            );
        }
        Ok(Self(Some(path)))
    }

    /// Writes the id.
    pub(super) fn write(&self, id: &ContainerId) -> Result<()> {
        let Some(path) = &self.0 else { return Ok(()) };
        let doing = || format!("write the container's id to {}", path.display());
        let place = place(path).doing(doing)?;
        file::write_new(&place.path(), id.as_str().as_bytes(), 0o644, Durability::Cached)
            .doing(doing)
    }
}

/// A stranger's link on the way decides nothing.
fn place(path: &Path) -> Result<Place> {
    Place::find(path, LastLink::Kept).doing(|| format!("find {}", path.display()))
}
