//! What refers to an image: signatures, bills of materials and the like, which name it as their
//! subject.
//!
//! A registry is asked; it keeps book of them. In a layout and among what is ours every document is
//! read.

use crate::{
    End, Images, Place,
    layout::{self, read_index},
    origin::Opened,
};
use dhow_base::{Digest, Doing, Error, Kind, Result};
use dhow_spec::image::{Descriptor, Document, MANIFEST_LIMIT_BYTES, Platform, media_type};
use dhow_state::{State, artifacts, images};
use std::collections::BTreeMap;

impl Images {
    /// What refers to the image, index or artifact at a place; only what is of this type, where one
    /// is asked for. A name that leads to an index means the index.
    pub fn referrers(
        &self,
        state: Option<&State>,
        end: &End,
        artifact_type: Option<&str>,
    ) -> Result<Vec<Descriptor>> {
        let list = || -> Result<Vec<Descriptor>> {
            let mut found = match &end.place {
                Place::Registry(_) => {
                    let reference = end.reference()?;
                    let client = end.client()?;
                    let subject = match reference.digest() {
                        Some(digest) => digest.clone(),
                        None => client.resolve(&reference)?.descriptor.digest,
                    };
                    let listed =
                        client.repository(&reference)?.referrers(&subject, artifact_type)?;
                    return Ok(listed.manifests);
                }
                Place::Layout(path, _) => {
                    let Opened { top, origin, .. } = self.open_here(state, end)?;
                    let index = read_index(&layout::Directory(path.clone()))?;
                    in_documents(&top.digest, &index.manifests, |entry| origin.manifest(entry))?
                }
                Place::Local(_) => {
                    let Opened { top, .. } = self.open_here(state, end)?;
                    let state = state.ok_or_else(|| {
                        Error::new(Kind::Internal, "look among our own without the database")
                    })?;
                    self.in_store(state, &top.digest)?
                }
                other => {
                    return Err(Error::new(Kind::Unsupported, format!("{other} keeps none"))
                        .hint("docker://, oci: and dhow: have referrers"));
                }
            };
            if let Some(wanted) = artifact_type {
                found.retain(|entry| entry.artifact_type.as_deref() == Some(wanted));
            }
            Ok(found)
        };
        list().doing(|| format!("list what refers to {}", end.place))
    }

    fn open_here(&self, state: Option<&State>, end: &End) -> Result<Opened> {
        self.open_end(state, end, &Platform::host())
    }

    fn in_store(&self, state: &State, subject: &Digest) -> Result<Vec<Descriptor>> {
        let read = state.read();
        let mut documents = BTreeMap::new();
        for row in images::list(read)? {
            let bytes = self.store().read(&row.manifest, MANIFEST_LIMIT_BYTES)?;
            documents.insert(row.manifest, (row.media_type, bytes));
        }
        for row in artifacts::list(read)? {
            documents.insert(row.manifest, (row.media_type, row.document.into_bytes()));
        }
        let entry = |(digest, (media_type, bytes)): (&Digest, &(String, Vec<u8>))| {
            Descriptor::new(media_type, digest.clone(), bytes.len() as u64)
        };
        let entries: Vec<Descriptor> = documents.iter().map(entry).collect();
        in_documents(subject, &entries, |entry| Ok(documents[&entry.digest].1.clone()))
    }
}

/// Those of the documents that have this subject, as an index of referrers lists them. A layout may
/// list what is no document at all, which readers pass over (image-layout.md, index.json file).
fn in_documents(
    subject: &Digest,
    entries: &[Descriptor],
    bytes: impl Fn(&Descriptor) -> Result<Vec<u8>>,
) -> Result<Vec<Descriptor>> {
    let mut found = Vec::new();
    let is_document = |entry: &&Descriptor| {
        media_type::is_manifest(&entry.media_type) || media_type::is_index(&entry.media_type)
    };
    for entry in entries.iter().filter(is_document) {
        let document = Document::parse(&bytes(entry)?, &entry.media_type)?;
        if let Some((named, told)) = document.referrer(entry)
            && named == *subject
        {
            found.push(told);
        }
    }
    Ok(found)
}
