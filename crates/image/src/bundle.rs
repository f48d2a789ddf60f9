//! An image of a layout unpacked to a bundle that any tool may change, and packed again: what has
//! changed becomes one more layer.
//!
//! ```text
//!  <bundle>/rootfs                  all layers, one after the other
//!  <bundle>/sha256_<hex>.mtree      what the tree was like
//!  <bundle>/umoci.json              which manifest it was
//!  <bundle>/config.json             how to run it; written by the engine
//! ```
//!
//! The files are umoci's, so that either tool packs what the other has unpacked. Neither the store
//! nor the rows of dhow have a part in it.

use crate::{
    Bounds,
    layer::pass_through,
    layout,
    mtree::{self, Mtree},
};
use dhow_archive::{Encoding, LayerWriter, Mtime, Pack, Presence, Whiteouts};
use dhow_base::{
    Digest, Doing, Error, Kind, Result,
    clock::Moment,
    file::{self, Durability},
    id::random_hex,
};
use dhow_spec::image::{
    CONFIG_LIMIT_BYTES, Descriptor, ImageConfig, MANIFEST_LIMIT_BYTES, Platform, media_type,
};
use rustix::fs::{Mode, OFlags, Timespec, Timestamps};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs::File,
    io::BufWriter,
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
};

const UMOCI: &str = "umoci.json";
const ROOTFS: &str = "rootfs";
/// What umoci writes and reads.
const UMOCI_VERSION: &str = "2";

/// A bundle that was unpacked.
#[derive(Clone, Debug)]
pub struct Unpacked {
    /// The image's configuration, from which `config.json` is made.
    pub config: ImageConfig,
    /// The root.
    pub rootfs: PathBuf,
    bundle: PathBuf,
    is_ours: bool,
}

impl Unpacked {
    /// Takes the bundle away again, where what comes after has failed.
    pub fn discard(self) -> Result<()> {
        discard(&self.bundle, self.is_ours)
            .doing(|| format!("remove bundle {}", self.bundle.display()))
    }
}

/// Unpacks an image of the layout at `layout` to the directory `bundle`, which must not exist or be
/// empty. On failure nothing of it is left.
pub fn unpack(
    layout: &Path,
    name: Option<&str>,
    platform: Option<&Platform>,
    bundle: &Path,
    bounds: &Bounds,
) -> Result<Unpacked> {
    let doing = || format!("unpack {} to {}", layout.display(), bundle.display());
    let platform = platform.cloned().unwrap_or_else(Platform::host);
    let opened = layout::from_directory(layout, None, name, &platform).doing(doing)?;
    let found = opened.choose(&platform).doing(doing)?;
    let plan = found.plan(&platform).doing(doing)?;
    bounds.check(&plan).doing(doing)?;
    let config = ImageConfig::parse(plan.config_json.as_bytes()).doing(doing)?;
    let is_ours = make_empty(bundle).doing(doing)?;
    let unpack = || -> Result<Unpacked> {
        let rootfs = bundle.join(ROOTFS);
        rustix::fs::mkdir(&rootfs, Mode::from_raw_mode(0o755))
            .doing(|| format!("create directory {}", rootfs.display()))?;
        let root = open(&rootfs)?;
        let mut time = Mtime { seconds: 0, nanoseconds: 0 };
        for layer in &plan.layers {
            pass_through(found.origin.as_ref(), layer, &rootfs, Whiteouts::Apply, bounds)?;
            time = time_of_root(&root, time).doing(|| "give the root its time")?;
        }
        write_notes(bundle, &found.manifest, name)?;
        let bundle = bundle.to_owned();
        Ok(Unpacked { config: config.clone(), rootfs, bundle, is_ours })
    };
    let unpacked = unpack().doing(doing);
    if unpacked.is_err() {
        // The failure of the unpacking is the one to tell.
        let _emptied = discard(bundle, is_ours);
    }
    unpacked
}

/// The root's time after a layer. Many images have no entry for it: then the kernel has dated it as the
/// layer was unpacked, and it gets back what it had before, which is 1970 in the beginning as umoci has it,
/// so that the same image always gives the same tree.
fn time_of_root(root: &OwnedFd, before: Mtime) -> std::io::Result<Mtime> {
    let stat = rustix::fs::fstat(root)?;
    // Who makes something in a directory changes both times to the same nanosecond; who sets the one to what
    // an archive says changes the other to the present.
    let is_the_kernels = (stat.st_mtime, stat.st_mtime_nsec) == (stat.st_ctime, stat.st_ctime_nsec);
    if is_the_kernels {
        let time = Timespec { tv_sec: before.seconds, tv_nsec: before.nanoseconds.into() };
        let times = Timestamps { last_access: time, last_modification: time };
        rustix::fs::futimens(root, &times)?;
        return Ok(before);
    }
    let nanoseconds = u32::try_from(stat.st_mtime_nsec).unwrap_or_default();
    Ok(Mtime { seconds: stat.st_mtime, nanoseconds })
}

/// Makes the directory of a bundle; whether it was not there before.
fn make_empty(bundle: &Path) -> Result<bool> {
    let doing = || format!("create directory {}", bundle.display());
    match rustix::fs::mkdir(bundle, Mode::from_raw_mode(0o700)) {
        Ok(()) => return Ok(true),
        Err(rustix::io::Errno::EXIST) => {}
        Err(errno) => return Err(errno).doing(doing),
    }
    let mut entries = std::fs::read_dir(bundle).doing(doing)?;
    if entries.next().is_none() {
        return Ok(false);
    }
    Err(Error::new(Kind::AlreadyExists, format!("{}: there is something in it", doing())))
}

fn discard(bundle: &Path, is_ours: bool) -> std::io::Result<()> {
    for entry in std::fs::read_dir(bundle)? {
        let entry = entry?;
        let remove = if entry.file_type()?.is_dir() {
            std::fs::remove_dir_all::<PathBuf>
        } else {
            std::fs::remove_file::<PathBuf>
        };
        remove(entry.path())?;
    }
    if is_ours { std::fs::remove_dir(bundle) } else { Ok(()) }
}

/// What umoci remembers of a bundle. What it says of mappings of owners is kept and must be none.
#[derive(Debug, Deserialize, Serialize)]
struct Notes {
    umoci_version: String,
    from_descriptor_path: DescriptorPath,
    map_options: MapOptions,
    #[serde(default)]
    whiteout_mode: u32,
}

#[derive(Debug, Deserialize, Serialize)]
struct DescriptorPath {
    descriptor_walk: Vec<Descriptor>,
}

#[derive(Debug, Default, Deserialize, Serialize)]
struct MapOptions {
    uid_mappings: Option<Vec<Value>>,
    gid_mappings: Option<Vec<Value>>,
    #[serde(default)]
    rootless: bool,
}

impl MapOptions {
    fn is_none(&self) -> bool {
        let none = |mappings: &Option<Vec<Value>>| mappings.as_ref().is_none_or(Vec::is_empty);
        none(&self.uid_mappings) && none(&self.gid_mappings) && !self.rootless
    }
}

/// Writes what is needed to pack the bundle again. The manifest of the tree comes last: what is
/// changed from now on, changed later than it.
fn write_notes(bundle: &Path, manifest: &Descriptor, name: Option<&str>) -> Result<()> {
    let mut from = manifest.clone();
    if let Some(name) = name {
        from.annotations.insert(layout::REF_NAME.to_owned(), name.to_owned());
    }
    let notes = Notes {
        umoci_version: UMOCI_VERSION.to_owned(),
        from_descriptor_path: DescriptorPath { descriptor_walk: vec![from] },
        map_options: MapOptions::default(),
        whiteout_mode: 0,
    };
    let text = to_json(&notes)?;
    file::write_atomically(&bundle.join(UMOCI), &text, 0o644, Durability::Cached)?;
    let rootfs = bundle.join(ROOTFS);
    let tree = Mtree::of(open(&rootfs)?.as_fd()).doing(|| "remember what the tree is like")?;
    let path = manifest_path(bundle, &manifest.digest);
    let text = tree.text(&rootfs);
    file::write_atomically(&path, text.as_bytes(), 0o644, Durability::Cached)
}

fn manifest_path(bundle: &Path, digest: &Digest) -> PathBuf {
    bundle.join(format!("{}_{}.mtree", digest.algorithm().name(), digest.hex()))
}

fn open(path: &Path) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    rustix::fs::open(path, flags, Mode::empty()).doing(|| format!("open {}", path.display()))
}

/// How a bundle is packed again.
#[derive(Clone, Debug, Default)]
pub struct Repack {
    /// How the new layer is compressed.
    pub encoding: Encoding,
    /// The moment that the history tells, and later times of files are written as
    /// (`SOURCE_DATE_EPOCH`); the present, and times as they are, where there is none.
    pub epoch: Option<i64>,
    /// What the history says.
    pub created_by: Option<String>,
    /// Paths of the root that are left out, with all below them.
    pub masked: Vec<PathBuf>,
    /// The image's volumes are not left out.
    pub with_volumes: bool,
    /// The bundle then stands for the new image.
    pub refresh: bool,
}

/// An image that was packed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Repacked {
    /// Its manifest.
    pub manifest: Digest,
    /// How many paths had changed; where there are none, it is the image that it was.
    pub changes: usize,
}

/// Packs what has changed in `bundle` as a layer on its image, into the layout, under a name.
pub fn repack(layout: &Path, name: &str, bundle: &Path, how: &Repack) -> Result<Repacked> {
    let doing = || format!("pack {} into {}", bundle.display(), layout.display());
    Repacking::open(layout, bundle).and_then(|work| work.run(name, how)).doing(doing)
}

/// A layout and the documents of the image that a bundle came from, as they are written.
struct Repacking<'a> {
    layout: &'a Path,
    bundle: &'a Path,
    from: Descriptor,
    manifest: Value,
    config: Value,
}

impl<'a> Repacking<'a> {
    fn open(layout: &'a Path, bundle: &'a Path) -> Result<Self> {
        let path = bundle.join(UMOCI);
        let notes: Notes = parse(&file::read_limited(&path, MANIFEST_LIMIT_BYTES)?)
            .doing(|| format!("read {}", path.display()))?;
        if notes.umoci_version != UMOCI_VERSION || !notes.map_options.is_none() {
            let what = "the bundle has mapped owners, or was unpacked by a tool of another time";
            return Err(Error::new(Kind::Unsupported, what));
        }
        let from = notes.from_descriptor_path.descriptor_walk.last().cloned();
        let from =
            from.ok_or_else(|| Error::new(Kind::Corrupt, "the bundle says not what it was"))?;
        let manifest: Value = parse(&read_blob(layout, &from, MANIFEST_LIMIT_BYTES)?)?;
        let config: Descriptor = serde_json::from_value(manifest["config"].clone())
            .map_err(|error| Error::new(Kind::Corrupt, "read the manifest").because(error))?;
        let config = parse(&read_blob(layout, &config, CONFIG_LIMIT_BYTES)?)?;
        Ok(Self { layout, bundle, from, manifest, config })
    }

    fn run(mut self, name: &str, how: &Repack) -> Result<Repacked> {
        let rootfs = open(&self.bundle.join(ROOTFS))?;
        let changes = self.changes(&rootfs, how)?;
        if !changes.is_empty() {
            let layer = self.layer(&rootfs, &changes, how)?;
            self.add(layer, how)?;
        }
        let descriptor = self.write_documents()?;
        self.tag(&descriptor, name)?;
        if how.refresh && !changes.is_empty() {
            write_notes(self.bundle, &descriptor, Some(name))?;
            file::remove_if_there(&manifest_path(self.bundle, &self.from.digest))?;
        }
        Ok(Repacked { manifest: descriptor.digest, changes: changes.len() })
    }

    fn changes(&self, rootfs: &OwnedFd, how: &Repack) -> Result<BTreeMap<PathBuf, Presence>> {
        let path = manifest_path(self.bundle, &self.from.digest);
        let doing = || format!("read {}", path.display());
        let text = String::from_utf8(file::read_limited(&path, mtree::LIMIT_BYTES)?)
            .map_err(|_| Error::new(Kind::Corrupt, format!("{}: it is no text", doing())))?;
        let stat = rustix::fs::stat(&path).doing(doing)?;
        let written = (stat.st_mtime, stat.st_mtime_nsec);
        let mut changes = Mtree::parse(&text).doing(doing)?.changes(rootfs.as_fd(), written)?;
        let mut masked = how.masked.clone();
        if let (false, Some(volumes)) =
            (how.with_volumes, self.config["config"]["Volumes"].as_object())
        {
            masked.extend(volumes.keys().map(PathBuf::from));
        }
        for mask in masked {
            let mask = mask.strip_prefix("/").unwrap_or(&mask).to_owned();
            changes.retain(|path, _| mask.as_os_str().is_empty() || !path.starts_with(&mask));
        }
        Ok(changes)
    }

    /// Writes the layer into the layout.
    fn layer(
        &self,
        rootfs: &OwnedFd,
        changes: &BTreeMap<PathBuf, Presence>,
        how: &Repack,
    ) -> Result<dhow_archive::Blob> {
        let temporary = self.layout.join(format!("blobs/.{}.tmp", random_hex(8)?));
        let write = || -> Result<dhow_archive::Blob> {
            let file = BufWriter::new(file::create_new(&temporary, 0o644)?);
            let mut writer = LayerWriter::new(file, how.encoding, None)?;
            let mut pack = Pack::tree();
            if how.encoding == Encoding::ZstdChunked {
                pack = pack.with_holes();
            }
            if let Some(seconds) = how.epoch {
                pack = pack.no_later_than(Mtime { seconds, nanoseconds: 0 });
            }
            let changes = changes.iter().map(|(path, is)| (path.as_path(), *is));
            pack.write_changes(rootfs.as_fd(), changes, &mut writer)?;
            let (file, blob) = writer.finish()?;
            let file: File = file
                .into_inner()
                .map_err(std::io::IntoInnerError::into_error)
                .doing(|| "write the layer")?;
            file.sync_all().doing(|| "sync the layer")?;
            let path = blob_path(self.layout, &blob.digest)?;
            rustix::fs::rename(&temporary, &path)
                .doing(|| format!("rename the layer to {}", path.display()))?;
            Ok(blob)
        };
        let written = write();
        if written.is_err() {
            // It may not have come to be.
            let _removed = rustix::fs::unlink(&temporary);
        }
        written
    }

    /// Adds the layer to manifest, configuration and history, which keep whatever else is in them.
    fn add(&mut self, blob: dhow_archive::Blob, how: &Repack) -> Result<()> {
        let odd = |what: &str| Error::new(Kind::Corrupt, format!("the image has no {what}"));
        let now = match how.epoch {
            Some(seconds) => Moment::from_unix_nanoseconds(seconds.saturating_mul(1_000_000_000)),
            None => Moment::now(),
        };
        let now = json!(now.rfc3339());
        let layers = self.manifest["layers"].as_array_mut().ok_or_else(|| odd("layers"))?;
        let is_docker = self.from.media_type == media_type::DOCKER_MANIFEST;
        let kind = match (how.encoding, is_docker) {
            (Encoding::Plain, false) => media_type::OCI_LAYER,
            (Encoding::Plain, true) => media_type::DOCKER_LAYER,
            (Encoding::Gzip, false) => media_type::OCI_LAYER_GZIP,
            (Encoding::Gzip, true) => media_type::DOCKER_LAYER_GZIP,
            (Encoding::Zstd | Encoding::ZstdChunked, _) => media_type::OCI_LAYER_ZSTD,
        };
        let mut layer = Descriptor::new(kind, blob.digest, blob.size);
        layer.annotations = blob.annotations;
        layers.push(to_value(&layer)?);
        let diff_ids =
            self.config["rootfs"]["diff_ids"].as_array_mut().ok_or_else(|| odd("diff ids"))?;
        diff_ids.push(json!(blob.diff_id.to_string()));
        let step = json!({
            "created": now,
            "created_by": how.created_by.as_deref().unwrap_or("dhow image repack"),
        });
        match self.config["history"].as_array_mut() {
            Some(history) => history.push(step),
            None => self.config["history"] = json!([step]),
        }
        self.config["created"] = now;
        Ok(())
    }

    /// Writes configuration and manifest, and describes the latter.
    fn write_documents(&mut self) -> Result<Descriptor> {
        let config = to_json(&self.config)?;
        let known: Descriptor = serde_json::from_value(self.manifest["config"].clone())
            .map_err(|error| Error::new(Kind::Corrupt, "read the manifest").because(error))?;
        let described = Descriptor::of(&known.media_type, &config);
        let current: Value = parse(&read_blob(self.layout, &known, CONFIG_LIMIT_BYTES)?)?;
        // Nothing has changed: the documents are those that are there, byte by byte.
        if current == self.config {
            return Ok(Descriptor::new(
                &self.from.media_type,
                self.from.digest.clone(),
                self.from.size,
            ));
        }
        put_blob(self.layout, &described.digest, &config)?;
        self.manifest["config"] = to_value(&described)?;
        let manifest = to_json(&self.manifest)?;
        let described = Descriptor::of(&self.from.media_type, &manifest);
        put_blob(self.layout, &described.digest, &manifest)?;
        Ok(described)
    }

    /// Makes a name of the layout lead to the image.
    fn tag(&self, descriptor: &Descriptor, name: &str) -> Result<()> {
        let path = self.layout.join("index.json");
        let mut index: Value = parse(&file::read_limited(&path, MANIFEST_LIMIT_BYTES)?)
            .doing(|| format!("read {}", path.display()))?;
        let mut named = descriptor.clone();
        named.annotations.insert(layout::REF_NAME.to_owned(), name.to_owned());
        let odd = || Error::new(Kind::Corrupt, "the layout's index has no manifests");
        let entries = index["manifests"].as_array_mut().ok_or_else(odd)?;
        entries.retain(|entry| entry["annotations"][layout::REF_NAME] != name);
        entries.push(to_value(&named)?);
        file::write_atomically(&path, &to_json(&index)?, 0o644, Durability::Synced)
    }
}

fn parse<T: for<'de> Deserialize<'de>>(bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes)
        .map_err(|error| Error::new(Kind::Corrupt, "parse a document").because(error))
}

fn to_json(value: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(value)
        .map_err(|error| Error::new(Kind::Internal, "write a document").because(error))
}

fn to_value(value: &impl Serialize) -> Result<Value> {
    serde_json::to_value(value)
        .map_err(|error| Error::new(Kind::Internal, "write a document").because(error))
}

fn blob_path(layout: &Path, digest: &Digest) -> Result<PathBuf> {
    let directory = layout.join("blobs").join(digest.algorithm().name());
    file::make_directories(&directory, 0o755)?;
    Ok(directory.join(digest.hex()))
}

fn put_blob(layout: &Path, digest: &Digest, bytes: &[u8]) -> Result<()> {
    file::write_atomically(&blob_path(layout, digest)?, bytes, 0o644, Durability::Synced)
}

fn read_blob(layout: &Path, descriptor: &Descriptor, limit_bytes: u64) -> Result<Vec<u8>> {
    let path = layout
        .join("blobs")
        .join(descriptor.digest.algorithm().name())
        .join(descriptor.digest.hex());
    let bytes = file::read_limited(&path, limit_bytes)?;
    crate::plan::check_content(descriptor, &bytes)?;
    Ok(bytes)
}
