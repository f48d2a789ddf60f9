//! Taking images in from files: what `docker load` and `podman load` do.
//!
//! What the file is, its content says: an archive of `docker save`, an OCI image layout as tar file
//! or directory, or a directory as `dir:` has it; archives may be compressed as a whole.

use crate::{
    Image, Images,
    layout::{self, Directory, Files},
    origin::Opened,
    place::{directory, saved},
    progress::Progress,
    tarfile::{Tarfile, nameless},
};
use dhow_base::{Doing, Error, Kind, Result};
use dhow_spec::image::{Document, Platform};
use dhow_state::State;
use std::{
    fs::File,
    io::{self, Read, Seek},
    path::{Path, PathBuf},
    sync::Arc,
};

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
        let all = self.opened(from).doing(doing)?;
        if all.is_empty() {
            return Err(Error::new(Kind::NotFound, "it holds no image")).doing(doing);
        }
        all.into_iter().map(|one| self.load_one(state, one, progress).doing(doing)).collect()
    }

    fn load_one(
        &self,
        state: &mut State,
        opened: Opened,
        progress: &dyn Progress,
    ) -> Result<Loaded> {
        let names = opened.names.clone();
        let is_index =
            matches!(Document::parse(&opened.bytes, &opened.top.media_type)?, Document::Index(_));
        let wanted = names.first().cloned().unwrap_or_else(|| opened.top.digest.to_string());
        let found = opened.choose(&Platform::host())?;
        let image = if is_index {
            self.take(state, &wanted, &found, &Platform::host(), progress)?
        } else {
            self.take_any(state, &wanted, &found, progress)?
        };
        Ok(Loaded { image, names })
    }

    fn opened(&self, from: LoadFrom<'_>) -> Result<Vec<Opened>> {
        match from {
            LoadFrom::Path(path) if path.is_dir() => in_directory(&path),
            LoadFrom::Path(path) => in_archive(Tarfile::open(&path, &self.scratch())?, &path),
            LoadFrom::Stream(stream) => {
                let path = Path::new("standard input");
                in_archive(Tarfile::of(self.spooled(stream)?, path, &self.scratch())?, path)
            }
        }
    }

    fn spooled(&self, stream: &mut dyn Read) -> Result<File> {
        let mut file = nameless(&self.scratch())?;
        io::copy(stream, &mut file).doing(|| "read standard input")?;
        file.rewind().doing(|| "rewind standard input")?;
        Ok(file)
    }
}

fn in_directory(path: &Path) -> Result<Vec<Opened>> {
    if path.join("index.json").exists() {
        let files: Arc<dyn Files> = Arc::new(Directory(path.to_owned()));
        return layout::all(&files, path);
    }
    let names = layout::file_name(path);
    directory::open(path).map(|opened| vec![Opened { names, ..opened }])
}

/// An archive may be both; docker's table of contents then has the better names.
fn in_archive(files: Tarfile, path: &Path) -> Result<Vec<Opened>> {
    let files = Arc::new(files);
    if files.has("manifest.json") {
        return saved::all(&files);
    }
    if files.has("index.json") {
        let files: Arc<dyn Files> = files;
        return layout::all(&files, path);
    }
    Err(Error::new(Kind::Invalid, "it is no archive of images")
        .hint("`dhow import` makes an image of the tar file of a file system"))
}
