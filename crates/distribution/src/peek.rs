//! Looking what a name leads to without fetching it: one HEAD.

use crate::{
    client::Repository,
    fetcher::{Fetcher, Question, accept},
    reference::Reference,
    registries::Endpoint,
};
use dhow_base::{Digest, Doing, Error, Kind, Result};
use reqwest::{Method, header::ACCEPT};

/// Which digest a manifest has, in an answer that may have no body.
const DIGEST: &str = "docker-content-digest";

impl Repository {
    /// The digest to which a tag leads now. Nothing where there is no such tag, and where the
    /// registry does not say; who wants to know which of the two, resolves it.
    pub fn peek(&self, reference: &Reference) -> Result<Option<Digest>> {
        let engine = self.engine()?;
        let mut failed: Option<Error> = None;
        for endpoint in self.endpoints() {
            match engine.block_on(self.fetcher().peek(endpoint, reference.identifier())) {
                Ok(found) => return Ok(found),
                Err(error) => failed = Some(error),
            }
        }
        failed.map_or(Ok(None), Err).doing(|| format!("look for {reference}"))
    }
}

impl Fetcher {
    async fn peek(&self, endpoint: &Endpoint, identifier: &str) -> Result<Option<Digest>> {
        let mut question = Question {
            method: Method::HEAD,
            ..Question::get(endpoint, &format!("manifests/{identifier}"))
        };
        question.headers.insert(ACCEPT, accept());
        let answer = match self.persist(endpoint, &question).await {
            Err(error) if error.kind() == Kind::NotFound => return Ok(None),
            answer => answer?,
        };
        let digest = answer.response.headers().get(DIGEST);
        Ok(digest.and_then(|text| text.to_str().ok()?.parse().ok()))
    }
}
