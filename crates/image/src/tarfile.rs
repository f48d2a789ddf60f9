//! The files inside a tar file, by name, without unpacking it: `docker save`, an OCI archive.
//!
//! One walk over the headers notes where each file's bytes lie; after that a file is a range of the
//! archive. An archive that is compressed as a whole is first inflated into a file without a name,
//! which goes with its fd.

use dhow_archive::{Compression, DecodeLimits, Decoder, EntryKind, Limits, Reader};
use dhow_base::{Doing, Error, Kind, Result, file, id::random_hex};
use rustix::{
    fs::{Mode, OFlags},
    io::Errno,
};
use std::{
    collections::HashMap,
    fs::File,
    io::{self, Read},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Links followed from one name.
const LINKS_LIMIT: usize = 8;

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
}

impl Tarfile {
    /// Walks the archive at `path`. `scratch` is a directory for the inflated form of a compressed
    /// one.
    pub(crate) fn open(path: &Path, scratch: &Path) -> Result<Self> {
        Self::of(regular_file(path)?, path, scratch)
    }

    /// As [`Tarfile::open`], of a file that is open already and called `path` in messages.
    pub(crate) fn of(file: File, path: &Path, scratch: &Path) -> Result<Self> {
        let doing = || format!("read archive {}", path.display());
        let mut magic = [0; 6];
        let length = file.read_at(&mut magic, 0).doing(doing)?;
        let file = match Compression::of_magic(&magic[..length]) {
            Compression::Plain => file,
            _ => inflate(file, scratch).doing(doing)?,
        };
        let places = walk(&file).doing(doing)?;
        Ok(Self { file: Arc::new(file), path: path.to_owned(), places })
    }

    /// Is there such a file?
    pub(crate) fn has(&self, name: &str) -> bool {
        self.place(name).is_ok()
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
        let mut name = normal(name);
        for _ in 0..LINKS_LIMIT {
            match self.places.get(&name) {
                Some(Place::Range { at, size }) => return Ok((*at, *size)),
                Some(Place::Link(target)) => name = normal(target),
                None => break,
            }
        }
        Err(Error::new(Kind::NotFound, format!("find {name} in {}", self.path.display())))
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

fn inflate(file: File, scratch: &Path) -> Result<File> {
    let mut target = nameless(scratch)?;
    let mut decoder = Decoder::detect(file, DecodeLimits::default())?;
    io::copy(&mut decoder, &mut target).doing(|| format!("inflate into {}", scratch.display()))?;
    Ok(target)
}

fn walk(file: &File) -> Result<HashMap<String, Place>> {
    let whole = Range {
        file: Arc::new(file.try_clone().doing(|| "share the file")?),
        at: 0,
        left: u64::MAX,
    };
    let mut reader = Reader::new(whole, Limits::default())?;
    let mut places = HashMap::new();
    while let Some(entry) = reader.next_entry()? {
        let Ok(name) = str::from_utf8(entry.path.as_bytes()) else { continue };
        let place = match &entry.kind {
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
        places.insert(name.to_owned(), place);
    }
    Ok(places)
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
