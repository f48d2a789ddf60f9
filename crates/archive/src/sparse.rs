//! Which parts of a sparse file are in the archive; the rest are holes.
//!
//! GNU tar has written four forms: its own header type `S` with blocks that continue it, and PAX
//! keys in the versions 0.0, 0.1 and 1.0 (the last puts the map before the content). All become one
//! checked [`SparseMap`].

use crate::{
    header::BLOCK,
    limits::{Limits, exceeded},
};
use dhow_base::{Error, Kind, Result};

/// A region of a file that has content in the archive.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Extent {
    pub(crate) offset: u64,
    pub(crate) length: u64,
}

/// Regions in ascending order, without overlap, within the file's size.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct SparseMap {
    pub(crate) extents: Vec<Extent>,
    pub(crate) real_size: u64,
}

impl SparseMap {
    /// Checks the regions against each other, the size and the content in the archive.
    pub(crate) fn check(extents: Vec<Extent>, real_size: u64, stored: u64) -> Result<Self> {
        let (mut end, mut sum) = (0_u64, 0_u64);
        for extent in &extents {
            let past = extent
                .offset
                .checked_add(extent.length)
                .filter(|past| extent.offset >= end && *past <= real_size)
                .ok_or_else(|| corrupt("its regions overlap or leave the file"))?;
            end = past;
            sum += extent.length;
        }
        if sum != stored {
            return Err(corrupt("its regions do not add up to the content in the archive"));
        }
        Ok(Self { extents, real_size })
    }

    /// Bytes of content in the archive.
    pub(crate) fn stored(&self) -> u64 {
        self.extents.iter().map(|extent| extent.length).sum()
    }

    /// The map as version 1.0 has it before the content: decimal lines, padded to a block. What
    /// ends with a hole has an empty region at its end, from which GNU tar knows the size.
    pub(crate) fn table(&self) -> Vec<u8> {
        let past = self.extents.last().map_or(0, |last| last.offset + last.length);
        let end = (past < self.real_size).then_some(Extent { offset: self.real_size, length: 0 });
        let mut text = format!("{}\n", self.extents.len() + usize::from(end.is_some()));
        for extent in self.extents.iter().chain(&end) {
            text.push_str(&format!("{}\n{}\n", extent.offset, extent.length));
        }
        let mut table = text.into_bytes();
        table.resize(table.len().next_multiple_of(BLOCK), 0);
        table
    }

    /// Pairs up offsets and lengths.
    pub(crate) fn pairs(numbers: &[u64]) -> Result<Vec<Extent>> {
        let (pairs, rest) = numbers.as_chunks::<2>();
        if !rest.is_empty() {
            return Err(corrupt("an offset has no length"));
        }
        Ok(pairs
            .iter()
            .map(|[offset, length]| Extent { offset: *offset, length: *length })
            .collect())
    }
}

/// Collects the 24-byte regions of an old GNU header and the blocks that continue it.
pub(crate) struct OldGnu {
    extents: Vec<Extent>,
    pub(crate) real_size: u64,
    /// Does a block with more regions follow?
    pub(crate) extended: bool,
}

impl OldGnu {
    /// Starts with the sparse part of the header: 4 regions, a flag, the size.
    pub(crate) fn start(part: &[u8]) -> Result<Self> {
        let real_size = count(&part[97..109])?;
        let mut old = Self { extents: Vec::new(), real_size, extended: part[96] != 0 };
        old.take(&part[..96])?;
        Ok(old)
    }

    /// Takes a continuing block: 21 regions and a flag.
    pub(crate) fn go_on(&mut self, block: &[u8], limits: &Limits) -> Result<()> {
        self.take(&block[..504])?;
        self.extended = block[504] != 0;
        if self.extents.len() > limits.sparse_extents {
            return Err(exceeded("sparse map", "sparse extents", limits.sparse_extents));
        }
        Ok(())
    }

    pub(crate) fn extents(self) -> Vec<Extent> {
        self.extents
    }

    fn take(&mut self, regions: &[u8]) -> Result<()> {
        for region in regions.chunks_exact(24) {
            // An unused place is all NUL.
            if region[0] == 0 {
                break;
            }
            self.extents
                .push(Extent { offset: count(&region[..12])?, length: count(&region[12..])? });
        }
        Ok(())
    }
}

fn count(field: &[u8]) -> Result<u64> {
    crate::header::number(field)
        .and_then(|number| u64::try_from(number).ok())
        .ok_or_else(|| corrupt("a number in it is not one"))
}

pub(crate) fn corrupt(why: &str) -> Error {
    Error::new(Kind::Corrupt, format!("sparse map: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_are_checked() {
        let cases: [(&[u64], u64, u64, bool); 9] = [
            (&[], 100, 0, true),
            (&[0, 10, 50, 10], 100, 20, true),
            (&[0, 10, 100, 0], 100, 10, true),
            (&[0, 10, 5, 10], 100, 20, false),
            (&[50, 10, 0, 10], 100, 20, false),
            (&[95, 10], 100, 10, false),
            (&[0, 10], 100, 11, false),
            (&[u64::MAX, 2], u64::MAX, 2, false),
            (&[0], 100, 0, false),
        ];
        for (numbers, real_size, stored, good) in cases {
            let map = SparseMap::pairs(numbers)
                .and_then(|extents| SparseMap::check(extents, real_size, stored));

            assert_eq!(map.is_ok(), good, "{numbers:?} in {real_size}");
        }
    }
}
