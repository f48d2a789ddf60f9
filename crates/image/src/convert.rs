//! Images in another form: Docker's documents as OCI's and back, layers packed otherwise.
//!
//! A conversion makes new manifests and, where layers change, new blobs; these are spooled into
//! files without names, since a blob's digest and size stand before it in every protocol. The
//! configuration stays as it is to the byte, so the image keeps its id, and fields of Docker's that
//! OCI does not name (health checks, triggers) are not lost.
//!
//! What the other form cannot say is refused where it changes what the image is (artifacts), and
//! told of where it does not (annotations).

use crate::{
    origin::Origin,
    place::target::{Content, pour},
    tarfile::{Spool as Spooling, nameless},
    workers,
};
use dhow_archive::{Compression, Decoder, Digesting, Encoder, Encoding, Measured, Pool};
use dhow_base::{Digest, Doing, Error, Kind, Result, digest::Algorithm};
use dhow_spec::image::{
    CONFIG_LIMIT_BYTES, Descriptor, Document, ImageConfig, Manifest, media_type,
};
use serde_json::{Map, Value, json};
use std::{
    collections::HashMap,
    fs::File,
    io::{self, BufWriter, Read, Write},
    os::unix::fs::FileExt,
    sync::Arc,
};

/// Layers at a time. Each is packed on all processors; more would take memory and no less time.
const PARALLEL_LAYERS: usize = 2;

/// Whose documents.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Dialect {
    /// OCI image specification.
    Oci,
    /// Docker image manifest version 2, schema 2.
    Docker,
}

impl Dialect {
    fn of(media_type: &str) -> Self {
        if matches!(media_type, media_type::DOCKER_MANIFEST | media_type::DOCKER_LIST) {
            Self::Docker
        } else {
            Self::Oci
        }
    }

    /// The word for it on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Self::Oci => "oci",
            Self::Docker => "v2s2",
        }
    }

    fn manifest(self) -> &'static str {
        match self {
            Self::Oci => media_type::OCI_MANIFEST,
            Self::Docker => media_type::DOCKER_MANIFEST,
        }
    }

    fn index(self) -> &'static str {
        match self {
            Self::Oci => media_type::OCI_INDEX,
            Self::Docker => media_type::DOCKER_LIST,
        }
    }

    fn config(self) -> &'static str {
        match self {
            Self::Oci => media_type::OCI_CONFIG,
            Self::Docker => media_type::DOCKER_CONFIG,
        }
    }

    fn layer(self, compression: Compression) -> Result<&'static str> {
        match (self, compression) {
            (Self::Oci, Compression::Plain) => Ok(media_type::OCI_LAYER),
            (Self::Oci, Compression::Gzip) => Ok(media_type::OCI_LAYER_GZIP),
            (Self::Oci, Compression::Zstd) => Ok(media_type::OCI_LAYER_ZSTD),
            (Self::Docker, Compression::Plain) => Ok(media_type::DOCKER_LAYER),
            (Self::Docker, Compression::Gzip) => Ok(media_type::DOCKER_LAYER_GZIP),
            (Self::Docker, Compression::Zstd) => Err(Error::new(
                Kind::Unsupported,
                "Docker's manifests know no layers compressed with zstd",
            )
            .hint("have all layers compressed with gzip, or the documents in OCI's form")),
            (_, other) => Err(Error::new(
                Kind::Unsupported,
                format!("manifests know no layers compressed with {other:?}"),
            )),
        }
    }
}

/// What is done to layers.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Packing {
    /// Nothing.
    #[default]
    Keep,
    /// They are uncompressed.
    Unpack,
    /// Those that are not compressed are.
    Pack(Encoding),
    /// All are compressed so.
    Repack(Encoding),
}

impl Packing {
    /// How a layer is to be packed anew; nothing where it can stay as it is.
    fn wanted(self, layer: &Descriptor, now: Compression) -> Option<Encoding> {
        let has_contents = layer.annotations.keys().any(|key| key.starts_with(CHUNKED));
        match self {
            Self::Keep => None,
            Self::Unpack => (now != Compression::Plain).then_some(Encoding::Plain),
            Self::Pack(encoding) => (now == Compression::Plain).then_some(encoding),
            Self::Repack(Encoding::ZstdChunked) if has_contents => None,
            Self::Repack(encoding) => {
                let differs = now != encoding.compression() || encoding == Encoding::ZstdChunked;
                differs.then_some(encoding)
            }
        }
    }
}

/// What is wanted of an image.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Conversion<'a> {
    pub(crate) dialect: Option<Dialect>,
    pub(crate) packing: Packing,
    pub(crate) level: Option<i32>,
    /// Where spooled layers are, and within which limits they are read.
    pub(crate) spool: Spooling<'a>,
}

/// A manifest and its bytes.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) descriptor: Descriptor,
    pub(crate) bytes: Vec<u8>,
}

/// What conversions made.
#[derive(Debug, Default)]
pub(crate) struct Spools {
    files: HashMap<Digest, Spool>,
    /// What the new form cannot say.
    pub(crate) notes: Vec<String>,
}

#[derive(Clone, Debug)]
struct Spool(Arc<File>);

/// A layer that is to be packed anew.
struct Work<'a> {
    layer: &'a Descriptor,
    /// What it is when unpacked, where that is known.
    diff_id: Option<Digest>,
    origin: &'a Arc<dyn Origin>,
    /// The memory that it shares with the others.
    pool: &'a Arc<Pool>,
}

/// A layer that was packed anew, and what is to be told of that.
struct Repacked {
    descriptor: Descriptor,
    spool: Spool,
    note: Option<String>,
}

impl Conversion<'_> {
    /// Whose documents are to be made of such. Where nobody says so they stay what they are, unless their
    /// layers are to be what only OCI's can name.
    fn target(&self, from: Dialect) -> Dialect {
        let only_oci = matches!(
            self.packing,
            Packing::Repack(encoding) if encoding.compression() == Compression::Zstd
        );
        self.dialect.unwrap_or(if only_oci { Dialect::Oci } else { from })
    }

    /// Converts an image; what changes nothing gives the same bytes.
    pub(crate) fn image(
        &self,
        image: &Member,
        origin: &Arc<dyn Origin>,
        spools: &mut Spools,
    ) -> Result<Member> {
        let Document::Manifest(manifest) =
            Document::parse(&image.bytes, &image.descriptor.media_type)?
        else {
            return Err(Error::new(Kind::Unsupported, "convert an index within an index"));
        };
        let from = Dialect::of(&image.descriptor.media_type);
        let to = self.target(from);
        let layers = self.layers(&manifest, from, to, origin, spools)?;
        if from == to && layers == manifest.layers {
            return Ok(image.clone());
        }
        let value = if from == to {
            edited(&image.bytes, &manifest.layers, &layers)?
        } else {
            check_translatable(&manifest, to, spools)?;
            translated(&image.bytes, &manifest, &layers, to)?
        };
        let bytes = written(&value)?;
        let mut descriptor = Descriptor::of(to.manifest(), &bytes);
        descriptor.platform.clone_from(&image.descriptor.platform);
        Ok(Member { descriptor, bytes })
    }

    /// The layers as they shall be. Those that change are made anew, several at once.
    fn layers(
        &self,
        manifest: &Manifest,
        from: Dialect,
        to: Dialect,
        origin: &Arc<dyn Origin>,
        spools: &mut Spools,
    ) -> Result<Vec<Descriptor>> {
        let mut wanted: HashMap<&Digest, (&Descriptor, Encoding, Option<Digest>)> = HashMap::new();
        let diff_ids = self.diff_ids(manifest, origin)?;
        for (position, layer) in manifest.layers.iter().enumerate() {
            let Some(now) = Compression::of_media_type(&layer.media_type) else { continue };
            let Some(target) = self.packing.wanted(layer, now) else { continue };
            if layer.urls.is_empty() {
                let diff_id = diff_ids.get(position).cloned();
                wanted.insert(&layer.digest, (layer, target, diff_id));
            }
        }
        let jobs: Vec<_> = wanted.into_values().collect();
        let pool = self.spool.bounds.pool();
        let made = workers::at_once(PARALLEL_LAYERS, jobs, |(layer, target, diff_id)| {
            let work = Work { layer, diff_id, origin, pool: &pool };
            let repacked = self.repacked(&work, target)?;
            Ok((layer.digest.clone(), target, repacked))
        })?;
        let mut anew: HashMap<Digest, (Compression, Descriptor)> = HashMap::new();
        for (old, target, Repacked { descriptor, spool, note }) in made {
            spools.files.insert(descriptor.digest.clone(), spool);
            spools.notes.extend(note);
            anew.insert(old, (target.compression(), descriptor));
        }
        let layer = |layer: &Descriptor| {
            let (compression, mut layer) = match anew.get(&layer.digest) {
                Some((compression, made)) => {
                    let mut layer = layer.clone();
                    layer.digest = made.digest.clone();
                    layer.size = made.size;
                    layer.data = None;
                    layer.annotations.retain(|key, _| !is_of_the_packing(key));
                    layer.annotations.extend(made.annotations.clone());
                    layer.media_type = layer_type(&layer.media_type, to, *compression)?;
                    (*compression, layer)
                }
                None if from == to => return Ok(layer.clone()),
                None => match Compression::of_media_type(&layer.media_type) {
                    Some(compression) => (compression, layer.clone()),
                    None => return Err(unknown_layer(layer)),
                },
            };
            if from != to {
                layer.media_type = layer_type(&layer.media_type, to, compression)?;
            }
            Ok(layer)
        };
        manifest.layers.iter().map(layer).collect()
    }

    /// What the layers are when unpacked, where the configuration says it.
    fn diff_ids(&self, manifest: &Manifest, origin: &Arc<dyn Origin>) -> Result<Vec<Digest>> {
        let is_image = matches!(
            manifest.config.media_type.as_str(),
            media_type::OCI_CONFIG | media_type::DOCKER_CONFIG
        );
        if self.packing == Packing::Keep || !is_image {
            return Ok(Vec::new());
        }
        let bytes =
            crate::origin::small_blob(origin.as_ref(), &manifest.config, CONFIG_LIMIT_BYTES)?;
        let diff_ids = ImageConfig::parse(&bytes)?.rootfs.diff_ids;
        if diff_ids.len() == manifest.layers.len() {
            return Ok(diff_ids);
        }
        let what = format!(
            "the manifest has {} layers, the configuration {}",
            manifest.layers.len(),
            diff_ids.len()
        );
        Err(Error::new(Kind::Corrupt, what))
    }

    /// Packs a layer anew. What zstd:chunked cannot say (holes, names that are not UTF-8) goes without
    /// a table of contents: a table that is wrong, or zeros in place of holes, would be another layer.
    fn repacked(&self, work: &Work<'_>, target: Encoding) -> Result<Repacked> {
        match self.repack(work, target) {
            Err(error) if target == Encoding::ZstdChunked && error.kind() == Kind::Unsupported => {
                let made = self.repack(work, Encoding::Zstd)?;
                let why = error.one_line();
                let note =
                    format!("it is zstd without the table of contents of zstd:chunked: {why}");
                Ok(Repacked { note: Some(note), ..made })
            }
            made => made,
        }
    }

    fn repack(&self, work: &Work<'_>, target: Encoding) -> Result<Repacked> {
        let Work { layer, diff_id, origin, pool } = work;
        let doing = || format!("repack layer {}", layer.digest);
        let now =
            Compression::of_media_type(&layer.media_type).ok_or_else(|| unknown_layer(layer))?;
        let stream = Content::new(origin, layer).verified().doing(doing)?;
        let (limits, _) = self.spool.bounds.of_layer(pool);
        let mut plain: Box<dyn Read> = Box::new(Decoder::new(stream, now, limits).doing(doing)?);
        if let Some(diff_id) = diff_id {
            plain = Box::new(Digesting::new(plain, diff_id.clone()));
        }
        let file = nameless(self.spool.scratch)?;
        let shared = file.try_clone().doing(|| "share the spool's fd")?;
        let sink = Measured::new(BufWriter::with_capacity(256 << 10, shared), Algorithm::Sha256);
        let mut encoder = Encoder::new(sink, target, self.level).doing(doing)?;
        pour(&mut plain, &mut encoder).doing(doing)?;
        let (sink, annotations) = encoder.finish().doing(doing)?;
        let (mut buffered, size, digest) = sink.finish();
        buffered.flush().doing(doing)?;
        let mut descriptor = Descriptor::new(&layer.media_type, digest, size);
        descriptor.annotations = annotations;
        Ok(Repacked { descriptor, spool: Spool(Arc::new(file)), note: None })
    }

    /// Rewrites an index whose members have changed.
    pub(crate) fn index(
        &self,
        index: &Member,
        changed: &HashMap<Digest, Descriptor>,
    ) -> Result<Member> {
        let from = Dialect::of(&index.descriptor.media_type);
        let to = self.target(from);
        if from == to && changed.iter().all(|(old, new)| *old == new.digest) {
            return Ok(index.clone());
        }
        let mut value = parsed(&index.bytes)?;
        for entry in value["manifests"].as_array_mut().into_iter().flatten() {
            let Some(Ok(digest)) = entry["digest"].as_str().map(str::parse::<Digest>) else {
                continue;
            };
            let Some(new) = changed.get(&digest) else { continue };
            entry["mediaType"] = json!(new.media_type);
            entry["digest"] = json!(new.digest.as_str());
            entry["size"] = json!(new.size);
        }
        if from != to {
            // The media type belongs behind the schema's version, where it may have been missing.
            let mut ordered = Map::new();
            ordered.insert("schemaVersion".to_owned(), json!(2));
            ordered.insert("mediaType".to_owned(), json!(to.index()));
            for (key, field) in value.as_object().into_iter().flatten() {
                ordered.entry(key.clone()).or_insert_with(|| field.clone());
            }
            value = Value::Object(ordered);
        }
        let bytes = written(&value)?;
        Ok(Member { descriptor: Descriptor::of(to.index(), &bytes), bytes })
    }
}

fn unknown_layer(layer: &Descriptor) -> Error {
    let what = format!("layer {} of type {:?} has no other form", layer.digest, layer.media_type);
    Error::new(Kind::Unsupported, what)
}

/// What annotations of a zstd:chunked layer begin with.
const CHUNKED: &str = "io.github.containers.zstd-chunked.";

/// Annotations that describe how a layer was packed, and would be wrong of another packing.
fn is_of_the_packing(key: &str) -> bool {
    key.starts_with(CHUNKED) || key.starts_with("containerd.io/snapshot/stargz/")
}

/// The media type of a layer that may not be handed on keeps saying so.
fn layer_type(now: &str, dialect: Dialect, compression: Compression) -> Result<String> {
    let plain = dialect.layer(compression)?;
    let is_foreign = now.contains("foreign") || now.contains("nondistributable");
    Ok(match (is_foreign, dialect) {
        (false, _) => plain.to_owned(),
        (true, Dialect::Oci) => plain.replace("layer.v1", "layer.nondistributable.v1"),
        (true, Dialect::Docker) => plain.replace("rootfs.diff", "rootfs.foreign.diff"),
    })
}

/// A layer as the other's documents have it, with the same bytes.
pub(crate) fn retyped(layer: &Descriptor, dialect: Dialect) -> Result<Descriptor> {
    let compression =
        Compression::of_media_type(&layer.media_type).ok_or_else(|| unknown_layer(layer))?;
    let media_type = layer_type(&layer.media_type, dialect, compression)?;
    Ok(Descriptor { media_type, ..layer.clone() })
}

fn check_translatable(manifest: &Manifest, to: Dialect, spools: &mut Spools) -> Result<()> {
    let config = manifest.config.media_type.as_str();
    let is_image = matches!(config, media_type::OCI_CONFIG | media_type::DOCKER_CONFIG);
    if !is_image || manifest.artifact_type.is_some() || manifest.subject.is_some() {
        let what = manifest.artifact_type.as_deref().unwrap_or(config);
        let what = format!("an artifact ({what}) has no form but its own");
        return Err(Error::new(Kind::Unsupported, what));
    }
    let all = manifest.layers.iter().chain([&manifest.config]);
    let annotated = all.filter(|blob| !blob.annotations.is_empty()).count();
    if to == Dialect::Docker && (annotated > 0 || !manifest.annotations.is_empty()) {
        spools
            .notes
            .push("Docker's manifests have no annotations: the image's are lost".to_owned());
    }
    Ok(())
}

/// The document with other layers; whatever else is in it stays.
fn edited(bytes: &[u8], before: &[Descriptor], layers: &[Descriptor]) -> Result<Value> {
    let mut value = parsed(bytes)?;
    let list = value["layers"].as_array_mut().into_iter().flatten();
    for ((entry, before), layer) in list.zip(before).zip(layers) {
        if before == layer {
            continue;
        }
        entry["mediaType"] = json!(layer.media_type);
        entry["digest"] = json!(layer.digest.as_str());
        entry["size"] = json!(layer.size);
        let Some(fields) = entry.as_object_mut() else { continue };
        fields.remove("data");
        if layer.annotations.is_empty() {
            fields.remove("annotations");
        } else {
            fields.insert("annotations".to_owned(), json!(layer.annotations));
        }
    }
    Ok(value)
}

/// The document in the other form, its fields in the order in which that form's tools write them.
fn translated(
    bytes: &[u8],
    manifest: &Manifest,
    layers: &[Descriptor],
    to: Dialect,
) -> Result<Value> {
    let descriptor = |blob: &Descriptor, kind: &str| {
        let mut value = match to {
            Dialect::Oci => {
                json!({"mediaType": kind, "digest": blob.digest.as_str(), "size": blob.size})
            }
            Dialect::Docker => {
                json!({"mediaType": kind, "size": blob.size, "digest": blob.digest.as_str()})
            }
        };
        if !blob.urls.is_empty() {
            value["urls"] = json!(blob.urls);
        }
        if to == Dialect::Oci && !blob.annotations.is_empty() {
            value["annotations"] = json!(blob.annotations);
        }
        value
    };
    let layers: Vec<Value> =
        layers.iter().map(|layer| descriptor(layer, &layer.media_type)).collect();
    let mut value = json!({
        "schemaVersion": 2,
        "mediaType": to.manifest(),
        "config": descriptor(&manifest.config, to.config()),
        "layers": layers,
    });
    if to == Dialect::Oci
        && let Some(annotations) = parsed(bytes)?.get("annotations").filter(|own| !own.is_null())
    {
        value["annotations"] = annotations.clone();
    }
    Ok(value)
}

fn parsed(bytes: &[u8]) -> Result<Value> {
    serde_json::from_slice(bytes)
        .map_err(|error| Error::new(Kind::Corrupt, format!("parse manifest: {error}")))
}

fn written(value: &Value) -> Result<Vec<u8>> {
    serde_json::to_vec(value)
        .map_err(|error| Error::new(Kind::Internal, "write a manifest").because(error))
}

/// A place's blobs and those that conversions made of them.
#[derive(Debug)]
pub(crate) struct Converted {
    pub(crate) base: Arc<dyn Origin>,
    pub(crate) spools: Spools,
}

impl Origin for Converted {
    fn blob(&self, descriptor: &Descriptor, offset: u64) -> Result<Box<dyn Read + Send>> {
        match self.spools.files.get(&descriptor.digest) {
            Some(Spool(file)) => Ok(Box::new(Spooled { file: Arc::clone(file), at: offset })),
            None => self.base.blob(descriptor, offset),
        }
    }

    fn is_verified(&self, descriptor: &Descriptor) -> bool {
        // A spool was described from its own bytes.
        self.spools.files.contains_key(&descriptor.digest) || self.base.is_verified(descriptor)
    }

    fn manifest(&self, descriptor: &Descriptor) -> Result<Vec<u8>> {
        self.base.manifest(descriptor)
    }
}

/// A spool from some place on.
struct Spooled {
    file: Arc<File>,
    at: u64,
}

impl Read for Spooled {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(buffer, self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}
