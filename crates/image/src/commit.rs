//! An image of a container: the layers of its image, one more above them, and another configuration.
//!
//! The documents are the base's, changed in what the commit says: what this program does not know in
//! them (health checks, triggers) stays. With a moment that is given, the same container gives the
//! same image each time.

use crate::{
    Dialect, Image, Images,
    create::Written,
    import, names,
    origin::{Found, Opened, Origin},
    place::local,
    plan::parse_manifest,
    progress::Silent,
};
use dhow_base::{Doing, Error, Kind, Result, clock::Moment};
use dhow_spec::image::{Descriptor, ExecutionConfig, Manifest, media_type};
use dhow_state::State;
use serde_json::{Map, Value, json};
use std::{
    collections::BTreeMap,
    io::{self, Read, Write},
    sync::Arc,
};

/// What a commit makes.
#[derive(Clone, Debug)]
pub struct Commit {
    /// Its name; without one it is found by its id.
    pub name: Option<String>,
    /// What the container ran, and how.
    pub config: ExecutionConfig,
    /// Fields that are to be otherwise, in docker's form: before the changes.
    pub fields: Map<String, Value>,
    /// Changes to that, as lines of a Dockerfile.
    pub changes: Vec<String>,
    /// Who made it.
    pub author: Option<String>,
    /// Why.
    pub message: Option<String>,
    /// What the history says of the step.
    pub created_by: String,
    /// When, in seconds; the present where it is not said.
    pub epoch: Option<i64>,
    /// Whose documents it has.
    pub dialect: Dialect,
    /// Which layers.
    pub layers: Layers,
}

/// What becomes of the layers of the image that a container stands on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Layers {
    /// They stay, and the new one lies above them.
    Kept,
    /// The new one holds everything.
    Squashed,
}

impl Images {
    /// Makes an image above `base`; `layer` writes the layer, uncompressed.
    pub fn commit(
        &self,
        state: &mut State,
        base: &Image,
        commit: &Commit,
        layer: &mut dyn FnMut(&mut dyn Write) -> Result<()>,
    ) -> Result<Image> {
        let name = commit.name.as_deref().map(names::given).transpose()?;
        let below = local::open(self, state, base.manifest.as_str())?;
        let manifest = parse_manifest(&below.top, &below.bytes)?;
        let written = self.write_layer(layer)?;
        let config = config(base, commit, &written)?;
        let names = name.iter().map(names::key).collect();
        let found = found(below, &manifest, commit, config, written, names)?;
        let shown = commit.name.as_deref().unwrap_or("without a name");
        self.take(state, shown, &found, &base.config.platform(), &Silent)
    }
}

/// The base's configuration, as it was published, with what is otherwise now.
fn config(base: &Image, commit: &Commit, layer: &Written) -> Result<Vec<u8>> {
    let odd = |error| Error::new(Kind::Corrupt, "read the image's configuration").because(error);
    let mut document: Value = serde_json::from_str(&base.config_json).map_err(odd)?;
    let mut execution = commit.config.clone();
    let mut rest = match document["config"].take() {
        Value::Object(fields) => fields,
        _ => Map::new(),
    };
    put_fields(&mut execution, &mut rest, &commit.fields)?;
    for change in &commit.changes {
        import::apply_all(&mut execution, &mut rest, change)
            .doing(|| format!("--change {change:?}"))?;
    }
    document["config"] = merged(rest, &execution)?;
    let now = match commit.epoch {
        Some(seconds) => Moment::from_unix_nanoseconds(seconds.saturating_mul(1_000_000_000)),
        None => Moment::now(),
    };
    let now = now.rfc3339();
    let mut step = json!({ "created": now, "created_by": commit.created_by });
    for (key, value) in [("author", &commit.author), ("comment", &commit.message)] {
        if let Some(value) = value {
            step[key] = json!(value);
        }
    }
    let diff_id = json!(layer.diff_id.to_string());
    if commit.layers == Layers::Squashed {
        document["rootfs"] = json!({ "type": "layers", "diff_ids": [diff_id] });
        document["history"] = json!([step]);
    } else {
        push(&mut document["rootfs"]["diff_ids"], diff_id);
        push(&mut document["history"], step);
    }
    document["created"] = json!(now);
    if let Some(author) = &commit.author {
        document["author"] = json!(author);
    }
    // What docker tells of the container that an image was made in is of this one no more.
    if let Some(document) = document.as_object_mut() {
        document.retain(|key, _| !matches!(key.as_str(), "container" | "container_config" | "id"));
    }
    to_json(&document)
}

fn push(list: &mut Value, item: Value) {
    match list.as_array_mut() {
        Some(list) => list.push(item),
        None => *list = json!([item]),
    }
}

/// What is known of how to run an image.
const KNOWN: [&str; 9] = [
    "User",
    "ExposedPorts",
    "Env",
    "Entrypoint",
    "Cmd",
    "Volumes",
    "WorkingDir",
    "Labels",
    "StopSignal",
];

/// What else an image may say of it.
const OTHERS: [&str; 5] = ["Healthcheck", "OnBuild", "Shell", "ArgsEscaped", "StopTimeout"];

/// What docker's form also has, of a container and not of an image.
const OF_CONTAINERS: [&str; 13] = [
    "Hostname",
    "Domainname",
    "AttachStdin",
    "AttachStdout",
    "AttachStderr",
    "Tty",
    "OpenStdin",
    "StdinOnce",
    "Image",
    "NetworkDisabled",
    "MacAddress",
    "PortSpecs",
    "VolumeDriver",
];

/// Puts fields that a user has written over the ones that are there: variables by their names, maps by their
/// keys, all else whole; what is empty says nothing.
fn put_fields(
    execution: &mut ExecutionConfig,
    rest: &mut Map<String, Value>,
    fields: &Map<String, Value>,
) -> Result<()> {
    if fields.is_empty() {
        return Ok(());
    }
    let invalid = |key: &str, why: &str| Error::new(Kind::Invalid, format!("field {key}: {why}"));
    let mut known = match serde_json::to_value(&*execution).map_err(internal)? {
        Value::Object(known) => known,
        _ => Map::new(),
    };
    for (key, value) in fields.iter().filter(|(_, value)| !says_nothing(value)) {
        let place = match key.as_str() {
            key if KNOWN.contains(&key) => &mut known,
            key if OTHERS.contains(&key) => &mut *rest,
            key if OF_CONTAINERS.contains(&key) => continue,
            _ => return Err(invalid(key, "an image has no such field")),
        };
        match (place.get_mut(key), value) {
            (Some(Value::Object(there)), Value::Object(said)) => there.extend(said.clone()),
            (Some(Value::Array(there)), Value::Array(said)) if key == "Env" => {
                for entry in said {
                    let name = |entry: &Value| {
                        let text = entry.as_str().unwrap_or_default();
                        text.split('=').next().map(str::to_owned)
                    };
                    there.retain(|other| name(other) != name(entry));
                    there.push(entry.clone());
                }
            }
            _ => drop(place.insert(key.clone(), value.clone())),
        }
    }
    *execution = serde_json::from_value(Value::Object(known))
        .map_err(|error| Error::new(Kind::Invalid, "read the fields").because(error))?;
    Ok(())
}

fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(said) => !said,
        Value::Number(number) => number.as_u64() == Some(0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
    }
}

/// What is known of how to run it replaces what was there; what is not known stays.
fn merged(mut rest: Map<String, Value>, execution: &ExecutionConfig) -> Result<Value> {
    rest.retain(|key, _| !KNOWN.contains(&key.as_str()));
    if let Value::Object(known) = serde_json::to_value(execution).map_err(internal)? {
        rest.extend(known);
    }
    Ok(Value::Object(rest))
}

fn found(
    below: Opened,
    manifest: &Manifest,
    commit: &Commit,
    config: Vec<u8>,
    layer: Written,
    names: Vec<String>,
) -> Result<Found> {
    let (manifest_type, config_type, layer_type) = match commit.dialect {
        Dialect::Oci => (media_type::OCI_MANIFEST, media_type::OCI_CONFIG, media_type::OCI_LAYER),
        Dialect::Docker => {
            (media_type::DOCKER_MANIFEST, media_type::DOCKER_CONFIG, media_type::DOCKER_LAYER)
        }
    };
    let mut layers = match commit.layers {
        Layers::Kept => {
            let typed = |layer: &Descriptor| crate::convert::retyped(layer, commit.dialect);
            manifest.layers.iter().map(typed).collect::<Result<Vec<_>>>()?
        }
        Layers::Squashed => Vec::new(),
    };
    let layer_blob = Descriptor::new(layer_type, layer.diff_id, layer.size);
    layers.push(layer_blob.clone());
    let config_blob = Descriptor::of(config_type, &config);
    let manifest = Manifest {
        schema_version: 2,
        media_type: Some(manifest_type.to_owned()),
        artifact_type: None,
        config: config_blob.clone(),
        layers,
        subject: None,
        annotations: BTreeMap::new(),
    };
    let bytes = to_json(&manifest)?;
    let origin = Committed {
        below: below.origin,
        config: (config_blob, config),
        layer: (layer_blob, Arc::new(layer.file)),
    };
    let top = Descriptor::of(manifest_type, &bytes);
    Ok(Found { manifest: top, bytes, names, origin: Arc::new(origin) })
}

/// The blobs of the image below, and the two that are new.
#[derive(Debug)]
struct Committed {
    below: Arc<dyn Origin>,
    config: (Descriptor, Vec<u8>),
    layer: (Descriptor, Arc<std::fs::File>),
}

impl Origin for Committed {
    fn blob(&self, descriptor: &Descriptor, offset: u64) -> Result<Box<dyn Read + Send>> {
        if descriptor.digest == self.layer.0.digest {
            return Ok(crate::create::from(&self.layer.1, offset));
        }
        if descriptor.digest == self.config.0.digest {
            let start = usize::try_from(offset).unwrap_or(usize::MAX).min(self.config.1.len());
            return Ok(Box::new(io::Cursor::new(self.config.1[start..].to_vec())));
        }
        self.below.blob(descriptor, offset)
    }

    fn is_verified(&self, descriptor: &Descriptor) -> bool {
        self.below.is_verified(descriptor)
    }
}

fn to_json(value: &impl serde::Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(internal)
}

fn internal(error: serde_json::Error) -> Error {
    Error::new(Kind::Internal, "write the image's documents").because(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_of_a_configuration_stays() {
        let rest = json!({"Healthcheck": {"Test": ["NONE"]}, "Cmd": ["old"], "User": "old"});
        let Value::Object(rest) = rest else { unreachable!("it is written above") };
        let execution = ExecutionConfig { cmd: vec!["new".into()], ..ExecutionConfig::default() };

        let merged = merged(rest, &execution).unwrap();

        assert_eq!(merged, json!({"Healthcheck": {"Test": ["NONE"]}, "Cmd": ["new"]}));
    }
}
