//! Blob rows: which content exists, and which is on its way in or out.
//!
//! ```text
//!  want          mark_present        condemn_orphans          delete
//! ──────▶ ingesting ─────▶ present ─────────────────▶ removing ─────▶ gone
//!             ▲                                          │
//!             └───────────── want ───────────────────────┘
//! ```
//!
//! Who brings a blob before anybody holds it claims it: its row begins as `removing`, by who brings it, so
//! that it goes unless it is wanted in time.
//!
//! What holds a blob is an image's or an artifact's reference to it (see [`crate::images`]), also while
//! that is still being pulled. A condemned blob may be wanted again before its file is gone; whoever
//! removes files therefore asks [`is_condemned`] once more when nobody else can write that file.

use crate::{Owner, Read, Sql, Write, snapshots::OwnerColumns};
use dhow_base::{Digest, Error, Kind, Result};
use rusqlite::{OptionalExtension, Params, params};

/// Where in its life a blob is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Phase {
    /// Its bytes are coming, or came in part.
    Ingesting,
    /// It is whole.
    Present,
    /// Its file is being removed.
    Removing,
}

impl Phase {
    fn from_word(word: &str) -> Result<Self> {
        match word {
            "ingesting" => Ok(Self::Ingesting),
            "present" => Ok(Self::Present),
            "removing" => Ok(Self::Removing),
            _ => Err(Error::new(Kind::Corrupt, format!("read blob state {word:?}"))),
        }
    }
}

/// A blob, as its row has it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Blob {
    /// The digest of its content.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// Where in its life it is.
    pub phase: Phase,
    /// Who removes it.
    pub owner: Option<Owner>,
}

/// Says that a blob is about to be needed: its row exists afterwards and is not condemned.
pub fn want(write: &Write<'_>, digest: &Digest, size: u64) -> Result<()> {
    write
        .prepare_cached(
            "INSERT INTO blobs (digest, size, state) VALUES (?1, ?2, 'ingesting') \
             ON CONFLICT (digest) DO UPDATE SET state = 'ingesting', size = ?2, \
             owner_pid = NULL, owner_start = NULL WHERE state <> 'present'",
        )
        .and_then(|mut statement| statement.execute(params![digest.as_str(), size.cast_signed()]))
        .sql(|| format!("note blob {digest}"))?;
    Ok(())
}

/// Says that the blob's file is whole.
pub fn mark_present(write: &Write<'_>, digest: &Digest) -> Result<()> {
    write
        .prepare_cached(
            "UPDATE blobs SET state = 'present' WHERE digest = ?1 AND state = 'ingesting'",
        )
        .and_then(|mut statement| statement.execute([digest.as_str()]))
        .sql(|| format!("mark blob {digest} as present"))?;
    Ok(())
}

/// Marks the blob for removal by `owner`, unless an image or artifact refers to it.
pub fn condemn_orphan(write: &Write<'_>, digest: &Digest, owner: Owner) -> Result<()> {
    write
        .prepare_cached(
            "UPDATE blobs SET state = 'removing', owner_pid = ?2, owner_start = ?3 WHERE digest = ?1 \
             AND NOT EXISTS (SELECT 1 FROM image_blobs WHERE image_blobs.digest = ?1) \
             AND NOT EXISTS (SELECT 1 FROM artifact_blobs WHERE artifact_blobs.digest = ?1)",
        )
        .and_then(|mut statement| {
            statement.execute(params![
                digest.as_str(),
                owner.pid,
                owner.start_time.cast_signed()
            ])
        })
        .sql(|| format!("mark blob {digest} for removal"))?;
    Ok(())
}

/// Says that `owner` is about to bring a blob that nobody holds yet: until somebody does, it is
/// marked for removal by who brings it, so that it goes if that one dies. A row that somebody needs
/// stays as it is.
pub fn claim(write: &Write<'_>, digest: &Digest, size: u64, owner: Owner) -> Result<()> {
    write
        .prepare_cached(
            "INSERT INTO blobs (digest, size, state, owner_pid, owner_start) \
             VALUES (?1, ?2, 'removing', ?3, ?4) \
             ON CONFLICT (digest) DO UPDATE SET owner_pid = ?3, owner_start = ?4 \
             WHERE state = 'removing'",
        )
        .and_then(|mut statement| {
            statement.execute(params![
                digest.as_str(),
                size.cast_signed(),
                owner.pid,
                owner.start_time.cast_signed()
            ])
        })
        .sql(|| format!("note that blob {digest} is being brought"))?;
    Ok(())
}

/// Is it still marked for removal?
pub fn is_condemned(read: &Read, digest: &Digest) -> Result<bool> {
    Ok(state_of(read, digest)?.as_deref() == Some("removing"))
}

/// The blob's row, in whatever phase.
pub fn find(read: &Read, digest: &Digest) -> Result<Option<Blob>> {
    let found = many(read, "WHERE digest = ?1", [digest.as_str()])?;
    Ok(found.into_iter().next())
}

/// Has it a row?
pub fn is_known(read: &Read, digest: &Digest) -> Result<bool> {
    Ok(state_of(read, digest)?.is_some())
}

/// Says that the file of a whole blob was lost: it is to come again.
pub fn unsettle(write: &Write<'_>, digest: &Digest) -> Result<()> {
    write
        .prepare_cached(
            "UPDATE blobs SET state = 'ingesting' WHERE digest = ?1 AND state = 'present'",
        )
        .and_then(|mut statement| statement.execute([digest.as_str()]))
        .sql(|| format!("note that blob {digest} is lost"))?;
    Ok(())
}

/// Is it whole, and nobody removes it?
pub fn is_present(read: &Read, digest: &Digest) -> Result<bool> {
    Ok(state_of(read, digest)?.as_deref() == Some("present"))
}

fn state_of(read: &Read, digest: &Digest) -> Result<Option<String>> {
    read.prepare_cached("SELECT state FROM blobs WHERE digest = ?1")
        .and_then(|mut statement| {
            statement.query_row([digest.as_str()], |row| row.get(0)).optional()
        })
        .sql(|| format!("look up blob {digest}"))
}

/// Forgets a condemned blob whose file is gone.
pub fn delete(write: &Write<'_>, digest: &Digest) -> Result<()> {
    write
        .prepare_cached("DELETE FROM blobs WHERE digest = ?1 AND state = 'removing'")
        .and_then(|mut statement| statement.execute([digest.as_str()]))
        .sql(|| format!("delete blob {digest}"))?;
    Ok(())
}

/// The blobs that are marked for removal.
pub fn condemned(read: &Read) -> Result<Vec<Blob>> {
    many(read, "WHERE state = 'removing'", [])
}

/// The blobs that no image or artifact refers to and that nobody removes, which should not be.
pub fn orphans(read: &Read) -> Result<Vec<Blob>> {
    many(
        read,
        "WHERE state <> 'removing' AND NOT EXISTS \
         (SELECT 1 FROM image_blobs WHERE image_blobs.digest = blobs.digest) AND NOT EXISTS \
         (SELECT 1 FROM artifact_blobs WHERE artifact_blobs.digest = blobs.digest)",
        [],
    )
}

/// All blobs, by digest.
pub fn list(read: &Read) -> Result<Vec<Blob>> {
    many(read, "ORDER BY digest", [])
}

fn many(read: &Read, which: &str, parameters: impl Params) -> Result<Vec<Blob>> {
    let query = format!("SELECT digest, size, state, owner_pid, owner_start FROM blobs {which}");
    let mut statement = read.prepare_cached(&query).sql(|| "list blobs")?;
    let rows = statement
        .query_map(parameters, |row| {
            let texts: (String, String) = (row.get(0)?, row.get(2)?);
            Ok((texts, row.get::<_, i64>(1)?, OwnerColumns::from_row(row, 3)?))
        })
        .sql(|| "list blobs")?;
    rows.map(|row| {
        let ((digest, state), size, owner) = row.sql(|| "list blobs")?;
        Ok(Blob {
            digest: digest.parse()?,
            size: size.cast_unsigned(),
            phase: Phase::from_word(&state)?,
            owner,
        })
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::State;

    #[test]
    fn a_claimed_blob_is_condemned_until_somebody_wants_it() {
        let directory = tempfile::tempdir().unwrap();
        let mut state = State::open(directory.path()).unwrap();
        let (first, second) = (Owner { pid: 1, start_time: 1 }, Owner { pid: 2, start_time: 2 });
        let (new, whole, coming) =
            (Digest::of(b"new"), Digest::of(b"whole"), Digest::of(b"coming"));
        let claimed = |state: &mut State, owner| {
            state
                .write(|write| {
                    [&new, &whole, &coming]
                        .iter()
                        .try_for_each(|digest| claim(write, digest, 9, owner))
                })
                .unwrap();
            let row = |digest| find(state.read(), digest).unwrap().unwrap();
            [row(&new), row(&whole), row(&coming)].map(|row| (row.phase, row.size, row.owner))
        };
        state
            .write(|write| {
                want(write, &whole, 5)?;
                mark_present(write, &whole)?;
                want(write, &coming, 6)
            })
            .unwrap();

        let once = claimed(&mut state, first);
        let twice = claimed(&mut state, second);
        state.write(|write| want(write, &new, 9)).unwrap();

        let others = [(Phase::Present, 5, None), (Phase::Ingesting, 6, None)];
        assert_eq!((once[0], &once[1..]), ((Phase::Removing, 9, Some(first)), &others[..]));
        assert_eq!((twice[0], &twice[1..]), ((Phase::Removing, 9, Some(second)), &others[..]));
        assert!(!is_condemned(state.read(), &new).unwrap());
    }

    #[test]
    fn a_condemned_blob_can_be_wanted_again() {
        let directory = tempfile::tempdir().unwrap();
        let mut state = State::open(directory.path()).unwrap();
        let digest = Digest::of(b"layer");
        let owner = Owner::current().unwrap();
        state
            .write(|write| {
                want(write, &digest, 5)?;
                mark_present(write, &digest)?;
                condemn_orphan(write, &digest, owner)
            })
            .unwrap();
        let condemned_first = is_condemned(state.read(), &digest).unwrap();

        state
            .write(|write| {
                want(write, &digest, 5)?;
                delete(write, &digest)
            })
            .unwrap();

        assert!(condemned_first);
        let rows = list(state.read()).unwrap();
        assert_eq!((rows.len(), rows[0].phase, rows[0].owner), (1, Phase::Ingesting, None));
    }
}
