//! A tar writer that does exactly what it is told, hostile archives included.
//!
//! ustar headers, and PAX records where a value does not fit. Names and targets are bytes and are
//! never checked: a test may write `../../etc/passwd`, a link to `/`, or a size that lies.

use dhow_base::{Doing, Result};
use std::io::{self, Read, Write};

/// What an entry is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum What {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link to these bytes.
    Symlink(Vec<u8>),
    /// Another name for the file of these bytes.
    HardLink(Vec<u8>),
    /// A character device.
    Character(u32, u32),
    /// A block device.
    Block(u32, u32),
    /// A named pipe.
    Fifo,
    /// Any other type flag.
    Other(u8),
}

/// The header of an entry.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The path, as it is written.
    pub name: Vec<u8>,
    /// What it is.
    pub what: What,
    /// Permission bits with set-id and sticky bits.
    pub mode: u32,
    /// The owning user's id.
    pub uid: u32,
    /// The owning group's id.
    pub gid: u32,
    /// Seconds and nanoseconds of the last change.
    pub mtime: (i64, i64),
    /// Extended attributes.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// Further PAX records, written as they are.
    pub records: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Entry {
    /// An entry of root's, mode 0644 (0755 for a directory), at the start of 2025.
    pub fn new(name: impl AsRef<[u8]>, what: What) -> Self {
        let mode = if what == What::Directory { 0o755 } else { 0o644 };
        Self {
            name: name.as_ref().to_vec(),
            what,
            mode,
            uid: 0,
            gid: 0,
            mtime: (1_735_689_600, 0),
            xattrs: Vec::new(),
            records: Vec::new(),
        }
    }

    /// Sets the mode.
    #[must_use]
    pub fn mode(mut self, mode: u32) -> Self {
        self.mode = mode;
        self
    }

    /// Sets the owner.
    #[must_use]
    pub fn owner(mut self, uid: u32, gid: u32) -> Self {
        (self.uid, self.gid) = (uid, gid);
        self
    }

    /// Sets the time of the last change.
    #[must_use]
    pub fn mtime(mut self, seconds: i64, nanoseconds: i64) -> Self {
        self.mtime = (seconds, nanoseconds);
        self
    }

    /// Adds an extended attribute.
    #[must_use]
    pub fn xattr(mut self, name: &str, value: &[u8]) -> Self {
        self.xattrs.push((name.into(), value.into()));
        self
    }

    /// Adds a PAX record, which may contradict the header.
    #[must_use]
    pub fn record(mut self, key: &str, value: &[u8]) -> Self {
        self.records.push((key.into(), value.into()));
        self
    }
}

/// A tar archive being written.
#[derive(Debug)]
pub struct Tarball<W: Write> {
    out: W,
}

impl Tarball<Vec<u8>> {
    /// An archive in memory.
    pub fn in_memory() -> Self {
        Self::new(Vec::new())
    }
}

impl<W: Write> Tarball<W> {
    /// Starts an archive.
    pub fn new(out: W) -> Self {
        Self { out }
    }

    /// Adds an entry with its content, which only files have.
    pub fn put(&mut self, entry: &Entry, content: &[u8]) -> Result<&mut Self> {
        self.put_from(entry, &mut &*content, content.len() as u64)
    }

    /// Adds an entry whose content comes from a reader.
    pub fn put_from(
        &mut self,
        entry: &Entry,
        content: &mut dyn Read,
        size: u64,
    ) -> Result<&mut Self> {
        let doing = || format!("write tar entry {}", entry.name.escape_ascii());
        let records = records_of(entry);
        if !records.is_empty() {
            let header = header(b"pax", b'x', records.len() as u64, &Entry::new("", What::File));
            self.padded(&header, &mut &*records, records.len() as u64).doing(doing)?;
        }
        let header = header(&entry.name, flag(&entry.what), size, entry);
        self.padded(&header, content, size).doing(doing)?;
        Ok(self)
    }

    /// A directory, mode 0755.
    pub fn directory(&mut self, name: &str) -> Result<&mut Self> {
        self.put(&Entry::new(name, What::Directory), b"")
    }

    /// A file, mode 0644.
    pub fn file(&mut self, name: &str, content: &[u8]) -> Result<&mut Self> {
        self.put(&Entry::new(name, What::File), content)
    }

    /// A symbolic link.
    pub fn symlink(&mut self, name: &str, target: &str) -> Result<&mut Self> {
        self.put(&Entry::new(name, What::Symlink(target.into())).mode(0o777), b"")
    }

    /// Another name for an earlier entry.
    pub fn hard_link(&mut self, name: &str, target: &str) -> Result<&mut Self> {
        self.put(&Entry::new(name, What::HardLink(target.into())), b"")
    }

    /// Bytes that are written as they are.
    pub fn raw(&mut self, bytes: &[u8]) -> Result<&mut Self> {
        self.out.write_all(bytes).doing(|| "write into the tar archive")?;
        Ok(self)
    }

    /// Writes the two empty blocks of the end and gives the output back.
    pub fn finish(mut self) -> Result<W> {
        self.raw(&[0_u8; 1024])?;
        Ok(self.out)
    }

    /// Gives the output back without an end, as a truncated archive has it.
    pub fn cut(self) -> W {
        self.out
    }

    fn padded(&mut self, header: &[u8], content: &mut dyn Read, size: u64) -> io::Result<()> {
        self.out.write_all(header)?;
        let copied = io::copy(&mut content.take(size), &mut self.out)?;
        if copied < size {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the content is shorter"));
        }
        let padding = (512 - size % 512) % 512;
        io::copy(&mut io::repeat(0).take(padding), &mut self.out)?;
        Ok(())
    }
}

/// A header block, for those who want to spoil it before they write it with [`Tarball::raw`].
pub fn header(name: &[u8], flag: u8, size: u64, entry: &Entry) -> [u8; 512] {
    let mut block = [0_u8; 512];
    let target: &[u8] = match &entry.what {
        What::Symlink(target) | What::HardLink(target) => target,
        _ => b"",
    };
    put(&mut block, 0, 100, name);
    octal(&mut block, 100, 8, entry.mode.into());
    octal(&mut block, 108, 8, entry.uid.into());
    octal(&mut block, 116, 8, entry.gid.into());
    octal(&mut block, 124, 12, size);
    octal(&mut block, 136, 12, u64::try_from(entry.mtime.0).unwrap_or(0));
    block[156] = flag;
    put(&mut block, 157, 100, target);
    put(&mut block, 257, 8, b"ustar\x0000");
    if let What::Character(major, minor) | What::Block(major, minor) = entry.what {
        octal(&mut block, 329, 8, major.into());
        octal(&mut block, 337, 8, minor.into());
    }
    seal(&mut block);
    block
}

/// Writes the checksum of a header block anew, after it was spoilt.
pub fn seal(block: &mut [u8; 512]) {
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    let text = format!("{sum:06o}\0 ");
    block[148..156].copy_from_slice(text.as_bytes());
}

fn flag(what: &What) -> u8 {
    match what {
        What::File => b'0',
        What::HardLink(_) => b'1',
        What::Symlink(_) => b'2',
        What::Character(..) => b'3',
        What::Block(..) => b'4',
        What::Directory => b'5',
        What::Fifo => b'6',
        What::Other(flag) => *flag,
    }
}

fn put(block: &mut [u8; 512], at: usize, length: usize, bytes: &[u8]) {
    let length = bytes.len().min(length);
    block[at..at + length].copy_from_slice(&bytes[..length]);
}

/// A number that does not fit becomes the largest that does; its PAX record has the truth.
fn octal(block: &mut [u8; 512], at: usize, length: usize, number: u64) {
    let digits = length - 1;
    let largest = 8_u64.saturating_pow(u32::try_from(digits).unwrap_or(u32::MAX)) - 1;
    let text = format!("{:0digits$o}\0", number.min(largest));
    put(block, at, length, text.as_bytes());
}

fn records_of(entry: &Entry) -> Vec<u8> {
    const LARGEST_ID: u32 = 0o7_777_777;
    let mut out = Vec::new();
    if entry.name.len() > 100 {
        record(&mut out, b"path", &entry.name);
    }
    if let What::Symlink(target) | What::HardLink(target) = &entry.what
        && target.len() > 100
    {
        record(&mut out, b"linkpath", target);
    }
    if entry.uid > LARGEST_ID {
        record(&mut out, b"uid", entry.uid.to_string().as_bytes());
    }
    if entry.gid > LARGEST_ID {
        record(&mut out, b"gid", entry.gid.to_string().as_bytes());
    }
    if entry.mtime.0 < 0 || entry.mtime.1 != 0 {
        record(&mut out, b"mtime", decimal(entry.mtime).as_bytes());
    }
    for (name, value) in &entry.xattrs {
        record(&mut out, &[b"SCHILY.xattr.", name.as_slice()].concat(), value);
    }
    for (key, value) in &entry.records {
        record(&mut out, key, value);
    }
    out
}

/// Seconds with their fraction; before 1970 the fraction still counts forwards (-1.5 s is half a
/// second before -1).
fn decimal((seconds, nanoseconds): (i64, i64)) -> String {
    if seconds < 0 && nanoseconds > 0 {
        let (whole, rest) = (seconds + 1, 1_000_000_000 - nanoseconds);
        return format!("-{}.{rest:09}", whole.unsigned_abs());
    }
    format!("{seconds}.{nanoseconds:09}")
}

/// `<length> <key>=<value>\n`, where the length counts itself.
fn record(out: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + rest.to_string().len();
    if rest + length.to_string().len() != length {
        length = rest + length.to_string().len();
    }
    out.extend_from_slice(length.to_string().as_bytes());
    out.push(b' ');
    out.extend_from_slice(key);
    out.push(b'=');
    out.extend_from_slice(value);
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome;
    use std::process::Command;

    #[test]
    fn gnu_tar_lists_what_was_written() {
        let long = "d/".to_owned() + &"n".repeat(120);
        let mut tarball = Tarball::in_memory();
        tarball.directory("d/").unwrap();
        tarball
            .put(&Entry::new(&long, What::File).owner(7, 9).mtime(5, 250_000_000), b"hi")
            .unwrap();
        tarball.symlink("s", "d").unwrap().hard_link("h", &long).unwrap();
        let bytes = tarball.finish().unwrap();

        let mut tar = Command::new("tar");
        tar.args(["--full-time", "--numeric-owner", "--utc", "-tvf", "-"]);
        let listing = outcome::run(&mut tar, &bytes, outcome::LIMIT).unwrap().ok().stdout;

        let lines: Vec<&str> = listing.lines().collect();
        assert_eq!(lines.len(), 4, "{listing}");
        assert!(
            lines[1].contains("7/9") && lines[1].contains("1970-01-01 00:00:05.25"),
            "{listing}"
        );
        assert!(lines[1].ends_with(&long), "{listing}");
        assert!(lines[2].ends_with("s -> d") && lines[3].contains("link to"), "{listing}");
    }

    #[test]
    fn the_length_of_a_record_counts_its_own_digits() {
        for size in [1, 2, 3, 90, 91, 92, 93, 94, 95, 990, 991, 992, 993, 994, 995] {
            let mut out = Vec::new();
            record(&mut out, b"k", &vec![b'v'; size]);
            let length: usize =
                std::str::from_utf8(&out).unwrap()[..].split(' ').next().unwrap().parse().unwrap();

            assert_eq!(out.len(), length, "a value of {size} bytes");
        }
    }

    #[test]
    fn times_before_1970_keep_their_fraction() {
        assert_eq!(decimal((-2, 500_000_000)), "-1.500000000");
        assert_eq!(decimal((-1, 500_000_000)), "-0.500000000");
        assert_eq!(decimal((3, 1)), "3.000000001");
    }
}
