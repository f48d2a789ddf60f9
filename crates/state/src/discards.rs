//! Discards: the blobs that images have let go of, since they can be had again.
//!
//! ```text
//!  held (image_blobs) ── discard ──▶ discarded ── hold_blob, a pull that brings it again ──▶ held
//! ```
//!
//! A row is written in the transaction in which the image lets go of the blob, before its file goes; so
//! that the blob is not here is never taken for damage. As long as there is the row, the places of the
//! blob are not forgotten (see [`crate::places`]).

use crate::{Read, Sql, Write, images};
use dhow_base::{Digest, Result};

/// Lets an image go of a blob that it can have again.
pub fn discard(write: &Write<'_>, manifest: &Digest, blob: &Digest) -> Result<()> {
    images::let_go_of_blob(write, manifest, blob)?;
    write
        .prepare_cached("INSERT OR IGNORE INTO discarded_blobs (manifest, digest) VALUES (?1, ?2)")
        .and_then(|mut statement| statement.execute([manifest.as_str(), blob.as_str()]))
        .sql(|| format!("note that image {manifest} has discarded blob {blob}"))?;
    Ok(())
}

/// Says that an image holds on to a blob again.
pub(crate) fn take_back(write: &Write<'_>, manifest: &Digest, blob: &Digest) -> Result<()> {
    write
        .prepare_cached("DELETE FROM discarded_blobs WHERE manifest = ?1 AND digest = ?2")
        .and_then(|mut statement| statement.execute([manifest.as_str(), blob.as_str()]))
        .sql(|| format!("note that image {manifest} holds blob {blob} again"))?;
    Ok(())
}

/// The blobs that an image has discarded.
pub fn of_image(read: &Read, manifest: &Digest) -> Result<Vec<Digest>> {
    let what = || format!("list what image {manifest} has discarded");
    let mut statement = read
        .prepare_cached("SELECT digest FROM discarded_blobs WHERE manifest = ?1 ORDER BY digest")
        .sql(what)?;
    let rows = statement.query_map([manifest.as_str()], |row| row.get::<_, String>(0)).sql(what)?;
    rows.map(|row| row.sql(what)?.parse()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{State, blobs, places};
    use dhow_base::clock::Moment;

    #[test]
    fn a_blob_is_held_or_discarded_and_its_places_are_kept() {
        let directory = tempfile::tempdir().unwrap();
        let mut state = State::open(directory.path()).unwrap();
        let (manifest, blob) = (Digest::of(b"image"), Digest::of(b"blob"));
        state
            .read()
            .execute(
                "INSERT INTO images (manifest, media_type, config, config_json, state, wanted, size, pulled) \
                 VALUES (?1, '', '', '{}', 'present', '', 0, 0)",
                [manifest.as_str()],
            )
            .unwrap();
        let on = |day: i64| Moment::from_unix_nanoseconds(day * 86_400 * 1_000_000_000);
        state
            .write(|write| {
                blobs::want(write, &blob, 4)?;
                images::hold_blob(write, &manifest, &blob)?;
                places::note(write, "quay.io/a", std::slice::from_ref(&blob), on(1))?;
                discard(write, &manifest, &blob)?;
                places::note(write, "quay.io/b", &[], on(1000))
            })
            .unwrap();
        let held = images::blobs(state.read(), &manifest).unwrap();
        let gone = of_image(state.read(), &manifest).unwrap();
        let kept = places::of_blob(state.read(), &blob).unwrap();

        state
            .write(|write| {
                images::hold_blob(write, &manifest, &blob)?;
                places::note(write, "quay.io/b", &[], on(1000))
            })
            .unwrap();

        assert_eq!((held.len(), gone), (0, vec![blob.clone()]));
        assert_eq!(kept, ["quay.io/a"]);
        assert!(of_image(state.read(), &manifest).unwrap().is_empty());
        assert!(places::of_blob(state.read(), &blob).unwrap().is_empty());
    }
}
