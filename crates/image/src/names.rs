//! The names by which images are stored and found.
//!
//! A row's name is always complete: `docker.io/library/debian:13`, or with a digest in place of the
//! tag. What a user types is completed as docker does, and, without a registry, also as podman
//! names what was made here: `localhost/…`.

use crate::{Images, image::missing};
use dhow_base::{Doing, Error, Kind, Result};
use dhow_distribution::Reference;
use dhow_state::{State, events, images, lists};

/// The registry of what was made here.
const LOCAL: &str = "localhost";

/// The text of a reference as a row keeps it: where there is a digest, the tag says nothing.
pub(crate) fn key(reference: &Reference) -> String {
    match reference.digest() {
        Some(digest) => format!("{}@{digest}", reference.name()),
        None => reference.to_string(),
    }
}

/// The part of a stored name before tag or digest.
pub(crate) fn repository(name: &str) -> &str {
    let name = name.split_once('@').map_or(name, |(repository, _)| repository);
    let path = name.rfind('/').map_or(0, |slash| slash + 1);
    name[path..].find(':').map_or(name, |colon| &name[..path + colon])
}

/// The stored names that `text` may mean, the first choice first.
pub(crate) fn candidates(text: &str) -> Result<Vec<String>> {
    let text = text.strip_prefix("docker://").unwrap_or(text);
    let reference = Reference::parse(text)?;
    let mut names = Vec::with_capacity(2);
    if is_short(text) {
        names.push(key(&Reference::parse(&format!("{LOCAL}/{text}"))?));
    }
    names.push(key(&reference));
    Ok(names)
}

/// Is the registry left open?
pub(crate) fn is_short(text: &str) -> bool {
    match text.split_once('/') {
        None => true,
        Some((first, _)) => {
            first != LOCAL
                && !first.contains(['.', ':'])
                && !first.bytes().any(|byte| byte.is_ascii_uppercase())
        }
    }
}

/// The complete name of something made or loaded here: `localhost/…` unless it names a registry.
pub(crate) fn local(text: &str) -> Result<Reference> {
    if is_short(text) {
        Reference::parse(&format!("{LOCAL}/{text}"))
    } else {
        Reference::parse(text)
    }
}

/// The complete name that somebody gives to an image here. It has no digest: a row with one says that
/// a repository has this image, which only a repository can say; a stranger's file could otherwise
/// pass for any image.
pub(crate) fn given(text: &str) -> Result<Reference> {
    let name = local(text)?;
    if name.digest().is_some() {
        let what = format!("name an image {text}: a digest cannot be given, only found");
        return Err(Error::new(Kind::Invalid, what));
    }
    Ok(name)
}

/// Why what a file calls an image is no name that it can have here.
pub fn why_refused(name: &str) -> &'static str {
    match name.contains('@') {
        true => "a digest cannot be given, only found",
        false => "it is no name for an image",
    }
}

/// The names that a file gives to an image.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct FileNames {
    /// Those that the image may have here, complete.
    pub(crate) usable: Vec<String>,
    /// Those that are none, as the file has them.
    pub(crate) refused: Vec<String>,
}

impl FileNames {
    pub(crate) fn add(&mut self, text: &str) {
        let (list, name) = match given(text) {
            Ok(name) => (&mut self.usable, key(&name)),
            Err(_) => (&mut self.refused, text.to_owned()),
        };
        if !list.contains(&name) {
            list.push(name);
        }
    }

    pub(crate) fn extend(&mut self, other: Self) {
        for (list, more) in [(&mut self.usable, other.usable), (&mut self.refused, other.refused)] {
            for name in more {
                if !list.contains(&name) {
                    list.push(name);
                }
            }
        }
    }
}

impl Images {
    /// Gives an image one more name; a name that led elsewhere now leads here.
    pub fn tag(&self, state: &mut State, image: &str, name: &str) -> Result<()> {
        let target = given(name)?;
        let found = self.find_row(state.read(), image)?.ok_or_else(|| missing(image))?;
        let target = target.to_string();
        state
            .write(|write| {
                if images::find(write, &found.manifest)?.is_none() {
                    return Err(missing(image));
                }
                if lists::find(write, &target)?.is_some() {
                    return Err(Error::new(Kind::Conflict, format!("{target} is a list")));
                }
                images::set_name(write, &target, &found.manifest)?;
                events::record(write, "image", "tag", &target, "{}")
            })
            .doing(|| format!("tag {image}"))?;
        self.refresh_index(state)
    }

    /// Takes names from an image, all of them where none is given; the image stays, and is found
    /// by its id.
    ///
    /// A name that leads to another image is refused before any of them has gone.
    pub fn untag(&self, state: &mut State, image: &str, names: &[String]) -> Result<()> {
        let found = self.find_row(state.read(), image)?.ok_or_else(|| missing(image))?;
        let mut stored = Vec::with_capacity(names.len());
        for text in names {
            stored.push(self.stored_name(state, text)?.ok_or_else(|| unknown_name(text, image))?);
        }
        state
            .write(|write| {
                let own = images::names(write, &found.manifest)?;
                let going = if stored.is_empty() { own.clone() } else { stored };
                for name in &going {
                    if !own.contains(name) {
                        return Err(unknown_name(name, image));
                    }
                    images::delete_name(write, name)?;
                    events::record(write, "image", "untag", name, "{}")?;
                }
                Ok(())
            })
            .doing(|| format!("untag {image}"))?;
        self.refresh_index(state)
    }

    /// The name in the rows that `text` means, if it is a name and leads to an image.
    pub(crate) fn stored_name(&self, state: &State, text: &str) -> Result<Option<String>> {
        let Ok(mut names) = candidates(text) else { return Ok(None) };
        if is_short(text) {
            names.extend(self.client()?.candidates(text)?.references.iter().map(key));
        }
        for name in names {
            if images::find_by_name(state.read(), &name)?.is_some() {
                return Ok(Some(name));
            }
        }
        Ok(None)
    }
}

fn unknown_name(name: &str, image: &str) -> Error {
    Error::new(Kind::NotFound, format!("{name} is no name of image {image}"))
        .hint("`dhow images` shows the names of an image")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_gives_no_digests_and_nothing_that_is_no_name() {
        let digest = dhow_base::Digest::of(b"x");
        let mut names = FileNames::default();

        for text in ["box", "box:latest", "a/b:1", &format!("debian@{digest}"), "no name", ""] {
            names.add(text);
        }

        assert_eq!(names.usable, ["localhost/box:latest", "localhost/a/b:1"]);
        assert_eq!(names.refused, [format!("debian@{digest}"), "no name".into(), String::new()]);
    }

    #[test]
    fn short_names_may_be_local_ones() {
        let digest = dhow_base::Digest::of(b"x");
        let with_digest = format!("debian:13@{digest}");
        let by_digest = format!("docker.io/library/debian@{digest}");
        let local_by_digest = format!("localhost/debian@{digest}");
        let cases: [(&str, &[&str]); 6] = [
            ("debian", &["localhost/debian:latest", "docker.io/library/debian:latest"]),
            ("me/tool:1", &["localhost/me/tool:1", "docker.io/me/tool:1"]),
            ("docker.io/debian", &["docker.io/library/debian:latest"]),
            ("localhost/tool", &["localhost/tool:latest"]),
            ("docker://quay.io/a/b:1", &["quay.io/a/b:1"]),
            (&with_digest, &[&local_by_digest, &by_digest]),
        ];
        for (text, expected) in cases {
            assert_eq!(candidates(text).unwrap(), expected, "{text}");
        }
    }
}
