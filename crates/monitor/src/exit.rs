//! How a process ended, and the record of it that outlives every process of the platform.
//!
//! The record is one small JSON file, replaced atomically. The monitor writes it before it tells
//! anybody; so who hears of an exit finds the record, and who finds no monitor reads the record.
//! It is not synced to the disk: after a power cut the boot has changed, and the engine knows
//! without a record that nothing runs any more.

use dhow_base::{Doing, Error, Kind, Result, clock::Moment, file};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// A record is some hundred bytes; an error's chain may make it longer.
const LIMIT_BYTES: u64 = 1 << 20;

/// How a process ended.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Exit {
    /// The exit code as shells have it: the program's own, or 128 and the signal's number.
    pub code: u8,
    /// The signal that ended it, where one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    /// Whether the kernel killed a process of the container because memory ran out; said of its first
    /// process alone.
    #[serde(default)]
    pub oom_killed: bool,
}

/// What is remembered of a process that ended, or that could not be started.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ExitRecord {
    /// How it ended.
    #[serde(flatten)]
    pub exit: Exit,
    /// When it was started; missing where it never was.
    #[serde(default, with = "moment_as_text", skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Moment>,
    /// When it ended.
    #[serde(default, with = "moment_as_text", skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Moment>,
    /// Bytes of output that the log could not take, as when the disk was full.
    #[serde(default)]
    pub log_lost_bytes: u64,
    /// Why it was not started, or what of it could not be cleaned up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

impl ExitRecord {
    /// Reads a record; `None` where there is none (yet).
    pub fn read(path: &Path) -> Result<Option<Self>> {
        match file::read_limited(path, LIMIT_BYTES) {
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|error| {
                Error::new(Kind::Corrupt, format!("parse exit record {}", path.display()))
                    .because(error)
            }),
            Err(error) if error.kind() == Kind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes a record, whole or not at all. The engine does this for a container whose monitor
    /// died before it could.
    pub fn write(&self, path: &Path) -> Result<()> {
        let bytes = serde_json::to_vec(self).expect("numbers, texts and options always serialise");
        file::write_atomically(path, &bytes, 0o600, file::Durability::Cached)
            .doing(|| "keep the exit record")
    }
}

mod moment_as_text {
    use dhow_base::clock::Moment;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    #[expect(clippy::ref_option, reason = "the shape that serde calls")]
    pub(super) fn serialize<S: Serializer>(
        moment: &Option<Moment>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        match moment {
            Some(moment) => to.serialize_str(&moment.rfc3339()),
            None => to.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Moment>, D::Error> {
        Option::<String>::deserialize(from)?
            .map(|text| Moment::parse(&text).map_err(D::Error::custom))
            .transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_survives_the_disk_and_its_absence_is_no_error() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("exit.json");
        let record = ExitRecord {
            exit: Exit { code: 137, signal: Some(9), oom_killed: true },
            started_at: Some(Moment::now()),
            finished_at: Some(Moment::now()),
            log_lost_bytes: 3,
            problem: None,
        };

        assert_eq!(ExitRecord::read(&path).unwrap(), None);
        record.write(&path).unwrap();

        assert_eq!(ExitRecord::read(&path).unwrap(), Some(record));
    }

    #[test]
    fn a_broken_record_is_corrupt() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("exit.json");
        std::fs::write(&path, b"{\"code\": 700}").unwrap();

        assert_eq!(ExitRecord::read(&path).unwrap_err().kind(), Kind::Corrupt);
    }
}
