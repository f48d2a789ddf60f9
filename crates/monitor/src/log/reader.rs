//! A log read back: filtered, from the end, and on while it grows.
//!
//! Reading needs no monitor. Following asks one thing of it: when the process ends.

use super::{
    aged, find,
    record::{Entry, Record, Stream},
};
use crate::Client;
use dhow_base::{Doing, Error, Result, clock::Moment};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{
        CWD, Mode, OFlags,
        inotify::{self, CreateFlags, WatchFlags},
    },
};
use std::{
    collections::VecDeque,
    fs::File,
    os::{
        fd::{AsFd, OwnedFd},
        unix::fs::{FileExt, MetadataExt},
    },
    path::{Path, PathBuf},
};

/// How much is read at once.
const BLOCK_BYTES: usize = 64 << 10;

/// How much is shown at once.
const SHOWN_BYTES: usize = 256 << 10;

/// What has no newline for so long is no record of ours: in docker's form a letter may take six.
const RECORD_LIMIT_BYTES: usize = 192 << 10;

/// More logs than that are never set aside.
const MOST_LOGS: u32 = 1000;

/// Which part of a log is wanted.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// Nothing older.
    pub since: Option<Moment>,
    /// Nothing younger.
    pub until: Option<Moment>,
    /// Only so many lines from the end.
    pub tail: Option<usize>,
    /// The run directory of the process to follow until it ends. Where none runs, what is there is
    /// all there is.
    pub follow: Option<PathBuf>,
}

/// Reads a log, the logs set aside included. A log that does not exist is empty.
pub fn read(path: &Path, query: &Query) -> Result<Reader> {
    // The exit is asked for before the files are opened: what was written before it is then found.
    let follower = match &query.follow {
        Some(directory) => Follower::new(directory, path)?,
        None => None,
    };
    let mut logs = open_all(path)?;
    let mut offset_bytes = 0;
    match query.tail {
        // Only what is yet to come.
        Some(0) => {
            logs.drain(..logs.len().saturating_sub(1));
            if let Some(log) = logs.first() {
                offset_bytes = log.metadata().doing(|| "measure the log")?.size();
            }
        }
        Some(lines) => (logs, offset_bytes) = last_lines(logs, lines)?,
        None => {}
    }
    Ok(Reader {
        path: path.to_owned(),
        logs: logs.into(),
        records: Records { offset_bytes, ..Records::default() },
        within_line: [false; 2],
        since: query.since,
        until: query.until,
        follower,
    })
}

/// The entries of a log, oldest first.
#[derive(Debug)]
pub struct Reader {
    path: PathBuf,
    // Oldest first; the front one is being read.
    logs: VecDeque<File>,
    records: Records,
    within_line: [bool; 2],
    since: Option<Moment>,
    until: Option<Moment>,
    follower: Option<Follower>,
}

/// How lines are shown.
#[derive(Clone, Debug, Default)]
pub struct Dress {
    /// Whether each line begins with its time.
    pub times: bool,
    /// What each line begins with, before the time.
    pub prefix: String,
    /// What stands between the time and the line.
    pub details: String,
}

/// Lines to be shown: bytes, and how many of them in turn belong to which stream.
#[derive(Debug, Default)]
pub struct Shown {
    /// The bytes of all lines.
    pub bytes: Vec<u8>,
    /// The streams in turn.
    pub runs: Vec<(Stream, usize)>,
}

impl Shown {
    /// Forgets the lines and keeps the room.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.runs.clear();
    }

    fn push(&mut self, record: &Record<'_>, begins_line: bool, dress: &Dress) {
        let before = self.bytes.len();
        if begins_line {
            self.bytes.extend_from_slice(dress.prefix.as_bytes());
            if dress.times {
                self.bytes.extend_from_slice(record.time);
                self.bytes.push(b' ');
            }
            self.bytes.extend_from_slice(dress.details.as_bytes());
        }
        self.bytes.extend_from_slice(&record.text);
        if record.ends_line {
            self.bytes.push(b'\n');
        }
        let count = self.bytes.len() - before;
        match self.runs.last_mut() {
            Some((stream, bytes)) if *stream == record.stream => *bytes += count,
            _ => self.runs.push((record.stream, count)),
        }
    }
}

impl Reader {
    /// Takes as much as is there, up to some hundred kilobytes, in the form in which it is shown; or
    /// waits for more, where the log is followed. `false` says that the log has come to its end.
    ///
    /// A log of gigabytes is shown at the speed of the disk: a line costs no memory of its own, and
    /// its time is read only if that decides something.
    pub fn show(&mut self, dress: &Dress, shown: &mut Shown) -> Result<bool> {
        let since_text = self.since.map(Moment::rfc3339).unwrap_or_default();
        let until_text = self.until.map(Moment::rfc3339).unwrap_or_default();
        loop {
            if let Some(log) = self.logs.front() {
                while let Some(line) = self.records.next(log).doing(|| "read the log")? {
                    let Some(record) = Record::parse(line) else { continue };
                    match (&self.since, &self.until) {
                        (Some(since), _) if is_before(record.time, *since, &since_text) => continue,
                        (_, Some(until)) if is_after(record.time, *until, &until_text) => {
                            return Ok(!shown.bytes.is_empty());
                        }
                        _ => {}
                    }
                    let within = &mut self.within_line[record.stream.index()];
                    let was_within = std::mem::replace(within, !record.ends_line);
                    shown.push(&record, !was_within, dress);
                    if shown.bytes.len() >= SHOWN_BYTES {
                        return Ok(true);
                    }
                }
            }
            if !shown.bytes.is_empty() {
                return Ok(true);
            }
            if !self.go_on()? {
                return Ok(false);
            }
        }
    }
}

impl Iterator for Reader {
    type Item = Result<Entry>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.next_entry() {
                Ok(Some(entry)) if self.since.is_some_and(|since| entry.time < since) => {}
                Ok(Some(entry)) if self.until.is_some_and(|until| entry.time > until) => {
                    return None;
                }
                entry => return entry.transpose(),
            }
        }
    }
}

impl Reader {
    fn next_entry(&mut self) -> Result<Option<Entry>> {
        loop {
            if let Some(log) = self.logs.front() {
                while let Some(line) = self.records.next(log).doing(|| "read the log")? {
                    if let Some(entry) = entry_of(line, &mut self.within_line) {
                        return Ok(Some(entry));
                    }
                }
            }
            if !self.go_on()? {
                return Ok(None);
            }
        }
    }

    /// After the end of a log: the next one, or more of this one, or nothing.
    fn go_on(&mut self) -> Result<bool> {
        if self.logs.len() > 1 {
            self.logs.pop_front();
            self.records = Records::default();
            return Ok(true);
        }
        let Some(follower) = &mut self.follower else { return Ok(false) };
        match follower.wait(&self.path)? {
            // Once more from here: what was written before the exit is there by now.
            Waited::Ended => self.follower = None,
            // Nothing that is yet to come is old enough.
            Waited::Changed if self.until.is_some_and(|until| until < Moment::now()) => {
                self.follower = None;
            }
            Waited::Changed => {}
        }
        let younger = younger_than(&self.path, self.logs.front())?;
        self.logs.extend(younger);
        Ok(true)
    }
}

/// Times as we and docker write them sort as texts do, which is a tenth of the work of reading them;
/// others are read. What is no time is neither before nor after.
fn is_before(time: &[u8], moment: Moment, text: &str) -> bool {
    match sorts_as_text(time) {
        true => time < text.as_bytes(),
        false => parsed(time).is_some_and(|time| time < moment),
    }
}

fn is_after(time: &[u8], moment: Moment, text: &str) -> bool {
    match sorts_as_text(time) {
        true => time > text.as_bytes(),
        false => parsed(time).is_some_and(|time| time > moment),
    }
}

fn sorts_as_text(time: &[u8]) -> bool {
    const LENGTH: usize = "2026-11-22T03:19:00.123456789Z".len();
    time.len() == LENGTH && time.ends_with(b"Z")
}

fn parsed(time: &[u8]) -> Option<Moment> {
    Moment::parse(std::str::from_utf8(time).ok()?).ok()
}

fn entry_of(line: &[u8], within_line: &mut [bool; 2]) -> Option<Entry> {
    let record = Record::parse(line)?;
    let time = parsed(record.time)?;
    let mut bytes = Vec::with_capacity(record.text.len() + 1);
    bytes.extend_from_slice(&record.text);
    if record.ends_line {
        bytes.push(b'\n');
    }
    let was_within = std::mem::replace(&mut within_line[record.stream.index()], !record.ends_line);
    Some(Entry { stream: record.stream, time, begins_line: !was_within, bytes })
}

/// The lines of an open log, from an offset on; its end is only ever its end so far.
#[derive(Debug, Default)]
struct Records {
    buffer: Vec<u8>,
    taken: usize,
    offset_bytes: u64,
    skipping: bool,
}

impl Records {
    /// The next whole line without its newline.
    fn next(&mut self, log: &File) -> std::io::Result<Option<&[u8]>> {
        let (start, end) = loop {
            let rest = &self.buffer[self.taken..];
            if let Some(length) = find(b'\n', rest) {
                let line = (self.taken, self.taken + length);
                self.taken += length + 1;
                if std::mem::take(&mut self.skipping) {
                    continue;
                }
                break line;
            }
            if rest.len() > RECORD_LIMIT_BYTES {
                self.skipping = true;
                self.taken = self.buffer.len();
            }
            if !self.fill(log)? {
                return Ok(None);
            }
        };
        Ok(Some(&self.buffer[start..end]))
    }

    /// The offset of what comes next.
    fn position_bytes(&self) -> u64 {
        self.offset_bytes - (self.buffer.len() - self.taken) as u64
    }

    fn fill(&mut self, log: &File) -> std::io::Result<bool> {
        self.buffer.drain(..self.taken);
        self.taken = 0;
        let length = self.buffer.len();
        self.buffer.resize(length + BLOCK_BYTES, 0);
        let read = log.read_at(&mut self.buffer[length..], self.offset_bytes);
        let count = *read.as_ref().unwrap_or(&0);
        self.buffer.truncate(length + count);
        self.offset_bytes += count as u64;
        read.map(|count| count > 0)
    }
}

/// The current log and those set aside, oldest first.
fn open_all(path: &Path) -> Result<Vec<File>> {
    // Youngest first: a log that is set aside in between is met twice and never missed.
    let mut logs: Vec<File> = Vec::new();
    for age in 0..MOST_LOGS {
        let Some(log) = open(&aged(path, age))? else {
            // Between two renames the current log has no name for a moment.
            if age == 0 { continue } else { break }
        };
        if !logs.last().is_some_and(|younger| same(younger, &log)) {
            logs.push(log);
        }
    }
    logs.reverse();
    Ok(logs)
}

/// The logs that were begun after `log`, oldest first.
fn younger_than(path: &Path, log: Option<&File>) -> Result<Vec<File>> {
    let mut logs = open_all(path)?;
    if let Some(log) = log
        && let Some(index) = logs.iter().position(|other| same(other, log))
    {
        logs.drain(..=index);
    }
    Ok(logs)
}

fn open(path: &Path) -> Result<Option<File>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match rustix::fs::openat(CWD, path, flags, Mode::empty()) {
        Ok(fd) => Ok(Some(File::from(fd))),
        Err(rustix::io::Errno::NOENT) => Ok(None),
        Err(errno) => Err(errno).doing(|| format!("open log {}", path.display())),
    }
}

fn same(one: &File, other: &File) -> bool {
    match (one.metadata(), other.metadata()) {
        (Ok(one), Ok(other)) => (one.dev(), one.ino()) == (other.dev(), other.ino()),
        _ => false,
    }
}

/// The logs that hold the last `lines` lines, and the offset in the first of them where these
/// begin.
///
/// A window at the end is read forwards and doubled until it holds enough lines, so that the work
/// follows what is asked for and not the log's size.
fn last_lines(mut logs: Vec<File>, lines: usize) -> Result<(Vec<File>, u64)> {
    let mut lengths_bytes = Vec::with_capacity(logs.len());
    for log in &logs {
        lengths_bytes.push(log.metadata().doing(|| "measure the log")?.size());
    }
    let whole_bytes: u64 = lengths_bytes.iter().sum();
    let mut window_bytes = BLOCK_BYTES as u64;
    let (index, offset_bytes) = loop {
        let window = locate(&lengths_bytes, whole_bytes.saturating_sub(window_bytes));
        let mut starts = line_starts(&logs, window, lines)?;
        // The first line of a window may be the end of one that began before it.
        if starts.found > lines || window == (0, 0) {
            break starts.last.pop_front().unwrap_or((0, 0));
        }
        window_bytes = window_bytes.saturating_mul(2);
    };
    logs.drain(..index);
    Ok((logs, offset_bytes))
}

/// A place in the logs as if they were one.
fn locate(lengths_bytes: &[u64], mut offset_bytes: u64) -> (usize, u64) {
    for (index, length_bytes) in lengths_bytes.iter().enumerate() {
        if offset_bytes < *length_bytes {
            return (index, offset_bytes);
        }
        offset_bytes -= length_bytes;
    }
    (0, 0)
}

/// Where lines begin.
struct LineStarts {
    /// How many there are.
    found: usize,
    /// The last ones: log and offset.
    last: VecDeque<(usize, u64)>,
}

/// Where the last `most` lines after a place begin.
fn line_starts(
    logs: &[File],
    (first, offset_bytes): (usize, u64),
    most: usize,
) -> Result<LineStarts> {
    let mut starts = LineStarts { found: 0, last: VecDeque::new() };
    // In the middle of a log, the first record is most probably half a one.
    let mut records = Records { offset_bytes, skipping: offset_bytes > 0, ..Records::default() };
    let mut within_line = [false; 2];
    for (index, log) in logs.iter().enumerate().skip(first) {
        while let Some(line) = records.next(log).doing(|| "read the log")? {
            let line_bytes = line.len() as u64 + 1;
            let Some(record) = Record::parse(line) else { continue };
            let stream = record.stream.index();
            if !std::mem::replace(&mut within_line[stream], !record.ends_line) {
                starts.found += 1;
                starts.last.push_back((index, records.position_bytes() - line_bytes));
                if starts.last.len() > most {
                    starts.last.pop_front();
                }
            }
        }
        records = Records::default();
    }
    Ok(starts)
}

/// Waits for a log to grow, and for the process that writes it to end.
#[derive(Debug)]
struct Follower {
    client: Client,
    changes: OwnedFd,
}

/// What a wait brought.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Waited {
    Changed,
    Ended,
}

impl Follower {
    /// `None` where nothing runs.
    fn new(directory: &Path, log: &Path) -> Result<Option<Self>> {
        let Some(client) = Client::connect(directory)? else { return Ok(None) };
        let changes = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)
            .doing(|| format!("watch log {}", log.display()))?;
        // The directory and not the file: one watch lasts for all the logs that are yet to come.
        let parent = log.parent().unwrap_or(Path::new("/"));
        let flags = WatchFlags::MODIFY | WatchFlags::CREATE | WatchFlags::MOVED_TO;
        inotify::add_watch(&changes, parent, flags)
            .doing(|| format!("watch directory {}", parent.display()))?;
        Ok(Some(Self { client, changes }))
    }

    fn wait(&mut self, log: &Path) -> Result<Waited> {
        // Should a change go unnoticed (the kernel's queue may run over), it is seen a bit later.
        let patience = Timespec { tv_sec: 1, tv_nsec: 0 };
        let mut fds = [
            PollFd::from_borrowed_fd(self.changes.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(self.client.as_fd(), PollFlags::IN),
        ];
        match poll(&mut fds, Some(&patience)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => {
                return Err(errno).doing(|| format!("wait for log {}", log.display()));
            }
        }
        let client_spoke = !fds[1].revents().is_empty();
        let mut events = [0_u8; 4096];
        while rustix::io::read(&self.changes, &mut events).is_ok_and(|count| count > 0) {}
        if client_spoke && self.client_ended() {
            return Ok(Waited::Ended);
        }
        Ok(Waited::Changed)
    }

    fn client_ended(&mut self) -> bool {
        // A monitor that is gone has ended, too; how is not this reader's business.
        let is_end = |error: Error| error.kind() == dhow_base::Kind::Unavailable;
        match self.client.try_next() {
            Ok(event) => matches!(event, Some(crate::Event::Exited(_))),
            Err(error) => is_end(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Stream, Writer},
        *,
    };
    use crate::LogSettings;

    fn write(path: &Path, limit_bytes: Option<u64>, bursts: &[(Stream, i64, &[u8])]) {
        let settings =
            LogSettings { path: path.to_owned(), limit_bytes, files: 5, ..LogSettings::default() };
        let mut writer = Writer::open(settings).unwrap();
        for (stream, seconds, bytes) in bursts {
            writer.append(*stream, at(*seconds), bytes);
        }
    }

    fn at(seconds: i64) -> Moment {
        Moment::from_unix_nanoseconds(seconds * 1_000_000_000)
    }

    fn texts(path: &Path, query: &Query) -> Vec<String> {
        let entries = read(path, query).unwrap().map(|entry| entry.unwrap().bytes);
        entries.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).collect()
    }

    #[test]
    fn reading_gives_back_the_bytes_that_were_written() {
        let long: Vec<u8> = (0..100_000).map(|n| b"abc\xff \r"[n % 6]).collect();
        let outputs: [&[u8]; 6] =
            [b"", b"a\n", b"no newline", b"a\n\n\nb\r\nc", b"\x00\xff\xfe\n", &long];
        for output in outputs {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("log");
            let bursts: Vec<_> =
                output.chunks(7000).map(|chunk| (Stream::Stdout, 1, chunk)).collect();
            write(&path, None, &bursts);

            let entries: Vec<_> =
                read(&path, &Query::default()).unwrap().map(Result::unwrap).collect();

            let bytes: Vec<u8> = entries.iter().flat_map(|entry| entry.bytes.clone()).collect();
            assert_eq!(bytes, output);
            let begun = entries.iter().filter(|entry| entry.begins_line).count();
            assert_eq!(begun, output.split_inclusive(|byte| *byte == b'\n').count());
        }
    }

    #[test]
    fn queries_choose_by_time_and_from_the_end() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        write(
            &path,
            None,
            &[
                (Stream::Stdout, 10, b"one\n"),
                (Stream::Stderr, 20, b"two\nthr"),
                (Stream::Stderr, 30, b"ee\n"),
                (Stream::Stdout, 40, b"four"),
            ],
        );
        let since = |seconds| Query { since: Some(at(seconds)), ..Query::default() };
        let until = |seconds| Query { until: Some(at(seconds)), ..Query::default() };
        let tail = |lines| Query { tail: Some(lines), ..Query::default() };
        let cases = [
            (Query::default(), "one\ntwo\nthree\nfour"),
            (since(20), "two\nthree\nfour"),
            (since(41), ""),
            (until(20), "one\ntwo\nthr"),
            (until(9), ""),
            (tail(0), ""),
            (tail(1), "four"),
            (tail(2), "three\nfour"),
            (tail(3), "two\nthree\nfour"),
            (tail(100), "one\ntwo\nthree\nfour"),
            (Query { until: Some(at(30)), ..tail(2) }, "three\n"),
        ];
        for (query, expected) in cases {
            assert_eq!(texts(&path, &query).concat(), expected, "{query:?}");
        }
    }

    #[test]
    fn lines_are_shown_as_they_are_dressed_and_streams_stay_apart() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let text = "1970-01-01T00:00:01Z stdout F one\n1970-01-01T00:00:02Z stdout P tw\n\
                    1970-01-01T00:00:03Z stderr F err\n1970-01-01T00:00:04Z stdout F o\n";
        let json = r#"{"log":"three\n","stream":"stdout","time":"1970-01-01T00:00:05Z"}"#;
        std::fs::write(&path, format!("{text}{json}\n")).unwrap();
        let show = |query: &Query, dress: &Dress| {
            let (mut reader, mut shown) = (read(&path, query).unwrap(), Shown::default());
            assert!(reader.show(dress, &mut shown).unwrap());
            (String::from_utf8(shown.bytes).unwrap(), shown.runs)
        };

        let (text, runs) = show(&Query::default(), &Dress::default());
        assert_eq!(text, "one\ntwerr\no\nthree\n");
        assert_eq!(runs, [(Stream::Stdout, 6), (Stream::Stderr, 4), (Stream::Stdout, 8)]);

        let dress = Dress { times: true, prefix: "web ".into(), details: "tag=x ".into() };
        let since = Query {
            since: Some(Moment::parse("1970-01-01T00:00:05Z").unwrap()),
            ..Query::default()
        };
        assert_eq!(show(&since, &dress).0, "web 1970-01-01T00:00:05Z tag=x three\n");
        let until = Query {
            until: Some(Moment::parse("1970-01-01T00:00:01Z").unwrap()),
            ..Query::default()
        };
        assert_eq!(show(&until, &Dress::default()).0, "one\n");
    }

    #[test]
    fn a_missing_log_is_empty_and_broken_records_are_passed_over() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        assert_eq!(texts(&path, &Query::default()), Vec::<String>::new());

        let mut bytes = b"garbage\n\n\xff\xff stdout F x\n".to_vec();
        bytes.extend(vec![b'x'; 3 * RECORD_LIMIT_BYTES]);
        bytes.extend(b"\n1970-01-01T00:00:01Z stdout F good\n1970-01-01T00:00:02Z stdout F to");
        std::fs::write(&path, bytes).unwrap();

        assert_eq!(texts(&path, &Query::default()), ["good\n"]);
        assert_eq!(texts(&path, &Query { tail: Some(5), ..Query::default() }), ["good\n"]);
    }

    #[test]
    fn the_tail_of_a_large_log_in_several_files_is_exact() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let lines: Vec<String> = (0..20_000).map(|n| format!("this is line {n}\n")).collect();
        let bursts: Vec<_> =
            lines.iter().map(|line| (Stream::Stdout, 1, line.as_bytes())).collect();
        write(&path, Some(200_000), &bursts);
        let kept = texts(&path, &Query::default());

        assert!(kept.len() > 12_500 && kept.len() < 20_000, "{} lines kept", kept.len());
        assert_eq!(kept, lines[20_000 - kept.len()..]);
        for count in [1, 10, 999, 5000, 12_345] {
            let query = Query { tail: Some(count), ..Query::default() };
            assert_eq!(texts(&path, &query), lines[20_000 - count..], "the last {count}");
        }
    }
}
