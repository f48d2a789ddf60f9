//! Who waits for whom, between those who bring the bytes of a blob and those who take them.
//!
//! Several connections help where the network is what everybody waits for. Where the reader is, they
//! only make work: of what a registry does for a blob on the same machine, three quarters were the
//! requests for its parts. So one connection it is until a MiB has come, and as long as each says so; and
//! again where the last 16 do.

use std::time::Duration;

/// So much has to come over one connection before it is told.
const TELLING_BYTES: u64 = 1 << 20;
/// And over several: what came ahead of its turn is not waited for, and comes between parts that are.
const TELLING_BYTES_OF_SEVERAL: u64 = 16 << 20;
/// So much longer the reader must have been waited for. Of a network that is the slower side, hardly
/// anything is ever waited for but its bytes.
const CLEARLY: u32 = 4;

/// When a large blob comes over several connections.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Parts {
    /// Unless its reader is slower than one of them.
    #[default]
    AsNeeded,
    /// Always.
    Always,
}

/// What was waited for lately, and what follows from it.
#[derive(Debug)]
pub(crate) struct Balance {
    parts: Parts,
    bytes: u64,
    for_bytes: Duration,
    for_reader: Duration,
    is_one_enough: bool,
}

impl Balance {
    pub(crate) fn new(parts: Parts) -> Self {
        let (bytes, for_bytes, for_reader) = (0, Duration::ZERO, Duration::ZERO);
        Self { parts, bytes, for_bytes, for_reader, is_one_enough: parts == Parts::AsNeeded }
    }

    /// A piece came and was handed on; for both it was waited so long.
    pub(crate) fn passed(&mut self, bytes: u64, for_bytes: Duration, for_reader: Duration) {
        self.bytes += bytes;
        self.for_bytes += for_bytes;
        self.for_reader += for_reader;
        let telling = if self.is_one_enough { TELLING_BYTES } else { TELLING_BYTES_OF_SEVERAL };
        if self.bytes >= telling {
            let is_reader_behind = self.for_reader > self.for_bytes * CLEARLY;
            *self = Self::new(self.parts);
            self.is_one_enough &= is_reader_behind;
        }
    }

    pub(crate) fn is_one_enough(&self) -> bool {
        self.is_one_enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_millis(50);
    const SHORT: Duration = Duration::from_millis(10);

    #[test]
    fn one_connection_is_enough_until_and_unless_its_bytes_are_waited_for() {
        let mut balance = Balance::new(Parts::AsNeeded);
        let mut tell = |bytes, for_bytes, for_reader| {
            balance.passed(bytes, for_bytes, for_reader);
            balance.is_one_enough()
        };

        assert!(tell(TELLING_BYTES - 1, LONG, SHORT), "too little to tell");
        assert!(!tell(1, LONG, SHORT));
        assert!(!tell(TELLING_BYTES_OF_SEVERAL - 1, SHORT, LONG), "too little of several");
        assert!(!tell(1, LONG, LONG), "nobody is clearly behind");
        assert!(tell(TELLING_BYTES_OF_SEVERAL, SHORT, LONG));
        assert!(tell(TELLING_BYTES - 1, LONG, SHORT), "as it was told last");
    }

    #[test]
    fn who_wants_parts_gets_them() {
        let mut balance = Balance::new(Parts::Always);

        balance.passed(TELLING_BYTES_OF_SEVERAL, SHORT, LONG);

        assert!(!balance.is_one_enough());
    }
}
