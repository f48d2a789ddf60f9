//! Which mounts a container gets: the user's, those of other containers, and the image's volumes.
//!
//! ```text
//!  -v, --mount, --tmpfs        two at one place are an error
//!    over --volumes-from       a later container over an earlier one
//!    over VOLUME of the image
//! ```
//!
//! Planning makes nothing. What a plan needs is made by [`crate::volumes`], and [`crate::merge`]
//! writes it into the configuration.

mod glob;

use crate::{
    foundation::Foundation,
    layout::Layout,
    options::{
        CreateOptions, ImageVolumes, MountDetails, MountOption, MountWhat, OverlayOption,
        VolumesFrom,
    },
    record::{MountRecord, Record},
};
use dhow_base::{
    Digest, Doing, Error, Kind, Result,
    id::{ContainerId, Name, random_hex},
};
use dhow_image::Images;
use dhow_spec::{Mount, image::ExecutionConfig};
use dhow_state::{State, containers};
use std::path::{Component, Path, PathBuf};

/// One mount of a container.
#[derive(Clone, Debug)]
pub(crate) struct Planned {
    /// What was asked for. A volume has its name here, also where the user gave none.
    pub(crate) option: MountOption,
    /// Whether nobody has named the volume.
    pub(crate) anonymous: bool,
    /// What it shows.
    pub(crate) shown: Shown,
}

/// What a mount shows.
#[derive(Clone, Debug)]
pub(crate) enum Shown {
    /// A path of the host's.
    Path(PathBuf),
    /// Directories over each other, the uppermost first.
    Union {
        /// The image whose layers they are.
        image: Option<Digest>,
        /// Not written to.
        layers: Vec<PathBuf>,
        /// Where changes go, and the kernel's scratch directory; nowhere where missing.
        upper: Option<(PathBuf, PathBuf)>,
    },
    /// A file system of the kernel's.
    Kernel,
}

impl Planned {
    /// The volume that is mounted.
    pub(crate) fn volume(&self) -> Option<&Name> {
        match &self.option.what {
            MountWhat::Volume(name) => Some(name),
            _ => None,
        }
    }

    /// A bind mount or one of the kernel's, as a plan without a machine has it.
    #[cfg(test)]
    pub(crate) fn for_test(option: MountOption) -> Self {
        let shown = match &option.what {
            MountWhat::Bind { source, .. } => Shown::Path(source.clone()),
            _ => Shown::Kernel,
        };
        Self { option, anonymous: false, shown }
    }

    /// What the row keeps of it.
    pub(crate) fn record(&self) -> MountRecord {
        let MountOption { what, target, read_only, options, details } = &self.option;
        let source = match &self.shown {
            Shown::Path(path) => path.display().to_string(),
            Shown::Union { .. } | Shown::Kernel => String::new(),
        };
        let (kind, name, source) = match what {
            MountWhat::Bind { source, .. } => ("bind", String::new(), source.display().to_string()),
            MountWhat::Volume(name) => ("volume", name.to_string(), source),
            MountWhat::Tmpfs => ("tmpfs", String::new(), String::new()),
            MountWhat::Ramfs => ("ramfs", String::new(), String::new()),
            MountWhat::Devpts => ("devpts", String::new(), String::new()),
            MountWhat::Image(image) => ("image", String::new(), image.clone()),
            MountWhat::Anonymous | MountWhat::Glob(_) => ("", String::new(), source),
        };
        MountRecord {
            kind: kind.to_owned(),
            name,
            source,
            target: target.display().to_string(),
            read_only: *read_only,
            options: options.clone(),
            anonymous: self.anonymous,
            subpath: details.subpath.clone(),
        }
    }
}

/// Where plans find what they speak of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Planner<'a> {
    pub(crate) state: &'a State,
    pub(crate) images: &'a Images,
    pub(crate) layout: &'a Layout,
    pub(crate) id: &'a ContainerId,
}

impl Planner<'_> {
    /// All mounts of a container that is to stand on `foundation`, in no order.
    pub(crate) fn plan(
        self,
        options: &CreateOptions,
        foundation: &Foundation,
    ) -> Result<Vec<Planned>> {
        let objects = &options.objects;
        let mut all: Vec<Planned> = Vec::new();
        for option in &options.mounts {
            for option in unfolded(option)? {
                // The same thing asked for twice is one, as podman has it.
                if all.iter().any(|other| other.option == option) {
                    continue;
                }
                refuse_second(&all, &option)?;
                all.push(self.planned(option)?);
            }
        }
        let mut others: Vec<Planned> = Vec::new();
        for from in &objects.volumes_from {
            for option in self.of_container(from)? {
                others.retain(|other| other.option.target != option.target);
                others.push(self.planned(option)?);
            }
        }
        self.add_missing(&mut all, others);
        let declared = declared(&foundation.config().config, objects.image_volumes)?;
        let declared: Vec<Planned> =
            declared.into_iter().map(|option| self.planned(option)).collect::<Result<_>>()?;
        self.add_missing(&mut all, declared);
        Ok(all)
    }

    /// Adds those in whose place nothing is yet.
    fn add_missing(self, all: &mut Vec<Planned>, more: Vec<Planned>) {
        for planned in more {
            if all.iter().all(|other| other.option.target != planned.option.target) {
                all.push(planned);
            }
        }
    }

    fn planned(self, mut option: MountOption) -> Result<Planned> {
        let mut anonymous = false;
        let shown = match &option.what {
            MountWhat::Anonymous => {
                let name: Name = random_hex(32)?.parse()?;
                let path = self.layout.volume_data(&name);
                option.what = MountWhat::Volume(name);
                anonymous = true;
                Shown::Path(path)
            }
            MountWhat::Volume(name) => Shown::Path(self.layout.volume_data(name)),
            MountWhat::Bind { source, .. } => Shown::Path(source.clone()),
            MountWhat::Image(name) => self.image(name, &option)?,
            MountWhat::Tmpfs | MountWhat::Ramfs | MountWhat::Devpts => Shown::Kernel,
            MountWhat::Glob(pattern) => {
                let text = format!("mount what {pattern} matches: it was not looked up");
                return Err(Error::new(Kind::Internal, text));
            }
        };
        let shown = match (shown, &option.details.overlay) {
            (Shown::Path(path), Some(overlay)) => Shown::Union {
                image: None,
                layers: vec![path],
                upper: Some(match &overlay.kept_in {
                    Some(kept) => kept.clone(),
                    None => self.overlay(&option.target),
                }),
            },
            (shown, _) => shown,
        };
        Ok(Planned { option, anonymous, shown })
    }

    fn image(self, name: &str, option: &MountOption) -> Result<Shown> {
        let doing = || format!("mount image {name} on {}", option.target.display());
        let image = self
            .images
            .look_up(self.state, name)
            .map_err(|error| error.hint("`dhow pull` fetches an image that is not here"))
            .doing(doing)?;
        let layers = match image.view().doing(doing)? {
            Mount::Overlay { lower, .. } => lower,
            Mount::Bind { source, .. } | Mount::Attached { at: source } => vec![source],
        };
        let upper = (!option.read_only).then(|| self.overlay(&option.target));
        Ok(Shown::Union { image: Some(image.manifest), layers, upper })
    }

    /// The directories of an overlay that goes with the container; a target has one only.
    fn overlay(self, target: &Path) -> (PathBuf, PathBuf) {
        let name = Digest::of(target.as_os_str().as_encoded_bytes());
        let directory = self.layout.overlays(self.id).join(&name.hex()[..16]);
        (directory.join("upper"), directory.join("work"))
    }

    /// What another container has mounted of volumes and of the host.
    fn of_container(self, from: &VolumesFrom) -> Result<Vec<MountOption>> {
        let doing = || format!("--volumes-from {}", from.container);
        let row = containers::look_up(self.state.read(), &from.container).doing(doing)?;
        let record = Record::parse(&row.settings).doing(doing)?;
        let mut options = Vec::new();
        for mount in record.mounts {
            let what = match mount.kind.as_str() {
                "bind" => MountWhat::Bind { source: mount.source.into(), create: false },
                "volume" => MountWhat::Volume(mount.name.parse::<Name>().doing(doing)?),
                _ => continue,
            };
            options.push(MountOption {
                what,
                target: mount.target.into(),
                read_only: from.read_only.unwrap_or(mount.read_only),
                options: mount.options,
                details: MountDetails {
                    subpath: mount.subpath,
                    relabel: from.relabel,
                    ..MountDetails::default()
                },
            });
        }
        Ok(options)
    }
}

/// The mounts that one option stands for: all matches of a pattern, or itself.
fn unfolded(option: &MountOption) -> Result<Vec<MountOption>> {
    let mut option = option.clone();
    option.target = normal(&option.target)?;
    let MountWhat::Glob(pattern) = &option.what else { return Ok(vec![option]) };
    let doing = || format!("mount what {pattern} matches");
    let matches = glob::paths(pattern).doing(doing)?;
    if matches.is_empty() {
        return Err(Error::new(Kind::NotFound, format!("{}: nothing does", doing())));
    }
    let below = |source: PathBuf| MountOption {
        target: option.target.join(source.file_name().unwrap_or_default()),
        what: MountWhat::Bind { source, create: false },
        ..option.clone()
    };
    Ok(matches.into_iter().map(below).collect())
}

fn refuse_second(all: &[Planned], option: &MountOption) -> Result<()> {
    let Some(first) = all.iter().find(|other| other.option.target == option.target) else {
        return Ok(());
    };
    let text = format!(
        "mount two things on {}: {} and {}",
        option.target.display(),
        told(&first.option.what),
        told(&option.what)
    );
    Err(Error::new(Kind::Invalid, text).hint("leave one of them out, or give it another place"))
}

fn told(what: &MountWhat) -> String {
    match what {
        MountWhat::Bind { source, .. } => source.display().to_string(),
        MountWhat::Volume(name) => format!("volume {name}"),
        MountWhat::Anonymous => "a new volume".to_owned(),
        MountWhat::Tmpfs => "a tmpfs".to_owned(),
        MountWhat::Ramfs => "a ramfs".to_owned(),
        MountWhat::Devpts => "a devpts".to_owned(),
        MountWhat::Image(name) => format!("image {name}"),
        MountWhat::Glob(pattern) => pattern.clone(),
    }
}

/// The volumes that an image declares. An image's words are a stranger's: each path is one below
/// the root, or the image is refused.
fn declared(image: &ExecutionConfig, fate: ImageVolumes) -> Result<Vec<MountOption>> {
    let what = match fate {
        ImageVolumes::Ignored => return Ok(Vec::new()),
        ImageVolumes::Anonymous => MountWhat::Anonymous,
        ImageVolumes::Tmpfs => MountWhat::Tmpfs,
    };
    let mut options: Vec<MountOption> = Vec::new();
    for path in image.volumes.keys() {
        let target = normal(&Path::new("/").join(path))
            .doing(|| format!("make the volume {path:?} that the image declares"))?;
        if options.iter().all(|other| other.target != target) {
            options.push(MountOption {
                what: what.clone(),
                target,
                read_only: false,
                options: Vec::new(),
                details: MountDetails::default(),
            });
        }
    }
    Ok(options)
}

/// A place in the container: absolute, not the root, without `..`, without what says nothing.
fn normal(target: &Path) -> Result<PathBuf> {
    let invalid =
        |why: &str| Err(Error::new(Kind::Invalid, format!("mount on {}: {why}", target.display())));
    if !target.is_absolute() {
        return invalid("the path in the container must be absolute");
    }
    let mut normal = PathBuf::from("/");
    for part in target.components() {
        match part {
            Component::Normal(name) => normal.push(name),
            Component::ParentDir => {
                return invalid("the path in the container must not hold `..`");
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    if normal == Path::new("/") {
        return invalid("the container's root is the image's");
    }
    Ok(normal)
}

/// Does a mount keep its changes apart, for this container alone?
pub(crate) fn is_overlay(option: &MountOption) -> bool {
    matches!(option.details.overlay, Some(OverlayOption { .. }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_below_the_root_and_written_in_one_way() {
        let cases = [
            ("/a//b/./c/", Some("/a/b/c")),
            ("/a", Some("/a")),
            ("a", None),
            ("/", None),
            ("/.", None),
            ("/a/../b", None),
        ];
        for (text, expected) in cases {
            assert_eq!(normal(Path::new(text)).ok(), expected.map(PathBuf::from), "{text}");
        }
    }
}
