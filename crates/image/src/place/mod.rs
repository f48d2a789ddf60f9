//! Places that have images, or take them, as users write them.
//!
//! ```text
//! docker://quay.io/a/b:1                         a registry
//! oci:DIR[:NAME]                                 an OCI image layout
//! oci-archive:FILE[:NAME]                        the same as a tar file
//! docker-archive:FILE[:NAME:TAG | :@NUMBER]      what `docker save` writes
//! dir:DIR                                        one image, each blob a file
//! dhow:NAME  containers-storage:NAME             our own images
//! ```
//!
//! Each is read through [`crate::origin::Origin`] and written through [`target::Target`]; who
//! copies knows nothing else of them.

pub(crate) mod archive_target;
pub(crate) mod directory;
pub(crate) mod end;
pub(crate) mod landing;
pub(crate) mod layout_target;
pub(crate) mod local;
pub(crate) mod registry_target;
pub(crate) mod saved;
pub(crate) mod target;

use dhow_base::{Error, Kind, Result};
use std::{
    fmt,
    path::{Path, PathBuf},
};

/// A place of one image.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Place {
    /// A name, to be completed and looked up in a registry.
    Registry(String),
    /// A directory that is an OCI image layout, and which of its images.
    Layout(PathBuf, Option<String>),
    /// A tar file of an OCI image layout, and which of its images.
    LayoutArchive(PathBuf, Option<String>),
    /// A tar file of `docker save`, and which of its images.
    DockerArchive(PathBuf, Option<String>),
    /// A directory with one image, each blob a file.
    Directory(PathBuf),
    /// One of our own images.
    Local(String),
}

const TRANSPORTS: &str = "containers-storage, dhow, dir, docker, docker-archive, oci, oci-archive";

impl Place {
    /// Reads a place; the transport in front is a must.
    pub fn parse(text: &str) -> Result<Self> {
        let invalid = |why: String| Error::new(Kind::Invalid, why);
        let Some((transport, rest)) = text.split_once(':') else {
            let why = format!(
                "Invalid image name {text:?}, expected colon-separated transport:reference"
            );
            return Err(invalid(why).hint(format!("transports are {TRANSPORTS}")));
        };
        match transport {
            "docker" => match rest.strip_prefix("//") {
                Some(name) => Ok(Self::Registry(name.to_owned())),
                None => Err(invalid(format!(
                    "parse {text:?}: docker: image reference {rest} does not start with //"
                ))),
            },
            "dhow" | "containers-storage" if !rest.is_empty() => Ok(Self::Local(rest.to_owned())),
            _ => Self::in_files(text)?.ok_or_else(|| {
                let why = format!("Invalid image name {text:?}, unknown transport {transport:?}");
                match transport {
                    "docker-daemon" => invalid(why).hint(
                        "`docker save IMAGE | dhow load` brings an image here, \
                         `dhow save IMAGE | docker load` there",
                    ),
                    _ => invalid(why).hint(format!("transports are {TRANSPORTS}")),
                }
            }),
        }
    }

    /// Reads a place to pull from: what has no known transport is a name.
    pub fn parse_or_name(text: &str) -> Result<Self> {
        if let Some(name) = text.strip_prefix("docker://") {
            return Ok(Self::Registry(name.to_owned()));
        }
        Ok(Self::in_files(text)?.unwrap_or_else(|| Self::Registry(text.to_owned())))
    }

    /// The place that `text` means to who works with our own images: one with a transport, else one of
    /// ours, else a name in a registry.
    pub fn meant(images: &crate::Images, state: &dhow_state::State, text: &str) -> Result<Self> {
        match Self::parse(text) {
            Ok(place) => Ok(place),
            Err(_) if images.find(state, text)?.is_some() => Ok(Self::Local(text.to_owned())),
            Err(_) => Ok(Self::Registry(text.to_owned())),
        }
    }

    fn in_files(text: &str) -> Result<Option<Self>> {
        type Local = fn(PathBuf, Option<String>) -> Place;
        let prefixes: [(&str, Local); 4] = [
            ("oci:", Self::Layout),
            ("oci-archive:", Self::LayoutArchive),
            ("docker-archive:", Self::DockerArchive),
            ("dir:", |path, _| Self::Directory(path)),
        ];
        for (prefix, local) in prefixes {
            let Some(rest) = text.strip_prefix(prefix) else { continue };
            let (path, name) = if prefix == "dir:" { (rest, None) } else { split(rest) };
            if path.is_empty() {
                return Err(Error::new(Kind::Invalid, format!("parse {text:?}: it names no path")));
            }
            return Ok(Some(local(path.into(), name.map(str::to_owned))));
        }
        Ok(None)
    }

    /// The same place with relative paths below `directory`.
    #[must_use]
    pub fn below(self, directory: &Path) -> Self {
        match self {
            Self::Layout(path, name) => Self::Layout(directory.join(path), name),
            Self::LayoutArchive(path, name) => Self::LayoutArchive(directory.join(path), name),
            Self::DockerArchive(path, name) => Self::DockerArchive(directory.join(path), name),
            Self::Directory(path) => Self::Directory(directory.join(path)),
            Self::Registry(_) | Self::Local(_) => self,
        }
    }

    /// Does it need the database of our own images?
    pub fn is_local(&self) -> bool {
        matches!(self, Self::Local(_))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut file = |transport: &str, path: &Path, name: &Option<String>| {
            write!(f, "{transport}:{}", path.display())?;
            name.as_ref().map_or(Ok(()), |name| write!(f, ":{name}"))
        };
        match self {
            Self::Layout(path, name) => file("oci", path, name),
            Self::LayoutArchive(path, name) => file("oci-archive", path, name),
            Self::DockerArchive(path, name) => file("docker-archive", path, name),
            Self::Directory(path) => file("dir", path, &None),
            Self::Registry(name) => write!(f, "docker://{name}"),
            Self::Local(name) => write!(f, "dhow:{name}"),
        }
    }
}

/// The first colon ends the path, as skopeo has it, unless a path with a colon is there.
fn split(text: &str) -> (&str, Option<&str>) {
    let colons = || text.match_indices(':').map(|(at, _)| at);
    let is_there = |path: &str| Path::new(path).exists();
    let end = match colons().find(|at| is_there(&text[..*at])) {
        Some(at) => at,
        None if is_there(text) => text.len(),
        None => colons().next().unwrap_or(text.len()),
    };
    let name = text[end..].strip_prefix(':').filter(|name| !name.is_empty());
    (&text[..end], name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_parse_by_their_transport() {
        let directory = tempfile::tempdir().unwrap();
        let here = directory.path().to_str().unwrap();
        std::fs::create_dir(directory.path().join("a:b")).unwrap();
        let colon = format!("oci:{here}/a:b:1");
        let named = format!("oci:{here}:docker.io/library/debian:13");
        let some = |name: &str| Some(name.to_owned());
        let cases = [
            ("docker://debian", Place::Registry("debian".into())),
            ("oci:dir", Place::Layout("dir".into(), None)),
            ("oci:/a/dir:13", Place::Layout("/a/dir".into(), some("13"))),
            ("oci:dir:", Place::Layout("dir".into(), None)),
            ("oci:new:quay.io/a:13", Place::Layout("new".into(), some("quay.io/a:13"))),
            (colon.as_str(), Place::Layout(format!("{here}/a:b").into(), some("1"))),
            (named.as_str(), Place::Layout(here.into(), some("docker.io/library/debian:13"))),
            ("oci-archive:a.tar:x:1", Place::LayoutArchive("a.tar".into(), some("x:1"))),
            ("docker-archive:a.tar", Place::DockerArchive("a.tar".into(), None)),
            ("docker-archive:n.tar:a/b:1", Place::DockerArchive("n.tar".into(), some("a/b:1"))),
            ("dir:a:b", Place::Directory("a:b".into())),
            ("dhow:box", Place::Local("box".into())),
            ("containers-storage:quay.io/a:1", Place::Local("quay.io/a:1".into())),
        ];
        for (text, expected) in cases {
            assert_eq!(Place::parse(text).unwrap(), expected, "{text}");
        }
        for text in ["oci::x", "box", "debian:13", "docker:debian", "dhow:", "dir:", "sif:x"] {
            assert_eq!(Place::parse(text).unwrap_err().kind(), Kind::Invalid, "{text}");
        }
    }

    #[test]
    fn a_pull_takes_what_has_no_transport_for_a_name() {
        for text in ["debian:13", "dhow:1", "quay.io/oci:1"] {
            assert_eq!(Place::parse_or_name(text).unwrap(), Place::Registry(text.to_owned()));
        }
        let place = Place::parse_or_name("dir:x").unwrap();
        assert_eq!(place, Place::Directory("x".into()));
        assert_eq!(Place::parse_or_name("oci::x").unwrap_err().kind(), Kind::Invalid);
    }
}
