//! The monitor's side of a log: output goes in as it was read, one `write` a burst.
//!
//! A log must never hold the container back. When the disk is full the burst is lost whole, what
//! of it was written is taken back, and the loss is counted; the next burst is tried again.

use super::{
    aged,
    journal::Journal,
    json,
    record::{LIMIT_BYTES, Record, Stream},
};
use crate::{LogFormat, LogSettings};
use dhow_base::{Doing, Result, clock::Moment};
use rustix::fs::{Mode, OFlags};
use std::{
    fs::File,
    io::Write,
    os::unix::fs::{FileExt, MetadataExt},
    path::Path,
};

/// How many bytes of records are gathered before they are written.
const BURST_BYTES: usize = 64 << 10;

/// An open log.
#[derive(Debug)]
pub(crate) enum Writer {
    /// Files.
    File(FileWriter),
    /// systemd's journal.
    Journal(Journal),
}

impl Writer {
    /// Opens a log at its end, creating it where it is missing.
    pub(crate) fn open(settings: LogSettings) -> Result<Self> {
        match settings.format {
            LogFormat::Journal => Journal::open(&settings).map(Self::Journal),
            LogFormat::K8s | LogFormat::Json => FileWriter::open(settings).map(Self::File),
        }
    }

    /// Writes what was read from one stream at one moment.
    pub(crate) fn append(&mut self, stream: Stream, now: Moment, output: &[u8]) {
        match self {
            Self::File(file) => file.append(stream, now, output),
            Self::Journal(journal) => journal.append(stream, output),
        }
    }

    /// Nothing more will be written.
    pub(crate) fn finish(&mut self) {
        if let Self::Journal(journal) = self {
            journal.finish();
        }
    }

    /// Bytes of output that could not be written.
    pub(crate) fn lost_bytes(&self) -> u64 {
        match self {
            Self::File(file) => file.lost_bytes,
            Self::Journal(journal) => journal.lost_bytes,
        }
    }

    /// Gives memory back while nothing is written.
    pub(crate) fn rest(&mut self) {
        if let Self::File(file) = self {
            file.records = Vec::new();
        }
    }
}

/// A log in files.
#[derive(Debug)]
pub(crate) struct FileWriter {
    settings: LogSettings,
    // What goes along with each record of docker's form.
    attributes: String,
    file: File,
    length_bytes: u64,
    records: Vec<u8>,
    lost_bytes: u64,
}

impl FileWriter {
    fn open(settings: LogSettings) -> Result<Self> {
        let (file, length_bytes) = open(&settings.path)
            .and_then(end_cleanly)
            .doing(|| format!("open log {}", settings.path.display()))?;
        let attributes = json::attributes(&settings.attributes);
        let records = Vec::new();
        Ok(Self { settings, attributes, file, length_bytes, records, lost_bytes: 0 })
    }

    fn append(&mut self, stream: Stream, now: Moment, mut output: &[u8]) {
        let time = now.rfc3339().into_bytes();
        let mut gathered_bytes = 0;
        while !output.is_empty() {
            let head = &output[..output.len().min(LIMIT_BYTES)];
            let newline = head.iter().position(|byte| *byte == b'\n');
            let text = &head[..newline.unwrap_or(head.len())];
            let used = text.len() + usize::from(newline.is_some());
            let record =
                Record { stream, time: &time, ends_line: newline.is_some(), text: text.into() };
            match self.settings.format {
                LogFormat::Json => json::append(&record, &self.attributes, &mut self.records),
                _ => record.append_to(&mut self.records),
            }
            output = &output[used..];
            gathered_bytes += used;
            if self.records.len() >= BURST_BYTES || output.is_empty() {
                self.write_records(gathered_bytes);
                gathered_bytes = 0;
            }
        }
    }

    fn write_records(&mut self, output_bytes: usize) {
        self.rotate_if_due();
        if self.file.write_all(&self.records).is_ok() {
            self.length_bytes += self.records.len() as u64;
        } else {
            // Half a record would spoil the one after it.
            let _shortened = self.file.set_len(self.length_bytes);
            self.lost_bytes += output_bytes as u64;
        }
        self.records.clear();
    }

    /// A log that cannot be set aside goes on growing: too much is better than nothing.
    fn rotate_if_due(&mut self) {
        let Some(limit_bytes) = self.settings.limit_bytes else { return };
        let length_bytes = self.length_bytes + self.records.len() as u64;
        if self.length_bytes == 0 || length_bytes <= limit_bytes {
            return;
        }
        let path = &self.settings.path;
        for age in (1..self.settings.files).rev() {
            // The oldest is replaced, and those in between may not exist yet.
            let _renamed = rustix::fs::rename(aged(path, age - 1), aged(path, age));
        }
        if self.settings.files <= 1 {
            let _unlinked = rustix::fs::unlink(path);
        }
        if let Ok((file, length_bytes)) = open(path) {
            (self.file, self.length_bytes) = (file, length_bytes);
        }
    }
}

fn open(path: &Path) -> std::io::Result<(File, u64)> {
    // The directory is the platform's own, yet the name may have been planted in a log directory
    // that the user chose.
    let flags = OFlags::RDWR
        | OFlags::APPEND
        | OFlags::CREATE
        | OFlags::NOFOLLOW
        | OFlags::CLOEXEC
        | OFlags::NOCTTY;
    let file = File::from(rustix::fs::open(path, flags, Mode::from_raw_mode(0o600))?);
    let length_bytes = file.metadata()?.size();
    Ok((file, length_bytes))
}

/// Ends a record that a crash cut short, so that only that one is lost.
fn end_cleanly((mut file, length_bytes): (File, u64)) -> std::io::Result<(File, u64)> {
    let mut last = [b'\n'];
    if length_bytes > 0 {
        file.read_exact_at(&mut last, length_bytes - 1)?;
    }
    if last == [b'\n'] {
        return Ok((file, length_bytes));
    }
    file.write_all(b"\n")?;
    Ok((file, length_bytes + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(directory: &tempfile::TempDir) -> LogSettings {
        LogSettings { path: directory.path().join("log"), files: 1, ..LogSettings::default() }
    }

    #[test]
    fn bursts_become_records() {
        let time = "2026-11-22T03:19:00.123456789Z";
        let long = "x".repeat(LIMIT_BYTES);
        let cases: [(&str, String); 6] = [
            ("a\nb\n", format!("{time} stdout F a\n{time} stdout F b\n")),
            ("\n\n", format!("{time} stdout F \n{time} stdout F \n")),
            ("prompt> ", format!("{time} stdout P prompt> \n")),
            ("a\r\n", format!("{time} stdout F a\r\n")),
            (&format!("{long}\n"), format!("{time} stdout P {long}\n{time} stdout F \n")),
            (&format!("{long}yz"), format!("{time} stdout P {long}\n{time} stdout P yz\n")),
        ];
        for (output, expected) in cases {
            let directory = tempfile::tempdir().unwrap();
            let mut writer = Writer::open(settings(&directory)).unwrap();

            writer.append(Stream::Stdout, Moment::parse(time).unwrap(), output.as_bytes());

            let written = std::fs::read_to_string(directory.path().join("log")).unwrap();
            assert_eq!(written, expected);
        }
    }

    #[test]
    fn a_log_cut_short_costs_one_record() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        std::fs::write(&path, "2026-11-22T03:1").unwrap();

        let mut writer = Writer::open(settings(&directory)).unwrap();
        writer.append(Stream::Stderr, Moment::now(), b"x\n");

        let written = std::fs::read_to_string(&path).unwrap();
        assert!(written.starts_with("2026-11-22T03:1\n"), "{written}");
        assert!(written.ends_with(" stderr F x\n"), "{written}");
    }

    #[test]
    fn a_planted_link_is_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        let victim = directory.path().join("victim");
        std::os::unix::fs::symlink(&victim, directory.path().join("log")).unwrap();

        assert!(Writer::open(settings(&directory)).is_err());
        assert!(!victim.exists());
    }

    #[test]
    fn a_full_log_is_set_aside_and_the_oldest_goes() {
        let directory = tempfile::tempdir().unwrap();
        let settings = LogSettings { limit_bytes: Some(100), files: 3, ..settings(&directory) };
        let mut writer = Writer::open(settings).unwrap();

        for number in 0..10 {
            writer.append(Stream::Stdout, Moment::now(), format!("line {number}\n").as_bytes());
        }

        let read = |name: &str| std::fs::read_to_string(directory.path().join(name)).unwrap();
        assert!(read("log").contains("line 9") && read("log").len() <= 100);
        assert!(read("log.1").contains("line 7"));
        assert!(read("log.2").contains("line 5"));
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 3);
    }

    #[test]
    fn what_a_full_disk_refuses_is_counted_and_not_torn() {
        let directory = tempfile::tempdir().unwrap();
        let mut writer = FileWriter::open(settings(&directory)).unwrap();
        writer.append(Stream::Stdout, Moment::now(), b"before\n");
        let good = std::mem::replace(
            &mut writer.file,
            File::from(rustix::fs::open("/dev/full", OFlags::WRONLY, Mode::empty()).unwrap()),
        );

        writer.append(Stream::Stdout, Moment::now(), b"lost\n");
        writer.file = good;
        writer.append(Stream::Stdout, Moment::now(), b"after\n");

        assert_eq!(writer.lost_bytes, 5);
        let written = std::fs::read_to_string(directory.path().join("log")).unwrap();
        assert!(written.contains("before") && written.contains("after"));
        assert!(!written.contains("lost"));
    }
}
