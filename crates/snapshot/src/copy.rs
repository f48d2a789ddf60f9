//! A tree copied with everything that it has: owners, modes, times to the nanosecond, extended
//! attributes, hard links, holes, devices, pipes and sockets.
//!
//! The source is a committed snapshot, which nobody changes. Contents are shared with the source
//! where the file system can (`FICLONE`), else copied by the kernel region by region, so that
//! holes stay holes.

use crate::{
    attributes::{self, Owners, Place},
    open_directory,
};
use dhow_base::{Doing, Result};
use rustix::{
    fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, SeekFrom, Stat},
    io::Errno,
};
use std::{
    collections::HashMap,
    ffi::{CStr, CString, OsStr},
    fs::File,
    io,
    ops::Range,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::{ffi::OsStrExt, fs::FileExt},
    },
    path::{Path, PathBuf},
};

/// Fills the empty directory `to` with a copy of what is in `from`.
pub(crate) fn copy(from: OwnedFd, to: &Path, owners: Owners<'_>) -> Result<()> {
    let mut copy = Copy {
        owners,
        from,
        to: open_directory(to)?,
        pending: vec![PathBuf::new()],
        done: Vec::new(),
        links: HashMap::new(),
        clones: true,
    };
    while let Some(path) = copy.pending.pop() {
        copy.directory(&path).doing(|| format!("copy directory /{}", path.display()))?;
        copy.done.push(path);
    }
    // Last, since making an entry changes the times of its directory; children before parents is
    // not needed, since setting attributes changes no times but one's own.
    for path in std::mem::take(&mut copy.done) {
        let (from, to) = (within(&copy.from, &path)?, within(&copy.to, &path)?);
        attributes::copy_directory_as(from, to, &copy.owners)
            .doing(|| format!("copy the attributes of /{}", path.display()))?;
    }
    Ok(())
}

struct Copy<'o> {
    owners: Owners<'o>,
    from: OwnedFd,
    to: OwnedFd,
    pending: Vec<PathBuf>,
    done: Vec<PathBuf>,
    /// The first name of each file that has several.
    links: HashMap<(u64, u64), PathBuf>,
    /// Whether the file system is still believed to share blocks.
    clones: bool,
}

impl Copy<'_> {
    fn directory(&mut self, path: &Path) -> Result<()> {
        let (from, to) = (within(&self.from, path)?, within(&self.to, path)?);
        let read = Dir::read_from(&from).doing(|| "list it")?;
        for entry in read {
            let entry = entry.doing(|| "list it")?;
            let name = entry.file_name();
            if name != c"." && name != c".." {
                self.entry(&from, &to, path, name).doing(|| format!("copy {name:?}"))?;
            }
        }
        Ok(())
    }

    fn entry(&mut self, from: &OwnedFd, to: &OwnedFd, parent: &Path, name: &CStr) -> Result<()> {
        let stat =
            rustix::fs::statat(from, name, AtFlags::SYMLINK_NOFOLLOW).doing(|| "look at it")?;
        let kind = FileType::from_raw_mode(stat.st_mode);
        let path = parent.join(OsStr::from_bytes(name.to_bytes()));
        if kind == FileType::Directory {
            rustix::fs::mkdirat(to, name, Mode::RWXU).doing(|| "create the directory")?;
            self.pending.push(path);
            return Ok(());
        }
        if stat.st_nlink > 1 && self.link(&stat, &path, to, name)? {
            return Ok(());
        }
        match kind {
            FileType::RegularFile => self.file(from, to, name, &stat)?,
            FileType::Symlink => symlink(from, to, name)?,
            _ => rustix::fs::mknodat(to, name, kind, Mode::from_raw_mode(0o600), stat.st_rdev)
                .doing(|| "create the special file")?,
        }
        attributes::copy_entry(&Place::within(from, name), to, name, &stat, &self.owners)
    }

    /// Links to the copy of another name of the same file, if there is one yet.
    fn link(&mut self, stat: &Stat, path: &Path, to: &OwnedFd, name: &CStr) -> Result<bool> {
        match self.links.get(&(stat.st_dev, stat.st_ino)) {
            Some(first) => {
                rustix::fs::linkat(&self.to, first, to, name, AtFlags::empty())
                    .doing(|| format!("link it to {}", first.display()))?;
                Ok(true)
            }
            None => {
                self.links.insert((stat.st_dev, stat.st_ino), path.to_owned());
                Ok(false)
            }
        }
    }

    fn file(&mut self, from: &OwnedFd, to: &OwnedFd, name: &CStr, stat: &Stat) -> Result<()> {
        let read = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let source = rustix::fs::openat(from, name, read, Mode::empty()).doing(|| "open it")?;
        let write =
            OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let target = rustix::fs::openat(to, name, write, Mode::from_raw_mode(0o600))
            .doing(|| "create the file")?;
        if self.clones && stat.st_size > 0 {
            match rustix::fs::ioctl_ficlone(&target, &source) {
                Ok(()) => return Ok(()),
                Err(_) => self.clones = false,
            }
        }
        regions(&source, &target, stat.st_size.cast_unsigned()).doing(|| "copy the content")
    }
}

fn symlink(from: &OwnedFd, to: &OwnedFd, name: &CStr) -> Result<()> {
    let target: CString =
        rustix::fs::readlinkat(from, name, Vec::new()).doing(|| "read the link")?;
    rustix::fs::symlinkat(&target, to, name).doing(|| "create the link")
}

/// Copies the regions that hold data and leaves the rest out.
fn regions(source: &OwnedFd, target: &OwnedFd, size: u64) -> io::Result<()> {
    rustix::fs::ftruncate(target, size)?;
    let mut offset = 0;
    while offset < size {
        let start = match rustix::fs::seek(source, SeekFrom::Data(offset)) {
            Ok(start) => start,
            Err(Errno::NXIO) => break,
            // A file system that does not know holes has none.
            Err(Errno::INVAL) => offset,
            Err(errno) => return Err(errno.into()),
        };
        let end = match rustix::fs::seek(source, SeekFrom::Hole(start)) {
            Ok(end) => end.min(size),
            Err(Errno::INVAL) => size,
            Err(errno) => return Err(errno.into()),
        };
        range(source, target.as_fd(), start..end, start)?;
        offset = end;
    }
    Ok(())
}

/// Copies a part of a file to a place in another, by the kernel where it can.
pub(crate) fn range(
    source: &OwnedFd,
    target: BorrowedFd<'_>,
    part: Range<u64>,
    to: u64,
) -> io::Result<()> {
    let (mut read_at, mut write_at) = (part.start, to);
    while read_at < part.end {
        let length = usize::try_from(part.end - read_at).unwrap_or(usize::MAX).min(1 << 30);
        match rustix::fs::copy_file_range(
            source,
            Some(&mut read_at),
            target,
            Some(&mut write_at),
            length,
        ) {
            // The file is shorter than it was; nobody changes a committed snapshot.
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => {}
            Err(Errno::XDEV | Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                return through_memory(source, target, read_at..part.end, write_at);
            }
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

fn through_memory(
    source: &OwnedFd,
    target: BorrowedFd<'_>,
    part: Range<u64>,
    to: u64,
) -> io::Result<()> {
    let (source, target) =
        (File::from(source.try_clone()?), File::from(target.try_clone_to_owned()?));
    let mut buffer = vec![0; 256 << 10];
    let mut done = 0;
    while part.start + done < part.end {
        let left = usize::try_from(part.end - part.start - done).unwrap_or(usize::MAX);
        let most = left.min(buffer.len());
        let count = source.read_at(&mut buffer[..most], part.start + done)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        target.write_all_at(&buffer[..count], to + done)?;
        done += count as u64;
    }
    Ok(())
}

fn within(directory: impl AsFd, path: &Path) -> Result<OwnedFd> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    rustix::fs::openat2(directory, path, flags, Mode::empty(), resolve)
        .doing(|| format!("open {}", path.display()))
}
