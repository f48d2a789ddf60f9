//! The tar files of `docker save`, read.
//!
//! ```text
//! manifest.json   [{"Config": "<hex>.json", "RepoTags": ["box:1"], "Layers": ["<hex>.tar", …]}]
//! <hex>.json      a configuration
//! <hex>.tar       a layer, not compressed, or a link to one
//! ```
//!
//! They have no manifest of the registry's kind, so one is made; since it is made of digests only,
//! the same file always gives the same one.

use crate::{
    Bounds,
    layout::small_file,
    names::{self, FileNames},
    origin::{Opened, Origin},
    tarfile::{Spool, Tarfile},
};
use dhow_archive::Compression;
use dhow_base::{
    Digest, Doing, Error, Kind, Result,
    digest::{Algorithm, Hasher},
};
use dhow_spec::image::{
    CONFIG_LIMIT_BYTES, Descriptor, ImageConfig, MANIFEST_LIMIT_BYTES, Manifest, check_items,
    media_type,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, HashMap},
    io::{self, Read},
    path::Path,
    sync::Arc,
};

/// As many as an index may have.
const IMAGES_LIMIT: usize = 1000;

/// One image of `docker save`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Saved {
    pub(crate) config: String,
    #[serde(default)]
    pub(crate) repo_tags: Option<Vec<String>>,
    pub(crate) layers: Vec<String>,
}

/// Reads `manifest.json`.
pub(crate) fn parse(bytes: &[u8]) -> Result<Vec<Saved>> {
    check_items(bytes, "manifest.json")?;
    let all: Vec<Saved> = serde_json::from_slice(bytes)
        .map_err(|error| Error::new(Kind::Corrupt, format!("parse manifest.json: {error}")))?;
    if all.len() > IMAGES_LIMIT {
        let what = format!("parse manifest.json: more than {IMAGES_LIMIT} images");
        return Err(Error::new(Kind::Exhausted, what));
    }
    Ok(all)
}

/// The layers of an archive that some tool has compressed, by where they begin. Each is hashed once,
/// however many images name it, and by however many names.
type Hashed = HashMap<u64, Descriptor>;

/// A saved image's blobs, which lie under names of their own.
#[derive(Debug)]
struct SavedBlobs {
    files: Arc<Tarfile>,
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

/// An image of a tar file of `docker save`.
pub(crate) fn open(path: &Path, name: Option<&str>, spool: Spool<'_>) -> Result<Opened> {
    let doing = || format!("read image archive {}", path.display());
    let files = Arc::new(Tarfile::open(path, spool)?);
    let read = || {
        let all = list(&files)?;
        let saved = choose_saved(&all, name)?;
        spool.bounds.check_layers(saved.layers.len())?;
        from_saved(&files, saved, &mut Hashed::new())
    };
    read().doing(doing)
}

/// Every image of an archive, opened one after the other.
pub(crate) fn all(
    files: &Arc<Tarfile>,
    bounds: &Bounds,
) -> Result<impl Iterator<Item = Result<Opened>> + use<>> {
    let all = list(files)?;
    all.iter().try_for_each(|saved| bounds.check_layers(saved.layers.len()))?;
    let (files, mut hashed) = (Arc::clone(files), Hashed::new());
    Ok(all.into_iter().map(move |saved| from_saved(&files, &saved, &mut hashed)))
}

/// The table of contents of an open archive.
pub(crate) fn list(files: &Tarfile) -> Result<Vec<Saved>> {
    parse(&small_file(files, "manifest.json", MANIFEST_LIMIT_BYTES)?)
}

fn from_saved(files: &Arc<Tarfile>, saved: &Saved, hashed: &mut Hashed) -> Result<Opened> {
    let config_bytes = small_file(files.as_ref(), &saved.config, CONFIG_LIMIT_BYTES)?;
    let image = ImageConfig::parse(&config_bytes)
        .doing(|| format!("read the configuration {}", saved.config))?;
    let diff_ids = image.rootfs.diff_ids;
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
        let layer = saved_layer(files, file, diff_id, hashed)?;
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
    let mut names = FileNames::default();
    saved.repo_tags.iter().flatten().for_each(|tag| names.add(tag));
    let top = Descriptor::of(media_type::DOCKER_MANIFEST, &bytes);
    let origin = Arc::new(SavedBlobs { files: Arc::clone(files), names: blobs });
    Ok(Opened { made_up: true, ..Opened::new(top, bytes, origin) }.named(names))
}

fn choose_saved<'a>(all: &'a [Saved], name: Option<&str>) -> Result<&'a Saved> {
    let tags = |saved: &'a Saved| saved.repo_tags.as_deref().unwrap_or_default();
    let every = || all.iter().flat_map(tags).take(20).cloned().collect::<Vec<_>>().join(", ");
    match (name, all) {
        (None, [only]) => Ok(only),
        (None, []) => Err(Error::new(Kind::NotFound, "it holds no image")),
        (None, _) => Err(Error::new(Kind::Invalid, "it holds several images")
            .hint(format!("name one of them after a colon: {}", every()))),
        (Some(name), _) if name.starts_with('@') => {
            let number = name[1..].parse().ok().and_then(|number: usize| all.get(number));
            number.ok_or_else(|| {
                let what = format!("it holds no image number {}", &name[1..]);
                Error::new(Kind::NotFound, what).hint(format!("it holds {}", all.len()))
            })
        }
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
fn saved_layer(
    files: &Tarfile,
    name: &str,
    diff_id: &Digest,
    hashed: &mut Hashed,
) -> Result<Descriptor> {
    let begin = files.begin(name)?;
    if let Some(known) = hashed.get(&begin) {
        return Ok(known.clone());
    }
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
    let layer = Descriptor::new(kind, hasher.finish(), size);
    hashed.insert(begin, layer.clone());
    Ok(layer)
}
