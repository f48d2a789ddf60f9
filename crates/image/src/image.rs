//! An image that is here, and how it is found.
//!
//! Finding is on the way of every start, so it asks a few indexed queries and opens no file but the
//! one that says which snapshot driver is in use.

use crate::{Images, names};
use dhow_base::{Digest, Doing, Error, Kind, Result, clock::Moment};
use dhow_snapshot::{Number, Snapshots};
use dhow_spec::{Mount, image::ImageConfig};
use dhow_state::{
    Read, State,
    images::{self, Image as Row},
};
use std::sync::Arc;

/// A whole image.
#[derive(Clone, Debug)]
pub struct Image {
    /// The digest of its manifest.
    pub manifest: Digest,
    /// The media type of its manifest.
    pub media_type: String,
    /// Its id: the digest of its configuration.
    pub id: Digest,
    /// The complete names that lead to it, those with digests too.
    pub names: Vec<String>,
    /// What to run, and which layers it has.
    pub config: ImageConfig,
    /// The configuration as it was published.
    pub config_json: String,
    /// The bytes of its layers, uncompressed.
    pub size: u64,
    /// When it was pulled.
    pub pulled: Moment,
    /// Its snapshots, the uppermost first.
    pub(crate) chain: Vec<Number>,
    pub(crate) snapshots: Arc<dyn Snapshots>,
}

impl Image {
    /// When the image was made, where it says so in a form that can be read.
    pub fn created(&self) -> Option<Moment> {
        moment(self.config.created.as_deref())
    }

    /// Its root filesystem, for reading only.
    pub fn view(&self) -> Result<Mount> {
        self.snapshots.view(&self.chain).doing(|| format!("look into image {}", self.id.short()))
    }
}

/// What a list shows of a whole image. Any number of them costs one query, and no configuration is
/// read or parsed for it.
#[derive(Clone, Debug)]
pub struct Outline {
    /// The digest of its manifest.
    pub manifest: Digest,
    /// Its id: the digest of its configuration.
    pub id: Digest,
    /// The complete names that lead to it, those with digests too.
    pub names: Vec<String>,
    /// The bytes of its layers, uncompressed.
    pub size: u64,
    created: Option<String>,
}

impl Outline {
    /// As [`Image::created`].
    pub fn created(&self) -> Option<Moment> {
        moment(self.created.as_deref())
    }
}

fn moment(created: Option<&str>) -> Option<Moment> {
    created.and_then(|text| Moment::parse(text).ok())
}

impl Images {
    /// The image that `text` means: a name as in docker, an id or its beginning, or a digest.
    pub fn find(&self, state: &State, text: &str) -> Result<Option<Image>> {
        let read = state.read();
        match self.find_row(read, text)? {
            Some(row) => self.image(read, row).map(Some),
            None => Ok(None),
        }
    }

    /// As [`Images::find`], where a missing image is an error.
    pub fn look_up(&self, state: &State, text: &str) -> Result<Image> {
        self.find(state, text)?.ok_or_else(|| missing(text))
    }

    /// All images, the newest first.
    pub fn list(&self, state: &State) -> Result<Vec<Image>> {
        let read = state.read();
        images::list(read)?.into_iter().map(|row| self.image(read, row)).collect()
    }

    /// All images in outline, in the order of [`Images::list`].
    pub fn outlines(&self, state: &State) -> Result<Vec<Outline>> {
        let rows = images::outlines(state.read())?.into_iter();
        let outline = |row: images::Outline| Outline {
            manifest: row.manifest,
            id: row.config,
            names: row.names,
            size: row.size,
            created: row.created,
        };
        Ok(rows.map(outline).collect())
    }

    pub(crate) fn find_row(&self, read: &Read, text: &str) -> Result<Option<Row>> {
        let by_name = match names::candidates(text) {
            Ok(candidates) => self.first_named(read, text, &candidates)?,
            // What is no name may still be an id.
            Err(error) if by_hex(text).is_none() => return Err(error),
            Err(_) => None,
        };
        match (by_name, by_hex(text)) {
            (None, Some(hex)) => row_by_hex(read, text, hex),
            (found, _) => Ok(found),
        }
    }

    fn first_named(&self, read: &Read, text: &str, candidates: &[String]) -> Result<Option<Row>> {
        for name in candidates {
            if let Some(row) = images::find_by_name(read, name)? {
                return Ok(Some(row));
            }
        }
        if !names::is_short(text) {
            return Ok(None);
        }
        // Only now is it worth reading registries.conf, which may know the short name.
        for reference in self.client()?.candidates(text)?.references {
            if let Some(row) = images::find_by_name(read, &names::key(&reference))? {
                return Ok(Some(row));
            }
        }
        Ok(None)
    }

    pub(crate) fn image(&self, read: &Read, row: Row) -> Result<Image> {
        let mut chain: Vec<Number> =
            images::chain(read, &row.manifest)?.into_iter().map(Number).collect();
        chain.reverse();
        let config = ImageConfig::parse(row.config_json.as_bytes())
            .doing(|| format!("read the configuration of image {}", row.config.short()))?;
        Ok(Image {
            names: images::names(read, &row.manifest)?,
            manifest: row.manifest,
            media_type: row.media_type,
            id: row.config,
            config,
            config_json: row.config_json,
            size: row.size,
            pulled: row.pulled,
            chain,
            snapshots: Arc::clone(self.snapshots()?),
        })
    }
}

fn row_by_hex(read: &Read, text: &str, hex: &str) -> Result<Option<Row>> {
    let found = images::find_by_hex(read, hex, 8)?;
    let Some(first) = found.first() else { return Ok(None) };
    // Several manifests of one configuration are the same image to the user.
    if found.iter().all(|row| row.config == first.config) {
        return Ok(found.into_iter().next());
    }
    Err(Error::new(Kind::Conflict, format!("{text} begins more than one image id"))
        .hint("give more digits"))
}

/// The hex digits of an id or digest, or of its beginning.
pub(crate) fn by_hex(text: &str) -> Option<&str> {
    let hex = text.strip_prefix("sha256:").unwrap_or(text);
    let is_hex = hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    (is_hex && !hex.is_empty() && hex.len() <= 64).then_some(hex)
}

pub(crate) fn missing(text: &str) -> Error {
    Error::new(Kind::NotFound, format!("no such image: {text}"))
        .hint("`dhow images` lists what is here, `dhow pull` fetches more")
}
