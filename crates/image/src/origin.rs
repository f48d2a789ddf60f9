//! Where the bytes of an image come from: one contract, whatever the place.

use crate::{
    Images, Place, layout,
    names::{self, FileNames, why_refused},
    place::{directory, local, saved},
    plan::{Plan, check_content, parse_manifest},
    tarfile::Spool,
};
use dhow_base::{Digest, Doing, Error, Kind, Result};
use dhow_distribution::{Client, Reference, Repository};
use dhow_spec::image::{
    CONFIG_LIMIT_BYTES, Descriptor, Document, ImageConfig, MANIFEST_LIMIT_BYTES, Platform,
};
use dhow_state::State;
use std::{
    collections::HashMap,
    fmt,
    fs::File,
    io::{Read, Seek, SeekFrom},
    sync::Arc,
};

/// A place that has blobs.
pub(crate) trait Origin: fmt::Debug + Send + Sync {
    /// The bytes of a blob from `offset` on. They are not checked here.
    fn blob(&self, descriptor: &Descriptor, offset: u64) -> Result<Box<dyn Read + Send>>;

    /// Whether the bytes of this blob were verified when they came here, so that who sends them to
    /// a place that verifies them need not.
    fn is_verified(&self, _descriptor: &Descriptor) -> bool {
        false
    }

    /// A manifest of an index, verified. At most places it is a blob like others.
    fn manifest(&self, descriptor: &Descriptor) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let doing = || format!("read manifest {}", descriptor.digest);
        let stream = self.blob(descriptor, 0).doing(doing)?;
        stream.take(MANIFEST_LIMIT_BYTES + 1).read_to_end(&mut bytes).doing(doing)?;
        check_content(descriptor, &bytes)?;
        Ok(bytes)
    }
}

impl Origin for Repository {
    fn blob(&self, descriptor: &Descriptor, offset: u64) -> Result<Box<dyn Read + Send>> {
        Ok(Box::new(Self::blob(self, descriptor, offset)?))
    }

    fn manifest(&self, descriptor: &Descriptor) -> Result<Vec<u8>> {
        let fetched = Self::manifest(self, &descriptor.digest)?;
        check_content(descriptor, &fetched.bytes)?;
        Ok(fetched.bytes)
    }
}

/// A place that was opened: what the name leads to there, and where the rest of it is.
#[derive(Debug)]
pub(crate) struct Opened {
    /// Media type, digest and size of the manifest or index.
    pub(crate) top: Descriptor,
    /// Its bytes, which have that digest.
    pub(crate) bytes: Vec<u8>,
    /// Where its blobs are.
    pub(crate) origin: Arc<dyn Origin>,
    /// The names under which our own images will have it.
    pub(crate) names: Vec<String>,
    /// What a file calls it that is no name.
    pub(crate) refused_names: Vec<String>,
    /// The name in a registry, if it came from there.
    pub(crate) reference: Option<Reference>,
    /// The repositories that are known to have a blob, where one does not have them all.
    pub(crate) known: HashMap<Digest, Vec<Reference>>,
    /// The signatures that lie beside it.
    pub(crate) signatures: Vec<Vec<u8>>,
    /// Whether the place has no manifests and this one was made up.
    pub(crate) made_up: bool,
}

impl Opened {
    pub(crate) fn new(top: Descriptor, bytes: Vec<u8>, origin: Arc<dyn Origin>) -> Self {
        Self {
            top,
            bytes,
            origin,
            names: Vec::new(),
            refused_names: Vec::new(),
            reference: None,
            known: HashMap::new(),
            signatures: Vec::new(),
            made_up: false,
        }
    }

    /// The same with the names that its file gives it.
    pub(crate) fn named(self, names: FileNames) -> Self {
        Self { names: names.usable, refused_names: names.refused, ..self }
    }

    /// The repositories that are known to have this blob.
    pub(crate) fn known(&self, digest: &Digest) -> Vec<Reference> {
        let own = self.reference.iter();
        own.chain(self.known.get(digest).into_iter().flatten()).cloned().collect()
    }

    /// The one image for a platform.
    pub(crate) fn choose(self, platform: &Platform) -> Result<Found> {
        let mut names = self.names;
        let mut remember = |digest: &Digest| {
            let Some(reference) = &self.reference else { return };
            let name = names::key(&reference.with_digest(digest.clone()));
            if !names.contains(&name) {
                names.push(name);
            }
        };
        remember(&self.top.digest);
        let (manifest, bytes) = match Document::parse(&self.bytes, &self.top.media_type)? {
            Document::Manifest(_) => (self.top, self.bytes),
            Document::Index(index) => {
                let chosen = index.choose(platform)?;
                let bytes = self.origin.manifest(chosen)?;
                remember(&chosen.digest);
                let bare = Descriptor::new(&chosen.media_type, chosen.digest.clone(), chosen.size);
                (bare, bytes)
            }
        };
        Ok(Found { manifest, bytes, names, origin: self.origin })
    }
}

/// What a source led to: one image's manifest, and where the rest of it is.
#[derive(Debug)]
pub(crate) struct Found {
    /// Media type, digest and size of the manifest.
    pub(crate) manifest: Descriptor,
    /// The manifest's bytes, which have that digest.
    pub(crate) bytes: Vec<u8>,
    /// The names that shall lead to the image.
    pub(crate) names: Vec<String>,
    /// Where its blobs are.
    pub(crate) origin: Arc<dyn Origin>,
}

impl Found {
    /// Fetches the configuration and checks all that can be checked without the layers.
    pub(crate) fn plan(&self, wanted: &Platform) -> Result<Plan> {
        let manifest = parse_manifest(&self.manifest, &self.bytes)?;
        let config = small_blob(self.origin.as_ref(), &manifest.config, CONFIG_LIMIT_BYTES)?;
        Plan::new(self.manifest.clone(), self.bytes.clone(), manifest, config, wanted)
    }

    /// The platform that the image itself says it is for.
    pub(crate) fn own_platform(&self) -> Result<Platform> {
        own_platform(&self.manifest, &self.bytes, self.origin.as_ref())
    }
}

/// The platform that an image itself says it is for.
pub(crate) fn own_platform(
    manifest: &Descriptor,
    bytes: &[u8],
    origin: &dyn Origin,
) -> Result<Platform> {
    let manifest = parse_manifest(manifest, bytes)?;
    let config = small_blob(origin, &manifest.config, CONFIG_LIMIT_BYTES)?;
    Ok(ImageConfig::parse(&config)?.platform())
}

/// A file's bytes from `offset` on.
pub(crate) fn read_from(mut file: File, offset: u64) -> Result<Box<dyn Read + Send>> {
    file.seek(SeekFrom::Start(offset)).doing(|| "seek in it")?;
    Ok(Box::new(file))
}

/// Reads a small blob whole and verifies it.
pub(crate) fn small_blob(
    origin: &dyn Origin,
    descriptor: &Descriptor,
    limit_bytes: u64,
) -> Result<Vec<u8>> {
    let doing = || format!("read blob {}", descriptor.digest);
    if descriptor.size > limit_bytes {
        let what =
            format!("{}: it has {} bytes, more than {limit_bytes}", doing(), descriptor.size);
        return Err(Error::new(Kind::Exhausted, what));
    }
    let mut bytes = Vec::new();
    let stream = origin.blob(descriptor, 0).doing(doing)?;
    stream.take(descriptor.size + 1).read_to_end(&mut bytes).doing(doing)?;
    check_content(descriptor, &bytes)?;
    Ok(bytes)
}

impl Images {
    /// Asks the source which manifest it has for us.
    pub(crate) fn resolve(&self, place: &Place, platform: &Platform) -> Result<Found> {
        let opened = self.open_source(place, platform)?;
        self.permit_source(place, &opened)?;
        opened.choose(platform).doing(|| format!("read {place}"))
    }

    /// Opens what is elsewhere, and asks nobody whether it may be taken.
    pub(crate) fn open_source(&self, place: &Place, platform: &Platform) -> Result<Opened> {
        match place {
            Place::Registry(name) => from_registry(self.client()?, name),
            other => self.open_files(other, platform),
        }
    }

    /// Refuses what the policy refuses, and tells which names are not taken over.
    pub(crate) fn permit_source(&self, place: &Place, opened: &Opened) -> Result<()> {
        self.permit(place, opened)?;
        for name in &opened.refused_names {
            let why = why_refused(name);
            self.note(format!("{place} calls its image {name:?}, and it gets no such name: {why}"));
        }
        Ok(())
    }

    /// Opens what is a file or directory.
    pub(crate) fn open_files(&self, place: &Place, platform: &Platform) -> Result<Opened> {
        match place {
            Place::Layout(path, name) => {
                layout::from_directory(path, None, name.as_deref(), platform)
            }
            Place::LayoutArchive(path, name) => {
                layout::from_archive(path, name.as_deref(), platform, self.spool())
            }
            Place::DockerArchive(path, name) => saved::open(path, name.as_deref(), self.spool()),
            Place::Directory(path) => {
                directory::open(path).map(|opened| opened.named(layout::file_name(path)))
            }
            Place::Registry(_) | Place::Local(_) => {
                Err(Error::new(Kind::Internal, format!("open {place} as a file")))
            }
        }
    }

    /// Opens one of our own images.
    pub(crate) fn open_local(&self, state: Option<&State>, name: &str) -> Result<Opened> {
        let state = state.ok_or_else(|| {
            Error::new(Kind::Internal, format!("find {name} without the database"))
        })?;
        local::open(self, state, name)
    }

    /// Where and within which limits archives are read.
    pub(crate) fn spool(&self) -> Spool<'_> {
        Spool { scratch: &self.scratch, bounds: &self.bounds }
    }
}

/// Tries the complete names that a name may stand for, in order.
pub(crate) fn from_registry(client: &Client, name: &str) -> Result<Opened> {
    let mut failed: Vec<(Reference, Error)> = Vec::new();
    for reference in client.expand(name)? {
        match from_reference(client, &reference) {
            Ok(opened) => return Ok(opened),
            Err(error) => failed.push((reference, error)),
        }
    }
    Err(all_failed(name, failed))
}

/// One error of all places. The first of a search list is the one that the user most likely meant: its
/// error counts, and the others are told before it.
fn all_failed(name: &str, failed: Vec<(Reference, Error)>) -> Error {
    let mut failed = failed.into_iter();
    let Some((first, error)) = failed.next() else {
        return Error::new(Kind::NotFound, format!("no registry is configured to have {name}"));
    };
    let others: Vec<String> =
        failed.map(|(reference, error)| format!("{reference} ({})", error.one_line())).collect();
    if others.is_empty() {
        return error;
    }
    let what = format!("it comes neither from {} nor from {first}", others.join(" nor from "));
    Error::new(error.kind(), what).because(error)
}

/// Opens what a complete name leads to.
pub(crate) fn from_reference(client: &Client, reference: &Reference) -> Result<Opened> {
    let resolved = client.resolve(reference)?;
    let repository = Arc::new(resolved.repository);
    Ok(Opened {
        names: vec![names::key(reference)],
        reference: Some(reference.clone()),
        ..Opened::new(resolved.descriptor, resolved.bytes, repository)
    })
}
