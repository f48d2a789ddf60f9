//! What is told of an image: docker's and podman's `inspect` documents, and its history.

use crate::Image;
use dhow_base::Result;
use dhow_distribution::Reference;
use dhow_state::{State, snapshots};
use serde_json::{Map, Value, json};

/// The names of an image as podman tells them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CompleteNames {
    /// Those with a tag, with their registry.
    pub tagged: Vec<String>,
    /// One for each repository, by the digest.
    pub digested: Vec<String>,
}

impl CompleteNames {
    /// Of an image that has these names and this manifest.
    pub fn of(names: &[String], manifest: &dhow_base::Digest) -> Self {
        let parsed = || names.iter().filter_map(|name| Reference::parse(name).ok());
        let tagged = parsed().filter(|name| name.tag().is_some()).map(|name| name.to_string());
        let by_digest = parsed().filter(|name| name.tag().is_none()).map(|name| name.to_string());
        let mut digested: Vec<String> = by_digest.collect();
        for name in parsed().map(|name| format!("{}@{manifest}", name.name())) {
            if !digested.contains(&name) {
                digested.push(name);
            }
        }
        Self { tagged: tagged.collect(), digested }
    }
}

/// One step of an image's making, the newest first.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HistoryEntry {
    /// The image's id at the last step; nobody knows those of the others.
    pub id: Option<dhow_base::Digest>,
    /// When, as the image says it.
    pub created: Option<String>,
    /// By which command.
    pub created_by: String,
    /// The bytes of the layer that it made; 0 where it made none or that is not known.
    pub size: u64,
    /// Why.
    pub comment: String,
}

impl Image {
    /// The names with a tag, in the short form in which docker shows them.
    pub fn tags(&self) -> Vec<String> {
        self.shown(false)
    }

    /// The names with a digest, in the short form.
    pub fn digests(&self) -> Vec<String> {
        self.shown(true)
    }

    fn shown(&self, digests: bool) -> Vec<String> {
        let names = self.names.iter().filter(|name| name.contains('@') == digests);
        names
            .map(|name| Reference::parse(name).map_or_else(|_| name.clone(), |own| own.familiar()))
            .collect()
    }

    /// The document of docker's `inspect`. The image's own configuration is given as published.
    pub fn inspect(&self) -> Value {
        let raw: Value = serde_json::from_str(&self.config_json).unwrap_or(Value::Null);
        let text = |name: &str| raw.get(name).and_then(Value::as_str).unwrap_or_default();
        let mut document = Map::new();
        let mut put = |name: &str, value: Value| drop(document.insert(name.to_owned(), value));
        put("Id", json!(self.id.as_str()));
        put("Digest", json!(self.manifest.as_str()));
        put("RepoTags", json!(self.tags()));
        put("RepoDigests", json!(self.digests()));
        put("Parent", json!(""));
        put("Comment", json!(self.comment()));
        put("Created", json!(self.config.created));
        put("DockerVersion", json!(text("docker_version")));
        put("Author", json!(self.config.author.as_deref().unwrap_or_default()));
        put("Config", raw.get("config").cloned().unwrap_or(Value::Null));
        put("Architecture", json!(self.config.architecture));
        if let Some(variant) = &self.config.variant {
            put("Variant", json!(variant));
        }
        put("Os", json!(self.config.os));
        put("Size", json!(self.size));
        put("VirtualSize", json!(self.size));
        put("GraphDriver", json!({ "Name": self.snapshots.driver().word(), "Data": null }));
        put("RootFS", json!({ "Type": "layers", "Layers": self.layers() }));
        put("Metadata", json!({ "LastTagTime": self.pulled.rfc3339() }));
        put("ManifestType", json!(self.media_type));
        Value::Object(document)
    }

    /// The document of podman's `inspect`: the id is bare, names are complete, each repository has a name by
    /// the digest, and what is often asked of the configuration stands beside it.
    pub fn inspect_as_podman(&self) -> Value {
        let mut document = self.inspect();
        let raw: Value = serde_json::from_str(&self.config_json).unwrap_or(Value::Null);
        let raw = |path: &str, otherwise: Value| raw.pointer(path).cloned().unwrap_or(otherwise);
        let names = CompleteNames::of(&self.names, &self.manifest);
        if let Value::Object(fields) = &mut document {
            for dockers in ["DockerVersion", "Metadata"] {
                drop(fields.shift_remove(dockers));
            }
            for (name, value) in [
                ("Id", json!(self.id.hex())),
                ("RepoTags", json!(names.tagged)),
                ("RepoDigests", json!(names.digested)),
                ("Version", raw("/docker_version", json!(""))),
                ("User", raw("/config/User", json!(""))),
                ("Labels", raw("/config/Labels", Value::Null)),
                ("History", raw("/history", json!([]))),
                ("NamesHistory", json!(names.tagged)),
            ] {
                drop(fields.insert(name.to_owned(), value));
            }
        }
        document
    }

    fn layers(&self) -> Vec<&str> {
        self.config.rootfs.diff_ids.iter().map(dhow_base::Digest::as_str).collect()
    }

    fn comment(&self) -> &str {
        self.config.history.last().and_then(|step| step.comment.as_deref()).unwrap_or_default()
    }

    /// How the image came to be, the newest step first.
    pub fn history(&self, state: &State) -> Result<Vec<HistoryEntry>> {
        let mut sizes = self.layer_sizes(state)?.into_iter();
        let mut entries: Vec<HistoryEntry> = Vec::with_capacity(self.config.history.len());
        for step in &self.config.history {
            let size = if step.empty_layer { 0 } else { sizes.next().unwrap_or(0) };
            entries.push(HistoryEntry {
                id: None,
                created: step.created.clone(),
                created_by: step.created_by.clone().unwrap_or_default(),
                size,
                comment: step.comment.clone().unwrap_or_default(),
            });
        }
        entries.reverse();
        if let Some(newest) = entries.first_mut() {
            newest.id = Some(self.id.clone());
        }
        Ok(entries)
    }

    /// The uncompressed size of each layer, the lowest first. Layers that were merged into one
    /// snapshot have lost theirs.
    pub(crate) fn layer_sizes(&self, state: &State) -> Result<Vec<u64>> {
        let mut rows = Vec::with_capacity(self.chain.len());
        for number in &self.chain {
            rows.extend(snapshots::find(state.read(), number.0)?);
        }
        let layers = &self.config.rootfs.diff_ids;
        if rows.iter().any(|row| row.key.starts_with("tree:")) {
            return Ok(vec![0; layers.len()]);
        }
        // A layer that comes twice has one snapshot, and the chain has it at its upper place.
        let mut uppermost: Vec<&dhow_base::Digest> = Vec::new();
        for layer in layers.iter().rev() {
            if !uppermost.contains(&layer) {
                uppermost.push(layer);
            }
        }
        let size = |layer: &dhow_base::Digest| {
            let place = uppermost.iter().position(|other| *other == layer);
            place.and_then(|place| rows.get(place)).map_or(0, |row| row.size)
        };
        Ok(layers.iter().map(size).collect())
    }
}
