//! `policy.json`: from where images are taken, as podman and skopeo have it.
//!
//! ```text
//! {"default": [{"type": "reject"}],
//!  "transports": {"docker": {"quay.io/team": [{"type": "insecureAcceptAnything"}], "": […]}}}
//! ```
//!
//! The most specific scope counts, then the transport's own default, then the default of all.
//! Signatures are not checked here, so what has to be signed is refused: whoever wrote such a policy
//! must not get an image that nobody has looked at. Without a file everything is taken, as docker
//! does it.

use crate::{config::PolicyFile, reference::Reference};
use dhow_base::{Doing, Error, Kind, Result, file};
use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, Visitor},
};
use std::{
    collections::BTreeMap,
    fmt,
    marker::PhantomData,
    path::{Path, PathBuf},
};

const LIMIT_BYTES: u64 = 1 << 20;

/// From where something is to be taken.
#[derive(Clone, Copy, Debug)]
pub enum Origin<'a> {
    /// A registry.
    Registry(&'a Reference),
    /// A file or directory: the transport by its prefix, the place without symlinks where it has
    /// one, and the name in it.
    Files {
        /// `oci`, `oci-archive`, `docker-archive` or `dir`.
        transport: &'static str,
        /// Absolute and without symlinks.
        path: Option<&'a Path>,
        /// Which of the images there.
        name: Option<&'a str>,
    },
}

impl Origin<'_> {
    fn transport(&self) -> &'static str {
        match self {
            Self::Registry(_) => "docker",
            Self::Files { transport, .. } => transport,
        }
    }

    /// The scopes that it is in, the most specific one first.
    fn scopes(&self) -> Vec<String> {
        match self {
            Self::Registry(reference) => scopes_of_reference(reference),
            // Whoever reads a file of docker's has no scope but the transport.
            Self::Files { transport: "docker-archive", .. } | Self::Files { path: None, .. } => {
                Vec::new()
            }
            Self::Files { path: Some(path), name, .. } => {
                let shown = |path: &Path| path.to_string_lossy().into_owned();
                let own = format!("{}:{}", shown(path), name.unwrap_or_default());
                let above = path.ancestors().filter(|path| path.parent().is_some());
                [own].into_iter().chain(above.map(shown)).collect()
            }
        }
    }
}

impl fmt::Display for Origin<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registry(reference) => write!(f, "{reference}"),
            Self::Files { transport, path: Some(path), .. } => {
                write!(f, "{transport}:{}", path.display())
            }
            Self::Files { transport, path: None, .. } => write!(f, "{transport}:"),
        }
    }
}

fn scopes_of_reference(reference: &Reference) -> Vec<String> {
    let name = reference.name();
    let own = match reference.digest() {
        Some(digest) => format!("{name}@{digest}"),
        None => format!("{name}:{}", reference.tag().unwrap_or("latest")),
    };
    let mut scopes = vec![own];
    let mut part = name.as_str();
    loop {
        scopes.push(part.to_owned());
        let Some(slash) = part.rfind('/') else { break };
        part = &part[..slash];
    }
    let mut host = part.split_once(':').map_or(part, |(host, _)| host);
    while let Some((_, parent)) = host.split_once('.') {
        scopes.push(format!("*.{parent}"));
        host = parent;
    }
    scopes
}

/// What a scope demands.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Demand {
    Nothing,
    Reject,
    /// A signature of this type.
    Signature(&'static str),
}

/// Whom the user trusts.
#[derive(Debug)]
pub struct Policy {
    file: PathBuf,
    document: Written,
}

impl Policy {
    /// Reads the policy, where there is one.
    pub fn load(from: &PolicyFile) -> Result<Option<Self>> {
        let (files, must_exist) = match from {
            PolicyFile::Nobodys => return Ok(None),
            PolicyFile::Usual(files) => (files.as_slice(), false),
            PolicyFile::Named(file) => (std::slice::from_ref(file), true),
        };
        for path in files {
            match file::read_limited(path, LIMIT_BYTES) {
                Ok(bytes) => {
                    let document = parse(&bytes).doing(|| format!("read {}", path.display()))?;
                    return Ok(Some(Self { file: path.clone(), document }));
                }
                Err(error) if error.kind() == Kind::NotFound && !must_exist => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Refuses what the policy does not let pass, or lets pass only signed.
    pub fn check(&self, origin: &Origin<'_>) -> Result<()> {
        let (scope, demand) = self.document.demand(origin);
        let what = |why: &str| {
            let file = self.file.display();
            Error::new(Kind::Denied, format!("take {origin}: {file} {why} for {scope}"))
        };
        match demand {
            Demand::Nothing => Ok(()),
            Demand::Reject => Err(what("says \"reject\"")),
            Demand::Signature(kind) => Err(what(&format!("wants signatures (\"{kind}\")")).hint(
                "dhow checks no signatures; verify it with podman or skopeo, and let this scope pass",
            )),
        }
    }
}

/// The document.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    default: Vec<Requirement>,
    #[serde(default)]
    transports: Unique<Unique<Vec<Requirement>>>,
}

impl Written {
    /// What counts for an origin, and the scope that says so.
    fn demand(&self, origin: &Origin<'_>) -> (String, Demand) {
        let transport = origin.transport();
        let Some(scopes) = self.transports.0.get(transport) else {
            return ("everything else".to_owned(), demand_of(&self.default));
        };
        if let Some(found) = scopes.hardest_inside(origin) {
            return found;
        }
        for scope in origin.scopes() {
            if let Some(all) = scopes.0.get(&scope).filter(|_| !scope.is_empty()) {
                return (scope, demand_of(all));
            }
        }
        match scopes.0.get("") {
            Some(all) => (format!("everything of {transport}"), demand_of(all)),
            None => ("everything else".to_owned(), demand_of(&self.default)),
        }
    }
}

impl Unique<Vec<Requirement>> {
    /// Where it is open which image of a place it is, what is demanded of any of them by its name.
    fn hardest_inside(&self, origin: &Origin<'_>) -> Option<(String, Demand)> {
        let Origin::Files { path: Some(path), name: None, .. } = origin else { return None };
        let prefix = format!("{}:", path.display());
        let named = self.0.iter().filter(|(scope, _)| scope.starts_with(&prefix));
        let mut demands = named.map(|(scope, all)| (scope.clone(), demand_of(all)));
        demands.find(|(_, demand)| *demand != Demand::Nothing)
    }
}

/// All requirements hold at once, so the hardest one counts.
fn demand_of(requirements: &[Requirement]) -> Demand {
    let mut demand = Demand::Nothing;
    for requirement in requirements {
        match requirement.demand() {
            Demand::Reject => return Demand::Reject,
            Demand::Nothing => {}
            signature => demand = signature,
        }
    }
    demand
}

/// One requirement; what it says of keys is not looked at.
#[derive(Debug, Deserialize)]
struct Requirement {
    #[serde(rename = "type")]
    kind: Sort,
}

#[derive(Clone, Copy, Debug, Deserialize)]
enum Sort {
    #[serde(rename = "insecureAcceptAnything")]
    Accept,
    #[serde(rename = "reject")]
    Reject,
    #[serde(rename = "signedBy")]
    SignedBy,
    #[serde(rename = "signedBaseLayer")]
    SignedBaseLayer,
    #[serde(rename = "sigstoreSigned")]
    SigstoreSigned,
}

impl Requirement {
    fn demand(&self) -> Demand {
        match self.kind {
            Sort::Accept => Demand::Nothing,
            Sort::Reject => Demand::Reject,
            Sort::SignedBy => Demand::Signature("signedBy"),
            Sort::SignedBaseLayer => Demand::Signature("signedBaseLayer"),
            Sort::SigstoreSigned => Demand::Signature("sigstoreSigned"),
        }
    }
}

fn parse(bytes: &[u8]) -> Result<Written> {
    let invalid = |why: String| Error::new(Kind::Invalid, format!("understand the policy: {why}"));
    let written: Written =
        serde_json::from_slice(bytes).map_err(|error| invalid(error.to_string()))?;
    let scopes = written.transports.0.values().flat_map(|scopes| scopes.0.values());
    if scopes.chain([&written.default]).any(Vec::is_empty) {
        // It would be satisfied by everything, which is nothing to say by leaving something out.
        return Err(invalid("a list of requirements is empty".to_owned()));
    }
    Ok(written)
}

/// A map in which no key is twice: two readers could take another one for the one that counts.
#[derive(Debug)]
struct Unique<V>(BTreeMap<String, V>);

impl<V> Default for Unique<V> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Unique<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Entries(PhantomData))
    }
}

struct Entries<V>(PhantomData<V>);

impl<'de, V: Deserialize<'de>> Visitor<'de> for Entries<V> {
    type Value = Unique<V>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut all = BTreeMap::new();
        while let Some((key, value)) = map.next_entry::<String, V>()? {
            if all.contains_key(&key) {
                return Err(de::Error::custom(format!("{key:?} is there twice")));
            }
            all.insert(key, value);
        }
        Ok(Unique(all))
    }
}

/// For strangers' bytes: is it a policy?
#[cfg(any(test, feature = "fuzz"))]
pub(crate) fn is_policy(bytes: &[u8]) -> bool {
    parse(bytes).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(text: &str) -> Policy {
        Policy { file: "policy.json".into(), document: parse(text.as_bytes()).unwrap() }
    }

    const SCOPED: &str = r#"{
        "default": [{"type": "reject"}],
        "transports": {
            "docker": {
                "quay.io": [{"type": "insecureAcceptAnything"}],
                "quay.io/team": [{"type": "insecureAcceptAnything"}, {"type": "signedBy", "keyType": "GPGKeys", "keyPath": "/k"}],
                "quay.io/team/open": [{"type": "insecureAcceptAnything"}],
                "quay.io/team/open:bad": [{"type": "reject"}],
                "*.example.com": [{"type": "insecureAcceptAnything"}],
                "host.com:5000": [{"type": "insecureAcceptAnything"}]
            },
            "dir": {"": [{"type": "insecureAcceptAnything"}]},
            "oci": {"/srv/images": [{"type": "insecureAcceptAnything"}], "/srv/images/a:old": [{"type": "sigstoreSigned"}]},
            "docker-archive": {"/srv": [{"type": "insecureAcceptAnything"}]}
        }
    }"#;

    #[test]
    fn the_most_specific_scope_counts() {
        let policy = policy(SCOPED);
        let digest = dhow_base::Digest::of(b"x");
        let cases = [
            ("quay.io/a/b:1", None),
            ("quay.io/team/tool:1", Some("signedBy")),
            ("quay.io/teams/tool", None),
            ("quay.io/team/open", None),
            ("quay.io/team/open:bad", Some("quay.io/team/open:bad")),
            (&format!("quay.io/team/open@{digest}"), None),
            ("a.b.example.com/x", None),
            ("a.example.com:5000/x", None),
            ("example.com/x", Some("everything else")),
            ("host.com:5000/x", None),
            ("host.com/x", Some("everything else")),
            ("debian", Some("everything else")),
        ];
        for (name, refused) in cases {
            let reference = Reference::parse(name).unwrap();
            let checked = policy.check(&Origin::Registry(&reference));

            let said = checked.as_ref().err().map(Error::one_line);
            assert_eq!(said.is_some(), refused.is_some(), "{name}: {said:?}");
            assert!(said.unwrap_or_default().contains(refused.unwrap_or_default()), "{name}");
        }
    }

    #[test]
    fn files_are_known_by_where_they_are() {
        let policy = policy(SCOPED);
        let cases = [
            ("oci", Some("/srv/images/a"), Some("new"), true),
            ("oci", Some("/srv/images/a"), Some("old"), false),
            ("oci", Some("/srv/images/a"), None, false),
            ("oci", Some("/srv/images/b"), None, true),
            ("oci", Some("/srv/imagesque"), None, false),
            ("dir", Some("/anywhere"), None, true),
            ("docker-archive", Some("/srv/a.tar"), None, false),
            ("oci-archive", None, None, false),
        ];
        for (transport, path, name, passes) in cases {
            let origin = Origin::Files { transport, path: path.map(Path::new), name };

            assert_eq!(policy.check(&origin).is_ok(), passes, "{origin}");
        }
    }

    #[test]
    fn what_cannot_be_understood_is_no_policy() {
        let good = r#"{"default":[{"type":"insecureAcceptAnything"}]}"#;
        assert!(is_policy(good.as_bytes()));
        for bad in [
            "",
            "{}",
            r#"{"default":[]}"#,
            r#"{"default":[{"type":"trustMe"}]}"#,
            r#"{"default":[{}]}"#,
            r#"{"default":[{"type":"reject"}],"transport":{}}"#,
            r#"{"default":[{"type":"reject"}],"transports":{"docker":{"a.com":[]}}}"#,
            r#"{"default":[{"type":"reject"}],"default":[{"type":"insecureAcceptAnything"}]}"#,
            r#"{"default":[{"type":"reject"}],"transports":{"docker":{"a":[{"type":"reject"}],"a":[{"type":"insecureAcceptAnything"}]}}}"#,
        ] {
            assert!(!is_policy(bad.as_bytes()), "{bad}");
        }
    }
}
