//! The side of a repository that changes things: blobs and manifests go there, and go.
//!
//! ```text
//! has_blob ─no─▶ mount_blob ─no─▶ upload       for each blob, then   put_manifest
//! ```
//!
//! All of it happens at the registry itself; a mirror only ever reads.

use crate::{
    client::Repository,
    content::{Content, Payload},
    fetcher::{Question, Tries, digest_by, told_digest},
    listing::referrers_tag,
    reference::{Reference, check_tag},
    scope::Scopes,
    transport::Answer,
    upload::{Arrival, Upload},
};
use bytes::Bytes;
use dhow_base::{Digest, Doing, Error, Kind, Result};
use dhow_spec::image::{Descriptor, Document, Index, MANIFEST_LIMIT_BYTES, media_type};
use reqwest::{
    Method,
    header::{CONTENT_TYPE, HeaderValue},
};
use std::sync::Arc;

impl Repository {
    /// The size of a blob that the registry has in this repository; `None` where it has not.
    pub fn has_blob(&self, digest: &Digest) -> Result<Option<u64>> {
        let endpoint = self.origin()?;
        self.engine()?
            .block_on(self.fetcher().blob_size(endpoint, digest))
            .doing(|| format!("look for blob {digest} in {}", endpoint.name()))
    }

    /// Has the registry take a blob over from another of its repositories. `false` where it cannot,
    /// or where `from` is not at this registry.
    pub fn mount_blob(&self, blob: &Descriptor, from: &Reference) -> Result<bool> {
        let Some(source) = self.source_of(from)? else { return Ok(false) };
        let endpoint = self.origin()?;
        self.engine()?
            .block_on(Upload::mount(self.fetcher(), endpoint, blob, source))
            .doing(|| format!("mount blob {} from {source} in {}", blob.digest, endpoint.name()))
    }

    /// Sends a blob. What breaks off is gone on with from where the registry has it.
    pub fn upload(&self, blob: &Descriptor, content: Arc<dyn Content>) -> Result<()> {
        self.bring(blob, content, None).map(drop)
    }

    /// Sends a blob unless the registry can take it over from `from`; both cost one request to
    /// begin with.
    pub fn bring(
        &self,
        blob: &Descriptor,
        content: Arc<dyn Content>,
        from: Option<&Reference>,
    ) -> Result<Arrival> {
        let source = from.map(|from| self.source_of(from)).transpose()?.flatten();
        let endpoint = self.origin()?;
        self.engine()?
            .block_on(Upload::new(self.fetcher(), endpoint, blob, content, source).run())
            .doing(|| format!("send blob {} to {}", blob.digest, endpoint.name()))
    }

    /// Stores a manifest or index under a tag or under its digest; gives its digest.
    ///
    /// Where it speaks about another manifest and the registry does not keep book of that, the
    /// index under the subject's tag is brought up to date.
    pub fn put_manifest(&self, identifier: &str, media_type: &str, bytes: &[u8]) -> Result<Digest> {
        let endpoint = self.origin()?;
        let doing = || format!("store the manifest {identifier} in {}", endpoint.name());
        let digest = checked(identifier, bytes).doing(doing)?;
        let answer = self.put(identifier, media_type, bytes).doing(doing)?;
        let headers = answer.response.headers();
        let claimed = told_digest(headers).and_then(Result::ok);
        // A registry may count by another algorithm than ours.
        if let Some(other) = claimed
            && other != digest
            && other.algorithm() == digest.algorithm()
        {
            let why = format!("{}: it was stored as {other}, not {digest}", doing());
            return Err(Error::new(Kind::Corrupt, why));
        }
        if !headers.contains_key("oci-subject")
            && let Some((subject, entry)) = referrer(media_type, bytes, &digest)
        {
            self.add_referrer(&subject, entry)
                .doing(|| format!("note that {digest} refers to {subject}"))?;
        }
        Ok(digest)
    }

    fn put(&self, identifier: &str, media_type: &str, bytes: &[u8]) -> Result<Answer> {
        let endpoint = self.origin()?;
        let media_type = HeaderValue::from_str(media_type)
            .map_err(|_| Error::new(Kind::Invalid, format!("say that it is {media_type:?}")))?;
        let rest = format!("manifests/{identifier}");
        let mut question =
            Question::new(Method::PUT, endpoint, &rest, Scopes::push(&endpoint.path));
        question.headers.insert(CONTENT_TYPE, media_type);
        question.payload = Payload::Bytes(Bytes::copy_from_slice(bytes));
        let tries = Tries::new(&self.fetcher().patience);
        self.engine()?.block_on(self.fetcher().persist(endpoint, &question, tries))
    }

    /// Adds to the index under the tag of the old convention. Two who do this at once can lose one
    /// of the two; the convention has no remedy for it.
    fn add_referrer(&self, subject: &Digest, entry: Descriptor) -> Result<()> {
        let mut manifests = self.referrers_by_tag(subject)?;
        if manifests.iter().any(|known| known.digest == entry.digest) {
            return Ok(());
        }
        manifests.push(entry);
        let bytes = serde_json::to_vec(&Index::new(manifests))
            .map_err(|error| Error::new(Kind::Internal, "write an index").because(error))?;
        self.put(&referrers_tag(subject), media_type::OCI_INDEX, &bytes).map(drop)
    }

    /// Removes a manifest, with all tags that lead to it.
    pub fn delete_manifest(&self, digest: &Digest) -> Result<()> {
        let endpoint = self.origin()?;
        let rest = format!("manifests/{digest}");
        let scopes = Scopes::delete(&endpoint.path);
        let question = Question::new(Method::DELETE, endpoint, &rest, scopes);
        let tries = Tries::new(&self.fetcher().patience);
        self.engine()?
            .block_on(self.fetcher().persist(endpoint, &question, tries))
            .map(drop)
            .doing(|| format!("remove the manifest {digest} from {}", endpoint.name()))
    }

    /// The repository that `from` means here, if it is one of this registry's.
    fn source_of<'a>(&self, from: &'a Reference) -> Result<Option<&'a str>> {
        let endpoint = self.origin()?;
        let is_here = from.domain() == endpoint.domain && from.path() != endpoint.path;
        Ok(is_here.then(|| from.path()))
    }
}

/// Whom a manifest speaks about, and how an index of those who do lists it.
fn referrer(kind: &str, bytes: &[u8], digest: &Digest) -> Option<(Digest, Descriptor)> {
    let own = Descriptor::new(kind, digest.clone(), bytes.len() as u64);
    // What cannot be read was the registry's to refuse.
    Document::parse(bytes, kind).ok()?.referrer(&own)
}

/// The digest that the bytes will have there: the one that is asked for, else SHA-256. What is no
/// digest must be a tag: it becomes part of an address.
fn checked(identifier: &str, bytes: &[u8]) -> Result<Digest> {
    if bytes.len() as u64 > MANIFEST_LIMIT_BYTES {
        let what = format!("it has {} bytes, more than 4 MiB", bytes.len());
        return Err(Error::new(Kind::Exhausted, what));
    }
    let Ok(wanted) = identifier.parse::<Digest>() else {
        return match check_tag(identifier) {
            Ok(()) => Ok(Digest::of(bytes)),
            Err(why) => Err(Error::new(Kind::Invalid, format!("use it as a tag: {why}"))),
        };
    };
    let actual = digest_by(wanted.algorithm(), bytes);
    if actual == wanted {
        return Ok(wanted);
    }
    Err(Error::new(Kind::Corrupt, format!("its bytes have the digest {actual}")))
}
