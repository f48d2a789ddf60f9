//! A file at an address, read as it comes: no registry, no login, no digest.
//!
//! Redirects are followed as those of a registry are: never from HTTPS to HTTP, and not to the
//! addresses of a machine's own infrastructure. What breaks off before its first byte is tried again;
//! later it ends in an error, since nothing proves that the rest would belong to the beginning.

use crate::{
    address::{is_loopback, shown},
    client::{Client, Engine},
    fetcher::{Pace, Tries},
    refusal::Failure,
    transport::{Answer, Ask},
};
use bytes::{Buf, Bytes};
use dhow_base::{Doing, Error, Kind, Result};
use reqwest::header::{ACCEPT, HeaderValue};
use std::{
    fmt,
    io::{self, Read},
    sync::Arc,
};
use url::Url;

/// The bytes of a file at an address. They end in an error where not all of them came.
pub struct Download {
    engine: Arc<Engine>,
    answer: Answer,
    pace: Pace,
    piece: Bytes,
    limit_bytes: u64,
    left_bytes: u64,
}

impl fmt::Debug for Download {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Download({})", self.answer.url.host_str().unwrap_or_default())
    }
}

/// An `http://` or `https://` address without secrets in it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Address(Url);

impl Address {
    /// Reads an address; nothing where the text is none, and a path or name instead.
    pub fn parse(text: &str) -> Result<Option<Self>> {
        if !["http://", "https://"].iter().any(|scheme| text.starts_with(scheme)) {
            return Ok(None);
        }
        // The text is not shown: it may hold a password.
        let invalid = |why: String| Error::new(Kind::Invalid, format!("read the address: {why}"));
        let url = Url::parse(text).map_err(|error| invalid(error.to_string()))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(invalid("a password in it would be written down".to_owned())
                .hint("fetch it otherwise and pass it on: `curl … | dhow import - NAME`"));
        }
        Ok(Some(Self(url)))
    }
}

/// Without its query, which may be a secret.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut url = self.0.clone();
        url.set_query(None);
        url.set_fragment(None);
        f.write_str(url.as_str())
    }
}

impl Client {
    /// Begins to fetch what is at an address, which has no more bytes than the limit.
    pub fn download(&self, address: &Address, limit_bytes: u64) -> Result<Download> {
        let (engine, fetcher) = (self.engine()?, self.fetcher());
        let host = address.0.host_str().unwrap_or_default();
        let base = fetcher.transport.named(&address.0);
        let mut ask = Ask::get(address.0.clone(), None);
        ask.headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
        let tries = Tries::new(&fetcher.patience);
        let answer = tries.until(async || -> Result<Answer, Failure> {
            let answer = fetcher.transport.send(&ask, &base).await?;
            if answer.response.status().is_success() {
                return Ok(answer);
            }
            Err(fetcher.refused(answer, host).await)
        });
        let answer = engine.block_on(answer).doing(|| format!("fetch {address}"))?;
        let length = answer.response.content_length().unwrap_or(0);
        if length > limit_bytes {
            return Err(too_large(&answer.url, limit_bytes));
        }
        if address.0.scheme() == "http" && !is_loopback(&address.0) {
            fetcher.sessions.notice(format!("{address} was read over plain HTTP"));
        }
        let pace = Pace::new(fetcher.patience.stall);
        let (piece, left_bytes) = (Bytes::new(), limit_bytes);
        Ok(Download { engine, answer, pace, piece, limit_bytes, left_bytes })
    }
}

fn too_large(url: &Url, limit_bytes: u64) -> Error {
    let what = format!("fetch from {}: exceeds the limit of {limit_bytes} bytes", shown(url));
    Error::new(Kind::Exhausted, what).hint("--limit download=SIZE raises it")
}

impl Read for Download {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            let Answer { response, url, .. } = &mut self.answer;
            let next = self.engine.block_on(self.pace.next(response, url));
            let Some(piece) = next.map_err(Failure::into_error)? else { return Ok(0) };
            let left = self.left_bytes.checked_sub(piece.len() as u64);
            self.left_bytes = left.ok_or_else(|| too_large(url, self.limit_bytes))?;
            self.piece = piece;
        }
        let count = buffer.len().min(self.piece.len());
        self.piece.copy_to_slice(&mut buffer[..count]);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_without_their_secrets() {
        let shown = |text| Address::parse(text).unwrap().map(|address| address.to_string());

        assert_eq!(shown("https://a.io/x.tar?token=1#y"), Some("https://a.io/x.tar".to_owned()));
        assert_eq!(shown("root.tar"), None);
        assert_eq!(shown("file:///etc/passwd"), None);
        for text in ["http://", "https://me:hunter2@a.io/x", "http://a b/"] {
            let error = Address::parse(text).unwrap_err();
            assert_eq!(error.kind(), Kind::Invalid, "{text}");
            assert!(!error.one_line().contains("hunter2"), "{}", error.one_line());
        }
    }
}
