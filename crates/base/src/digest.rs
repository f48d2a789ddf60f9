//! Content digests: `sha256:<64 hex>` and `sha512:<128 hex>`, parsed strictly, and hashed by stream.
//!
//! A digest from outside becomes part of a path (`blobs/sha256/<hex>`), so only a string of exactly
//! the registered form is ever a [`Digest`] (OCI image specification 1.1.1, descriptor, "Digests").

use crate::{Error, Kind, Result};
use aws_lc_rs::digest as lc;
use std::{fmt, io, str::FromStr};

/// The hash functions that the image specification registers.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Algorithm {
    /// SHA-256, which every tool must support.
    Sha256,
    /// SHA-512, which tools may support.
    Sha512,
}

impl Algorithm {
    /// The name before the colon, also the directory below `blobs/`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    fn hex_length(self) -> usize {
        match self {
            Self::Sha256 => 64,
            Self::Sha512 => 128,
        }
    }
}

/// A checked digest. Its text holds nothing but `sha256:` or `sha512:` and lower-case hex.
#[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Digest {
    algorithm: Algorithm,
    text: String,
}

impl Digest {
    /// The SHA-256 digest of bytes that are already in memory.
    pub fn of(bytes: &[u8]) -> Self {
        let mut hasher = Hasher::new(Algorithm::Sha256);
        hasher.update(bytes);
        hasher.finish()
    }

    /// Which hash function made it.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The hex part, without the algorithm; safe as a file name.
    pub fn hex(&self) -> &str {
        &self.text[self.algorithm.name().len() + 1..]
    }

    /// The whole text, `sha256:…`.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The first twelve hex digits, as lists show ids.
    pub fn short(&self) -> &str {
        &self.hex()[..12]
    }
}

impl FromStr for Digest {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let invalid = |why: &str| {
            let shown: String = text.chars().take(150).collect();
            Error::new(Kind::Invalid, format!("parse digest {shown:?}: {why}"))
        };
        let (name, hex) = text.split_once(':').ok_or_else(|| invalid("no colon"))?;
        let algorithm = match name {
            "sha256" => Algorithm::Sha256,
            "sha512" => Algorithm::Sha512,
            _ => return Err(invalid("the algorithm is neither sha256 nor sha512")),
        };
        if hex.len() != algorithm.hex_length() {
            return Err(invalid("the hex part has the wrong length"));
        }
        if !hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(invalid("the hex part is not lower-case hexadecimal"));
        }
        Ok(Self { algorithm, text: text.to_owned() })
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Hashes a stream piece by piece.
pub struct Hasher {
    algorithm: Algorithm,
    context: lc::Context,
}

impl Hasher {
    /// Starts a hash.
    pub fn new(algorithm: Algorithm) -> Self {
        let function = match algorithm {
            Algorithm::Sha256 => &lc::SHA256,
            Algorithm::Sha512 => &lc::SHA512,
        };
        Self { algorithm, context: lc::Context::new(function) }
    }

    /// Adds the next piece.
    pub fn update(&mut self, bytes: &[u8]) {
        self.context.update(bytes);
    }

    /// Ends the hash.
    pub fn finish(self) -> Digest {
        let hash = self.context.finish();
        let hex = data_encoding::HEXLOWER.encode(hash.as_ref());
        let text = format!("{}:{hex}", self.algorithm.name());
        Digest { algorithm: self.algorithm, text }
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hasher").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

/// So that `io::copy` can hash.
impl io::Write for Hasher {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn the_digest_of_nothing_is_the_known_one() {
        assert_eq!(Digest::of(b"").as_str(), EMPTY);
    }

    #[test]
    fn only_registered_lower_case_digests_of_the_right_length_parse() {
        let cases = [
            (EMPTY.to_owned(), true),
            (format!("sha512:{}", "a".repeat(128)), true),
            (EMPTY.to_uppercase(), false),
            (EMPTY.replace("sha256:", "sha256:../"), false),
            (format!("sha256:{}", "A".repeat(64)), false),
            (format!("sha256:{}", "a".repeat(63)), false),
            (format!("md5:{}", "a".repeat(32)), false),
            ("sha256".to_owned(), false),
            (String::new(), false),
        ];
        for (text, parses) in cases {
            assert_eq!(text.parse::<Digest>().is_ok(), parses, "parsing {text:?}");
        }
    }

    #[test]
    fn hashing_by_pieces_equals_hashing_at_once() {
        let mut hasher = Hasher::new(Algorithm::Sha256);
        hasher.update(b"con");
        hasher.update(b"tainer");

        assert_eq!(hasher.finish(), Digest::of(b"container"));
    }
}
