//! Where a file's content is cut, by the content itself: an insertion moves the cuts near it and no
//! others, so two versions of a file share most pieces.
//!
//! A gear hash: each byte shifts the hash and adds a number of its own, so only the last 32 bytes
//! count; a cut is where its upper bits are zero.

/// No piece but the last is shorter: a frame for a few bytes would cost more than it saves.
const LEAST_BYTES: usize = 16 << 10;
/// No piece is longer.
const MOST_BYTES: usize = 1 << 20;
/// Sixteen bits: a cut each 64 KiB, after the least.
const MASK: u32 = 0xffff_0000;

/// A number for each value of a byte, from the generator splitmix64.
const GEAR: [u32; 256] = {
    let mut gear = [0; 256];
    let mut state = 0_u64;
    let mut index = 0;
    while index < 256 {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        gear[index] = ((mixed ^ (mixed >> 31)) >> 32) as u32;
        index += 1;
    }
    gear
};

/// Where in the current piece we are.
#[derive(Debug, Default)]
pub(crate) struct Cutter {
    hash: u32,
    length: usize,
}

impl Cutter {
    /// How many of these bytes still belong to the current piece, and whether it ends with them.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> (usize, bool) {
        for (index, byte) in bytes.iter().enumerate() {
            self.hash = (self.hash << 1).wrapping_add(GEAR[usize::from(*byte)]);
            self.length += 1;
            let is_cut = self.hash & MASK == 0 && self.length >= LEAST_BYTES;
            if is_cut || self.length == MOST_BYTES {
                *self = Self::default();
                return (index + 1, true);
            }
        }
        (bytes.len(), false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(length: usize, mut state: u32) -> Vec<u8> {
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()[0]
        };
        (0..length).map(|_| next()).collect()
    }

    fn pieces(mut bytes: &[u8], at_once: usize) -> Vec<Vec<u8>> {
        let (mut cutter, mut pieces, mut piece) = (Cutter::default(), Vec::new(), Vec::new());
        while !bytes.is_empty() {
            let (count, is_end) = cutter.take(&bytes[..at_once.min(bytes.len())]);
            piece.extend_from_slice(&bytes[..count]);
            bytes = &bytes[count..];
            if is_end {
                pieces.push(std::mem::take(&mut piece));
            }
        }
        pieces.push(piece);
        pieces
    }

    #[test]
    fn an_insertion_moves_few_cuts() {
        let before = noise(8 << 20, 1);
        let mut after = before.clone();
        after.splice(1_000_000..1_000_000, *b"inserted");

        let (old, new) = (pieces(&before, usize::MAX), pieces(&after, usize::MAX));

        assert!(old.len() > 40, "{} pieces", old.len());
        let changed = new.iter().filter(|piece| !old.contains(piece)).count();
        assert!(changed <= 3, "{changed} of {} pieces changed", new.len());
        assert_eq!(old, pieces(&before, 4099));
        assert!(old.iter().all(|piece| piece.len() <= MOST_BYTES));
    }
}
