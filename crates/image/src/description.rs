//! What can be said of an image at a place without fetching it: skopeo's documents.

use crate::{
    End, Images, Place,
    layout::{self, read_index},
    origin::{Opened, small_blob},
    place::{directory::media_type_of, layout_target, saved},
    plan::parse_manifest,
    tarfile::Tarfile,
};
use dhow_base::{Digest, Doing, Error, Kind, Result};
use dhow_spec::image::{CONFIG_LIMIT_BYTES, ImageConfig, Platform};
use dhow_state::State;
use serde::Serialize;
use std::collections::BTreeMap;

/// An image at a place, as skopeo describes it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Description {
    /// The name in a registry, without its tag.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The digest of what the name leads to.
    pub digest: String,
    /// All tags of the repository.
    pub repo_tags: Vec<String>,
    /// When the image was made.
    pub created: Option<String>,
    /// By which docker.
    pub docker_version: String,
    /// Its labels.
    pub labels: Option<BTreeMap<String, String>>,
    /// For which processor.
    pub architecture: String,
    /// For which system.
    pub os: String,
    /// The digests of its layers.
    pub layers: Vec<String>,
    /// More about its layers.
    pub layers_data: Vec<LayerData>,
    /// Its variables.
    pub env: Option<Vec<String>>,
}

/// A layer, as skopeo describes it.
#[derive(Clone, Debug, Serialize)]
pub struct LayerData {
    /// Its media type.
    #[serde(rename = "MIMEType")]
    pub mime_type: String,
    /// Its digest.
    #[serde(rename = "Digest")]
    pub digest: String,
    /// Its size.
    #[serde(rename = "Size")]
    pub size: u64,
    /// Notes on it.
    #[serde(rename = "Annotations")]
    pub annotations: Option<BTreeMap<String, String>>,
}

/// The tags of a repository or archive.
#[derive(Clone, Debug, Serialize)]
pub struct TagList {
    /// The repository, if it is in a registry.
    #[serde(rename = "Repository", skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// The tags.
    #[serde(rename = "Tags")]
    pub tags: Vec<String>,
}

/// Whether a description lists the tags of the repository.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Tags {
    /// Yes.
    Listed,
    /// No, which saves requests.
    Unlisted,
}

impl Images {
    /// Describes an image at a place.
    pub fn describe(
        &self,
        state: Option<&State>,
        end: &End,
        platform: &Platform,
        tags: Tags,
    ) -> Result<Description> {
        let opened = self.open_end(state, end, platform)?;
        let digest = opened.top.digest.to_string();
        let reference = opened.reference.clone();
        let repo_tags = match (&reference, tags) {
            (Some(reference), Tags::Listed) => end
                .client()?
                .repository(reference)?
                .tags()
                .doing(|| "list the repository's tags")?,
            _ => Vec::new(),
        };
        let found = opened.choose(platform)?;
        let manifest = parse_manifest(&found.manifest, &found.bytes)?;
        let config = small_blob(found.origin.as_ref(), &manifest.config, CONFIG_LIMIT_BYTES)?;
        let image = ImageConfig::parse(&config)?;
        let raw: serde_json::Value = serde_json::from_slice(&config).unwrap_or_default();
        let some = |list: Vec<String>| (!list.is_empty()).then_some(list);
        let map = |map: &BTreeMap<String, String>| (!map.is_empty()).then(|| map.clone());
        Ok(Description {
            name: reference.map(|reference| reference.name()),
            digest,
            repo_tags,
            created: image.created,
            docker_version: raw["docker_version"].as_str().unwrap_or_default().to_owned(),
            labels: map(&image.config.labels),
            architecture: image.architecture,
            os: image.os,
            layers: manifest.layers.iter().map(|layer| layer.digest.to_string()).collect(),
            layers_data: manifest
                .layers
                .iter()
                .map(|layer| LayerData {
                    mime_type: layer.media_type.clone(),
                    digest: layer.digest.to_string(),
                    size: layer.size,
                    annotations: map(&layer.annotations),
                })
                .collect(),
            env: some(image.config.env),
        })
    }

    /// The bytes of the manifest or index at a place.
    pub fn raw_manifest(
        &self,
        state: Option<&State>,
        end: &End,
        platform: &Platform,
    ) -> Result<Vec<u8>> {
        let Opened { bytes, .. } = self.open_end(state, end, platform)?;
        Ok(bytes)
    }

    /// The bytes of the configuration of the image at a place.
    pub fn raw_config(
        &self,
        state: Option<&State>,
        end: &End,
        platform: &Platform,
    ) -> Result<Vec<u8>> {
        let found = self.open_end(state, end, platform)?.choose(platform)?;
        let manifest = parse_manifest(&found.manifest, &found.bytes)?;
        small_blob(found.origin.as_ref(), &manifest.config, CONFIG_LIMIT_BYTES)
    }

    /// The tags at a place.
    pub fn list_tags(&self, end: &End) -> Result<TagList> {
        match &end.place {
            Place::Registry(_) => {
                let reference = end.reference()?;
                let tags = end.client()?.repository(&reference)?.tags()?;
                Ok(TagList { repository: Some(reference.name()), tags })
            }
            Place::DockerArchive(path, _) => {
                let all = saved::list(&Tarfile::open(path, self.spool())?)?;
                let tags = all.into_iter().flat_map(|saved| saved.repo_tags.unwrap_or_default());
                Ok(TagList { repository: None, tags: tags.collect() })
            }
            Place::Layout(path, _) => {
                let index = read_index(&layout::Directory(path.clone()))?;
                let name = |entry: &dhow_spec::image::Descriptor| {
                    entry.annotations.get(layout::REF_NAME).cloned()
                };
                let tags = index.manifests.iter().filter_map(name).collect();
                Ok(TagList { repository: None, tags })
            }
            other => Err(Error::new(Kind::Unsupported, format!("list the tags of {other}"))
                .hint("docker://, docker-archive: and oci: have tags")),
        }
    }

    /// The names of all images of a repository, for those who fetch all of them.
    pub fn all_tags(&self, repository: &str) -> Result<Vec<String>> {
        let doing = || format!("list the tags of {repository}");
        let Place::Registry(name) = Place::parse_or_name(repository)? else {
            return Err(Error::new(Kind::Unsupported, "only repositories of registries have tags"))
                .doing(doing);
        };
        if name.rsplit('/').next().is_some_and(|last| last.contains([':', '@'])) {
            return Err(Error::new(Kind::Invalid, "it names one image, not a repository"))
                .doing(doing);
        }
        let client = self.client()?;
        let mut failed = None;
        for reference in client.expand(&name)? {
            match client.repository(&reference).and_then(|repository| repository.tags()) {
                Ok(tags) => {
                    let name = reference.name();
                    return Ok(tags.into_iter().map(|tag| format!("{name}:{tag}")).collect());
                }
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        let none = || Error::new(Kind::NotFound, "no registry is configured to have it");
        Err(failed.unwrap_or_else(none)).doing(doing)
    }

    /// Deletes the image at a place; in a registry, what the name leads to under all its names.
    pub fn delete_at(&self, state: Option<&mut State>, end: &End) -> Result<()> {
        match &end.place {
            Place::Registry(_) => {
                let reference = end.reference()?;
                let client = end.client()?;
                let digest = match reference.digest() {
                    Some(digest) => digest.clone(),
                    None => client.resolve(&reference)?.descriptor.digest,
                };
                client.destination(&reference)?.delete_manifest(&digest)
            }
            Place::Layout(path, name) => layout_target::delete(path, name.as_deref()),
            Place::Local(name) => {
                let state = state.ok_or_else(|| {
                    Error::new(Kind::Internal, format!("remove {name} without the database"))
                })?;
                self.remove(state, std::slice::from_ref(name), false).map(drop)
            }
            other => Err(Error::new(Kind::Unsupported, format!("delete {other}"))
                .hint("docker://, oci: and dhow: can be deleted from")),
        }
        .doing(|| format!("delete {}", end.place))
    }
}

/// The digest that a manifest's bytes have for a registry.
pub fn manifest_digest(bytes: &[u8]) -> Result<Digest> {
    // Read first, so that a file that is none is told.
    media_type_of(bytes)?;
    Ok(Digest::of(bytes))
}
