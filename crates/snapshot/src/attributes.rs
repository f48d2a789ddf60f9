//! What a file has besides its content: mode, owner, times and extended attributes.

use dhow_base::{Doing, Result};
use rustix::{
    fs::{AtFlags, Gid, Mode, Stat, Timespec, Timestamps, Uid, XattrFlags},
    io::Errno,
};
use std::{
    ffi::{CStr, CString},
    fmt,
    os::fd::{AsFd, AsRawFd},
    path::{Path, PathBuf},
};

/// What overlayfs notes on the directories of a layer; it belongs to the layer, not to the file.
const OVERLAY_NOTES: [&[u8]; 2] = [b"trusted.overlay.", b"user.overlay."];

/// Gives the directory behind `to` everything that the one behind `from` has.
pub(crate) fn copy_directory(from: impl AsFd, to: impl AsFd) -> Result<()> {
    copy_directory_as(from, to, &Owners::Kept)
}

/// The same, with other owners.
pub(crate) fn copy_directory_as(from: impl AsFd, to: impl AsFd, owners: &Owners<'_>) -> Result<()> {
    let stat = rustix::fs::fstat(&from).doing(|| "look at the directory")?;
    let (uid, gid) = owners.of(&stat)?;
    // What a new directory has anyway is not written again.
    let own = rustix::fs::fstat(&to).doing(|| "look at the copy")?;
    let is_owner_s = (own.st_uid, own.st_gid) == (uid.as_raw(), gid.as_raw());
    if !is_owner_s {
        rustix::fs::fchown(&to, Some(uid), Some(gid)).doing(|| "set the owner")?;
    }
    // A change of owner clears set-user-id bits.
    if !is_owner_s || mode(&own) != mode(&stat) {
        rustix::fs::fchmod(&to, mode(&stat)).doing(|| "set the mode")?;
    }
    if !(has_no_xattrs(&from) && has_no_xattrs(&to)) {
        copy_xattrs(&Place::of(&from), &Place::of(&to), owners)?;
    }
    rustix::fs::futimens(&to, &times(&stat)).doing(|| "set the times")
}

/// Gives `name` in `directory` the owner, mode, extended attributes and times of another file.
///
/// In this order, since a change of owner clears set-user-id bits and file capabilities.
pub(crate) fn copy_entry(
    from: &Place,
    directory: impl AsFd,
    name: &CStr,
    stat: &Stat,
    owners: &Owners<'_>,
) -> Result<()> {
    let (uid, gid) = owners.of(stat)?;
    let nofollow = AtFlags::SYMLINK_NOFOLLOW;
    rustix::fs::chownat(&directory, name, Some(uid), Some(gid), nofollow)
        .doing(|| "set the owner")?;
    if !is_symlink(stat) {
        rustix::fs::chmodat(&directory, name, mode(stat), AtFlags::empty())
            .doing(|| "set the mode")?;
    }
    copy_xattrs(from, &Place::within(&directory, name), owners)?;
    rustix::fs::utimensat(&directory, name, &times(stat), nofollow).doing(|| "set the times")
}

pub(crate) fn is_symlink(stat: &Stat) -> bool {
    rustix::fs::FileType::from_raw_mode(stat.st_mode) == rustix::fs::FileType::Symlink
}

/// Whose the files of a copy are.
#[derive(Clone, Copy)]
pub enum Owners<'o> {
    /// Those of the source.
    Kept,
    /// For each user and group of the source, another one; an error where there is none.
    Changed(&'o dyn Fn(u32, u32) -> Result<(u32, u32)>),
}

impl fmt::Debug for Owners<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kept => "Kept",
            Self::Changed(_) => "Changed",
        })
    }
}

impl Owners<'_> {
    fn of(&self, stat: &Stat) -> Result<(Uid, Gid)> {
        let (uid, gid) = match self {
            Self::Kept => (stat.st_uid, stat.st_gid),
            Self::Changed(changed) => changed(stat.st_uid, stat.st_gid)?,
        };
        Ok((Uid::from_raw(uid), Gid::from_raw(gid)))
    }

    /// File capabilities are given by the root of one user namespace, and count there and below: those
    /// of a copy are of the root that its files belong to. See `struct vfs_ns_cap_data` in
    /// linux/capability.h (Linux 4.14): revision 3 has the root's id behind what revision 2 has.
    fn capabilities(&self, mut value: Vec<u8>) -> Result<Vec<u8>> {
        const REVISION_BYTE: usize = 3;
        const ROOT: usize = 20;
        let Self::Changed(changed) = self else { return Ok(value) };
        let root = match (value.get(REVISION_BYTE), value.get(ROOT..)) {
            (Some(2), Some([])) => 0,
            (Some(3), Some(&[a, b, c, d])) => u32::from_le_bytes([a, b, c, d]),
            _ => return Ok(value),
        };
        value.truncate(ROOT);
        value[REVISION_BYTE] = 3;
        value.extend(changed(root, 0)?.0.to_le_bytes());
        Ok(value)
    }
}

fn mode(stat: &Stat) -> Mode {
    Mode::from_raw_mode(stat.st_mode & 0o7777)
}

pub(crate) fn times(stat: &Stat) -> Timestamps {
    let time = |seconds: i64, nanoseconds: u64| Timespec {
        tv_sec: seconds,
        tv_nsec: nanoseconds.cast_signed(),
    };
    Timestamps {
        last_access: time(stat.st_atime, stat.st_atime_nsec),
        last_modification: time(stat.st_mtime, stat.st_mtime_nsec),
    }
}

/// A path that names a file without following a link at its end.
///
/// The calls for extended attributes take no directory fd before Linux 6.13; a path through
/// `/proc/self/fd` is resolved from the fd just the same.
pub(crate) struct Place(PathBuf);

impl Place {
    pub(crate) fn of(fd: impl AsFd) -> Self {
        // The dot makes the link at the end a directory on the way.
        Self(format!("/proc/self/fd/{}/.", fd.as_fd().as_raw_fd()).into())
    }

    pub(crate) fn within(directory: impl AsFd, name: &CStr) -> Self {
        use std::os::unix::ffi::OsStrExt;
        let name = std::ffi::OsStr::from_bytes(name.to_bytes());
        Self(Path::new(&format!("/proc/self/fd/{}", directory.as_fd().as_raw_fd())).join(name))
    }
}

/// What overlayfs has noted on a file of an upper directory.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct OverlayNotes {
    /// It hides what lies below.
    pub(crate) is_opaque: bool,
    /// Its content or its name is to be found somewhere else.
    pub(crate) refers_elsewhere: bool,
}

/// Reads the notes of both forms, of root and of ordinary users.
pub(crate) fn overlay_notes(place: &Place) -> Result<OverlayNotes> {
    let mut notes = OverlayNotes::default();
    for name in every_name(place)? {
        let bytes = name.to_bytes();
        let Some(note) = OVERLAY_NOTES.iter().find_map(|prefix| bytes.strip_prefix(*prefix)) else {
            continue;
        };
        match note {
            b"opaque" => notes.is_opaque |= value(place, &name)? == b"y",
            b"redirect" | b"metacopy" => notes.refers_elsewhere = true,
            _ => {}
        }
    }
    Ok(notes)
}

/// Have two files the same extended attributes, but for the notes of overlayfs?
pub(crate) fn same_xattrs(one: &Place, other: &Place) -> Result<bool> {
    let (mut names_of_one, mut names_of_other) = (names(one)?, names(other)?);
    names_of_one.sort_unstable();
    names_of_other.sort_unstable();
    if names_of_one != names_of_other {
        return Ok(false);
    }
    for name in &names_of_one {
        if value(one, name)? != value(other, name)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether a directory that is open has none, as most: asked of the fd, which costs a tenth of a look
/// through `/proc`. Where that cannot be asked, it is not said.
fn has_no_xattrs(fd: impl AsFd) -> bool {
    rustix::fs::flistxattr_query(fd) == Ok(0)
}

/// Makes the extended attributes of `to` those of `from`. What `from` has not, goes.
fn copy_xattrs(from: &Place, to: &Place, owners: &Owners<'_>) -> Result<()> {
    let wanted = names(from)?;
    for name in names(to)?.iter().filter(|name| !wanted.contains(name)) {
        rustix::fs::lremovexattr(&to.0, name.as_c_str())
            .doing(|| format!("remove the attribute {name:?}"))?;
    }
    for name in &wanted {
        let mut value = value(from, name)?;
        if name.as_c_str() == c"security.capability" {
            value = owners.capabilities(value)?;
        }
        rustix::fs::lsetxattr(&to.0, name.as_c_str(), &value, XattrFlags::empty())
            .doing(|| format!("set the attribute {name:?}"))?;
    }
    Ok(())
}

/// The names of the attributes that belong to the file itself: neither overlayfs' notes nor the label of
/// SELinux, which says where a file lies and not what it is, and which the kernel lets nobody remove.
fn names(place: &Place) -> Result<Vec<CString>> {
    let mut names = every_name(place)?;
    names.retain(|name| {
        let is_note = OVERLAY_NOTES.iter().any(|note| name.to_bytes().starts_with(note));
        !is_note && name.as_c_str() != c"security.selinux"
    });
    Ok(names)
}

pub(crate) fn every_name(place: &Place) -> Result<Vec<CString>> {
    let mut buffer: Vec<u8> = Vec::new();
    loop {
        let size = match rustix::fs::llistxattr_query(&place.0) {
            Ok(0) | Err(Errno::NOTSUP) => return Ok(Vec::new()),
            Ok(size) => size,
            Err(errno) => return Err(errno).doing(|| "list the extended attributes"),
        };
        buffer.resize(size, 0);
        match rustix::fs::llistxattr(&place.0, &mut buffer[..]) {
            Ok(count) => {
                buffer.truncate(count);
                break;
            }
            Err(Errno::RANGE) => {}
            Err(errno) => return Err(errno).doing(|| "list the extended attributes"),
        }
    }
    let names = buffer.split(|byte| *byte == 0).filter(|name| !name.is_empty());
    Ok(names.map(|name| CString::new(name).expect("it was split at NUL bytes")).collect())
}

pub(crate) fn value(place: &Place, name: &CStr) -> Result<Vec<u8>> {
    let mut buffer = Vec::new();
    loop {
        let size = rustix::fs::lgetxattr_query(&place.0, name)
            .doing(|| format!("read the attribute {name:?}"))?;
        buffer.resize(size, 0);
        match rustix::fs::lgetxattr(&place.0, name, &mut buffer[..]) {
            Ok(count) => {
                buffer.truncate(count);
                return Ok(buffer);
            }
            Err(Errno::RANGE) => {}
            Err(errno) => return Err(errno).doing(|| format!("read the attribute {name:?}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_capabilities_of_a_copy_are_of_the_root_that_its_files_belong_to() {
        let away = |uid: u32, gid: u32| Ok((uid + 0x0102, gid));
        let mut plain = vec![0; 20];
        (plain[0], plain[3]) = (1, 2);

        let kept = Owners::Kept.capabilities(plain.clone()).unwrap();
        let changed = Owners::Changed(&away).capabilities(plain.clone()).unwrap();
        let again = Owners::Changed(&away).capabilities(changed.clone()).unwrap();
        let odd = Owners::Changed(&away).capabilities(vec![1, 2]).unwrap();

        assert_eq!(kept, plain);
        assert_eq!((changed[0], changed[3]), (1, 3));
        assert_eq!(changed[4..20], plain[4..20]);
        assert_eq!(changed[20..], [2, 1, 0, 0]);
        assert_eq!(again[20..], [4, 2, 0, 0]);
        assert_eq!(odd, [1, 2]);
    }
}
