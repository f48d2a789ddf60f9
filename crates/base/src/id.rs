//! Ids and names as types, so that no unchecked string becomes a path or a key.

use crate::{Error, Kind, Result, digest::Hasher};
use std::{fmt, str::FromStr};

/// The id of a container: 64 lower-case hex digits, random, as docker's and podman's are.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ContainerId(String);

impl ContainerId {
    /// A new random id. One in 281 would begin with twelve decimal digits, which programs take for
    /// an IPv4 address where it is the host's name (inet_aton(3)): those are not given out.
    pub fn random() -> Result<Self> {
        loop {
            let id = Self(random_hex(32)?);
            if id.can_name_a_host() {
                return Ok(id);
            }
        }
    }

    fn can_name_a_host(&self) -> bool {
        !self.short().bytes().all(|byte| byte.is_ascii_digit())
    }

    /// All 64 digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first twelve digits, as lists show them and as hosts are named.
    pub fn short(&self) -> &str {
        &self.0[..12]
    }
}

impl FromStr for ContainerId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let hex = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if text.len() == 64 && hex {
            Ok(Self(text.to_owned()))
        } else {
            Err(Error::new(Kind::Invalid, format!("parse container id {text:?}")))
        }
    }
}

impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A name that a user gives an object: `[a-zA-Z0-9][a-zA-Z0-9_.-]*`, at most 128 bytes.
///
/// The rule is docker's and podman's; it also keeps a name from being a path.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Name(String);

impl Name {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut bytes = text.bytes();
        let head = bytes.next().is_some_and(|byte| byte.is_ascii_alphanumeric());
        let tail =
            bytes.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'));
        if head && tail && text.len() <= 128 {
            Ok(Self(text.to_owned()))
        } else {
            Err(Error::new(Kind::Invalid, format!("use {text:?} as a name"))
                .hint("names match [a-zA-Z0-9][a-zA-Z0-9_.-]* and have at most 128 characters"))
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `bytes` random bytes from the kernel, as hex.
pub fn random_hex(bytes: usize) -> Result<String> {
    let mut buffer = vec![0_u8; bytes];
    let mut filled = 0;
    while filled < bytes {
        // `getrandom` gives up to 256 bytes whole; the loop is for larger buffers and signals.
        match rustix::rand::getrandom(&mut buffer[filled..], rustix::rand::GetRandomFlags::empty())
        {
            Ok(count) => filled += count,
            Err(rustix::io::Errno::INTR) => {}
            Err(errno) => {
                let cause = std::io::Error::from(errno);
                return Err(
                    Error::new(Kind::Internal, "read random bytes from the kernel").because(cause)
                );
            }
        }
    }
    Ok(data_encoding::HEXLOWER.encode(&buffer))
}

/// The chain id of a stack of layers (OCI image specification 1.1.1, config, "Layer ChainID"):
/// the first is its diff id, each next one the digest of `"<parent chain> <diff id>"`.
pub fn chain_id(parent: Option<&crate::Digest>, diff_id: &crate::Digest) -> crate::Digest {
    match parent {
        None => diff_id.clone(),
        Some(parent) => {
            let mut hasher = Hasher::new(crate::digest::Algorithm::Sha256);
            hasher.update(format!("{parent} {diff_id}").as_bytes());
            hasher.finish()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Digest;

    #[test]
    fn names_cannot_be_paths() {
        let cases = [
            ("web", true),
            ("web_1.a-b", true),
            ("9", true),
            ("", false),
            (".", false),
            ("..", false),
            ("-a", false),
            ("a/b", false),
            ("a b", false),
            ("ä", false),
        ];
        for (text, parses) in cases {
            assert_eq!(text.parse::<Name>().is_ok(), parses, "parsing {text:?}");
        }
        assert!("a".repeat(129).parse::<Name>().is_err());
    }

    #[test]
    fn random_ids_differ_and_parse_back() {
        let (a, b) = (ContainerId::random().unwrap(), ContainerId::random().unwrap());

        assert_ne!(a, b);
        assert_eq!(a.as_str().parse::<ContainerId>().unwrap(), a);
    }

    #[test]
    fn a_host_is_not_named_by_a_number() {
        for (head, can) in [("591216172714", false), ("59121617271a", true), ("e91216172714", true)]
        {
            let id: ContainerId = format!("{head}{}", "0".repeat(52)).parse().unwrap();

            assert_eq!(id.can_name_a_host(), can, "{head}");
        }
        for _ in 0..5000 {
            assert!(ContainerId::random().unwrap().can_name_a_host());
        }
    }

    #[test]
    fn a_chain_depends_on_the_order_of_its_layers() {
        let (a, b) = (Digest::of(b"a"), Digest::of(b"b"));

        let ab = chain_id(Some(&chain_id(None, &a)), &b);
        let ba = chain_id(Some(&chain_id(None, &b)), &a);

        assert_ne!(ab, ba);
        assert_eq!(ab, Digest::of(format!("{a} {b}").as_bytes()));
    }
}
