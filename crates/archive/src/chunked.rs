//! zstd:chunked: a layer of which each file can be fetched by itself.
//!
//! The tar stream is walked as it comes. Headers and padding go into frames of their own, and each
//! file's content into one or more frames, cut where the content says ([`crate::cut`]); the table of
//! contents ([`crate::contents`]) tells where they lie. All frames together are one zstd stream, the
//! same tar for everybody.
//!
//! ```text
//!  header ─▶ content ─▶ padding ─▶ header ─▶ … ─▶ zero blocks and what follows
//!    └─▶ extended header ─┘
//! ```
//!
//! What it cannot say is refused: sparse files in any form of a map, and names that are not UTF-8.

use crate::{
    contents::{
        Chunk, Contents, Place, Row, SKIPPABLE_HEADER_BYTES, annotations, footer, skippable,
    },
    cut::Cutter,
    entry::EntryKind,
    header::{BLOCK, Header},
    limits::{Limits, exceeded},
    press::{Method, Press},
    reader::Reader,
    tar_split::{Crc64, TarSplit},
};
use dhow_base::{
    Digest, Doing, Error, Kind, Result,
    digest::{Algorithm, Hasher},
};
use std::{
    collections::{BTreeMap, VecDeque},
    io::Write,
};

/// Headers and padding are compressed when so much of them has come.
const RAW_BYTES: usize = 1 << 20;

/// A zstd:chunked layer in the making.
pub(crate) struct Chunked<W> {
    sink: W,
    /// Bytes written to the sink.
    position: u64,
    press: Press,
    /// What the frames in the press are, and what to write down between them.
    notes: VecDeque<Note>,
    contents: Contents,
    split: TarSplit<SplitSink>,
    limits: Limits,
    walk: Walk,
    headers: u64,
    /// Headers of the entry that is coming: its own and the extended ones before it.
    group: Vec<u8>,
    /// Bytes that are no content and are not yet in a frame.
    raw: Vec<u8>,
    /// How much of `raw` the tar-split data has.
    split_to: usize,
    file: Option<FileInProgress>,
    /// The pieces of the file whose frames come out of the press.
    chunks: Vec<Chunk>,
}

type SplitSink = zstd::stream::write::Encoder<'static, Vec<u8>>;

/// Where in the tar stream we are.
#[derive(Clone, Copy, Debug)]
enum Walk {
    Header,
    /// The payload of an extended header, with its padding.
    Extension {
        left: u64,
    },
    Content {
        left: u64,
        padding: u64,
    },
    Padding {
        left: u64,
    },
    /// After the last entry.
    Trailer,
}

enum Note {
    /// A frame of headers.
    Raw,
    /// A frame of content; its offset is known when it comes out.
    Chunk(Chunk),
    /// All frames of this entry have come out before.
    Entry(Box<Row>, Option<Digest>),
}

/// The file whose content passes.
struct FileInProgress {
    row: Box<Row>,
    size: u64,
    hasher: Hasher,
    checksum: Crc64,
    cutter: Cutter,
    piece: Vec<u8>,
    /// Where in the file the piece begins.
    at: u64,
}

impl<W: Write> Chunked<W> {
    pub(crate) fn new(sink: W, level: i32) -> Result<Self> {
        let split = zstd::stream::write::Encoder::new(Vec::new(), level)
            .doing(|| "start the tar-split data")?;
        Ok(Self {
            sink,
            position: 0,
            press: Press::new(Method::Zstd(level)),
            notes: VecDeque::new(),
            contents: Contents::new(level)?,
            split: TarSplit::new(split),
            limits: Limits::default(),
            walk: Walk::Header,
            headers: 0,
            group: Vec::new(),
            raw: Vec::new(),
            split_to: 0,
            file: None,
            chunks: Vec::new(),
        })
    }

    /// Takes the next bytes of the tar stream.
    pub(crate) fn take(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            let count = match self.walk {
                Walk::Header => self.header(bytes)?,
                Walk::Extension { left } => {
                    let count = up_to(bytes, left);
                    self.group.extend_from_slice(&bytes[..count]);
                    let left = left - count as u64;
                    self.walk = if left == 0 { Walk::Header } else { Walk::Extension { left } };
                    count
                }
                Walk::Content { left, padding } => {
                    let count = up_to(bytes, left);
                    self.content(&bytes[..count])?;
                    let left = left - count as u64;
                    self.walk = Walk::Content { left, padding };
                    if left == 0 {
                        self.end_file()?;
                        self.walk = padded(padding);
                    }
                    count
                }
                Walk::Padding { left } => {
                    let count = up_to(bytes, left);
                    self.raw.extend_from_slice(&bytes[..count]);
                    self.walk = padded(left - count as u64);
                    count
                }
                Walk::Trailer => {
                    let count = bytes.len().min(RAW_BYTES);
                    self.raw.extend_from_slice(&bytes[..count]);
                    self.flush_raw(RAW_BYTES)?;
                    count
                }
            };
            bytes = &bytes[count..];
        }
        Ok(())
    }

    /// Completes a header block from the bytes, and acts on it when it is whole.
    fn header(&mut self, bytes: &[u8]) -> Result<usize> {
        let missing = BLOCK - self.group.len() % BLOCK;
        let count = missing.min(bytes.len());
        self.group.extend_from_slice(&bytes[..count]);
        if count < missing {
            return Ok(count);
        }
        let block = self.group.last_chunk::<BLOCK>().expect("a block was just completed");
        if Header::is_zero(block) {
            self.raw.append(&mut self.group);
            self.walk = Walk::Trailer;
            return Ok(count);
        }
        self.headers += 1;
        if self.headers > self.limits.entries {
            return Err(exceeded("the archive", "entries", self.limits.entries));
        }
        let header = Header::parse(block)?;
        if matches!(header.typeflag(), b'x' | b'g' | b'L' | b'K') {
            let size = u64::try_from(header.size()?)
                .map_err(|_| header.corrupt("the size in its header is negative"))?;
            let most = self.limits.pax_bytes;
            if size > most || self.group.len() as u64 > 8 * most {
                return Err(exceeded("extended header", "bytes of extended header", most));
            }
            let left = size.next_multiple_of(BLOCK as u64);
            self.walk = if left == 0 { Walk::Header } else { Walk::Extension { left } };
            return Ok(count);
        }
        self.entry()?;
        Ok(count)
    }

    /// An entry, all of whose headers have come.
    fn entry(&mut self) -> Result<()> {
        let mut reader = Reader::new(&self.group[..], self.limits.clone())?;
        let entry = match reader.next_entry() {
            // A map that goes on behind the headers ends too early for the reader.
            Err(_) if self.has_map() => return Err(sparse("a file of it")),
            Err(error) => return Err(error),
            Ok(entry) => {
                entry.ok_or_else(|| Error::new(Kind::Corrupt, "a header describes no entry"))?
            }
        };
        if reader.take_sparse().is_some() {
            return Err(sparse(entry.path));
        }
        let row = Box::new(Row::new(&entry, reader.written())?);
        self.raw.append(&mut self.group);
        let EntryKind::File { size } = entry.kind else {
            self.walk = Walk::Header;
            return self.note(Note::Entry(row, None));
        };
        self.split.segment(&self.raw[self.split_to..])?;
        self.split_to = self.raw.len();
        if size == 0 {
            self.walk = Walk::Header;
            self.split.file(row.name(), 0, None)?;
            return self.note(Note::Entry(row, None));
        }
        self.flush_raw(0)?;
        self.file = Some(FileInProgress {
            row,
            size,
            hasher: Hasher::new(Algorithm::Sha256),
            checksum: Crc64::new(),
            cutter: Cutter::default(),
            piece: Vec::new(),
            at: 0,
        });
        let padding = size.next_multiple_of(BLOCK as u64) - size;
        self.walk = Walk::Content { left: size, padding };
        Ok(())
    }

    /// Do the headers speak of a sparse file, in any of GNU tar's forms?
    fn has_map(&self) -> bool {
        let key = b"GNU.sparse.";
        let old = self.group.last_chunk::<BLOCK>().map(Header::parse);
        old.is_some_and(|header| header.is_ok_and(|header| header.typeflag() == b'S'))
            || self.group.windows(key.len()).any(|window| window == key)
    }

    fn content(&mut self, mut bytes: &[u8]) -> Result<()> {
        let Some(mut file) = self.file.take() else { return Ok(()) };
        file.hasher.update(bytes);
        file.checksum.update(bytes);
        while !bytes.is_empty() {
            let (count, is_end) = file.cutter.take(bytes);
            file.piece.extend_from_slice(&bytes[..count]);
            bytes = &bytes[count..];
            if is_end {
                self.piece(&mut file)?;
            }
        }
        self.file = Some(file);
        Ok(())
    }

    fn end_file(&mut self) -> Result<()> {
        let Some(mut file) = self.file.take() else { return Ok(()) };
        if !file.piece.is_empty() {
            self.piece(&mut file)?;
        }
        self.split.file(file.row.name(), file.size, Some(file.checksum.finish()))?;
        self.note(Note::Entry(file.row, Some(file.hasher.finish())))
    }

    /// Hands a piece to the press.
    fn piece(&mut self, file: &mut FileInProgress) -> Result<()> {
        let piece = std::mem::take(&mut file.piece);
        let size = piece.len() as u64;
        let chunk = Chunk {
            at: file.at,
            size,
            digest: Digest::of(&piece),
            is_zeros: piece.iter().all(|byte| *byte == 0),
            offset: 0,
        };
        file.at += size;
        self.frame(piece, Note::Chunk(chunk))
    }

    /// Makes a frame of what is no content, where there is more than `most` of it.
    fn flush_raw(&mut self, most: usize) -> Result<()> {
        if self.raw.len() <= most {
            return Ok(());
        }
        self.split.segment(&self.raw[self.split_to..])?;
        self.split_to = 0;
        let raw = std::mem::take(&mut self.raw);
        self.frame(raw, Note::Raw)
    }

    fn frame(&mut self, block: Vec<u8>, note: Note) -> Result<()> {
        self.notes.push_back(note);
        match self.press.push(block)? {
            Some(frame) => self.out(&frame),
            None => Ok(()),
        }
    }

    /// Notes an entry, which is written down when the frames before it are.
    fn note(&mut self, note: Note) -> Result<()> {
        self.notes.push_back(note);
        self.flush_raw(RAW_BYTES)?;
        self.settle()
    }

    /// Writes a frame that came out of the press.
    fn out(&mut self, frame: &[u8]) -> Result<()> {
        self.settle()?;
        if let Some(Note::Chunk(mut chunk)) = self.notes.pop_front() {
            chunk.offset = self.position;
            self.chunks.push(chunk);
        }
        self.sink.write_all(frame).doing(|| "write a frame of the layer")?;
        self.position += frame.len() as u64;
        self.settle()
    }

    /// Writes the entries down that wait for no frame.
    fn settle(&mut self) -> Result<()> {
        while let Some(Note::Entry(..)) = self.notes.front() {
            if let Some(Note::Entry(row, digest)) = self.notes.pop_front() {
                let chunks = std::mem::take(&mut self.chunks);
                self.contents.entry(*row, digest, &chunks, self.position)?;
            }
        }
        Ok(())
    }

    /// Writes what is left, and returns the sink and the annotations of the layer.
    pub(crate) fn finish(mut self) -> Result<(W, BTreeMap<String, String>)> {
        if !self.group.is_empty() || !matches!(self.walk, Walk::Header | Walk::Trailer) {
            return Err(Error::new(Kind::Corrupt, "the archive ends within an entry"));
        }
        self.flush_raw(0)?;
        while let Some(frame) = self.press.pop()? {
            self.out(&frame)?;
        }
        self.settle()?;
        let (split, split_length) = self.split.finish();
        let split = split.finish().doing(|| "end the tar-split data")?;
        let (table, table_length) = self.contents.finish(&Digest::of(&split))?;
        let table_at = self.position + SKIPPABLE_HEADER_BYTES;
        let table_place =
            Place { offset: table_at, length: table.len() as u64, plain_length: table_length };
        let split_at = table_at + table.len() as u64 + SKIPPABLE_HEADER_BYTES;
        let split_place =
            Place { offset: split_at, length: split.len() as u64, plain_length: split_length };
        for frame in [&table, &split, &footer(table_place, split_place)] {
            skippable(&mut self.sink, frame).doing(|| "write the table of contents")?;
        }
        self.sink.flush().doing(|| "end the layer")?;
        Ok((self.sink, annotations(table_place, &Digest::of(&table), split_place)))
    }
}

/// Tar-split data cannot say where holes are, so no reader could make the layer again.
fn sparse(what: impl std::fmt::Display) -> Error {
    let what = format!("write a table of contents for zstd:chunked: {what} is sparse");
    Error::new(Kind::Unsupported, what).hint("zstd, without such a table, can hold it")
}

fn up_to(bytes: &[u8], most: u64) -> usize {
    usize::try_from(most).unwrap_or(usize::MAX).min(bytes.len())
}

fn padded(left: u64) -> Walk {
    if left == 0 { Walk::Header } else { Walk::Padding { left } }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ArchivePath, Builder, DecodeLimits, Decoder, Entry, Mtime, Xattr};
    use data_encoding::BASE64;
    use serde_json::Value;
    use std::io::Read;

    fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut builder = Builder::new(Vec::new());
        let path = |name: &str| ArchivePath::parse(name.as_bytes(), &Limits::default()).unwrap();
        let mut directory = Entry::new(path("etc"), EntryKind::Directory, 0o755);
        directory.mtime = Mtime { seconds: 1_700_000_000, nanoseconds: 5 };
        builder.append(&directory, &mut std::io::empty()).unwrap();
        for (name, content) in files {
            let size = content.len() as u64;
            let mut entry = Entry::new(path(name), EntryKind::File { size }, 0o4711);
            entry.xattrs.push(Xattr { name: b"user.note".to_vec(), value: vec![0, 255] });
            builder.append(&entry, &mut &content[..]).unwrap();
        }
        let link = EntryKind::HardLink { target: path("etc/small") };
        builder.append(&Entry::new(path("etc/twin"), link, 0o644), &mut std::io::empty()).unwrap();
        builder.finish().unwrap()
    }

    fn chunked(tar: &[u8], at_once: usize) -> Result<(Vec<u8>, BTreeMap<String, String>)> {
        let mut chunked = Chunked::new(Vec::new(), 3)?;
        for piece in tar.chunks(at_once) {
            chunked.take(piece)?;
        }
        chunked.finish()
    }

    fn unzstd(bytes: &[u8]) -> Vec<u8> {
        let mut decoder = Decoder::detect(bytes, DecodeLimits::default()).unwrap();
        let mut content = Vec::new();
        decoder.read_to_end(&mut content).unwrap();
        content
    }

    /// The document that an annotation points to.
    fn document(blob: &[u8], annotations: &BTreeMap<String, String>, key: &str) -> Vec<u8> {
        let position = &annotations[&format!("io.github.containers.zstd-chunked.{key}")];
        let numbers: Vec<usize> = position.split(':').map(|text| text.parse().unwrap()).collect();
        let plain = unzstd(&blob[numbers[0]..numbers[0] + numbers[1]]);
        assert_eq!(plain.len(), numbers[2]);
        plain
    }

    fn noise(length: usize) -> Vec<u8> {
        let mut state = 1_u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()[0]
        };
        (0..length).map(|_| next()).collect()
    }

    #[test]
    fn it_is_the_same_tar_to_those_who_do_not_know_it() {
        let big = noise(3_000_000);
        let tar = archive(&[("etc/small", b"x"), ("etc/empty", b""), ("big", &big)]);

        let (blob, annotations) = chunked(&tar, usize::MAX).unwrap();

        assert!(unzstd(&blob) == tar);
        assert_eq!(chunked(&tar, 777).unwrap(), (blob, annotations));
    }

    #[test]
    fn every_file_can_be_read_by_the_table_alone() {
        let mut big = noise(3_000_000);
        big[500_000..2_800_000].fill(0);
        let files: [(&str, &[u8]); 3] =
            [("etc/small", b"content"), ("etc/empty", b""), ("big", &big)];
        let (blob, annotations) = chunked(&archive(&files), usize::MAX).unwrap();

        let table: Value =
            serde_json::from_slice(&document(&blob, &annotations, "manifest-position")).unwrap();

        assert_eq!(table["version"], 1);
        let rows = table["entries"].as_array().unwrap();
        let row = |name: &str| rows.iter().find(|row| row["name"] == name).unwrap();
        assert_eq!(row("etc/")["modtime"], "2023-11-14T22:13:20.000000005Z");
        assert_eq!(row("etc/twin")["linkName"], "etc/small");
        assert_eq!(row("etc/small")["xattrs"]["user.note"], BASE64.encode(&[0, 255]));
        assert_eq!(row("etc/small")["mode"], 0o4711);
        assert_eq!(row("etc/empty").get("offset"), None);
        for (name, content) in files {
            assert!(read_by_table(&blob, rows, name) == content, "{name}");
            if !content.is_empty() {
                assert_eq!(row(name)["digest"], Digest::of(content).to_string());
            }
        }
        assert!(rows.iter().any(|row| row["chunkType"] == "zeros"));
    }

    /// A file's content by the offsets of its rows.
    fn read_by_table(blob: &[u8], rows: &[Value], name: &str) -> Vec<u8> {
        let rows: Vec<&Value> = rows.iter().filter(|row| row["name"] == name).collect();
        let number = |value: &Value| usize::try_from(value.as_u64().unwrap_or(0)).unwrap();
        let mut content = Vec::new();
        for (index, row) in rows.iter().enumerate() {
            if number(&row["offset"]) == 0 {
                continue;
            }
            let end = rows
                .get(index + 1)
                .map_or(number(&rows[0]["endOffset"]), |next| number(&next["offset"]));
            let piece = unzstd(&blob[number(&row["offset"])..end]);
            if rows.len() > 1 {
                assert_eq!(number(&row["chunkSize"]), piece.len());
                assert_eq!(number(&row["chunkOffset"]), content.len());
                assert_eq!(row["chunkDigest"], Digest::of(&piece).to_string());
            }
            content.extend(piece);
        }
        content
    }

    #[test]
    fn tar_split_data_and_files_give_the_same_archive() {
        let files: [(&str, &[u8]); 2] = [("etc/small", b"content"), ("etc/empty", b"")];
        let tar = archive(&files);
        let (blob, annotations) = chunked(&tar, 100).unwrap();

        let lines = document(&blob, &annotations, "tarsplit-position");

        let mut again = Vec::new();
        for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let line: Value = serde_json::from_slice(line).unwrap();
            if line["type"] == 2 {
                let payload = line["payload"].as_str().unwrap();
                again.extend(BASE64.decode(payload.as_bytes()).unwrap());
            } else {
                let (_, content) = files.iter().find(|(name, _)| line["name"] == *name).unwrap();
                again.extend_from_slice(content);
            }
        }
        assert!(again == tar);
        let key = "io.github.containers.zstd-chunked.manifest-checksum";
        assert!(annotations[key].starts_with("sha256:"));
        assert_eq!(&blob[blob.len() - 8..], b"GNUlInUx");
    }

    #[test]
    fn what_it_cannot_say_is_refused() {
        let tar = archive(&[("etc/small", b"x")]);
        let mut odd = Builder::new(Vec::new());
        let path = ArchivePath::parse(b"caf\xe9", &Limits::default()).unwrap();
        odd.append(&Entry::new(path, EntryKind::Directory, 0o755), &mut std::io::empty()).unwrap();
        let odd = odd.finish().unwrap();

        assert_eq!(chunked(&tar[..700], 512).unwrap_err().kind(), Kind::Corrupt);
        assert_eq!(chunked(&odd, 512).unwrap_err().kind(), Kind::Unsupported);
    }
}
