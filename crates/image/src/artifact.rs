//! Artifacts: files under a name, in a manifest like an image's (OCI image specification 1.1.1,
//! guidelines for artifact usage).
//!
//! ```text
//!  files ─▶ add ─┐                                ┌─▶ extract ─▶ files
//!                ├─▶ row, blobs in the store ─────┤
//!  registry ─▶ pull                               └─▶ push, a copy whose source is ours
//! ```
//!
//! The row is written first, under a private name; it takes its own when every blob is there and
//! verified, and then replaces what had it. A file's title is a stranger's word: it names a file in
//! the directory that the user gave, never a path.

use crate::{
    End, Images, names,
    origin::{Opened, Origin, read_from},
    place::{
        landing::{Landing, Taken},
        local,
        target::pour,
    },
    progress::Progress,
    pull::condemn_blobs,
};
use dhow_archive::Digesting;
use dhow_base::{Digest, Doing, Error, Kind, Result, clock::Moment, id::random_hex};
use dhow_spec::image::{Descriptor, Document, Manifest, Platform, media_type};
use dhow_state::{
    Owner, State,
    artifacts::{self, Artifact as Row, Phase},
    blobs, events,
};
use dhow_store::Intake;
use std::{
    collections::BTreeMap,
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

/// The annotation that names a file (OCI image specification 1.1.1, annotations).
const TITLE: &str = "org.opencontainers.image.title";
/// The configuration of what has none (OCI image specification 1.1.1, guidance for an empty
/// descriptor).
const EMPTY_CONFIG: &str = "application/vnd.oci.empty.v1+json";
const EMPTY: &[u8] = b"{}";
/// What a file is where nobody says.
const FILE_TYPE: &str = "application/octet-stream";
/// What an artifact is where nobody says; podman's word for it.
const ARTIFACT_TYPE: &str = "application/vnd.unknown.artifact.v1";

/// A file that is to be in an artifact.
#[derive(Clone, Debug)]
pub struct ArtifactFile {
    /// Where it is.
    pub path: PathBuf,
    /// Its media type, where the user says one.
    pub media_type: Option<String>,
}

/// How an artifact is made.
#[derive(Clone, Debug, Default)]
pub struct AddOptions {
    /// What it is.
    pub artifact_type: Option<String>,
    /// Notes on each file.
    pub annotations: BTreeMap<String, String>,
    /// What becomes of an artifact that is there.
    pub existing: Existing,
}

/// What becomes of an artifact that has the name already.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Existing {
    /// That is an error.
    #[default]
    Refuse,
    /// It gets more files.
    Append,
    /// It makes room.
    Replace,
}

/// A manifest: what it is, its bytes, and what they say.
#[derive(Clone, Copy)]
struct Published<'a> {
    top: &'a Descriptor,
    bytes: &'a [u8],
    manifest: &'a Manifest,
}

/// An artifact that is here.
#[derive(Clone, Debug)]
pub struct Artifact {
    /// Its complete name.
    pub name: String,
    /// The digest of its manifest.
    pub digest: Digest,
    /// Its manifest.
    pub manifest: Manifest,
    /// When it was made or fetched.
    pub changed: Moment,
}

impl Artifact {
    fn of(row: Row) -> Result<Self> {
        let manifest = parse(row.document.as_bytes(), &row.media_type)?;
        Ok(Self { name: row.name, digest: row.manifest, manifest, changed: row.changed })
    }

    /// The bytes of its files.
    pub fn size(&self) -> u64 {
        self.manifest.layers.iter().map(|layer| layer.size).sum()
    }
}

impl Images {
    /// Makes an artifact of files, or adds them to one.
    pub fn add_artifact(
        &self,
        state: &mut State,
        name: &str,
        files: &[ArtifactFile],
        options: &AddOptions,
    ) -> Result<Digest> {
        self.add_files(state, name, files, options).doing(|| format!("add artifact {name}"))
    }

    /// Fetches an artifact from a registry, under the name that it has there.
    pub fn pull_artifact(
        &self,
        state: &mut State,
        from: &End,
        progress: &dyn Progress,
    ) -> Result<Digest> {
        let doing = || format!("pull artifact {}", from.place);
        let reference = from.reference().doing(doing)?;
        let opened = self.open_end(None, from, &Platform::host()).doing(doing)?;
        from.permit(&opened).doing(doing)?;
        let name = names::key(&reference);
        self.take_artifact(state, &name, &opened, progress).doing(doing)
    }

    fn take_artifact(
        &self,
        state: &mut State,
        name: &str,
        opened: &Opened,
        progress: &dyn Progress,
    ) -> Result<Digest> {
        let manifest = parse(&opened.bytes, &opened.top.media_type)?;
        let config = manifest.config.media_type.as_str();
        if matches!(config, media_type::OCI_CONFIG | media_type::DOCKER_CONFIG) {
            return Err(Error::new(Kind::Invalid, "it is an image and no artifact")
                .hint("`dhow pull` fetches images"));
        }
        let sizes: Vec<(Digest, u64)> =
            manifest.layers.iter().map(|layer| (layer.digest.clone(), layer.size)).collect();
        progress.begin(name, &sizes);
        let document = Published { top: &opened.top, bytes: &opened.bytes, manifest: &manifest };
        self.keep_artifact(state, name, &document, |blob| {
            self.fetch_blob(opened.origin.as_ref(), blob)
        })
    }

    /// All artifacts, by name.
    pub fn list_artifacts(&self, state: &State) -> Result<Vec<Artifact>> {
        artifacts::list(state.read())?.into_iter().map(Artifact::of).collect()
    }

    /// The artifact that `text` means: a name, or a digest or its beginning.
    pub fn look_up_artifact(&self, state: &State, text: &str) -> Result<Artifact> {
        Artifact::of(self.artifact_row(state, text)?)
    }

    /// Writes files of an artifact below a directory, or its only file to a path that is none.
    ///
    /// Which files: those with this title or digest, else all.
    pub fn extract_artifact(
        &self,
        state: &State,
        text: &str,
        target: &Path,
        wanted: Option<&str>,
    ) -> Result<Vec<PathBuf>> {
        let artifact = self.look_up_artifact(state, text)?;
        let doing = || format!("extract artifact {text} to {}", target.display());
        let chosen: Vec<&Descriptor> = artifact
            .manifest
            .layers
            .iter()
            .filter(|layer| wanted.is_none_or(|wanted| is_meant(layer, wanted)))
            .collect();
        if chosen.is_empty() {
            let what = wanted.map_or_else(
                || "it has no files".to_owned(),
                |wanted| format!("it has no file {wanted}"),
            );
            return Err(Error::new(Kind::NotFound, what)).doing(doing);
        }
        let mut paths = Vec::with_capacity(chosen.len());
        for layer in &chosen {
            let path = match (target.is_dir(), chosen.len()) {
                (true, _) => target.join(file_name(layer)?),
                (false, 1) => target.to_owned(),
                (false, many) => {
                    let what = format!("it has {many} files, and that is no directory");
                    return Err(Error::new(Kind::Invalid, what)).doing(doing);
                }
            };
            self.write_file(layer, &path).doing(doing)?;
            paths.push(path);
        }
        Ok(paths)
    }

    /// Removes an artifact, with the blobs that nobody else holds.
    pub fn remove_artifact(&self, state: &mut State, text: &str) -> Result<Digest> {
        let row = self.artifact_row(state, text)?;
        let me = Owner::current()?;
        state.write(|write| {
            let held = artifacts::delete(write, &row.name)?;
            condemn_blobs(write, &held, me)?;
            events::record(write, "artifact", "remove", &row.name, "{}")
        })?;
        self.sweep(state)?;
        Ok(row.manifest)
    }

    /// An artifact of ours as a place to copy from.
    pub(crate) fn open_artifact(&self, state: &State, name: &str) -> Result<Option<Opened>> {
        let row = match self.artifact_row(state, name) {
            Ok(row) => row,
            Err(error) if error.kind() == Kind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let bytes = row.document.into_bytes();
        let top = Descriptor::new(&row.media_type, row.manifest, bytes.len() as u64);
        let origin = local::stored(self.store());
        Ok(Some(Opened { names: vec![row.name], ..Opened::new(top, bytes, origin) }))
    }

    fn artifact_row(&self, state: &State, text: &str) -> Result<Row> {
        if let Ok(candidates) = names::candidates(text) {
            for name in candidates {
                if let Some(row) = artifacts::find(state.read(), &name)? {
                    return Ok(row);
                }
            }
        }
        if let Some(hex) = crate::image::by_hex(text) {
            let mut found = artifacts::find_by_hex(state.read(), hex)?;
            found.dedup_by(|one, other| one.manifest == other.manifest);
            match found.len() {
                0 => {}
                1 => return Ok(found.remove(0)),
                _ => {
                    let what = format!("{text} begins more than one artifact's digest");
                    return Err(Error::new(Kind::Conflict, what).hint("give more digits"));
                }
            }
        }
        Err(Error::new(Kind::NotFound, format!("no such artifact: {text}"))
            .hint("`dhow artifact ls` lists what is here"))
    }

    fn add_files(
        &self,
        state: &mut State,
        name: &str,
        files: &[ArtifactFile],
        options: &AddOptions,
    ) -> Result<Digest> {
        let complete = local::stored_name(name)?;
        let there = artifacts::find(state.read(), &complete)?;
        let mut manifest = match (&there, options.existing) {
            (Some(row), Existing::Append) => parse(row.document.as_bytes(), &row.media_type)?,
            (Some(_), Existing::Refuse) => {
                return Err(Error::new(Kind::Conflict, "an artifact has this name")
                    .hint("--append adds to it, --replace takes its place"));
            }
            _ => new_manifest(options),
        };
        let mut sources: BTreeMap<Digest, PathBuf> = BTreeMap::new();
        for one in files {
            let layer = describe(one, options)?;
            if manifest.layers.iter().any(|own| title(own) == title(&layer)) {
                let what = format!("it has a file {} already", title(&layer).unwrap_or_default());
                return Err(Error::new(Kind::Conflict, what));
            }
            sources.insert(layer.digest.clone(), one.path.clone());
            manifest.layers.push(layer);
        }
        let bytes = serde_json::to_vec(&manifest)
            .map_err(|error| Error::new(Kind::Internal, "write the manifest").because(error))?;
        let top = Descriptor::of(media_type::OCI_MANIFEST, &bytes);
        let document = Published { top: &top, bytes: &bytes, manifest: &manifest };
        self.keep_artifact(state, &complete, &document, |blob| {
            match sources.get(&blob.digest) {
                Some(path) => self.fetch_blob(&OneFile(path.clone()), blob),
                None if blob.digest == Digest::of(EMPTY) => self.store.put(&blob.digest, EMPTY),
                // A file of the artifact that is appended to: it must be here.
                None => self.store.open(&blob.digest).map(drop),
            }
        })
    }

    /// Row first, then the blobs, then the name.
    fn keep_artifact(
        &self,
        state: &mut State,
        name: &str,
        published: &Published<'_>,
        mut bring: impl FnMut(&Descriptor) -> Result<()>,
    ) -> Result<Digest> {
        let Published { top, bytes, manifest } = *published;
        let me = Owner::current()?;
        let document = String::from_utf8(bytes.to_vec())
            .map_err(|_| Error::new(Kind::Corrupt, "the manifest is not UTF-8"))?;
        let private = format!("fetching:{}", random_hex(16)?);
        let row = Row {
            name: private.clone(),
            manifest: top.digest.clone(),
            media_type: top.media_type.clone(),
            document,
            phase: Phase::Fetching,
            owner: Some(me),
            changed: Moment::now(),
        };
        let all: Vec<&Descriptor> = manifest.layers.iter().chain([&manifest.config]).collect();
        state.write(|write| {
            artifacts::begin(write, &row, me)?;
            for blob in &all {
                blobs::want(write, &blob.digest, blob.size)?;
                artifacts::hold_blob(write, &private, &blob.digest)?;
            }
            Ok(())
        })?;
        if let Err(error) = all.iter().try_for_each(|blob| bring(blob)) {
            // Its own failures are left to the next command, which mends.
            let _dropped = self.drop_artifact(state, &private, me);
            return Err(error);
        }
        crate::flush::sync(self.store.root())?;
        state.write(|write| {
            for blob in &all {
                blobs::mark_present(write, &blob.digest)?;
            }
            let replaced = artifacts::delete(write, name)?;
            artifacts::finish(write, &private, name)?;
            condemn_blobs(write, &replaced, me)?;
            events::record(write, "artifact", "add", name, "{}")
        })?;
        self.sweep(state)?;
        Ok(top.digest.clone())
    }

    fn drop_artifact(&self, state: &mut State, name: &str, me: Owner) -> Result<()> {
        state.write(|write| {
            let held = artifacts::delete(write, name)?;
            condemn_blobs(write, &held, me)
        })?;
        self.sweep(state).map(drop)
    }

    /// Gives up what dead commands were fetching.
    pub(crate) fn mend_artifacts(&self, state: &mut State) -> Result<usize> {
        let mut dropped = 0;
        if !artifacts::anything_unfinished(state.read())? {
            return Ok(dropped);
        }
        let me = Owner::current()?;
        for row in artifacts::unfinished(state.read())? {
            if row.owner.map_or(Ok(false), |owner| owner.is_alive())? {
                continue;
            }
            self.drop_artifact(state, &row.name, me)?;
            dropped += 1;
        }
        Ok(dropped)
    }

    /// Brings a blob into the store, from where an earlier attempt ended.
    pub(crate) fn fetch_blob(&self, origin: &dyn Origin, blob: &Descriptor) -> Result<()> {
        let Intake::Wanted(mut ingest) = self.store.ingest(&blob.digest, blob.size)? else {
            return Ok(());
        };
        ingest.replay(|_| Ok(()))?;
        if ingest.received() == blob.size {
            // All of it had come before the earlier attempt ended.
            return ingest.commit();
        }
        let mut stream = origin.blob(blob, ingest.received())?;
        let mut buffer = vec![0; 256 << 10];
        loop {
            match stream.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => ingest.append(&buffer[..count])?,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error).doing(|| format!("fetch blob {}", blob.digest)),
            }
        }
        ingest.commit()
    }

    fn write_file(&self, layer: &Descriptor, path: &Path) -> Result<()> {
        let from = self.store.open(&layer.digest)?;
        let mut from = Digesting::new(from, layer.digest.clone()).sized(layer.size);
        let landing = Landing::for_user(path)?;
        pour(&mut from, &mut landing.file())?;
        landing.land(Taken::Replace)
    }
}

/// A file as a place of one blob.
#[derive(Debug)]
struct OneFile(PathBuf);

impl Origin for OneFile {
    fn blob(&self, _: &Descriptor, offset: u64) -> Result<Box<dyn Read + Send>> {
        let doing = || format!("read {}", self.0.display());
        read_from(File::open(&self.0).doing(doing)?, offset).doing(doing)
    }
}

fn parse(bytes: &[u8], media_type: &str) -> Result<Manifest> {
    match Document::parse(bytes, media_type)? {
        Document::Manifest(manifest) => Ok(*manifest),
        Document::Index(_) => {
            Err(Error::new(Kind::Unsupported, "it is a list of images and no artifact"))
        }
    }
}

fn new_manifest(options: &AddOptions) -> Manifest {
    let kind = options.artifact_type.as_deref().unwrap_or(ARTIFACT_TYPE);
    Manifest {
        schema_version: 2,
        media_type: Some(media_type::OCI_MANIFEST.to_owned()),
        artifact_type: Some(kind.to_owned()),
        config: Descriptor::of(EMPTY_CONFIG, EMPTY),
        layers: Vec::new(),
        subject: None,
        annotations: BTreeMap::new(),
    }
}

fn describe(one: &ArtifactFile, options: &AddOptions) -> Result<Descriptor> {
    let doing = || format!("read {}", one.path.display());
    let mut from = File::open(&one.path).doing(doing)?;
    if !from.metadata().doing(doing)?.is_file() {
        return Err(Error::new(Kind::Invalid, format!("{} is no file", one.path.display())));
    }
    let mut hasher = dhow_base::digest::Hasher::new(dhow_base::digest::Algorithm::Sha256);
    let size = std::io::copy(&mut from, &mut hasher).doing(doing)?;
    let kind = one.media_type.as_deref().unwrap_or(FILE_TYPE);
    let mut layer = Descriptor::new(kind, hasher.finish(), size);
    let name = one.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    layer.annotations.insert(TITLE.to_owned(), name);
    layer.annotations.extend(options.annotations.clone());
    Ok(layer)
}

fn title(layer: &Descriptor) -> Option<&str> {
    layer.annotations.get(TITLE).map(String::as_str)
}

fn is_meant(layer: &Descriptor, wanted: &str) -> bool {
    title(layer) == Some(wanted) || layer.digest.as_str() == wanted
}

/// The name of a file in the directory that the user gave: its title, where that is a plain name.
fn file_name(layer: &Descriptor) -> Result<String> {
    let Some(title) = title(layer) else {
        return Ok(format!("{}-{}", layer.digest.algorithm().name(), layer.digest.hex()));
    };
    let plain = !title.is_empty()
        && !matches!(title, "." | "..")
        && title.len() <= 255
        && !title.contains(['/', '\0']);
    if plain {
        return Ok(title.to_owned());
    }
    Err(Error::new(Kind::Invalid, format!("the artifact calls a file {title:?}, which is no name"))
        .hint("extract that one alone, to a path that names a file: --digest"))
}
