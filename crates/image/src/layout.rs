//! An OCI image layout as a directory or a tar file, read.
//!
//! Their bytes are as little trusted as a registry's: every blob is verified against its digest.

use crate::{
    names::FileNames,
    origin::{Opened, Origin},
    plan::check_content,
    tarfile::{Spool, Tarfile, regular_file},
};
use dhow_base::{Digest, Doing, Error, Kind, Result};
use dhow_spec::image::{Descriptor, Document, Index, MANIFEST_LIMIT_BYTES, Platform, media_type};
use std::{
    fmt,
    io::{Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    sync::Arc,
};

/// The annotation that names an image within a layout.
pub(crate) const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// Files by name: a directory or an archive.
pub(crate) trait Files: fmt::Debug + Send + Sync {
    fn read(&self, name: &str, offset: u64) -> Result<Box<dyn Read + Send>>;
}

#[derive(Debug)]
pub(crate) struct Directory(pub(crate) PathBuf);

impl Files for Directory {
    fn read(&self, name: &str, offset: u64) -> Result<Box<dyn Read + Send>> {
        let mut file = regular_file(&self.0.join(name))?;
        file.seek(SeekFrom::Start(offset)).doing(|| format!("seek in {name}"))?;
        Ok(Box::new(file))
    }
}

impl Files for Tarfile {
    fn read(&self, name: &str, offset: u64) -> Result<Box<dyn Read + Send>> {
        Self::read(self, name, offset)
    }
}

pub(crate) fn small_file(files: &dyn Files, name: &str, limit_bytes: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let stream = files.read(name, 0)?;
    stream.take(limit_bytes + 1).read_to_end(&mut bytes).doing(|| format!("read {name}"))?;
    if bytes.len() as u64 > limit_bytes {
        let what = format!("read {name}: it has more than {limit_bytes} bytes");
        return Err(Error::new(Kind::Exhausted, what));
    }
    Ok(bytes)
}

/// A layout's blobs.
#[derive(Debug)]
struct Layout(Arc<dyn Files>);

impl Origin for Layout {
    fn blob(&self, descriptor: &Descriptor, offset: u64) -> Result<Box<dyn Read + Send>> {
        self.0.read(&blob_path(&descriptor.digest), offset)
    }
}

/// A layout whose blobs lie in a directory that several layouts share.
#[derive(Debug)]
struct Shared {
    layout: Directory,
    blobs: PathBuf,
}

impl Files for Shared {
    fn read(&self, name: &str, offset: u64) -> Result<Box<dyn Read + Send>> {
        match name.strip_prefix("blobs/") {
            Some(blob) => Directory(self.blobs.clone()).read(blob, offset),
            None => self.layout.read(name, offset),
        }
    }
}

pub(crate) fn blob_path(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm().name(), digest.hex())
}

/// An image of the layout in a directory; its blobs may be in another one.
pub(crate) fn from_directory(
    path: &Path,
    blobs: Option<&Path>,
    name: Option<&str>,
    platform: &Platform,
) -> Result<Opened> {
    let layout = Directory(path.to_owned());
    let files: Arc<dyn Files> = match blobs {
        Some(blobs) => Arc::new(Shared { layout, blobs: blobs.to_owned() }),
        None => Arc::new(layout),
    };
    from_layout(files, path, name, platform)
        .doing(|| format!("read image layout {}", path.display()))
}

/// An image of the layout in a tar file.
pub(crate) fn from_archive(
    path: &Path,
    name: Option<&str>,
    platform: &Platform,
    spool: Spool<'_>,
) -> Result<Opened> {
    let files = Arc::new(Tarfile::open(path, spool)?);
    from_layout(files, path, name, platform)
        .doing(|| format!("read image archive {}", path.display()))
}

/// A layout's table of contents.
pub(crate) fn read_index(files: &dyn Files) -> Result<Index> {
    let bytes = small_file(files, "index.json", MANIFEST_LIMIT_BYTES)?;
    match Document::parse(&bytes, media_type::OCI_INDEX)? {
        Document::Index(index) => Ok(*index),
        Document::Manifest(_) => {
            Err(Error::new(Kind::Corrupt, "index.json is a manifest, not an index"))
        }
    }
}

fn from_layout(
    files: Arc<dyn Files>,
    path: &Path,
    name: Option<&str>,
    platform: &Platform,
) -> Result<Opened> {
    let index = read_index(files.as_ref()).map_err(|error| hint_at_layout(error, path))?;
    let entry = choose(&index, name, platform)?;
    open_entry(files, entry, stored_names(entry, path))
}

/// Every image of a layout, with all the names that it has there; opened one after the other, since a
/// thousand manifests of 4 MiB are too many to hold.
pub(crate) fn all(
    files: Arc<dyn Files>,
    path: &Path,
) -> Result<impl Iterator<Item = Result<Opened>> + use<>> {
    let mut all: Vec<(Descriptor, FileNames)> = Vec::new();
    for entry in read_index(files.as_ref())?.manifests {
        let names = stored_names(&entry, path);
        match all.iter_mut().find(|(other, _)| other.digest == entry.digest) {
            Some((_, others)) => others.extend(names),
            None => all.push((entry, names)),
        }
    }
    Ok(all.into_iter().map(move |(entry, names)| open_entry(Arc::clone(&files), &entry, names)))
}

fn open_entry(files: Arc<dyn Files>, entry: &Descriptor, names: FileNames) -> Result<Opened> {
    let bytes = small_file(files.as_ref(), &blob_path(&entry.digest), MANIFEST_LIMIT_BYTES)?;
    check_content(entry, &bytes)?;
    let top = Descriptor::new(&entry.media_type, entry.digest.clone(), entry.size);
    Ok(Opened::new(top, bytes, Arc::new(Layout(files))).named(names))
}

fn hint_at_layout(error: Error, path: &Path) -> Error {
    if error.kind() == Kind::NotFound {
        error.hint(format!("{} is no OCI image layout", path.display()))
    } else {
        error
    }
}

/// The entry with this name, or the only one there is.
fn choose<'a>(index: &'a Index, name: Option<&str>, platform: &Platform) -> Result<&'a Descriptor> {
    let own_name = |entry: &&Descriptor| entry.annotations.get(REF_NAME).cloned();
    let Some(name) = name else {
        return match &index.manifests[..] {
            [only] => Ok(only),
            [] => Err(Error::new(Kind::NotFound, "it holds no image")),
            all if all.iter().all(|entry| entry.platform.is_some()) => index.choose(platform),
            all => Err(Error::new(Kind::Invalid, "it holds several images")
                .hint(format!("name one of them after a colon: {}", listed(all.iter())))),
        };
    };
    // One name may stand at several platforms.
    let named: Vec<Descriptor> = index
        .manifests
        .iter()
        .filter(|entry| own_name(entry).as_deref() == Some(name))
        .cloned()
        .collect();
    let chosen = match &named[..] {
        [] => {
            return Err(Error::new(Kind::NotFound, format!("it holds no image called {name}"))
                .hint(format!("it holds {}", listed(index.manifests.iter()))));
        }
        [only] => only.digest.clone(),
        _ => Index { manifests: named, ..index.clone() }.choose(platform)?.digest.clone(),
    };
    let position = index
        .manifests
        .iter()
        .find(|entry| own_name(entry).as_deref() == Some(name) && entry.digest == chosen);
    position.ok_or_else(|| Error::new(Kind::Internal, "the chosen entry is gone"))
}

fn listed<'a>(entries: impl Iterator<Item = &'a Descriptor>) -> String {
    let names: Vec<&str> = entries
        .filter_map(|entry| entry.annotations.get(REF_NAME))
        .map(String::as_str)
        .take(20)
        .collect();
    if names.is_empty() { "images without names".to_owned() } else { names.join(", ") }
}

/// The names under which an image of a layout is stored: its own, or the file's for one that is
/// only a tag.
fn stored_names(entry: &Descriptor, path: &Path) -> FileNames {
    let file = path.file_stem().map(|stem| stem.to_string_lossy().to_lowercase());
    let own = entry.annotations.get(REF_NAME).map(String::as_str);
    let text = match (own, file) {
        (Some(name), Some(file)) if is_tag(name) => format!("{file}:{name}"),
        (Some(name), _) => name.to_owned(),
        (None, Some(file)) => file,
        (None, None) => return FileNames::default(),
    };
    // An annotation may hold anything; an image without a name is still found by its id.
    let mut names = FileNames::default();
    names.add(&text);
    if own.is_none() {
        // That a file is called what no image can be called is nobody's fault.
        names.refused.clear();
    }
    names
}

/// The name under which an image without one of its own is stored: its file's.
pub(crate) fn file_name(path: &Path) -> FileNames {
    stored_names(&Descriptor::of(media_type::OCI_MANIFEST, b""), path)
}

/// Is this rather a tag than a name: `latest`, `13`, `v1.2`?
fn is_tag(name: &str) -> bool {
    let version = name.strip_prefix('v').unwrap_or(name);
    !name.contains(['/', ':'])
        && (name == "latest" || version.starts_with(|c: char| c.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layouts_image_is_stored_by_its_name_or_its_files() {
        let cases = [
            (Some("box"), "/tmp/layout", Some("localhost/box:latest")),
            (Some("quay.io/a/b:1"), "/tmp/layout", Some("quay.io/a/b:1")),
            (Some("13"), "/tmp/debian", Some("localhost/debian:13")),
            (Some("latest"), "/tmp/debian.tar", Some("localhost/debian:latest")),
            (None, "/tmp/Debian.tar", Some("localhost/debian:latest")),
            (None, "/tmp/_", None),
            (Some("not a name"), "/tmp/x", None),
        ];
        for (annotation, path, expected) in cases {
            let mut entry = Descriptor::of(media_type::OCI_MANIFEST, b"x");
            if let Some(name) = annotation {
                entry.annotations.insert(REF_NAME.to_owned(), name.to_owned());
            }
            let names = stored_names(&entry, Path::new(path));
            assert_eq!(
                names.usable.first().map(String::as_str),
                expected,
                "{annotation:?} in {path}"
            );
        }
    }
}
