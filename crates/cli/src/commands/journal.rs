//! A container's log in systemd's journal, read through `journalctl`: the journal's files are its
//! own affair, and whoever has a journal has its reader.

use dhow_base::{Doing, Error, Kind, Result, clock::Moment, id::ContainerId};
use dhow_monitor::log::{Query, Stream};
use serde_json::Value;
use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

/// A line of the journal.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Line {
    pub(super) stream: Stream,
    pub(super) time: Moment,
    /// With the newline, where the line ends.
    pub(super) bytes: Vec<u8>,
}

/// All lines that the journal has of a container.
pub(super) fn read(id: &ContainerId, query: &Query) -> Result<Vec<Line>> {
    if query.follow.is_some() {
        return Err(Error::new(Kind::Unsupported, "--follow: the journal keeps this log")
            .hint(format!("`journalctl -f CONTAINER_ID={}` follows it", id.short())));
    }
    let mut child = journalctl(id, query)?;
    let mut lines = Vec::new();
    if let Some(output) = child.stdout.take() {
        for line in BufReader::new(output).lines() {
            lines.extend(parse(&line.doing(|| "read the journal")?));
        }
    }
    let status = child.wait().doing(|| "wait for journalctl")?;
    if status.success() {
        Ok(lines)
    } else {
        Err(Error::new(
            Kind::Unavailable,
            format!("read the journal: journalctl ended with {status}"),
        ))
    }
}

fn journalctl(id: &ContainerId, query: &Query) -> Result<Child> {
    let seconds =
        |moment: Moment| format!("@{}", moment.unix_nanoseconds().div_euclid(1_000_000_000));
    let mut command = Command::new("journalctl");
    command.args(["--quiet", "--no-pager", "--output=json", "--all"]);
    if let Some(since) = query.since {
        command.arg("--since").arg(seconds(since));
    }
    if let Some(until) = query.until {
        command.arg("--until").arg(seconds(until));
    }
    if let Some(lines) = query.tail {
        command.arg(format!("--lines={lines}"));
    }
    command.arg(format!("CONTAINER_ID_FULL={id}")).stdin(Stdio::null()).stdout(Stdio::piped());
    command.spawn().doing(|| "run journalctl")
}

/// The journal writes a text that is no UTF-8 as a list of numbers.
fn parse(line: &str) -> Option<Line> {
    let entry: Value = serde_json::from_str(line).ok()?;
    let mut bytes = match &entry["MESSAGE"] {
        Value::String(text) => text.clone().into_bytes(),
        Value::Array(numbers) => {
            numbers.iter().filter_map(|number| u8::try_from(number.as_u64()?).ok()).collect()
        }
        _ => Vec::new(),
    };
    if entry["CONTAINER_PARTIAL_MESSAGE"] != "true" {
        bytes.push(b'\n');
    }
    let stream = if entry["PRIORITY"] == "3" { Stream::Stderr } else { Stream::Stdout };
    let micros: i64 = entry["__REALTIME_TIMESTAMP"].as_str()?.parse().ok()?;
    let time = Moment::from_unix_nanoseconds(micros.checked_mul(1000)?);
    Some(Line { stream, time, bytes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_what_the_journal_says() {
        let whole = r#"{"MESSAGE":"hi","PRIORITY":"6","__REALTIME_TIMESTAMP":"1000000"}"#;
        let part = r#"{"MESSAGE":[255,65],"PRIORITY":"3","__REALTIME_TIMESTAMP":"1","CONTAINER_PARTIAL_MESSAGE":"true"}"#;

        let whole = parse(whole).unwrap();
        let part = parse(part).unwrap();

        assert_eq!((whole.stream, &whole.bytes[..]), (Stream::Stdout, &b"hi\n"[..]));
        assert_eq!(whole.time, Moment::parse("1970-01-01T00:00:01Z").unwrap());
        assert_eq!((part.stream, &part.bytes[..]), (Stream::Stderr, &[255, 65][..]));
        assert_eq!(parse("{}"), None);
        assert_eq!(parse("no json"), None);
    }
}
