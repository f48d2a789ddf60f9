//! The index of the write-ahead log, kept from one command to the next.
//!
//! SQLite finds the newest page in the log by an index, `state.db-shm`, that the processes which have
//! the database open share. Whoever comes first makes it anew: reads the whole log, adds up its sums,
//! and writes the index. A platform without a daemon has nobody who stays, so each command would come
//! first, and pay for that: an eighth of a `create`.
//!
//! ```text
//!   no lock on byte 128 ──▶ SQLite empties the index and makes it anew ──▶ we write our stamp
//!   stamp and log fit   ──▶ we share byte 128 ──▶ SQLite takes the index as it is
//! ```
//!
//! SQLite does not trust an index that nobody holds, since a machine that broke down may have left any
//! bytes in it. A process that was killed is none of its worries: it may die at any moment while
//! others have the database open, and the next writer puts right what it left. So an index is as good
//! as one that is held if it was made since this boot and the file system was never let go of since.
//! The stamp says that: it is a sum of the boot, the mount and the file, in four bytes that the
//! [format](https://sqlite.org/walformat.html) sets aside; making the index anew wipes it out. Then
//! the log has to be the one that is described, to its last page: whoever has put another there, from
//! a copy that was kept, has it read again. Whatever does not fit is left to SQLite.
//!
//! Our lock may never be on an index that SQLite would believe and we do not: it would keep others
//! from making it anew. So we look first and lock then. What may happen in between is that somebody
//! makes it anew, which is what the lock may be on.
//!
//! The fd stays open as long as the process lives. SQLite's own locks belong to the process, and the
//! kernel drops them when any fd of the file is closed.

use dhow_sys::byte_lock;
use rustix::{
    fs::{AtFlags, Mode, OFlags, StatxFlags},
    io::Errno,
};
use std::{
    ffi::OsString,
    os::fd::{AsFd, BorrowedFd, IntoRawFd, OwnedFd},
    path::{Path, PathBuf},
};

/// The byte that those share who have the index open.
const HOLDERS: u64 = 128;
/// The index begins with two copies of its heading, and what is known of readers and copies.
const HEAD_BYTES: usize = 136;
const HEADING_BYTES: usize = 48;
/// Where the stamp is in it.
const STAMP: u64 = 132;
/// The log's heading, and that of each of its pages.
const LOG_HEAD_BYTES: usize = 32;
const PAGE_HEAD_BYTES: usize = 24;
/// `STATX_MNT_ID_UNIQUE`, Linux 6.8: a number that no other mount of this boot ever has. An older
/// kernel leaves the bit out of its answer, and then no index is kept.
const UNIQUE_MOUNT: StatxFlags = StatxFlags::from_bits_retain(0x4000);

/// The index beside one database.
#[derive(Debug)]
pub(crate) struct LogIndex {
    path: PathBuf,
    is_kept: bool,
}

impl LogIndex {
    /// Has SQLite take the index as it is, where that is safe. To be called before SQLite looks at it.
    pub(crate) fn keep(database: &Path) -> Self {
        let path = beside(database, "-shm");
        let is_kept = try_to_keep(&path, database).unwrap_or(false);
        Self { path, is_kept }
    }

    /// Notes that the index is of this boot. To be called when SQLite has opened it; it has then made
    /// it anew, or others hold it, who did.
    pub(crate) fn stamp(&self) {
        if !self.is_kept {
            // Without a stamp the next command makes the index anew, as this one did.
            let _tried = write_stamp(&self.path);
        }
    }
}

fn beside(database: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(database);
    name.push(ending);
    PathBuf::from(name)
}

fn try_to_keep(path: &Path, database: &Path) -> Result<bool, Errno> {
    let index = open(path, OFlags::RDWR)?;
    let is_kept = matches!(is_sound(index.as_fd(), database), Ok(true))
        && byte_lock::share(index.as_fd(), HOLDERS).unwrap_or(false);
    let _stays_open = index.into_raw_fd();
    Ok(is_kept)
}

fn write_stamp(path: &Path) -> Result<(), Errno> {
    let index = open(path, OFlags::RDWR)?;
    // A database that was told to keep no such log has an index that SQLite has not looked at.
    let is_used = byte_lock::is_held(index.as_fd(), HOLDERS).unwrap_or(false);
    let written = stamp_of(index.as_fd()).and_then(|stamp| match stamp {
        Some(stamp) if is_used => {
            rustix::io::pwrite(&index, &stamp.to_ne_bytes(), STAMP).map(|_| ())
        }
        _ => Ok(()),
    });
    let _stays_open = index.into_raw_fd();
    written
}

fn open(path: &Path, access: OFlags) -> Result<OwnedFd, Errno> {
    rustix::fs::open(path, access | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
}

/// Whether the index was made since this boot, of the log that is there.
fn is_sound(index: BorrowedFd<'_>, database: &Path) -> Result<bool, Errno> {
    let mut head = [0; HEAD_BYTES];
    if rustix::io::pread(index, &mut head, 0)? != HEAD_BYTES {
        return Ok(false);
    }
    let Some(heading) = Heading::parse(&head) else { return Ok(false) };
    if stamp_of(index)? != Some(heading.stamp) {
        return Ok(false);
    }
    // Beside an empty one SQLite throws the log away.
    if rustix::fs::stat(database)?.st_size == 0 {
        return Ok(false);
    }
    let log = open(&beside(database, "-wal"), OFlags::RDONLY)?;
    let mut log_head = [0; LOG_HEAD_BYTES];
    let mut last = [0; PAGE_HEAD_BYTES];
    let mut next = [0; PAGE_HEAD_BYTES];
    let read = rustix::io::pread(&log, &mut log_head, 0)?;
    let last_read = rustix::io::pread(&log, &mut last, heading.page_at(heading.pages - 1))?;
    let next_read = rustix::io::pread(&log, &mut next, heading.page_at(heading.pages))?;
    Ok(read == LOG_HEAD_BYTES
        && last_read == PAGE_HEAD_BYTES
        && log_head[16..24] == heading.salt
        && heading.ends_with(&last)
        // A page of this log that the index does not have is one that a killed writer left, or that
        // the index has not come to.
        && (next_read < PAGE_HEAD_BYTES || next[8..16] != heading.salt))
}

/// What an index says of its log.
struct Heading {
    pages: u32,
    page_bytes: u64,
    /// Drawn anew each time the log is begun anew, and in each of its pages.
    salt: [u8; 8],
    /// Of all the log to its last page.
    sum: [u32; 2],
    stamp: u32,
}

impl Heading {
    /// None of one that is being written, or that describes nothing.
    fn parse(head: &[u8; HEAD_BYTES]) -> Option<Self> {
        if head[..HEADING_BYTES] != head[HEADING_BYTES..2 * HEADING_BYTES] {
            return None;
        }
        let number = |at: usize| head[at..].first_chunk().map(|bytes| u32::from_ne_bytes(*bytes));
        let page_bytes = u16::from_ne_bytes(*head[14..].first_chunk()?);
        let (pages, copied) = (number(16)?, number(96)?);
        // Who begins the log anew and is killed over it may leave more copied than there is.
        (pages > 0 && copied <= pages && page_bytes.is_power_of_two()).then_some(Self {
            pages,
            page_bytes: page_bytes.into(),
            salt: *head[32..].first_chunk()?,
            sum: [number(24)?, number(28)?],
            stamp: number(132)?,
        })
    }

    /// Where a page begins in the log, the first being 0.
    fn page_at(&self, page: u32) -> u64 {
        LOG_HEAD_BYTES as u64 + u64::from(page) * (PAGE_HEAD_BYTES as u64 + self.page_bytes)
    }

    /// Whether this is the heading of the last page, which has the sum of all that is before it.
    fn ends_with(&self, page: &[u8; PAGE_HEAD_BYTES]) -> bool {
        let sum = |at: usize| page[at..].first_chunk().map(|bytes| u32::from_be_bytes(*bytes));
        page[8..16] == self.salt && sum(16) == Some(self.sum[0]) && sum(20) == Some(self.sum[1])
    }
}

/// What stands for this boot, this mount and this file, never 0; nothing where the kernel does not say.
fn stamp_of(index: BorrowedFd<'_>) -> Result<Option<u32>, Errno> {
    let mut boot = [0; 36];
    let path = "/proc/sys/kernel/random/boot_id";
    let file = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    if rustix::io::read(&file, &mut boot)? != boot.len() {
        return Ok(None);
    }
    let asked = StatxFlags::INO | UNIQUE_MOUNT;
    let status = rustix::fs::statx(index, "", AtFlags::EMPTY_PATH, asked)?;
    if !StatxFlags::from_bits_retain(status.stx_mask).contains(asked) {
        return Ok(None);
    }
    let (mount, file) = (status.stx_mnt_id.to_ne_bytes(), status.stx_ino.to_ne_bytes());
    // FNV-1a, folded: what it keeps apart is chance, and nobody's will.
    let sum =
        boot.iter().chain(&mount).chain(&file).fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| {
            (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        });
    let folded =
        u32::try_from((sum >> 32) ^ (sum & 0xffff_ffff)).expect("both halves have 32 bits");
    Ok(Some(folded.max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Sql, State};
    use std::{
        fs::{self, OpenOptions},
        os::unix::fs::FileExt,
    };

    /// A database that some commands have changed, and none has open. This process, which never lets go
    /// of an index, cannot be who comes first: what that one would find is asked.
    fn used() -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        for number in 0..3 {
            let insert = "INSERT INTO events (at, type, action, object, detail) VALUES (?1,'a','b','c','{}')";
            let mut state = State::open(directory.path()).unwrap();
            state.write(|write| write.execute(insert, [number]).sql(|| "insert")).unwrap();
        }
        let database = directory.path().join("state.db");
        (directory, database)
    }

    fn is_taken_as_it_is(database: &Path) -> bool {
        let index = open(&beside(database, "-shm"), OFlags::RDWR).unwrap();
        let is_sound = is_sound(index.as_fd(), database);
        let _stays_open = index.into_raw_fd();
        is_sound.unwrap()
    }

    /// Changes bytes of a file beside the database.
    fn change(database: &Path, ending: &str, at: u64, with: impl FnOnce(&mut [u8; 4])) {
        let path = beside(database, ending);
        let file = OpenOptions::new().read(true).write(true).open(&path).unwrap();
        let mut bytes = [0; 4];
        let _short_at_the_end = file.read_at(&mut bytes, at).unwrap();
        with(&mut bytes);
        file.write_all_at(&bytes, at).unwrap();
        let _stays_open = file.into_raw_fd();
    }

    fn heading(database: &Path) -> Heading {
        let mut head = [0; HEAD_BYTES];
        let index = fs::File::open(beside(database, "-shm")).unwrap();
        index.read_exact_at(&mut head, 0).unwrap();
        let _stays_open = index.into_raw_fd();
        Heading::parse(&head).unwrap()
    }

    fn flip(bytes: &mut [u8; 4]) {
        bytes[3] ^= 1;
    }

    #[test]
    fn an_index_that_commands_have_left_is_taken_as_it_is() {
        let (_directory, database) = used();

        assert!(is_taken_as_it_is(&database));
    }

    #[test]
    fn an_index_of_another_boot_is_not_trusted() {
        let (_directory, database) = used();

        change(&database, "-shm", STAMP, flip);

        assert!(!is_taken_as_it_is(&database));
    }

    #[test]
    fn an_index_that_was_copied_is_not_trusted() {
        let (_directory, database) = used();
        let path = beside(&database, "-shm");
        let copy = beside(&database, "-copy");

        fs::copy(&path, &copy).unwrap();
        fs::rename(&copy, &path).unwrap();

        assert!(!is_taken_as_it_is(&database));
    }

    #[test]
    fn an_index_of_another_log_is_not_trusted() {
        for (what, at) in [("the log's salt", 16), ("its last page's sum", 16), ("the same", 20)] {
            let (_directory, database) = used();
            let heading = heading(&database);
            let page =
                if what == "the log's salt" { 0 } else { heading.page_at(heading.pages - 1) };

            change(&database, "-wal", page + at, flip);

            assert!(!is_taken_as_it_is(&database), "{what} at {at}");
        }
    }

    #[test]
    fn an_index_that_lacks_a_page_of_its_log_is_not_trusted() {
        let (_directory, database) = used();
        let heading = heading(&database);
        let next = heading.page_at(heading.pages);

        // What another process has written and not yet told of.
        change(&database, "-wal", next + 8, |bytes| bytes.copy_from_slice(&heading.salt[..4]));
        change(&database, "-wal", next + 12, |bytes| bytes.copy_from_slice(&heading.salt[4..]));
        change(&database, "-wal", next + 20, |_| ());

        assert!(!is_taken_as_it_is(&database));
    }

    #[test]
    fn an_index_that_is_being_written_is_not_trusted() {
        let (_directory, database) = used();

        change(&database, "-shm", 16, flip);

        assert!(!is_taken_as_it_is(&database));
    }

    #[test]
    fn an_index_that_says_more_is_copied_than_there_is_is_not_trusted() {
        let (_directory, database) = used();
        let pages = heading(&database).pages;

        change(&database, "-shm", 96, |bytes| *bytes = pages.to_ne_bytes());
        assert!(is_taken_as_it_is(&database));
        change(&database, "-shm", 96, |bytes| *bytes = (pages + 1).to_ne_bytes());
        assert!(!is_taken_as_it_is(&database));
    }

    #[test]
    fn an_index_beside_an_empty_database_is_not_trusted() {
        let (_directory, database) = used();

        fs::write(&database, "").unwrap();

        assert!(!is_taken_as_it_is(&database));
    }

    #[test]
    fn an_index_that_sqlite_has_emptied_has_no_stamp() {
        let (_directory, database) = used();
        let path = beside(&database, "-shm");

        fs::write(&path, [0; 3]).unwrap();

        assert!(!is_taken_as_it_is(&database));
    }
}
