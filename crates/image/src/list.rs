//! Lists: indexes that are put together here, image by image, and then pushed.
//!
//! ```text
//!  create ─▶ add, annotate, take out ─▶ push: a copy whose source is the list ─▶ remove
//! ```
//!
//! A list is a row with the document as it would be sent; where each of its images is, ours or
//! somebody else's, is written beside it. An image of ours stays while a list names it. What is
//! elsewhere is fetched when the list is pushed, and goes from there to its destination.

use crate::{
    End, Images, Place,
    image::{by_hex, missing},
    names,
    origin::{Opened, Origin, own_platform},
    place::{directory::media_type_of, local},
};
use dhow_base::{Digest, Doing, Error, Kind, Result};
use dhow_distribution::Reference;
use dhow_spec::image::{Descriptor, Document, Index, Platform};
use dhow_state::{
    State, events, images,
    lists::{self, List as Row, Member},
};
use std::{
    collections::{BTreeMap, HashMap},
    io::Read,
    sync::Arc,
};

/// From so many digits on, what is no name of a list is taken for the beginning of its digest.
const SHORTEST_DIGEST: usize = 12;

/// What is said of an image in a list; what is left out stays as it is.
#[derive(Clone, Debug, Default)]
pub struct Annotation {
    /// For which system.
    pub os: Option<String>,
    /// For which processor.
    pub architecture: Option<String>,
    /// For which kind of it.
    pub variant: Option<String>,
    /// For which version of the system.
    pub os_version: Option<String>,
    /// What the system must have.
    pub os_features: Vec<String>,
    /// What the processor must have.
    pub features: Vec<String>,
    /// Notes, by key.
    pub annotations: BTreeMap<String, String>,
}

/// Which images of an index are added.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Which {
    /// The one for this machine.
    One,
    /// All.
    All,
}

/// An image that is added: where it is, and what the list says of it.
struct Entry {
    descriptor: Descriptor,
    source: Option<String>,
}

/// The images of a list, each at its own place.
#[derive(Debug, Default)]
struct Scattered {
    manifests: HashMap<Digest, Vec<u8>>,
    blobs: HashMap<Digest, Arc<dyn Origin>>,
    /// The repositories that are known to have a blob.
    known: HashMap<Digest, Vec<Reference>>,
}

impl Scattered {
    fn add(&mut self, entry: &Descriptor, opened: &Opened) -> Result<()> {
        let bytes = if opened.top.digest == entry.digest {
            opened.bytes.clone()
        } else {
            opened.origin.manifest(entry)?
        };
        let Document::Manifest(manifest) = Document::parse(&bytes, &entry.media_type)? else {
            let what = format!("manifest {} is an index within an index", entry.digest);
            return Err(Error::new(Kind::Unsupported, what));
        };
        for blob in manifest.layers.into_iter().chain([manifest.config]) {
            self.known.entry(blob.digest.clone()).or_default().extend(opened.known(&blob.digest));
            self.blobs.entry(blob.digest).or_insert_with(|| Arc::clone(&opened.origin));
        }
        self.manifests.insert(entry.digest.clone(), bytes);
        Ok(())
    }
}

impl Origin for Scattered {
    fn blob(&self, descriptor: &Descriptor, offset: u64) -> Result<Box<dyn Read + Send>> {
        let origin = self.blobs.get(&descriptor.digest).ok_or_else(|| {
            let what = format!("no image of the list has blob {}", descriptor.digest);
            Error::new(Kind::NotFound, what)
        })?;
        origin.blob(descriptor, offset)
    }

    fn is_verified(&self, descriptor: &Descriptor) -> bool {
        let origin = self.blobs.get(&descriptor.digest);
        origin.is_some_and(|origin| origin.is_verified(descriptor))
    }

    fn manifest(&self, descriptor: &Descriptor) -> Result<Vec<u8>> {
        self.manifests.get(&descriptor.digest).cloned().ok_or_else(|| {
            let what = format!("manifest {} is not in the list", descriptor.digest);
            Error::new(Kind::NotFound, what)
        })
    }
}

impl Images {
    /// Makes a list with these images. One that is there is an error, unless it is to be `amended`:
    /// then it gets them too. What cannot be made whole is not made.
    pub fn create_list(
        &self,
        state: &mut State,
        name: &str,
        amended: bool,
        members: &[End],
        which: Which,
    ) -> Result<Digest> {
        let doing = || format!("create list {name}");
        let complete = local::stored_name(name).doing(doing)?;
        let mut entries = Vec::new();
        for member in members {
            entries.extend(self.entries(state, member, which).doing(doing)?);
        }
        let document = state
            .write(|write| {
                if images::find_by_name(write, &complete)?.is_some() {
                    return Err(taken("an image has this name"));
                }
                let mut index = match lists::find(write, &complete)? {
                    Some(row) if amended => parse(&row.document)?,
                    Some(_) => return Err(taken("that list exists")),
                    None => Index::new(Vec::new()),
                };
                lists::put(write, &complete, &render(&index)?)?;
                put_entries(write, &complete, &mut index, &entries)?;
                let document = render(&index)?;
                lists::put(write, &complete, &document)?;
                events::record(write, "manifest", "create", &complete, "{}")?;
                Ok(document)
            })
            .doing(doing)?;
        Ok(Digest::of(document.as_bytes()))
    }

    /// Keeps a document that was made elsewhere as a list, to the byte; its images are ours, or at
    /// the places named. A list of this name gives way.
    pub(crate) fn keep_list(
        &self,
        state: &mut State,
        name: &str,
        document: &[u8],
        members: &[(Digest, Option<String>)],
    ) -> Result<()> {
        let complete = local::stored_name(name)?;
        let document = std::str::from_utf8(document)
            .map_err(|_| Error::new(Kind::Corrupt, "keep the list: it is no text"))?;
        parse(document)?;
        state
            .write(|write| {
                if images::find_by_name(write, &complete)?.is_some() {
                    return Err(Error::new(Kind::Conflict, "an image has this name")
                        .hint("`dhow untag` takes it from the image"));
                }
                lists::delete(write, &complete)?;
                lists::put(write, &complete, document)?;
                for (digest, source) in members {
                    if source.is_none() && images::find(write, digest)?.is_none() {
                        // Removed by another command since it came.
                        return Err(missing(digest.as_str()));
                    }
                    let member = Member { manifest: digest.clone(), source: source.clone() };
                    lists::put_member(write, &complete, &member)?;
                }
                events::record(write, "manifest", "create", &complete, "{}")
            })
            .doing(|| format!("keep list {complete}"))
    }

    /// Adds an image, or the images of an index, to a list. `image` is reached as `end` says where
    /// it names no image of ours.
    pub fn add_to_list(
        &self,
        state: &mut State,
        list: &str,
        image: &End,
        which: Which,
        said: &Annotation,
    ) -> Result<Digest> {
        let row = self.list_row(state, list)?;
        let mut entries = self
            .entries(state, image, which)
            .doing(|| format!("add {} to list {list}", image.place))?;
        // What is said of one image is not said of all images of an index.
        if let [only] = &mut entries[..] {
            say(&mut only.descriptor, said);
        }
        self.change_list(state, &row.name, |write, index| {
            put_entries(write, &row.name, index, &entries)
        })?;
        self.list_digest(state, list)
    }

    /// Changes what a list says of one of its images, which is meant by its digest or, for one of
    /// ours, by its name.
    pub fn annotate_list(
        &self,
        state: &mut State,
        list: &str,
        image: &str,
        said: &Annotation,
    ) -> Result<Digest> {
        let row = self.list_row(state, list)?;
        let digest = self.meant(state, image)?;
        self.change_list(state, &row.name, |_, index| {
            let entry = index.manifests.iter_mut().find(|own| own.digest == digest);
            say(entry.ok_or_else(|| not_in(image, list))?, said);
            Ok(())
        })?;
        self.list_digest(state, list)
    }

    /// Takes an image out of a list.
    pub fn take_from_list(&self, state: &mut State, list: &str, image: &str) -> Result<Digest> {
        let row = self.list_row(state, list)?;
        let digest = self.meant(state, image)?;
        self.change_list(state, &row.name, |write, index| {
            let before = index.manifests.len();
            index.manifests.retain(|own| own.digest != digest);
            if index.manifests.len() == before {
                return Err(not_in(image, list));
            }
            lists::delete_member(write, &row.name, &digest)
        })?;
        self.list_digest(state, list)
    }

    /// The document of a list.
    pub fn list_document(&self, state: &State, list: &str) -> Result<Vec<u8>> {
        self.list_row(state, list).map(|row| row.document.into_bytes())
    }

    /// Is there a list of this name?
    pub fn has_list(&self, state: &State, list: &str) -> Result<bool> {
        Ok(self.find_list(state, list)?.is_some())
    }

    /// Removes a list; its images stay.
    pub fn remove_list(&self, state: &mut State, list: &str) -> Result<Digest> {
        let digest = self.list_digest(state, list)?;
        let row = self.list_row(state, list)?;
        state.write(|write| {
            lists::delete(write, &row.name)?;
            events::record(write, "manifest", "remove", &row.name, "{}")
        })?;
        Ok(digest)
    }

    /// A list as a place to copy from.
    pub(crate) fn open_list(&self, state: &State, name: &str) -> Result<Option<Opened>> {
        let Some(row) = self.find_list(state, name)? else { return Ok(None) };
        let mut scattered = self.scattered(state, &row)?;
        let known = std::mem::take(&mut scattered.known);
        let bytes = row.document.into_bytes();
        let top = Descriptor::of(&media_type_of(&bytes)?, &bytes);
        let opened = Opened::new(top, bytes, Arc::new(scattered));
        Ok(Some(Opened { names: vec![row.name], known, ..opened }))
    }

    /// Opens the place of each image of a list.
    fn scattered(&self, state: &State, row: &Row) -> Result<Scattered> {
        let sources: HashMap<Digest, Option<String>> = lists::members(state.read(), &row.name)?
            .into_iter()
            .map(|member| (member.manifest, member.source))
            .collect();
        let mut scattered = Scattered::default();
        for entry in parse(&row.document)?.manifests {
            let place = match sources.get(&entry.digest) {
                Some(Some(source)) => Place::parse(source)?,
                Some(None) => Place::Local(entry.digest.to_string()),
                None => {
                    let what = format!("the list does not say where {} is", entry.digest);
                    return Err(Error::new(Kind::Corrupt, what));
                }
            };
            let end = End::new(place, self.registries().clone());
            let opened = self.open_end(Some(state), &end, &Platform::host())?;
            scattered.add(&entry, &opened).doing(|| format!("open {}", end.place))?;
        }
        Ok(scattered)
    }

    fn list_digest(&self, state: &State, list: &str) -> Result<Digest> {
        self.list_row(state, list).map(|row| Digest::of(row.document.as_bytes()))
    }

    fn list_row(&self, state: &State, list: &str) -> Result<Row> {
        self.find_list(state, list)?.ok_or_else(|| {
            Error::new(Kind::NotFound, format!("no such list: {list}"))
                .hint("`dhow manifest create` makes one")
        })
    }

    fn find_list(&self, state: &State, list: &str) -> Result<Option<Row>> {
        let hex = by_hex(list).filter(|hex| hex.len() >= SHORTEST_DIGEST);
        let candidates = match names::candidates(list) {
            // What is no name may still be a digest.
            Err(_) if hex.is_some() => Vec::new(),
            candidates => candidates?,
        };
        for name in candidates {
            if let Some(row) = lists::find(state.read(), &name)? {
                return Ok(Some(row));
            }
        }
        let Some(hex) = hex else { return Ok(None) };
        let mut of_digest = lists::all(state.read())?;
        of_digest.retain(|row| Digest::of(row.document.as_bytes()).hex().starts_with(hex));
        match of_digest.len() {
            0 | 1 => Ok(of_digest.pop()),
            _ => {
                let names: Vec<String> = of_digest.into_iter().map(|row| row.name).collect();
                let what = format!("{list} is the digest of several lists: {}", names.join(", "));
                Err(Error::new(Kind::Conflict, what).hint("use a name"))
            }
        }
    }

    /// Changes a document and its rows in one transaction.
    fn change_list(
        &self,
        state: &mut State,
        name: &str,
        change: impl FnOnce(&dhow_state::Write<'_>, &mut Index) -> Result<()>,
    ) -> Result<()> {
        state
            .write(|write| {
                let row = lists::find(write, name)?.ok_or_else(|| {
                    Error::new(Kind::NotFound, "another command removed it meanwhile")
                })?;
                let mut index = parse(&row.document)?;
                change(write, &mut index)?;
                lists::put(write, name, &render(&index)?)
            })
            .doing(|| format!("change list {name}"))
    }

    /// The digest that a user means: itself, or that of one of our images.
    fn meant(&self, state: &State, image: &str) -> Result<Digest> {
        if let Ok(digest) = image.parse() {
            return Ok(digest);
        }
        let row = self.find_row(state.read(), image)?.ok_or_else(|| missing(image))?;
        Ok(row.manifest)
    }

    fn entries(&self, state: &State, image: &End, which: Which) -> Result<Vec<Entry>> {
        let platform = Platform::host();
        let opened = self.open_end(Some(state), image, &platform)?;
        let source =
            |digest: &Digest| member_source(&image.place, opened.reference.as_ref(), digest);
        let entry =
            |descriptor: Descriptor| Entry { source: source(&descriptor.digest), descriptor };
        match (Document::parse(&opened.bytes, &opened.top.media_type)?, which) {
            (Document::Manifest(_), _) => {
                let platform = own_platform(&opened.top, &opened.bytes, opened.origin.as_ref())?;
                let mut descriptor = opened.top.clone();
                descriptor.platform = Some(platform);
                Ok(vec![entry(descriptor)])
            }
            (Document::Index(index), Which::All) => {
                Ok(index.manifests.into_iter().map(entry).collect())
            }
            (Document::Index(index), Which::One) => {
                Ok(vec![entry(index.choose(&platform)?.clone())])
            }
        }
    }
}

/// Where a manifest of an image that was opened is, as a list notes it; `None` among our own.
pub(crate) fn member_source(
    place: &Place,
    reference: Option<&Reference>,
    digest: &Digest,
) -> Option<String> {
    match (place, reference) {
        (Place::Local(_), _) => None,
        (Place::Registry(_), Some(reference)) => {
            let name = names::key(&reference.with_digest(digest.clone()));
            Some(Place::Registry(name).to_string())
        }
        (place, _) => Some(place.to_string()),
    }
}

fn taken(why: &str) -> Error {
    Error::new(Kind::Conflict, why).hint("--amend goes on with a list that exists")
}

fn not_in(image: &str, list: &str) -> Error {
    Error::new(Kind::NotFound, format!("{image} is not in list {list}"))
        .hint("`dhow manifest inspect` shows what is")
}

/// Adds images to a document and their places to its rows.
fn put_entries(
    write: &dhow_state::Write<'_>,
    list: &str,
    index: &mut Index,
    entries: &[Entry],
) -> Result<()> {
    for entry in entries {
        let digest = &entry.descriptor.digest;
        let member = Member { manifest: digest.clone(), source: entry.source.clone() };
        if entry.source.is_none() && images::find(write, digest)?.is_none() {
            // Removed by another command since it was found.
            return Err(missing(digest.as_str()));
        }
        lists::put_member(write, list, &member)?;
        index.manifests.retain(|own| own.digest != *digest);
        index.manifests.push(entry.descriptor.clone());
    }
    Ok(())
}

fn parse(document: &str) -> Result<Index> {
    let bytes = document.as_bytes();
    match Document::parse(bytes, &media_type_of(bytes)?)? {
        Document::Index(index) => Ok(*index),
        Document::Manifest(_) => Err(Error::new(Kind::Corrupt, "the list's row holds no index")),
    }
}

fn render(index: &Index) -> Result<String> {
    serde_json::to_string(index)
        .map_err(|error| Error::new(Kind::Internal, "write the list's document").because(error))
}

fn say(entry: &mut Descriptor, said: &Annotation) {
    let platform = entry.platform.get_or_insert_with(Platform::host);
    let set = |field: &mut String, value: &Option<String>| {
        if let Some(value) = value {
            field.clone_from(value);
        }
    };
    set(&mut platform.os, &said.os);
    set(&mut platform.architecture, &said.architecture);
    if said.variant.is_some() {
        platform.variant.clone_from(&said.variant);
    }
    if said.os_version.is_some() {
        platform.os_version.clone_from(&said.os_version);
    }
    if !said.os_features.is_empty() {
        platform.os_features.clone_from(&said.os_features);
    }
    if !said.features.is_empty() {
        platform.features.clone_from(&said.features);
    }
    entry.annotations.extend(said.annotations.clone());
}
