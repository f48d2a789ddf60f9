//! Directories that a layer needs but does not list, where the layers below have a link.
//!
//! A layer that brings `lib/x` and does not list `lib` means the place that `lib` leads to when the
//! layers lie on each other: with `lib -> usr/lib` below, that is `usr/lib/x`, and the link stays.
//! Layers are unpacked apart from each other, so the file first lands in a directory `lib` of the
//! layer's own, which would hide the link; here it is moved to where it belongs. So do containerd
//! and umoci, which unpack a layer onto those below. A layer that lists `lib` as a directory means
//! to replace the link, and does.

use crate::{
    attributes::{self, Place},
    layer::{hides_below, names, within},
};
use dhow_base::{Doing, Error, Kind, Result, tree};
use rustix::{
    fs::{AtFlags, FileType, Mode, RenameFlags, Timestamps, XattrFlags, statat},
    io::Errno,
};
use std::{
    collections::VecDeque,
    ffi::{OsStr, OsString},
    os::{fd::OwnedFd, unix::ffi::OsStrExt},
    path::{Component, Path, PathBuf},
};

/// Links in one path; the kernel follows no more either.
const MOST_LINKS: usize = 40;

/// Moves what lies behind links of the layers below. `chain` has the uppermost first. Returns the
/// directories that are implied now.
pub(crate) fn relocate(
    own: &OwnedFd,
    chain: &[OwnedFd],
    implied: &[PathBuf],
) -> Result<Vec<PathBuf>> {
    let mut sorted = implied.to_vec();
    sorted.sort_unstable();
    let mut left = VecDeque::from(sorted);
    let mut settled = Vec::with_capacity(left.len());
    while let Some(path) = left.pop_front() {
        if hides_below(own, &path)? || link_at(chain, &path)?.is_none() {
            settled.push(path);
            continue;
        }
        let to = resolve(chain, &path)?;
        let moving = || format!("move {} to {}", path.display(), to.display());
        let Some(made) = make(own, &to).doing(moving)? else {
            // The layer itself has something else there, which says what it means.
            settled.push(path);
            continue;
        };
        settled.extend(made);
        merge(own, &path, &to).doing(moving)?;
        for later in &mut left {
            if let Ok(rest) = later.strip_prefix(&path) {
                *later = to.join(rest);
            }
        }
    }
    settled.sort_unstable();
    settled.dedup();
    Ok(settled)
}

/// The target of the link that the chain shows at a path, if it shows one.
fn link_at(chain: &[OwnedFd], path: &Path) -> Result<Option<PathBuf>> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Ok(None) };
    for layer in chain {
        let directory = match within(layer, parent) {
            Ok(directory) => directory,
            Err(Errno::NOENT) if hides_below(layer, path)? => return Ok(None),
            Err(Errno::NOENT) => continue,
            Err(Errno::NOTDIR | Errno::LOOP) => return Ok(None),
            Err(errno) => return Err(errno).doing(|| format!("look for {}", path.display())),
        };
        match statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink => {
                let target = rustix::fs::readlinkat(&directory, name, Vec::new())
                    .doing(|| format!("read the link {}", path.display()))?;
                return Ok(Some(OsStr::from_bytes(target.to_bytes()).into()));
            }
            Ok(_) => return Ok(None),
            Err(Errno::NOENT) if hides_below(layer, path)? => return Ok(None),
            Err(Errno::NOENT) => {}
            Err(errno) => return Err(errno).doing(|| format!("look for {}", path.display())),
        }
    }
    Ok(None)
}

/// Where a path leads in the chain, whose root no link leaves.
fn resolve(chain: &[OwnedFd], path: &Path) -> Result<PathBuf> {
    let mut ahead = reversed(path);
    let (mut place, mut links) = (PathBuf::new(), 0);
    while let Some(name) = ahead.pop() {
        if name == ".." {
            place.pop();
            continue;
        }
        let next = place.join(&name);
        let Some(target) = link_at(chain, &next)? else {
            place = next;
            continue;
        };
        links += 1;
        if links > MOST_LINKS {
            let what = format!("follow {}: it leads through too many links", path.display());
            return Err(Error::new(Kind::Corrupt, what));
        }
        if target.is_absolute() {
            place.clear();
        }
        ahead.extend(reversed(&target));
    }
    Ok(place)
}

fn reversed(path: &Path) -> Vec<OsString> {
    let named = path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        _ => None,
    });
    let mut names: Vec<OsString> = named.collect();
    names.reverse();
    names
}

/// Makes the directories that lead to a path, and returns those that were not there; nothing where
/// something else is in the way.
fn make(own: &OwnedFd, path: &Path) -> Result<Option<Vec<PathBuf>>> {
    let (mut place, mut made) = (PathBuf::new(), Vec::new());
    for component in path.components() {
        let parent = match within(own, &place) {
            Ok(parent) => parent,
            Err(Errno::NOTDIR | Errno::LOOP) => return Ok(None),
            Err(errno) => return Err(errno).doing(|| format!("open {}", place.display())),
        };
        let times = times(&parent)?;
        place.push(component);
        match rustix::fs::mkdirat(&parent, component.as_os_str(), Mode::from_raw_mode(0o755)) {
            Ok(()) => {
                made.push(place.clone());
                rustix::fs::futimens(&parent, &times).doing(|| "keep the times")?;
            }
            Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno).doing(|| format!("create {}", place.display())),
        }
    }
    Ok(within(own, path).is_ok().then_some(made))
}

/// Moves everything from one directory of the layer to another, and removes the first. What the
/// layer brings under the true name wins.
fn merge(own: &OwnedFd, from: &Path, to: &Path) -> Result<()> {
    let mut pending = vec![(from.to_owned(), to.to_owned())];
    let mut emptied = Vec::new();
    while let Some((from, to)) = pending.pop() {
        let open = |path: &Path| within(own, path).doing(|| format!("open {}", path.display()));
        let (source, target) = (open(&from)?, open(&to)?);
        let kept = times(&target)?;
        if attributes::overlay_notes(&Place::of(&source))?.is_opaque {
            let flags = XattrFlags::empty();
            rustix::fs::fsetxattr(&target, "trusted.overlay.opaque", b"y", flags)
                .doing(|| format!("make {} opaque", to.display()))?;
        }
        for name in names(&source)? {
            let flags = RenameFlags::NOREPLACE;
            match rustix::fs::renameat_with(&source, &name, &target, &name, flags) {
                Ok(()) => {}
                Err(Errno::EXIST) => {
                    let shown = OsStr::from_bytes(name.to_bytes());
                    let both =
                        (within(&source, Path::new(shown)), within(&target, Path::new(shown)));
                    match both {
                        (Ok(_), Ok(_)) => pending.push((from.join(shown), to.join(shown))),
                        (Ok(_), Err(_)) => {
                            tree::remove_in(&source, &name)?;
                        }
                        (Err(_), _) => {
                            rustix::fs::unlinkat(&source, &name, AtFlags::empty())
                                .doing(|| format!("remove {name:?}"))?;
                        }
                    }
                }
                Err(errno) => return Err(errno).doing(|| format!("move {name:?}")),
            }
        }
        rustix::fs::futimens(&target, &kept).doing(|| "keep the times")?;
        emptied.push(from);
    }
    for path in emptied.iter().rev() {
        let parent = path.parent().unwrap_or(Path::new(""));
        let parent = within(own, parent).doing(|| format!("open {}", parent.display()))?;
        let kept = times(&parent)?;
        let name = path.file_name().unwrap_or_default();
        rustix::fs::unlinkat(&parent, name, AtFlags::REMOVEDIR)
            .doing(|| format!("remove {}", path.display()))?;
        rustix::fs::futimens(&parent, &kept).doing(|| "keep the times")?;
    }
    Ok(())
}

fn times(directory: &OwnedFd) -> Result<Timestamps> {
    let stat = rustix::fs::fstat(directory).doing(|| "look at a directory")?;
    Ok(attributes::times(&stat))
}
