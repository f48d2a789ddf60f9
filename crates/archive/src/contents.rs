//! The table of contents of a zstd:chunked layer: a document of JSON in a skippable frame.
//!
//! ```text
//!  frames of the tar stream │ table of contents │ tar-split data │ footer
//!                             skippable frames ─────────────────────────▶
//! ```
//!
//! The form is that of containers/storage (`pkg/chunked`). Who knows it reads the annotations of the
//! layer's descriptor, fetches the table by its offset and then only the files that it lacks; who
//! does not, reads the frames before and skips the rest. Entries are written while the layer is, so
//! that a layer of a million files needs no memory for them.

use crate::{
    entry::{Entry, EntryKind, Mtime},
    reader::Written,
    tar_split::DoingJson,
};
use data_encoding::BASE64;
use dhow_base::{Digest, Doing, Error, Kind, Result, clock::Moment};
use serde::Serialize;
use std::{
    collections::BTreeMap,
    io::{self, Write},
};

/// A frame that a zstd decoder skips, of the first of sixteen kinds.
const SKIPPABLE: [u8; 4] = [0x50, 0x2a, 0x4d, 0x18];
/// Magic number and length.
pub(crate) const SKIPPABLE_HEADER_BYTES: u64 = 8;
/// The last bytes of the footer.
const MAGIC: [u8; 8] = *b"GNUlInUx";
/// The type of the table; there is one only.
const TABLE_TYPE: u64 = 1;
const ANNOTATION: &str = "io.github.containers.zstd-chunked.";

/// One entry, as it is written. What is empty is left out.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Row {
    #[serde(rename = "type")]
    kind: &'static str,
    name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    link_name: String,
    #[serde(skip_serializing_if = "is_nothing")]
    mode: i64,
    #[serde(skip_serializing_if = "is_nothing")]
    size: u64,
    #[serde(skip_serializing_if = "is_nothing")]
    uid: u32,
    #[serde(skip_serializing_if = "is_nothing")]
    gid: u32,
    #[serde(rename = "modtime", skip_serializing_if = "Option::is_none")]
    mtime: Option<String>,
    #[serde(skip_serializing_if = "is_nothing")]
    dev_major: u32,
    #[serde(skip_serializing_if = "is_nothing")]
    dev_minor: u32,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    xattrs: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
    #[serde(skip_serializing_if = "is_nothing")]
    offset: u64,
    #[serde(skip_serializing_if = "is_nothing")]
    end_offset: u64,
    #[serde(skip_serializing_if = "is_nothing")]
    chunk_size: u64,
    #[serde(skip_serializing_if = "is_nothing")]
    chunk_offset: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    chunk_digest: Option<String>,
    #[serde(skip_serializing_if = "str::is_empty")]
    chunk_type: &'static str,
}

fn is_nothing<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// A piece of a file, in a frame of its own.
#[derive(Clone, Debug)]
pub(crate) struct Chunk {
    /// Where in the file it begins.
    pub(crate) at: u64,
    pub(crate) size: u64,
    pub(crate) digest: Digest,
    pub(crate) is_zeros: bool,
    /// Where in the blob its frame begins.
    pub(crate) offset: u64,
}

impl Row {
    /// Everything that the tar header says.
    pub(crate) fn new(entry: &Entry, written: &Written) -> Result<Self> {
        let mut row = Self {
            name: text(&written.name)?,
            mode: written.mode,
            uid: entry.uid,
            gid: entry.gid,
            mtime: Some(time(entry.mtime)?),
            ..Self::default()
        };
        row.kind = match &entry.kind {
            EntryKind::File { size } => {
                row.size = *size;
                "reg"
            }
            EntryKind::Directory => "dir",
            EntryKind::Symlink { .. } => "symlink",
            EntryKind::HardLink { .. } => "hardlink",
            EntryKind::Fifo => "fifo",
            EntryKind::CharDevice { major, minor } => {
                (row.dev_major, row.dev_minor) = (*major, *minor);
                "char"
            }
            EntryKind::BlockDevice { major, minor } => {
                (row.dev_major, row.dev_minor) = (*major, *minor);
                "block"
            }
        };
        if matches!(entry.kind, EntryKind::Symlink { .. } | EntryKind::HardLink { .. }) {
            row.link_name = text(&written.link)?;
        }
        for xattr in &entry.xattrs {
            row.xattrs.insert(text(&xattr.name)?, BASE64.encode(&xattr.value));
        }
        Ok(row)
    }

    /// The name, as the archive writes it.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}

/// The names in the document are text.
fn text(bytes: &[u8]) -> Result<String> {
    str::from_utf8(bytes).map(str::to_owned).map_err(|_| {
        let what = format!("name \"{}\" in a table of contents", bytes.escape_ascii());
        Error::new(Kind::Unsupported, what)
            .hint("zstd:chunked has no way to write names that are not UTF-8; zstd has")
    })
}

fn time(time: Mtime) -> Result<String> {
    let nanoseconds = time
        .seconds
        .checked_mul(1_000_000_000)
        .and_then(|whole| whole.checked_add(time.nanoseconds.into()))
        .ok_or_else(|| {
            let what = format!("write the time {} in a table of contents", time.seconds);
            Error::new(Kind::Unsupported, what)
        })?;
    Ok(Moment::from_unix_nanoseconds(nanoseconds).rfc3339())
}

/// The document in the making, compressed as it grows.
pub(crate) struct Contents {
    sink: zstd::stream::write::Encoder<'static, Vec<u8>>,
    written: u64,
    is_empty: bool,
}

impl Contents {
    pub(crate) fn new(level: i32) -> Result<Self> {
        let sink = zstd::stream::write::Encoder::new(Vec::new(), level)
            .doing(|| "start the table of contents")?;
        let mut contents = Self { sink, written: 0, is_empty: true };
        contents.text(br#"{"version":1,"entries":["#)?;
        Ok(contents)
    }

    /// Writes an entry and its pieces, of which a file of one piece has none that is named.
    pub(crate) fn entry(
        &mut self,
        mut row: Row,
        digest: Option<Digest>,
        chunks: &[Chunk],
        end: u64,
    ) -> Result<()> {
        row.digest = digest.map(|digest| digest.to_string());
        if let Some(first) = chunks.first() {
            (row.offset, row.end_offset) = (first.offset, end);
            if chunks.len() > 1 {
                describe(&mut row, first);
            }
        }
        let name = row.name.clone();
        self.row(&row)?;
        for chunk in chunks.iter().skip(1) {
            let mut row = Row { kind: "chunk", name: name.clone(), ..Row::default() };
            row.offset = chunk.offset;
            row.chunk_offset = chunk.at;
            describe(&mut row, chunk);
            self.row(&row)?;
        }
        Ok(())
    }

    /// Ends the document. Returns its compressed form and the length of the plain one.
    pub(crate) fn finish(mut self, tar_split: &Digest) -> Result<(Vec<u8>, u64)> {
        self.text(format!("],\"tarSplitDigest\":\"{tar_split}\"}}").as_bytes())?;
        let bytes = self.sink.finish().doing(|| "end the table of contents")?;
        Ok((bytes, self.written))
    }

    fn row(&mut self, row: &Row) -> Result<()> {
        if !std::mem::replace(&mut self.is_empty, false) {
            self.text(b",")?;
        }
        let text = serde_json::to_vec(row).doing_json()?;
        self.text(&text)
    }

    fn text(&mut self, text: &[u8]) -> Result<()> {
        self.written += text.len() as u64;
        self.sink.write_all(text).doing(|| "write the table of contents")
    }
}

fn describe(row: &mut Row, chunk: &Chunk) {
    row.chunk_size = chunk.size;
    row.chunk_digest = Some(chunk.digest.to_string());
    row.chunk_type = if chunk.is_zeros { "zeros" } else { "" };
}

/// A document in the blob: where, how long as it lies there, how long as it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) offset: u64,
    pub(crate) length: u64,
    pub(crate) plain_length: u64,
}

/// Writes a frame that decoders skip.
pub(crate) fn skippable(sink: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    let length = u32::try_from(bytes.len())
        .map_err(|_| io::Error::other("the frame would be larger than 4 GiB"))?;
    sink.write_all(&SKIPPABLE)?;
    sink.write_all(&length.to_le_bytes())?;
    sink.write_all(bytes)
}

/// The last frame's content, by which the blob describes itself.
pub(crate) fn footer(table: Place, tar_split: Place) -> Vec<u8> {
    let numbers = [
        table.offset,
        table.length,
        table.plain_length,
        TABLE_TYPE,
        tar_split.offset,
        tar_split.length,
        tar_split.plain_length,
    ];
    let mut footer: Vec<u8> = numbers.into_iter().flat_map(u64::to_le_bytes).collect();
    footer.extend_from_slice(&MAGIC);
    footer
}

/// What the layer's descriptor says of it.
pub(crate) fn annotations(
    table: Place,
    table_digest: &Digest,
    tar_split: Place,
) -> BTreeMap<String, String> {
    let Place { offset, length, plain_length } = table;
    let table_position = format!("{offset}:{length}:{plain_length}:{TABLE_TYPE}");
    let Place { offset, length, plain_length } = tar_split;
    [
        ("manifest-checksum", table_digest.to_string()),
        ("manifest-position", table_position),
        ("tarsplit-position", format!("{offset}:{length}:{plain_length}")),
    ]
    .into_iter()
    .map(|(key, value)| (format!("{ANNOTATION}{key}"), value))
    .collect()
}
