//! Where an image is to come from, as users write it.
//!
//! ```text
//! debian:13  docker://quay.io/a/b:1   a registry
//! oci:DIR[:NAME]                      an OCI image layout
//! oci-archive:FILE[:NAME]             the same as a tar file
//! docker-archive:FILE[:NAME]          what `docker save` writes
//! ```

use dhow_base::{Error, Kind, Result};
use std::path::PathBuf;

/// A place to pull from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Source {
    /// A name, to be completed and looked up in a registry.
    Registry(String),
    /// A directory that is an OCI image layout, and which of its images.
    Layout(PathBuf, Option<String>),
    /// A tar file of an OCI image layout, and which of its images.
    LayoutArchive(PathBuf, Option<String>),
    /// A tar file of `docker save`, and which of its images.
    DockerArchive(PathBuf, Option<String>),
}

impl Source {
    /// Reads a source. What has no known prefix is a name.
    pub fn parse(text: &str) -> Result<Self> {
        if let Some(name) = text.strip_prefix("docker://") {
            return Ok(Self::Registry(name.to_owned()));
        }
        type Local = fn(PathBuf, Option<String>) -> Source;
        let prefixes: [(&str, Local); 3] = [
            ("oci:", Self::Layout),
            ("oci-archive:", Self::LayoutArchive),
            ("docker-archive:", Self::DockerArchive),
        ];
        for (prefix, local) in prefixes {
            let Some(rest) = text.strip_prefix(prefix) else { continue };
            let (path, name) = split(rest);
            if path.is_empty() {
                return Err(Error::new(Kind::Invalid, format!("parse {text:?}: it names no path")));
            }
            return Ok(local(path.into(), name.map(str::to_owned)));
        }
        Ok(Self::Registry(text.to_owned()))
    }
}

/// The path ends at the first colon after its last slash: `dir:name`, `a:b/dir:name:tag`. A name
/// with slashes of its own, `dir:docker.io/library/debian:13`, begins at the first colon whose left
/// side exists; so the first colon wins unless a later slash could belong to the path.
fn split(text: &str) -> (&str, Option<&str>) {
    for (at, _) in text.match_indices(':') {
        let path = &text[..at];
        let rest = &text[at + 1..];
        let belongs_to_path = rest.contains('/') && !std::path::Path::new(path).exists();
        if !belongs_to_path {
            return (path, Some(rest).filter(|name| !name.is_empty()));
        }
    }
    (text, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_parse_by_their_prefix() {
        let directory = tempfile::tempdir().unwrap();
        let here = directory.path().to_str().unwrap();
        let named = format!("oci:{here}:docker.io/library/debian:13");
        let some = |name: &str| Some(name.to_owned());
        let cases = [
            ("debian:13", Source::Registry("debian:13".into())),
            ("docker://debian", Source::Registry("debian".into())),
            ("oci:dir", Source::Layout("dir".into(), None)),
            ("oci:/a/dir:13", Source::Layout("/a/dir".into(), some("13"))),
            ("oci:dir:", Source::Layout("dir".into(), None)),
            ("oci:no:such/dir:13", Source::Layout("no:such/dir".into(), some("13"))),
            (named.as_str(), Source::Layout(here.into(), some("docker.io/library/debian:13"))),
            ("oci-archive:a.tar:x:1", Source::LayoutArchive("a.tar".into(), some("x:1"))),
            ("docker-archive:a.tar", Source::DockerArchive("a.tar".into(), None)),
        ];
        for (text, expected) in cases {
            assert_eq!(Source::parse(text).unwrap(), expected, "{text}");
        }
        assert_eq!(Source::parse("oci::x").unwrap_err().kind(), Kind::Invalid);
    }
}
