//! The workspace as cargo knows it: where it is, its packages and the arrows between them.

use dhow_base::{Doing, Error, Kind, Result};
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// What a dependency is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Purpose {
    /// The package itself.
    Normal,
    /// Its tests.
    Development,
    /// Its build script.
    Build,
}

/// One line of a manifest's dependencies.
#[derive(Clone, Debug)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    pub(crate) purpose: Purpose,
}

/// One package of the workspace.
#[derive(Clone, Debug)]
pub(crate) struct Package {
    pub(crate) name: String,
    /// Relative to the workspace's root.
    pub(crate) manifest: PathBuf,
    pub(crate) dependencies: Vec<Dependency>,
}

impl Package {
    /// The name of its folder, which is how the architecture's table calls it.
    pub(crate) fn folder(&self) -> &str {
        folder_of(&self.name)
    }
}

/// `dhow-store` lives in `crates/store`; `xtask` has no prefix.
pub(crate) fn folder_of(package: &str) -> &str {
    package.strip_prefix("dhow-").unwrap_or(package)
}

/// The whole workspace.
#[derive(Debug)]
pub(crate) struct Workspace {
    pub(crate) root: PathBuf,
    pub(crate) packages: Vec<Package>,
}

impl Workspace {
    /// Asks cargo about the workspace around the current directory.
    pub(crate) fn find() -> Result<Self> {
        let output = Command::new("cargo")
            .args(["metadata", "--no-deps", "--format-version", "1"])
            .output()
            .doing(|| "run cargo metadata")?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(Error::new(Kind::Internal, format!("run cargo metadata: {said}")));
        }
        let text = serde_json::from_slice(&output.stdout).map_err(|error| {
            Error::new(Kind::Corrupt, "parse what cargo metadata printed").because(error)
        })?;
        Ok(Self::from_metadata(&text))
    }

    /// Reads the document that `cargo metadata` prints.
    pub(crate) fn from_metadata(document: &Value) -> Self {
        let root = PathBuf::from(text(&document["workspace_root"]));
        let packages = list(&document["packages"]).map(|package| package_of(package, &root));
        Self { packages: packages.collect(), root }
    }

    /// All files of the working tree that people write, relative to the root, in order.
    pub(crate) fn files(&self) -> Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        let mut waiting = vec![PathBuf::new()];
        while let Some(directory) = waiting.pop() {
            let path = self.root.join(&directory);
            for child in fs::read_dir(&path).doing(|| format!("list {}", path.display()))? {
                let child = child.doing(|| format!("list {}", path.display()))?;
                let name = child.file_name();
                let kind = child.file_type().doing(|| format!("look at {}", path.display()))?;
                let made = directory.as_os_str().is_empty() && (name == "target" || name == ".git");
                if kind.is_dir() && !made {
                    waiting.push(directory.join(&name));
                } else if kind.is_file() {
                    files.push(directory.join(&name));
                }
            }
        }
        files.sort();
        Ok(files)
    }

    /// The text of a file of the tree.
    pub(crate) fn read(&self, file: &Path) -> Result<String> {
        let bytes = fs::read(self.root.join(file)).doing(|| format!("read {}", file.display()))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

fn package_of(package: &Value, root: &Path) -> Package {
    let manifest = PathBuf::from(text(&package["manifest_path"]));
    let dependencies = list(&package["dependencies"]).map(|dependency| Dependency {
        name: text(&dependency["name"]),
        purpose: match dependency["kind"].as_str() {
            Some("dev") => Purpose::Development,
            Some("build") => Purpose::Build,
            _ => Purpose::Normal,
        },
    });
    Package {
        name: text(&package["name"]),
        manifest: manifest.strip_prefix(root).unwrap_or(&manifest).to_owned(),
        dependencies: dependencies.collect(),
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}
