//! Writes single entries as a tar stream: ustar, with PAX headers for what ustar cannot say.
//!
//! What is written depends on the entries alone, so the same entries give the same digest.

use crate::{
    entry::{Entry, EntryKind},
    header::{BLOCK, Draft, OCTAL_7_MAX, OCTAL_11_MAX},
    path::{Shown, join},
    pax::Records,
    sparse::SparseMap,
};
use dhow_base::{Doing, Error, Kind, Result};
use std::io::{Read, Write};

/// How long a text may be in a ustar header.
const NAME_BYTES: usize = 100;

/// A tar stream in the making.
#[derive(Debug)]
pub struct Builder<W> {
    sink: W,
}

impl<W: Write> Builder<W> {
    /// Starts an archive.
    pub fn new(sink: W) -> Self {
        Self { sink }
    }

    /// Writes an entry; a file's content is read from `content`, exactly as much as the entry says.
    pub fn append(&mut self, entry: &Entry, content: &mut dyn Read) -> Result<()> {
        let doing = || format!("write archive entry {}", entry.path);
        check(entry).doing(doing)?;
        let mut name = entry.path.as_bytes().to_vec();
        if entry.kind == EntryKind::Directory {
            name.push(b'/');
        }
        if name == b"/" {
            name = b"./".to_vec();
        }
        let draft = draft(entry, &name);
        let records = records(entry, &name, &draft);
        if !records.bytes().is_empty() {
            self.extended_header(records.bytes()).doing(doing)?;
        }
        self.sink.write_all(&draft.block()).doing(doing)?;
        if let EntryKind::File { size } = entry.kind {
            self.content(content, size).doing(doing)?;
        }
        Ok(())
    }

    /// Writes a file of which only the regions of a map are there, in the PAX form 1.0 of GNU tar:
    /// `content` has them one after the other.
    pub(crate) fn append_sparse(
        &mut self,
        entry: &Entry,
        map: &SparseMap,
        content: &mut dyn Read,
    ) -> Result<()> {
        let doing = || format!("write archive entry {}", entry.path);
        check(entry).doing(doing)?;
        let table = map.table();
        let kind = EntryKind::File { size: table.len() as u64 + map.stored() };
        let stored = Entry { kind, ..entry.clone() };
        // Whoever does not know the form unpacks the map with the content, but not under its name.
        let (directory, last) = entry.path.split();
        let name = join(&join(directory, b"GNUSparseFile.0"), last);
        let draft = draft(&stored, &name);
        let mut records = records(&stored, &name, &draft);
        records.push(b"GNU.sparse.major", b"1");
        records.push(b"GNU.sparse.minor", b"0");
        records.push(b"GNU.sparse.name", entry.path.as_bytes());
        records.push(b"GNU.sparse.realsize", map.real_size.to_string().as_bytes());
        self.extended_header(records.bytes()).doing(doing)?;
        self.sink.write_all(&draft.block()).doing(doing)?;
        self.sink.write_all(&table).doing(doing)?;
        self.content(content, map.stored()).doing(doing)
    }

    /// Ends the archive and hands the sink back.
    pub fn finish(mut self) -> Result<W> {
        self.sink.write_all(&[0; 2 * BLOCK]).doing(|| "end the archive")?;
        self.sink.flush().doing(|| "end the archive")?;
        Ok(self.sink)
    }

    fn extended_header(&mut self, records: &[u8]) -> Result<()> {
        let draft = Draft {
            name: b"PaxHeaders/entry",
            prefix: b"",
            typeflag: b'x',
            link_name: b"",
            mode: 0o644,
            uid: 0,
            gid: 0,
            size: records.len() as u64,
            mtime: 0,
            device: (0, 0),
        };
        self.sink.write_all(&draft.block()).doing(|| "write its extended header")?;
        self.content(&mut &records[..], records.len() as u64)
    }

    fn content(&mut self, content: &mut dyn Read, size: u64) -> Result<()> {
        let copied =
            std::io::copy(&mut content.take(size), &mut self.sink).doing(|| "write its content")?;
        if copied < size {
            return Err(Error::new(
                Kind::Corrupt,
                format!("its content ends after {copied} of {size} bytes"),
            ));
        }
        let padding = (BLOCK as u64 - size % BLOCK as u64) % BLOCK as u64;
        let padding = usize::try_from(padding).expect("less than a block");
        self.sink.write_all(&[0; BLOCK][..padding]).doing(|| "write its padding")
    }
}

/// Refuses what no reader would take for what was meant.
fn check(entry: &Entry) -> Result<()> {
    let invalid = |why: &str| Err(Error::new(Kind::Invalid, why));
    match &entry.kind {
        EntryKind::Directory => {}
        _ if entry.path.is_root() => return invalid("the root is not a directory"),
        EntryKind::Symlink { target } if target.is_empty() || target.contains(&0) => {
            return invalid("a symlink whose target is empty or has a NUL byte");
        }
        EntryKind::HardLink { target } if target.is_root() => {
            return invalid("a hard link to nothing");
        }
        EntryKind::CharDevice { major, minor } | EntryKind::BlockDevice { major, minor }
            if u64::from(*major.max(minor)) > OCTAL_7_MAX =>
        {
            return invalid("its device number does not exist");
        }
        _ => {}
    }
    if entry.mtime.nanoseconds >= 1_000_000_000 {
        return invalid("its time has more than a second of nanoseconds");
    }
    // A record ends its key at the first equals sign; Go refuses to write one too.
    if let Some(xattr) = entry.xattrs.iter().find(|xattr| {
        xattr.name.is_empty() || xattr.name.iter().any(|byte| matches!(byte, b'=' | 0))
    }) {
        let name = Shown(&xattr.name);
        return Err(Error::new(
            Kind::Unsupported,
            format!("an archive cannot hold an attribute of the name {name}"),
        ));
    }
    Ok(())
}

fn draft<'a>(entry: &'a Entry, name: &'a [u8]) -> Draft<'a> {
    let (typeflag, link_name, size, device): (_, &[u8], _, _) = match &entry.kind {
        EntryKind::File { size } => (b'0', b"", *size, (0, 0)),
        EntryKind::HardLink { target } => (b'1', target.as_bytes(), 0, (0, 0)),
        EntryKind::Symlink { target } => (b'2', target, 0, (0, 0)),
        EntryKind::CharDevice { major, minor } => (b'3', b"", 0, (*major, *minor)),
        EntryKind::BlockDevice { major, minor } => (b'4', b"", 0, (*major, *minor)),
        EntryKind::Directory => (b'5', b"", 0, (0, 0)),
        EntryKind::Fifo => (b'6', b"", 0, (0, 0)),
    };
    Draft {
        name,
        prefix: b"",
        typeflag,
        link_name,
        mode: entry.mode & 0o7777,
        uid: entry.uid.into(),
        gid: entry.gid.into(),
        size,
        mtime: u64::try_from(entry.mtime.seconds).unwrap_or(0),
        device,
    }
}

/// What the header's fields cannot hold.
fn records(entry: &Entry, name: &[u8], draft: &Draft<'_>) -> Records {
    let mut records = Records::default();
    if name.len() > NAME_BYTES {
        records.push(b"path", name);
    }
    if draft.link_name.len() > NAME_BYTES {
        records.push(b"linkpath", draft.link_name);
    }
    if draft.size > OCTAL_11_MAX {
        records.push(b"size", draft.size.to_string().as_bytes());
    }
    if draft.uid > OCTAL_7_MAX {
        records.push(b"uid", draft.uid.to_string().as_bytes());
    }
    if draft.gid > OCTAL_7_MAX {
        records.push(b"gid", draft.gid.to_string().as_bytes());
    }
    let seconds = entry.mtime.seconds;
    let fits = u64::try_from(seconds).is_ok_and(|seconds| seconds <= OCTAL_11_MAX);
    if entry.mtime.nanoseconds != 0 || !fits {
        records.push_time(b"mtime", entry.mtime);
    }
    for xattr in &entry.xattrs {
        records.push_xattr(xattr);
    }
    records
}
