//! The files inside a tar file, by name, without unpacking it: `docker save`, an OCI archive.
//!
//! One walk over the headers notes where each file's bytes lie; after that a file is a range of the
//! archive. An archive that is compressed as a whole is first inflated into a file without a name,
//! which goes with its fd.
//!
//! Links lead to other names of the same archive and nowhere else. What other tools could read in
//! another way than we do is refused when it is asked for: a name that stands there twice with
//! different bytes (the first counts for some, the last for others), and a sparse file.

use crate::Bounds;
use dhow_archive::{Compression, Decoder, EntryKind, Reader, exceeded};
use dhow_base::{Doing, Error, Kind, Result, file, id::random_hex};
use rustix::{
    fs::{Mode, OFlags},
    io::Errno,
};
use std::{
    collections::HashMap,
    fs::File,
    io::{self, Read, Seek},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Links followed from one name.
const LINKS_LIMIT: usize = 8;
/// How much of two files is compared at a time.
const COMPARED_BYTES: usize = 64 << 10;

/// Where, and within which limits, an archive is read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spool<'a> {
    /// A directory for the inflated form of a compressed one; the file there has no name.
    pub(crate) scratch: &'a Path,
    /// The limits of one layer, which hold for the archive as well.
    pub(crate) bounds: &'a Bounds,
}

impl Spool<'_> {
    /// Keeps a stream in a file without a name, which stands at its beginning.
    pub(crate) fn take(self, stream: impl Read) -> Result<File> {
        let doing = || format!("spool into {}", self.scratch.display());
        let most = self.bounds.archive.unpacked_bytes;
        let mut file = nameless(self.scratch)?;
        let size = io::copy(&mut stream.take(most.saturating_add(1)), &mut file).doing(doing)?;
        if size > most {
            return Err(exceeded("the archive", "unpacked bytes", most));
        }
        file.rewind().doing(doing)?;
        Ok(file)
    }
}

/// An archive and where its files lie.
#[derive(Debug)]
pub(crate) struct Tarfile {
    file: Arc<File>,
    path: PathBuf,
    places: HashMap<String, Place>,
}

#[derive(Clone, Debug)]
enum Place {
    Range {
        at: u64,
        size: u64,
    },
    /// Old archives of docker share layers by symbolic links.
    Link(String),
    /// What is there cannot be had, and why.
    Refused(&'static str),
}

impl Tarfile {
    /// Walks the archive at `path`.
    pub(crate) fn open(path: &Path, spool: Spool<'_>) -> Result<Self> {
        Self::of(regular_file(path)?, path, spool)
    }

    /// As [`Tarfile::open`], of a file that is open already and called `path` in messages.
    pub(crate) fn of(file: File, path: &Path, spool: Spool<'_>) -> Result<Self> {
        let doing = || format!("read archive {}", path.display());
        let mut magic = [0; 6];
        let length = file.read_at(&mut magic, 0).doing(doing)?;
        let file = match Compression::of_magic(&magic[..length]) {
            Compression::Plain => file,
            _ => {
                let decoder = Decoder::detect(file, spool.bounds.decoding.clone()).doing(doing)?;
                spool.take(decoder).doing(doing)?
            }
        };
        let file = Arc::new(file);
        let places = walk(&file, spool.bounds).doing(doing)?;
        Ok(Self { file, path: path.to_owned(), places })
    }

    /// Is there such a file? One that cannot be read is there as well.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.place(name).map_or_else(|error| error.kind() != Kind::NotFound, |_| true)
    }

    /// Where a file's bytes begin, which no other file's do.
    pub(crate) fn begin(&self, name: &str) -> Result<u64> {
        self.place(name).map(|(at, _)| at)
    }

    /// The size of a file.
    pub(crate) fn size(&self, name: &str) -> Result<u64> {
        self.place(name).map(|(_, size)| size)
    }

    /// A file's bytes from `offset` on.
    pub(crate) fn read(&self, name: &str, offset: u64) -> Result<Box<dyn Read + Send>> {
        let (at, size) = self.place(name)?;
        let offset = offset.min(size);
        let range = Range { file: Arc::clone(&self.file), at: at + offset, left: size - offset };
        Ok(Box::new(range))
    }

    fn place(&self, name: &str) -> Result<(u64, u64)> {
        let doing = || format!("find {name} in {}", self.path.display());
        let mut current = normal(name);
        for _ in 0..=LINKS_LIMIT {
            match self.places.get(&current) {
                Some(Place::Range { at, size }) => return Ok((*at, *size)),
                Some(Place::Link(target)) => current = normal(target),
                Some(Place::Refused(why)) => {
                    return Err(Error::new(Kind::Unsupported, format!("{}: {why}", doing())));
                }
                None => return Err(Error::new(Kind::NotFound, doing())),
            }
        }
        Err(Error::new(Kind::Corrupt, format!("{}: it leads through too many links", doing())))
    }
}

/// Opens a file that is really one: a pipe or device could keep us forever.
pub(crate) fn regular_file(path: &Path) -> Result<File> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let fd = rustix::fs::open(path, flags, Mode::empty())
        .doing(|| format!("open {}", path.display()))?;
    let file = File::from(fd);
    let is_file = file.metadata().doing(|| format!("look at {}", path.display()))?.is_file();
    if is_file {
        Ok(file)
    } else {
        Err(Error::new(Kind::Invalid, format!("open {}: it is no regular file", path.display())))
    }
}

/// A file in `directory` that has no name and goes with its fd.
pub(crate) fn nameless(directory: &Path) -> Result<File> {
    file::make_directories(directory, 0o700)?;
    let flags = OFlags::RDWR | OFlags::TMPFILE | OFlags::CLOEXEC;
    match rustix::fs::open(directory, flags, Mode::from_raw_mode(0o600)) {
        Ok(fd) => Ok(File::from(fd)),
        // A file system without such files: one that loses its name at once is as good.
        Err(Errno::OPNOTSUPP | Errno::ISDIR) => {
            let path = directory.join(format!(".{}.tmp", random_hex(8)?));
            let file = file::create_new(&path, 0o600)?;
            file::remove_if_there(&path)?;
            Ok(file)
        }
        Err(errno) => Err(errno).doing(|| format!("create a file in {}", directory.display())),
    }
}

fn walk(file: &Arc<File>, bounds: &Bounds) -> Result<HashMap<String, Place>> {
    let whole = Range { file: Arc::clone(file), at: 0, left: u64::MAX };
    let mut reader = Reader::new(whole, bounds.archive.clone())?;
    let mut places: HashMap<String, Place> = HashMap::new();
    let mut remembered = 0;
    while let Some(entry) = reader.next_entry()? {
        let Ok(name) = str::from_utf8(entry.path.as_bytes()) else { continue };
        let place = match &entry.kind {
            EntryKind::File { .. } if reader.is_sparse() => Place::Refused("it is a sparse file"),
            EntryKind::File { size } => Place::Range { at: reader.position(), size: *size },
            EntryKind::HardLink { target } => {
                Place::Link(String::from_utf8_lossy(target.as_bytes()).into_owned())
            }
            EntryKind::Symlink { target } => {
                let directory = name.rsplit_once('/').map_or("", |(directory, _)| directory);
                Place::Link(format!("{directory}/{}", String::from_utf8_lossy(target)))
            }
            _ => continue,
        };
        let target = if let Place::Link(target) = &place { target.len() } else { 0 };
        remembered += name.len() + target + size_of::<(String, Place)>();
        if remembered > bounds.archive.remembered_bytes {
            let most = bounds.archive.remembered_bytes;
            return Err(exceeded("the archive", "remembered bytes of paths", most));
        }
        let place = match places.get(name) {
            Some(other) if !are_same(file, other, &place)? => {
                Place::Refused("it is there twice, with different bytes")
            }
            _ => place,
        };
        places.insert(name.to_owned(), place);
    }
    Ok(places)
}

/// Do two places have the same bytes? They are read only where they are as long, so that an archive
/// that repeats itself is read three times at most.
fn are_same(file: &Arc<File>, one: &Place, other: &Place) -> Result<bool> {
    let (mut left, mut right) = match (one, other) {
        (Place::Link(one), Place::Link(other)) => return Ok(normal(one) == normal(other)),
        (Place::Range { at: one, size }, Place::Range { at: other, size: same })
            if size == same =>
        {
            let range = |at| Range { file: Arc::clone(file), at, left: *size };
            (range(*one), range(*other))
        }
        _ => return Ok(false),
    };
    let (mut left_bytes, mut right_bytes) = (vec![0; COMPARED_BYTES], vec![0; COMPARED_BYTES]);
    while left.left > 0 {
        let most = COMPARED_BYTES.min(usize::try_from(left.left).unwrap_or(usize::MAX));
        let (ours, theirs) = (&mut left_bytes[..most], &mut right_bytes[..most]);
        left.read_exact(ours).and_then(|()| right.read_exact(theirs)).doing(|| "compare files")?;
        if ours != theirs {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A name in the archive, with `.` and `..` folded; it leads to the table of names only.
fn normal(name: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in name.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// A range of a shared file.
#[derive(Debug)]
struct Range {
    file: Arc<File>,
    at: u64,
    left: u64,
}

impl Read for Range {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let count = self.file.read_at(&mut buffer[..most], self.at)?;
        self.at += count as u64;
        self.left -= count as u64;
        Ok(count)
    }
}
