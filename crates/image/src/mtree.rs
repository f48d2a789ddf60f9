//! What a tree was like when it was unpacked, in the format of `mtree`, as umoci keeps it beside a
//! bundle; and what has become of it since.
//!
//! Text, a line for each file, directories nested by `..`, keywords `size type uid gid mode link
//! nlink tar_time sha256digest xattr`. Files that another tool has written may hold other keywords,
//! which are left alone.
//!
//! A file that has not changed is not read: the manifest is written when all files are, so an inode
//! that says the same of itself and changed before that is still the same.

use data_encoding::BASE64;
use dhow_archive::Presence;
use dhow_base::{
    Doing, Error, Kind, Result,
    clock::Moment,
    digest::{Algorithm, Hasher},
};
use rustix::{
    fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, Stat, fstat, openat2, statat},
    io::Errno,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::{CString, OsString},
    fmt::Write as _,
    fs::File,
    io,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
        unix::ffi::OsStringExt,
    },
    path::{Path, PathBuf},
};

/// The most of a manifest that is read.
pub(crate) const LIMIT_BYTES: u64 = 1 << 30;

/// What is remembered of one file.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
struct Line {
    kind: String,
    size: u64,
    mode: u32,
    uid: u32,
    gid: u32,
    links: u64,
    target: Option<Vec<u8>>,
    seconds: i64,
    sha256: Option<String>,
    xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// A manifest: lines by path, the root's path being empty.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Mtree {
    lines: BTreeMap<Vec<u8>, Line>,
}

/// A time of the file system.
pub(crate) type FileTime = (i64, u64);

impl Mtree {
    /// Reads a tree, every file's content too.
    pub(crate) fn of(root: BorrowedFd<'_>) -> Result<Self> {
        let mut mtree = Self::default();
        walk(root, &mut |path, place, stat| {
            let mut line = place.line(stat)?;
            if file_type(stat) == FileType::RegularFile {
                line.sha256 = Some(place.sha256()?);
            }
            mtree.lines.insert(path, line);
            Ok(())
        })?;
        Ok(mtree)
    }

    /// Reads the text of a manifest.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let mut parser = Parser::default();
        for (number, line) in text.lines().enumerate() {
            parser.line(line.trim()).doing(|| format!("line {} of the manifest", number + 1))?;
        }
        Ok(parser.mtree)
    }

    /// The text, as umoci reads it.
    pub(crate) fn text(&self, tree: &Path) -> String {
        let mut text = format!(
            "#            tree: {}\n#            date: {}\n#        keywords: \
             size,type,uid,gid,mode,link,nlink,tar_time,sha256digest,xattr\n",
            tree.display(),
            Moment::now().rfc3339()
        );
        self.directory(b"", &mut text);
        text
    }

    /// Writes a directory: itself, what is no directory in it, then its directories.
    fn directory(&self, path: &[u8], text: &mut String) {
        let Some(line) = self.lines.get(path) else { return };
        let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        let name = if path.is_empty() { ".".to_owned() } else { encoded(name) };
        let shown = if path.is_empty() { ".".to_owned() } else { encoded(path) };
        let _infallible = write!(text, "\n# {shown}\n{name}");
        line.write(text);
        let children = self.children(path);
        for (child, line) in children.iter().filter(|(_, line)| line.kind != "dir") {
            let name = child.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
            text.push_str("    ");
            text.push_str(&encoded(name));
            line.write(text);
        }
        for (child, _) in children.iter().filter(|(_, line)| line.kind == "dir") {
            // As deep as a path can be long, and a frame is small.
            self.directory(child, text);
        }
        text.push_str("..\n");
    }

    fn children(&self, path: &[u8]) -> Vec<(&Vec<u8>, &Line)> {
        let prefix = if path.is_empty() { Vec::new() } else { [path, b"/"].concat() };
        let below = self.lines.range(prefix.clone()..);
        let below = below.take_while(|(child, _)| child.starts_with(&prefix));
        let own = below.filter(|(child, _)| {
            child.len() > prefix.len() && !child[prefix.len()..].contains(&b'/')
        });
        own.collect()
    }

    /// What differs in a tree now. `written` is when the manifest was.
    pub(crate) fn changes(
        &self,
        root: BorrowedFd<'_>,
        written: FileTime,
    ) -> Result<BTreeMap<PathBuf, Presence>> {
        let mut changes = BTreeMap::new();
        let mut left: BTreeSet<&Vec<u8>> = self.lines.keys().collect();
        walk(root, &mut |path, place, stat| {
            left.remove(&path);
            if !self.is_unchanged(&path, place, stat, written)? {
                changes.insert(path, Presence::Here);
            }
            Ok(())
        })?;
        let mut gone: Option<&Vec<u8>> = None;
        for path in left {
            // What is in a directory goes with it, also where something else has its name now.
            let is_below =
                |above: &Vec<u8>| path.starts_with(above) && path.get(above.len()) == Some(&b'/');
            if gone.is_some_and(is_below) {
                continue;
            }
            let parent_end = path.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
            if gone_with_parent(&changes, root, &path[..parent_end])? {
                continue;
            }
            changes.insert(path.clone(), Presence::Gone);
            gone = Some(path);
        }
        Ok(changes.into_iter().map(|(path, is)| (OsString::from_vec(path).into(), is)).collect())
    }

    fn is_unchanged(
        &self,
        path: &[u8],
        place: &Place<'_>,
        stat: &Stat,
        written: FileTime,
    ) -> Result<bool> {
        let Some(then) = self.lines.get(path) else { return Ok(false) };
        let is_directory = file_type(stat) == FileType::Directory;
        let looks_same = then.kind == kind(stat)
            && (then.mode, then.uid, then.gid, then.seconds)
                == (stat.st_mode & 0o7777, stat.st_uid, stat.st_gid, stat.st_mtime)
            && (is_directory
                || (then.size, then.links) == (stat.st_size.cast_unsigned(), stat.st_nlink));
        if !looks_same {
            return Ok(false);
        }
        if (stat.st_ctime, stat.st_ctime_nsec) < written {
            return Ok(true);
        }
        let now = place.line(stat)?;
        if (&now.target, &now.xattrs) != (&then.target, &then.xattrs) {
            return Ok(false);
        }
        match &then.sha256 {
            Some(digest) => Ok(*digest == place.sha256()?),
            None => Ok(file_type(stat) != FileType::RegularFile),
        }
    }
}

/// Is a directory of the manifest something else now? Then what was in it is gone with it.
fn gone_with_parent(
    changes: &BTreeMap<Vec<u8>, Presence>,
    root: BorrowedFd<'_>,
    parent: &[u8],
) -> Result<bool> {
    if parent.is_empty() || !changes.contains_key(parent) {
        return Ok(false);
    }
    match open_beneath(root, parent) {
        Ok(_) => Ok(false),
        Err(Errno::NOTDIR | Errno::LOOP | Errno::NOENT) => Ok(true),
        Err(errno) => Err(errno).doing(|| "look for a directory of the manifest"),
    }
}

impl Line {
    fn write(&self, text: &mut String) {
        // Writing to a string cannot fail.
        let _infallible = write!(
            text,
            " size={} type={} uid={} gid={} mode={:04o} nlink={} tar_time={}.000000000",
            self.size, self.kind, self.uid, self.gid, self.mode, self.links, self.seconds
        );
        if let Some(target) = &self.target {
            let _infallible = write!(text, " link={}", encoded(target));
        }
        if let Some(digest) = &self.sha256 {
            let _infallible = write!(text, " sha256digest={digest}");
        }
        for (name, value) in &self.xattrs {
            let _infallible = write!(text, " xattr.{}={}", encoded(name), BASE64.encode(value));
        }
        text.push('\n');
    }

    fn set(&mut self, key: &str, value: &str) -> Result<()> {
        let wrong = || Error::new(Kind::Corrupt, format!("{key}={value} is no such value"));
        match key {
            "type" => value.clone_into(&mut self.kind),
            "size" => self.size = value.parse().map_err(|_| wrong())?,
            "uid" => self.uid = value.parse().map_err(|_| wrong())?,
            "gid" => self.gid = value.parse().map_err(|_| wrong())?,
            "nlink" => self.links = value.parse().map_err(|_| wrong())?,
            "mode" => self.mode = u32::from_str_radix(value, 8).map_err(|_| wrong())?,
            "tar_time" | "time" => {
                let whole = value.split_once('.').map_or(value, |(whole, _)| whole);
                self.seconds = whole.parse().map_err(|_| wrong())?;
            }
            "link" => self.target = Some(decoded(value)?),
            "sha256digest" | "sha256" => self.sha256 = Some(value.to_owned()),
            _ => {
                let name = key.strip_prefix("xattr.").or_else(|| key.strip_prefix("xattrs."));
                if let Some(name) = name {
                    let value = BASE64.decode(value.as_bytes()).map_err(|_| wrong())?;
                    self.xattrs.insert(decoded(name)?, value);
                }
            }
        }
        Ok(())
    }
}

#[derive(Default)]
struct Parser {
    mtree: Mtree,
    defaults: Line,
    /// The directory that names are in; nothing before the root.
    directory: Option<Vec<u8>>,
}

impl Parser {
    fn line(&mut self, line: &str) -> Result<()> {
        let mut words = line.split_ascii_whitespace();
        match words.next() {
            None => Ok(()),
            Some(word) if word.starts_with('#') => Ok(()),
            Some("/set") => {
                words.try_for_each(|word| self.defaults.set(split(word).0, split(word).1))
            }
            Some("/unset") => {
                self.defaults = Line::default();
                Ok(())
            }
            Some("..") => {
                if let Some(directory) = &mut self.directory {
                    let above = directory.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
                    directory.truncate(above);
                }
                Ok(())
            }
            Some(name) => self.entry(name, words),
        }
    }

    fn entry<'w>(&mut self, name: &str, words: impl Iterator<Item = &'w str>) -> Result<()> {
        let mut line = self.defaults.clone();
        for word in words {
            line.set(split(word).0, split(word).1)?;
        }
        let name = decoded(name)?;
        let path = match &self.directory {
            None => Vec::new(),
            Some(directory) if directory.is_empty() => name,
            Some(directory) => [directory, &b"/"[..], &name].concat(),
        };
        if line.kind == "dir" {
            self.directory = Some(path.clone());
        }
        self.mtree.lines.insert(path, line);
        Ok(())
    }
}

fn split(word: &str) -> (&str, &str) {
    word.split_once('=').unwrap_or((word, ""))
}

/// A name without white space and whatever else a reader could take for something else.
fn encoded(name: &[u8]) -> String {
    let mut text = String::with_capacity(name.len());
    for byte in name {
        if byte.is_ascii_graphic() && !b"*?[#\\".contains(byte) {
            text.push(char::from(*byte));
        } else {
            let _infallible = write!(text, "\\{byte:03o}");
        }
    }
    text
}

fn decoded(text: &str) -> Result<Vec<u8>> {
    let wrong = || Error::new(Kind::Corrupt, format!("{text:?} is no name of a manifest"));
    let mut name = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'\\' {
            name.push(*first);
            continue;
        }
        let letter = *rest.first().ok_or_else(wrong)?;
        let short = match letter {
            b'\\' => Some(b'\\'),
            b's' => Some(b' '),
            b't' => Some(b'\t'),
            b'n' => Some(b'\n'),
            b'r' => Some(b'\r'),
            b'#' => Some(b'#'),
            _ => None,
        };
        if let Some(byte) = short {
            name.push(byte);
            rest = &rest[1..];
            continue;
        }
        let digits = rest.get(..3).and_then(|digits| str::from_utf8(digits).ok());
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 8).ok());
        name.push(byte.ok_or_else(wrong)?);
        rest = &rest[3..];
    }
    Ok(name)
}

/// One name in an open directory.
struct Place<'d> {
    directory: &'d OwnedFd,
    /// Empty for the directory itself.
    name: CString,
}

impl Place<'_> {
    /// A path for the calls that take no directory fd; it follows no link at its end.
    fn path(&self) -> Vec<u8> {
        let fd = self.directory.as_raw_fd();
        let name = if self.name.is_empty() { &b"."[..] } else { self.name.to_bytes() };
        [format!("/proc/self/fd/{fd}/").as_bytes(), name].concat()
    }

    fn line(&self, stat: &Stat) -> Result<Line> {
        let target = match file_type(stat) {
            FileType::Symlink => {
                let target =
                    rustix::fs::readlinkat(self.directory, self.name.as_c_str(), Vec::new());
                Some(target.doing(|| "read the link")?.into_bytes())
            }
            _ => None,
        };
        Ok(Line {
            kind: kind(stat).to_owned(),
            size: stat.st_size.cast_unsigned(),
            mode: stat.st_mode & 0o7777,
            uid: stat.st_uid,
            gid: stat.st_gid,
            links: stat.st_nlink,
            target,
            seconds: stat.st_mtime,
            sha256: None,
            xattrs: self.xattrs()?,
        })
    }

    fn xattrs(&self) -> Result<BTreeMap<Vec<u8>, Vec<u8>>> {
        let path = self.path();
        // The kernel's own limit on a list and on a value.
        let mut buffer = vec![0; 64 << 10];
        let length = match rustix::fs::llistxattr(&path[..], &mut buffer[..]) {
            Ok(length) => length,
            Err(Errno::OPNOTSUPP) => 0,
            Err(errno) => return Err(errno).doing(|| "list its extended attributes"),
        };
        let names = buffer[..length].to_vec();
        let mut xattrs = BTreeMap::new();
        for name in names.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
            let length = rustix::fs::lgetxattr(&path[..], name, &mut buffer[..])
                .doing(|| "read an extended attribute")?;
            xattrs.insert(name.to_vec(), buffer[..length].to_vec());
        }
        Ok(xattrs)
    }

    fn sha256(&self) -> Result<String> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(self.directory, self.name.as_c_str(), flags, Mode::empty())
            .doing(|| "open it")?;
        let mut hasher = Hasher::new(Algorithm::Sha256);
        io::copy(&mut File::from(fd), &mut hasher).doing(|| "read it")?;
        Ok(hasher.finish().hex().to_owned())
    }
}

type Visit<'v> = dyn FnMut(Vec<u8>, &Place<'_>, &Stat) -> Result<()> + 'v;

/// Visits a tree, every directory before what is in it.
fn walk(root: BorrowedFd<'_>, visit: &mut Visit<'_>) -> Result<()> {
    let doing = |path: &[u8]| format!("look at \"{}\"", path.escape_ascii());
    let mut pending = vec![Vec::new()];
    while let Some(path) = pending.pop() {
        let directory = open_beneath(root, &path).doing(|| doing(&path))?;
        if path.is_empty() {
            let stat = fstat(&directory).doing(|| doing(b""))?;
            visit(Vec::new(), &Place { directory: &directory, name: CString::default() }, &stat)?;
        }
        for entry in Dir::read_from(&directory).doing(|| doing(&path))? {
            let entry = entry.doing(|| doing(&path))?;
            let name = entry.file_name();
            if name == c"." || name == c".." {
                continue;
            }
            let separator: &[u8] = if path.is_empty() { b"" } else { b"/" };
            let inner = [&path[..], separator, name.to_bytes()].concat();
            let stat =
                statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW).doing(|| doing(&inner))?;
            let place = Place { directory: &directory, name: name.to_owned() };
            visit(inner.clone(), &place, &stat).doing(|| doing(&inner))?;
            if file_type(&stat) == FileType::Directory {
                pending.push(inner);
            }
        }
    }
    Ok(())
}

fn open_beneath(root: BorrowedFd<'_>, path: &[u8]) -> rustix::io::Result<OwnedFd> {
    let path = if path.is_empty() { b"." } else { path };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    openat2(root.as_fd(), path, flags, Mode::empty(), resolve)
}

fn file_type(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

/// The word of mtree for a type.
fn kind(stat: &Stat) -> &'static str {
    match file_type(stat) {
        FileType::Directory => "dir",
        FileType::Symlink => "link",
        FileType::CharacterDevice => "char",
        FileType::BlockDevice => "block",
        FileType::Fifo => "fifo",
        FileType::Socket => "socket",
        _ => "file",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::symlink};

    fn opened(path: &Path) -> OwnedFd {
        File::open(path).unwrap().into()
    }

    #[test]
    fn names_survive_and_umocis_are_read() {
        for name in [&b"plain"[..], b"a b#c", b"caf\xe9\n", b"\\x*?["] {
            assert_eq!(decoded(&encoded(name)).unwrap(), name, "{}", name.escape_ascii());
        }
        assert_eq!(encoded(b"a b#c"), "a\\040b\\043c");
        for wrong in ["\\", "\\9", "\\777", "\\04"] {
            assert_eq!(decoded(wrong).unwrap_err().kind(), Kind::Corrupt, "{wrong}");
        }
    }

    #[test]
    fn a_manifest_reads_back_and_knows_what_changed() {
        let directory = tempfile::tempdir().unwrap();
        let at = |path: &str| directory.path().join(path);
        fs::create_dir_all(at("d/e")).unwrap();
        for file in ["d/e/deep", "d/same size", "gone", "turned"] {
            fs::write(at(file), b"content").unwrap();
        }
        symlink("d", at("link")).unwrap();
        fs::create_dir(at("tree")).unwrap();
        fs::write(at("tree/inside"), b"").unwrap();
        let root = opened(directory.path());
        let mtree = Mtree::of(root.as_fd()).unwrap();

        let again = Mtree::parse(&mtree.text(directory.path())).unwrap();

        assert_eq!(again, mtree);
        // Whether by the time or by the content: nothing has changed.
        for written in [(i64::MAX, 0), (0, 0)] {
            assert_eq!(mtree.changes(root.as_fd(), written).unwrap(), BTreeMap::new());
        }
        let before = fs::metadata(at("d/same size")).unwrap().modified().unwrap();
        fs::write(at("d/same size"), b"CONTENT").unwrap();
        File::options().write(true).open(at("d/same size")).unwrap().set_modified(before).unwrap();
        fs::remove_file(at("gone")).unwrap();
        fs::remove_dir_all(at("tree")).unwrap();
        fs::write(at("tree"), b"").unwrap();
        fs::remove_file(at("turned")).unwrap();
        fs::create_dir(at("turned")).unwrap();
        let changes = mtree.changes(root.as_fd(), (0, 0)).unwrap();
        let told: Vec<(&str, Presence)> =
            changes.iter().map(|(path, is)| (path.to_str().unwrap(), *is)).collect();
        let told: Vec<_> = told.into_iter().filter(|(path, _)| !path.is_empty()).collect();
        assert_eq!(
            told,
            [
                ("d/same size", Presence::Here),
                ("gone", Presence::Gone),
                ("tree", Presence::Here),
                ("turned", Presence::Here)
            ]
        );
    }

    #[test]
    fn what_is_no_manifest_is_refused() {
        for text in [". type=dir size=x", ". type=dir\nf\\9 type=file", ". mode=9", ". xattr.a=%"] {
            assert_eq!(Mtree::parse(text).unwrap_err().kind(), Kind::Corrupt, "{text}");
        }
    }
}
