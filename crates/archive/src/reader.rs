//! Walks the entries of a tar stream, once, front to back.
//!
//! ```text
//!   next_entry ─▶ Entry ─▶ read (its content) ─▶ next_entry ─▶ … ─▶ None ─▶ drain
//! ```
//!
//! Extended headers (PAX, GNU long names) and sparse maps are folded into the entry they describe.
//! Where tools differ on what a header means, this reader agrees with Go's `archive/tar`, the one
//! that docker, containerd, podman and umoci use; where Go is lenient with something that no packer
//! writes, it refuses. An archive that ends between two entries without its zero blocks is accepted,
//! one that ends within an entry is not.

use crate::{
    entry::{Entry, EntryKind, Mtime},
    header::{BLOCK, Dialect, Header, text},
    limits::{Limits, exceeded},
    path::ArchivePath,
    pax::Pax,
    sparse::{OldGnu, SparseMap},
};
use dhow_base::{Doing, Error, Kind, Result};
use std::io::{self, Read};

const BUFFER_BYTES: usize = 128 << 10;
/// Regions in a block that continues an old header of GNU tar's.
const REGIONS_OF_A_BLOCK: u64 = 21;
/// What a region of a sparse file takes: as two numbers, and as an [`Extent`](crate::sparse::Extent).
const REGION_BYTES: u64 = 32;

/// The entries of a tar stream. Reading from it gives the content of the entry just returned.
#[derive(Debug)]
pub struct Reader<R> {
    input: Input<R>,
    limits: Limits,
    headers: u64,
    name: ArchivePath,
    written: Written,
    left: u64,
    padding: u64,
    sparse: Option<SparseMap>,
    /// What the map takes of the layer's allowance.
    held_bytes: u64,
    ended: bool,
}

/// The current entry as the archive writes it, where that is more than the entry keeps.
#[derive(Debug, Default)]
pub(crate) struct Written {
    pub(crate) name: Vec<u8>,
    /// The target of a link of either kind.
    pub(crate) link: Vec<u8>,
    /// With whatever bits a packer has put above the permissions.
    pub(crate) mode: i64,
}

/// What extended headers say about the entry after them.
#[derive(Default)]
struct Extension {
    pax: Option<Pax>,
    long_name: Option<Vec<u8>>,
    long_link: Option<Vec<u8>>,
}

impl Extension {
    fn is_none(&self) -> bool {
        self.pax.is_none() && self.long_name.is_none() && self.long_link.is_none()
    }
}

impl<R: Read> Reader<R> {
    /// Starts at the first byte of an uncompressed tar stream.
    pub fn new(stream: R, limits: Limits) -> Result<Self> {
        let name = ArchivePath::parse(b"", &limits)?;
        Ok(Self {
            input: Input::new(stream),
            limits,
            headers: 0,
            name,
            written: Written::default(),
            left: 0,
            padding: 0,
            sparse: None,
            held_bytes: 0,
            ended: false,
        })
    }

    /// The next entry, or nothing at the end; content not read is skipped.
    pub fn next_entry(&mut self) -> Result<Option<Entry>> {
        self.skip_content()?;
        let mut extension = Extension::default();
        while let Some(block) = self.header_block()? {
            let header = Header::parse(&block)?;
            self.headers += 1;
            if self.headers > self.limits.entries {
                return Err(exceeded("the archive", "entries", self.limits.entries));
            }
            match header.typeflag() {
                b'x' => {
                    let payload = self.payload(&header)?;
                    extension.pax = Some(Pax::parse(&payload, &self.limits)?);
                }
                b'g' => drop(Pax::parse(&self.payload(&header)?, &self.limits)?),
                b'L' => extension.long_name = Some(text(&self.payload(&header)?).to_vec()),
                b'K' => extension.long_link = Some(text(&self.payload(&header)?).to_vec()),
                _ => return self.entry(&header, extension).map(Some),
            }
        }
        if extension.is_none() {
            return Ok(None);
        }
        Err(self.truncated("after an extended header"))
    }

    /// How many bytes of the stream lie before what is read next: after `next_entry` and before the
    /// first read, the place of the content.
    pub fn position(&self) -> u64 {
        self.input.position
    }

    /// Reads to the end of the stream, so that a digest over it is complete, and returns its length.
    pub fn drain(&mut self) -> Result<u64> {
        self.skip_content()?;
        self.ended = true;
        while !self.input.fill()?.is_empty() {
            self.input.take(u64::MAX);
        }
        Ok(self.input.position)
    }

    /// Whether the current entry is a file with holes, whose content is less than its size.
    pub fn is_sparse(&self) -> bool {
        self.sparse.is_some()
    }

    /// The current entry as it is written.
    pub(crate) fn written(&self) -> &Written {
        &self.written
    }

    /// The map of the current entry, where it is sparse.
    pub(crate) fn take_sparse(&mut self) -> Option<SparseMap> {
        self.sparse.take()
    }

    /// The next piece of the current content, at most `most` bytes; empty at its end.
    pub(crate) fn piece(&mut self, most: u64) -> Result<&[u8]> {
        let most = most.min(self.left);
        if most == 0 {
            return Ok(&[]);
        }
        if self.input.fill()?.is_empty() {
            return Err(self.truncated("in the content"));
        }
        let piece = self.input.take(most);
        self.left -= piece.len() as u64;
        Ok(piece)
    }

    fn skip_content(&mut self) -> Result<()> {
        self.sparse = None;
        self.limits.allowance.give(std::mem::take(&mut self.held_bytes));
        while self.left > 0 {
            self.piece(u64::MAX)?;
        }
        // Some packers leave out the padding of the last entry; the end is no loss there.
        while self.padding > 0 && !self.input.fill()?.is_empty() {
            self.padding -= self.input.take(self.padding).len() as u64;
        }
        self.padding = 0;
        Ok(())
    }

    /// The next block that is not the end of the archive.
    fn header_block(&mut self) -> Result<Option<[u8; BLOCK]>> {
        if self.ended {
            return Ok(None);
        }
        let Some(block) = self.block()? else { return Ok(None) };
        if !Header::is_zero(&block) {
            return Ok(Some(block));
        }
        self.ended = true;
        match self.block()? {
            Some(second) if !Header::is_zero(&second) => Err(Error::new(
                Kind::Corrupt,
                format!("the archive goes on after a lone zero block after {}", self.name),
            )),
            _ => Ok(None),
        }
    }

    /// A whole block, or nothing where the stream ends before it.
    fn block(&mut self) -> Result<Option<[u8; BLOCK]>> {
        let mut block = [0; BLOCK];
        let mut filled = 0;
        while filled < BLOCK {
            if self.input.fill()?.is_empty() {
                break;
            }
            let piece = self.input.take((BLOCK - filled) as u64);
            block[filled..filled + piece.len()].copy_from_slice(piece);
            filled += piece.len();
        }
        match filled {
            0 => Ok(None),
            BLOCK => Ok(Some(block)),
            _ => Err(self.truncated("in a header")),
        }
    }

    /// The payload of an extended header.
    fn payload(&mut self, header: &Header<'_>) -> Result<Vec<u8>> {
        let size = u64::try_from(header.size()?)
            .map_err(|_| header.corrupt("the size in its header is negative"))?;
        if size > self.limits.pax_bytes {
            return Err(exceeded(
                "extended header",
                "bytes of extended header",
                self.limits.pax_bytes,
            ));
        }
        self.expect_content(size);
        let mut payload = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
        while self.left > 0 {
            let piece = self.piece(u64::MAX)?;
            payload.extend_from_slice(piece);
        }
        self.skip_content()?;
        Ok(payload)
    }

    fn expect_content(&mut self, size: u64) {
        self.left = size;
        self.padding = (BLOCK as u64 - size % BLOCK as u64) % BLOCK as u64;
    }

    fn entry(&mut self, header: &Header<'_>, extension: Extension) -> Result<Entry> {
        let mut pax = extension.pax.unwrap_or_default();
        // GNU's long name beats the PAX path, and a sparse file's own name beats both, as in Go.
        let name = pax.path.take().unwrap_or_else(|| header.name());
        let name = extension.long_name.unwrap_or(name);
        let name = pax.sparse.name.take().unwrap_or(name);
        self.name = ArchivePath::parse(&name, &self.limits)?;
        let link = pax.link_path.take().unwrap_or_else(|| header.link_name().to_vec());
        let link = extension.long_link.unwrap_or(link);
        self.written = Written { name: name.clone(), link: link.clone(), mode: header.mode()? };

        let kind = match header.typeflag() {
            0 if name.ends_with(b"/") => EntryKind::Directory,
            0 | b'0' | b'7' | b'S' => self.content(header, &pax)?,
            b'1' => EntryKind::HardLink { target: self.hard_link_target(&link)? },
            b'2' => EntryKind::Symlink { target: self.symlink_target(link)? },
            b'3' => {
                let (major, minor) = self.device(header)?;
                EntryKind::CharDevice { major, minor }
            }
            b'4' => {
                let (major, minor) = self.device(header)?;
                EntryKind::BlockDevice { major, minor }
            }
            b'5' => EntryKind::Directory,
            b'6' => EntryKind::Fifo,
            other => {
                let why = format!("its type \"{}\" is not known", other.escape_ascii());
                return Err(self.corrupt(&why).kinded(Kind::Unsupported));
            }
        };
        let mtime = match pax.mtime {
            Some(mtime) => mtime,
            None => Mtime { seconds: header.mtime()?, nanoseconds: 0 },
        };
        Ok(Entry {
            path: self.name.clone(),
            kind,
            mode: u32::try_from(self.written.mode & 0o7777).expect("twelve bits fit"),
            uid: self.owner(pax.uid, header.uid())?,
            gid: self.owner(pax.gid, header.gid())?,
            mtime,
            xattrs: pax.xattrs,
        })
    }

    /// Prepares for the content of a regular file. Entries of other types have none, whatever the
    /// size in their header says: so Go reads them.
    fn content(&mut self, header: &Header<'_>, pax: &Pax) -> Result<EntryKind> {
        let stored = match pax.size {
            Some(size) => size,
            None => u64::try_from(header.size()?)
                .map_err(|_| self.corrupt("the size in its header is negative"))?,
        };
        self.check_size(stored)?;
        self.expect_content(stored);
        self.sparse = if header.typeflag() == b'S' {
            Some(self.old_gnu_map(header)?)
        } else {
            self.pax_map(pax)?
        };
        let size = self.sparse.as_ref().map_or(stored, |map| map.real_size);
        self.check_size(size)?;
        Ok(EntryKind::File { size })
    }

    fn check_size(&self, size: u64) -> Result<()> {
        // Past `i64::MAX` no offset in a file can name it.
        if size > self.limits.file_bytes.min(i64::MAX.unsigned_abs()) {
            let object = format!("archive entry {}", self.name);
            return Err(exceeded(object, "bytes of one file", self.limits.file_bytes));
        }
        Ok(())
    }

    fn old_gnu_map(&mut self, header: &Header<'_>) -> Result<SparseMap> {
        if header.dialect != Dialect::Gnu {
            return Err(self.corrupt("a sparse file outside a GNU archive"));
        }
        let stored = self.left;
        let mut map = OldGnu::start(header.gnu_sparse()).doing(|| self.reading())?;
        while map.extended {
            self.hold(REGIONS_OF_A_BLOCK)?;
            let block = self.block()?.ok_or_else(|| self.truncated("in a sparse map"))?;
            map.go_on(&block, &self.limits).doing(|| self.reading())?;
        }
        let real_size = map.real_size;
        SparseMap::check(map.extents(), real_size, stored).doing(|| self.reading())
    }

    fn pax_map(&mut self, pax: &Pax) -> Result<Option<SparseMap>> {
        let sparse = &pax.sparse;
        let (numbers, real_size) = match (sparse.major, sparse.minor) {
            (Some(1), Some(0)) => (self.stored_map()?, sparse.real_size),
            (None, None) | (Some(0), Some(0 | 1)) => match &sparse.numbers {
                Some(numbers) => {
                    self.hold(numbers.len() as u64)?;
                    (numbers.clone(), sparse.real_size)
                }
                None => return Ok(None),
            },
            _ => {
                let error = self.corrupt("its version of sparse files is not known");
                return Err(error.kinded(Kind::Unsupported));
            }
        };
        let real_size =
            real_size.ok_or_else(|| self.corrupt("a sparse file whose size is missing"))?;
        SparseMap::pairs(&numbers)
            .and_then(|extents| SparseMap::check(extents, real_size, self.left))
            .map(Some)
            .doing(|| self.reading())
    }

    /// The map of version 1.0: decimal lines before the content, padded to a block.
    fn stored_map(&mut self) -> Result<Vec<u64>> {
        let mut numbers = Vec::new();
        let (mut wanted, mut current) = (None, None::<u64>);
        loop {
            for byte in self.content_block()? {
                match (byte, current) {
                    (b'0'..=b'9', _) => {
                        current = current
                            .unwrap_or(0)
                            .checked_mul(10)
                            .and_then(|value| value.checked_add(u64::from(byte - b'0')));
                        if current.is_none() {
                            return Err(self.corrupt("a number in its sparse map is too large"));
                        }
                    }
                    (b'\n', Some(value)) => {
                        current = None;
                        match wanted {
                            None => {
                                let count = self.extent_count(value)?;
                                numbers.reserve_exact(count.min(self.numbers_that_fit()));
                                wanted = Some(count);
                            }
                            Some(_) => numbers.push(value),
                        }
                    }
                    _ => return Err(self.corrupt("its sparse map is malformed")),
                }
                if wanted == Some(numbers.len()) {
                    return Ok(numbers);
                }
            }
        }
    }

    /// Takes of the layer's allowance what so many regions need, until the next entry.
    fn hold(&mut self, regions: u64) -> Result<()> {
        let bytes = regions.saturating_mul(REGION_BYTES);
        self.limits.allowance.take(bytes).doing(|| self.reading())?;
        self.held_bytes += bytes;
        Ok(())
    }

    /// How many numbers follow a count of regions.
    fn extent_count(&mut self, count: u64) -> Result<usize> {
        let count =
            usize::try_from(count).ok().filter(|count| *count <= self.limits.sparse_extents);
        let count = count.ok_or_else(|| {
            let object = format!("archive entry {}", self.name);
            exceeded(object, "sparse extents", self.limits.sparse_extents)
        })?;
        self.hold(count as u64)?;
        Ok(count * 2)
    }

    /// A number takes two bytes at least.
    fn numbers_that_fit(&self) -> usize {
        usize::try_from(self.left / 2).unwrap_or(usize::MAX).saturating_add(BLOCK / 2)
    }

    fn content_block(&mut self) -> Result<[u8; BLOCK]> {
        if self.left < BLOCK as u64 {
            return Err(self.corrupt("its sparse map is longer than its content"));
        }
        let block = self.block()?.ok_or_else(|| self.truncated("in a sparse map"))?;
        self.left -= BLOCK as u64;
        Ok(block)
    }

    fn hard_link_target(&self, link: &[u8]) -> Result<ArchivePath> {
        let target = ArchivePath::parse(link, &self.limits).doing(|| self.reading())?;
        if target.is_root() {
            return Err(self.corrupt("a hard link to nothing"));
        }
        Ok(target)
    }

    fn symlink_target(&self, link: Vec<u8>) -> Result<Vec<u8>> {
        if link.is_empty() || link.contains(&0) {
            return Err(self.corrupt("a symlink whose target is empty or has a NUL byte"));
        }
        if link.len() >= self.limits.path_bytes {
            let object = format!("the target of archive entry {}", self.name);
            return Err(exceeded(object, "bytes of path", self.limits.path_bytes));
        }
        Ok(link)
    }

    fn device(&self, header: &Header<'_>) -> Result<(u32, u32)> {
        let (major, minor) = header.device()?;
        match (u32::try_from(major), u32::try_from(minor)) {
            // Linux has 12 bits for the one and 20 for the other.
            (Ok(major), Ok(minor)) if major < 1 << 12 && minor < 1 << 20 => Ok((major, minor)),
            _ => Err(self.corrupt("its device number does not exist")),
        }
    }

    /// An owner as the kernel takes it; `-1` would mean "leave as it is" to `chown`.
    fn owner(&self, pax: Option<u64>, header: Result<i64>) -> Result<u32> {
        let id = match pax {
            Some(id) => u32::try_from(id).ok(),
            None => u32::try_from(header?).ok(),
        };
        id.filter(|id| *id != u32::MAX)
            .ok_or_else(|| self.corrupt("its owner or group is out of range"))
    }

    fn reading(&self) -> String {
        format!("read archive entry {}", self.name)
    }

    fn corrupt(&self, why: &str) -> Error {
        Error::new(Kind::Corrupt, format!("archive entry {}: {why}", self.name))
    }

    fn truncated(&self, place: &str) -> Error {
        let what = if self.headers == 0 {
            "the archive ends in its first header".to_owned()
        } else {
            format!("the archive ends {place} at or after entry {}", self.name)
        };
        Error::new(Kind::Corrupt, what)
    }
}

/// The content of the entry that `next_entry` returned. Holes are not made up: a sparse file is
/// refused.
impl<R: Read> Read for Reader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.sparse.is_some() {
            let what = format!("archive entry {}: it is sparse", self.name);
            return Err(Error::new(Kind::Unsupported, what).into());
        }
        let piece = self.piece(buffer.len() as u64)?;
        buffer[..piece.len()].copy_from_slice(piece);
        Ok(piece.len())
    }
}

/// The stream through a buffer that is filled at least half, however small the pieces are that the
/// decoder hands out: most files then are one write.
#[derive(Debug)]
struct Input<R> {
    stream: R,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    position: u64,
    ended: bool,
}

impl<R: Read> Input<R> {
    fn new(stream: R) -> Self {
        Self { stream, buffer: vec![0; BUFFER_BYTES], start: 0, end: 0, position: 0, ended: false }
    }

    /// What is in the buffer, after reading where it was empty; empty at the end of the stream.
    fn fill(&mut self) -> Result<&[u8]> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
            while !self.ended && self.end < BUFFER_BYTES / 2 {
                match self.stream.read(&mut self.buffer[self.end..]) {
                    Ok(0) => self.ended = true,
                    Ok(count) => self.end += count,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error).doing(|| "read the archive"),
                }
            }
        }
        Ok(&self.buffer[self.start..self.end])
    }

    /// Takes up to `most` bytes that [`Input::fill`] has brought.
    fn take(&mut self, most: u64) -> &[u8] {
        let held = self.end - self.start;
        let count = usize::try_from(most).map_or(held, |most| most.min(held));
        let piece = &self.buffer[self.start..self.start + count];
        self.start += count;
        self.position = self.position.saturating_add(count as u64);
        piece
    }
}
