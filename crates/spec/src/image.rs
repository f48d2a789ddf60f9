//! Image documents: OCI image specification 1.1.1 and Docker image manifest version 2, schema 2.
//!
//! Sizes and counts are limited where the documents are parsed, since they come from strangers:
//! a manifest has at most 4 MiB (the limit registries agree on), an index at most 1,000 manifests,
//! an image at most 1,000 layers.

use dhow_base::{Digest, Error, Kind, Result};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{collections::BTreeMap, fmt};

/// The largest manifest or index that is read.
pub const MANIFEST_LIMIT_BYTES: u64 = 4 << 20;
/// The largest image configuration that is read.
pub const CONFIG_LIMIT_BYTES: u64 = 8 << 20;
/// More layers than anybody may ask for; who unpacks them has a limit of their own.
const LAYERS_LIMIT: usize = 8_000;
const MANIFESTS_LIMIT: usize = 1000;
/// Items of lists and objects in one document, all together. An empty one is two bytes there and a
/// hundred in memory; eight thousand layers with ten notes each stay below this.
const ITEMS_LIMIT: usize = 200_000;

/// The media types that dhow acts on.
pub mod media_type {
    /// OCI image manifest.
    pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    /// OCI image index.
    pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
    /// OCI image configuration.
    pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
    /// OCI layer, plain tar.
    pub const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
    /// OCI layer, gzip.
    pub const OCI_LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
    /// OCI layer, zstd.
    pub const OCI_LAYER_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
    /// Docker image manifest, schema 2.
    pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
    /// Docker manifest list.
    pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
    /// Docker image configuration.
    pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
    /// Docker layer, gzip.
    pub const DOCKER_LAYER_GZIP: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
    /// Docker layer, plain tar.
    pub const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";

    /// Is this a list of manifests for several platforms?
    pub fn is_index(media_type: &str) -> bool {
        matches!(media_type, OCI_INDEX | DOCKER_LIST)
    }

    /// Is this a single image's manifest?
    pub fn is_manifest(media_type: &str) -> bool {
        matches!(media_type, OCI_MANIFEST | DOCKER_MANIFEST)
    }
}

/// What a blob is, which bytes it has and how many.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// The media type of the content.
    pub media_type: String,
    /// The digest of the content.
    #[serde(with = "digest_text")]
    pub digest: Digest,
    /// The length of the content in bytes.
    pub size: u64,
    /// Where else the content may be fetched; never followed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<String>,
    /// Arbitrary notes; they never change what dhow does, except an OCI layout's reference name.
    #[serde(
        default,
        deserialize_with = "null_is_empty",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub annotations: BTreeMap<String, String>,
    /// The platform of a manifest in an index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// The type of an artifact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// The content itself, base64; verified before use and otherwise ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
}

impl Descriptor {
    /// A descriptor of bytes in memory.
    pub fn of(media_type: &str, bytes: &[u8]) -> Self {
        Self::new(media_type, Digest::of(bytes), bytes.len() as u64)
    }

    /// A descriptor with nothing but the three required fields.
    pub fn new(media_type: &str, digest: Digest, size: u64) -> Self {
        Self {
            media_type: media_type.to_owned(),
            digest,
            size,
            urls: Vec::new(),
            annotations: BTreeMap::new(),
            platform: None,
            artifact_type: None,
            data: None,
        }
    }
}

/// The machine a manifest is for.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Platform {
    /// The CPU architecture, in Go's words: `amd64`, `arm64`.
    pub architecture: String,
    /// The operating system: `linux`.
    pub os: String,
    /// The version of the operating system (Windows images).
    #[serde(rename = "os.version", default, skip_serializing_if = "Option::is_none")]
    pub os_version: Option<String>,
    /// What the operating system must have (Windows images).
    #[serde(rename = "os.features", default, skip_serializing_if = "Vec::is_empty")]
    pub os_features: Vec<String>,
    /// What the CPU must have; Docker's lists have it, OCI's reserve it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub features: Vec<String>,
    /// The CPU variant: `v7`, `v8`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

impl Platform {
    /// The platform that dhow was built for.
    pub fn host() -> Self {
        let (architecture, variant) = match std::env::consts::ARCH {
            "x86_64" => ("amd64", None),
            "aarch64" => ("arm64", Some("v8".to_owned())),
            "arm" => ("arm", Some("v7".to_owned())),
            "x86" => ("386", None),
            "powerpc64" => ("ppc64le", None),
            other => (other, None),
        };
        Self {
            architecture: architecture.to_owned(),
            os: "linux".to_owned(),
            os_version: None,
            os_features: Vec::new(),
            features: Vec::new(),
            variant,
        }
    }

    /// Parses `os/arch[/variant]`, or `arch` alone, as `--platform` takes it.
    pub fn parse(text: &str) -> Result<Self> {
        let invalid = || {
            Error::new(Kind::Invalid, format!("parse platform {text:?}"))
                .hint("a platform is os/arch or os/arch/variant, such as linux/arm64/v8")
        };
        let parts: Vec<&str> = text.split('/').collect();
        let word = |part: &&str| {
            !part.is_empty()
                && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
        };
        if !parts.iter().all(word) {
            return Err(invalid());
        }
        let (os, architecture, variant) = match parts[..] {
            [architecture] => ("linux", architecture, None),
            [os, architecture] => (os, architecture, None),
            [os, architecture, variant] => (os, architecture, Some(variant)),
            _ => return Err(invalid()),
        };
        let (architecture, implied) = match architecture {
            "x86_64" | "x86-64" => ("amd64", None),
            "aarch64" => ("arm64", None),
            "armhf" => ("arm", Some("v7")),
            "armel" => ("arm", Some("v6")),
            "i386" | "i686" => ("386", None),
            other => (other, None),
        };
        Ok(Self {
            architecture: architecture.to_owned(),
            os: os.to_owned(),
            os_version: None,
            os_features: Vec::new(),
            features: Vec::new(),
            variant: variant.or(implied).map(str::to_owned),
        })
    }

    /// Can a machine of platform `wanted` use what is made for `self`?
    ///
    /// arm64 without a variant means v8. A variant that was not asked for does not matter.
    pub fn satisfies(&self, wanted: &Self) -> bool {
        let variant = |platform: &Self| match (platform.architecture.as_str(), &platform.variant) {
            ("arm64", None) => Some("v8".to_owned()),
            (_, variant) => variant.clone(),
        };
        self.os == wanted.os
            && self.architecture == wanted.architecture
            && (wanted.variant.is_none() || variant(self) == variant(wanted))
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        match &self.variant {
            Some(variant) => write!(f, "/{variant}"),
            None => Ok(()),
        }
    }
}

/// An image: its configuration and its layers, the lowest first.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Always 2.
    pub schema_version: u32,
    /// The document's own media type; old OCI manifests leave it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// The type of an artifact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// The image's configuration.
    pub config: Descriptor,
    /// The layers, the lowest first.
    pub layers: Vec<Descriptor>,
    /// The manifest that this one speaks about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    /// Arbitrary notes.
    #[serde(
        default,
        deserialize_with = "null_is_empty",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub annotations: BTreeMap<String, String>,
}

impl Manifest {
    /// The blobs that whoever has the manifest has too, the configuration last. A layer that is to be
    /// fetched from elsewhere is not among them.
    pub fn own_blobs(&self) -> impl Iterator<Item = &Descriptor> {
        self.layers.iter().filter(|layer| layer.urls.is_empty()).chain([&self.config])
    }
}

/// Manifests of one name for several platforms.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    /// Always 2.
    pub schema_version: u32,
    /// The document's own media type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// The type of an artifact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// The manifests.
    pub manifests: Vec<Descriptor>,
    /// The manifest that this one speaks about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    /// Arbitrary notes.
    #[serde(
        default,
        deserialize_with = "null_is_empty",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub annotations: BTreeMap<String, String>,
}

impl Index {
    /// An OCI index of these manifests.
    pub fn new(manifests: Vec<Descriptor>) -> Self {
        Self {
            schema_version: 2,
            media_type: Some(media_type::OCI_INDEX.to_owned()),
            artifact_type: None,
            manifests,
            subject: None,
            annotations: BTreeMap::new(),
        }
    }

    /// The first manifest for `wanted`; one with exactly its variant goes before others.
    pub fn choose(&self, wanted: &Platform) -> Result<&Descriptor> {
        let candidates = || {
            self.manifests.iter().filter(|descriptor| {
                descriptor.platform.as_ref().is_some_and(|platform| platform.satisfies(wanted))
            })
        };
        let exact = candidates().find(|descriptor| descriptor.platform.as_ref() == Some(wanted));
        if let Some(found) = exact.or_else(|| candidates().next()) {
            return Ok(found);
        }
        // An index of one manifest without a platform is what single-image tools write.
        if let [only] = &self.manifests[..]
            && only.platform.is_none()
        {
            return Ok(only);
        }
        let there: Vec<String> = self
            .manifests
            .iter()
            .filter_map(|descriptor| descriptor.platform.as_ref())
            .filter(|platform| platform.os != "unknown")
            .map(Platform::to_string)
            .collect();
        let there = if there.is_empty() { "no platform".to_owned() } else { there.join(", ") };
        Err(Error::new(
            Kind::Unsupported,
            format!("choose a manifest for {wanted}: the image has {there}"),
        )
        .hint("name another one with --platform"))
    }
}

/// Either of the two documents that a tag can lead to.
#[derive(Clone, Debug, PartialEq)]
pub enum Document {
    /// A single image.
    Manifest(Box<Manifest>),
    /// A choice of images.
    Index(Box<Index>),
}

impl Document {
    /// Whom it speaks about, and how an index of those who do lists it; `own` says where it is itself.
    pub fn referrer(&self, own: &Descriptor) -> Option<(Digest, Descriptor)> {
        let mut entry = Descriptor::new(&own.media_type, own.digest.clone(), own.size);
        let subject = match self {
            Self::Manifest(manifest) => {
                let kind = manifest.artifact_type.as_ref().unwrap_or(&manifest.config.media_type);
                entry.artifact_type = Some(kind.clone());
                entry.annotations.clone_from(&manifest.annotations);
                &manifest.subject
            }
            Self::Index(index) => {
                entry.artifact_type.clone_from(&index.artifact_type);
                entry.annotations.clone_from(&index.annotations);
                &index.subject
            }
        };
        Some((subject.as_ref()?.digest.clone(), entry))
    }

    /// Parses what a registry or layout gave, by the media type that it was given with.
    ///
    /// A document that carries both `layers` and `manifests`, or whose own media type contradicts
    /// the given one, could be read in two ways and is refused (CVE-2021-41190).
    pub fn parse(bytes: &[u8], given_media_type: &str) -> Result<Self> {
        let corrupt = |why: String| Error::new(Kind::Corrupt, format!("parse manifest: {why}"));
        if bytes.len() as u64 > MANIFEST_LIMIT_BYTES {
            return Err(corrupt(format!("it has {} bytes, more than 4 MiB", bytes.len())));
        }
        check_items(bytes, "manifest")?;
        let shape: Shape =
            serde_json::from_slice(bytes).map_err(|error| corrupt(error.to_string()))?;
        if shape.schema_version != Some(2) {
            return Err(Error::new(
                Kind::Unsupported,
                "parse manifest: its schemaVersion is not 2; Docker schema 1 images are too old",
            ));
        }
        if (shape.layers.is_some() || shape.config.is_some()) && shape.manifests.is_some() {
            return Err(corrupt("it is both a manifest and an index".into()));
        }
        let given = given_media_type.split(';').next().unwrap_or_default().trim();
        let own = shape.media_type.as_deref();
        if let Some(own) = own
            && known(own)
            && known(given)
            && own != given
        {
            return Err(corrupt(format!("it says it is {own} but was given as {given}")));
        }
        let effective = own.unwrap_or(given);
        let is_index = media_type::is_index(effective)
            || (!media_type::is_manifest(effective) && shape.manifests.is_some());
        if is_index { Self::parse_index(bytes) } else { Self::parse_manifest(bytes) }
    }

    fn parse_index(bytes: &[u8]) -> Result<Self> {
        let index: Index = parse_json(bytes, "index")?;
        if index.manifests.len() > MANIFESTS_LIMIT {
            return Err(Error::new(Kind::Exhausted, "parse index: more than 1000 manifests"));
        }
        Ok(Self::Index(Box::new(index)))
    }

    fn parse_manifest(bytes: &[u8]) -> Result<Self> {
        let manifest: Manifest = parse_json(bytes, "manifest")?;
        if manifest.layers.len() > LAYERS_LIMIT {
            return Err(Error::new(Kind::Exhausted, "parse manifest: more than 8000 layers"));
        }
        Ok(Self::Manifest(Box::new(manifest)))
    }
}

fn known(media_type: &str) -> bool {
    media_type::is_index(media_type) || media_type::is_manifest(media_type)
}

/// Only enough of a document to tell which of the two it is.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Shape<'a> {
    schema_version: Option<u32>,
    media_type: Option<String>,
    #[serde(borrow)]
    layers: Option<&'a serde_json::value::RawValue>,
    #[serde(borrow)]
    config: Option<&'a serde_json::value::RawValue>,
    #[serde(borrow)]
    manifests: Option<&'a serde_json::value::RawValue>,
}

/// The configuration of an image: what to run, and which layers it stands on.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct ImageConfig {
    /// When the image was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// Who made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// The CPU architecture, in Go's words.
    #[serde(default)]
    pub architecture: String,
    /// The CPU variant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// The operating system.
    #[serde(default)]
    pub os: String,
    /// What to run, and how.
    #[serde(default, deserialize_with = "null_is_default")]
    pub config: ExecutionConfig,
    /// The layers, uncompressed, the lowest first.
    pub rootfs: RootFs,
    /// How the image came to be.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<History>,
}

impl ImageConfig {
    /// Parses a configuration blob.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        if bytes.len() as u64 > CONFIG_LIMIT_BYTES {
            return Err(Error::new(Kind::Exhausted, "parse image config: more than 8 MiB"));
        }
        let config: Self = parse_json(bytes, "image config")?;
        if config.rootfs.diff_ids.len() > LAYERS_LIMIT {
            return Err(Error::new(Kind::Exhausted, "parse image config: more than 8000 layers"));
        }
        Ok(config)
    }

    /// The platform that the image is for.
    pub fn platform(&self) -> Platform {
        Platform {
            architecture: self.architecture.clone(),
            os: self.os.clone(),
            os_version: None,
            os_features: Vec::new(),
            features: Vec::new(),
            variant: self.variant.clone(),
        }
    }
}

/// What a container of this image runs unless the user says otherwise.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ExecutionConfig {
    /// `user`, `uid`, `user:group`, `uid:gid` and mixtures.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "null_is_default")]
    pub user: String,
    /// Ports that the program listens on: `80/tcp`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "null_is_default")]
    pub exposed_ports: BTreeMap<String, serde_json::Value>,
    /// `NAME=value`.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_default")]
    pub env: Vec<String>,
    /// What goes before the command.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_default")]
    pub entrypoint: Vec<String>,
    /// The command, or arguments to the entrypoint.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_default")]
    pub cmd: Vec<String>,
    /// Directories that hold data.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "null_is_default")]
    pub volumes: BTreeMap<String, serde_json::Value>,
    /// The working directory.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "null_is_default")]
    pub working_dir: String,
    /// Arbitrary notes; inert.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "null_is_default")]
    pub labels: BTreeMap<String, String>,
    /// The signal that asks the program to end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_signal: Option<String>,
    /// How to find out whether the program works; an extension of Docker's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<Healthcheck>,
}

/// How to find out whether a program works. Times are nanoseconds; 0 is not said.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Healthcheck {
    /// `NONE`, `CMD` and words, or `CMD-SHELL` and a line.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_default")]
    pub test: Vec<String>,
    /// Between two checks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<i64>,
    /// How long a check may take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<i64>,
    /// How long after the start a failure does not count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_period: Option<i64>,
    /// Between two checks until the first success, in the start period.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_interval: Option<i64>,
    /// How many failures in a row make a program unhealthy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retries: Option<i64>,
}

/// The layers of an image.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct RootFs {
    /// Always `layers`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The digests of the uncompressed layers, the lowest first.
    #[serde(with = "digest_texts")]
    pub diff_ids: Vec<Digest>,
}

/// One step of an image's making.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct History {
    /// When.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// By which command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
    /// By whom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Whether the step made no layer.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub empty_layer: bool,
}

/// Refuses a document that would become much larger in memory than it is.
pub fn check_items(bytes: &[u8], what: &str) -> Result<()> {
    let (mut items, mut is_text, mut is_escaped) = (0, false, false);
    for byte in bytes {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = is_text,
            b'"' => is_text = !is_text,
            b',' | b'{' | b'[' if !is_text => items += 1,
            _ => {}
        }
    }
    if items > ITEMS_LIMIT {
        let what = format!("parse {what}: it has more than {ITEMS_LIMIT} items");
        return Err(Error::new(Kind::Exhausted, what));
    }
    Ok(())
}

fn parse_json<'a, T: Deserialize<'a>>(bytes: &'a [u8], what: &str) -> Result<T> {
    check_items(bytes, what)?;
    serde_json::from_slice(bytes)
        .map_err(|error| Error::new(Kind::Corrupt, format!("parse {what}: {error}")))
}

// Docker writes `null` where it means "none" in lists and maps.
fn null_is_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

fn null_is_empty<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, String>, D::Error> {
    null_is_default(deserializer)
}

mod digest_text {
    use super::{Deserialize, Deserializer, Digest, Serializer};

    pub(super) fn serialize<S: Serializer>(
        digest: &Digest,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(digest.as_str())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Digest, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|error| serde::de::Error::custom(format!("{error}")))
    }
}

mod digest_texts {
    use super::{Deserialize, Deserializer, Digest, Serializer};

    pub(super) fn serialize<S: Serializer>(
        digests: &[Digest],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(digests.iter().map(Digest::as_str))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<Digest>, D::Error> {
        Vec::<String>::deserialize(deserializer)?
            .into_iter()
            .map(|text| text.parse().map_err(|error| serde::de::Error::custom(format!("{error}"))))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn manifest_text(extra: &str) -> String {
        format!(
            r#"{{"schemaVersion":2,{extra}"config":{{"mediaType":"{}","digest":"{DIGEST}","size":2}},"layers":[]}}"#,
            media_type::OCI_CONFIG
        )
    }

    fn index_of(platforms: &[&str]) -> Index {
        let manifests = platforms.iter().map(|platform| {
            let mut descriptor = Descriptor::of(media_type::OCI_MANIFEST, platform.as_bytes());
            descriptor.platform = Some(Platform::parse(platform).unwrap());
            descriptor
        });
        Index {
            schema_version: 2,
            media_type: None,
            artifact_type: None,
            manifests: manifests.collect(),
            subject: None,
            annotations: BTreeMap::new(),
        }
    }

    #[test]
    fn a_document_of_many_small_items_is_refused() {
        let config = |history: &str| {
            let text = format!(
                r#"{{"rootfs":{{"type":"layers","diff_ids":[]}},"history":[{history}{{}}]}}"#
            );
            ImageConfig::parse(text.as_bytes()).map(|config| config.history.len())
        };
        let step = format!(r#"{{"comment":"{}\"{}"}},"#, ",".repeat(300_000), "[".repeat(300_000));

        assert_eq!(config(&"{},".repeat(300_000)).unwrap_err().kind(), Kind::Exhausted);
        assert_eq!(config(&"{},".repeat(50_000)).unwrap(), 50_001);
        assert_eq!(config(&step).unwrap(), 2, "what is text counts once");
    }

    #[test]
    fn an_ambiguous_document_is_refused() {
        let cases = [
            (manifest_text(""), media_type::OCI_MANIFEST, true),
            (manifest_text(r#""manifests":[],"#), media_type::OCI_MANIFEST, false),
            (manifest_text(""), media_type::OCI_INDEX, false),
            (
                manifest_text(&format!(r#""mediaType":"{}","#, media_type::OCI_MANIFEST)),
                media_type::DOCKER_MANIFEST,
                false,
            ),
            (manifest_text("").replace(":2,", ":1,"), media_type::OCI_MANIFEST, false),
            (
                manifest_text("").replace(DIGEST, "sha256:../../etc"),
                media_type::OCI_MANIFEST,
                false,
            ),
            ("null".into(), media_type::OCI_MANIFEST, false),
            (String::new(), media_type::OCI_MANIFEST, false),
        ];
        for (text, media_type, parses) in cases {
            let parsed = Document::parse(text.as_bytes(), media_type);
            assert_eq!(parsed.is_ok(), parses, "{text} as {media_type}: {parsed:?}");
        }
    }

    #[test]
    fn an_index_gives_the_platform_that_was_asked_for() {
        let index = index_of(&["linux/amd64", "linux/arm/v6", "linux/arm/v7", "linux/arm64"]);
        let cases = [
            ("linux/amd64", Some("linux/amd64")),
            ("linux/arm/v7", Some("linux/arm/v7")),
            ("linux/arm", Some("linux/arm/v6")),
            ("linux/arm64/v8", Some("linux/arm64")),
            ("aarch64", Some("linux/arm64")),
            ("linux/s390x", None),
        ];
        for (wanted, expected) in cases {
            let chosen = index.choose(&Platform::parse(wanted).unwrap()).ok();
            let expected = expected.map(|text| Digest::of(text.as_bytes()));
            assert_eq!(chosen.map(|descriptor| descriptor.digest.clone()), expected, "{wanted}");
        }
    }

    #[test]
    fn a_missing_platform_names_those_that_are_there() {
        let error =
            index_of(&["linux/amd64"]).choose(&Platform::parse("arm64").unwrap()).unwrap_err();

        assert_eq!(error.kind(), Kind::Unsupported);
        assert!(error.to_string().contains("linux/amd64"), "{error}");
    }

    #[test]
    fn dockers_nulls_are_empty() {
        let text = format!(
            r#"{{"architecture":"amd64","os":"linux","config":{{"Env":null,"Cmd":null,"Volumes":null}},
               "rootfs":{{"type":"layers","diff_ids":["{DIGEST}"]}},"history":null}}"#
        );

        let config = ImageConfig::parse(text.as_bytes()).unwrap();

        assert!(config.config.env.is_empty() && config.history.is_empty());
        assert_eq!(config.rootfs.diff_ids, [Digest::of(b"")]);
    }

    #[test]
    fn documents_read_as_the_oci_spec_crate_reads_them() {
        let text = manifest_text(&format!(r#""mediaType":"{}","#, media_type::OCI_MANIFEST));
        let ours = Document::parse(text.as_bytes(), media_type::OCI_MANIFEST).unwrap();
        let Document::Manifest(ours) = ours else { panic!("not a manifest") };

        let theirs: oci_spec::image::ImageManifest =
            serde_json::from_slice(&serde_json::to_vec(&ours).unwrap()).unwrap();

        assert_eq!(theirs.config().digest().to_string(), DIGEST);
        assert_eq!(theirs.schema_version(), 2);
    }
}
