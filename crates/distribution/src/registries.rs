//! registries.conf, version 2: which registries a short name stands for, and where a name is
//! really fetched from (containers-registries.conf(5)).
//!
//! ```text
//! "tool"  ── aliases, unqualified-search-registries ──▶ quay.io/tool, docker.io/library/tool
//! docker.io/library/tool ── longest [[registry]] prefix ──▶ mirror 1, mirror 2, location
//! ```
//!
//! The main file is read first, then each directory's `*.conf` in the order of their names. A later
//! file's `[[registry]]` replaces an earlier one of the same prefix as a whole, its search list
//! replaces the earlier list, its aliases add to the earlier ones.
//!
//! This module knows neither HTTP nor credentials. It reads its files once, when it is made.

use crate::{
    aliases::Aliases,
    config::Config,
    reference::{DEFAULT_DOMAIN, Reference, Typed, check_domain},
};
use dhow_base::{Doing, Error, Kind, Result, file};
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

const FILE_LIMIT_BYTES: u64 = 1 << 20;
const FILES_LIMIT: usize = 1000;

/// What the files say, ready to be asked.
#[derive(Clone, Debug, Default)]
pub struct Registries {
    search: Option<Search>,
    mode: Mode,
    /// Who is asked for credentials, in this order; `None` where no file says so.
    pub(crate) credential_helpers: Option<Vec<String>>,
    aliases: BTreeMap<String, String>,
    rules: BTreeMap<String, Rule>,
}

/// Where names without a registry are looked for, and who says so.
#[derive(Clone, Debug)]
struct Search {
    domains: Vec<String>,
    file: PathBuf,
}

/// What is done about a short name that may stand for several images.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Mode {
    /// Somebody is asked; without anybody it is refused.
    Enforcing,
    /// Somebody is asked; without anybody all are tried.
    #[default]
    Permissive,
    /// All are tried.
    Disabled,
}

/// The complete names that a name may stand for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Candidates {
    /// All of them, the first choice first; never none.
    pub references: Vec<Reference>,
    /// Who chooses among them.
    pub choice: Choice,
}

/// Who chooses among several names.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Choice {
    /// Nobody: there is one, or all are to be tried.
    None,
    /// The user, where there is one to be asked; else all are tried.
    Wanted,
    /// The user and nobody else.
    Required,
}

#[derive(Clone, Debug)]
struct Rule {
    location: String,
    insecure: bool,
    blocked: bool,
    mirrors: Vec<Mirror>,
    file: PathBuf,
}

#[derive(Clone, Debug)]
struct Mirror {
    location: String,
    insecure: bool,
    serves: Serves,
}

/// Which names a mirror is asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Serves {
    All,
    Digests,
    Tags,
}

/// One place to fetch a name from.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Endpoint {
    /// Host and perhaps port.
    pub domain: String,
    /// The repository there.
    pub path: String,
    /// May certificates be wrong there, and may it speak plain HTTP?
    pub insecure: bool,
    /// Does it only stand in for the registry that was named?
    pub mirror: bool,
}

impl Endpoint {
    /// Domain and path as one name.
    pub fn name(&self) -> String {
        format!("{}/{}", self.domain, self.path)
    }
}

impl Registries {
    /// Reads the main file and the directories that `config` names; what is missing is empty.
    pub fn load(config: &Config) -> Result<Self> {
        let mut registries = Self::default();
        let mut files = vec![config.registries_conf.clone()];
        for directory in &config.registries_conf_dirs {
            files.extend(conf_files(directory)?);
        }
        for path in files {
            if let Some(text) = read_if_there(&path)? {
                registries.add(&text, &path)?;
            }
        }
        // What the user once chose wins over what the files say for everybody.
        if let Some(path) = &config.short_name_aliases {
            registries.aliases.extend(Aliases::load(path)?.aliases);
        }
        Ok(registries)
    }

    /// Adds one file's text; `path` is for messages.
    pub(crate) fn add(&mut self, text: &str, path: &Path) -> Result<()> {
        let document: Document = toml::from_str(text).map_err(|error| {
            // The error's own text spans lines and quotes the file; one line says enough.
            let what = format!("parse {}: {}", path.display(), error.message());
            Error::new(Kind::Invalid, what)
        })?;
        if document.registries.is_some() {
            return Err(Error::new(
                Kind::Unsupported,
                format!("read {}: it has the old version 1 format", path.display()),
            )
            .hint("write unqualified-search-registries and [[registry]] tables instead"));
        }
        if let Some(search) = document.search {
            for domain in &search {
                check_domain(domain).map_err(|why| said_wrongly(path, why))?;
            }
            self.search = Some(Search { domains: search, file: path.to_owned() });
        }
        match document.short_name_mode.as_deref() {
            None | Some("") => {}
            Some("enforcing") => self.mode = Mode::Enforcing,
            Some("permissive") => self.mode = Mode::Permissive,
            Some("disabled") => self.mode = Mode::Disabled,
            Some(other) => {
                return Err(said_wrongly(path, format!("short-name-mode is {other:?}")));
            }
        }
        if let Some(helpers) = document.credential_helpers {
            self.credential_helpers = Some(helpers);
        }
        self.aliases.extend(document.aliases);
        for table in document.registry {
            let (prefix, rule) = table.rule(path)?;
            self.rules.insert(prefix, rule);
        }
        Ok(())
    }

    /// The complete names that `text` may stand for, the first choice first.
    ///
    /// A name with a domain stands for itself, an alias for one other name. Any other short name
    /// stands for one name in each registry of the search list, or in `docker.io` without a list.
    pub fn candidates(&self, text: &str) -> Result<Candidates> {
        let one = |reference| Candidates { references: vec![reference], choice: Choice::None };
        let typed = Typed::parse(text)?;
        if typed.domain.is_some() {
            return Ok(one(typed.within(DEFAULT_DOMAIN)?));
        }
        if let Some(target) = self.aliases.get(&typed.path).filter(|target| !target.is_empty()) {
            let place = Typed::parse(target)
                .ok()
                .filter(|place| place.is_name_only() && place.domain.is_some())
                .ok_or_else(|| {
                    let what = format!("use the alias {:?} = {target:?}", typed.path);
                    Error::new(Kind::Invalid, what)
                        .hint("an alias in registries.conf is a full name without tag and digest")
                })?;
            return Ok(one(typed.moved_to(&place).within(DEFAULT_DOMAIN)?));
        }
        let Some(search) = &self.search else { return Ok(one(typed.within(DEFAULT_DOMAIN)?)) };
        if search.domains.is_empty() {
            let what = format!(
                "find a registry for {text}: short-name {:?} did not resolve to an alias and no \
                 unqualified-search registries are defined in {:?}",
                typed.path, search.file
            );
            return Err(Error::new(Kind::Invalid, what)
                .hint(format!("write the full name, such as docker.io/library/{}", typed.path)));
        }
        let each = search.domains.iter().map(|domain| typed.clone().within(domain));
        let references = each.collect::<Result<Vec<_>>>()?;
        let choice = match self.mode {
            _ if references.len() == 1 => Choice::None,
            Mode::Disabled => Choice::None,
            Mode::Permissive => Choice::Wanted,
            Mode::Enforcing => Choice::Required,
        };
        Ok(Candidates { references, choice })
    }

    /// The complete names to try for `text`, one after the other, where nobody can be asked.
    pub fn expand(&self, text: &str) -> Result<Vec<Reference>> {
        let Candidates { references, choice } = self.candidates(text)?;
        if choice != Choice::Required {
            return Ok(references);
        }
        let all: Vec<String> = references.iter().map(ToString::to_string).collect();
        let what = format!(
            "choose among {} for {text}: short-name resolution enforced but cannot prompt without a TTY",
            all.join(" and ")
        );
        Err(Error::new(Kind::Invalid, what)
            .hint(format!("write the full name, such as {}", all[0])))
    }

    /// Where to fetch `reference` from, in this order: mirrors first, then its own registry.
    pub fn endpoints(&self, reference: &Reference) -> Result<Vec<Endpoint>> {
        let name = reference.name();
        let Some((prefix, matched, rule)) = self.longest(&name) else {
            return Ok(vec![place(&name, Trust::Checked, Role::Registry)?]);
        };
        if rule.blocked {
            return Err(Error::new(
                Kind::Denied,
                format!(
                    "use {name}: the registry {prefix:?} is blocked in {}",
                    rule.file.display()
                ),
            ));
        }
        let moved = |location: &str| {
            if location.is_empty() {
                name.clone()
            } else {
                format!("{location}{}", &name[matched..])
            }
        };
        let by_digest = reference.digest().is_some();
        let mut endpoints = Vec::new();
        for mirror in &rule.mirrors {
            let serves = match mirror.serves {
                Serves::All => true,
                Serves::Digests => by_digest,
                Serves::Tags => !by_digest,
            };
            if serves {
                let trust = Trust::unless_insecure(mirror.insecure);
                let endpoint = place(&moved(&mirror.location), trust, Role::Mirror);
                endpoints.push(endpoint.map_err(|error| said_wrongly(&rule.file, error))?);
            }
        }
        let trust = Trust::unless_insecure(rule.insecure);
        let own = place(&moved(&rule.location), trust, Role::Registry);
        endpoints.push(own.map_err(|error| said_wrongly(&rule.file, error))?);
        Ok(endpoints)
    }

    /// The rule with the longest prefix of `name`, and how much of the name it covers.
    fn longest(&self, name: &str) -> Option<(&str, usize, &Rule)> {
        self.rules
            .iter()
            .filter_map(|(prefix, rule)| Some((prefix.as_str(), covered(name, prefix)?, rule)))
            .max_by_key(|(prefix, covered, _)| (*covered, !prefix.starts_with("*.")))
    }
}

/// How much of `name` the prefix covers: whole components, or with `*.` any subdomain.
fn covered(name: &str, prefix: &str) -> Option<usize> {
    let end = match prefix.strip_prefix('*') {
        Some(suffix) => {
            let start = name.find(suffix)?;
            if start == 0 || name[..start].contains('/') {
                return None;
            }
            start + suffix.len()
        }
        None => name.starts_with(prefix).then_some(prefix.len())?,
    };
    let whole = matches!(name.as_bytes().get(end), None | Some(b'/' | b':'));
    whole.then_some(end)
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Trust {
    Checked,
    Insecure,
}

impl Trust {
    fn unless_insecure(insecure: bool) -> Self {
        if insecure { Self::Insecure } else { Self::Checked }
    }
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Role {
    Registry,
    Mirror,
}

fn place(name: &str, trust: Trust, role: Role) -> Result<Endpoint> {
    // Parsed again, since a location from a file has been put into it.
    let typed = Typed::parse(name)?;
    if typed.domain.is_none() {
        return Err(Error::new(Kind::Invalid, format!("the location {name:?} names no registry")));
    }
    let reference = typed.within(DEFAULT_DOMAIN)?;
    Ok(Endpoint {
        domain: reference.domain().to_owned(),
        path: reference.path().to_owned(),
        insecure: trust == Trust::Insecure,
        mirror: role == Role::Mirror,
    })
}

fn said_wrongly(path: &Path, why: impl std::fmt::Display) -> Error {
    Error::new(Kind::Invalid, format!("read {}: {why}", path.display()))
}

pub(crate) fn read_if_there(path: &Path) -> Result<Option<String>> {
    let bytes = match file::read_limited(path, FILE_LIMIT_BYTES) {
        Err(error) if error.kind() == Kind::NotFound => return Ok(None),
        read => read?,
    };
    String::from_utf8(bytes)
        .map(Some)
        .map_err(|_| Error::new(Kind::Invalid, format!("read {}: it is not UTF-8", path.display())))
}

fn conf_files(directory: &Path) -> Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(directory) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.doing(|| format!("list {}", directory.display()))?,
    };
    let mut paths = Vec::new();
    for entry in entries.take(FILES_LIMIT) {
        let path = entry.doing(|| format!("list {}", directory.display()))?.path();
        if path.extension().is_some_and(|extension| extension == "conf") {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

#[derive(Deserialize)]
struct Document {
    #[serde(rename = "unqualified-search-registries")]
    search: Option<Vec<String>>,
    #[serde(rename = "short-name-mode")]
    short_name_mode: Option<String>,
    #[serde(rename = "credential-helpers")]
    credential_helpers: Option<Vec<String>>,
    #[serde(default)]
    aliases: BTreeMap<String, String>,
    #[serde(default)]
    registry: Vec<RegistryTable>,
    /// Only version 1 has this table.
    registries: Option<toml::Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct RegistryTable {
    #[serde(default)]
    prefix: String,
    #[serde(default)]
    location: String,
    #[serde(default)]
    insecure: bool,
    #[serde(default)]
    blocked: bool,
    #[serde(default)]
    mirror_by_digest_only: bool,
    #[serde(default)]
    mirror: Vec<MirrorTable>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct MirrorTable {
    location: String,
    #[serde(default)]
    insecure: bool,
    pull_from_mirror: Option<String>,
}

impl RegistryTable {
    fn rule(self, path: &Path) -> Result<(String, Rule)> {
        let location = self.location.trim_end_matches('/').to_owned();
        let prefix = self.prefix.trim_end_matches('/');
        let prefix = if prefix.is_empty() { location.clone() } else { prefix.to_owned() };
        if prefix.is_empty() {
            return Err(said_wrongly(path, "a [[registry]] has neither prefix nor location"));
        }
        // A wildcard without a location leaves the name as it is; so does a plain prefix.
        let location = if location.is_empty() && !prefix.starts_with("*.") {
            prefix.clone()
        } else {
            location
        };
        let digests_only = self.mirror_by_digest_only;
        let mirrors: Result<Vec<Mirror>> =
            self.mirror.into_iter().map(|table| table.mirror(digests_only, path)).collect();
        let rule = Rule {
            location,
            insecure: self.insecure,
            blocked: self.blocked,
            mirrors: mirrors?,
            file: path.to_owned(),
        };
        Ok((prefix, rule))
    }
}

impl MirrorTable {
    fn mirror(self, digests_only: bool, path: &Path) -> Result<Mirror> {
        let serves = match self.pull_from_mirror.as_deref() {
            None | Some("") if digests_only => Serves::Digests,
            None | Some("" | "all") => Serves::All,
            Some("digest-only") => Serves::Digests,
            Some("tag-only") => Serves::Tags,
            Some(other) => {
                return Err(said_wrongly(path, format!("pull-from-mirror is {other:?}")));
            }
        };
        let location = self.location.trim_end_matches('/').to_owned();
        if location.is_empty() {
            return Err(said_wrongly(path, "a mirror has no location"));
        }
        Ok(Mirror { location, insecure: self.insecure, serves })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registries(text: &str) -> Registries {
        let mut registries = Registries::default();
        registries.add(text, Path::new("/etc/r.conf")).unwrap();
        registries
    }

    fn places(registries: &Registries, name: &str) -> Vec<String> {
        let endpoints = registries.endpoints(&Reference::parse(name).unwrap()).unwrap();
        let shown = endpoints.iter().map(|endpoint| {
            let insecure = if endpoint.insecure { "!" } else { "" };
            let mirror = if endpoint.mirror { "~" } else { "" };
            format!("{mirror}{insecure}{}", endpoint.name())
        });
        shown.collect()
    }

    #[test]
    fn short_names_go_through_aliases_and_the_search_list() {
        let none = Registries::default();
        let some = registries(
            r#"unqualified-search-registries = ["quay.io", "docker.io"]
               [aliases]
               "fedora" = "registry.fedoraproject.org/fedora"
               "broken" = "fedora:1""#,
        );
        let expand = |registries: &Registries, text: &str| -> Option<Vec<String>> {
            let names = registries.expand(text).ok()?;
            Some(names.iter().map(ToString::to_string).collect())
        };
        let all = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect());

        assert_eq!(expand(&none, "debian"), all(&["docker.io/library/debian:latest"]));
        assert_eq!(expand(&some, "a:1"), all(&["quay.io/a:1", "docker.io/library/a:1"]));
        assert_eq!(expand(&some, "fedora:44"), all(&["registry.fedoraproject.org/fedora:44"]));
        assert_eq!(expand(&some, "gcr.io/a"), all(&["gcr.io/a:latest"]));
        assert_eq!(expand(&some, "broken"), None);
        assert_eq!(expand(&registries("unqualified-search-registries = []"), "a"), None);
        let strict =
            "short-name-mode = 'enforcing'\nunqualified-search-registries = ['a.io', 'b.io']";
        assert_eq!(expand(&registries(strict), "a"), None);
        let why = registries(strict).expand("a").unwrap_err().to_string();
        assert!(why.contains("enforced but cannot prompt without a TTY"), "{why}");
        let relaxed = strict.replace("enforcing", "disabled");
        assert_eq!(expand(&registries(&relaxed), "a").unwrap().len(), 2);
    }

    #[test]
    fn somebody_chooses_where_the_mode_wants_it_and_there_are_several() {
        let cases = [
            ("", "a", 2, Choice::Wanted),
            ("short-name-mode = 'permissive'\n", "a:1", 2, Choice::Wanted),
            ("short-name-mode = 'enforcing'\n", "a", 2, Choice::Required),
            ("short-name-mode = 'disabled'\n", "a", 2, Choice::None),
            ("short-name-mode = 'enforcing'\n", "known", 1, Choice::None),
            ("short-name-mode = 'enforcing'\n", "c.io/a", 1, Choice::None),
        ];
        for (mode, name, count, choice) in cases {
            let rest = "unqualified-search-registries = ['a.io', 'b.io']\n\
                        aliases = { known = 'b.io/known' }";
            let candidates = registries(&format!("{mode}{rest}")).candidates(name).unwrap();
            assert_eq!(
                (candidates.references.len(), candidates.choice),
                (count, choice),
                "{mode}{name}"
            );
        }
        let one = "short-name-mode = 'enforcing'\nunqualified-search-registries = ['a.io']";
        assert_eq!(registries(one).candidates("a").unwrap().choice, Choice::None);
    }

    #[test]
    fn what_was_chosen_once_wins_over_the_files() {
        let directory = tempfile::tempdir().unwrap();
        let (main, chosen) = (directory.path().join("r.conf"), directory.path().join("a.conf"));
        std::fs::write(&main, "[aliases]\ntool = 'a.io/tool'\nother = 'a.io/other'").unwrap();
        std::fs::write(&chosen, "[aliases]\ntool = 'b.io/tool'").unwrap();
        let config = Config {
            registries_conf: main,
            registries_conf_dirs: Vec::new(),
            short_name_aliases: Some(chosen),
            ..Config::default()
        };

        let known = Registries::load(&config).unwrap();

        assert_eq!(known.expand("tool:1").unwrap()[0].to_string(), "b.io/tool:1");
        assert_eq!(known.expand("other").unwrap()[0].to_string(), "a.io/other:latest");
    }

    #[test]
    fn the_longest_prefix_decides_and_mirrors_go_first() {
        let registries = registries(
            r#"
            [[registry]]
            prefix = "docker.io"
            location = "docker.io"
            [[registry.mirror]]
            location = "mirror.lan:5000/hub"
            insecure = true
            [[registry.mirror]]
            location = "digests.lan"
            pull-from-mirror = "digest-only"
            [[registry]]
            prefix = "docker.io/library/debian"
            location = "debian.lan/images/debian"
            [[registry]]
            location = "plain.lan:5000"
            insecure = true
            [[registry]]
            prefix = "*.example.com"
            location = "cache.lan/example"
            [[registry]]
            prefix = "*.example.org"
            insecure = true
            "#,
        );
        let digest = dhow_base::Digest::of(b"");
        let cases = [
            ("a", vec!["~!mirror.lan:5000/hub/library/a", "docker.io/library/a"]),
            ("debian:13", vec!["debian.lan/images/debian"]),
            ("debian2", vec!["~!mirror.lan:5000/hub/library/debian2", "docker.io/library/debian2"]),
            ("plain.lan:5000/x", vec!["!plain.lan:5000/x"]),
            ("plain.lan/x", vec!["plain.lan/x"]),
            ("a.b.example.com/x/y", vec!["cache.lan/example/x/y"]),
            ("example.com/x", vec!["example.com/x"]),
            ("a.example.org:5000/x", vec!["!a.example.org:5000/x"]),
            ("evil.io/a.example.org/x", vec!["evil.io/a.example.org/x"]),
        ];
        for (name, expected) in cases {
            assert_eq!(places(&registries, name), expected, "{name}");
        }
        let by_digest = places(&registries, &format!("a@{digest}"));
        assert_eq!(by_digest[1..], ["~digests.lan/library/a", "docker.io/library/a"]);
    }

    #[test]
    fn a_location_that_names_no_registry_is_refused() {
        let registries = registries("[[registry]]\nprefix = 'a.io'\nlocation = 'mirror/hub'");

        let error = registries.endpoints(&Reference::parse("a.io/x").unwrap()).unwrap_err();

        assert_eq!(error.kind(), Kind::Invalid);
        assert!(error.to_string().contains("/etc/r.conf"), "{error}");
    }

    #[test]
    fn a_blocked_registry_is_refused_with_the_file_that_says_so() {
        let registries = registries("[[registry]]\nprefix = 'evil.io'\nblocked = true");

        let error = registries.endpoints(&Reference::parse("evil.io/a").unwrap()).unwrap_err();

        assert_eq!(error.kind(), Kind::Denied);
        assert!(error.to_string().contains("/etc/r.conf"), "{error}");
    }

    #[test]
    fn files_add_up_in_the_order_of_their_names() {
        let directory = tempfile::tempdir().unwrap();
        let drop_ins = directory.path().join("registries.conf.d");
        std::fs::create_dir(&drop_ins).unwrap();
        let write = |path: PathBuf, text: &str| std::fs::write(path, text).unwrap();
        let main = directory.path().join("registries.conf");
        write(
            main.clone(),
            "unqualified-search-registries = ['a.io']\n[[registry]]\nlocation='x.io'\ninsecure=true",
        );
        write(drop_ins.join("20.conf"), "unqualified-search-registries = ['c.io']");
        write(
            drop_ins.join("10.conf"),
            "unqualified-search-registries = ['b.io']\n[[registry]]\nlocation='x.io'",
        );
        write(drop_ins.join("30.toml"), "unqualified-search-registries = ['d.io']");
        let config = Config {
            registries_conf: main,
            registries_conf_dirs: vec![drop_ins, directory.path().join("missing")],
            ..Config::default()
        };

        let registries = Registries::load(&config).unwrap();

        assert_eq!(registries.expand("a").unwrap()[0].to_string(), "c.io/a:latest");
        assert_eq!(places(&registries, "x.io/a"), ["x.io/a"]);
    }

    #[test]
    fn files_that_make_no_sense_are_named() {
        let cases = [
            "[[registry]]\ninsecure = true",
            "[registries.search]\nregistries = ['a']",
            "unqualified-search-registries = ['https://a.io']",
            "[[registry]]\nlocation='a.io'\n[[registry.mirror]]\nlocation=''",
            "[[registry]]\nlocation='a.io'\n[[registry.mirror]]\nlocation='b'\npull-from-mirror='x'",
            "[[registry",
            "short-name-mode = 'loud'",
        ];
        for text in cases {
            let error = Registries::default().add(text, Path::new("/etc/r.conf")).expect_err(text);
            assert!(error.to_string().contains("/etc/r.conf"), "{text}: {error}");
        }
    }
}
