//! Who we are to a registry: auth.json, Docker's config.json and their helper programs
//! (containers-auth.json(5)).
//!
//! Files are asked in their order, and a file is asked from the most specific key to the least:
//!
//! ```text
//! credHelpers["quay.io"]                       a helper program knows the host
//! auths["quay.io/team/tool"], …["quay.io/team"], …["quay.io"]
//! auths["https://quay.io/v1/"] and the like    keys as Docker once wrote them
//! credsStore                                   a helper program for everything else
//! ```
//!
//! A secret is never shown: `Debug` leaves it out and no error quotes a file's content.

use crate::{keeper::Helper, reference::DEFAULT_DOMAIN};
use data_encoding::{BASE64, BASE64_NOPAD};
use dhow_base::{Doing, Error, Kind, Result, file};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

/// The longest file of logins that is read.
pub(crate) const FILE_LIMIT_BYTES: u64 = 1 << 20;
/// Under this key Docker keeps what is for Docker Hub.
pub(crate) const DOCKER_HUB_KEY: &str = "https://index.docker.io/v1/";

/// Text that is not to be shown.
#[derive(Clone, Eq, PartialEq)]
pub struct Secret(String);

impl Secret {
    /// Marks text as secret.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for the one place that sends it.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// What proves who we are.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Credentials {
    /// A user's name and password.
    Password {
        /// The name.
        user: String,
        /// The password.
        password: Secret,
    },
    /// A refresh token that a token server gave at login, in place of the password.
    IdentityToken {
        /// Whose it is, where that is known.
        user: String,
        /// The token.
        token: Secret,
    },
    /// A bearer token that is sent as it is.
    RegistryToken(Secret),
}

impl Credentials {
    /// Reads `user:password`, as `--creds` takes it. The password may hold colons.
    pub fn parse(text: &str) -> Result<Self> {
        match text.split_once(':') {
            Some((user, password)) if !user.is_empty() => {
                Ok(Self::Password { user: user.to_owned(), password: Secret::new(password) })
            }
            // The text is not shown: it may be a password alone.
            _ => Err(Error::new(Kind::Invalid, "parse credentials")
                .hint("credentials are USER:PASSWORD")),
        }
    }
}

/// By this name registries.conf means the files among its `credential-helpers`.
const FILES: &str = "containers-auth.json";

/// The files to look in, and the programs to ask.
#[derive(Clone, Debug)]
pub(crate) struct Keyring {
    files: Vec<PathBuf>,
    /// In this order; [`FILES`] stands for the files.
    helpers: Vec<String>,
}

impl Keyring {
    pub(crate) fn new(files: Vec<PathBuf>) -> Self {
        Self { files, helpers: vec![FILES.to_owned()] }
    }

    /// The same files, and programs besides or in their place, where registries.conf says so.
    #[must_use]
    pub(crate) fn with_helpers(self, helpers: Option<Vec<String>>) -> Self {
        Self { helpers: helpers.unwrap_or(self.helpers), ..self }
    }

    /// What the files know about `domain` (`docker.io`, `localhost:5000`) and, more specifically,
    /// about the repository `path` there. Reads files and may run helper programs: it blocks.
    pub(crate) fn find(&self, domain: &str, path: &str) -> Result<Option<Credentials>> {
        for helper in &self.helpers {
            let found = match helper.as_str() {
                FILES => self.in_files(domain, path)?,
                program => Helper::new(program, domain).ask()?,
            };
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// The files to look in.
    pub(crate) fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// The programs that are asked about a registry whatever the files say.
    pub(crate) fn programs(&self, domain: &str) -> impl Iterator<Item = Helper> {
        let programs = self.helpers.iter().filter(|helper| *helper != FILES);
        programs.map(move |program| Helper::new(program, domain))
    }

    fn in_files(&self, domain: &str, path: &str) -> Result<Option<Credentials>> {
        for place in &self.files {
            let bytes = match file::read_limited(place, FILE_LIMIT_BYTES) {
                Err(error) if error.kind() == Kind::NotFound => continue,
                read => read?,
            };
            let file = AuthFile::parse(&bytes).doing(|| format!("read {}", place.display()))?;
            let found = file.find(domain, path);
            if let Some(found) = found.doing(|| in_file(domain, place))? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }
}

fn in_file(domain: &str, place: &Path) -> String {
    format!("find credentials for {domain} in {}", place.display())
}

#[derive(Default, Deserialize)]
pub(crate) struct AuthFile {
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
    #[serde(default, rename = "credHelpers")]
    helpers: BTreeMap<String, String>,
    #[serde(default, rename = "credsStore")]
    store: String,
}

#[derive(Default, Deserialize)]
struct Entry {
    #[serde(default)]
    auth: String,
    #[serde(default)]
    username: String,
    #[serde(default)]
    password: String,
    #[serde(default, rename = "identitytoken")]
    identity_token: String,
    #[serde(default, rename = "registrytoken")]
    registry_token: String,
}

impl AuthFile {
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self> {
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Ok(Self::default());
        }
        serde_json::from_slice(bytes).map_err(|error| {
            // serde's own text may quote a value, and a value may be a secret.
            let (line, column) = (error.line(), error.column());
            Error::new(Kind::Invalid, format!("parse JSON at line {line}, column {column}"))
        })
    }

    /// What a document says that was read to be changed.
    pub(crate) fn of(document: &Map<String, Value>) -> Result<Self> {
        // serde's own text may quote a value, and a value may be a secret.
        serde_json::from_value(Value::Object(document.clone()))
            .map_err(|_| Error::new(Kind::Invalid, "it is no file of credentials"))
    }

    fn find(&self, domain: &str, path: &str) -> Result<Option<Credentials>> {
        let helper = self.helper(domain);
        // A helper of this very host goes before what is written, the one for all others after it.
        let of_host = self.helper_of_host(domain).is_some();
        match (helper, self.in_auths(domain, path)) {
            (Some(helper), _) if of_host => helper.ask(),
            (None, written) => written,
            (Some(helper), written) => match written? {
                Some(written) => Ok(Some(written)),
                None => helper.ask(),
            },
        }
    }

    /// The helper program that the file wants for a registry. An empty name says that there is none
    /// for this one.
    pub(crate) fn helper(&self, domain: &str) -> Option<Helper> {
        let of_all = (self.store.as_str(), server_of(domain));
        let (name, key) = self.helper_of_host(domain).unwrap_or(of_all);
        (!name.is_empty()).then(|| Helper::new(name, key))
    }

    /// What the file says of this very host: the helper's name, and the key that it knows.
    fn helper_of_host<'a>(&'a self, domain: &'a str) -> Option<(&'a str, &'a str)> {
        let keys = [domain, server_of(domain)];
        keys.into_iter().find_map(|key| Some((self.helpers.get(key)?.as_str(), key)))
    }

    /// The keys of a registry, or of parts of it, whose entries have this identity token.
    pub(crate) fn keys_of_identity(&self, domain: &str, token: &Secret) -> Vec<String> {
        let has = |key: &str, entry: &Entry| {
            let host = host_of_key(key).split('/').next().unwrap_or_default();
            hub_by_its_name(host) == domain && entry.identity_token == token.reveal()
        };
        let entries = self.auths.iter().filter(|(key, entry)| has(key, entry));
        entries.map(|(key, _)| key.clone()).collect()
    }

    pub(crate) fn in_auths(&self, domain: &str, path: &str) -> Result<Option<Credentials>> {
        let mut key = format!("{domain}/{path}");
        loop {
            if let Some(entry) = self.auths.get(&key) {
                // Docker writes an empty entry where its credsStore has the secret.
                if let Some(found) = entry.credentials().doing(|| format!("read entry {key:?}"))? {
                    return Ok(Some(found));
                }
            }
            match key.rfind('/') {
                Some(slash) => key.truncate(slash),
                None => break,
            }
        }
        for (key, entry) in &self.auths {
            if host_of_key(key) == domain
                && let Some(found) = entry.credentials().doing(|| format!("read entry {key:?}"))?
            {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }
}

/// By what name helper programs know a registry.
pub(crate) fn server_of(domain: &str) -> &str {
    if domain == DEFAULT_DOMAIN { DOCKER_HUB_KEY } else { domain }
}

/// The host of a key that Docker wrote as an address; a key that names a repository has none.
fn host_of_key(key: &str) -> &str {
    let rest = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://"));
    let host = match rest {
        Some(rest) => rest.split('/').next().unwrap_or_default(),
        None => key.trim_end_matches('/').trim_end_matches("/v1").trim_end_matches("/v2"),
    };
    hub_by_its_name(host)
}

/// Docker Hub's other hosts are Docker Hub.
pub(crate) fn hub_by_its_name(host: &str) -> &str {
    match host {
        "index.docker.io" | "registry-1.docker.io" => DEFAULT_DOMAIN,
        host => host,
    }
}

impl Entry {
    fn credentials(&self) -> Result<Option<Credentials>> {
        if !self.identity_token.is_empty() {
            let token = Secret::new(&self.identity_token);
            return Ok(Some(Credentials::IdentityToken { user: self.user(), token }));
        }
        if !self.registry_token.is_empty() {
            return Ok(Some(Credentials::RegistryToken(Secret::new(&self.registry_token))));
        }
        if !self.auth.is_empty() {
            return self.decoded().map(Some);
        }
        if self.username.is_empty() {
            return Ok(None);
        }
        let password = Secret::new(&self.password);
        Ok(Some(Credentials::Password { user: self.username.clone(), password }))
    }

    /// Whose entry it is; nobody's where it does not say so.
    fn user(&self) -> String {
        match self.decoded() {
            Ok(Credentials::Password { user, .. }) => user,
            _ => self.username.clone(),
        }
    }

    fn decoded(&self) -> Result<Credentials> {
        let bad = || Error::new(Kind::Invalid, "decode auth: it is not base64 of USER:PASSWORD");
        let text = self.auth.trim();
        let bytes = BASE64
            .decode(text.as_bytes())
            .or_else(|_| BASE64_NOPAD.decode(text.trim_end_matches('=').as_bytes()))
            .map_err(|_| bad())?;
        let text = String::from_utf8(bytes).map_err(|_| bad())?;
        // Old files pad the password with NUL.
        Credentials::parse(text.trim_end_matches('\0')).map_err(|_| bad())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(user: &str, password: &str) -> Option<Credentials> {
        Some(Credentials::Password { user: user.into(), password: Secret::new(password) })
    }

    fn identity(user: &str, token: &str) -> Option<Credentials> {
        Some(Credentials::IdentityToken { user: user.into(), token: Secret::new(token) })
    }

    fn encoded(text: &str) -> String {
        BASE64.encode(text.as_bytes())
    }

    #[test]
    fn an_empty_name_says_that_a_host_has_no_helper() {
        let text =
            br#"{"credsStore": "all", "credHelpers": {"a.example": "", "b.example": "own"}}"#;

        let file = AuthFile::parse(text).unwrap();

        let has = |domain: &str| file.helper(domain).is_some();
        assert_eq!((has("a.example"), has("b.example"), has("c.example")), (false, true, true));
    }

    #[test]
    fn the_most_specific_entry_wins() {
        let text = format!(
            r#"{{"auths": {{
                "quay.io": {{"auth": "{}"}},
                "quay.io/team": {{"auth": "{}"}},
                "quay.io/team/tool": {{"auth": "{}"}},
                "https://index.docker.io/v1/": {{"auth": "{}"}},
                "https://old.io/v2/": {{"username": "o", "password": "p"}},
                "localhost:5000": {{"identitytoken": "i"}},
                "acr.io": {{"auth": "{}", "identitytoken": "i2"}},
                "ghcr.io": {{"registrytoken": "r"}},
                "empty.io": {{}}
            }}}}"#,
            encoded("host:1"),
            encoded("team:2"),
            encoded("tool:3:with:colons"),
            encoded("hub:4"),
            encoded("me:"),
        );
        let file = AuthFile::parse(text.as_bytes()).unwrap();
        let cases = [
            ("quay.io", "other/x", password("host", "1")),
            ("quay.io", "team/x", password("team", "2")),
            ("quay.io", "team/tool", password("tool", "3:with:colons")),
            ("quay.io", "team/toolbox", password("team", "2")),
            ("docker.io", "library/debian", password("hub", "4")),
            ("old.io", "a", password("o", "p")),
            ("localhost:5000", "a", identity("", "i")),
            ("acr.io", "a", identity("me", "i2")),
            ("ghcr.io", "a", Some(Credentials::RegistryToken(Secret::new("r")))),
            ("empty.io", "a", None),
            ("evil.quay.io", "a", None),
            ("quay.io.evil", "a", None),
            ("localhost:5001", "a", None),
        ];
        for (domain, path, expected) in cases {
            assert_eq!(file.find(domain, path).unwrap(), expected, "{domain}/{path}");
        }
    }

    #[test]
    fn secrets_are_shown_neither_by_debug_nor_by_errors() {
        let cases = [
            r#"{"auths": {"a.io": {"auth": "aHVudGVyMg=="}}}"#,
            r#"{"auths": {"a.io": {"auth": "hunter2!"}}}"#,
            r#"{"auths": {"a.io": "hunter2"}}"#,
            r#"{"auths": hunter2"#,
        ];
        for text in cases {
            let found = AuthFile::parse(text.as_bytes()).and_then(|file| file.find("a.io", "x"));
            let error = found.expect_err(text);
            assert!(!format!("{error:?} {}", error.one_line()).contains("hunter2"), "{text}");
        }
        let shown = format!("{:?}", Credentials::parse("me:hunter2").unwrap());
        assert!(shown.contains("me") && !shown.contains("hunter2"), "{shown}");
        assert!(!format!("{:?}", Credentials::parse("hunter2").unwrap_err()).contains("hunter2"));
    }

    #[test]
    fn the_first_file_that_knows_the_registry_is_believed() {
        let directory = tempfile::tempdir().unwrap();
        let place = |name: &str| directory.path().join(name);
        std::fs::write(
            place("one"),
            format!(r#"{{"auths":{{"a.io":{{"auth":"{}"}}}}}}"#, encoded("u:1")),
        )
        .unwrap();
        std::fs::write(
            place("two"),
            format!(
                r#"{{"auths":{{"a.io":{{"auth":"{0}"}},"b.io":{{"auth":"{0}"}}}}}}"#,
                encoded("u:2")
            ),
        )
        .unwrap();
        std::fs::write(place("blank"), "\n").unwrap();
        let keyring =
            Keyring::new(vec![place("missing"), place("blank"), place("one"), place("two")]);

        assert_eq!(keyring.find("a.io", "x").unwrap(), password("u", "1"));
        assert_eq!(keyring.find("b.io", "x").unwrap(), password("u", "2"));
        assert_eq!(keyring.find("c.io", "x").unwrap(), None);
    }

    #[test]
    fn a_huge_file_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path().join("auth.json");
        std::fs::write(&place, vec![b' '; 2 << 20]).unwrap();

        let error = Keyring::new(vec![place]).find("a.io", "x").unwrap_err();

        assert_eq!(error.kind(), Kind::Exhausted);
    }
}
