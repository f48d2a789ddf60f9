//! `dir:`, one image as files: `manifest.json`, each blob under its hex digits, and `version`.
//!
//! ```text
//! version                  Directory Transport Version: 1.1
//! manifest.json            the manifest or index
//! <hex>.manifest.json      a manifest of the index
//! <hex>                    a blob (sha512-<hex> for the other algorithm)
//! signature-1 …            signatures
//! ```
//!
//! Written, `manifest.json` is replaced when everything else is there; then what the directory held
//! before goes. What a copy made that failed is taken away again.

use super::{
    landing::{Landing, Taken},
    layout_target::has_file,
    target::{Content, Role, Target, pour},
};
use crate::{
    origin::{Opened, Origin},
    plan::{check_content, digest_like},
    tarfile::regular_file,
};
use dhow_base::{
    Digest, Doing, Error, Kind, Result,
    digest::Algorithm,
    file::{self, Durability},
};
use dhow_distribution::Arrival;
use dhow_spec::image::{Descriptor, MANIFEST_LIMIT_BYTES, media_type};
use serde::Deserialize;
use std::{
    collections::HashSet,
    fs,
    io::{Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

const VERSION: &[u8] = b"Directory Transport Version: 1.1\n";
const VERSION_BEGINS: &[u8] = b"Directory Transport Version: ";
const FILE_MODE: u32 = 0o644;
const SIGNATURES_LIMIT: usize = 64;
const SIGNATURE_LIMIT_BYTES: u64 = 4 << 20;

fn blob_name(digest: &Digest) -> String {
    match digest.algorithm() {
        Algorithm::Sha256 => digest.hex().to_owned(),
        other => format!("{}-{}", other.name(), digest.hex()),
    }
}

fn manifest_name(digest: &Digest) -> String {
    format!("{}.manifest.json", blob_name(digest))
}

/// The media type that a manifest's bytes claim, or that their fields mean.
pub(crate) fn media_type_of(bytes: &[u8]) -> Result<String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Told {
        media_type: Option<String>,
        manifests: Option<serde::de::IgnoredAny>,
    }
    let told: Told = serde_json::from_slice(bytes)
        .map_err(|error| Error::new(Kind::Corrupt, format!("parse manifest: {error}")))?;
    Ok(told.media_type.unwrap_or_else(|| {
        let usual =
            if told.manifests.is_some() { media_type::OCI_INDEX } else { media_type::OCI_MANIFEST };
        usual.to_owned()
    }))
}

/// What `manifest.json` is.
pub(crate) fn top_of(bytes: &[u8]) -> Result<Descriptor> {
    Ok(Descriptor::of(&media_type_of(bytes)?, bytes))
}

/// Opens the image in a directory.
pub(crate) fn open(path: &Path) -> Result<Opened> {
    let doing = || format!("read image directory {}", path.display());
    let bytes = file::read_limited(&path.join("manifest.json"), MANIFEST_LIMIT_BYTES)
        .map_err(|error| {
            if error.kind() == Kind::NotFound {
                error.hint(format!("{} holds no image as `dir:` has it", path.display()))
            } else {
                error
            }
        })
        .doing(doing)?;
    let top = top_of(&bytes).doing(doing)?;
    let origin = Arc::new(Directory(path.to_owned()));
    Ok(Opened { signatures: signatures(path).doing(doing)?, ..Opened::new(top, bytes, origin) })
}

fn signatures(path: &Path) -> Result<Vec<Vec<u8>>> {
    let mut found = Vec::new();
    for number in 1..=SIGNATURES_LIMIT {
        match file::read_limited(&path.join(format!("signature-{number}")), SIGNATURE_LIMIT_BYTES) {
            Ok(bytes) => found.push(bytes),
            Err(error) if error.kind() == Kind::NotFound => break,
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// A directory's blobs.
#[derive(Debug)]
struct Directory(PathBuf);

impl Origin for Directory {
    fn blob(&self, descriptor: &Descriptor, offset: u64) -> Result<Box<dyn Read + Send>> {
        let path = self.0.join(blob_name(&descriptor.digest));
        let mut file = regular_file(&path)?;
        file.seek(SeekFrom::Start(offset)).doing(|| format!("seek in {}", path.display()))?;
        Ok(Box::new(file))
    }

    fn manifest(&self, descriptor: &Descriptor) -> Result<Vec<u8>> {
        let path = self.0.join(manifest_name(&descriptor.digest));
        let bytes = file::read_limited(&path, MANIFEST_LIMIT_BYTES)?;
        check_content(descriptor, &bytes).doing(|| format!("read {}", path.display()))?;
        Ok(bytes)
    }
}

/// The digest of the image that a directory holds; none where it holds none.
pub(crate) fn digest_at(path: &Path, like: &Digest) -> Option<Digest> {
    let bytes = file::read_limited(&path.join("manifest.json"), MANIFEST_LIMIT_BYTES).ok()?;
    Some(digest_like(like, &bytes))
}

/// A directory that is being written.
#[derive(Debug)]
pub(crate) struct DirectoryTarget {
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// The names that belong to this image.
    wanted: HashSet<String>,
    /// The files that we made, until the copy is done.
    made: Vec<PathBuf>,
    made_directory: bool,
    finished: bool,
}

impl DirectoryTarget {
    /// Opens a directory that is new, empty or holds an image already.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let doing = || format!("open image directory {}", path.display());
        let made_directory = !path.exists();
        file::make_directories(path, 0o755).doing(doing)?;
        if !made_directory {
            Self::check(path).doing(doing)?;
        }
        let state =
            State { wanted: HashSet::new(), made: Vec::new(), made_directory, finished: false };
        let target = Self { path: path.to_owned(), state: Mutex::new(state) };
        target.write("version", VERSION).doing(doing)?;
        Ok(target)
    }

    /// What is in the way must be an image, so that nobody's files are lost.
    fn check(path: &Path) -> Result<()> {
        let mut entries = fs::read_dir(path).doing(|| "list it")?;
        if entries.next().is_none() {
            return Ok(());
        }
        match file::read_limited(&path.join("version"), 256) {
            Ok(bytes) if bytes.starts_with(VERSION_BEGINS) => Ok(()),
            _ => Err(Error::new(Kind::Conflict, "it is not empty and holds no image")
                .hint("name another directory, or empty this one")),
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let path = self.path.join(name);
        self.note(name);
        file::write_atomically(&path, bytes, FILE_MODE, Durability::Cached)
    }

    /// Remembers a file as ours before it is made.
    fn note(&self, name: &str) {
        let path = self.path.join(name);
        let mut state = self.state();
        state.wanted.insert(name.to_owned());
        if !path.exists() {
            state.made.push(path);
        }
    }

    /// Takes away what the directory held of an earlier image.
    fn sweep(&self) -> Result<()> {
        let wanted = std::mem::take(&mut self.state().wanted);
        let entries = fs::read_dir(&self.path).doing(|| "list it")?;
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if !wanted.contains(&name) && is_of_an_image(&name) {
                file::remove_if_there(&entry.path())?;
            }
        }
        Ok(())
    }
}

/// Is this a name as images have them? Others may lie there too and are not ours.
fn is_of_an_image(name: &str) -> bool {
    let stem = name.strip_suffix(".manifest.json").unwrap_or(name);
    let hex = stem.strip_prefix("sha512-").unwrap_or(stem);
    let is_hex = matches!(hex.len(), 64 | 128) && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hex || name.starts_with("signature-")
}

impl Target for DirectoryTarget {
    fn has(&self, blob: &Descriptor) -> Result<bool> {
        let name = blob_name(&blob.digest);
        let there = has_file(&self.path.join(&name), blob.size);
        if there {
            self.state().wanted.insert(name);
        }
        Ok(there)
    }

    fn put(&self, content: &Content) -> Result<Arrival> {
        let name = blob_name(&content.descriptor.digest);
        let path = self.path.join(&name);
        let write = || {
            let landing = Landing::begin(&path)?;
            pour(&mut content.verified()?, &mut landing.file())?;
            self.note(&name);
            landing.land(Taken::Replace)
        };
        write().doing(|| format!("write {}", path.display()))?;
        Ok(Arrival::Sent)
    }

    fn put_manifest(&self, descriptor: &Descriptor, bytes: &[u8], role: Role<'_>) -> Result<()> {
        match role {
            Role::Member => self.write(&manifest_name(&descriptor.digest), bytes),
            Role::Top(_) => {
                self.write("manifest.json", bytes)?;
                // From here on the directory holds the image, whatever happens.
                self.state().finished = true;
                self.sweep().doing(|| format!("tidy image directory {}", self.path.display()))
            }
        }
    }

    fn put_signatures(&self, signatures: &[Vec<u8>]) -> Result<()> {
        for (number, signature) in signatures.iter().enumerate() {
            self.write(&format!("signature-{}", number + 1), signature)?;
        }
        Ok(())
    }
}

impl Drop for DirectoryTarget {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        if state.finished {
            return;
        }
        // The copy's own error is the one to tell.
        for path in &state.made {
            let _removed = file::remove_if_there(path);
        }
        if state.made_directory {
            let _removed = fs::remove_dir(&self.path);
        }
    }
}
