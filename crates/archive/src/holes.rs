//! Which parts of a file on the disk have data, so that the rest need not be read, pressed or kept.
//!
//! What is a hole is the file system's affair, and depends on the size of its blocks. So regions are
//! widened to whole grains of 64 KiB, the largest block that Linux has: a file that was copied with
//! its holes gives the same map, and the same layer, on every disk. Where that saves less than a
//! mebibyte, the file is written in full, in the form that every reader of tar knows.

use crate::sparse::{Extent, SparseMap};
use rustix::{fs::SeekFrom, io::Errno};
use std::{
    fs::File,
    io::{self, Read},
    os::{fd::AsFd, unix::fs::FileExt},
};

const GRAIN_BYTES: u64 = 64 << 10;
const LEAST_SAVED_BYTES: u64 = 1 << 20;
/// As many regions as readers are asked to remember; a file with more is written in full.
const EXTENTS_LIMIT: usize = 1 << 20;

/// The regions of a file of this size; nothing where writing it in full is as well, and then the
/// file is to be read from its beginning, where it was.
pub(crate) fn map(file: impl AsFd, size: u64) -> io::Result<Option<SparseMap>> {
    if size < LEAST_SAVED_BYTES {
        return Ok(None);
    }
    let mut extents: Vec<Extent> = Vec::new();
    let mut offset = 0;
    while offset < size {
        let Some((start, end)) = region(&file, offset, size)? else { break };
        widen(&mut extents, start, end, size);
        if extents.len() > EXTENTS_LIMIT {
            break;
        }
        offset = end;
    }
    let is_whole = extents.len() <= EXTENTS_LIMIT;
    let map = SparseMap { extents, real_size: size };
    if is_whole && size - map.stored() >= LEAST_SAVED_BYTES {
        return Ok(Some(map));
    }
    rustix::fs::seek(&file, SeekFrom::Start(0))?;
    Ok(None)
}

/// The next region that has data at or after `offset`.
fn region(file: impl AsFd, offset: u64, size: u64) -> io::Result<Option<(u64, u64)>> {
    let start = match rustix::fs::seek(&file, SeekFrom::Data(offset)) {
        Ok(start) if start < size => start,
        Ok(_) | Err(Errno::NXIO) => return Ok(None),
        // A file system that does not know holes has none.
        Err(Errno::INVAL) => offset,
        Err(errno) => return Err(errno.into()),
    };
    match rustix::fs::seek(&file, SeekFrom::Hole(start)) {
        Ok(end) => Ok(Some((start, end.min(size)))),
        Err(Errno::INVAL | Errno::NXIO) => Ok(Some((start, size))),
        Err(errno) => Err(errno.into()),
    }
}

/// Adds a region in whole grains; it joins the last one where they touch.
fn widen(extents: &mut Vec<Extent>, start: u64, end: u64, size: u64) {
    let start = start - start % GRAIN_BYTES;
    let end = end.checked_next_multiple_of(GRAIN_BYTES).map_or(size, |end| end.min(size));
    match extents.last_mut() {
        Some(last) if last.offset + last.length >= start => last.length = end - last.offset,
        _ => extents.push(Extent { offset: start, length: end - start }),
    }
}

/// The content of the regions, one after the other.
pub(crate) struct Regions<'f> {
    file: &'f File,
    extents: std::slice::Iter<'f, Extent>,
    current: Extent,
}

impl<'f> Regions<'f> {
    pub(crate) fn new(file: &'f File, map: &'f SparseMap) -> Self {
        Self { file, extents: map.extents.iter(), current: Extent { offset: 0, length: 0 } }
    }
}

impl Read for Regions<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.length == 0 {
            match self.extents.next() {
                Some(next) => self.current = *next,
                None => return Ok(0),
            }
        }
        let most = usize::try_from(self.current.length)
            .map_or(buffer.len(), |left| left.min(buffer.len()));
        let count = self.file.read_at(&mut buffer[..most], self.current.offset)?;
        self.current.offset += count as u64;
        self.current.length -= count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file of this size with a few bytes at each of these places.
    fn sparse(size: u64, places: &[u64]) -> File {
        let file = tempfile::tempfile().unwrap();
        file.set_len(size).unwrap();
        for place in places {
            file.write_all_at(b"data", *place).unwrap();
        }
        file
    }

    #[test]
    fn regions_are_whole_grains_that_do_not_touch() {
        let grain = GRAIN_BYTES;
        let tail = (40 << 20) + 5;
        let file = sparse(tail, &[0, grain, 10 << 20, tail - 4]);

        let map = map(&file, tail).unwrap().unwrap();

        let expected = [(0, 2 * grain), (10 << 20, grain), (40 << 20, 5)]
            .map(|(offset, length)| Extent { offset, length });
        assert_eq!(map.extents, expected);
        assert_eq!(map.stored(), 3 * grain + 5);
        let mut content = Vec::new();
        Regions::new(&file, &map).read_to_end(&mut content).unwrap();
        assert_eq!(content.len() as u64, map.stored());
        assert_eq!((&content[..4], &content[content.len() - 4..]), (&b"data"[..], &b"data"[..]));
    }

    #[test]
    fn what_saves_little_is_written_in_full() {
        let small = sparse(LEAST_SAVED_BYTES - 1, &[]);
        let nearly_full = sparse(LEAST_SAVED_BYTES + GRAIN_BYTES - 1, &[0]);
        let empty = sparse(LEAST_SAVED_BYTES, &[]);

        assert_eq!(map(&small, LEAST_SAVED_BYTES - 1).unwrap(), None);
        assert_eq!(map(&nearly_full, LEAST_SAVED_BYTES + GRAIN_BYTES - 1).unwrap(), None);
        assert_eq!(map(&empty, LEAST_SAVED_BYTES).unwrap().unwrap().extents, []);
    }
}
