//! An image that is made here, of one layer that the caller writes.
//!
//! It goes the way of every other image: real digests, verified while it is stored and unpacked.

use crate::{
    Image, Images, names,
    origin::{Found, Origin},
    progress::Silent,
    tarfile::nameless,
};
use dhow_archive::Measured;
use dhow_base::{Digest, Doing, Error, Kind, Result, digest::Algorithm};
use dhow_spec::image::{Descriptor, ImageConfig, Manifest, media_type};
use dhow_state::State;
use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, BufWriter, Read, Write},
    os::unix::fs::FileExt,
    sync::Arc,
};

/// What an image made here is called and what it runs.
#[derive(Clone, Debug)]
pub struct LocalImage {
    /// Its name; without a registry it is one of `localhost/`. Without a name it is found by its id.
    pub name: Option<String>,
    /// Its configuration. The layers named there are replaced by the one that is written.
    pub config: ImageConfig,
}

impl Images {
    /// Makes an image of a configuration and one uncompressed layer, a tar stream that `layer`
    /// writes. One that is here already only gets the name.
    pub fn create(
        &self,
        state: &mut State,
        local: &LocalImage,
        layer: &mut dyn FnMut(&mut dyn Write) -> Result<()>,
    ) -> Result<Image> {
        let shown = local.name.as_deref().unwrap_or("without a name");
        let doing = || format!("create image {shown}");
        let name = local.name.as_deref().map(names::given).transpose()?;
        let Written { file, size, diff_id } = self.write_layer(layer).doing(doing)?;
        let config = ImageConfig {
            rootfs: dhow_spec::image::RootFs {
                kind: "layers".to_owned(),
                diff_ids: vec![diff_id.clone()],
            },
            ..local.config.clone()
        };
        let layer = Descriptor::new(media_type::OCI_LAYER, diff_id, size);
        let names = name.iter().map(names::key).collect();
        let found = made(&config, layer, file, names).doing(doing)?;
        self.take(state, shown, &found, &config.platform(), &Silent).doing(doing)
    }

    /// Writes the layer into a file without a name.
    pub(crate) fn write_layer(
        &self,
        layer: &mut dyn FnMut(&mut dyn Write) -> Result<()>,
    ) -> Result<Written> {
        let file = nameless(&self.store.root().join("ingest"))?;
        let mut measured = Measured::new(BufWriter::new(file), Algorithm::Sha256);
        layer(&mut measured)?;
        let (buffered, size, diff_id) = measured.finish();
        let file = buffered
            .into_inner()
            .map_err(io::IntoInnerError::into_error)
            .doing(|| "write the layer")?;
        Ok(Written { file, size, diff_id })
    }
}

/// A layer that was written, uncompressed.
pub(crate) struct Written {
    pub(crate) file: File,
    pub(crate) size: u64,
    pub(crate) diff_id: Digest,
}

fn made(config: &ImageConfig, layer: Descriptor, file: File, names: Vec<String>) -> Result<Found> {
    let json = |error| Error::new(Kind::Internal, "write the image's documents").because(error);
    let config_bytes = serde_json::to_vec(config).map_err(json)?;
    let config = Descriptor::of(media_type::OCI_CONFIG, &config_bytes);
    let layer_digest = layer.digest.clone();
    let manifest = Manifest {
        schema_version: 2,
        media_type: Some(media_type::OCI_MANIFEST.to_owned()),
        artifact_type: None,
        config,
        layers: vec![layer],
        subject: None,
        annotations: BTreeMap::new(),
    };
    let bytes = serde_json::to_vec(&manifest).map_err(json)?;
    Ok(Found {
        manifest: Descriptor::of(media_type::OCI_MANIFEST, &bytes),
        bytes,
        names,
        origin: Arc::new(Made {
            config: config_bytes,
            config_digest: manifest.config.digest,
            layer: Arc::new(file),
            layer_digest,
        }),
    })
}

/// The two blobs of an image made here.
#[derive(Debug)]
struct Made {
    config: Vec<u8>,
    config_digest: Digest,
    layer: Arc<File>,
    layer_digest: Digest,
}

impl Origin for Made {
    fn blob(&self, descriptor: &Descriptor, offset: u64) -> Result<Box<dyn Read + Send>> {
        if descriptor.digest == self.layer_digest {
            return Ok(from(&self.layer, offset));
        }
        if descriptor.digest == self.config_digest {
            let start = usize::try_from(offset).unwrap_or(usize::MAX).min(self.config.len());
            return Ok(Box::new(io::Cursor::new(self.config[start..].to_vec())));
        }
        Err(Error::new(Kind::NotFound, format!("find blob {}", descriptor.digest)))
    }
}

/// What is in a shared file from some place on.
pub(crate) fn from(file: &Arc<File>, offset: u64) -> Box<dyn Read + Send> {
    Box::new(From { file: Arc::clone(file), at: offset })
}

/// A shared file from some place on.
struct From {
    file: Arc<File>,
    at: u64,
}

impl Read for From {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(buffer, self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}
