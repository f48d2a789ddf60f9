//! An OCI image layout in a directory, being written (OCI image specification 1.1.1).
//!
//! Blobs get their names when they are whole; then `index.json` is replaced, under a lock, so that
//! several copies into one layout all find themselves there.

use super::{
    landing::{Landing, Taken},
    target::{Content, Role, Target, pour},
};
use crate::layout::{REF_NAME, blob_path};
use dhow_base::{
    Digest, Doing, Error, Kind, Result,
    file::{self, Durability},
};
use dhow_distribution::Arrival;
use dhow_spec::image::{Descriptor, MANIFEST_LIMIT_BYTES, media_type};
use rustix::fs::{FlockOperation, Mode, OFlags};
use serde_json::{Value, json};
use std::{
    collections::HashSet,
    fs,
    io::Write,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

const DIRECTORY_MODE: u32 = 0o755;
const FILE_MODE: u32 = 0o644;

/// The layout and the name that is written there.
#[derive(Debug)]
pub(crate) struct LayoutTarget {
    path: PathBuf,
    /// Where blobs are, if not in the layout itself.
    blobs: Option<PathBuf>,
    name: Option<String>,
    /// Shared by all copies into this layout: while it is held, nobody removes blobs.
    guard: OwnedFd,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    made: Vec<Digest>,
    made_layout: bool,
    finished: bool,
}

impl LayoutTarget {
    /// Opens the layout, making it where there is none.
    pub(crate) fn open(path: &Path, blobs: Option<&Path>, name: Option<&str>) -> Result<Self> {
        let doing = || format!("open image layout {}", path.display());
        let made_layout = prepare(path).doing(doing)?;
        let directory = path.join("blobs");
        file::make_directories(&directory, DIRECTORY_MODE).doing(doing)?;
        Ok(Self {
            guard: lock(&directory, FlockOperation::LockShared).doing(doing)?,
            path: path.to_owned(),
            blobs: blobs.map(Path::to_owned),
            name: name.map(str::to_owned),
            state: Mutex::new(State { made_layout, ..State::default() }),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn blob(&self, digest: &Digest) -> PathBuf {
        match &self.blobs {
            Some(shared) => shared.join(digest.algorithm().name()).join(digest.hex()),
            None => self.path.join(blob_path(digest)),
        }
    }

    fn store(
        &self,
        digest: &Digest,
        write: impl FnOnce(&mut dyn Write) -> Result<()>,
    ) -> Result<()> {
        let path = self.blob(digest);
        if let Some(parent) = path.parent() {
            file::make_directories(parent, DIRECTORY_MODE)?;
        }
        let landing = Landing::begin(&path)?;
        write(&mut landing.file())?;
        if self.blobs.is_none() {
            self.state().made.push(digest.clone());
        }
        landing.land(Taken::Keep)
    }

    /// Puts entries into the index in the place of those that had their names.
    fn list(&self, descriptor: &Descriptor, names: &[Option<&str>]) -> Result<()> {
        let _lock = lock(&self.path, FlockOperation::LockExclusive)?;
        let mut index = index_at(&self.path)?;
        for name in names {
            put_entry(&mut index, descriptor, *name)?;
        }
        let bytes = serde_json::to_vec(&index)
            .map_err(|error| Error::new(Kind::Internal, "write index.json").because(error))?;
        let path = self.path.join("index.json");
        file::write_atomically(&path, &bytes, FILE_MODE, Durability::Cached)
    }
}

/// What `oci-layout` says.
pub(crate) const LAYOUT: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;

/// Adds an entry to an index, in the place of the one that had its name.
pub(crate) fn put_entry(
    index: &mut Value,
    descriptor: &Descriptor,
    name: Option<&str>,
) -> Result<()> {
    let Some(manifests) = index["manifests"].as_array_mut() else {
        return Err(Error::new(Kind::Corrupt, "read index.json: it has no list of manifests"));
    };
    let mut entry =
        Descriptor::new(&descriptor.media_type, descriptor.digest.clone(), descriptor.size);
    if let Some(name) = name {
        entry.annotations.insert(REF_NAME.to_owned(), name.to_owned());
    }
    let entry = json!(entry);
    let own_name = |entry: &Value| entry["annotations"][REF_NAME].as_str().map(str::to_owned);
    let same = |other: &Value| match name {
        Some(name) => own_name(other).as_deref() == Some(name),
        None => own_name(other).is_none() && other["digest"] == entry["digest"],
    };
    match manifests.iter_mut().find(|other| same(other)) {
        Some(other) => *other = entry,
        None => manifests.push(entry),
    }
    Ok(())
}

impl Target for LayoutTarget {
    fn has(&self, blob: &Descriptor) -> Result<bool> {
        Ok(has_file(&self.blob(&blob.digest), blob.size))
    }

    fn put(&self, content: &Content) -> Result<Arrival> {
        let digest = &content.descriptor.digest;
        self.store(digest, |file| pour(&mut content.verified()?, file).map(drop))
            .doing(|| format!("write blob {digest} to {}", self.path.display()))?;
        Ok(Arrival::Sent)
    }

    fn put_manifest(&self, descriptor: &Descriptor, bytes: &[u8], role: Role<'_>) -> Result<()> {
        let doing = || format!("write manifest {} to {}", descriptor.digest, self.path.display());
        self.store(&descriptor.digest, |file| file.write_all(bytes).doing(|| "write it"))
            .doing(doing)?;
        let Role::Top(more) = role else { return Ok(()) };
        let mut names: Vec<Option<&str>> = more.iter().map(|name| Some(name.as_str())).collect();
        if self.name.is_some() || names.is_empty() {
            names.insert(0, self.name.as_deref());
        }
        self.list(descriptor, &names).doing(doing)?;
        self.state().finished = true;
        Ok(())
    }
}

impl Drop for LayoutTarget {
    /// Takes away what a copy made that failed, unless others may be using it by now. The copy's
    /// own error is the one to tell.
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        let alone = FlockOperation::NonBlockingLockExclusive;
        if state.finished || rustix::fs::flock(&self.guard, alone).is_err() {
            return;
        }
        let needed = index_at(&self.path).map_or_else(
            |_| HashSet::new(),
            |index| reachable(&self.path, index["manifests"].as_array().map_or(&[], Vec::as_slice)),
        );
        for digest in state.made.iter().filter(|digest| !needed.contains(digest.as_str())) {
            let _removed = file::remove_if_there(&self.path.join(blob_path(digest)));
        }
        if state.made_layout && needed.is_empty() && !self.path.join("index.json").exists() {
            let _removed = file::remove_if_there(&self.path.join("oci-layout"));
            for directory in ["blobs/sha256", "blobs/sha512", "blobs", ""] {
                let _removed = fs::remove_dir(self.path.join(directory));
            }
        }
    }
}

/// Makes a layout where there is none; says whether it did.
fn prepare(path: &Path) -> Result<bool> {
    file::make_directories(path, DIRECTORY_MODE)?;
    let layout = path.join("oci-layout");
    if layout.exists() {
        return Ok(false);
    }
    let mut entries = fs::read_dir(path).doing(|| format!("list {}", path.display()))?;
    // A layout that another copy makes at this moment is fine; a stranger's directory is not.
    let is_ours = |name: &std::ffi::OsStr| {
        let name = name.to_string_lossy();
        name == "oci-layout" || name == "blobs" || file::is_leftover(&name)
    };
    if entries.any(|entry| entry.is_ok_and(|entry| !is_ours(&entry.file_name()))) {
        return Err(Error::new(Kind::Conflict, "the directory holds something else"));
    }
    file::write_atomically(&layout, LAYOUT, FILE_MODE, Durability::Cached)?;
    Ok(true)
}

/// A layout's `index.json` with all its fields; an empty one where there is none.
fn index_at(path: &Path) -> Result<Value> {
    let path = path.join("index.json");
    match file::read_limited(&path, MANIFEST_LIMIT_BYTES) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| {
            Error::new(Kind::Corrupt, format!("parse {}: {error}", path.display()))
        }),
        Err(error) if error.kind() == Kind::NotFound => {
            Ok(json!({"schemaVersion": 2, "manifests": []}))
        }
        Err(error) => Err(error),
    }
}

/// Is there a file of this size? It got its name when it was whole.
pub(crate) fn has_file(path: &Path, size: u64) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.is_file() && found.len() == size)
}

/// Waits for a directory's lock, which the kernel takes back from whoever dies.
fn lock(directory: &Path, operation: FlockOperation) -> Result<OwnedFd> {
    let doing = || format!("lock {}", directory.display());
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let fd = rustix::fs::open(directory, flags, Mode::empty()).doing(doing)?;
    loop {
        match rustix::fs::flock(&fd, operation) {
            Err(rustix::io::Errno::INTR) => {}
            result => return result.map(|()| fd).doing(doing),
        }
    }
}

/// Takes a name's entry out of a layout's index, and the blobs that nothing else there needs.
pub(crate) fn delete(path: &Path, name: Option<&str>) -> Result<()> {
    let _alone = lock(&path.join("blobs"), FlockOperation::LockExclusive)?;
    let _lock = lock(path, FlockOperation::LockExclusive)?;
    let mut index = index_at(path)?;
    let Some(manifests) = index["manifests"].as_array_mut() else {
        return Err(Error::new(Kind::Corrupt, "read index.json: it has no list of manifests"));
    };
    let before = manifests.len();
    manifests.retain(|entry| match name {
        Some(name) => entry["annotations"][REF_NAME] != name,
        None => before != 1,
    });
    if manifests.len() == before {
        return Err(match name {
            Some(name) => Error::new(Kind::NotFound, format!("it holds no image called {name}")),
            None => Error::new(Kind::Invalid, "it holds none or several images: name one"),
        });
    }
    let needed = reachable(path, manifests);
    let bytes = serde_json::to_vec(&index)
        .map_err(|error| Error::new(Kind::Internal, "write index.json").because(error))?;
    let target = path.join("index.json");
    file::write_atomically(&target, &bytes, FILE_MODE, Durability::Cached)?;
    sweep(path, &needed)
}

/// The blobs to which these entries lead. What cannot be read leads nowhere.
fn reachable(path: &Path, entries: &[Value]) -> HashSet<String> {
    let mut needed = HashSet::new();
    let mut next: Vec<Value> = entries.to_vec();
    while let Some(entry) = next.pop() {
        let Some(Ok(digest)) = entry["digest"].as_str().map(str::parse::<Digest>) else { continue };
        let kind = entry["mediaType"].as_str().unwrap_or_default();
        if !needed.insert(digest.to_string())
            || !(media_type::is_index(kind) || media_type::is_manifest(kind))
        {
            continue;
        }
        let Ok(bytes) = file::read_limited(&path.join(blob_path(&digest)), MANIFEST_LIMIT_BYTES)
        else {
            continue;
        };
        let Ok(document) = serde_json::from_slice::<Value>(&bytes) else { continue };
        for list in ["manifests", "layers"] {
            next.extend(document[list].as_array().into_iter().flatten().cloned());
        }
        next.extend(document.get("config").cloned());
    }
    needed
}

fn sweep(path: &Path, needed: &HashSet<String>) -> Result<()> {
    for algorithm in ["sha256", "sha512"] {
        let directory = path.join("blobs").join(algorithm);
        let Ok(entries) = fs::read_dir(&directory) else { continue };
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if !needed.contains(&format!("{algorithm}:{name}")) {
                file::remove_if_there(&entry.path())?;
            }
        }
    }
    Ok(())
}
