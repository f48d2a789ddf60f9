//! A blob on its way to a registry.
//!
//! ```text
//!  POST uploads/?mount&from ──201──▶ there: the registry had it elsewhere
//!        │202 Location
//!        ▼                    PATCH 202 Range          PUT ?digest 201
//!     begun at offset 0 ────────────────────▶ all sent ───────────────▶ there
//!        ▲   │ broke off                         │
//!        │   ▼                                   │
//!        │  GET Location ──204 Range──▶ begun at that offset
//!        └──404: the registry has forgotten it, begin anew
//! ```
//!
//! A small blob goes whole with the PUT, which is one request less. What does not do PATCHes gets
//! every blob that way.
//!
//! A `Location` may lead to another host, a storage service. It gets the bytes, since that is what
//! the registry wants, but no proof of ours. How much has arrived is the registry's word; it is
//! believed where it could be true, and the digest at the end decides.

use crate::{
    address::{follow, shown},
    content::{Content, Part, Payload},
    fetcher::{Fetcher, Question, Target, Tries, told_digest},
    refusal::{Failure, tame},
    registries::Endpoint,
    scope::Scopes,
    transport::Answer,
};
use bytes::Bytes;
use dhow_base::{Error, Kind, Result, digest::Algorithm};
use dhow_spec::image::Descriptor;
use reqwest::{
    Method,
    header::{CONTENT_RANGE, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION, RANGE},
};
use std::sync::Arc;
use url::Url;

/// Up to this size a blob goes whole with the PUT.
const SMALL_BYTES: u64 = 1 << 20;
/// After so many new bytes an upload has earned all its tries back.
const PROGRESS_BYTES: u64 = 1 << 20;
/// What is tried where a registry, or a proxy in front of it, finds a chunk too large.
const MODEST_CHUNK_BYTES: u64 = 16 << 20;
const LEAST_CHUNK_BYTES: u64 = 256 << 10;
const BYTES: HeaderValue = HeaderValue::from_static("application/octet-stream");

/// One blob's way there.
pub(crate) struct Upload<'a> {
    fetcher: &'a Fetcher,
    endpoint: &'a Endpoint,
    descriptor: &'a Descriptor,
    content: Arc<dyn Content>,
    /// Another repository of the registry that most likely has it.
    source: Option<&'a str>,
    /// How much goes with one request.
    chunk_bytes: u64,
    /// How much goes with it at least, where there is as much. Not to fall below what the registry
    /// wants also ends the search for a size that suits one whose wishes contradict each other.
    least_chunk_bytes: u64,
    /// Does the registry take blobs in pieces?
    in_pieces: bool,
    begun: Option<Begun>,
    /// The most that the registry can have.
    sent: u64,
}

/// An upload that the registry knows of.
#[derive(Clone, Debug)]
struct Begun {
    at: Url,
    offset: u64,
    /// A request broke off, so the offset must be asked for.
    is_doubtful: bool,
    /// That has happened; what is there now may have gaps, for all we know.
    is_resumed: bool,
}

/// What a step led to.
enum Step {
    Onward,
    Done(Arrival),
}

/// How a blob came to be there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Arrival {
    /// Its bytes were sent.
    Sent,
    /// The registry took it over from another repository.
    Mounted,
}

impl<'a> Upload<'a> {
    pub(crate) fn new(
        fetcher: &'a Fetcher,
        endpoint: &'a Endpoint,
        descriptor: &'a Descriptor,
        content: Arc<dyn Content>,
        source: Option<&'a str>,
    ) -> Self {
        Self {
            fetcher,
            endpoint,
            descriptor,
            content,
            source,
            chunk_bytes: u64::MAX,
            least_chunk_bytes: LEAST_CHUNK_BYTES,
            in_pieces: descriptor.size > SMALL_BYTES,
            begun: None,
            sent: 0,
        }
    }

    /// Asks for a mount alone. An upload that begins instead is taken back.
    pub(crate) async fn mount(
        fetcher: &Fetcher,
        endpoint: &Endpoint,
        blob: &Descriptor,
        source: &str,
    ) -> Result<bool> {
        let attempt = async || {
            let nothing = Arc::new(Bytes::new());
            let mut upload = Upload::new(fetcher, endpoint, blob, nothing, Some(source));
            let step = upload.begin().await?;
            if matches!(step, Step::Onward) {
                upload.cancel().await;
            }
            Ok(matches!(step, Step::Done(_)))
        };
        Tries::new(&fetcher.patience).until(attempt).await
    }

    /// Sends the blob, as often as it takes.
    pub(crate) async fn run(mut self) -> Result<Arrival> {
        let mut tries = Tries::new(&self.fetcher.patience);
        let mut earned_at = 0;
        loop {
            let failure = match self.step().await {
                Ok(Step::Done(arrival)) => return Ok(arrival),
                Ok(Step::Onward) => continue,
                Err(failure) => failure,
            };
            if let Some(begun) = &mut self.begun {
                begun.is_doubtful = true;
                if begun.offset >= earned_at + PROGRESS_BYTES {
                    earned_at = begun.offset;
                    tries.reset();
                }
            }
            if let Err(error) = tries.pause(failure).await {
                self.cancel().await;
                return Err(error);
            }
        }
    }

    async fn step(&mut self) -> Result<Step, Failure> {
        let Some(begun) = self.begun.clone() else { return self.begin().await };
        if begun.is_doubtful {
            self.ask_offset(&begun).await
        } else if self.in_pieces && begun.offset < self.descriptor.size {
            self.send_piece(&begun).await
        } else {
            self.finish(&begun).await
        }
    }

    /// Begins the upload, or is told that it is not needed.
    async fn begin(&mut self) -> Result<Step, Failure> {
        self.sent = 0;
        let mut query = String::new();
        let mut scopes = Scopes::push(&self.endpoint.path);
        if let Some(source) = self.source {
            query = format!("?mount={}&from={source}", self.descriptor.digest);
            scopes = scopes.and(&Scopes::pull(source));
        } else if self.descriptor.digest.algorithm() != Algorithm::Sha256 {
            query = format!("?digest-algorithm={}", self.descriptor.digest.algorithm().name());
        }
        let rest = format!("blobs/uploads/{query}");
        let question = Question::new(Method::POST, self.endpoint, &rest, scopes);
        let answer = self.fetcher.any_answer(self.endpoint, &question).await;
        let answer = match (self.source, answer) {
            (Some(_), Ok(answer)) if answer.response.status().as_u16() == 201 => {
                return Ok(Step::Done(Arrival::Mounted));
            }
            // Not to have it there, or not to be let in there, is no reason to fail here.
            (Some(_), Ok(answer)) if answer.response.status().is_client_error() => {
                self.source = None;
                return Ok(Step::Onward);
            }
            (Some(_), Err(Failure::Lasting(_))) => {
                self.source = None;
                return Ok(Step::Onward);
            }
            (_, answer) => answer?,
        };
        self.source = None;
        let answer = self.success(answer, &[202]).await?;
        let at = self.location(&answer)?.ok_or_else(|| {
            self.wrong(&answer, "begin to send", "its answer has no Location to send it to")
        })?;
        if let Some(least) = number(answer.response.headers(), "oci-chunk-min-length") {
            self.least_chunk_bytes = least.max(LEAST_CHUNK_BYTES);
        }
        self.begun = Some(Begun { at, offset: 0, is_doubtful: false, is_resumed: false });
        Ok(Step::Onward)
    }

    /// Sends the next piece, which is the whole rest unless that is too large for the registry.
    async fn send_piece(&mut self, begun: &Begun) -> Result<Step, Failure> {
        let length = (self.descriptor.size - begun.offset).min(self.chunk_bytes);
        let end = begun.offset + length;
        let mut question = self.question(Method::PATCH, begun.at.clone());
        question.headers.insert(CONTENT_TYPE, BYTES);
        let range = HeaderValue::from_str(&format!("{}-{}", begun.offset, end - 1));
        question.headers.insert(CONTENT_RANGE, range.expect("digits are fit for a header"));
        question.payload = self.part(begun.offset, length);
        self.sent = self.sent.max(end);
        let answer = self.fetcher.any_answer(self.endpoint, &question).await?;
        match answer.response.status().as_u16() {
            // It does not know this way; there is another one.
            405 | 415 | 501 => {
                self.in_pieces = false;
                self.begun = None;
                return Ok(Step::Onward);
            }
            413 if length > self.least_chunk_bytes => {
                let modest = (length / 4).min(MODEST_CHUNK_BYTES);
                self.chunk_bytes = modest.max(self.least_chunk_bytes);
                self.begun = Some(Begun { is_doubtful: true, ..begun.clone() });
                return Ok(Step::Onward);
            }
            404 => return Err(self.forgotten(answer).await),
            416 => return Err(self.again(answer).await),
            _ => {}
        }
        let answer = self.success(answer, &[202, 204, 201, 200]).await?;
        let offset = match self.range(&answer)? {
            // One byte and none look the same; we know which it is.
            Some(1) if length > 1 => begun.offset,
            Some(offset) => offset,
            None => end,
        };
        if offset < begun.offset || offset > end {
            let why = format!("it claims to have {offset} bytes, where {end} have been sent");
            return Err(self.wrong(&answer, "send", &why).into());
        }
        let at = self.location(&answer)?.unwrap_or_else(|| begun.at.clone());
        let is_resumed = begun.is_resumed;
        self.begun = Some(Begun { at, offset, is_doubtful: false, is_resumed });
        if offset < end && offset - begun.offset < PROGRESS_BYTES {
            let what = format!("send blob {} to {}", self.descriptor.digest, shown(&answer.url));
            let why = format!("{what}: it took {} of {length} bytes", offset - begun.offset);
            return Err(Failure::passing(Error::new(Kind::Unavailable, why)));
        }
        Ok(Step::Onward)
    }

    /// Sends what is left and says that this is all.
    async fn finish(&mut self, begun: &Begun) -> Result<Step, Failure> {
        let mut at = begun.at.clone();
        at.query_pairs_mut().append_pair("digest", self.descriptor.digest.as_str());
        let mut question = self.question(Method::PUT, at);
        let length = self.descriptor.size - begun.offset;
        question.headers.insert(CONTENT_TYPE, BYTES);
        question.payload = self.part(begun.offset, length);
        self.sent = self.descriptor.size;
        let answer = match self.fetcher.any_answer(self.endpoint, &question).await {
            Ok(answer) => answer,
            // It may have arrived all the same, only its answer did not.
            Err(failure @ Failure::Passing { .. }) => {
                return if self.is_there().await {
                    Ok(Step::Done(Arrival::Sent))
                } else {
                    Err(failure)
                };
            }
            Err(failure) => return Err(failure),
        };
        match answer.response.status().as_u16() {
            404 => return Err(self.forgotten(answer).await),
            416 => return Err(self.again(answer).await),
            // Joined from pieces it may have come out wrong; whole it will not.
            400 if begun.is_resumed => return Err(self.forgotten(answer).await),
            400 => {
                let refused = self.fetcher.refused(answer, &self.endpoint.domain).await;
                let what = format!("send blob {}: its content is refused", self.descriptor.digest);
                return Err(Error::new(Kind::Corrupt, what).because(refused.into_error()).into());
            }
            _ => {}
        }
        let answer = self.success(answer, &[201, 204, 200]).await?;
        self.check_digest(&answer)?;
        Ok(Step::Done(Arrival::Sent))
    }

    /// Asks how much has arrived.
    async fn ask_offset(&mut self, begun: &Begun) -> Result<Step, Failure> {
        let question = self.question(Method::GET, begun.at.clone());
        let answer = self.fetcher.any_answer(self.endpoint, &question).await?;
        let status = answer.response.status().as_u16();
        if matches!(status, 200 | 202 | 204)
            && let Some(offset) = self.range(&answer)?
            // One byte and none look the same, so it is not worth finding out.
            && offset > 1
        {
            if offset > self.sent {
                let why =
                    format!("it claims to have {offset} bytes, where {} were sent", self.sent);
                return Err(self.wrong(&answer, "go on with", &why).into());
            }
            let at = self.location(&answer)?.unwrap_or_else(|| begun.at.clone());
            self.begun = Some(Begun { at, offset, is_doubtful: false, is_resumed: true });
            return Ok(Step::Onward);
        }
        match status {
            429 | 500 | 502..=504 => {
                return Err(self.fetcher.refused(answer, &self.endpoint.domain).await);
            }
            404 => self.begun = None,
            _ => self.cancel().await,
        }
        Ok(Step::Onward)
    }

    /// Is the blob there after all?
    async fn is_there(&self) -> bool {
        let found = self.fetcher.blob_size(self.endpoint, &self.descriptor.digest).await;
        matches!(found, Ok(Some(size)) if size == self.descriptor.size)
    }

    /// Tells the registry that nothing more will come, so that it need not keep what came.
    async fn cancel(&mut self) {
        if let Some(begun) = self.begun.take() {
            let question = self.question(Method::DELETE, begun.at);
            // It forgets uploads by itself too, only later.
            let _cancelled = self.fetcher.any_answer(self.endpoint, &question).await;
        }
    }

    async fn forgotten(&mut self, answer: Answer) -> Failure {
        self.begun = None;
        self.again(answer).await
    }

    /// A refusal that the next try is spared.
    async fn again(&self, answer: Answer) -> Failure {
        match self.fetcher.refused(answer, &self.endpoint.domain).await {
            Failure::Lasting(error) => Failure::passing(error),
            passing @ Failure::Passing { .. } => passing,
        }
    }

    fn question(&self, method: Method, at: Url) -> Question {
        Question {
            method,
            target: Target::Address(at),
            headers: HeaderMap::new(),
            payload: Payload::Nothing,
            scopes: Scopes::push(&self.endpoint.path),
        }
    }

    fn part(&self, from: u64, length: u64) -> Payload {
        if length == 0 {
            return Payload::Nothing;
        }
        let (content, digest) = (Arc::clone(&self.content), self.descriptor.digest.clone());
        Payload::Part(Part { content, digest, from, length })
    }

    async fn success(&self, answer: Answer, expected: &[u16]) -> Result<Answer, Failure> {
        let status = answer.response.status();
        if !status.is_success() {
            return Err(self.fetcher.refused(answer, &self.endpoint.domain).await);
        }
        if expected.contains(&status.as_u16()) {
            return Ok(answer);
        }
        Err(self.wrong(&answer, "send", &format!("status {status} is not expected here")).into())
    }

    /// Where the upload goes on.
    fn location(&self, answer: &Answer) -> Result<Option<Url>> {
        let Some(text) = answer.response.headers().get(LOCATION) else { return Ok(None) };
        let text =
            text.to_str().map_err(|_| self.wrong(answer, "send", "its Location cannot be read"))?;
        follow(&answer.url, text, &answer.base.url, answer.base.trust).map(Some)
    }

    /// How many bytes the registry says it has.
    fn range(&self, answer: &Answer) -> Result<Option<u64>> {
        let Some(value) = answer.response.headers().get(RANGE) else { return Ok(None) };
        let text = value.to_str().unwrap_or_default();
        arrived(text).map(Some).ok_or_else(|| {
            self.wrong(answer, "send", &format!("its Range {:?} cannot be read", tame(text)))
        })
    }

    /// A registry that says what it has stored must have stored this.
    fn check_digest(&self, answer: &Answer) -> Result<()> {
        let Some(claimed) = told_digest(answer.response.headers()) else { return Ok(()) };
        let wanted = &self.descriptor.digest;
        match claimed {
            // A registry may count by another algorithm than ours.
            Ok(other) if other == *wanted || other.algorithm() != wanted.algorithm() => Ok(()),
            Ok(other) => Err(self.wrong(answer, "send", &format!("it stored {other}"))),
            Err(error) => Err(self.wrong(answer, "send", &error.one_line())),
        }
    }

    fn wrong(&self, answer: &Answer, doing: &str, why: &str) -> Error {
        let what = format!("{doing} blob {} to {}", self.descriptor.digest, shown(&answer.url));
        Error::new(Kind::Corrupt, format!("{what}: {why}"))
    }
}

fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

/// `0-1023` is 1024 bytes. Some write the unit too.
fn arrived(text: &str) -> Option<u64> {
    let text = text.trim();
    let text = text.strip_prefix("bytes=").or_else(|| text.strip_prefix("bytes ")).unwrap_or(text);
    let (first, last) = text.split_once('-')?;
    let last = last.split('/').next().unwrap_or_default();
    if first.trim().parse::<u64>().ok()? != 0 {
        return None;
    }
    last.trim().parse::<u64>().ok()?.checked_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_uploads_are_read_as_registries_write_them() {
        let cases = [
            ("0-1023", Some(1024)),
            ("bytes=0-9", Some(10)),
            ("bytes 0-9/10", Some(10)),
            ("0-0", Some(1)),
            ("5-9", None),
            ("0-", None),
            ("-1", None),
            ("0-18446744073709551615", None),
            ("rubbish", None),
        ];
        for (text, expected) in cases {
            assert_eq!(arrived(text), expected, "{text:?}");
        }
    }
}
