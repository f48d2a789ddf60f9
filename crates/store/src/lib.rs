//! Content by digest: an OCI image layout on disk (OCI image specification 1.1.1, image layout).
//!
//! ```text
//! content/
//!   oci-layout           {"imageLayoutVersion":"1.0.0"}
//!   index.json           the images by name, for tools that read layouts
//!   blobs/<alg>/<hex>    whole and verified, always
//!   ingest/<alg>-<hex>   on the way; its length is how much has come
//! ```
//!
//! A blob appears under its name only by a rename, after its size and digest were checked, so
//! whoever finds a blob may trust that it once was right. A file in `ingest` is locked with
//! `flock` by the one process that writes it; the lock dies with its holder and the file is then
//! there to be resumed.
//!
//! The store knows no database, no images and no formats. Who needs what, and what may go, is
//! decided by its caller; writes do not wait for the disk, the caller syncs when it is done.

mod ingest;

use dhow_base::{
    Digest, Doing, Error, Kind, Result,
    digest::{Algorithm, Hasher},
    file::{self, Durability},
};
use dhow_spec::image::Index;
pub use ingest::{Ingest, Intake, RESUMABLE_BYTES};
use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

const LAYOUT: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;
const DIRECTORY_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

/// A directory of blobs.
#[derive(Clone, Debug)]
pub struct Store {
    root: PathBuf,
}

/// A file that [`Store::list`] came upon.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Found {
    /// A whole blob and its size.
    Blob(Digest, u64),
    /// A blob on its way and how much of it has come.
    Partial(Digest, u64),
    /// Something that the store did not make.
    Stray(PathBuf),
}

impl Store {
    /// The store at `root`. Touches nothing: directories are made by the first write.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The directory, an image layout.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where this blob is, if it is there.
    pub fn path(&self, digest: &Digest) -> PathBuf {
        self.root.join("blobs").join(digest.algorithm().name()).join(digest.hex())
    }

    /// Where what has come of this blob is, while it is on its way.
    pub fn partial(&self, digest: &Digest) -> PathBuf {
        let name = format!("{}-{}", digest.algorithm().name(), digest.hex());
        self.root.join("ingest").join(name)
    }

    /// The size of a whole blob; `None` where it is not there.
    pub fn size(&self, digest: &Digest) -> Result<Option<u64>> {
        let path = self.path(digest);
        match fs::symlink_metadata(&path) {
            Ok(metadata) => Ok(Some(metadata.len())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).doing(|| format!("look at {}", path.display())),
        }
    }

    /// Is the whole blob there?
    pub fn has(&self, digest: &Digest) -> Result<bool> {
        Ok(self.size(digest)?.is_some())
    }

    /// Opens a whole blob. What is read was right when it was stored; it is not hashed again.
    pub fn open(&self, digest: &Digest) -> Result<File> {
        let path = self.path(digest);
        File::open(&path).doing(|| format!("open blob {digest}"))
    }

    /// Reads a small blob and proves that it still has its digest.
    pub fn read(&self, digest: &Digest, limit_bytes: u64) -> Result<Vec<u8>> {
        let bytes = file::read_limited(&self.path(digest), limit_bytes)
            .doing(|| format!("read blob {digest}"))?;
        let mut hasher = Hasher::new(digest.algorithm());
        hasher.update(&bytes);
        let actual = hasher.finish();
        if actual == *digest {
            Ok(bytes)
        } else {
            Err(Error::new(Kind::Corrupt, format!("read blob {digest}: its content has {actual}"))
                .hint("the disk has changed it; remove the image and pull it again"))
        }
    }

    /// Starts to take a blob in, or goes on where an earlier attempt ended.
    ///
    /// Waits while another process takes in the same blob; then it is usually [`Intake::Present`].
    pub fn ingest(&self, digest: &Digest, size: u64) -> Result<Intake> {
        self.prepare(digest.algorithm())?;
        ingest::begin(self, digest, size).doing(|| format!("store blob {digest}"))
    }

    /// Takes in a blob that is in memory. One that is there already is fine.
    pub fn put(&self, digest: &Digest, bytes: &[u8]) -> Result<()> {
        match self.ingest(digest, bytes.len() as u64)? {
            Intake::Present => Ok(()),
            Intake::Wanted(mut ingest) => {
                ingest.restart()?;
                ingest.append(bytes)?;
                ingest.commit()
            }
        }
    }

    /// Removes a blob and whatever has come of it, if `condemned` still says so once nobody else
    /// can be taking it in.
    pub fn remove(
        &self,
        digest: &Digest,
        condemned: impl FnOnce() -> Result<bool>,
    ) -> Result<bool> {
        self.prepare(digest.algorithm())?;
        let held = ingest::lock(self, digest)?;
        if !condemned()? {
            held.release_if_empty()?;
            return Ok(false);
        }
        file::remove_if_there(&self.path(digest))?;
        held.unlink()?;
        Ok(true)
    }

    /// Every file below `blobs` and `ingest`, in order.
    pub fn list(&self) -> Result<Vec<Found>> {
        let mut found = Vec::new();
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            let directory = self.root.join("blobs").join(algorithm.name());
            for (path, name, size) in files(&directory)? {
                found.push(match format!("{}:{name}", algorithm.name()).parse() {
                    Ok(digest) => Found::Blob(digest, size),
                    Err(_) => Found::Stray(path),
                });
            }
        }
        for (path, name, size) in files(&self.root.join("ingest"))? {
            found.push(match name.replacen('-', ":", 1).parse() {
                Ok(digest) => Found::Partial(digest, size),
                Err(_) => Found::Stray(path),
            });
        }
        found.sort();
        Ok(found)
    }

    /// Hashes a whole blob again, for those who doubt the disk.
    pub fn verify(&self, digest: &Digest) -> Result<()> {
        let mut file = self.open(digest)?;
        let mut hasher = Hasher::new(digest.algorithm());
        io::copy(&mut file, &mut hasher).doing(|| format!("read blob {digest}"))?;
        let actual = hasher.finish();
        if actual == *digest {
            return Ok(());
        }
        Err(Error::new(Kind::Corrupt, format!("blob {digest} has the content of {actual}")))
    }

    /// Writes `index.json`, the table of contents for other tools; dhow does not read it.
    pub fn write_index(&self, index: &Index) -> Result<()> {
        self.prepare(Algorithm::Sha256)?;
        let bytes = serde_json::to_vec(index)
            .map_err(|error| Error::new(Kind::Internal, "write index.json").because(error))?;
        file::write_atomically(&self.root.join("index.json"), &bytes, FILE_MODE, Durability::Cached)
    }

    /// Makes its directories where they are missing, as whoever writes a blob does.
    pub fn make(&self) -> Result<()> {
        self.prepare(Algorithm::Sha256)
    }

    /// Makes the directories. The layout file is written last, so its being there says it all.
    fn prepare(&self, algorithm: Algorithm) -> Result<()> {
        let layout = self.root.join("oci-layout");
        let blobs = self.root.join("blobs").join(algorithm.name());
        if layout.exists() && blobs.exists() {
            return Ok(());
        }
        file::make_directories(&blobs, DIRECTORY_MODE)?;
        file::make_directories(&self.root.join("ingest"), DIRECTORY_MODE)?;
        file::write_atomically(&layout, LAYOUT, FILE_MODE, Durability::Cached)
    }
}

/// Path, name and size of each entry; a directory that is not there has none.
fn files(directory: &Path) -> Result<Vec<(PathBuf, String, u64)>> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).doing(|| format!("list {}", directory.display())),
    };
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry.doing(|| format!("list {}", directory.display()))?;
        // Another process may have renamed or removed it in the meantime.
        let Ok(metadata) = entry.metadata() else { continue };
        let name = entry.file_name().to_string_lossy().into_owned();
        files.push((entry.path(), name, metadata.len()));
    }
    Ok(files)
}

/// Reads the pieces of a file through one buffer.
fn pieces(file: &mut impl Read, mut each: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
    let mut buffer = vec![0; 256 << 10];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => each(&buffer[..count])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error).doing(|| "read what came before"),
        }
    }
}

#[cfg(test)]
mod tests;
