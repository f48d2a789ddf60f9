//! Looking what a name leads to without fetching it: one HEAD.

use crate::{
    client::Repository,
    fetcher::{Fetcher, Question, Tries, accept, told_digest},
    reference::Reference,
    registries::Endpoint,
};
use dhow_base::{Digest, Doing, Kind, Result};
use reqwest::{Method, header::ACCEPT};

impl Repository {
    /// The digest to which a tag leads now. Nothing where there is no such tag, and where the
    /// registry does not say; who wants to know which of the two, resolves it.
    pub fn peek(&self, reference: &Reference) -> Result<Option<Digest>> {
        let found = self.first_answer(async |endpoint, tries| {
            self.fetcher().peek(endpoint, reference.identifier(), tries).await
        });
        match found {
            Ok((_, digest)) => Ok(digest),
            Err(error) if error.kind() == Kind::NotFound => Ok(None),
            Err(error) => Err(error).doing(|| format!("look for {reference}")),
        }
    }
}

impl Fetcher {
    async fn peek(
        &self,
        endpoint: &Endpoint,
        identifier: &str,
        tries: Tries,
    ) -> Result<Option<Digest>> {
        let mut question = Question {
            method: Method::HEAD,
            ..Question::get(endpoint, &format!("manifests/{identifier}"))
        };
        question.headers.insert(ACCEPT, accept());
        let answer = self.persist(endpoint, &question, tries).await?;
        Ok(told_digest(answer.response.headers()).and_then(Result::ok))
    }
}
