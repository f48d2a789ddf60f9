//! Files that are whole or absent: written beside their place, then renamed into it.
//!
//! The temporary name is `.<name>.<random>.tmp` in the same directory. What a `kill -9` leaves is
//! therefore recognisable; [`is_leftover`] tells it for those who sweep.

use crate::{Doing, Result, id::random_hex};
use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use std::{
    fs::File,
    io::{Read, Write},
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

/// Whether the bytes must reach the disk before the name does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Durability {
    /// The file survives a power cut (costs an fsync of file and directory).
    Synced,
    /// The file survives `kill -9`, which is all that a tmpfs can promise anyway.
    Cached,
}

/// Replaces `path` with `bytes`, so that a reader sees the old file or the new one, never a part.
pub fn write_atomically(
    path: &Path,
    bytes: &[u8],
    mode: u32,
    durability: Durability,
) -> Result<()> {
    let temporary = temporary_beside(path)?;
    let written = write_new(&temporary, bytes, mode, durability).and_then(|()| {
        rustix::fs::rename(&temporary, path)
            .doing(|| format!("rename {} to {}", temporary.display(), path.display()))
    });
    if written.is_err() {
        // The write's own error is the one to report; a leftover is recognisable by its name.
        let _unlinked = rustix::fs::unlink(&temporary);
        return written;
    }
    if durability == Durability::Synced {
        sync_parent(path)?;
    }
    Ok(())
}

/// As [`write_atomically`], cached, for whoever is the only writer of `path`: the temporary name is
/// always the same one, and what a writer that was killed left of it gives way.
pub fn replace(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = path.with_file_name(format!(".{name}.new.tmp"));
    let flags =
        OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::WRONLY | OFlags::CLOEXEC;
    let doing = || format!("write {}", temporary.display());
    let fd = rustix::fs::open(&temporary, flags, Mode::from_raw_mode(mode)).doing(doing)?;
    File::from(fd).write_all(bytes).doing(doing)?;
    rustix::fs::rename(&temporary, path)
        .doing(|| format!("rename {} to {}", temporary.display(), path.display()))
}

/// Creates `path` with `bytes`; fails where anything, a dangling link too, has that name.
pub fn write_new(path: &Path, bytes: &[u8], mode: u32, durability: Durability) -> Result<()> {
    let mut file = create_new(path, mode)?;
    file.write_all(bytes).doing(|| format!("write {}", path.display()))?;
    if durability == Durability::Synced {
        file.sync_all().doing(|| format!("sync {}", path.display()))?;
    }
    Ok(())
}

/// Creates an empty file that did not exist, open for reading and writing.
pub fn create_new(path: &Path, mode: u32) -> Result<File> {
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::CLOEXEC;
    let fd = rustix::fs::open(path, flags, Mode::from_raw_mode(mode))
        .doing(|| format!("create {}", path.display()))?;
    Ok(File::from(fd))
}

/// Reads a file of at most `limit_bytes`; a larger one is an error, not a large allocation.
pub fn read_limited(path: &Path, limit_bytes: u64) -> Result<Vec<u8>> {
    let fd = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .doing(|| format!("open {}", path.display()))?;
    read_fd_limited(fd, limit_bytes).doing(|| format!("read {}", path.display()))
}

/// As [`read_limited`], of an open file.
pub fn read_fd_limited(fd: OwnedFd, limit_bytes: u64) -> Result<Vec<u8>> {
    let too_large = || {
        let text = format!("the content is larger than {limit_bytes} bytes");
        crate::Error::new(crate::Kind::Exhausted, text)
    };
    // The kernel's own files (procfs, cgroups) say that they are empty.
    let size = rustix::fs::fstat(&fd).map_or(0, |status| status.st_size.cast_unsigned());
    // One more than there are, so that the end is seen without growing.
    let expected = size.saturating_add(1).clamp(4096, 1 << 20).min(limit_bytes.saturating_add(1));
    let mut bytes = Vec::with_capacity(usize::try_from(expected).unwrap_or(4096));
    // An ordinary file that gives what it said to have, and not more although asked, ends there.
    if (1..expected).contains(&size) {
        let count = read_once(&fd, &mut bytes).doing(|| "read the content")?;
        if count as u64 == size {
            return if size > limit_bytes { Err(too_large()) } else { Ok(bytes) };
        }
    }
    let rest = limit_bytes.saturating_add(1).saturating_sub(bytes.len() as u64);
    File::from(fd).take(rest).read_to_end(&mut bytes).doing(|| "read the content")?;
    if bytes.len() as u64 > limit_bytes {
        return Err(too_large());
    }
    Ok(bytes)
}

fn read_once(fd: &OwnedFd, bytes: &mut Vec<u8>) -> rustix::io::Result<usize> {
    loop {
        match rustix::io::read(fd, rustix::buffer::spare_capacity(bytes)) {
            Err(rustix::io::Errno::INTR) => {}
            result => return result,
        }
    }
}

/// Makes a rename in `path`'s directory survive a power cut.
pub fn sync_parent(path: &Path) -> Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or_else(|| Path::new("."));
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = rustix::fs::open(parent, flags, Mode::empty())
        .doing(|| format!("open {}", parent.display()))?;
    rustix::fs::fsync(&directory).doing(|| format!("sync {}", parent.display()))
}

/// Creates a directory and its parents; one that exists already is fine.
pub fn make_directories(path: &Path, mode: u32) -> Result<()> {
    match rustix::fs::mkdirat(CWD, path, Mode::from_raw_mode(mode)) {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::EXIST) => Ok(()),
        Err(rustix::io::Errno::NOENT) => {
            if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
                make_directories(parent, mode)?;
            }
            match rustix::fs::mkdirat(CWD, path, Mode::from_raw_mode(mode)) {
                Ok(()) | Err(rustix::io::Errno::EXIST) => Ok(()),
                Err(errno) => Err(errno).doing(|| format!("create directory {}", path.display())),
            }
        }
        Err(errno) => Err(errno).doing(|| format!("create directory {}", path.display())),
    }
}

/// Removes a file; one that is not there is fine.
pub fn remove_if_there(path: &Path) -> Result<()> {
    match rustix::fs::unlinkat(CWD, path, AtFlags::empty()) {
        Ok(()) | Err(rustix::io::Errno::NOENT) => Ok(()),
        Err(errno) => Err(errno).doing(|| format!("remove {}", path.display())),
    }
}

/// Is this the name of a file that [`write_atomically`] did not finish?
pub fn is_leftover(name: &str) -> bool {
    name.starts_with('.') && name.ends_with(".tmp")
}

/// A name beside `path` for what will take its place, another one each time; [`is_leftover`] knows it.
pub fn temporary_beside(path: &Path) -> Result<PathBuf> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    Ok(path.with_file_name(format!(".{name}.{}.tmp", random_hex(6)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replaced_file_has_the_new_content_and_leaves_no_temporary() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state");

        write_atomically(&path, b"old", 0o600, Durability::Cached).unwrap();
        write_atomically(&path, b"new", 0o600, Durability::Synced).unwrap();

        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn the_only_writer_is_not_stopped_by_what_a_killed_one_left() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state");
        std::fs::write(directory.path().join(".state.new.tmp"), b"longer than the new").unwrap();

        replace(&path, b"new", 0o600).unwrap();

        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
        assert!(is_leftover(".state.new.tmp"));
    }

    #[test]
    fn a_new_file_does_not_follow_a_planted_link() {
        let directory = tempfile::tempdir().unwrap();
        let (victim, link) = (directory.path().join("victim"), directory.path().join("link"));
        std::os::unix::fs::symlink(&victim, &link).unwrap();

        let error = write_new(&link, b"x", 0o600, Durability::Cached).unwrap_err();

        assert_eq!(error.kind(), crate::Kind::AlreadyExists);
        assert!(!victim.exists());
    }

    #[test]
    fn reading_stops_at_the_limit() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("big");
        std::fs::write(&path, [0_u8; 11]).unwrap();

        assert_eq!(read_limited(&path, 11).unwrap().len(), 11);
        assert_eq!(read_limited(&path, 10).unwrap_err().kind(), crate::Kind::Exhausted);
    }
}
