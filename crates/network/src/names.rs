//! The names of a network's containers: a file of lines that is only ever added to.
//!
//! ```text
//!   <directory>/names        names 1 00000000000000000093      how much of it was alive when it was made
//!                            + 4f1c… 10.89.0.2,fd00:89::2 db database
//!                            - 4f1c…
//!   <directory>/names.lock   held by whoever writes
//! ```
//!
//! A line is one write, and whoever reads knows up to which line: looking for news costs one call
//! that says how long the file is. A file that is mostly about the gone is made anew and renamed
//! into place, which its readers see by the link that theirs has lost.
//!
//! A writer that dies leaves at most a line without an end. Nobody reads such a line, and the next
//! writer cuts it off.

mod book;
mod reader;

pub(crate) use book::Book;
pub use reader::Names;

use dhow_base::{
    Doing, Error, Kind, Result, file,
    lock::{Lock, Sharing},
};
use rustix::fs::{Mode, OFlags};
use std::{
    fs::File,
    net::IpAddr,
    os::{fd::OwnedFd, unix::fs::FileExt},
    path::Path,
};

const FILE: &str = "names";
const LOCK: &str = "names.lock";

/// What the first line begins with; the number that follows has as many digits as any.
const HEAD: &str = "names 1 ";
const HEAD_BYTES: usize = HEAD.len() + 21;

/// The longest line.
const LINE_LIMIT_BYTES: usize = 64 << 10;

/// A file that is shorter is never made anew.
const SHORT_BYTES: u64 = 32 << 10;

/// The longest file that is read: far more than a network has addresses for.
const FILE_LIMIT_BYTES: u64 = 64 << 20;

/// A container in a network.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Entry {
    /// Its id, of which the first twelve letters are a name too.
    pub container: String,
    /// What it is called, the best name first.
    pub names: Vec<String>,
    /// Where it is.
    pub addresses: Vec<IpAddr>,
}

/// What a line says.
#[derive(Debug, Eq, PartialEq)]
enum News {
    Joined(Entry),
    Left(String),
}

/// Writes down that a container is in the network; what was said of it before is forgotten. The
/// directory is made where it is missing.
pub fn join(directory: &Path, entry: &Entry) -> Result<()> {
    let line = line_of(entry)?;
    file::make_directories(directory, 0o700)?;
    add(directory, &line).doing(|| format!("name {} in its network", entry.container))
}

/// Writes down that a container is not in the network any more. A network that is gone is fine.
pub fn leave(directory: &Path, container: &str) -> Result<()> {
    check_word(container)?;
    if !directory.join(FILE).exists() {
        return Ok(());
    }
    add(directory, &format!("- {container}\n"))
        .doing(|| format!("take the names of {container} from its network"))
}

/// Makes the file anew with these containers and no others.
pub fn rewrite(directory: &Path, entries: &[Entry]) -> Result<()> {
    file::make_directories(directory, 0o700)?;
    let _lock = Lock::acquire(&directory.join(LOCK), Sharing::Exclusive)?;
    replace(directory, entries.iter())
}

/// Everybody in the network; nobody where there is no file.
pub fn read(directory: &Path) -> Result<Vec<Entry>> {
    let mut names = Names::new(directory);
    names.refresh()?;
    Ok(names.entries().cloned().collect())
}

fn add(directory: &Path, line: &str) -> Result<()> {
    let _lock = Lock::acquire(&directory.join(LOCK), Sharing::Exclusive)?;
    let path = directory.join(FILE);
    let doing = || format!("write {}", path.display());
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::APPEND | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fd = rustix::fs::open(&path, flags, Mode::from_raw_mode(0o600)).doing(doing)?;
    let file = File::from(fd);
    let size = without_torn_line(&file).doing(doing)?;
    let alive_bytes = alive_bytes(&file);
    let text = if size == 0 { format!("{}{line}", head(0)) } else { line.to_owned() };
    write_whole(&file, size, text.as_bytes()).doing(doing)?;
    if size + text.len() as u64 > SHORT_BYTES.max(2 * alive_bytes) {
        let mut book = Book::default();
        book.learn(&file::read_limited(&path, FILE_LIMIT_BYTES)?);
        replace(directory, book.entries())?;
    }
    Ok(())
}

/// One call, so that no line is seen in parts of which one is lost; where the disk takes only a part,
/// that part goes again.
fn write_whole(file: &File, size: u64, bytes: &[u8]) -> std::io::Result<()> {
    let written = rustix::io::write(file, bytes);
    match written {
        Ok(count) if count == bytes.len() => Ok(()),
        Ok(_) => {
            file.set_len(size)?;
            Err(std::io::ErrorKind::StorageFull.into())
        }
        Err(errno) => Err(errno.into()),
    }
}

/// The file's size, after the end that a writer did not finish was cut off. No reader has come
/// further than that.
fn without_torn_line(file: &File) -> std::io::Result<u64> {
    let size = file.metadata()?.len();
    let mut last = [0];
    if size == 0 || file.read_exact_at(&mut last, size - 1).is_ok() && last == *b"\n" {
        return Ok(size);
    }
    let start = size.saturating_sub(LINE_LIMIT_BYTES as u64 + 1);
    let mut tail = vec![0; usize::try_from(size - start).unwrap_or(0)];
    file.read_exact_at(&mut tail, start)?;
    let end = tail.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| start + at as u64 + 1);
    file.set_len(end)?;
    Ok(end)
}

/// What the first line says; nothing where it says something else.
fn alive_bytes(file: &File) -> u64 {
    let mut bytes = [0; HEAD_BYTES];
    if file.read_exact_at(&mut bytes, 0).is_err() {
        return 0;
    }
    let number = std::str::from_utf8(&bytes).ok().and_then(|text| text.strip_prefix(HEAD));
    number.and_then(|number| number.trim_end().parse().ok()).unwrap_or(0)
}

fn head(alive_bytes: usize) -> String {
    format!("{HEAD}{alive_bytes:020}\n")
}

fn replace<'a>(directory: &Path, entries: impl Iterator<Item = &'a Entry>) -> Result<()> {
    let lines = entries.map(line_of).collect::<Result<String>>()?;
    let text = format!("{}{lines}", head(lines.len()));
    file::replace(&directory.join(FILE), text.as_bytes(), 0o600)
}

fn line_of(entry: &Entry) -> Result<String> {
    let addresses: Vec<String> = entry.addresses.iter().map(IpAddr::to_string).collect();
    let mut line = format!("+ {} {}", entry.container, addresses.join(","));
    check_word(&entry.container)?;
    for name in &entry.names {
        check_word(name)?;
        line.push(' ');
        line.push_str(name);
    }
    line.push('\n');
    if line.len() > LINE_LIMIT_BYTES {
        let what = format!("name {} in its network: its names are too many", entry.container);
        return Err(Error::new(Kind::Invalid, what));
    }
    Ok(line)
}

/// A name that would be two, or none, in a line.
fn check_word(word: &str) -> Result<()> {
    let is_bad = |letter: char| letter.is_whitespace() || letter.is_control();
    if word.is_empty() || word.contains(is_bad) {
        return Err(Error::new(Kind::Invalid, format!("use {word:?} as a name in a network"))
            .hint("write a name of letters, digits, dots, hyphens and underscores"));
    }
    Ok(())
}

/// What a line says, without its end; nothing where it is none of ours.
fn parse(line: &str) -> Option<News> {
    let mut words = line.split(' ');
    match words.next()? {
        "+" => {
            let container = words.next()?.to_owned();
            let addresses = words.next()?.split(',').filter_map(|word| word.parse().ok()).collect();
            let names = words.map(str::to_owned).collect();
            Some(News::Joined(Entry { container, names, addresses }))
        }
        "-" => Some(News::Left(words.next()?.to_owned())),
        _ => None,
    }
}

/// Opens the file; `None` where there is none.
fn open(path: &Path) -> Result<Option<OwnedFd>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(fd) => Ok(Some(fd)),
        Err(rustix::io::Errno::NOENT) => Ok(None),
        Err(errno) => Err(errno).doing(|| format!("open {}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn entry(container: &str, name: &str, address: &str) -> Entry {
        Entry {
            container: container.to_owned(),
            names: vec![name.to_owned()],
            addresses: vec![address.parse().unwrap()],
        }
    }

    fn names_in(directory: &Path) -> Vec<String> {
        read(directory).unwrap().into_iter().flat_map(|entry| entry.names).collect()
    }

    #[test]
    fn who_joins_is_there_until_it_leaves() {
        let directory = tempfile::tempdir().unwrap();
        let network = directory.path().join("n1");
        let (db, web) = (entry("c1", "db", "10.89.0.2"), entry("c2", "web", "fd00:89::3"));

        join(&network, &db).unwrap();
        join(&network, &web).unwrap();
        assert_eq!(read(&network).unwrap(), [db.clone(), web.clone()]);
        let moved = entry("c1", "db", "10.89.0.9");
        join(&network, &moved).unwrap();
        assert_eq!(read(&network).unwrap().len(), 2, "who joins again is no second one");
        assert!(read(&network).unwrap().contains(&moved));
        leave(&network, "c1").unwrap();
        leave(&network, "c1").unwrap();

        assert_eq!(read(&network).unwrap(), [web]);
        assert!(leave(&directory.path().join("n2"), "c1").is_ok(), "a network that is gone");
        assert!(!directory.path().join("n2").exists());
    }

    #[test]
    fn what_would_be_two_names_is_none() {
        let directory = tempfile::tempdir().unwrap();

        for name in ["", "a b", "a\nb", "a\t"] {
            let error = join(directory.path(), &entry("c1", name, "10.0.0.1")).unwrap_err();

            assert_eq!(error.kind(), Kind::Invalid, "{name:?}");
        }
        assert!(names_in(directory.path()).is_empty());
    }

    #[test]
    fn a_writer_that_died_at_any_byte_costs_its_own_line_only() {
        let whole = tempfile::tempdir().unwrap();
        join(whole.path(), &entry("c1", "db", "10.89.0.2")).unwrap();
        let before = std::fs::metadata(whole.path().join(FILE)).unwrap().len();
        join(whole.path(), &entry("c2", "web", "10.89.0.15")).unwrap();
        let bytes = std::fs::read(whole.path().join(FILE)).unwrap();

        for cut in 0..bytes.len() {
            let directory = tempfile::tempdir().unwrap();
            std::fs::write(directory.path().join(FILE), &bytes[..cut]).unwrap();
            let mut reader = Names::new(directory.path());
            reader.refresh().unwrap();

            join(directory.path(), &entry("c3", "new", "10.89.0.4")).unwrap();

            reader.refresh().unwrap();
            let expected: &[&str] = if cut as u64 >= before { &["db", "new"] } else { &["new"] };
            assert_eq!(names_in(directory.path()), expected, "cut at {cut}");
            let known: Vec<_> = reader.entries().flat_map(|entry| &entry.names).collect();
            assert_eq!(known, expected, "a reader who was there, cut at {cut}");
        }
    }

    #[test]
    fn many_who_come_and_go_leave_a_short_file() {
        let directory = tempfile::tempdir().unwrap();
        let mut reader = Names::new(directory.path());
        for number in 0..2000 {
            let name = format!("n{number}");
            join(directory.path(), &entry(&format!("{number:064}"), &name, "10.89.0.2")).unwrap();
            reader.refresh().unwrap();
            assert_eq!(reader.named(&name).count(), 1, "{name}");
            if number >= 10 {
                leave(directory.path(), &format!("{:064}", number - 10)).unwrap();
            }
        }

        let size = std::fs::metadata(directory.path().join(FILE)).unwrap().len();
        assert!(size <= SHORT_BYTES + LINE_LIMIT_BYTES as u64, "{size}");
        reader.refresh().unwrap();
        assert_eq!(reader.entries().count(), 10);
        assert_eq!(names_in(directory.path()).len(), 10);
    }

    #[test]
    fn writers_at_once_lose_nothing() {
        let directory = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for writer in 0..8 {
                let directory = directory.path();
                scope.spawn(move || {
                    for number in 0..100 {
                        let id = format!("{writer:032}{number:032}");
                        let name = format!("w{writer}n{number}");
                        join(directory, &entry(&id, &name, "10.89.0.2")).unwrap();
                        if number % 2 == 0 {
                            leave(directory, &id).unwrap();
                        }
                    }
                });
            }
        });

        let names = names_in(directory.path());
        assert_eq!(names.len(), 400);
        assert!(names.contains(&"w7n99".to_owned()) && !names.contains(&"w7n98".to_owned()));
    }

    #[test]
    fn a_file_made_anew_has_those_who_are_said_to_be_there() {
        let directory = tempfile::tempdir().unwrap();
        join(directory.path(), &entry("c1", "old", "10.89.0.2")).unwrap();
        let mut reader = Names::new(directory.path());
        reader.refresh().unwrap();

        rewrite(directory.path(), &[entry("c2", "new", "10.89.0.3")]).unwrap();

        reader.refresh().unwrap();
        assert_eq!((reader.named("old").count(), reader.named("new").count()), (0, 1));
    }

    #[test]
    fn lines_of_nobody_are_passed_over() {
        let directory = tempfile::tempdir().unwrap();
        join(directory.path(), &entry("c1", "db", "10.89.0.2")).unwrap();
        let options = std::fs::OpenOptions::new();
        let mut file = options.clone().append(true).open(directory.path().join(FILE)).unwrap();
        file.write_all(b"\n?\n+\n+ c2\n- \n\xff\xff\n+ c3 nonsense x\n").unwrap();

        join(directory.path(), &entry("c4", "web", "10.89.0.3")).unwrap();

        assert_eq!(names_in(directory.path()), ["db", "x", "web"]);
        assert_eq!(read(directory.path()).unwrap()[1].addresses, [] as [IpAddr; 0]);
    }
}
