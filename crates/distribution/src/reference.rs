//! The name of an image: `[domain[:port]/]path[:tag][@digest]`, as docker and podman read it.
//!
//! ```text
//! "debian"                      docker.io/library/debian:latest
//! "me/tool:1"                   docker.io/me/tool:1
//! "localhost/tool"              localhost/tool:latest
//! "[::1]:5000/a/b@sha256:…"     [::1]:5000/a/b@sha256:…
//! ```
//!
//! The first component is a domain only where it could not be part of a path: it holds a dot, a
//! colon or an upper-case letter, or it is `localhost`. A digest says exactly which image is meant,
//! so where a tag stands beside it the tag is only shown, never looked up.
//!
//! This module knows the text only. Which registries a name without a domain stands for is decided
//! by [`crate::Registries`].

use dhow_base::{Digest, Error, Kind, Result};
use std::{fmt, str::FromStr};

/// The registry that a name without a domain means where nothing else is configured.
pub(crate) const DEFAULT_DOMAIN: &str = "docker.io";
const DEFAULT_TAG: &str = "latest";
const NAME_LIMIT: usize = 255;
const TAG_LIMIT: usize = 128;
/// Name, tag and the longest digest, with their separators; nothing longer can be a reference.
const TEXT_LIMIT: usize = NAME_LIMIT + 1 + TAG_LIMIT + 1 + 7 + 1 + 128;

/// A complete image name: domain, path and at least one of tag and digest.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Reference {
    domain: String,
    path: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

impl Reference {
    /// Reads a name as docker does: without a domain it is one of `docker.io`, and there without a
    /// slash one of `library`; without tag and digest it is `latest`.
    pub fn parse(text: &str) -> Result<Self> {
        Typed::parse(text)?.within(DEFAULT_DOMAIN)
    }

    /// The registry as written: host and perhaps port. Docker Hub is always `docker.io`.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// The repository within the registry, `library/debian`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Domain and path, `docker.io/library/debian`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.domain, self.path)
    }

    /// The tag, if any.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, if any; it then decides alone.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// What a registry is asked for: the digest where there is one, else the tag.
    pub fn identifier(&self) -> &str {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => digest.as_str(),
            (None, Some(tag)) => tag,
            (None, None) => DEFAULT_TAG,
        }
    }

    /// The same repository with another tag and no digest.
    pub fn with_tag(&self, tag: &str) -> Result<Self> {
        check_tag(tag).map_err(|why| invalid(tag, why))?;
        Ok(Self { tag: Some(tag.to_owned()), digest: None, ..self.clone() })
    }

    /// The same repository by digest alone.
    #[must_use]
    pub fn with_digest(&self, digest: Digest) -> Self {
        Self { tag: None, digest: Some(digest), ..self.clone() }
    }

    /// The short form that docker shows: `debian:13` for `docker.io/library/debian:13`.
    pub fn familiar(&self) -> String {
        format!("{}{}", self.familiar_name(), self.suffix())
    }

    /// The short form without tag and digest, as lists show it in a column of its own.
    pub fn familiar_name(&self) -> String {
        if self.domain != DEFAULT_DOMAIN {
            return self.name();
        }
        match self.path.strip_prefix("library/") {
            Some(rest) if !rest.contains('/') => rest.to_owned(),
            _ => self.path.clone(),
        }
    }

    fn suffix(&self) -> String {
        let tag = self.tag.as_ref().map(|tag| format!(":{tag}")).unwrap_or_default();
        let digest = self.digest.as_ref().map(|digest| format!("@{digest}")).unwrap_or_default();
        tag + &digest
    }
}

/// Canonical: everything is written out.
impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}{}", self.domain, self.path, self.suffix())
    }
}

impl FromStr for Reference {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::parse(text)
    }
}

/// A name as typed, its grammar checked, its domain perhaps still open.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Typed {
    pub(crate) domain: Option<String>,
    pub(crate) path: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

impl Typed {
    pub(crate) fn parse(text: &str) -> Result<Self> {
        Self::read(text).map_err(|why| invalid(text, why))
    }

    fn read(text: &str) -> std::result::Result<Self, Why> {
        refuse_what_is_no_name(text)?;
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => {
                let digest = digest.parse().map_err(|error: Error| Why::from(error.to_string()))?;
                (rest, Some(digest))
            }
            None => (text, None),
        };
        // A colon after the last slash begins the tag; one before it belongs to a port.
        let after_slash = rest.rfind('/').map_or(0, |slash| slash + 1);
        let (name, tag) = match rest[after_slash..].find(':') {
            Some(colon) => (&rest[..after_slash + colon], Some(&rest[after_slash + colon + 1..])),
            None => (rest, None),
        };
        let (domain, path) = split_domain(name);
        domain.map_or(Ok(()), check_domain)?;
        check_path(path)?;
        tag.map_or(Ok(()), check_tag)?;
        Ok(Self {
            domain: domain.map(str::to_owned),
            path: path.to_owned(),
            tag: tag.map(str::to_owned),
            digest,
        })
    }

    /// The complete name, taking `domain` where none was typed.
    pub(crate) fn within(self, domain: &str) -> Result<Reference> {
        let mut domain = self.domain.unwrap_or_else(|| domain.to_owned());
        if domain == "index.docker.io" {
            DEFAULT_DOMAIN.clone_into(&mut domain);
        }
        let path = if domain == DEFAULT_DOMAIN && !self.path.contains('/') {
            format!("library/{}", self.path)
        } else {
            self.path
        };
        let length = domain.len() + 1 + path.len();
        if length > NAME_LIMIT {
            return Err(invalid(&path, format!("the name has {length} of {NAME_LIMIT} bytes")));
        }
        let latest = self.tag.is_none() && self.digest.is_none();
        let tag = if latest { Some(DEFAULT_TAG.to_owned()) } else { self.tag };
        Ok(Reference { domain, path, tag, digest: self.digest })
    }

    /// The same tag and digest at another place; registries.conf's aliases do this.
    pub(crate) fn moved_to(self, place: &Self) -> Self {
        Self { domain: place.domain.clone(), path: place.path.clone(), ..self }
    }

    /// Is nothing said but domain and path?
    pub(crate) fn is_name_only(&self) -> bool {
        self.tag.is_none() && self.digest.is_none()
    }
}

type Why = std::borrow::Cow<'static, str>;

fn invalid(text: &str, why: impl fmt::Display) -> Error {
    let shown: String = text.chars().take(100).collect();
    Error::new(Kind::Invalid, format!("parse image name {shown:?}: {why}"))
        .hint("an image name looks like debian:13, quay.io/team/tool:1.0 or name@sha256:…")
}

fn refuse_what_is_no_name(text: &str) -> std::result::Result<(), Why> {
    if text.is_empty() {
        return Err("it is empty".into());
    }
    if text.len() > TEXT_LIMIT {
        return Err(format!("it has {} of {TEXT_LIMIT} bytes", text.len()).into());
    }
    if text.contains("://") {
        return Err("a name has no scheme such as https://".into());
    }
    if text.len() == 64 && text.bytes().all(is_lower_hex) {
        return Err("64 hexadecimal digits are an id, not a name".into());
    }
    match text.chars().find(|c| !c.is_ascii_graphic()) {
        Some(c) => Err(format!("it holds the character {c:?}").into()),
        None => Ok(()),
    }
}

fn is_lower_hex(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

fn split_domain(name: &str) -> (Option<&str>, &str) {
    match name.split_once('/') {
        Some((first, rest))
            if first == "localhost"
                || first.contains(['.', ':'])
                || first.bytes().any(|byte| byte.is_ascii_uppercase()) =>
        {
            (Some(first), rest)
        }
        _ => (None, name),
    }
}

/// `host[:port]`, where the host is a DNS name, an IPv4 address or an IPv6 address in brackets.
pub(crate) fn check_domain(domain: &str) -> std::result::Result<(), Why> {
    let wrong = |why: &str| Err(format!("the registry {domain:?} {why}").into());
    let (host, port) = match domain.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, port)) => {
            if address.parse::<std::net::Ipv6Addr>().is_err() {
                return wrong("is not an IPv6 address");
            }
            match port.strip_prefix(':') {
                None if port.is_empty() => return Ok(()),
                None => return wrong("has something other than a port after its bracket"),
                port => ("", port),
            }
        }
        None => match domain.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (domain, None),
        },
    };
    if let Some(port) = port
        && (port.parse::<u16>().is_err() || !port.bytes().all(|byte| byte.is_ascii_digit()))
    {
        return wrong("has a port that is not a number up to 65535");
    }
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    if !domain.starts_with('[') && !host.split('.').all(label) {
        return wrong("is not a host name");
    }
    Ok(())
}

/// Components of `[a-z0-9]+`, joined inside by `.`, `_`, `__` or any number of `-`.
pub(crate) fn check_path(path: &str) -> std::result::Result<(), Why> {
    if path.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err("the repository must be lower case".into());
    }
    for component in path.split('/') {
        if component.is_empty() {
            return Err("it has an empty component".into());
        }
        check_component(component)?;
    }
    Ok(())
}

fn check_component(component: &str) -> std::result::Result<(), Why> {
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    if let Some(c) =
        component.chars().find(|c| !c.is_ascii() || !(is_word(*c as u8) || "._-".contains(*c)))
    {
        return Err(format!("the component {component:?} holds the character {c:?}").into());
    }
    let bytes = component.as_bytes();
    if !(is_word(bytes[0]) && is_word(bytes[bytes.len() - 1])) {
        return Err(format!("the component {component:?} begins or ends with a separator").into());
    }
    let separators = component.split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    for separator in separators.filter(|separator| !separator.is_empty()) {
        let dashes = separator.bytes().all(|byte| byte == b'-');
        if !(dashes || matches!(separator, "." | "_" | "__")) {
            return Err(format!("the component {component:?} holds {separator:?}").into());
        }
    }
    Ok(())
}

pub(crate) fn check_tag(tag: &str) -> std::result::Result<(), Why> {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let mut bytes = tag.bytes();
    let head = bytes.next().is_some_and(word);
    let tail = bytes.all(|byte| word(byte) || matches!(byte, b'.' | b'-'));
    if head && tail && tag.len() <= TAG_LIMIT {
        Ok(())
    } else {
        let shown: String = tag.chars().take(20).collect();
        Err(format!("the tag {shown:?} is not [A-Za-z0-9_][A-Za-z0-9_.-]{{0,127}}").into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn names_complete_as_in_docker() {
        let long_tag = format!("a:{}", "t".repeat(128));
        let cases = [
            ("debian", "docker.io/library/debian:latest", "debian:latest"),
            ("debian:13", "docker.io/library/debian:13", "debian:13"),
            ("docker.io/debian", "docker.io/library/debian:latest", "debian:latest"),
            ("index.docker.io/debian", "docker.io/library/debian:latest", "debian:latest"),
            ("library/debian", "docker.io/library/debian:latest", "debian:latest"),
            ("library/a/b", "docker.io/library/a/b:latest", "library/a/b:latest"),
            ("me/tool:1", "docker.io/me/tool:1", "me/tool:1"),
            ("quay.io/me/tool", "quay.io/me/tool:latest", "quay.io/me/tool:latest"),
            ("localhost/tool", "localhost/tool:latest", "localhost/tool:latest"),
            ("localhost:5000/a/b:c", "localhost:5000/a/b:c", "localhost:5000/a/b:c"),
            ("registry:5000/a", "registry:5000/a:latest", "registry:5000/a:latest"),
            ("Registry/a", "Registry/a:latest", "Registry/a:latest"),
            ("[::1]:5000/a:1", "[::1]:5000/a:1", "[::1]:5000/a:1"),
            ("[fe80::1]/a", "[fe80::1]/a:latest", "[fe80::1]/a:latest"),
            ("127.0.0.1:5000/a", "127.0.0.1:5000/a:latest", "127.0.0.1:5000/a:latest"),
            ("debian:5000", "docker.io/library/debian:5000", "debian:5000"),
            ("a.b_c__d---e", "docker.io/library/a.b_c__d---e:latest", "a.b_c__d---e:latest"),
            ("a:_T.a-g", "docker.io/library/a:_T.a-g", "a:_T.a-g"),
            (&long_tag, &format!("docker.io/library/{long_tag}"), &long_tag),
        ];
        for (text, canonical, familiar) in cases {
            let reference = Reference::parse(text).unwrap();
            assert_eq!(reference.to_string(), canonical, "parsing {text:?}");
            assert_eq!(reference.familiar(), familiar, "parsing {text:?}");
            assert_eq!(Reference::parse(canonical).unwrap(), reference, "parsing it again");
            assert_eq!(Reference::parse(familiar).unwrap(), reference, "parsing the short form");
        }
    }

    #[test]
    fn a_digest_wins_over_the_tag() {
        let both = Reference::parse(&format!("debian:13@{DIGEST}")).unwrap();
        let alone = Reference::parse(&format!("debian@{DIGEST}")).unwrap();

        assert_eq!(both.identifier(), DIGEST);
        assert_eq!(both.familiar(), format!("debian:13@{DIGEST}"));
        assert_eq!((alone.tag(), alone.identifier()), (None, DIGEST));
        assert_eq!(both.with_digest(DIGEST.parse().unwrap()), alone);
        assert_eq!(both.with_tag("x").unwrap().to_string(), "docker.io/library/debian:x");
        assert!(both.with_tag("a/b").is_err());
    }

    #[test]
    fn what_is_no_name_is_refused_and_said_why() {
        let hex = "0123456789abcdef".repeat(4);
        let long_tag = format!("a:{}", "t".repeat(129));
        let long_name = "a/".repeat(150) + "a";
        let cases = [
            ("", "empty"),
            (hex.as_str(), "an id"),
            ("https://quay.io/a", "scheme"),
            ("Debian", "lower case"),
            ("quay.io/Team/a", "lower case"),
            ("a//b", "empty component"),
            ("/a", "empty component"),
            ("a/", "empty component"),
            ("a/../b", "separator"),
            ("../a", "host name"),
            (".", "separator"),
            ("a..b", "\"..\""),
            ("a___b", "\"___\""),
            ("a._b", "\"._\""),
            ("-a", "separator"),
            ("a-", "separator"),
            ("a b", "character"),
            ("a\0", "character"),
            ("ä", "character"),
            ("a%2e", "character"),
            ("a?x=1", "character"),
            ("a#b", "character"),
            ("a:", "tag"),
            ("a:-b", "tag"),
            ("a:b:c", "tag"),
            (&long_tag, "tag"),
            (&long_name, "bytes"),
            ("a@sha256:abc", "length"),
            ("a@md5:abc", "algorithm"),
            ("a@", "colon"),
            ("user@host/a", "colon"),
            ("host:99999/a", "port"),
            ("host:+5/a", "port"),
            ("host:/a", "port"),
            ("[::g]/a", "IPv6"),
            ("[::1/a", "port"),
            ("[::1]x/a", "bracket"),
            ("-host.io/a", "host name"),
            ("host..io/a", "host name"),
            ("ho_st.io/a", "host name"),
        ];
        for (text, why) in cases {
            let error = Reference::parse(text).expect_err(text);
            assert_eq!(error.kind(), Kind::Invalid, "parsing {text:?}");
            assert!(error.to_string().contains(why), "parsing {text:?}: {error}");
        }
    }
}
