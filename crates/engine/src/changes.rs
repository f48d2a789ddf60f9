//! What a container has made of its root: told, written as a tar file, or kept as an image.

use crate::{Engine, record::Record};
use dhow_archive::{Mtime, Pack, Presence};
use dhow_base::{Doing, Result, file, id::ContainerId};
use dhow_image::{Change, ChangeKind, Commit, Dialect, Image, Layers, SaveTo, with_directories};
use dhow_spec::{image::ExecutionConfig, runtime::Spec};
use dhow_state::{
    containers::{Container, Phase},
    events,
};
use std::{
    collections::BTreeSet,
    io::{self, Write},
    os::fd::AsFd,
    path::{Path, PathBuf},
};

/// What a commit is to be.
#[derive(Clone, Debug)]
pub struct CommitOptions {
    /// The image's name.
    pub name: Option<String>,
    /// `--change`.
    pub changes: Vec<String>,
    /// `--author`.
    pub author: Option<String>,
    /// `--message`.
    pub message: Option<String>,
    /// Whether the processes stand still meanwhile.
    pub pause: bool,
    /// Whose documents.
    pub dialect: Dialect,
    /// Which layers.
    pub layers: Layers,
    /// `SOURCE_DATE_EPOCH`.
    pub epoch: Option<i64>,
}

impl Engine {
    /// What is otherwise in a container's root than in its image.
    pub fn changes(&mut self, container: &str) -> Result<Vec<Change>> {
        let row = self.look_up(container)?;
        let doing = || format!("compare container {} with its image", row.name);
        self.own_changes(&row).map(with_directories).doing(doing)
    }

    /// Writes a container's root as a tar file, without what is mounted in it.
    pub fn export(&mut self, container: &str, to: SaveTo) -> Result<()> {
        let row = self.look_up(container)?;
        let doing = || format!("export container {}", row.name);
        let mount = self.images.container_mount(&self.state, &row.id).doing(doing)?;
        dhow_image::export_root(&mount.for_reading(), to).doing(doing)?;
        self.note(&row.id, "export")
    }

    /// Makes an image of a container.
    pub fn commit(&mut self, container: &str, options: &CommitOptions) -> Result<Image> {
        let row = self.look_up(container)?;
        let doing = || format!("commit container {}", row.name);
        let image = self.commit_row(&row, options).doing(doing)?;
        self.note(&row.id, "commit")?;
        Ok(image)
    }

    fn note(&mut self, id: &ContainerId, action: &str) -> Result<()> {
        self.state.write(|write| events::record(write, "container", action, id.as_str(), "{}"))
    }

    fn commit_row(&mut self, row: &Container, options: &CommitOptions) -> Result<Image> {
        let name = row.image.as_ref().map_or(row.image_name.as_str(), |digest| digest.as_str());
        let base = self.images.look_up(&self.state, name)?;
        let commit = self.commit_of(row, &base, options)?;
        let _paused = match options.pause && row.phase == Phase::Running {
            true => Some(self.pause_for_a_while(row)?),
            false => None,
        };
        let mount = self.images.container_mount(&self.state, &row.id)?.for_reading();
        let root = dhow_sys::union::open(&mount)
            .map_err(io::Error::from)
            .doing(|| "mount the root unseen")?;
        let changes = match options.layers {
            Layers::Kept => self.own_changes(row)?,
            Layers::Squashed => Vec::new(),
        };
        let mut pack = Pack::tree();
        if let Some(seconds) = options.epoch {
            pack = pack.no_later_than(Mtime { seconds, nanoseconds: 0 });
        }
        let mut layer = |sink: &mut dyn Write| {
            let packed = match options.layers {
                Layers::Squashed => pack.write(root.as_fd(), sink),
                Layers::Kept => pack.write_changes(root.as_fd(), presences(&changes), sink),
            };
            packed.map(drop)
        };
        self.images.commit(&mut self.state, &base, &commit, &mut layer)
    }

    fn commit_of(&self, row: &Container, base: &Image, options: &CommitOptions) -> Result<Commit> {
        let spec = self.spec_of(row)?;
        let record = Record::parse(&row.settings)?;
        let words = record.words();
        Ok(Commit {
            name: options.name.clone(),
            config: execution(&base.config.config, &record, &spec),
            changes: options.changes.clone(),
            author: options.author.clone(),
            message: options.message.clone(),
            created_by: words.join(" "),
            epoch: options.epoch,
            dialect: options.dialect,
            layers: options.layers,
        })
    }

    fn spec_of(&self, row: &Container) -> Result<Spec> {
        Spec::parse(&file::read_limited(&self.layout.config(&row.id), 16 << 20)?)
    }

    /// The changes, without the empty places that the runtime made to mount something on.
    fn own_changes(&self, row: &Container) -> Result<Vec<Change>> {
        let spec = self.spec_of(row)?;
        let relative = |path: &Path| path.strip_prefix("/").unwrap_or(path).to_owned();
        let mut places: BTreeSet<PathBuf> =
            spec.mounts.iter().map(|mount| relative(Path::new(&mount.destination))).collect();
        let linux = spec.linux.unwrap_or_default();
        places.extend(linux.devices.iter().map(|device| relative(Path::new(&device.path))));
        let is_place = |change: &Change| {
            let path = change.path.as_path();
            change.kind == ChangeKind::Added && (places.contains(path) || path.starts_with("dev"))
        };
        let mut changes = self.images.container_changes(&self.state, &row.id)?;
        changes.retain(|change| !is_place(change));
        Ok(changes)
    }
}

fn presences(changes: &[Change]) -> impl Iterator<Item = (&Path, Presence)> {
    changes.iter().map(|change| {
        let presence = match change.kind {
            ChangeKind::Added | ChangeKind::Modified => Presence::Here,
            ChangeKind::Deleted => Presence::Gone,
        };
        (change.path.as_path(), presence)
    })
}

/// The image's way to run, with what the user said at the creation in the place of it.
fn execution(image: &ExecutionConfig, record: &Record, spec: &Spec) -> ExecutionConfig {
    // Those that the engine sets by itself are not the user's, unless the image has them.
    const OURS: [&str; 4] = ["HOME", "HOSTNAME", "TERM", "container"];
    let name = |entry: &str| entry.split('=').next().unwrap_or_default().to_owned();
    let of_image: BTreeSet<String> = image.env.iter().map(|entry| name(entry)).collect();
    let env = spec.process.iter().flat_map(|process| &process.env);
    let env = env.filter(|entry| {
        let name = name(entry);
        !OURS.contains(&name.as_str()) || of_image.contains(&name)
    });
    ExecutionConfig {
        user: record.user.clone(),
        env: env.cloned().collect(),
        entrypoint: record.entrypoint.clone(),
        cmd: record.command.clone(),
        working_dir: record.workdir.clone(),
        labels: record.labels.clone(),
        stop_signal: image.stop_signal.clone(),
        ..image.clone()
    }
}
