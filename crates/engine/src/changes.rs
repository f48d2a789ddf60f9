//! What a container has made of its root: told, written as a tar file, or kept as an image.

use crate::{Engine, foundation, record::Record};
use dhow_archive::{Mtime, Pack, Presence};
use dhow_base::{Doing, Result, file, id::ContainerId};
use dhow_image::{Change, ChangeKind, Commit, Dialect, Image, Layers, SaveTo, with_directories};
use dhow_spec::{Mount, image::ExecutionConfig, runtime::Spec};
use dhow_state::{
    containers::{Container, Phase},
    events,
};
use serde_json::{Map, Value};
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
    /// `--config`: fields in docker's form.
    pub fields: Map<String, Value>,
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
    /// Whether the image names the places of the container's mounts as its volumes: podman's
    /// `--include-volumes`. What is in them stays out of the image.
    pub names_mounts: bool,
    /// `SOURCE_DATE_EPOCH`.
    pub epoch: Option<i64>,
}

/// Where podman mounts something in every container: what is made there is nobody's change.
const PODMANS_USUAL: [&str; 11] = [
    "dev",
    "etc/hostname",
    "etc/hosts",
    "etc/mtab",
    "etc/resolv.conf",
    "proc",
    "run",
    "run/.containerenv",
    "run/notify",
    "run/secrets",
    "sys",
];

/// What becomes of the empty places that the runtime made to mount something on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Places {
    /// They are no changes, as docker has it.
    LeftOut,
    /// They are changes like others, as podman has it, except those of the usual mounts.
    Told,
}

impl Engine {
    /// What is otherwise in a container's root than in its image.
    pub fn changes(&mut self, container: &str, places: Places) -> Result<Vec<Change>> {
        let row = self.look_up(container)?;
        let doing = || format!("compare container {} with its image", row.name);
        let changes = match places {
            Places::LeftOut => self.own_changes(&row),
            Places::Told => self.all_changes(&row).map(|mut changes| {
                changes.retain(|change| {
                    !PODMANS_USUAL.iter().any(|usual| change.path == Path::new(usual))
                });
                changes
            }),
        };
        changes.map(with_directories).doing(doing)
    }

    /// Writes a container's root as a tar file, without what is mounted in it.
    pub fn export(&mut self, container: &str, to: SaveTo) -> Result<()> {
        let row = self.look_up(container)?;
        let doing = || format!("export container {}", row.name);
        let mount = self.root_of(&row).doing(doing)?;
        let owners = Record::parse(&row.settings)?.namespaces.owners_on_disk();
        dhow_image::export_root(&mount.for_reading(), owners.as_ref(), to).doing(doing)?;
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
        foundation::refuse_directory(row)?;
        let name = row.image.as_ref().map_or(row.image_name.as_str(), |digest| digest.as_str());
        let base = self.images.look_up(&self.state, name)?;
        let commit = self.commit_of(row, &base, options)?;
        let _paused = match options.pause && row.phase == Phase::Running {
            true => Some(self.pause_for_a_while(row)?),
            false => None,
        };
        let mount = self.root_of(row)?.for_reading();
        let root = dhow_sys::union::open(&mount)
            .map_err(io::Error::from)
            .doing(|| "mount the root unseen")?;
        let changes = match options.layers {
            Layers::Kept => self.own_changes(row)?,
            Layers::Squashed => Vec::new(),
        };
        let owners = Record::parse(&row.settings)?.namespaces.owners_on_disk();
        let mut pack = Pack::tree().seen_by(owners);
        if let Some(seconds) = options.epoch {
            pack = pack.no_later_than(Mtime { seconds, nanoseconds: 0 });
        }
        let mut layer = |sink: &mut dyn Write| {
            let pack = pack.clone();
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
        let mut config = execution(&base.config.config, &record, &spec);
        if options.names_mounts {
            let places = record.mounts.iter().map(|mount| mount.target.clone());
            config.volumes.extend(places.map(|place| (place, serde_json::json!({}))));
        }
        Ok(Commit {
            name: options.name.clone(),
            config,
            fields: options.fields.clone(),
            changes: options.changes.clone(),
            author: options.author.clone(),
            message: options.message.clone(),
            created_by: words.join(" "),
            epoch: options.epoch,
            dialect: options.dialect,
            layers: options.layers,
        })
    }

    pub(crate) fn spec_of(&self, row: &Container) -> Result<Spec> {
        Spec::parse(&file::read_limited(&self.layout.config(&row.id), 16 << 20)?)
    }

    /// The changes, without what the runtime made to mount something on.
    pub(crate) fn own_changes(&self, row: &Container) -> Result<Vec<Change>> {
        let spec = self.spec_of(row)?;
        let relative = |path: &Path| path.strip_prefix("/").unwrap_or(path).to_owned();
        let mut places: BTreeSet<PathBuf> =
            spec.mounts.iter().map(|mount| relative(Path::new(&mount.destination))).collect();
        let linux = spec.linux.unwrap_or_default();
        places.extend(linux.devices.iter().map(|device| relative(Path::new(&device.path))));
        Ok(without_places(self.all_changes(row)?, &places))
    }

    fn all_changes(&self, row: &Container) -> Result<Vec<Change>> {
        foundation::refuse_directory(row)?;
        self.images.container_changes(&self.state, &row.id)
    }

    /// How to mount the root of a container that is there.
    pub(crate) fn root_of(&self, row: &Container) -> Result<Mount> {
        foundation::root_of(row, &self.images, &self.state, &self.layout)
    }
}

/// Leaves out the empty places that something was mounted on, the directories that were made for
/// them and hold nothing else, and that the directories around these have got a name more.
fn without_places(mut changes: Vec<Change>, places: &BTreeSet<PathBuf>) -> Vec<Change> {
    let is_place = |change: &Change| {
        let path = change.path.as_path();
        change.kind == ChangeKind::Added && (places.contains(path) || path.starts_with("dev"))
    };
    let mut around: BTreeSet<PathBuf> = places.iter().filter_map(|place| parent(place)).collect();
    around.insert("dev".into());
    let (mut made, rest): (Vec<Change>, Vec<Change>) = {
        changes.retain(|change| !is_place(change));
        let leads_to_place = |change: &Change| {
            change.kind == ChangeKind::Added
                && places.iter().any(|place| place.starts_with(&change.path))
        };
        changes.into_iter().partition(leads_to_place)
    };
    let holds_more = |directory: &Path| rest.iter().any(|other| other.path.starts_with(directory));
    made.retain(|change| {
        let stays = holds_more(&change.path);
        if !stays {
            around.extend(parent(&change.path));
        }
        stays
    });
    let is_noise =
        |change: &Change| change.kind == ChangeKind::Touched && around.contains(&change.path);
    let mut all: Vec<Change> = rest.into_iter().chain(made).collect();
    all.retain(|change| !is_noise(change));
    all.sort_by(|one, other| one.path.as_os_str().cmp(other.path.as_os_str()));
    all
}

fn parent(path: &Path) -> Option<PathBuf> {
    path.parent().map(Path::to_owned)
}

pub(crate) fn presences(changes: &[Change]) -> impl Iterator<Item = (&Path, Presence)> {
    changes.iter().map(|change| {
        let presence = match change.kind {
            ChangeKind::Added | ChangeKind::Modified | ChangeKind::Touched => Presence::Here,
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

#[cfg(test)]
mod tests {
    use super::*;

    /// What is otherwise, and what is told of it.
    type Case<'a> = (&'a [(&'a str, ChangeKind)], &'a [&'a str]);

    #[test]
    fn what_was_made_to_mount_on_is_no_change_and_everything_else_is() {
        use ChangeKind::{Added, Deleted, Modified, Touched};
        let places: BTreeSet<PathBuf> =
            ["etc/hosts", "a/b", "kept/c", "x/y"].map(PathBuf::from).into();
        let cases: [Case<'_>; 6] = [
            (&[("", Touched), ("a", Added), ("a/b", Added)], &[]),
            (&[("etc", Touched), ("etc/hosts", Added)], &[]),
            // The directory's mode is another as well, or something else was put into it.
            (&[("etc", Modified), ("etc/hosts", Added)], &["etc"]),
            (&[("etc", Touched), ("etc/hosts", Added), ("etc/more", Added)], &["etc/more"]),
            (&[("kept", Added), ("kept/c", Added), ("kept/file", Added)], &["kept", "kept/file"]),
            (&[("x", Touched), ("x/y", Deleted), ("z", Touched)], &["x/y", "z"]),
        ];
        for (changes, expected) in cases {
            let change = |(path, kind): &(&str, _)| Change { path: path.into(), kind: *kind };
            let left = without_places(changes.iter().map(change).collect(), &places);
            let left: Vec<_> =
                left.iter().map(|change| change.path.display().to_string()).collect();
            assert_eq!(left, expected, "{changes:?}");
        }
    }
}
