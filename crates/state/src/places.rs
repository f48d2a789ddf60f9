//! Places of blobs: the repositories that were seen to have one.
//!
//! Who pushes a blob to another repository of the same registry has the registry take it over from
//! there. A row outlives the blob itself: what was removed here and comes again from a file need not
//! be sent again. Rows are hints, so old ones go: those of a blob that has many, and those that
//! nobody has seen for half a year. The places of what was discarded are more than hints, and stay.

use crate::{Read, Sql, Write};
use dhow_base::{Digest, Result, clock::Moment};
use rusqlite::params;

/// A blob is in so many repositories as far as we remember.
const PLACES_LIMIT: u32 = 16;
const FORGOTTEN_AFTER_NANOSECONDS: i64 = 180 * 86_400 * 1_000_000_000;

/// Says that a repository (`quay.io/team/tool`) has these blobs now.
pub fn note(write: &Write<'_>, repository: &str, blobs: &[Digest], now: Moment) -> Result<()> {
    let what = || format!("note what is in {repository}");
    let now = now.unix_nanoseconds();
    let mut insert = write
        .prepare_cached(
            "INSERT INTO blob_places (digest, repository, seen) VALUES (?1, ?2, ?3) \
             ON CONFLICT (digest, repository) DO UPDATE SET seen = ?3",
        )
        .sql(what)?;
    let mut shorten = write
        .prepare_cached(
            "DELETE FROM blob_places WHERE digest = ?1 AND repository NOT IN \
             (SELECT repository FROM blob_places WHERE digest = ?1 ORDER BY seen DESC LIMIT ?2) \
             AND digest NOT IN (SELECT digest FROM discarded_blobs)",
        )
        .sql(what)?;
    for blob in blobs {
        insert.execute(params![blob.as_str(), repository, now]).sql(what)?;
        shorten.execute(params![blob.as_str(), PLACES_LIMIT]).sql(what)?;
    }
    write
        .prepare_cached(
            "DELETE FROM blob_places WHERE seen < ?1 \
             AND digest NOT IN (SELECT digest FROM discarded_blobs)",
        )
        .and_then(|mut statement| statement.execute([now - FORGOTTEN_AFTER_NANOSECONDS]))
        .sql(what)?;
    Ok(())
}

/// The repositories that were seen to have a blob, the latest first.
pub fn of_blob(read: &Read, blob: &Digest) -> Result<Vec<String>> {
    let what = || format!("look up where blob {blob} is");
    let query =
        "SELECT repository FROM blob_places WHERE digest = ?1 ORDER BY seen DESC, repository";
    let mut statement = read.prepare_cached(query).sql(what)?;
    let rows = statement.query_map([blob.as_str()], |row| row.get(0)).sql(what)?;
    rows.collect::<rusqlite::Result<_>>().sql(what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::State;

    #[test]
    fn the_latest_places_are_remembered_and_the_oldest_are_not() {
        let directory = tempfile::tempdir().unwrap();
        let mut state = State::open(directory.path()).unwrap();
        let (one, other) = (Digest::of(b"one"), Digest::of(b"other"));
        let day = |number: i64| Moment::from_unix_nanoseconds(number * 86_400 * 1_000_000_000);
        let mut note = |repository: &str, blobs: &[Digest], on: i64| {
            state.write(|write| super::note(write, repository, blobs, day(on))).unwrap();
        };

        note("a.example/old", std::slice::from_ref(&other), 1);
        for number in 0..20 {
            note(&format!("a.example/{number:02}"), std::slice::from_ref(&one), 10 + number);
        }
        note("a.example/07", &[one.clone(), other.clone()], 40);

        let places = of_blob(state.read(), &one).unwrap();
        assert_eq!(places.len(), 16);
        assert_eq!(places[..2], ["a.example/07", "a.example/19"]);
        assert!(!places.contains(&"a.example/03".to_owned()), "{places:?}");
        assert_eq!(of_blob(state.read(), &other).unwrap(), ["a.example/07", "a.example/old"]);
        state.write(|write| super::note(write, "a.example/b", &[], day(185))).unwrap();
        assert_eq!(of_blob(state.read(), &other).unwrap(), ["a.example/07"]);
    }
}
