//! What was connected with which list and with what result: libcni's `cniCacheV1`, a file each.
//!
//! A file is there before the first plugin is called, without a result, and is gone after the last
//! one has been told to take its part away. So whatever was made can be unmade, even if the list has
//! been changed or removed meanwhile.

use super::{Connection, List, connection::is_name, guard::Guard};
use data_encoding::BASE64;
use dhow_base::{Doing, Error, Kind, Result, file};
use serde_json::{Map, Value};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// What a file may have: a list, a wish and a result.
const FILE_BYTES: u64 = 4 << 20;

const KIND: &str = "cniCacheV1";

/// A connection that was made, or begun.
#[derive(Clone, Debug, PartialEq)]
pub struct Cached {
    /// With which list.
    pub list: List,
    /// Who.
    pub connection: Connection,
    /// With which result, as the last plugin that came to its end printed it; none where none did.
    pub result: Option<Value>,
}

/// The directory of them.
#[derive(Clone, Debug)]
pub(crate) struct Cache {
    results: PathBuf,
    running: PathBuf,
}

impl Cache {
    pub(crate) fn new(directory: &Path) -> Self {
        Self { results: directory.join("results"), running: directory.join("running") }
    }

    fn path(&self, network: &str, container: &str, interface: &str) -> PathBuf {
        self.results.join(format!("{network}-{container}-{interface}"))
    }

    /// Waits until no plugin is at work on a connection any more, and keeps others from it.
    pub(super) fn guard(&self, connection: &Connection, network: &str) -> Result<Guard> {
        let Connection { container, interface, .. } = connection;
        Guard::take(&self.running.join(format!("{network}-{container}-{interface}")))
    }

    pub(crate) fn write(&self, cached: &Cached) -> Result<()> {
        let Connection { container, interface, .. } = &cached.connection;
        let path = self.path(&cached.list.name, container, interface);
        file::make_directories(&self.results, 0o700)?;
        let bytes = cached.to_json().to_string();
        file::replace(&path, bytes.as_bytes(), 0o600)
    }

    /// The one of a container's device; an error where the file makes no sense.
    pub(crate) fn read(
        &self,
        network: &str,
        container: &str,
        interface: &str,
    ) -> Result<Option<Cached>> {
        if !is_name(network) || !is_name(container) || interface.contains('/') {
            return Ok(None);
        }
        Self::read_file(&self.path(network, container, interface))
    }

    fn read_file(path: &Path) -> Result<Option<Cached>> {
        let doing = || format!("read the result of plugins {}", path.display());
        let bytes = match file::read_limited(path, FILE_BYTES) {
            Err(error) if error.kind() == Kind::NotFound => return Ok(None),
            bytes => bytes.doing(doing)?,
        };
        Cached::parse(&bytes).map(Some).doing(doing)
    }

    pub(crate) fn remove(&self, network: &str, container: &str, interface: &str) -> Result<()> {
        file::remove_if_there(&self.path(network, container, interface))
    }

    /// Removes what a writer that was killed has left, unless somebody writes it.
    fn sweep(&self, leftover: &str) -> Result<()> {
        let name = leftover.trim_start_matches('.').trim_end_matches(".new.tmp");
        let _guard = Guard::take(&self.running.join(name))?;
        file::remove_if_there(&self.results.join(leftover))
    }

    /// All of a network's, or of all networks. A file that makes no sense is nobody's.
    pub(crate) fn all(&self, network: Option<&str>) -> Result<Vec<Cached>> {
        let doing = || format!("look for results of plugins in {}", self.results.display());
        let entries = match fs::read_dir(&self.results) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.doing(doing)?,
        };
        let mut found = Vec::new();
        for entry in entries {
            let name = entry.doing(doing)?.file_name().to_string_lossy().into_owned();
            if file::is_leftover(&name) {
                self.sweep(&name).doing(doing)?;
                continue;
            }
            if network.is_some_and(|network| !name.starts_with(&format!("{network}-"))) {
                continue;
            }
            if let Ok(Some(cached)) = Self::read_file(&self.results.join(name))
                && network.is_none_or(|network| cached.list.name == network)
            {
                found.push(cached);
            }
        }
        Ok(found)
    }
}

impl Cached {
    fn to_json(&self) -> Value {
        let connection = &self.connection;
        let config = BASE64.encode(self.list.to_json().to_string().as_bytes());
        let mut document = Map::new();
        let mut put = |key: &str, value: Value| drop(document.insert(key.into(), value));
        put("kind", KIND.into());
        put("containerId", connection.container.clone().into());
        put("config", config.into());
        put("ifName", connection.interface.clone().into());
        put("networkName", self.list.name.clone().into());
        if !connection.namespace.is_empty() {
            put("netns", connection.namespace.clone().into());
        }
        if !connection.arguments.is_empty() {
            let pair = |(key, value): &(String, String)| Value::from(vec![&**key, &**value]);
            put("cniArgs", connection.arguments.iter().map(pair).collect());
        }
        if !connection.capabilities.is_empty() {
            put("capabilityArgs", connection.capabilities.clone().into());
        }
        if let Some(result) = &self.result {
            put("result", result.clone());
        }
        Value::Object(document)
    }

    /// The bytes of a file, which may be libcni's.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self> {
        let refused = |why: &str| Error::new(Kind::Invalid, why);
        let document: Map<String, Value> = serde_json::from_slice(bytes)
            .map_err(|error| refused("parse it as JSON").because(error))?;
        let text =
            |key: &str| document.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        if text("kind") != KIND {
            return Err(refused("it is of another kind"));
        }
        let config = BASE64
            .decode(text("config").as_bytes())
            .map_err(|error| refused("decode the configuration").because(error))?;
        let (list, _) = List::parse(&config)?;
        let pair = |pair: &Value| {
            let text = |at: usize| pair.get(at).and_then(Value::as_str).map(str::to_owned);
            Some((text(0)?, text(1)?))
        };
        let pairs = document.get("cniArgs").and_then(Value::as_array);
        let capabilities = document.get("capabilityArgs").and_then(Value::as_object);
        let connection = Connection {
            container: text("containerId"),
            namespace: text("netns"),
            interface: text("ifName"),
            arguments: pairs.into_iter().flatten().filter_map(pair).collect(),
            capabilities: capabilities.cloned().unwrap_or_default(),
        };
        connection.check()?;
        let result = document.get("result").filter(|result| !result.is_null()).cloned();
        Ok(Self { list, connection, result })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dhow_testkit::mutation::Mutator;
    use serde_json::json;

    fn cached() -> Cached {
        let list = json!({"cniVersion": "1.0.0", "name": "net", "plugins": [{"type": "x"}]});
        Cached {
            list: List::parse(list.to_string().as_bytes()).unwrap().0,
            connection: Connection {
                container: "c1".into(),
                namespace: "/run/n".into(),
                interface: "eth0".into(),
                arguments: vec![("A".into(), "b".into())],
                capabilities: json!({"mac": "02:00:00:00:00:01"}).as_object().unwrap().clone(),
            },
            result: Some(json!({"cniVersion": "1.0.0", "dns": {}})),
        }
    }

    #[test]
    fn what_is_written_is_read_again_and_of_its_network_only() {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::new(directory.path());
        assert_eq!(cache.all(None).unwrap(), []);

        let one = cached();
        cache.write(&one).unwrap();
        let mut other = cached();
        other.list.name = "net-2".into();
        cache.write(&other).unwrap();

        assert_eq!(cache.read("net", "c1", "eth0").unwrap(), Some(one.clone()));
        assert_eq!(cache.read("net", "c2", "eth0").unwrap(), None);
        assert_eq!(cache.read("..", "/etc", "passwd").unwrap(), None);
        assert_eq!(cache.all(Some("net")).unwrap(), [one]);
        assert_eq!(cache.all(None).unwrap().len(), 2);
        cache.remove("net", "c1", "eth0").unwrap();
        cache.remove("net", "c1", "eth0").unwrap();
        assert_eq!(cache.all(Some("net")).unwrap(), []);
    }

    #[test]
    fn a_damaged_file_is_refused_or_makes_sense() {
        let document = cached().to_json();
        let mut mutator = Mutator::new(5);
        for _ in 0..2000 {
            if let Ok(read) = Cached::parse(&mutator.damage(&document)) {
                assert!(read.connection.check().is_ok());
            }
        }
    }
}
