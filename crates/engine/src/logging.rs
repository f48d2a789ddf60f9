//! Where a container's output goes: log drivers and their options.

use dhow_base::{Error, Kind, Result};
use dhow_monitor::{LogFormat, LogSettings};
use dhow_state::containers::Container;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, path::PathBuf};

/// How output is kept.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogDriver {
    /// CRI's format, which kubelets and podman read.
    #[default]
    K8sFile,
    /// Docker's format.
    JsonFile,
    /// systemd's journal.
    Journald,
    /// Nowhere.
    None,
    /// Where the command that starts the container writes.
    Passthrough,
}

impl LogDriver {
    /// Parses docker's and podman's names.
    pub fn parse(text: &str) -> Result<Self> {
        Ok(match text {
            // The best one for a file.
            "" | "k8s-file" | "local" => Self::K8sFile,
            "json-file" => Self::JsonFile,
            "journald" => Self::Journald,
            "none" => Self::None,
            "passthrough" => Self::Passthrough,
            "awslogs" | "etwlogs" | "fluentd" | "gcplogs" | "gelf" | "splunk" | "syslog"
            | "logentries" => {
                return Err(Error::new(
                    Kind::Unsupported,
                    format!("log driver {text}: dhow sends no logs over the network"),
                )
                .hint("keep them with json-file or journald, and let an agent send them"));
            }
            _ => {
                return Err(Error::new(
                    Kind::Invalid,
                    format!("log driver {text:?}: there is no such driver"),
                )
                .hint("there are k8s-file, json-file, journald, none and passthrough"));
            }
        })
    }

    /// The driver's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::K8sFile => "k8s-file",
            Self::JsonFile => "json-file",
            Self::Journald => "journald",
            Self::None => "none",
            Self::Passthrough => "passthrough",
        }
    }

    /// Whether it writes files of its own.
    pub(crate) fn keeps_files(self) -> bool {
        matches!(self, Self::K8sFile | Self::JsonFile)
    }
}

/// What `--log-driver` and `--log-opt` say.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct LogOptions {
    /// `--log-driver`.
    pub driver: LogDriver,
    /// `--log-opt max-size`, bytes.
    pub limit_bytes: Option<u64>,
    /// `--log-opt max-file`.
    pub files: Option<u32>,
    /// `--log-opt path`, absolute.
    pub path: Option<PathBuf>,
    /// `--log-opt tag`, a template.
    pub tag: Option<String>,
    /// `--log-opt labels`: names of labels that go along with each line.
    pub labels: Vec<String>,
    /// `--log-opt env`: names of variables that go along with each line.
    pub env: Vec<String>,
}

/// The same, as the row keeps it, with what goes along with each line.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub(crate) struct LogRecord {
    pub(crate) driver: LogDriver,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) limit_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) files: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) path: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tag: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) attributes: BTreeMap<String, String>,
}

/// What the row keeps of the options.
pub(crate) fn record(
    options: &LogOptions,
    labels: &BTreeMap<String, String>,
    env: &[String],
) -> Result<LogRecord> {
    check(options)?;
    let mut attributes = BTreeMap::new();
    for name in &options.labels {
        if let Some(value) = labels.get(name) {
            attributes.insert(name.clone(), value.clone());
        }
    }
    for name in &options.env {
        let value = env.iter().rev().filter_map(|entry| entry.split_once('='));
        if let Some((_, value)) = value.into_iter().find(|(other, _)| other == name) {
            attributes.insert(name.clone(), value.to_owned());
        }
    }
    Ok(LogRecord {
        driver: options.driver,
        limit_bytes: options.limit_bytes,
        files: options.files,
        path: options.path.clone(),
        tag: options.tag.clone(),
        attributes,
    })
}

impl LogRecord {
    /// Where the log lies, for a container whose own place for it is `usual`.
    pub(crate) fn path(&self, usual: PathBuf) -> PathBuf {
        self.path.clone().unwrap_or(usual)
    }

    /// What goes along with each line: what was asked for, and the tag where there is one.
    pub(crate) fn attributes(&self, row: &Container) -> Result<BTreeMap<String, String>> {
        let mut attributes = self.attributes.clone();
        if let Some(tag) = &self.tag {
            attributes.insert("tag".to_owned(), filled(tag, row)?);
        }
        Ok(attributes)
    }

    /// What the monitor is told of the log; nothing where none is kept.
    pub(crate) fn settings(&self, row: &Container, usual: PathBuf) -> Result<Option<LogSettings>> {
        let format = match self.driver {
            LogDriver::K8sFile => LogFormat::K8s,
            LogDriver::JsonFile => LogFormat::Json,
            LogDriver::Journald => LogFormat::Journal,
            LogDriver::None | LogDriver::Passthrough => return Ok(None),
        };
        let attributes = match format {
            LogFormat::K8s => BTreeMap::new(),
            LogFormat::Json => self.attributes(row)?,
            LogFormat::Journal => {
                let mut attributes = self.attributes.clone();
                let tag = self.tag.as_deref().map(|tag| filled(tag, row)).transpose()?;
                attributes.extend(journal_fields(row, tag));
                attributes
            }
        };
        let path = self.path(usual);
        let files = self.files.unwrap_or(1);
        Ok(Some(LogSettings { format, attributes, path, limit_bytes: self.limit_bytes, files }))
    }
}

/// What docker writes beside a line in the journal.
fn journal_fields(row: &Container, tag: Option<String>) -> [(String, String); 6] {
    let tag = tag.unwrap_or_else(|| row.id.short().to_owned());
    [
        ("CONTAINER_ID", row.id.short().to_owned()),
        ("CONTAINER_ID_FULL", row.id.to_string()),
        ("CONTAINER_NAME", row.name.clone()),
        ("CONTAINER_TAG", tag.clone()),
        ("SYSLOG_IDENTIFIER", tag),
        ("IMAGE_NAME", row.image_name.clone()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
}

/// A tag's template, in which docker knows these words. It is filled here and not by the templates
/// of lists, since every door needs it.
fn filled(tag: &str, row: &Container) -> Result<String> {
    let words = [
        (".ID", row.id.short().to_owned()),
        (".FullID", row.id.to_string()),
        (".Name", row.name.clone()),
        (".ImageName", row.image_name.clone()),
        (".DaemonName", "dhow".to_owned()),
    ];
    let mut text = String::new();
    let mut rest = tag;
    while let Some((before, after)) = rest.split_once("{{") {
        let known = after.split_once("}}").and_then(|(word, behind)| {
            let found = words.iter().find(|(name, _)| *name == word.trim());
            found.map(|(_, value)| (value, behind))
        });
        let (value, behind) = known.ok_or_else(|| {
            Error::new(Kind::Invalid, format!("log option tag {tag:?}: there is no such word"))
                .hint(
                    "there are {{.ID}}, {{.FullID}}, {{.Name}}, {{.ImageName}} and {{.DaemonName}}",
                )
        })?;
        text.push_str(before);
        text.push_str(value);
        rest = behind;
    }
    text.push_str(rest);
    Ok(text)
}

/// A terminal is between the program and any stream.
pub(crate) fn check_terminal(options: &LogOptions, tty: bool) -> Result<()> {
    if options.driver == LogDriver::Passthrough && tty {
        let text = "log driver passthrough: a terminal's output is not a stream to pass on";
        return Err(Error::new(Kind::Invalid, text).hint("leave -t or the driver out"));
    }
    Ok(())
}

/// An option that a driver would not keep is refused, as docker does.
fn check(options: &LogOptions) -> Result<()> {
    let refused = |option: &str| {
        Err(Error::new(
            Kind::Invalid,
            format!("log option {option}: driver {} does not know it", options.driver.name()),
        ))
    };
    if !options.driver.keeps_files() {
        if options.limit_bytes.is_some() {
            return refused("max-size");
        }
        if options.files.is_some() {
            return refused("max-file");
        }
        if options.path.is_some() {
            return refused("path");
        }
    }
    if options.files.is_some_and(|files| files > 1) && options.limit_bytes.is_none() {
        return Err(Error::new(Kind::Invalid, "log option max-file: it needs max-size")
            .hint("a log is set aside when it has reached max-size"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_driver_does_not_keep_is_refused() {
        let limited = |driver, limit_bytes, files| LogOptions {
            driver,
            limit_bytes,
            files,
            ..LogOptions::default()
        };
        let cases = [
            (limited(LogDriver::JsonFile, Some(10), Some(3)), true),
            (limited(LogDriver::K8sFile, Some(10), None), true),
            (limited(LogDriver::K8sFile, None, Some(3)), false),
            (limited(LogDriver::None, Some(10), None), false),
            (limited(LogDriver::Journald, None, Some(1)), false),
        ];
        for (options, is_fine) in cases {
            assert_eq!(check(&options).is_ok(), is_fine, "{options:?}");
        }
    }

    #[test]
    fn labels_and_variables_go_along() {
        let options = LogOptions {
            labels: vec!["tier".into(), "none".into()],
            env: vec!["A".into()],
            ..LogOptions::default()
        };
        let labels = BTreeMap::from([("tier".to_owned(), "web".to_owned())]);

        let kept = record(&options, &labels, &["A=1".into(), "A=2".into()]).unwrap();

        let expected = [("A", "2"), ("tier", "web")].map(|(k, v)| (k.to_owned(), v.to_owned()));
        assert_eq!(kept.attributes, BTreeMap::from(expected));
    }
}
