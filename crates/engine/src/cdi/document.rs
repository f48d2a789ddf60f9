//! A document about devices, as its vendor wrote it: parsed, and checked for what no reader of it
//! could use.

use dhow_base::{Error, Kind, Result};
use serde::Deserialize;
use std::{collections::BTreeMap, path::PathBuf};

/// Versions of the format. A later one may say what we would pass over.
const VERSIONS: [&str; 9] =
    ["0.1.0", "0.2.0", "0.3.0", "0.4.0", "0.5.0", "0.6.0", "0.7.0", "0.8.0", "1.0.0"];
const NEWEST: &str = "1.1.0";

/// A whole document.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Document {
    cdi_version: String,
    /// `vendor.com/class`.
    pub(super) kind: String,
    /// The devices.
    pub(super) devices: Vec<Device>,
    /// What each of them needs.
    pub(super) container_edits: Edits,
}

/// A device.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Device {
    /// Its name.
    pub(super) name: String,
    /// What it needs.
    pub(super) container_edits: Edits,
}

/// What a container is given.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Edits {
    pub(super) env: Vec<String>,
    pub(super) device_nodes: Vec<Node>,
    pub(super) net_devices: Vec<NetDevice>,
    pub(super) mounts: Vec<Mount>,
    pub(super) hooks: Vec<Hook>,
    pub(super) additional_gids: Vec<u32>,
    pub(super) intel_rdt: Option<IntelRdt>,
}

/// A device node.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Node {
    pub(super) path: PathBuf,
    pub(super) host_path: PathBuf,
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) major: Option<i64>,
    pub(super) minor: Option<i64>,
    pub(super) file_mode: Option<u32>,
    pub(super) permissions: String,
    pub(super) uid: Option<u32>,
    pub(super) gid: Option<u32>,
}

/// A network device that moves in.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct NetDevice {
    pub(super) host_interface_name: String,
    pub(super) name: String,
}

/// A mount.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Mount {
    pub(super) host_path: PathBuf,
    pub(super) container_path: PathBuf,
    pub(super) options: Vec<String>,
    #[serde(rename = "type")]
    pub(super) kind: String,
}

/// A program that runs at a point of the container's life.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Hook {
    pub(super) hook_name: String,
    pub(super) path: PathBuf,
    pub(super) args: Vec<String>,
    pub(super) env: Vec<String>,
    pub(super) timeout: Option<i64>,
}

/// Shares of caches and memory bandwidth.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct IntelRdt {
    #[serde(rename = "closID")]
    pub(super) clos_id: Option<String>,
    pub(super) l3_cache_schema: Option<String>,
    pub(super) mem_bw_schema: Option<String>,
    pub(super) schemata: Vec<String>,
    pub(super) enable_monitoring: bool,
}

impl Document {
    /// Parses JSON or YAML, of which JSON is a part.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self> {
        let invalid = |text: String| Error::new(Kind::Invalid, text);
        let text = std::str::from_utf8(bytes).map_err(|_| invalid("it is not text".to_owned()))?;
        let document: Self = match text.trim_start().starts_with('{') {
            true => serde_json::from_str(text).map_err(|error| invalid(error.to_string()))?,
            false => serde_saphyr::from_str(text).map_err(|error| invalid(error.to_string()))?,
        };
        document.check().map_err(invalid)?;
        Ok(document)
    }

    /// The device of this name.
    pub(super) fn device(&self, name: &str) -> Option<&Device> {
        self.devices.iter().find(|device| device.name == name)
    }

    fn check(&self) -> Result<(), String> {
        let version = self.cdi_version.as_str();
        if !VERSIONS.contains(&version) && version != NEWEST {
            return Err(format!("cdiVersion {version:?} is none that is known"));
        }
        if !is_kind(&self.kind) {
            return Err(format!("kind {:?} is not vendor/class", self.kind));
        }
        if self.devices.is_empty() {
            return Err("there are no devices in it".to_owned());
        }
        let mut names = BTreeMap::new();
        for device in &self.devices {
            if !is_device(&device.name) {
                return Err(format!("{:?} is no name of a device", device.name));
            }
            if names.insert(&device.name, ()).is_some() {
                return Err(format!("device {:?} is named twice", device.name));
            }
            device
                .container_edits
                .check()
                .map_err(|why| format!("device {}: {why}", device.name))?;
        }
        self.container_edits.check()
    }
}

impl Edits {
    fn check(&self) -> Result<(), String> {
        if let Some(entry) = self.env.iter().find(|entry| entry.find('=').is_none_or(|at| at == 0))
        {
            return Err(format!("the variable {entry:?} is not NAME=value"));
        }
        for node in &self.device_nodes {
            if !node.path.is_absolute() {
                return Err(format!("the device node {} is not absolute", node.path.display()));
            }
            if !matches!(node.kind.as_str(), "" | "b" | "c" | "u" | "p") {
                return Err(format!("there is no kind {:?} of device nodes", node.kind));
            }
            if !node.permissions.chars().all(|letter| "rwm".contains(letter)) {
                return Err(format!("the access {:?} is not some of rwm", node.permissions));
            }
        }
        for mount in &self.mounts {
            if mount.host_path.as_os_str().is_empty() || !mount.container_path.is_absolute() {
                return Err(format!(
                    "the mount {} has no source or its target is not absolute",
                    mount.container_path.display()
                ));
            }
        }
        for hook in &self.hooks {
            if !HOOKS.contains(&hook.hook_name.as_str()) {
                return Err(format!("there are no hooks {:?}", hook.hook_name));
            }
            if !hook.path.is_absolute() {
                return Err(format!("the hook {} is not absolute", hook.path.display()));
            }
        }
        match self.net_devices.iter().find(|device| device.host_interface_name.is_empty()) {
            Some(device) => Err(format!("network device {:?} has no name outside", device.name)),
            None => Ok(()),
        }
    }
}

/// The points of a container's life.
const HOOKS: [&str; 6] =
    ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];

/// `vendor/class`: letters, digits and `_-`, in the vendor's also dots; a letter or digit at the
/// ends.
pub(crate) fn is_kind(text: &str) -> bool {
    text.split_once('/')
        .is_some_and(|(vendor, class)| is_word(vendor, "_-.", true) && is_word(class, "_-", true))
}

/// As a class, with dots and colons, and it may begin with a digit.
pub(crate) fn is_device(text: &str) -> bool {
    is_word(text, "_-.:", false)
}

fn is_word(text: &str, between: &str, letter_first: bool) -> bool {
    let ends = |letter: char| letter.is_ascii_alphanumeric();
    let first = text.chars().next();
    first.is_some_and(|first| if letter_first { first.is_ascii_alphabetic() } else { ends(first) })
        && text.ends_with(ends)
        && text.chars().all(|letter| ends(letter) || between.contains(letter))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_that_nobody_could_use_is_refused_with_the_reason() {
        let with = |rest: &str| {
            format!(r#"{{"cdiVersion":"1.0.0","kind":"a.com/b","devices":[{{"name":"x"{rest}}}]}}"#)
        };
        let edits = |edits: &str| with(&format!(r#","containerEdits":{{{edits}}}"#));
        let cases = [
            (r#"{"kind":"a/b"}"#.to_owned(), "cdiVersion"),
            (r#"{"cdiVersion":"9.0.0","kind":"a/b"}"#.to_owned(), "9.0.0"),
            (r#"{"cdiVersion":"1.0.0","kind":"a"}"#.to_owned(), "vendor/class"),
            (r#"{"cdiVersion":"1.0.0","kind":"a/b"}"#.to_owned(), "no devices"),
            (edits(r#""env":["X"]"#), "NAME=value"),
            (edits(r#""deviceNodes":[{"path":"x"}]"#), "absolute"),
            (edits(r#""deviceNodes":[{"path":"/x","type":"z"}]"#), "kind"),
            (edits(r#""mounts":[{"containerPath":"/x"}]"#), "source"),
            (edits(r#""hooks":[{"hookName":"never","path":"/x"}]"#), "never"),
            ("kind: [".to_owned(), ""),
            ("\u{0}".to_owned(), ""),
        ];
        assert!(Document::parse(with("").as_bytes()).is_ok());
        for (text, why) in cases {
            let error = Document::parse(text.as_bytes()).unwrap_err();
            assert!(error.one_line().contains(why), "{text}: {}", error.one_line());
        }
    }

    #[test]
    fn names_are_words() {
        for good in ["vendor.com/gpu", "a/b", "a-b.c_d/e-f"] {
            assert!(is_kind(good), "{good}");
        }
        for bad in ["a", "/b", "a/", "a/b/c", "1a/b", "a./b", "a/b!"] {
            assert!(!is_kind(bad), "{bad}");
        }
        assert!(is_device("0") && is_device("gpu0:1") && !is_device("") && !is_device("-"));
    }
}
