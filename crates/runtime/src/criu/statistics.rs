//! What CRIU has counted and timed: the file that it leaves beside its log.
//!
//! ```text
//!  ┌─────────┬───────────────┬──────────────┬───────────────────────────────┐
//!  │ service │ statistics    │ length, u32  │ protobuf: of a dump, or of a  │
//!  │ magic   │ magic, u32 LE │ LE           │ restore (images/stats.proto)  │
//!  └─────────┴───────────────┴──────────────┴───────────────────────────────┘
//! ```

use prost::Message;

const MAGICS: [u32; 2] = [0x5510_5940, 0x5709_3306];

/// A number and what it is called; times are in microseconds.
pub type Statistic = (&'static str, u64);

/// The file of a dump or of a restore; nothing where it is no such file.
pub fn statistics(bytes: &[u8]) -> Option<Vec<Statistic>> {
    let number = |at: usize| {
        let bytes = bytes.get(at..at + 4)?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?))
    };
    if [number(0)?, number(4)?] != MAGICS {
        return None;
    }
    let length = usize::try_from(number(8)?).ok()?;
    let entry = Entry::decode(bytes.get(12..)?.get(..length)?).ok()?;
    match (entry.dump, entry.restore) {
        (Some(dump), _) => Some(vec![
            ("freezing_time", dump.freezing_us.into()),
            ("frozen_time", dump.frozen_us.into()),
            ("memdump_time", dump.memory_dumped_us.into()),
            ("memwrite_time", dump.memory_written_us.into()),
            ("pages_scanned", dump.pages_scanned),
            ("pages_written", dump.pages_written),
        ]),
        (None, Some(restore)) => Some(vec![
            ("forking_time", restore.forking_us.into()),
            ("restore_time", restore.restore_us.into()),
            ("pages_restored", restore.pages_restored.unwrap_or(0)),
        ]),
        (None, None) => None,
    }
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
struct Entry {
    #[prost(message, optional, tag = "1")]
    dump: Option<Dump>,
    #[prost(message, optional, tag = "2")]
    restore: Option<Restore>,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
struct Dump {
    #[prost(uint32, required, tag = "1")]
    freezing_us: u32,
    #[prost(uint32, required, tag = "2")]
    frozen_us: u32,
    #[prost(uint32, required, tag = "3")]
    memory_dumped_us: u32,
    #[prost(uint32, required, tag = "4")]
    memory_written_us: u32,
    #[prost(uint64, required, tag = "5")]
    pages_scanned: u64,
    #[prost(uint64, required, tag = "7")]
    pages_written: u64,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
struct Restore {
    #[prost(uint32, required, tag = "3")]
    forking_us: u32,
    #[prost(uint32, required, tag = "4")]
    restore_us: u32,
    #[prost(uint64, optional, tag = "5")]
    pages_restored: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(entry: Entry) -> Vec<u8> {
        let body = entry.encode_to_vec();
        let length = u32::try_from(body.len()).unwrap();
        let head = [MAGICS[0], MAGICS[1], length].map(u32::to_le_bytes).concat();
        [head, body].concat()
    }

    #[test]
    fn numbers_are_read_and_what_is_cut_off_is_nothing() {
        let restore =
            Restore { forking_us: 3, restore_us: u32::MAX, pages_restored: Some(1 << 40) };
        let bytes = file(Entry { dump: None, restore: Some(restore) });

        let read = statistics(&bytes).unwrap();

        assert_eq!(read[1], ("restore_time", u64::from(u32::MAX)));
        assert_eq!(read[2], ("pages_restored", 1 << 40));
        for length in 0..bytes.len() {
            assert_eq!(statistics(&bytes[..length]), None, "{length} bytes");
        }
        assert_eq!(statistics(&file(Entry { dump: None, restore: None })), None);
        assert_eq!(statistics(&[255; 64]), None);
    }
}
