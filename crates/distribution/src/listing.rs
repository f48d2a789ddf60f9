//! What a repository says it has: its tags, and what refers to a manifest.
//!
//! A long list comes in pages; each names the next one in its `Link` header (RFC 8288). A registry
//! could go on like this for ever, so pages, their sizes and what they hold are limited, and a page
//! that has been seen is not asked for again.
//!
//! A registry that does not know referrers keeps them, by convention, in an index under a tag that
//! is made of the digest.

use crate::{
    address::{follow, same_origin},
    client::Repository,
    fetcher::{Question, Target, Tries},
    refusal::tame,
    transport::Answer,
};
use dhow_base::{Digest, Doing, Error, Kind, Result};
use dhow_spec::image::{Descriptor, Document, Index, MANIFEST_LIMIT_BYTES, media_type};
use reqwest::header::{ACCEPT, HeaderValue, LINK};
use serde::Deserialize;
use std::collections::HashSet;
use url::Url;

const PAGES_LIMIT: usize = 10_000;
const TAGS_LIMIT: usize = 1_000_000;
const REFERRERS_LIMIT: usize = 10_000;
/// So many tags are asked for at once.
const TAGS_A_PAGE: usize = 1000;

#[derive(Deserialize)]
struct Tags {
    /// Some registries write `null` where there are none.
    tags: Option<Vec<String>>,
}

impl Repository {
    /// All tags, in the registry's order.
    pub fn tags(&self) -> Result<Vec<String>> {
        let doing = || format!("list the tags of {}", self.shown());
        self.list_tags().doing(doing)
    }

    fn list_tags(&self) -> Result<Vec<String>> {
        let mut tags = Vec::new();
        let first = format!("tags/list?n={TAGS_A_PAGE}");
        self.pages(&first, |page| {
            let page: Tags = serde_json::from_slice(page).map_err(|error| {
                Error::new(Kind::Corrupt, format!("read the list of tags: {error}"))
            })?;
            for tag in page.tags.unwrap_or_default() {
                if crate::reference::check_tag(&tag).is_err() {
                    let what = format!("read the list of tags: {:?} is no tag", tame(&tag));
                    return Err(Error::new(Kind::Corrupt, what));
                }
                tags.push(tag);
            }
            limited(tags.len(), TAGS_LIMIT, "tags")
        })?;
        Ok(tags)
    }

    /// The manifests that refer to `subject`: signatures, bills of materials and the like.
    pub fn referrers(&self, subject: &Digest, artifact_type: Option<&str>) -> Result<Index> {
        let doing = || format!("list what refers to {subject} in {}", self.shown());
        let mut manifests = match self.by_interface(subject, artifact_type) {
            // Who does not know the question has no answer, not even an empty one.
            Err(error) if matches!(error.kind(), Kind::NotFound | Kind::Unsupported) => {
                self.referrers_by_tag(subject).doing(doing)?
            }
            listed => listed.doing(doing)?,
        };
        // Not every registry filters, and a tag never does.
        if let Some(wanted) = artifact_type {
            manifests.retain(|found| found.artifact_type.as_deref() == Some(wanted));
        }
        Ok(Index::new(manifests))
    }

    fn by_interface(
        &self,
        subject: &Digest,
        artifact_type: Option<&str>,
    ) -> Result<Vec<Descriptor>> {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        if let Some(wanted) = artifact_type {
            query.append_pair("artifactType", wanted);
        }
        let query = query.finish();
        let mark = if query.is_empty() { "" } else { "?" };
        let mut manifests = Vec::new();
        self.pages(&format!("referrers/{subject}{mark}{query}"), |page| {
            manifests.extend(index(page)?.manifests);
            limited(manifests.len(), REFERRERS_LIMIT, "referrers")
        })?;
        Ok(manifests)
    }

    /// What the tag of the old convention leads to.
    pub(crate) fn referrers_by_tag(&self, subject: &Digest) -> Result<Vec<Descriptor>> {
        match self.tagged(&referrers_tag(subject)) {
            Ok(found) => Ok(index(&found)?.manifests),
            Err(error) if error.kind() == Kind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    fn tagged(&self, tag: &str) -> Result<Vec<u8>> {
        let endpoint = self.origin()?;
        let tries = Tries::new(&self.fetcher().patience);
        let asked = self.fetcher().manifest(endpoint, tag, None, tries);
        Ok(self.engine()?.block_on(asked)?.bytes)
    }

    /// Hands each page of a list over.
    fn pages(&self, first: &str, mut each: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let (endpoint, fetcher, engine) = (self.origin()?, self.fetcher(), self.engine()?);
        let limit = usize::try_from(MANIFEST_LIMIT_BYTES).expect("4 MiB fit into a usize");
        let mut question = Question::get(endpoint, first);
        question.headers.insert(ACCEPT, HeaderValue::from_static("application/json, */*"));
        let mut seen = HashSet::new();
        for _ in 0..PAGES_LIMIT {
            let fetched = Tries::new(&fetcher.patience).until(async || {
                let mut answer = fetcher.ask(endpoint, &question).await?;
                let page = fetcher.read_small(&mut answer, limit).await?;
                Ok((answer, page))
            });
            let (answer, page) = engine.block_on(fetched)?;
            each(&page)?;
            let Some(next) = next_page(&answer)? else { return Ok(()) };
            if !seen.insert(next.clone()) {
                let what = format!("follow the pages of the list: {} comes twice", next.path());
                return Err(Error::new(Kind::Corrupt, what));
            }
            question.target = Target::Address(next);
        }
        limited(PAGES_LIMIT + 1, PAGES_LIMIT, "pages")
    }

    fn shown(&self) -> String {
        self.origin().map(|endpoint| endpoint.name()).unwrap_or_default()
    }
}

/// Where the next page is. It must be at the registry, since it is asked with our proof.
fn next_page(answer: &Answer) -> Result<Option<Url>> {
    let texts = answer.response.headers().get_all(LINK).iter();
    let Some(target) = texts.filter_map(|value| next_link(value.to_str().ok()?)).next() else {
        return Ok(None);
    };
    let next = follow(&answer.url, target, &answer.base.url, answer.base.trust)?;
    if same_origin(&next, &answer.base.url) {
        return Ok(Some(next));
    }
    let what = format!("follow the pages of the list to {:?}", tame(next.as_str()));
    Err(Error::new(Kind::Denied, format!("{what}: that is another place")))
}

/// The target of `<target>; rel="next"`.
fn next_link(text: &str) -> Option<&str> {
    let mut rest = text;
    while let Some((_, after)) = rest.split_once('<') {
        let (target, parameters) = after.split_once('>')?;
        let end = parameters.find('<').unwrap_or(parameters.len());
        let (own, others) = parameters.split_at(end);
        let is_next = own.split([';', ',']).any(|parameter| {
            let (name, value) = parameter.split_once('=').unwrap_or_default();
            let value = value.trim().trim_matches('"');
            name.trim().eq_ignore_ascii_case("rel") && value.eq_ignore_ascii_case("next")
        });
        if is_next {
            return Some(target);
        }
        rest = others;
    }
    None
}

/// The tag under which a registry that knows no referrers keeps those of `subject`.
pub(crate) fn referrers_tag(subject: &Digest) -> String {
    let hex = subject.hex();
    format!("{}-{}", subject.algorithm().name(), &hex[..hex.len().min(64)])
}

fn index(bytes: &[u8]) -> Result<Index> {
    match Document::parse(bytes, media_type::OCI_INDEX)? {
        Document::Index(index) => Ok(*index),
        Document::Manifest(_) => {
            Err(Error::new(Kind::Corrupt, "read the list of referrers: it is no index"))
        }
    }
}

fn limited(count: usize, limit: usize, what: &str) -> Result<()> {
    if count <= limit {
        return Ok(());
    }
    Err(Error::new(Kind::Exhausted, format!("read the list: it has more than {limit} {what}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_read_as_registries_write_them() {
        let cases = [
            ("</v2/a/tags/list?last=b&n=2>; rel=\"next\"", Some("/v2/a/tags/list?last=b&n=2")),
            ("<https://r.io/x>; rel=next", Some("https://r.io/x")),
            ("</a>; rel=\"prev\", </b>; title=\"x\"; REL=\"Next\"", Some("/b")),
            ("</a>; rel=\"prev\"", None),
            ("</a", None),
            ("", None),
            ("<>; rel=next", Some("")),
        ];
        for (text, expected) in cases {
            assert_eq!(next_link(text), expected, "{text:?}");
        }
    }

    #[test]
    fn the_tag_of_referrers_is_made_of_the_digest() {
        let digest = Digest::of(b"");

        assert_eq!(referrers_tag(&digest), format!("sha256-{}", digest.hex()));
    }
}
