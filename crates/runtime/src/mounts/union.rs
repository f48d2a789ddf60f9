//! Directories over each other below the root: `overlay` mounts with `lowerdir=`, `upperdir=` and
//! `workdir=`.
//!
//! They are made in the host's view, as a container's root is: layer by layer, so that their number
//! has no limit, and a layer may be a file that holds a file system. What other words ask of
//! overlayfs goes to the kernel as it is, by the usual way.

use super::{What, preparation::open_beneath, propagate};
use crate::options::Options;
use dhow_base::{Doing, Result};
use dhow_spec::{Mount, mount::OverlayUpper};
use dhow_sys::mount::{Attributes, Propagation, Reach};
use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
};

/// The union that the words of an `overlay` ask for; none where they ask for something else.
pub(super) fn asked_for(kind: &str, words: &[String]) -> Result<Option<Mount>> {
    if kind != "overlay" {
        return Ok(None);
    }
    let (mut lower, mut upper, mut work) = (Vec::new(), None, None);
    for word in words {
        match word.split_once('=') {
            Some(("lowerdir", value)) => lower = layers(value),
            Some(("upperdir", value)) => upper = Some(PathBuf::from(value)),
            Some(("workdir", value)) => work = Some(PathBuf::from(value)),
            Some(("subpath", _)) => {}
            _ => return Ok(None),
        }
    }
    let upper = match (upper, work) {
        (Some(upper), Some(work)) => Some(OverlayUpper { upper, work, volatile: false }),
        (None, None) => None,
        _ => return Ok(None),
    };
    // A relative layer would be one of the bundle's; the kernel is to say what it thinks of it.
    if lower.is_empty() || lower.iter().any(|layer| !layer.is_absolute()) {
        return Ok(None);
    }
    Ok(Some(Mount::Overlay { lower, upper, userxattr: false }))
}

/// Paths with colons between; a backslash keeps the letter after it.
fn layers(text: &str) -> Vec<PathBuf> {
    let mut layers = vec![String::new()];
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        let last = layers.last_mut().expect("there is always one");
        match letter {
            ':' => layers.push(String::new()),
            '\\' => last.extend(letters.next()),
            letter => last.push(letter),
        }
    }
    layers.into_iter().filter(|layer| !layer.is_empty()).map(PathBuf::from).collect()
}

/// Makes it, attached to nothing.
pub(super) fn open(
    mount: &Mount,
    subpath: Option<&Path>,
    options: &Options,
    label: Option<&str>,
) -> Result<What> {
    let union = dhow_sys::union::open_labelled(mount, label)
        .map_err(io::Error::from)
        .doing(|| "unite the layers")?;
    let tree = match subpath {
        None => union,
        Some(subpath) => part(&union, subpath)?,
    };
    let is_directory = {
        let status = rustix::fs::fstat(&tree).doing(|| "look at the union")?;
        rustix::fs::FileType::from_raw_mode(status.st_mode) == rustix::fs::FileType::Directory
    };
    let attributes = Attributes { set: options.set, clear: options.clear, propagation: None };
    if options.changes_mount() {
        dhow_sys::mount::set_attributes(tree.as_fd(), attributes, Reach::ThisMount)
            .doing(|| "set the options of the union")?;
    }
    propagate(tree.as_fd(), &options.propagation).doing(|| "change how the union propagates")?;
    Ok(What::Bind { tree, is_directory })
}

fn part(union: &OwnedFd, subpath: &Path) -> Result<OwnedFd> {
    let place = open_beneath(union.as_fd(), subpath)?;
    let attributes = Attributes::propagating(Propagation::Private);
    dhow_sys::mount::copy(place.as_fd(), attributes, Reach::ThisMount)
        .doing(|| format!("mount {} of the union alone", subpath.display()))
        .map_err(|error| error.hint("a part of a union takes Linux 6.15"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unions_of_directories_are_told_from_other_wishes() {
        let asked = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(ToString::to_string).collect();
            asked_for("overlay", &words).unwrap()
        };

        let read_only = asked(&["lowerdir=/a:/b\\:c"]).unwrap();
        assert_eq!(
            read_only,
            Mount::Overlay {
                lower: vec!["/a".into(), "/b:c".into()],
                upper: None,
                userxattr: false
            }
        );
        assert!(asked(&["lowerdir=/a", "upperdir=/u", "workdir=/w", "subpath=x"]).is_some());
        for words in [
            &["lowerdir=/a", "upperdir=/u"][..],
            &["lowerdir=/a", "index=off"],
            &["lowerdir=a"],
            &["upperdir=/u", "workdir=/w"],
        ] {
            assert_eq!(asked(words), None, "{words:?}");
        }
        assert_eq!(asked_for("tmpfs", &["lowerdir=/a".to_owned()]).unwrap(), None);
    }
}
