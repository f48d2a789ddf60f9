//! Tar files of images, being written: OCI image layouts, and what `docker save` writes.
//!
//! Blobs go into the stream one after the other as they come, the table of contents last. A file
//! gets its name when all of it is there; a pipe has no such mercy, but ends without a table of
//! contents.

use super::{
    landing::{Landing, Taken},
    layout_target::{LAYOUT, put_entry},
    saved::Saved,
    target::{Content, Role, Target},
};
use crate::layout::blob_path;
use dhow_archive::{ArchivePath, Builder, Entry, EntryKind, Limits};
use dhow_base::{Digest, Doing, Error, Kind, Result};
use dhow_distribution::{Arrival, Reference};
use dhow_spec::image::{Descriptor, Document, media_type};
use serde_json::json;
use std::{
    collections::HashSet,
    fmt,
    io::{BufWriter, Cursor, Read, Write},
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Which table of contents the archive has.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Form {
    /// An OCI image layout.
    Layout,
    /// `docker save`.
    Docker,
}

type Sink = Box<dyn Write + Send>;

/// An archive that is being written.
pub(crate) struct ArchiveTarget {
    form: Form,
    name: Option<String>,
    state: Mutex<State>,
}

struct State {
    /// Gone when the archive has its end, or is broken.
    builder: Option<Builder<BufWriter<Sink>>>,
    landing: Option<Landing>,
    written: HashSet<String>,
    /// `index.json` as it will be.
    index: serde_json::Value,
    /// `manifest.json` as it will be.
    saved: Vec<Saved>,
}

impl fmt::Debug for ArchiveTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ArchiveTarget({:?})", self.form)
    }
}

impl ArchiveTarget {
    /// An archive that will be the file `path`.
    pub(crate) fn create(form: Form, path: &Path, name: Option<&str>) -> Result<Self> {
        if form == Form::Docker && path.metadata().is_ok_and(|found| found.len() > 0) {
            let what = format!("write {}: it is there already", path.display());
            return Err(Error::new(Kind::AlreadyExists, what)
                .hint("docker-archive doesn't support modifying existing images"));
        }
        let name = match (form, name) {
            (Form::Docker, Some(name)) => Some(Reference::parse(name)?.to_string()),
            (_, name) => name.map(str::to_owned),
        };
        Self::land(form, path, name)
    }

    /// An archive that will be the file `path`, whatever was there.
    pub(crate) fn replace(form: Form, path: &Path) -> Result<Self> {
        Self::land(form, path, None)
    }

    fn land(form: Form, path: &Path, name: Option<String>) -> Result<Self> {
        let landing = Landing::for_user(path)?;
        let file = landing.file().try_clone().doing(|| "share the archive's fd")?;
        Ok(Self::new(form, Box::new(file), Some(landing), name))
    }

    /// An archive that is written to a stream.
    pub(crate) fn stream(form: Form, sink: Sink) -> Self {
        Self::new(form, sink, None, None)
    }

    fn new(form: Form, sink: Sink, landing: Option<Landing>, name: Option<String>) -> Self {
        let state = State {
            builder: Some(Builder::new(BufWriter::with_capacity(256 << 10, sink))),
            landing,
            written: HashSet::new(),
            index: json!({"schemaVersion": 2, "manifests": []}),
            saved: Vec::new(),
        };
        Self { form, name, state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A blob's name in the archive.
    fn blob_name(&self, descriptor: &Descriptor) -> String {
        match self.form {
            Form::Layout => blob_path(&descriptor.digest),
            Form::Docker if descriptor.media_type == media_type::DOCKER_CONFIG => {
                config_name(&descriptor.digest)
            }
            Form::Docker => layer_name(&descriptor.digest),
        }
    }

    fn save(&self, descriptor: &Descriptor, bytes: &[u8], names: &[String]) -> Result<()> {
        let Document::Manifest(manifest) = Document::parse(bytes, &descriptor.media_type)? else {
            let what = "write an index: the archives of `docker save` hold images of one platform";
            return Err(Error::new(Kind::Unsupported, what));
        };
        let mut tags: Vec<String> = self.name.iter().cloned().collect();
        for name in names {
            let name = Reference::parse(name).map_or_else(|_| name.clone(), |own| own.to_string());
            if !tags.contains(&name) {
                tags.push(name);
            }
        }
        self.state().saved.push(Saved {
            config: config_name(&manifest.config.digest),
            repo_tags: Some(tags),
            layers: manifest.layers.iter().map(|layer| layer_name(&layer.digest)).collect(),
        });
        Ok(())
    }
}

fn config_name(digest: &Digest) -> String {
    format!("{}.json", digest.hex())
}

fn layer_name(digest: &Digest) -> String {
    format!("{}.tar", digest.hex())
}

impl State {
    /// Writes one file. After a failure there is no going on.
    fn file(&mut self, name: &str, size: u64, content: &mut dyn Read) -> Result<()> {
        let Some(mut builder) = self.builder.take() else {
            return Err(Error::new(Kind::Conflict, "the archive broke off"));
        };
        let path = ArchivePath::parse(name.as_bytes(), &Limits::default())?;
        builder.append(&Entry::new(path, EntryKind::File { size }, 0o644), content)?;
        self.builder = Some(builder);
        Ok(())
    }

    fn bytes(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        self.file(name, bytes.len() as u64, &mut Cursor::new(bytes))
    }

    fn json(&mut self, name: &str, value: &impl serde::Serialize) -> Result<()> {
        let bytes = serde_json::to_vec(value)
            .map_err(|error| Error::new(Kind::Internal, format!("write {name}")).because(error))?;
        self.bytes(name, &bytes)
    }

    fn end(&mut self, form: Form) -> Result<()> {
        match form {
            Form::Layout => {
                self.bytes("oci-layout", LAYOUT)?;
                let index = self.index.take();
                self.json("index.json", &index)?;
            }
            Form::Docker => {
                let saved = std::mem::take(&mut self.saved);
                self.json("manifest.json", &saved)?;
            }
        }
        let Some(builder) = self.builder.take() else {
            return Err(Error::new(Kind::Conflict, "the archive broke off"));
        };
        builder.finish()?.flush().doing(|| "write it")?;
        self.landing.take().map_or(Ok(()), |landing| landing.land(Taken::Replace))
    }
}

impl Target for ArchiveTarget {
    fn has(&self, blob: &Descriptor) -> Result<bool> {
        Ok(self.state().written.contains(&self.blob_name(blob)))
    }

    fn put(&self, content: &Content) -> Result<Arrival> {
        let descriptor = &content.descriptor;
        let name = self.blob_name(descriptor);
        let doing = || format!("write blob {} to the archive", descriptor.digest);
        let mut state = self.state();
        if !state.written.insert(name.clone()) {
            return Ok(Arrival::Sent);
        }
        let mut verified = content.verified().doing(doing)?;
        state.file(&name, descriptor.size, &mut verified).doing(doing)?;
        // The builder reads as much as there should be; what tells of a wrong digest is the end.
        if let Err(error) = verified.finish() {
            state.builder = None;
            return Err(error).doing(doing);
        }
        Ok(Arrival::Sent)
    }

    fn put_manifest(&self, descriptor: &Descriptor, bytes: &[u8], role: Role<'_>) -> Result<()> {
        let names = match role {
            Role::Member => &[],
            Role::Top(names) => names,
        };
        if self.form == Form::Docker {
            return self.save(descriptor, bytes, names);
        }
        let mut state = self.state();
        let path = blob_path(&descriptor.digest);
        if state.written.insert(path.clone()) {
            state.bytes(&path, bytes)?;
        }
        if role == Role::Member {
            return Ok(());
        }
        let mut all: Vec<Option<&str>> = names.iter().map(|name| Some(name.as_str())).collect();
        if self.name.is_some() || all.is_empty() {
            all.insert(0, self.name.as_deref());
        }
        all.into_iter().try_for_each(|name| put_entry(&mut state.index, descriptor, name))
    }

    fn finish(&self) -> Result<()> {
        self.state().end(self.form).doing(|| "end the archive")
    }
}
