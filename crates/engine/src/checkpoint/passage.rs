//! A checkpoint as one file, with which a container goes to another machine, or becomes another one here.
//!
//! ```text
//!  dhow.json     how the container was made: first, since it is made again before anything else is read
//!  rootfs.tar    what it has changed of its image, as a layer
//!  …             CRIU's files
//! ```
//!
//! The image is not in it, and volumes are not.

use crate::{Engine, changes::presences, replace::Made, rooted};
use dhow_archive::{
    ArchivePath, Builder, DecodeLimits, Decoder, Encoder, Encoding, Entry, EntryKind, Limits, Pack,
    Reader, Unpack, Whiteouts,
};
use dhow_base::{Digest, Doing, Error, Kind, Result, file, id::ContainerId};
use dhow_state::containers::{Container, Phase};
use serde::{Deserialize, Serialize};
use std::{
    fmt,
    fs::File,
    io::{self, BufWriter, Read, Write},
    os::fd::AsFd,
    path::Path,
};

const PASSPORT: &str = "dhow.json";
const ROOT: &str = "rootfs.tar";

/// The form of the file.
const VERSION: u32 = 1;

/// A passport has a command line in it.
const PASSPORT_LIMIT_BYTES: u64 = 4 << 20;

/// Whether what the container has changed of its image goes along.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Changes {
    /// Yes.
    Taken,
    /// No.
    Left,
}

/// How the container was made.
#[derive(Debug, Deserialize, Serialize)]
struct Passport {
    version: u32,
    name: String,
    image_name: String,
    image: Option<String>,
    words: Vec<String>,
    directory: String,
}

/// A checkpoint that has come in a file, as far as its passport.
pub struct Passage<R: Read> {
    /// How its container was made.
    pub made: Made,
    reader: Reader<Decoder<R>>,
}

impl<R: Read> fmt::Debug for Passage<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Passage").field("made", &self.made).finish_non_exhaustive()
    }
}

impl<R: Read> Passage<R> {
    /// Reads the beginning of such a file.
    pub fn open(stream: R) -> Result<Self> {
        let plain = Decoder::detect(stream, DecodeLimits::default())?;
        let mut reader = Reader::new(plain, Limits::default())?;
        let refused = || {
            Error::new(Kind::Invalid, "it is no checkpoint of dhow's")
                .hint("`dhow container checkpoint --export` writes such a file")
        };
        let first = reader.next_entry().map_err(|error| refused().because(error))?;
        let first = first.ok_or_else(refused)?;
        if first.path.as_bytes() != PASSPORT.as_bytes() {
            return Err(refused());
        }
        let mut bytes = Vec::new();
        (&mut reader).take(PASSPORT_LIMIT_BYTES).read_to_end(&mut bytes).doing(|| "read it")?;
        let passport: Passport =
            serde_json::from_slice(&bytes).map_err(|error| refused().because(error))?;
        if passport.version > VERSION {
            return Err(Error::new(Kind::Unsupported, "a newer dhow has written it"));
        }
        let image = passport.image.as_deref().map(str::parse::<Digest>).transpose()?;
        let made = Made {
            id: ContainerId::random()?,
            name: passport.name,
            image_name: passport.image_name,
            image,
            words: passport.words,
            directory: passport.directory,
        };
        Ok(Self { made, reader })
    }
}

impl Engine {
    /// Writes the checkpoint of a container as one file.
    pub fn export_checkpoint(
        &mut self,
        container: &str,
        to: &mut dyn Write,
        encoding: Encoding,
        changes: Changes,
    ) -> Result<()> {
        let row = self.look_up(container)?;
        self.write_passage(&row, to, encoding, changes)
            .doing(|| format!("export the checkpoint of container {}", row.name))
    }

    fn write_passage(
        &mut self,
        row: &Container,
        to: &mut dyn Write,
        encoding: Encoding,
        changes: Changes,
    ) -> Result<()> {
        let made = self.made(row.id.as_str())?;
        let passport = Passport {
            version: VERSION,
            name: made.name,
            image_name: made.image_name,
            image: made.image.map(|digest| digest.to_string()),
            words: made.words,
            directory: made.directory,
        };
        let passport = serde_json::to_vec(&passport)
            .map_err(|error| Error::new(Kind::Internal, "write how it was made").because(error))?;
        let mut builder = Builder::new(Encoder::new(to, encoding, None)?);
        append(&mut builder, PASSPORT, passport.len() as u64, &mut &passport[..])?;
        if changes == Changes::Taken {
            // A tar file says how long a file is before the file.
            let spool = self.layout.container(&row.id).join(ROOT);
            let written = self
                .spool_changes(row, &spool)
                .and_then(|()| append_file(&mut builder, ROOT, &spool));
            file::remove_if_there(&spool)?;
            written?;
        }
        let images = self.layout.checkpoint(&row.id);
        let mut paths = crate::doctor::entries(&images)?;
        paths.sort();
        for path in paths {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            append_file(&mut builder, &name, &path)?;
        }
        let (sink, _) = builder.finish()?.finish()?;
        sink.flush().doing(|| "write the end")
    }

    fn spool_changes(&mut self, row: &Container, spool: &Path) -> Result<()> {
        let root = self.root_of(row)?.for_reading();
        let root = rooted::open(&root)?;
        let changes = self.own_changes(row)?;
        file::remove_if_there(spool)?;
        let mut sink = BufWriter::new(file::create_new(spool, 0o600)?);
        Pack::tree().write_changes(root.as_fd(), presences(&changes), &mut sink)?;
        sink.flush().doing(|| "spool what the container has changed")
    }

    /// Gives a container that was just made like another one the checkpoint of that one.
    pub fn import_checkpoint<R: Read>(
        &mut self,
        container: &str,
        passage: Passage<R>,
        changes: Changes,
    ) -> Result<()> {
        let row = self.look_up(container)?;
        let doing = || format!("import a checkpoint into container {}", row.name);
        if row.phase != Phase::Created || row.image != passage.made.image {
            let text = "it stands on another image than the one that the checkpoint is of";
            return Err(Error::new(Kind::Conflict, text)
                .hint(format!("{} must be the same here as there", passage.made.image_name)))
            .doing(doing);
        }
        let _lock = self.lock_root(&row.id)?;
        self.read_passage(&row, passage.reader, changes).doing(doing)
    }

    fn read_passage<R: Read>(
        &mut self,
        row: &Container,
        mut reader: Reader<Decoder<R>>,
        changes: Changes,
    ) -> Result<()> {
        let fresh = self.layout.checkpoint_being_made(&row.id);
        file::make_directories(&fresh, 0o700)?;
        while let Some(entry) = reader.next_entry()? {
            let name = entry.path.as_bytes();
            if name == ROOT.as_bytes() {
                if changes == Changes::Taken {
                    let root = rooted::open(&self.root_at_rest(row)?)?;
                    Unpack::new(root.as_fd(), Whiteouts::Apply, Limits::default())
                        .apply(&mut reader)?;
                }
                continue;
            }
            // CRIU's files lie side by side.
            if !matches!(entry.kind, EntryKind::File { .. }) || name.contains(&b'/') {
                let text = format!("{} is not one of its files", entry.path.as_path().display());
                return Err(Error::new(Kind::Corrupt, text));
            }
            let path = fresh.join(entry.path.as_path());
            let mut sink = file::create_new(&path, 0o600)?;
            io::copy(&mut reader, &mut sink).doing(|| format!("write {}", path.display()))?;
        }
        let place = self.layout.checkpoint(&row.id);
        std::fs::rename(&fresh, &place).doing(|| format!("make {}", place.display()))
    }

    /// Whether a container has volumes, which do not go along.
    pub fn has_volumes(&mut self, container: &str) -> Result<bool> {
        let row = self.look_up(container)?;
        Ok(crate::record::Record::parse(&row.settings)?.has_volumes())
    }

    /// Removes the checkpoint of a container.
    pub fn forget_checkpoint(&mut self, container: &str) -> Result<()> {
        let row = self.look_up(container)?;
        dhow_base::tree::remove(&self.layout.checkpoint(&row.id))
    }
}

fn append_file<W: Write>(builder: &mut Builder<W>, name: &str, path: &Path) -> Result<()> {
    let doing = || format!("read {}", path.display());
    let mut content = File::open(path).doing(doing)?;
    let size = content.metadata().doing(doing)?.len();
    append(builder, name, size, &mut content)
}

fn append<W: Write>(
    builder: &mut Builder<W>,
    name: &str,
    size: u64,
    content: &mut dyn Read,
) -> Result<()> {
    let path = ArchivePath::parse(name.as_bytes(), &Limits::default())?;
    builder.append(&Entry::new(path, EntryKind::File { size }, 0o600), content)
}
