//! The YAML file that says what to sync, as skopeo has it.
//!
//! ```yaml
//! registry.example.com:
//!   images:
//!     busybox: []                      # all tags
//!     redis: ["1.0", "sha256:…"]       # these
//!   images-by-tag-regex:
//!     nginx: ^1\.13\.[12]-alpine$
//!   images-by-semver:
//!     alpine: ">= 3.12.0"
//!   credentials: {username: john, password: secret}
//!   tls-verify: true
//!   cert-dir: /home/john/certs
//! ```

use dhow_base::{Doing, Error, Kind, Result, file};
use dhow_distribution::{Credentials, Secret};
use regex::{Regex, RegexBuilder};
use semver::{Version, VersionReq};
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

const FILE_LIMIT_BYTES: u64 = 4 << 20;
const REGEX_LIMIT_BYTES: usize = 1 << 20;

/// What is wanted of one registry.
#[derive(Debug)]
pub(crate) struct Listed {
    pub(crate) domain: String,
    pub(crate) repositories: Vec<(String, Wanted)>,
    pub(crate) credentials: Option<Credentials>,
    pub(crate) tls_verify: Option<bool>,
    pub(crate) cert_dir: Option<PathBuf>,
}

/// Which tags are wanted of a repository.
#[derive(Debug)]
pub(crate) enum Wanted {
    /// All.
    All,
    /// These tags or digests.
    These(Vec<String>),
    /// Those that match.
    Matching(Regex),
    /// Those that are versions, and fulfil one of these.
    Versions(Vec<VersionReq>),
}

impl Wanted {
    /// Is this tag wanted?
    pub(crate) fn has(&self, tag: &str) -> bool {
        match self {
            Self::All => true,
            Self::These(tags) => tags.iter().any(|own| own == tag),
            Self::Matching(regex) => regex.is_match(tag),
            Self::Versions(any) => {
                version(tag).is_some_and(|tag| any.iter().any(|one| one.matches(&tag)))
            }
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct Entry {
    images: BTreeMap<String, Option<Vec<String>>>,
    images_by_tag_regex: BTreeMap<String, String>,
    images_by_semver: BTreeMap<String, String>,
    credentials: Option<Login>,
    tls_verify: Option<bool>,
    cert_dir: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Login {
    username: String,
    password: String,
}

impl Listed {
    /// Reads the file.
    pub(crate) fn read(path: &Path) -> Result<Vec<Self>> {
        let bytes = file::read_limited(path, FILE_LIMIT_BYTES)?;
        let text = String::from_utf8(bytes)
            .map_err(|_| Error::new(Kind::Invalid, "it is not UTF-8"))
            .doing(|| format!("read {}", path.display()))?;
        Self::parse(&text).doing(|| format!("read {}", path.display()))
    }

    /// Reads its text.
    pub(crate) fn parse(text: &str) -> Result<Vec<Self>> {
        let entries: BTreeMap<String, Entry> = serde_saphyr::from_str(text)
            .map_err(|error| Error::new(Kind::Invalid, format!("parse YAML: {error}")))?;
        entries.into_iter().map(|(domain, entry)| Self::of(domain, entry)).collect()
    }

    fn of(domain: String, entry: Entry) -> Result<Self> {
        let mut repositories = Vec::new();
        for (name, tags) in entry.images {
            let wanted = match tags {
                Some(tags) if !tags.is_empty() => Wanted::These(tags),
                _ => Wanted::All,
            };
            repositories.push((name, wanted));
        }
        for (name, text) in entry.images_by_tag_regex {
            let regex = RegexBuilder::new(&text).size_limit(REGEX_LIMIT_BYTES).build();
            let regex = regex.map_err(|error| {
                Error::new(Kind::Invalid, format!("read the expression for {name}: {error}"))
            })?;
            repositories.push((name, Wanted::Matching(regex)));
        }
        for (name, text) in entry.images_by_semver {
            let versions = requirements(&text).doing(|| format!("read the versions of {name}"))?;
            repositories.push((name, Wanted::Versions(versions)));
        }
        let credentials = entry.credentials.filter(|login| !login.username.is_empty());
        Ok(Self {
            domain,
            repositories,
            credentials: credentials.map(|login| Credentials::Password {
                user: login.username,
                password: Secret::new(login.password),
            }),
            tls_verify: entry.tls_verify,
            cert_dir: entry.cert_dir,
        })
    }
}

/// A tag as a version; what is missing of it is zero: `v1.2`, `3`.
fn version(tag: &str) -> Option<Version> {
    let text = tag.strip_prefix('v').unwrap_or(tag);
    let end = text.find(['-', '+']).unwrap_or(text.len());
    let (numbers, rest) = text.split_at(end);
    let missing = 3_usize.checked_sub(numbers.split('.').count())?;
    Version::parse(&format!("{numbers}{}{rest}", ".0".repeat(missing))).ok()
}

/// `>= 1.2, < 2 || ^3`: alternatives, each of several comparisons.
fn requirements(text: &str) -> Result<Vec<VersionReq>> {
    text.split("||").map(requirement).collect()
}

fn requirement(text: &str) -> Result<VersionReq> {
    let invalid = |why: String| Error::new(Kind::Invalid, format!("parse {text:?}: {why}"));
    let spaced = text.replace(',', " ");
    let mut words = spaced.split_whitespace().peekable();
    let mut comparisons = Vec::new();
    while let Some(word) = words.next() {
        let digits = word.trim_start_matches(['<', '>', '=', '^', '~', '!']);
        let mark = &word[..word.len() - digits.len()];
        let mut number = digits.strip_prefix('v').unwrap_or(digits).to_owned();
        if number.is_empty() {
            let next = words.next().ok_or_else(|| invalid("a version is missing".into()))?;
            next.strip_prefix('v').unwrap_or(next).clone_into(&mut number);
        }
        // A version alone means itself, and with parts left out all that begin so.
        let mark = if mark.is_empty() && number != "*" { "=" } else { mark };
        comparisons.push(format!("{mark}{number}"));
    }
    if comparisons.is_empty() {
        return Err(invalid("it says nothing".into()));
    }
    VersionReq::parse(&comparisons.join(",")).map_err(|error| invalid(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = r#"
registry.example.com:
    images:
        busybox: []
        alpine:
        redis:
            - "1.0"
            - 2.0
            - sha256:0000000000000000000000000000000011111111111111111111111111111111
    images-by-semver:
        debian: ">= 3.12.0, < v4 || 13"
    credentials:
        username: john
        password: this is a secret
    tls-verify: true
    cert-dir: /home/john/certs
quay.io:
    tls-verify: false
    images-by-tag-regex:
        nginx: ^1\.13\.[12]-alpine-perl$
"#;

    #[test]
    fn a_list_is_read_as_skopeo_reads_it() {
        let list = Listed::parse(LIST).unwrap();

        let [quay, example] = &list[..] else { panic!("{list:?}") };
        assert_eq!((quay.tls_verify, example.tls_verify), (Some(false), Some(true)));
        assert_eq!(example.cert_dir.as_deref(), Some(Path::new("/home/john/certs")));
        assert!(matches!(
            &example.credentials,
            Some(Credentials::Password { user, .. }) if user == "john"
        ));
        let wanted = |registry: &Listed, name: &str, tag: &str| {
            let mut all = registry.repositories.iter();
            all.find(|(own, _)| own == name).expect(name).1.has(tag)
        };
        let cases = [
            ("busybox", "any", true),
            ("alpine", "any", true),
            ("redis", "1.0", true),
            ("redis", "2.0", true),
            ("redis", "3.0", false),
            ("debian", "3.12", true),
            ("debian", "v3.20.1", true),
            ("debian", "3.11.9", false),
            ("debian", "4.0", false),
            ("debian", "13", true),
            ("debian", "13.2", true),
            ("debian", "latest", false),
        ];
        for (name, tag, expected) in cases {
            assert_eq!(wanted(example, name, tag), expected, "{name}:{tag}");
        }
        assert!(wanted(quay, "nginx", "1.13.1-alpine-perl"));
        assert!(!wanted(quay, "nginx", "1.13.3-alpine-perl"));
    }

    #[test]
    fn what_is_no_list_is_told() {
        let wrong = [
            "a: [",
            "a: {images: 3}",
            "a: {images-by-tag-regex: {b: '('}}",
            "a: {images-by-semver: {b: '>='}}",
            "a: {images-by-semver: {b: 'x y'}}",
            "- a",
        ];
        for text in wrong {
            assert_eq!(Listed::parse(text).unwrap_err().kind(), Kind::Invalid, "{text}");
        }
    }
}
