//! Devices by name (Container Device Interface, version 1.1): `--device vendor.com/class=name`.
//!
//! A vendor's program writes documents into `/etc/cdi` and `/var/run/cdi` that say what a container
//! must be given so that a device works in it: nodes, mounts, variables, hooks. Of two documents that
//! name the same device the one in the later directory counts; in one directory neither does.
//!
//! A broken document is no reason to fail for who wants another device; for who finds no device it
//! may be the reason, and is named.

mod document;
mod edits;

pub(crate) use document::{is_device, is_kind};

use crate::options::CdiName;
use dhow_base::{Doing, Error, Kind, Result, file};
use dhow_spec::runtime::Spec;
use document::Document;
use std::path::{Path, PathBuf};

/// Where documents lie where nothing else is said, the most important last.
pub(crate) const DIRECTORIES: [&str; 2] = ["/etc/cdi", "/var/run/cdi"];

/// A document is no larger than this; real ones have some KiB.
const LIMIT_BYTES: u64 = 4 << 20;

/// The documents of all directories.
#[derive(Debug, Default)]
struct Library {
    /// In the order of the directories: which one, where, what.
    documents: Vec<(usize, PathBuf, Document)>,
    broken: Vec<Error>,
}

/// Gives a container the devices of these names.
pub(crate) fn give(spec: &mut Spec, names: &[CdiName], directories: &[PathBuf]) -> Result<()> {
    if names.is_empty() {
        return Ok(());
    }
    let library = Library::read(directories)?;
    let mut told: Vec<&Path> = Vec::new();
    for name in names {
        let doing = || format!("use the device {name}");
        let (path, document) = library.find(name).doing(doing)?;
        // What a document says of all its devices is said once.
        if !told.contains(&path) {
            told.push(path);
            edits::apply(spec, &document.container_edits).doing(doing)?;
        }
        let device = document.device(&name.device);
        let device = device.ok_or_else(|| Error::new(Kind::Internal, doing()))?;
        edits::apply(spec, &device.container_edits).doing(doing)?;
    }
    // Parents before children, whatever order the documents have.
    spec.mounts.sort_by_key(|mount| mount.destination.components().count());
    Ok(())
}

impl Library {
    fn read(directories: &[PathBuf]) -> Result<Self> {
        let mut library = Self::default();
        for (index, directory) in directories.iter().enumerate() {
            let entries = match std::fs::read_dir(directory) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                result => result.doing(|| format!("read {}", directory.display()))?,
            };
            let mut paths = Vec::new();
            for entry in entries {
                paths.push(entry.doing(|| format!("read {}", directory.display()))?.path());
            }
            paths.sort();
            for path in paths {
                match read(&path) {
                    None => {}
                    Some(Ok(document)) => library.documents.push((index, path, document)),
                    Some(Err(error)) => library.broken.push(error),
                }
            }
        }
        Ok(library)
    }

    /// The document that has a device.
    fn find(&self, name: &CdiName) -> Result<(&Path, &Document)> {
        let has = |document: &Document| {
            document.kind == name.kind && document.device(&name.device).is_some()
        };
        let mut found: Vec<_> = self.documents.iter().filter(|(.., all)| has(all)).collect();
        let last = found.iter().map(|(index, ..)| *index).max();
        found.retain(|(index, ..)| Some(*index) == last);
        match found[..] {
            [(_, path, document)] => Ok((path, document)),
            [] => Err(self.missing(name)),
            [(_, first, _), (_, second, _), ..] => Err(Error::new(
                Kind::Conflict,
                format!("both {} and {} name it", first.display(), second.display()),
            )
            .hint("remove one of the two")),
        }
    }

    fn missing(&self, name: &CdiName) -> Error {
        let error = Error::new(Kind::NotFound, "no document names it");
        if let Some(broken) = self.broken.first() {
            return error.hint(format!("one cannot be read: {}", broken.one_line()));
        }
        let of_kind = self.documents.iter().filter(|(.., document)| document.kind == name.kind);
        let names: Vec<String> = of_kind
            .flat_map(|(.., document)| &document.devices)
            .map(|device| format!("{}={}", name.kind, device.name))
            .collect();
        error.hint(match names.is_empty() {
            true => "documents of devices are read from /etc/cdi and /var/run/cdi".to_owned(),
            false => format!("there are {}", names.join(", ")),
        })
    }
}

/// The document in a file; nothing where its name is not a document's.
fn read(path: &Path) -> Option<Result<Document>> {
    let kind = path.extension()?.to_str()?;
    if !matches!(kind, "json" | "yaml") {
        return None;
    }
    let parsed = file::read_limited(path, LIMIT_BYTES).and_then(|bytes| Document::parse(&bytes));
    Some(parsed.doing(|| format!("read {}", path.display())))
}

/// Whether the bytes are a document; for `fuzz/`.
#[cfg(any(test, feature = "fuzz"))]
pub(crate) fn is_understood(bytes: &[u8]) -> bool {
    let Ok(document) = Document::parse(bytes) else { return false };
    let mut spec = Spec::default();
    // Nodes are looked at on the host, so only their absence is a reason to fail.
    let _applied = edits::apply(&mut spec, &document.container_edits);
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn world(files: &[(&str, &str)]) -> (tempfile::TempDir, Vec<PathBuf>) {
        let here = tempfile::tempdir().unwrap();
        let directories = ["etc", "run"].map(|name| here.path().join(name)).to_vec();
        for directory in &directories {
            std::fs::create_dir(directory).unwrap();
        }
        for (path, text) in files {
            std::fs::write(here.path().join(path), text).unwrap();
        }
        (here, directories)
    }

    fn document(variable: &str) -> String {
        format!(
            r#"{{"cdiVersion":"0.6.0","kind":"acme.com/gpu","containerEdits":{{"env":["ALL=1"]}},
               "devices":[{{"name":"0","containerEdits":{{"env":["{variable}"]}}}},
                          {{"name":"all","containerEdits":{{"env":["A=all"]}}}}]}}"#
        )
    }

    fn given(directories: &[PathBuf], names: &[&str]) -> Result<Vec<String>> {
        let names: Vec<CdiName> = names.iter().map(|name| name.parse().unwrap()).collect();
        let mut spec = Spec::default();
        give(&mut spec, &names, directories)?;
        Ok(spec.process.unwrap_or_default().env)
    }

    #[test]
    fn a_later_directory_wins_and_both_formats_are_read() {
        let yaml = "cdiVersion: '0.6.0'\nkind: acme.com/gpu\ndevices:\n- name: '1'\n  \
                    containerEdits:\n    env: [B=yaml]\n";
        let (_here, directories) = world(&[
            ("etc/a.json", &document("A=etc")),
            ("run/a.json", &document("A=run")),
            ("etc/b.yaml", yaml),
            ("etc/readme.txt", "no document"),
        ]);

        assert_eq!(given(&directories, &["acme.com/gpu=0"]).unwrap(), ["ALL=1", "A=run"]);
        assert_eq!(given(&directories, &["acme.com/gpu=1"]).unwrap(), ["B=yaml"]);
    }

    #[test]
    fn what_all_devices_need_is_given_once() {
        let (_here, directories) = world(&[("etc/a.json", &document("A=0"))]);

        let given = given(&directories, &["acme.com/gpu=0", "acme.com/gpu=all"]).unwrap();

        assert_eq!(given, ["ALL=1", "A=all"]);
    }

    #[test]
    fn a_missing_device_is_told_with_what_there_is() {
        let (_here, directories) = world(&[("etc/a.json", &document("A=0"))]);

        let error = given(&directories, &["acme.com/gpu=7"]).unwrap_err();

        assert_eq!(error.kind(), Kind::NotFound);
        assert_eq!(error.innermost_hint(), Some("there are acme.com/gpu=0, acme.com/gpu=all"));
    }

    #[test]
    fn a_broken_document_is_named_by_who_finds_no_device_and_by_nobody_else() {
        let (_here, directories) =
            world(&[("etc/a.json", &document("A=0")), ("etc/bad.yaml", "kind: [")]);

        assert!(given(&directories, &["acme.com/gpu=0"]).is_ok());
        let error = given(&directories, &["acme.com/x=0"]).unwrap_err();
        assert!(error.innermost_hint().unwrap().contains("bad.yaml"), "{error:?}");
    }

    #[test]
    fn damaged_documents_are_understood_or_refused() {
        let whole = document("A=0").into_bytes();

        assert!(crate::fuzz::device_document(&whole));
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x15;
            let _understood = crate::fuzz::device_document(&damaged);
            let _shorter = crate::fuzz::device_document(&whole[..at]);
        }
    }

    #[test]
    fn two_documents_of_one_directory_contradict_each_other() {
        let (_here, directories) =
            world(&[("etc/a.json", &document("A=0")), ("etc/b.json", &document("A=1"))]);

        assert_eq!(given(&directories, &["acme.com/gpu=0"]).unwrap_err().kind(), Kind::Conflict);
    }
}
