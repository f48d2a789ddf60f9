//! The part of a container's record that most questions are about: who it is, where it is, and
//! whether it runs. It is read without making sense of the rest, which is most of `state.json`: a
//! configuration with its filter is ten times as long as what is asked for here.

use super::{Record, Shelf};
use crate::container::{self, Whereabouts};
use dhow_base::Result;
use dhow_cgroup::Cgroup;
use dhow_spec::runtime::{Namespace, NamespaceKind, Root, Spec, Status};
use rustix::process::Pid;
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// A record with no more of its configuration than most ask for.
pub type Outline = Record<Sketch>;

/// What of a configuration is asked for.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Sketch {
    /// The version of the specification that it follows.
    pub oci_version: String,
    /// Arbitrary notes.
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
    #[serde(default)]
    root: Option<Root>,
    #[serde(default)]
    linux: Option<LinuxSketch>,
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase")]
struct LinuxSketch {
    #[serde(default)]
    namespaces: Vec<Namespace>,
    #[serde(default)]
    cgroups_path: Option<String>,
}

impl Outline {
    /// The root filesystem, absolute.
    pub fn rootfs(&self) -> PathBuf {
        let path = self.spec.root.as_ref().map_or(Path::new("rootfs"), |root| &root.path);
        self.bundle.join(path)
    }

    /// Whether the first process's end is the end of all.
    pub(super) fn has_own_pids(&self) -> bool {
        let namespaces = self.spec.linux.iter().flat_map(|linux| &linux.namespaces);
        let mut pids = namespaces.filter(|namespace| namespace.kind == NamespaceKind::Pid);
        pids.next().is_some_and(|namespace| namespace.path.is_none())
    }

    /// Its cgroup, which exists as long as it does.
    pub(super) fn cgroup(&self) -> Result<Cgroup> {
        container::cgroup(&self.whereabouts())
    }

    /// The processes in its cgroup.
    pub(super) fn processes(&self) -> Result<Vec<Pid>> {
        container::processes(&self.whereabouts())
    }

    /// Its cgroup, where its processes stand still.
    pub(super) fn frozen_cgroup(&self) -> Result<Option<Cgroup>> {
        container::frozen_cgroup(&self.whereabouts())
    }

    /// What the first process and its cgroup tell; a container that waits for its start runs, by
    /// that.
    pub(super) fn status_of_process(&self) -> Status {
        let Some(init) = self.init else { return Status::Creating };
        if !init.is_alive() {
            return Status::Stopped;
        }
        match self.frozen_cgroup() {
            Ok(Some(_frozen)) => Status::Paused,
            _ => Status::Running,
        }
    }

    fn whereabouts(&self) -> Whereabouts<'_> {
        let linux = self.spec.linux.as_ref();
        Whereabouts {
            id: &self.id,
            cgroups_path: linux.and_then(|linux| linux.cgroups_path.as_deref()),
            driver: &self.driver,
        }
    }
}

impl Record {
    /// The root filesystem, absolute.
    pub fn rootfs(&self) -> PathBuf {
        self.outline().rootfs()
    }

    /// The record in outline.
    pub fn outline(&self) -> Outline {
        Outline {
            version: self.version,
            id: self.id.clone(),
            init: self.init,
            bundle: self.bundle.clone(),
            driver: self.driver.clone(),
            created: self.created.clone(),
            spec: Sketch::of(&self.spec),
        }
    }
}

impl Sketch {
    fn of(spec: &Spec) -> Self {
        Self {
            oci_version: spec.oci_version.clone(),
            annotations: spec.annotations.clone(),
            root: spec.root.clone(),
            linux: spec.linux.as_ref().map(|linux| LinuxSketch {
                namespaces: linux.namespaces.clone(),
                cgroups_path: linux.cgroups_path.clone(),
            }),
        }
    }
}

impl Shelf {
    /// The record of a container in outline.
    pub fn outline(&self, id: &str) -> Result<Outline> {
        self.read(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Driver, Init};
    use dhow_base::clock::Moment;

    #[test]
    fn what_is_read_in_outline_is_what_the_whole_says() {
        let cases = [
            (r#"{"ociVersion": "1.3.0"}"#, "/b/rootfs", false),
            (
                r#"{"ociVersion": "1.0.2", "root": {"path": "/r", "readonly": true},
                "linux": {"namespaces": [{"type": "mount"}, {"type": "pid"}]}}"#,
                "/r",
                true,
            ),
            (
                r#"{"ociVersion": "1.2.0", "process": {"cwd": "/", "args": ["true"]},
                "root": {"path": "r"}, "annotations": {"a": "b"},
                "hooks": {"poststop": [{"path": "/bin/true"}]},
                "linux": {"cgroupsPath": "/a/b", "namespaces": [{"type": "mount"},
                {"type": "pid", "path": "/proc/1/ns/pid"}], "maskedPaths": ["/proc/kcore"]}}"#,
                "/b/r",
                false,
            ),
        ];
        let root = tempfile::tempdir().expect("a directory");
        let shelf = Shelf::new(root.path());
        for (number, (text, rootfs, own_pids)) in cases.into_iter().enumerate() {
            let record = Record {
                version: 1,
                id: format!("c{number}"),
                init: (number > 0).then_some(Init { pid: 7, started: 8 }),
                bundle: PathBuf::from("/b"),
                driver: Driver::default(),
                created: Moment::now().rfc3339(),
                spec: Spec::parse(text.as_bytes()).expect(text),
            };
            std::fs::create_dir(root.path().join(&record.id)).expect("a place");
            shelf.write(&record).expect("written");

            let read = shelf.outline(&record.id).expect("read in outline");

            assert_eq!(read, record.outline(), "{text}");
            assert_eq!(read.rootfs(), Path::new(rootfs), "{text}");
            assert_eq!(read.has_own_pids(), own_pids, "{text}");
        }
    }
}
