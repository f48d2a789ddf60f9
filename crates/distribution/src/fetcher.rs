//! Asking a registry until it answers: session, new tries, and checks of what a manifest claims.
//!
//! One question goes to one endpoint. A 401 is answered once; what may pass is tried again with
//! pauses that double; what will not pass is an error at once.

use crate::{
    address::{same_origin, shown},
    balance::Parts,
    config::{Config, Patience},
    content::Payload,
    credentials::Keyring,
    refusal::{Failure, Refusal, tame},
    registries::Endpoint,
    scope::Scopes,
    session::{Refused, Sessions},
    transport::{Answer, Ask, Base, Transport, silent, within},
};
use bytes::Bytes;
use dhow_base::{
    Digest, Doing, Error, Kind, Result,
    digest::{Algorithm, Hasher},
};
use dhow_spec::image::{Descriptor, MANIFEST_LIMIT_BYTES, media_type};
use reqwest::{
    Method, Response,
    header::{
        ACCEPT, ACCEPT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, DATE, HeaderMap, HeaderValue, RANGE,
        RETRY_AFTER,
    },
};
use serde::Deserialize;
use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};
use tokio::sync::Semaphore;
use url::Url;

/// The answers that we may get for a manifest. The last two are too old for us to use, but a
/// registry that has nothing else then says so by sending one, and we can name the reason.
const ACCEPTED: [&str; 6] = [
    media_type::OCI_INDEX,
    media_type::OCI_MANIFEST,
    media_type::DOCKER_LIST,
    media_type::DOCKER_MANIFEST,
    "application/vnd.docker.distribution.manifest.v1+prettyjws",
    "application/vnd.docker.distribution.manifest.v1+json",
];
const REASON_LIMIT_BYTES: usize = 16 << 10;
/// Less than this within the stall time is as good as nothing: it keeps a server that sends a byte
/// a second from holding us for years.
const LEAST_BYTES: usize = 1024;

/// Each takes 4 MiB of memory and a connection.
const SEGMENTS_AHEAD: usize = 4;

/// Everything a question needs; shared by all transfers of a client.
#[derive(Debug)]
pub(crate) struct Fetcher {
    pub(crate) transport: Transport,
    pub(crate) sessions: Sessions,
    pub(crate) patience: Patience,
    pub(crate) parts: Parts,
    /// How many segments of large blobs may be ahead of their turn, of all blobs together.
    pub(crate) ahead: Arc<Semaphore>,
}

/// A document and what it was given as.
#[derive(Clone, Debug)]
pub(crate) struct Document {
    pub(crate) descriptor: Descriptor,
    pub(crate) bytes: Vec<u8>,
}

impl Fetcher {
    pub(crate) fn new(config: &Config, keyring: Keyring) -> Self {
        Self {
            transport: Transport::new(config),
            sessions: Sessions::new(keyring, config.credentials.clone()),
            patience: config.patience.clone(),
            parts: config.parts,
            ahead: Arc::new(Semaphore::new(SEGMENTS_AHEAD)),
        }
    }

    /// Fetches the manifest `identifier` (a tag, or the digest `wanted`) and proves its digest.
    pub(crate) async fn manifest(
        &self,
        endpoint: &Endpoint,
        identifier: &str,
        wanted: Option<&Digest>,
        tries: Tries,
    ) -> Result<Document> {
        let mut question = Question::get(endpoint, &format!("manifests/{identifier}"));
        question.headers.insert(ACCEPT, accept());
        tries.until(async || self.document(endpoint, &question, wanted).await).await
    }

    async fn document(
        &self,
        endpoint: &Endpoint,
        question: &Question,
        wanted: Option<&Digest>,
    ) -> Result<Document, Failure> {
        let mut answer = self.ask(endpoint, question).await?;
        let limit = usize::try_from(MANIFEST_LIMIT_BYTES).expect("4 MiB fit into a usize");
        let bytes = self.read_small(&mut answer, limit).await?;
        let digest = proven_digest(&bytes, wanted, answer.response.headers())
            .doing(|| format!("check the manifest from {}", shown(&answer.url)))?;
        let media_type = media_type_of(answer.response.headers(), &bytes)?;
        let descriptor = Descriptor::new(&media_type, digest, bytes.len() as u64);
        Ok(Document { descriptor, bytes })
    }

    /// Asks until the question is answered. The answer is a success.
    pub(crate) async fn persist(
        &self,
        endpoint: &Endpoint,
        question: &Question,
        tries: Tries,
    ) -> Result<Answer> {
        tries.until(async || self.ask(endpoint, question).await).await
    }

    /// Asks once, being let in first where that is wanted. The answer is a success.
    pub(crate) async fn ask(
        &self,
        endpoint: &Endpoint,
        question: &Question,
    ) -> Result<Answer, Failure> {
        let answer = self.any_answer(endpoint, question).await?;
        if answer.response.status().is_success() {
            return Ok(answer);
        }
        Err(self.refused(answer, &endpoint.domain).await)
    }

    /// As [`Fetcher::ask`], where the answer may be any.
    pub(crate) async fn any_answer(
        &self,
        endpoint: &Endpoint,
        question: &Question,
    ) -> Result<Answer, Failure> {
        let base = self.transport.base(endpoint).await?;
        let url = question.target.url(&base)?;
        let is_registry = same_origin(&url, &base.url);
        let authorization = if is_registry {
            self.sessions.current(endpoint, &question.scopes).await
        } else {
            None
        };
        let mut ask = Ask {
            method: question.method.clone(),
            url,
            headers: question.headers.clone(),
            authorization,
            payload: question.payload.clone(),
        };
        let answer = self.transport.send(&ask, &base).await?;
        let is_challenge = answer.response.status().as_u16() == 401;
        if !(is_challenge && is_registry && answer.at_origin) {
            return Ok(answer);
        }
        let sent = ask.authorization.as_ref();
        let refused =
            Refused { endpoint, response: &answer.response, sent, scopes: &question.scopes };
        ask.authorization = Some(self.sessions.renew(&self.transport, &base, &refused).await?);
        self.transport.send(&ask, &base).await
    }

    /// How large a blob is there; `None` where it is not.
    pub(crate) async fn blob_size(
        &self,
        endpoint: &Endpoint,
        digest: &Digest,
    ) -> Result<Option<u64>> {
        let question =
            Question { method: Method::HEAD, ..Question::blob(endpoint, digest, 0, None) };
        let tries = Tries::new(&self.patience);
        let answer = match self.persist(endpoint, &question, tries).await {
            Err(error) if error.kind() == Kind::NotFound => return Ok(None),
            answer => answer?,
        };
        let length = answer.response.headers().get(CONTENT_LENGTH);
        length.and_then(|text| text.to_str().ok()?.trim().parse().ok()).map(Some).ok_or_else(|| {
            let what = format!("look for blob {digest} at {}", shown(&answer.url));
            Error::new(Kind::Corrupt, format!("{what}: its answer has no Content-Length"))
        })
    }

    /// Reads the body of an answer that is small.
    pub(crate) async fn read_small(
        &self,
        answer: &mut Answer,
        limit_bytes: usize,
    ) -> Result<Vec<u8>, Failure> {
        Body::new(&mut answer.response, &answer.url, self.patience.stall)
            .read_all(limit_bytes)
            .await
    }

    /// Why an answer is no success.
    pub(crate) async fn refused(&self, mut answer: Answer, domain: &str) -> Failure {
        let pause = retry_after(answer.response.headers());
        let url = answer.url.clone();
        let reading = read_limited(&mut answer.response, REASON_LIMIT_BYTES);
        let body = within(self.patience.stall, &url, async { Ok(reading.await) }).await;
        // A reason that does not arrive leaves the status, which says enough.
        let body = body.ok().and_then(Result::ok).unwrap_or_default();
        let status = answer.response.status();
        let refusal = Refusal { status, url: &url, domain, body: &body, pause };
        refusal.failure(self.patience.longest_pause)
    }
}

/// What is asked, apart from whom.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    pub(crate) method: Method,
    pub(crate) target: Target,
    pub(crate) headers: HeaderMap,
    pub(crate) payload: Payload,
    /// What a token must be good for.
    pub(crate) scopes: Scopes,
}

/// What a question is about.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    /// A path below `/v2/`, perhaps with a query; made of checked names and digests only.
    Path(String),
    /// Where the registry sent us, which may be another host. Only the registry's own gets a proof.
    Address(Url),
}

impl Target {
    fn url(&self, base: &Base) -> Result<Url> {
        match self {
            Self::Address(url) => Ok(url.clone()),
            Self::Path(path) => base
                .url
                .join(path)
                .map_err(|error| Error::new(Kind::Invalid, format!("ask for {path:?}: {error}"))),
        }
    }
}

impl Question {
    /// For what is at `rest` below the repository.
    pub(crate) fn get(endpoint: &Endpoint, rest: &str) -> Self {
        Self::new(Method::GET, endpoint, rest, Scopes::pull(&endpoint.path))
    }

    pub(crate) fn new(method: Method, endpoint: &Endpoint, rest: &str, scopes: Scopes) -> Self {
        Self::at(method, &format!("{}/{rest}", endpoint.path), scopes)
    }

    /// For what is at `path` below `/v2/`.
    pub(crate) fn at(method: Method, path: &str, scopes: Scopes) -> Self {
        Self {
            method,
            target: Target::Path(path.to_owned()),
            headers: HeaderMap::new(),
            payload: Payload::Nothing,
            scopes,
        }
    }

    /// For a blob from `offset` on, to the byte `last` where not all of it is wanted. No encoding is
    /// wanted: the bytes must be those of the digest.
    pub(crate) fn blob(
        endpoint: &Endpoint,
        digest: &Digest,
        offset: u64,
        last: Option<u64>,
    ) -> Self {
        let mut question = Self::get(endpoint, &format!("blobs/{digest}"));
        question.headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        if offset > 0 || last.is_some() {
            let last = last.map(|last| last.to_string()).unwrap_or_default();
            let range = HeaderValue::from_str(&format!("bytes={offset}-{last}"));
            question.headers.insert(RANGE, range.expect("digits are fit for a header"));
        }
        question
    }
}

pub(crate) fn accept() -> HeaderValue {
    HeaderValue::from_str(&ACCEPTED.join(", ")).expect("media types are fit for a header")
}

/// How often something has failed, and how long to wait before the next try.
#[derive(Debug)]
pub(crate) struct Tries {
    left: u32,
    next_pause: Duration,
    patience: Patience,
}

impl Tries {
    pub(crate) fn new(patience: &Patience) -> Self {
        let patience = patience.clone();
        Self { left: patience.retries, next_pause: patience.first_pause, patience }
    }

    /// A single try, for a place that another one stands behind.
    pub(crate) fn one(patience: &Patience) -> Self {
        Self { left: 0, ..Self::new(patience) }
    }

    /// Something has been achieved: the count begins anew.
    pub(crate) fn reset(&mut self) {
        *self = Self::new(&self.patience);
    }

    /// Tries until it is done, has failed too often, or has failed in a way that will not pass.
    pub(crate) async fn until<T>(
        mut self,
        mut attempt: impl AsyncFnMut() -> Result<T, Failure>,
    ) -> Result<T> {
        loop {
            match attempt().await {
                Ok(done) => return Ok(done),
                Err(failure) => self.pause(failure).await?,
            }
        }
    }

    /// Waits before the next try, or gives the failure back as an error where none is left.
    pub(crate) async fn pause(&mut self, failure: Failure) -> Result<()> {
        let Failure::Passing { error, pause } = failure else {
            return Err(failure.into_error());
        };
        if self.left == 0 {
            return Err(error);
        }
        self.left -= 1;
        let pause = pause.unwrap_or(self.next_pause).min(self.patience.longest_pause);
        self.next_pause = (self.next_pause * 2).min(self.patience.longest_pause);
        tokio::time::sleep(pause).await;
        Ok(())
    }
}

/// A body that arrives, and the time it has cost so far without giving enough.
#[derive(Debug)]
pub(crate) struct Body<'a> {
    response: &'a mut Response,
    url: &'a Url,
    pace: Pace,
}

/// Tells a slow body from one that stands still. Only waiting counts, not what we do in between.
#[derive(Debug)]
pub(crate) struct Pace {
    stall: Duration,
    waited: Duration,
    got_bytes: usize,
}

impl Pace {
    pub(crate) fn new(stall: Duration) -> Self {
        Self { stall, waited: Duration::ZERO, got_bytes: 0 }
    }

    /// The next piece, or nothing at the end.
    pub(crate) async fn next(
        &mut self,
        response: &mut Response,
        url: &Url,
    ) -> Result<Option<Bytes>, Failure> {
        let began = Instant::now();
        let left = self.stall.saturating_sub(self.waited);
        let piece = match tokio::time::timeout(left, response.chunk()).await {
            Ok(piece) => piece.map_err(|error| broken_off(&error, url))?,
            Err(_) => return Err(Failure::passing(silent(url, self.stall))),
        };
        self.waited += began.elapsed();
        self.got_bytes += piece.as_ref().map_or(0, Bytes::len);
        if self.got_bytes >= LEAST_BYTES {
            *self = Self::new(self.stall);
        }
        Ok(piece)
    }
}

fn broken_off(error: &reqwest::Error, url: &Url) -> Failure {
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    let what = format!("read from {}: the answer broke off: {cause}", shown(url));
    Failure::passing(Error::new(Kind::Unavailable, what))
}

impl<'a> Body<'a> {
    fn new(response: &'a mut Response, url: &'a Url, stall: Duration) -> Self {
        Self { response, url, pace: Pace::new(stall) }
    }

    async fn read_all(mut self, limit_bytes: usize) -> Result<Vec<u8>, Failure> {
        let too_large = || {
            let what = format!("read the answer of {}", shown(self.url));
            Error::new(Kind::Exhausted, format!("{what}: it has more than {limit_bytes} bytes"))
        };
        if self.response.content_length().is_some_and(|length| length > limit_bytes as u64) {
            return Err(too_large().into());
        }
        let mut bytes = Vec::new();
        while let Some(piece) = self.pace.next(self.response, self.url).await? {
            if bytes.len() + piece.len() > limit_bytes {
                return Err(too_large().into());
            }
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes)
    }
}

/// Reads at most `limit_bytes` of a body whose content matters little.
pub(crate) async fn read_limited(response: &mut Response, limit_bytes: usize) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(piece)) if bytes.len() + piece.len() <= limit_bytes => {
                bytes.extend_from_slice(&piece);
            }
            Ok(None) => return Ok(bytes),
            Ok(Some(_)) => {
                let what = format!("read an answer: it has more than {limit_bytes} bytes");
                return Err(Error::new(Kind::Exhausted, what));
            }
            Err(error) => {
                return Err(
                    Error::new(Kind::Unavailable, "read an answer").because(error.without_url())
                );
            }
        }
    }
}

/// `Retry-After`, in seconds or as a date, which is then read by the server's own clock if it says
/// what time it has.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let moment = |text: &str| -> Option<SystemTime> {
        Some(jiff::fmt::rfc2822::parse(text).ok()?.timestamp().into())
    };
    let now = headers.get(DATE).and_then(|date| moment(date.to_str().ok()?));
    let wait = moment(text)?.duration_since(now.unwrap_or_else(SystemTime::now));
    // What is over is over.
    Some(wait.unwrap_or_default())
}

pub(crate) fn digest_by(algorithm: Algorithm, bytes: &[u8]) -> Digest {
    let mut hasher = Hasher::new(algorithm);
    hasher.update(bytes);
    hasher.finish()
}

/// The digest of which a registry's answer tells, where it tells of one.
pub(crate) fn told_digest(headers: &HeaderMap) -> Option<Result<Digest>> {
    let text = headers.get("docker-content-digest")?.to_str().unwrap_or_default();
    Some(text.parse().map_err(|error: Error| {
        let what = format!("read Docker-Content-Digest {:?}", tame(text));
        Error::new(Kind::Corrupt, what).because(error)
    }))
}

/// The digest that the bytes have been proven to have: the one asked for, else the one that the
/// registry claims, else SHA-256.
fn proven_digest(bytes: &[u8], wanted: Option<&Digest>, headers: &HeaderMap) -> Result<Digest> {
    let prove = |promised: &Digest, who: &str| {
        let actual = digest_by(promised.algorithm(), bytes);
        if actual == *promised {
            return Ok(());
        }
        let what = format!("{who} {promised}, but the bytes have {actual}");
        Err(Error::new(Kind::Corrupt, what))
    };
    let claimed = told_digest(headers).transpose()?;
    if let Some(wanted) = wanted {
        prove(wanted, "asked for")?;
    }
    if let Some(claimed) = &claimed {
        prove(claimed, "the registry claims")?;
    }
    Ok(wanted.cloned().or(claimed).unwrap_or_else(|| Digest::of(bytes)))
}

#[derive(Deserialize)]
struct SelfDescription {
    #[serde(rename = "mediaType")]
    media_type: Option<String>,
    manifests: Option<serde::de::IgnoredAny>,
}

/// The media type that the registry gave, or, where it gave a general one, what the document says.
fn media_type_of(headers: &HeaderMap, bytes: &[u8]) -> Result<String> {
    let given = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let given = given.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if ACCEPTED[4..].contains(&given.as_str()) {
        return Err(Error::new(Kind::Unsupported, "read the manifest: it is of Docker schema 1")
            .hint("push the image again with a newer tool"));
    }
    if ACCEPTED.contains(&given.as_str()) {
        return Ok(given);
    }
    let own: SelfDescription = serde_json::from_slice(bytes).map_err(|error| {
        let what = format!("read the manifest: it came as {given:?} and is no JSON: {error}");
        Error::new(Kind::Corrupt, what)
    })?;
    match (own.media_type, own.manifests) {
        (Some(own), _) if ACCEPTED[..4].contains(&own.as_str()) => Ok(own),
        (None, Some(_)) => Ok(media_type::OCI_INDEX.to_owned()),
        (None, None) => Ok(media_type::OCI_MANIFEST.to_owned()),
        (Some(own), _) => {
            Err(Error::new(Kind::Unsupported, format!("read the manifest: it is of type {own:?}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_says_in_two_ways_how_long_to_wait() {
        let now = Some("Sun, 29 Nov 2026 02:00:00 GMT");
        let cases = [
            ("5", None, Some(5)),
            (" 0 ", now, Some(0)),
            ("Sun, 29 Nov 2026 02:00:07 GMT", now, Some(7)),
            ("Sun, 29 Nov 2026 01:00:00 GMT", now, Some(0)),
            ("Wed, 21 Oct 2015 07:28:00 GMT", None, Some(0)),
            ("-5", now, None),
            ("soon", now, None),
            ("", now, None),
        ];
        for (text, date, expected) in cases {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, HeaderValue::from_str(text).unwrap());
            if let Some(date) = date {
                headers.insert(DATE, HeaderValue::from_str(date).unwrap());
            }
            let waits = retry_after(&headers).map(|wait| wait.as_secs());
            assert_eq!(waits, expected, "{text:?} at {date:?}");
        }
    }
}
