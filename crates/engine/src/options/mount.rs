//! What `-v`, `--mount`, `--tmpfs`, `--volumes-from` and `--image-volume` ask for.

use dhow_base::id::Name;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// One `-v`, `--mount` or `--tmpfs`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct MountOption {
    /// What is mounted.
    pub what: MountWhat,
    /// Where, absolute, in the container.
    pub target: PathBuf,
    /// Whether writes are refused.
    pub read_only: bool,
    /// Mount options as they go into `config.json`: `rprivate`, `noexec`, `size=64m`…
    pub options: Vec<String>,
    /// What few mounts ask for.
    pub details: MountDetails,
}

/// What few mounts ask for.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct MountDetails {
    /// `nocopy`: what the image has there does not go into an empty volume.
    pub no_copy: bool,
    /// Only this path of the source is mounted; it is looked up inside the source.
    pub subpath: Option<PathBuf>,
    /// `U`: all files are given to the container's user.
    pub chown: bool,
    /// `z` and `Z`: whom labels of SELinux let at the files.
    pub relabel: Option<Relabel>,
    /// Ids of the source are shown as others.
    pub idmap: Option<IdMap>,
    /// Mounts below a read-only source stay as they are.
    pub only_top_read_only: bool,
    /// `O`: changes go beside the source.
    pub overlay: Option<OverlayOption>,
    /// How a volume that is missing is made.
    pub making: VolumeMaking,
}

/// Whom labels of SELinux let at the files of a mount.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Relabel {
    /// `z`: all containers.
    Shared,
    /// `Z`: this one.
    Private,
}

/// How ids are mapped.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum IdMap {
    /// As those of the container.
    Container,
    /// Ids of files, ids that they are shown as, how many.
    Given {
        /// Of users.
        uids: Vec<(u32, u32, u32)>,
        /// Of groups.
        gids: Vec<(u32, u32, u32)>,
    },
}

/// Where the changes of `:O` go; unsaid, they go with the container.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct OverlayOption {
    /// The user's directory for them, and the kernel's scratch directory beside it.
    pub kept_in: Option<(PathBuf, PathBuf)>,
}

/// How a volume is made.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct VolumeMaking {
    /// The driver; `local` unless said.
    pub driver: Option<String>,
    /// Options of the driver's.
    pub options: Vec<(String, String)>,
    /// Labels.
    pub labels: Vec<(String, String)>,
}

/// What a mount shows.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum MountWhat {
    /// A path of the host's. `-v` creates a missing directory as docker does, `--mount` does not.
    Bind {
        /// The path, absolute.
        source: PathBuf,
        /// Whether a missing one is created.
        create: bool,
    },
    /// A named volume; made where it is missing.
    Volume(#[serde(with = "name_as_text")] Name),
    /// A new volume without a name, which goes with the container.
    Anonymous,
    /// Memory.
    Tmpfs,
    /// Memory without a limit.
    Ramfs,
    /// Pseudo terminals.
    Devpts,
    /// An image's root.
    Image(String),
    /// All paths of the host's that this pattern matches, each below the target by its last name.
    Glob(String),
}

/// `--volumes-from`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct VolumesFrom {
    /// The other container.
    pub container: String,
    /// Whether writes are refused; as there unless said.
    pub read_only: Option<bool>,
    /// `z` and `Z`.
    #[serde(default)]
    pub relabel: Option<Relabel>,
}

/// What becomes of the volumes that an image declares.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum ImageVolumes {
    /// Anonymous volumes, with what the image has there.
    #[default]
    Anonymous,
    /// Memory.
    Tmpfs,
    /// They are directories like others.
    Ignored,
}

/// What a container takes from other objects.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ObjectOptions {
    /// `--volumes-from`.
    pub volumes_from: Vec<VolumesFrom>,
    /// `--image-volume`.
    pub image_volumes: ImageVolumes,
    /// `--secret`.
    pub secrets: Vec<SecretOption>,
    /// `--pod`.
    pub pod: Option<PodChoice>,
    /// `--requires`: containers that are started before it.
    pub requires: Vec<String>,
    /// Whether it is the container that keeps what its pod shares.
    pub infra: bool,
}

/// One `--secret`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SecretOption {
    /// The secret, by name or id.
    pub secret: String,
    /// How the container gets it.
    pub way: SecretWay,
}

/// How a container gets a secret.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum SecretWay {
    /// As a file.
    File {
        /// Where; `/run/secrets/NAME` unless said, and below `/run/secrets` where it is relative.
        target: Option<PathBuf>,
        /// Its owner.
        uid: u32,
        /// Its group.
        gid: u32,
        /// Its mode.
        mode: u32,
    },
    /// As a variable, called as the secret unless said.
    Variable(Option<String>),
}

/// Which pod a container goes into.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum PodChoice {
    /// One that is there.
    Existing(String),
    /// A new one; named at random where the name is empty.
    New(Option<Name>),
}

mod name_as_text {
    use dhow_base::id::Name;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(name: &Name, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(name.as_str())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Name, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}
