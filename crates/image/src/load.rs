//! Taking images in from files: what `docker load` and `podman load` do.
//!
//! What the file is, its content says: an archive of `docker save`, an OCI image layout as tar file
//! or directory, or a directory as `dir:` has it; archives may be compressed as a whole.

use crate::{
    Image, Images,
    batch::Batch,
    layout::{self, Directory},
    origin::Opened,
    place::{directory, saved},
    progress::Progress,
    tarfile::{Spool, Tarfile},
};
use dhow_base::{Digest, Doing, Error, Kind, Result};
use dhow_spec::image::{Document, Platform};
use dhow_state::State;
use std::{
    io::Read,
    iter,
    path::{Path, PathBuf},
    sync::Arc,
};

/// The images of a file, opened as they are asked for.
type Everything = Box<dyn Iterator<Item = Result<Opened>>>;

/// Where images are loaded from.
pub enum LoadFrom<'a> {
    /// A file or directory.
    Path(PathBuf),
    /// A stream; it is kept until it has been read, in a file without a name.
    Stream(&'a mut dyn Read),
}

impl std::fmt::Debug for LoadFrom<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Path(path) => write!(f, "Path({})", path.display()),
            Self::Stream(_) => f.write_str("Stream"),
        }
    }
}

/// An image that was loaded, and the names that it has by that.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The image.
    pub image: Image,
    /// The names that were in the file.
    pub names: Vec<String>,
    /// What the file calls it that is no name for an image here.
    pub refused_names: Vec<String>,
}

/// An image of the file that waits to be there for good.
struct Taken {
    manifest: Digest,
    names: Vec<String>,
    refused_names: Vec<String>,
}

impl Images {
    /// Makes every image of a file ours. Each is whole or absent; what was taken in before a
    /// failure stays.
    pub fn load(
        &self,
        state: &mut State,
        from: LoadFrom<'_>,
        progress: &dyn Progress,
    ) -> Result<Vec<Loaded>> {
        let shown = match &from {
            LoadFrom::Path(path) => path.display().to_string(),
            LoadFrom::Stream(_) => "standard input".to_owned(),
        };
        let doing = || format!("load images from {shown}");
        let mut batch = Batch::new(self);
        let all = self.opened(from).doing(doing)?;
        let took: Result<Vec<Taken>> =
            all.map(|one| take_one(&mut batch, state, one?, progress)).collect();
        let finished = batch.finish(state);
        let took = took.doing(doing)?;
        finished.doing(doing)?;
        if took.is_empty() {
            return Err(Error::new(Kind::NotFound, "it holds no image")).doing(doing);
        }
        let loaded = |Taken { manifest, names, refused_names }| {
            Ok(Loaded { image: self.taken(state, &manifest)?, names, refused_names })
        };
        took.into_iter().map(loaded).collect::<Result<_>>().doing(doing)
    }

    fn opened(&self, from: LoadFrom<'_>) -> Result<Everything> {
        let spool = self.spool();
        match from {
            LoadFrom::Path(path) if path.is_dir() => {
                let is_layout = path.join("index.json").exists();
                self.permit_files(if is_layout { "oci" } else { "dir" }, Some(&path))?;
                in_directory(&path)
            }
            LoadFrom::Path(path) => {
                let files = Tarfile::open(&path, spool).map_err(hint_at_saving)?;
                self.permit_files(archive_transport(&files), Some(&path))?;
                in_archive(files, &path, spool)
            }
            LoadFrom::Stream(stream) => {
                let path = Path::new("standard input");
                let file = spool.take(stream).doing(|| "read standard input")?;
                let files = Tarfile::of(file, path, spool).map_err(hint_at_saving)?;
                self.permit_files(archive_transport(&files), None)?;
                in_archive(files, path, spool)
            }
        }
    }
}

/// Has one image of the file, for whatever platform it is where there is no choice.
fn take_one(
    batch: &mut Batch<'_>,
    state: &mut State,
    opened: Opened,
    progress: &dyn Progress,
) -> Result<Taken> {
    let (names, refused_names) = (opened.names.clone(), opened.refused_names.clone());
    let is_index =
        matches!(Document::parse(&opened.bytes, &opened.top.media_type)?, Document::Index(_));
    let wanted = names.first().cloned().unwrap_or_else(|| opened.top.digest.to_string());
    let found = opened.choose(&Platform::host())?;
    let platform = if is_index { Platform::host() } else { found.own_platform()? };
    batch.take(state, &wanted, &found, &platform, progress)?;
    Ok(Taken { manifest: found.manifest.digest, names, refused_names })
}

fn in_directory(path: &Path) -> Result<Everything> {
    if path.join("index.json").exists() {
        return Ok(Box::new(layout::all(Arc::new(Directory(path.to_owned())), path)?));
    }
    let opened = directory::open(path)?.named(layout::file_name(path));
    Ok(Box::new(iter::once(Ok(opened))))
}

/// What may have been meant where a file is no archive at all.
fn hint_at_saving(error: Error) -> Error {
    match error.kind() {
        Kind::Corrupt => error.hint(
            "what `dhow save`, `docker save` or `podman save` wrote can be loaded; `dhow import` takes \
             the tar file of a file system",
        ),
        _ => error,
    }
}

/// How policies call an archive.
fn archive_transport(files: &Tarfile) -> &'static str {
    if files.has("manifest.json") { "docker-archive" } else { "oci-archive" }
}

/// An archive may be both; docker's table of contents then has the better names.
fn in_archive(files: Tarfile, path: &Path, spool: Spool<'_>) -> Result<Everything> {
    let files = Arc::new(files);
    if files.has("manifest.json") {
        return Ok(Box::new(saved::all(&files, spool.bounds)?));
    }
    if files.has("index.json") {
        return Ok(Box::new(layout::all(files, path)?));
    }
    Err(Error::new(Kind::Invalid, "it is no archive of images")
        .hint("`dhow import` makes an image of the tar file of a file system"))
}
