//! Configuration lists: networks that an administrator, or another program, has written down.
//!
//! A list is a name and plugins, which are called in order. It is a file `*.conflist`; a file
//! `*.conf` or `*.json` may be a list too, or one plugin by itself, as it was before 0.3.0. The files
//! of a directory are read in the order of their names, and the first of two lists of one name is
//! the one that counts. A file that cannot be understood takes nothing from the others.

use super::{
    Version,
    connection::{is_device_name, is_name},
};
use dhow_base::{Doing, Error, Kind, Result, file};
use serde_json::{Map, Value};
use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
};

/// No file of an administrator's is longer. What plugins are given must fit into a pipe.
const FILE_BYTES: u64 = 256 << 10;

/// More plugins than a chain can sensibly have.
const MOST_PLUGINS: usize = 64;

/// A network that plugins make.
#[derive(Clone, Debug, PartialEq)]
pub struct List {
    /// Its name.
    pub name: String,
    /// In which version plugins are spoken to; the newest one that all of them speak where there
    /// are several.
    pub versions: Vec<Version>,
    /// CHECK is not to be asked for.
    pub disables_check: bool,
    /// GC is not to be asked for.
    pub disables_collection: bool,
    /// In this order.
    pub plugins: Vec<PluginConfiguration>,
    /// The file that it was read from; none where it comes from what was remembered.
    pub file: Option<PathBuf>,
}

/// One plugin of a list, with all that its author wrote.
#[derive(Clone, Debug, PartialEq)]
pub struct PluginConfiguration {
    /// The name of the program.
    pub program: String,
    /// What it is given, as it was written.
    pub document: Map<String, Value>,
}

/// The lists of a few directories.
#[derive(Debug, Default)]
pub struct Lists {
    /// Those that make sense, in the order of their files.
    pub lists: Vec<List>,
    /// Files that do not, and why.
    pub broken: Vec<(PathBuf, Error)>,
}

impl Lists {
    /// Reads the directories; one that is missing has no list.
    pub fn load<P: AsRef<Path>>(directories: &[P]) -> Result<Self> {
        let mut found = Self::default();
        for directory in directories {
            for path in files(directory.as_ref(), &["conf", "conflist", "json"])? {
                match List::read(&path) {
                    Ok(Some(list)) if found.find(&list.name).is_none() => found.lists.push(list),
                    Ok(Some(list)) => {
                        let text = format!("there is a network of the name {:?} before", list.name);
                        found.broken.push((path, Error::new(Kind::AlreadyExists, text)));
                    }
                    Ok(None) => {}
                    Err(error) => found.broken.push((path, error)),
                }
            }
        }
        Ok(found)
    }

    /// The list of this name.
    pub fn find(&self, name: &str) -> Option<&List> {
        self.lists.iter().find(|list| list.name == name)
    }
}

impl List {
    /// Reads a file; `None` where it is a list of no plugins, which some programs leave there until
    /// they know better.
    pub fn read(path: &Path) -> Result<Option<Self>> {
        let doing = || format!("read the network configuration {}", path.display());
        let bytes = file::read_limited(path, FILE_BYTES).doing(doing)?;
        let (mut list, reads_folder) = Self::parse(&bytes).doing(doing)?;
        if reads_folder {
            let folder = path.with_file_name(&list.name);
            for path in files(&folder, &["conf"])? {
                let doing = || format!("read the plugin configuration {}", path.display());
                let bytes = file::read_limited(&path, FILE_BYTES).doing(doing)?;
                let document = serde_json::from_slice(&bytes).map_err(invalid).doing(doing)?;
                list.plugins.push(PluginConfiguration::parse(document).doing(doing)?);
            }
        }
        list.file = Some(path.to_owned());
        Ok((!list.plugins.is_empty()).then_some(list))
    }

    /// A document as a list, and whether plugins in a folder of its name belong to it.
    pub fn parse(bytes: &[u8]) -> Result<(Self, bool)> {
        let document: Map<String, Value> = serde_json::from_slice(bytes).map_err(invalid)?;
        let name = match document.get("name") {
            Some(Value::String(name)) if is_name(name) => name.clone(),
            Some(Value::String(name)) => {
                return Err(Error::new(Kind::Invalid, format!("use {name:?} as a network's name")));
            }
            _ => return Err(Error::new(Kind::Invalid, "the network has no name")),
        };
        let is_list = document.contains_key("plugins") || !document.contains_key("type");
        let mut list = Self {
            name,
            versions: versions(&document)?,
            disables_check: switch(&document, "disableCheck")?,
            disables_collection: switch(&document, "disableGC")?,
            plugins: Vec::new(),
            file: None,
        };
        let reads_folder = is_list && !switch(&document, "loadOnlyInlinedPlugins")?;
        if is_list {
            list.plugins = plugins(document.get("plugins"))?;
        } else {
            list.plugins.push(PluginConfiguration::parse(document)?);
        }
        Ok((list, reads_folder))
    }

    /// All of it in one document, which [`parse`](Self::parse) understands.
    pub fn to_json(&self) -> Value {
        let mut document = Map::new();
        document.insert("cniVersion".into(), self.newest().name().into());
        if self.versions.len() > 1 {
            let names = self.versions.iter().map(|version| version.name().into()).collect();
            document.insert("cniVersions".into(), Value::Array(names));
        }
        document.insert("name".into(), self.name.clone().into());
        for (key, value) in
            [("disableCheck", self.disables_check), ("disableGC", self.disables_collection)]
        {
            if value {
                document.insert(key.into(), true.into());
            }
        }
        document.insert("loadOnlyInlinedPlugins".into(), true.into());
        let plugins = self.plugins.iter().map(|plugin| Value::Object(plugin.document.clone()));
        document.insert("plugins".into(), plugins.collect());
        Value::Object(document)
    }

    /// Whether one of its plugins is to be told of this capability.
    pub fn has_capability(&self, name: &str) -> bool {
        self.plugins.iter().any(|plugin| plugin.has_capability(name))
    }

    /// The newest version that the list names.
    pub fn newest(&self) -> Version {
        self.versions.iter().copied().max().unwrap_or(Version::UNNAMED)
    }
}

impl PluginConfiguration {
    fn parse(document: Map<String, Value>) -> Result<Self> {
        let refused = |why: String| Err(Error::new(Kind::Invalid, why));
        match document.get("type") {
            // It is looked up in directories, and must not lead out of them.
            Some(Value::String(name))
                if !name.is_empty() && !name.contains(['/', '\0']) && name != ".." =>
            {
                Ok(Self { program: name.clone(), document })
            }
            Some(other) => refused(format!("use {other} as the type of a plugin")),
            None => refused("a plugin has no type".to_owned()),
        }
    }

    /// Whether the author wants that the plugin is told of this capability.
    pub(crate) fn has_capability(&self, name: &str) -> bool {
        self.document.get("capabilities").and_then(|all| all.get(name)) == Some(&Value::Bool(true))
    }

    /// The device on the host that it is about, where it says so and the name makes sense.
    pub fn bridge(&self) -> Option<&str> {
        let name = self.document.get("bridge").and_then(Value::as_str)?;
        is_device_name(name).then_some(name)
    }
}

fn plugins(value: Option<&Value>) -> Result<Vec<PluginConfiguration>> {
    match value {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(all)) if all.len() <= MOST_PLUGINS => {
            let one = |plugin: &Value| match plugin {
                Value::Object(document) => PluginConfiguration::parse(document.clone()),
                other => Err(Error::new(Kind::Invalid, format!("use {other} as a plugin"))),
            };
            all.iter().map(one).collect()
        }
        Some(_) => {
            let text = format!("the plugins are not a list of at most {MOST_PLUGINS}");
            Err(Error::new(Kind::Invalid, text))
        }
    }
}

/// The versions that we speak of those that are named, the newest first.
fn versions(document: &Map<String, Value>) -> Result<Vec<Version>> {
    let unknown = |text: String| {
        let newest = Version::NEWEST;
        Error::new(Kind::Unsupported, format!("use version {text:?} of the interface"))
            .hint(format!("versions up to {newest} are known"))
    };
    let listed = match document.get("cniVersions") {
        None | Some(Value::Null) => &[][..],
        Some(Value::Array(all)) => all,
        Some(other) => return Err(unknown(other.to_string())),
    };
    let mut known: Vec<Version> =
        listed.iter().filter_map(Value::as_str).filter_map(Version::of).collect();
    match Version::named_in(&Value::Object(document.clone()), Version::UNNAMED) {
        // The default is none of the author's where they named others.
        Ok(_) if document.get("cniVersion").is_none() && !known.is_empty() => {}
        Ok(version) => known.push(version),
        Err(_) if !known.is_empty() => {}
        Err(text) => return Err(unknown(text)),
    }
    known.sort_unstable_by(|one, other| other.cmp(one));
    known.dedup();
    Ok(known)
}

/// A yes or no; some programs write it as text.
fn switch(document: &Map<String, Value>, key: &str) -> Result<bool> {
    match document.get(key) {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(value)) => Ok(*value),
        Some(Value::String(text)) if text.eq_ignore_ascii_case("true") => Ok(true),
        Some(Value::String(text)) if text.eq_ignore_ascii_case("false") => Ok(false),
        Some(other) => Err(Error::new(Kind::Invalid, format!("use {other} as {key}"))),
    }
}

fn invalid(error: serde_json::Error) -> Error {
    Error::new(Kind::Invalid, "parse it as JSON").because(error)
}

/// The files of a directory with one of these endings, in the order of their names.
fn files(directory: &Path, endings: &[&str]) -> Result<Vec<PathBuf>> {
    let doing = || format!("look for network configurations in {}", directory.display());
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error)
            if matches!(
                error.kind(),
                std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory
            ) =>
        {
            return Ok(Vec::new());
        }
        Err(error) => return Err(error).doing(doing),
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.doing(doing)?.path();
        let ending = path.extension().and_then(OsStr::to_str).unwrap_or_default();
        if endings.contains(&ending) && path.is_file() {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;
    use dhow_testkit::mutation::Mutator;
    use serde_json::json;

    fn parse(document: &Value) -> Result<(List, bool)> {
        List::parse(document.to_string().as_bytes())
    }

    #[test]
    fn the_files_of_a_directory_are_lists_in_the_order_of_their_names() {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(directory.path().join(name), text).unwrap();
        write("20-b.conf", r#"{"cniVersion":"0.4.0","name":"b","type":"ptp","x":1}"#);
        write(
            "10-a.conflist",
            r#"{"cniVersion":"1.0.0","name":"a","plugins":[{"type":"bridge"}]}"#,
        );
        write("30-a.conflist", r#"{"cniVersion":"1.0.0","name":"a","plugins":[{"type":"ptp"}]}"#);
        write("40-c.json", r#"{"cniVersion":"1.0.0","name":"c","plugins":[]}"#);
        write("50-d.conflist", "{");
        write("60-e.txt", "not looked at");
        fs::create_dir(directory.path().join("70-f.conf")).unwrap();

        let missing = directory.path().join("missing");
        let found = Lists::load(&[directory.path(), &missing]).unwrap();

        let names: Vec<&str> = found.lists.iter().map(|list| list.name.as_str()).collect();
        assert_eq!(names, ["a", "b"]);
        assert_eq!(found.lists[0].plugins[0].program, "bridge");
        assert_eq!(found.lists[1].plugins[0].document["x"], 1);
        assert_eq!(found.lists[1].versions, [Version::V0_4_0]);
        let broken: Vec<_> = found.broken.iter().map(|(path, _)| path.file_name()).collect();
        assert_eq!(broken, [Some(OsStr::new("30-a.conflist")), Some(OsStr::new("50-d.conflist"))]);
    }

    #[test]
    fn plugins_in_a_folder_of_the_lists_name_belong_to_it_unless_it_says_no() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.conflist");
        fs::create_dir(directory.path().join("net")).unwrap();
        fs::write(directory.path().join("net/20.conf"), r#"{"type":"tuning"}"#).unwrap();
        fs::write(directory.path().join("net/10.conf"), r#"{"type":"portmap"}"#).unwrap();
        fs::write(directory.path().join("net/30.json"), "not looked at").unwrap();
        let programs = |document: &Value| {
            fs::write(&path, document.to_string()).unwrap();
            let list = List::read(&path).unwrap();
            list.map(|list| list.plugins.into_iter().map(|plugin| plugin.program).collect())
        };
        let base = json!({"cniVersion": "1.1.0", "name": "net", "plugins": [{"type": "bridge"}]});
        let mut only = base.clone();
        only["loadOnlyInlinedPlugins"] = "true".into();
        let mut none = base.clone();
        none.as_object_mut().unwrap().remove("plugins");

        let all: Vec<String> = programs(&base).unwrap();
        assert_eq!(all, ["bridge", "portmap", "tuning"]);
        assert_eq!(programs(&only).unwrap() as Vec<String>, ["bridge"]);
        assert_eq!(programs(&none).unwrap() as Vec<String>, ["portmap", "tuning"]);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let plugin = json!([{"type": "bridge"}]);
        for (document, is_good) in [
            (json!({"name": "a", "plugins": plugin}), true),
            (json!({"name": "a", "plugins": plugin, "disableCheck": "True"}), true),
            (json!({"name": "a", "plugins": plugin, "disableCheck": 1}), false),
            (json!({"plugins": plugin}), false),
            (json!({"name": "../a", "plugins": plugin}), false),
            (json!({"name": "a", "plugins": [{"type": "../bridge"}]}), false),
            (json!({"name": "a", "plugins": [{"type": ".."}]}), false),
            (json!({"name": "a", "plugins": [{}]}), false),
            (json!({"name": "a", "plugins": ["bridge"]}), false),
            (json!({"name": "a", "plugins": {}}), false),
            (json!({"name": "a", "plugins": vec![json!({"type": "x"}); 65]}), false),
            (json!({"name": "a", "plugins": plugin, "cniVersion": "2.0.0"}), false),
            (json!([]), false),
        ] {
            assert_eq!(parse(&document).is_ok(), is_good, "{document}");
        }
    }

    #[test]
    fn versions_are_those_that_are_named_and_known() {
        for (more, expected) in [
            (json!({}), vec![Version::V0_1_0]),
            (json!({"cniVersion": "1.0.0"}), vec![Version::V1_0_0]),
            (
                json!({"cniVersions": ["0.4.0", "1.1.0", "7.0.0"]}),
                vec![Version::V1_1_0, Version::V0_4_0],
            ),
            (
                json!({"cniVersion": "1.0.0", "cniVersions": ["1.1.0", "1.0.0"]}),
                vec![Version::V1_1_0, Version::V1_0_0],
            ),
            (json!({"cniVersion": "7.0.0", "cniVersions": ["1.1.0"]}), vec![Version::V1_1_0]),
        ] {
            let mut document = json!({"name": "a", "plugins": [{"type": "x"}]});
            document.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            assert_eq!(parse(&document).unwrap().0.versions, expected, "{document}");
        }
    }

    #[test]
    fn a_damaged_list_is_refused_or_can_be_written_again() {
        let document = json!({
            "cniVersion": "1.1.0", "cniVersions": ["1.0.0", "1.1.0"], "name": "net",
            "disableCheck": true, "disableGC": "false",
            "plugins": [
                {"type": "bridge", "bridge": "cni0", "capabilities": {"mac": true},
                 "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.1.0.0/16"}]]}},
                {"type": "portmap", "capabilities": {"portMappings": true}},
            ],
        });
        let mut mutator = Mutator::new(11);
        let good = (0..4000).filter(|_| crate::fuzz::cni_list(&mutator.damage(&document))).count();
        assert!(good > 200, "{good}");
    }
}
