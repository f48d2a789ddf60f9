//! Logging in and out: credentials are checked with the registry, then kept where the next command
//! finds them.
//!
//! ```text
//! login    GET /v2/ with them ──accepted──▶ helper `store`, or the file's `auths`
//! logout                                    helper `erase`, or gone from `auths`
//! ```
//!
//! A token server may give an identity token at login. It is kept in place of the password, which is
//! then kept nowhere.
//!
//! A file that other tools write too is changed where it must be and nowhere else: what dhow does
//! not know stays as it is. Who writes holds a lock on the file's directory, so that two logins at
//! once both last.

use crate::{
    address::shown,
    client::Client,
    credentials::{
        AuthFile, Credentials, DOCKER_HUB_KEY, FILE_LIMIT_BYTES, Keyring, Secret, hub_by_its_name,
    },
    fetcher::{Question, Tries},
    keeper::{Helper, TOKEN_USER},
    reference::{DEFAULT_DOMAIN, Reference, check_domain, check_path},
    registries::{Endpoint, Registries},
    scope::Scopes,
};
use data_encoding::BASE64;
use dhow_base::{
    Doing, Error, Kind, Result,
    file::{self, Durability},
};
use reqwest::Method;
use serde_json::{Map, Value, json};
use std::{
    fs::File,
    path::{Path, PathBuf},
};

const FILE_MODE: u32 = 0o600;
const DIRECTORY_MODE: u32 = 0o700;
/// As many as the kernel follows.
const LINKS_LIMIT: usize = 40;

/// What one logs in to: a registry, or a part of it (`quay.io/team`).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Account {
    domain: String,
    /// Empty for the whole registry.
    path: String,
}

/// How keys are written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Dialect {
    /// As podman writes auth.json.
    Containers,
    /// As docker writes config.json, where Docker Hub has a key of its own.
    Docker,
}

impl Account {
    /// Reads `quay.io`, `quay.io/team` or, as docker has it, `https://quay.io/v1/`.
    pub fn parse(text: &str) -> Result<Self> {
        let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
        let name = match rest {
            // The path of an address is no repository.
            Some(rest) => rest.split('/').next().unwrap_or_default(),
            None => text.trim_end_matches('/'),
        };
        let (domain, path) = name.split_once('/').unwrap_or((name, ""));
        let invalid = |why| {
            let shown: String = text.chars().take(100).collect();
            Error::new(Kind::Invalid, format!("parse registry {shown:?}: {why}"))
                .hint("a registry looks like quay.io, localhost:5000 or quay.io/team")
        };
        check_domain(domain).map_err(invalid)?;
        if !path.is_empty() {
            check_path(path).map_err(invalid)?;
        }
        Ok(Self { domain: hub_by_its_name(domain).to_owned(), path: path.to_owned() })
    }

    /// Host and perhaps port.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// The part of the registry; empty for all of it.
    pub fn path(&self) -> &str {
        &self.path
    }

    fn key(&self, dialect: Dialect) -> String {
        match (dialect, self.domain.as_str(), self.path.as_str()) {
            (Dialect::Docker, DEFAULT_DOMAIN, "") => DOCKER_HUB_KEY.to_owned(),
            (_, domain, "") => domain.to_owned(),
            (_, domain, path) => format!("{domain}/{path}"),
        }
    }
}

impl std::fmt::Display for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.key(Dialect::Containers))
    }
}

impl Client {
    /// Does registries.conf say that this registry, or this part of it, is insecure?
    fn is_insecure(&self, account: &Account) -> Result<bool> {
        // Rules are made for names, so one that the account covers stands for all.
        let name = if account.path.is_empty() { "any" } else { &account.path };
        let reference = Reference::parse(&format!("{}/{name}", account.domain))?;
        let repository = self.destination(&reference)?;
        Ok(repository.endpoints().iter().any(|endpoint| endpoint.insecure))
    }

    /// Asks the registry whether it lets us in with the credentials that it would be shown. What it
    /// gives in place of a password is to be kept in place of it.
    pub fn check_login(&self, account: &Account) -> Result<Option<Secret>> {
        let endpoint = Endpoint {
            domain: account.domain.clone(),
            path: account.path.clone(),
            insecure: self.is_insecure(account)?,
            mirror: false,
        };
        let doing = || format!("log in to {account}");
        let question = Question::at(Method::GET, "", Scopes::default());
        let tries = Tries::new(&self.fetcher().patience);
        self.fetcher().sessions.ask_for_identity();
        let asked = self.fetcher().persist(&endpoint, &question, tries);
        let answer = self.engine()?.block_on(asked).doing(doing)?;
        if answer.at_origin {
            return Ok(self.fetcher().sessions.take_identity(&account.domain));
        }
        let what = format!("{}: it sends us on to {}", doing(), shown(&answer.url));
        Err(Error::new(Kind::Denied, what))
    }
}

/// Keeps credentials for an account: with the file's helper program, or in the file.
pub fn store(path: &Path, account: &Account, with: &Credentials, dialect: Dialect) -> Result<()> {
    let kept = Kept::of(with)?;
    change(path, |file| {
        let key = account.key(dialect);
        if let Some(helper) = helper_for(file, account)? {
            helper.store(kept.helpers_user, kept.secret)?;
            // As docker does it, so that others see that there is something to ask the helper for.
            entries(file)?.insert(key, json!({}));
            return Ok(());
        }
        entries(file)?.insert(key, kept.entry);
        Ok(())
    })
}

/// Credentials in the forms in which they are kept.
struct Kept<'a> {
    /// In a file.
    entry: Value,
    /// With a helper: by which user name it finds what.
    helpers_user: &'a str,
    secret: &'a Secret,
}

impl<'a> Kept<'a> {
    fn of(credentials: &'a Credentials) -> Result<Self> {
        let both =
            |user: &str, password: &str| BASE64.encode(format!("{user}:{password}").as_bytes());
        match credentials {
            Credentials::Password { user, password } => {
                let entry = json!({"auth": both(user, password.reveal())});
                Ok(Self { entry, helpers_user: user, secret: password })
            }
            Credentials::IdentityToken { user, token } => {
                let entry = json!({"auth": both(user, ""), "identitytoken": token.reveal()});
                Ok(Self { entry, helpers_user: TOKEN_USER, secret: token })
            }
            Credentials::RegistryToken(_) => {
                Err(Error::new(Kind::Unsupported, "keep a token of a registry: it does not last"))
            }
        }
    }
}

/// Forgets an account's credentials; `false` where there were none.
pub fn erase(path: &Path, account: &Account) -> Result<bool> {
    if !path.exists() {
        return Ok(false);
    }
    let mut found = false;
    change(path, |file| {
        if let Some(helper) = helper_for(file, account)? {
            found = helper.erase()?;
        }
        let own = [account.key(Dialect::Containers), account.key(Dialect::Docker)];
        let entries = entries(file)?;
        for key in own {
            found |= entries.shift_remove(&key).is_some();
        }
        Ok(())
    })?;
    Ok(found)
}

/// Forgets all that a file knows; says of how many.
pub fn erase_all(path: &Path) -> Result<usize> {
    if !path.exists() {
        return Ok(0);
    }
    let mut count = 0;
    change(path, |file| {
        let known: Vec<String> = entries(file)?.keys().cloned().collect();
        for key in known {
            if let Ok(account) = Account::parse(&key)
                && let Some(helper) = helper_for(file, &account)?
            {
                helper.erase()?;
            }
            entries(file)?.shift_remove(&key);
            count += 1;
        }
        Ok(())
    })?;
    Ok(count)
}

/// The helper program that a file wants for an account. Helpers know whole registries only.
fn helper_for(file: &Map<String, Value>, account: &Account) -> Result<Option<Helper>> {
    let file = AuthFile::of(file)?;
    Ok(file.helper(&account.domain))
}

fn entries(file: &mut Map<String, Value>) -> Result<&mut Map<String, Value>> {
    let auths = file.entry("auths").or_insert_with(|| json!({}));
    auths.as_object_mut().ok_or_else(|| Error::new(Kind::Invalid, "its \"auths\" is no object"))
}

/// Reads a file, has it changed, and writes it, with nobody else in between.
fn change(path: &Path, how: impl FnOnce(&mut Map<String, Value>) -> Result<()>) -> Result<()> {
    let path = behind_links(path).doing(|| format!("change {}", path.display()))?;
    let doing = || format!("change {}", path.display());
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let directory = directory.unwrap_or(Path::new("."));
    file::make_directories(directory, DIRECTORY_MODE)?;
    let guard = File::open(directory).doing(doing)?;
    guard.lock().doing(doing)?;
    let mut document = read(&path).doing(doing)?;
    how(&mut document).doing(doing)?;
    let mut bytes = serde_json::to_vec_pretty(&document)
        .map_err(|error| Error::new(Kind::Internal, "write JSON").because(error))?;
    bytes.push(b'\n');
    file::write_atomically(&path, &bytes, FILE_MODE, Durability::Synced)
}

/// A link to a file that is kept elsewhere stays one, and so does each on the way there.
fn behind_links(path: &Path) -> Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..LINKS_LIMIT {
        match std::fs::read_link(&path) {
            Ok(target) => path = path.parent().unwrap_or(Path::new("")).join(target),
            Err(_) => return Ok(path),
        }
    }
    let what = format!("follow more than {LINKS_LIMIT} links to {}", path.display());
    Err(Error::new(Kind::Invalid, what))
}

fn read(path: &Path) -> Result<Map<String, Value>> {
    let bytes = match file::read_limited(path, FILE_LIMIT_BYTES) {
        Err(error) if error.kind() == Kind::NotFound => return Ok(Map::new()),
        read => read?,
    };
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(Map::new());
    }
    match serde_json::from_slice(&bytes) {
        Ok(Value::Object(document)) => Ok(document),
        // serde's own text may quote a value, and a value may be a secret.
        _ => Err(Error::new(Kind::Invalid, "it is not a JSON object")),
    }
}

/// Puts another identity token in the place of the one that a registry takes no longer, in every file
/// and with every helper that has it; `false` where none has.
pub(crate) fn replace_identity(
    keyring: &Keyring,
    domain: &str,
    old: &Secret,
    new: &Secret,
) -> Result<bool> {
    let mut found = false;
    for path in keyring.files() {
        let holds = |file: &Map<String, Value>| -> Result<Holders> {
            let file = AuthFile::of(file)?;
            let asked =
                file.helper(domain).map(|helper| Ok((helper.ask()?, helper))).transpose()?;
            let helper = asked.and_then(|(kept, helper)| is_identity(kept, old).then_some(helper));
            Ok(Holders { keys: file.keys_of_identity(domain, old), helper })
        };
        let document = read(path).doing(|| format!("read {}", path.display()))?;
        if holds(&document)?.is_empty() {
            continue;
        }
        change(path, |file| {
            let Holders { keys, helper } = holds(file)?;
            found |= helper.is_some() || !keys.is_empty();
            if let Some(helper) = helper {
                helper.store(TOKEN_USER, new)?;
            }
            for key in keys {
                entries(file)?[&key]["identitytoken"] = json!(new.reveal());
            }
            Ok(())
        })?;
    }
    for helper in keyring.programs(domain) {
        if is_identity(helper.ask()?, old) {
            helper.store(TOKEN_USER, new)?;
            found = true;
        }
    }
    Ok(found)
}

/// Who has an identity token: entries of a file, and the file's helper.
struct Holders {
    keys: Vec<String>,
    helper: Option<Helper>,
}

impl Holders {
    fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.helper.is_none()
    }
}

fn is_identity(kept: Option<Credentials>, wanted: &Secret) -> bool {
    matches!(kept, Some(Credentials::IdentityToken { token, .. }) if token == *wanted)
}

/// The name and password that a file or its helper has for exactly this account or what is above.
pub fn known(config: &crate::Config, account: &Account) -> Result<Option<Credentials>> {
    let helpers = Registries::load(config)?.credential_helpers;
    let keyring = Keyring::new(config.auth_files.clone()).with_helpers(helpers);
    keyring.find(&account.domain, &account.path)
}

/// A password as users hand it over: one line, its end left out.
pub fn password(text: &str) -> Result<Secret> {
    let line = text.strip_suffix('\n').unwrap_or(text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    if line.is_empty() || line.contains(['\n', '\0']) {
        return Err(Error::new(Kind::Invalid, "read the password: it must be one line"));
    }
    Ok(Secret::new(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials(user: &str, password: &str) -> Credentials {
        Credentials::Password { user: user.into(), password: Secret::new(password) }
    }

    #[test]
    fn accounts_are_registries_or_parts_of_them() {
        let cases = [
            ("quay.io", Some("quay.io")),
            ("quay.io/team/", Some("quay.io/team")),
            ("https://quay.io/v1/", Some("quay.io")),
            ("https://index.docker.io/v1/", Some("docker.io")),
            ("localhost:5000", Some("localhost:5000")),
            ("registry-1.docker.io", Some("docker.io")),
            ("", None),
            ("quay.io/UP", None),
            ("a b", None),
            ("ftp://x", None),
        ];
        for (text, expected) in cases {
            let parsed = Account::parse(text).ok().map(|account| account.to_string());
            assert_eq!(parsed.as_deref(), expected, "{text:?}");
        }
    }

    #[test]
    fn what_is_kept_is_found_and_what_is_forgotten_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("new/auth.json");
        let quay = Account::parse("quay.io").unwrap();
        let team = Account::parse("quay.io/team").unwrap();
        let hub = Account::parse("docker.io").unwrap();
        let find = |domain: &str, repository: &str| {
            Keyring::new(vec![path.clone()]).find(domain, repository).unwrap()
        };

        store(&path, &quay, &credentials("me", "one"), Dialect::Containers).unwrap();
        store(&path, &team, &credentials("us", "two:2"), Dialect::Containers).unwrap();
        store(&path, &hub, &credentials("hub", "three"), Dialect::Docker).unwrap();

        assert_eq!(find("quay.io", "a"), Some(credentials("me", "one")));
        assert_eq!(find("quay.io", "team/x"), Some(credentials("us", "two:2")));
        assert_eq!(find("docker.io", "library/a"), Some(credentials("hub", "three")));
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(DOCKER_HUB_KEY) && !text.contains("two"), "{text}");
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{mode:o}");
        let identity =
            Credentials::IdentityToken { user: "me".into(), token: Secret::new("instead") };
        store(&path, &quay, &identity, Dialect::Containers).unwrap();
        assert_eq!(find("quay.io", "a"), Some(identity));
        let entry = read(&path).unwrap()["auths"]["quay.io"].clone();
        assert_eq!(entry, json!({"auth": BASE64.encode(b"me:"), "identitytoken": "instead"}));
        store(&path, &quay, &credentials("me", "one"), Dialect::Containers).unwrap();
        assert!(erase(&path, &team).unwrap() && !erase(&path, &team).unwrap());
        assert_eq!(find("quay.io", "team/x"), Some(credentials("me", "one")));
        assert!(erase(&path, &hub).unwrap());
        assert_eq!(erase_all(&path).unwrap(), 1);
        assert_eq!(find("quay.io", "a"), None);
        assert!(!erase(&directory.path().join("missing"), &hub).unwrap());
    }

    #[test]
    fn what_is_not_ours_stays_and_a_link_stays_a_link() {
        let directory = tempfile::tempdir().unwrap();
        let (real, link) = (directory.path().join("real.json"), directory.path().join("auth.json"));
        std::fs::write(&real, r#"{"psFormat":"x","auths":{"a.io":{"email":"e"}}}"#).unwrap();
        std::os::unix::fs::symlink("real.json", &link).unwrap();
        let account = Account::parse("b.io").unwrap();

        store(&link, &account, &credentials("u", "p"), Dialect::Docker).unwrap();

        let text: Value = serde_json::from_slice(&std::fs::read(&real).unwrap()).unwrap();
        assert_eq!(
            (&text["psFormat"], &text["auths"]["a.io"]["email"]),
            (&json!("x"), &json!("e"))
        );
        assert_eq!(text["auths"]["b.io"]["auth"], json!(BASE64.encode(b"u:p")));
        assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
    }

    #[test]
    fn a_chain_of_links_stays_one_and_a_ring_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let place = |name: &str| directory.path().join(name);
        std::fs::create_dir(place("away")).unwrap();
        for (target, name) in [("two", "one"), ("away/three", "two"), ("../real", "away/three")] {
            std::os::unix::fs::symlink(target, place(name)).unwrap();
        }
        std::os::unix::fs::symlink("ring", place("ring")).unwrap();
        let account = Account::parse("b.io").unwrap();
        let store = |name| store(&place(name), &account, &credentials("u", "p"), Dialect::Docker);

        store("one").unwrap();
        let ring = store("ring").unwrap_err();

        assert!(std::fs::read_to_string(place("real")).unwrap().contains("b.io"));
        for name in ["one", "two", "away/three"] {
            assert!(std::fs::symlink_metadata(place(name)).unwrap().is_symlink(), "{name}");
        }
        assert_eq!(ring.kind(), Kind::Invalid);
    }

    #[test]
    fn a_file_that_makes_no_sense_is_not_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("auth.json");
        let account = Account::parse("b.io").unwrap();
        for text in ["[]", "{\"auths\": [\"hunter2\"]}", "hunter2"] {
            std::fs::write(&path, text).unwrap();

            let error =
                store(&path, &account, &credentials("u", "p"), Dialect::Docker).unwrap_err();

            assert_eq!(error.kind(), Kind::Invalid, "{text}");
            assert!(!error.one_line().contains("hunter2"), "{}", error.one_line());
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
    }

    #[test]
    fn logins_at_once_all_last() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("auth.json");

        std::thread::scope(|scope| {
            for number in 0..16 {
                let path = &path;
                scope.spawn(move || {
                    let account = Account::parse(&format!("r{number}.io")).unwrap();
                    store(path, &account, &credentials("u", "p"), Dialect::Containers).unwrap();
                });
            }
        });

        assert_eq!(erase_all(&path).unwrap(), 16);
    }

    #[test]
    fn a_password_is_one_line() {
        assert_eq!(password("a b\r\n").unwrap(), Secret::new("a b"));
        assert_eq!(password("x").unwrap(), Secret::new("x"));
        for text in ["", "\n", "a\nb\n", "a\0"] {
            assert!(password(text).is_err(), "{text:?}");
        }
    }
}
