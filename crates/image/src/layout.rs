//! Images in files: an OCI image layout as a directory or a tar file, and the tar files of
//! `docker save`.
//!
//! Their bytes are as little trusted as a registry's: every blob is verified against its digest.

use crate::{
    names,
    origin::{Found, Origin},
    plan::check_content,
    tarfile::{Tarfile, regular_file},
};
use dhow_archive::Compression;
use dhow_base::{
    Digest, Doing, Error, Kind, Result,
    digest::{Algorithm, Hasher},
};
use dhow_spec::image::{
    CONFIG_LIMIT_BYTES, Descriptor, Document, ImageConfig, Index, MANIFEST_LIMIT_BYTES, Manifest,
    Platform, media_type,
};
use serde::Deserialize;
use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

/// The annotation that names an image within a layout.
pub(crate) const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// Files by name: a directory or an archive.
trait Files: fmt::Debug + Send + Sync {
    fn read(&self, name: &str, offset: u64) -> Result<Box<dyn Read + Send>>;
}

#[derive(Debug)]
struct Directory(PathBuf);

impl Files for Directory {
    fn read(&self, name: &str, offset: u64) -> Result<Box<dyn Read + Send>> {
        let mut file = regular_file(&self.0.join(name))?;
        file.seek(SeekFrom::Start(offset)).doing(|| format!("seek in {name}"))?;
        Ok(Box::new(file))
    }
}

impl Files for Tarfile {
    fn read(&self, name: &str, offset: u64) -> Result<Box<dyn Read + Send>> {
        Self::read(self, name, offset)
    }
}

fn small_file(files: &dyn Files, name: &str, limit_bytes: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let stream = files.read(name, 0)?;
    stream.take(limit_bytes + 1).read_to_end(&mut bytes).doing(|| format!("read {name}"))?;
    if bytes.len() as u64 > limit_bytes {
        let what = format!("read {name}: it has more than {limit_bytes} bytes");
        return Err(Error::new(Kind::Exhausted, what));
    }
    Ok(bytes)
}

/// A layout's blobs.
#[derive(Debug)]
struct Layout(Box<dyn Files>);

impl Origin for Layout {
    fn blob(&self, descriptor: &Descriptor, offset: u64) -> Result<Box<dyn Read + Send>> {
        self.0.read(&blob_path(&descriptor.digest), offset)
    }
}

fn blob_path(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm().name(), digest.hex())
}

/// An image of the layout in a directory.
pub(crate) fn from_directory(
    path: &Path,
    name: Option<&str>,
    platform: &Platform,
) -> Result<Found> {
    from_layout(Box::new(Directory(path.to_owned())), path, name, platform)
        .doing(|| format!("read image layout {}", path.display()))
}

/// An image of the layout in a tar file.
pub(crate) fn from_archive(
    path: &Path,
    name: Option<&str>,
    platform: &Platform,
    scratch: &Path,
) -> Result<Found> {
    let files = Box::new(Tarfile::open(path, scratch)?);
    from_layout(files, path, name, platform)
        .doing(|| format!("read image archive {}", path.display()))
}

fn from_layout(
    files: Box<dyn Files>,
    path: &Path,
    name: Option<&str>,
    platform: &Platform,
) -> Result<Found> {
    let bytes = small_file(files.as_ref(), "index.json", MANIFEST_LIMIT_BYTES)
        .map_err(|error| hint_at_layout(error, path))?;
    let index = match Document::parse(&bytes, media_type::OCI_INDEX)? {
        Document::Index(index) => index,
        Document::Manifest(_) => {
            return Err(Error::new(Kind::Corrupt, "index.json is a manifest, not an index"));
        }
    };
    let entry = choose(&index, name, platform)?;
    let stored = stored_names(entry, path);
    let (manifest, bytes) = descend(files.as_ref(), entry, platform)?;
    Ok(Found { manifest, bytes, names: stored, origin: Box::new(Layout(files)) })
}

fn hint_at_layout(error: Error, path: &Path) -> Error {
    if error.kind() == Kind::NotFound {
        error.hint(format!("{} is no OCI image layout", path.display()))
    } else {
        error
    }
}

/// The entry with this name, or the only one there is.
fn choose<'a>(index: &'a Index, name: Option<&str>, platform: &Platform) -> Result<&'a Descriptor> {
    let own_name = |entry: &&Descriptor| entry.annotations.get(REF_NAME).cloned();
    let Some(name) = name else {
        return match &index.manifests[..] {
            [only] => Ok(only),
            [] => Err(Error::new(Kind::NotFound, "it holds no image")),
            all if all.iter().all(|entry| entry.platform.is_some()) => index.choose(platform),
            all => Err(Error::new(Kind::Invalid, "it holds several images")
                .hint(format!("name one of them after a colon: {}", listed(all.iter())))),
        };
    };
    // One name may stand at several platforms.
    let named: Vec<Descriptor> = index
        .manifests
        .iter()
        .filter(|entry| own_name(entry).as_deref() == Some(name))
        .cloned()
        .collect();
    let chosen = match &named[..] {
        [] => {
            return Err(Error::new(Kind::NotFound, format!("it holds no image called {name}"))
                .hint(format!("it holds {}", listed(index.manifests.iter()))));
        }
        [only] => only.digest.clone(),
        _ => Index { manifests: named, ..index.clone() }.choose(platform)?.digest.clone(),
    };
    let position = index
        .manifests
        .iter()
        .find(|entry| own_name(entry).as_deref() == Some(name) && entry.digest == chosen);
    position.ok_or_else(|| Error::new(Kind::Internal, "the chosen entry is gone"))
}

fn listed<'a>(entries: impl Iterator<Item = &'a Descriptor>) -> String {
    let names: Vec<&str> = entries
        .filter_map(|entry| entry.annotations.get(REF_NAME))
        .map(String::as_str)
        .take(20)
        .collect();
    if names.is_empty() { "images without names".to_owned() } else { names.join(", ") }
}

/// The manifest that an entry is, or that the index that it is has for the platform.
fn descend(
    files: &dyn Files,
    entry: &Descriptor,
    platform: &Platform,
) -> Result<(Descriptor, Vec<u8>)> {
    let read = |descriptor: &Descriptor| -> Result<Vec<u8>> {
        let bytes = small_file(files, &blob_path(&descriptor.digest), MANIFEST_LIMIT_BYTES)?;
        check_content(descriptor, &bytes)?;
        Ok(bytes)
    };
    let bare =
        |from: &Descriptor| Descriptor::new(&from.media_type, from.digest.clone(), from.size);
    let bytes = read(entry)?;
    match Document::parse(&bytes, &entry.media_type)? {
        Document::Manifest(_) => Ok((bare(entry), bytes)),
        Document::Index(index) => {
            let chosen = index.choose(platform)?;
            Ok((bare(chosen), read(chosen)?))
        }
    }
}

/// The names under which an image of a layout is stored: its own, or the file's for one that is
/// only a tag.
fn stored_names(entry: &Descriptor, path: &Path) -> Vec<String> {
    let file = path.file_stem().map(|stem| stem.to_string_lossy().to_lowercase());
    let own = entry.annotations.get(REF_NAME).map(String::as_str);
    let text = match (own, file) {
        (Some(name), Some(file)) if is_tag(name) => format!("{file}:{name}"),
        (Some(name), _) => name.to_owned(),
        (None, Some(file)) => file,
        (None, None) => return Vec::new(),
    };
    // An annotation may hold anything; an image without a name is still found by its id.
    names::local(&text).map(|name| names::key(&name)).into_iter().collect()
}

/// Is this rather a tag than a name: `latest`, `13`, `v1.2`?
fn is_tag(name: &str) -> bool {
    let version = name.strip_prefix('v').unwrap_or(name);
    !name.contains(['/', ':'])
        && (name == "latest" || version.starts_with(|c: char| c.is_ascii_digit()))
}

/// One image of `docker save`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Saved {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

/// A saved image's blobs, which lie under names of their own.
#[derive(Debug)]
struct SavedBlobs {
    files: Tarfile,
    names: HashMap<Digest, String>,
}

impl Origin for SavedBlobs {
    fn blob(&self, descriptor: &Descriptor, offset: u64) -> Result<Box<dyn Read + Send>> {
        let name = self.names.get(&descriptor.digest).ok_or_else(|| {
            Error::new(Kind::NotFound, format!("find blob {} in the archive", descriptor.digest))
        })?;
        self.files.read(name, offset)
    }
}

/// An image of a tar file of `docker save`. It has no manifest of its own, so one is made; since
/// it is made of digests only, the same file always gives the same one.
pub(crate) fn from_docker(path: &Path, name: Option<&str>, scratch: &Path) -> Result<Found> {
    let files = Tarfile::open(path, scratch)?;
    from_saved(files, name).doing(|| format!("read image archive {}", path.display()))
}

fn from_saved(files: Tarfile, name: Option<&str>) -> Result<Found> {
    let bytes = small_file(&files, "manifest.json", MANIFEST_LIMIT_BYTES)?;
    let all: Vec<Saved> = serde_json::from_slice(&bytes)
        .map_err(|error| Error::new(Kind::Corrupt, format!("parse manifest.json: {error}")))?;
    let saved = choose_saved(&all, name)?;
    let config_bytes = small_file(&files, &saved.config, CONFIG_LIMIT_BYTES)?;
    let diff_ids = ImageConfig::parse(&config_bytes)?.rootfs.diff_ids;
    if diff_ids.len() != saved.layers.len() {
        let what = format!(
            "manifest.json has {} layers, the configuration {}",
            saved.layers.len(),
            diff_ids.len()
        );
        return Err(Error::new(Kind::Corrupt, what));
    }
    let config = Descriptor::of(media_type::DOCKER_CONFIG, &config_bytes);
    let mut blobs = HashMap::from([(config.digest.clone(), saved.config.clone())]);
    let mut layers = Vec::with_capacity(diff_ids.len());
    for (file, diff_id) in saved.layers.iter().zip(&diff_ids) {
        let layer = saved_layer(&files, file, diff_id)?;
        blobs.insert(layer.digest.clone(), file.clone());
        layers.push(layer);
    }
    let manifest = Manifest {
        schema_version: 2,
        media_type: Some(media_type::DOCKER_MANIFEST.to_owned()),
        artifact_type: None,
        config,
        layers,
        subject: None,
        annotations: BTreeMap::new(),
    };
    let bytes = serde_json::to_vec(&manifest)
        .map_err(|error| Error::new(Kind::Internal, "write a manifest").because(error))?;
    let tags = saved.repo_tags.as_deref().unwrap_or_default();
    let names = tags.iter().filter_map(|tag| names::local(tag).ok());
    Ok(Found {
        manifest: Descriptor::of(media_type::DOCKER_MANIFEST, &bytes),
        bytes,
        names: names.map(|name| names::key(&name)).collect(),
        origin: Box::new(SavedBlobs { files, names: blobs }),
    })
}

fn choose_saved<'a>(all: &'a [Saved], name: Option<&str>) -> Result<&'a Saved> {
    let tags = |saved: &'a Saved| saved.repo_tags.as_deref().unwrap_or_default();
    let every = || all.iter().flat_map(tags).take(20).cloned().collect::<Vec<_>>().join(", ");
    match (name, all) {
        (None, [only]) => Ok(only),
        (None, []) => Err(Error::new(Kind::NotFound, "it holds no image")),
        (None, _) => Err(Error::new(Kind::Invalid, "it holds several images")
            .hint(format!("name one of them after a colon: {}", every()))),
        (Some(name), _) => {
            let wanted = names::local(name)?;
            let is_it = |tag: &String| names::local(tag).is_ok_and(|own| own == wanted);
            all.iter().find(|saved| tags(saved).iter().any(is_it)).ok_or_else(|| {
                Error::new(Kind::NotFound, format!("it holds no image called {name}"))
                    .hint(format!("it holds {}", every()))
            })
        }
    }
}

/// A layer's descriptor. Plain tar, which docker writes, has the diff id as its digest; what some
/// tool compressed must be hashed first.
fn saved_layer(files: &Tarfile, name: &str, diff_id: &Digest) -> Result<Descriptor> {
    let mut magic = Vec::new();
    files.read(name, 0)?.take(6).read_to_end(&mut magic).doing(|| format!("read {name}"))?;
    let kind = match Compression::of_magic(&magic) {
        Compression::Plain => {
            let size = files.size(name)?;
            return Ok(Descriptor::new(media_type::DOCKER_LAYER, diff_id.clone(), size));
        }
        Compression::Gzip => media_type::DOCKER_LAYER_GZIP,
        Compression::Zstd => media_type::OCI_LAYER_ZSTD,
        other => {
            let what = format!("layer {name} is compressed with {other:?}");
            return Err(Error::new(Kind::Unsupported, what));
        }
    };
    let mut hasher = Hasher::new(Algorithm::Sha256);
    let size = io::copy(&mut files.read(name, 0)?, &mut hasher).doing(|| format!("hash {name}"))?;
    Ok(Descriptor::new(kind, hasher.finish(), size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layouts_image_is_stored_by_its_name_or_its_files() {
        let cases = [
            (Some("box"), "/tmp/layout", Some("localhost/box:latest")),
            (Some("quay.io/a/b:1"), "/tmp/layout", Some("quay.io/a/b:1")),
            (Some("13"), "/tmp/debian", Some("localhost/debian:13")),
            (Some("latest"), "/tmp/debian.tar", Some("localhost/debian:latest")),
            (None, "/tmp/Debian.tar", Some("localhost/debian:latest")),
            (None, "/tmp/_", None),
            (Some("not a name"), "/tmp/x", None),
        ];
        for (annotation, path, expected) in cases {
            let mut entry = Descriptor::of(media_type::OCI_MANIFEST, b"x");
            if let Some(name) = annotation {
                entry.annotations.insert(REF_NAME.to_owned(), name.to_owned());
            }
            let names = stored_names(&entry, Path::new(path));
            assert_eq!(names.first().map(String::as_str), expected, "{annotation:?} in {path}");
        }
    }
}
