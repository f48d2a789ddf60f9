//! List rows: indexes that are being put together here.
//!
//! A list is made, changed and removed whole, in one transaction each; there is nothing on disk that
//! goes with it. Its name is a complete one, and no image has the same.

use crate::{Read, Sql, Write};
use dhow_base::{Digest, Result, clock::Moment};
use rusqlite::{OptionalExtension, params};

/// A list, as its row has it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct List {
    /// Its complete name.
    pub name: String,
    /// The index, as JSON.
    pub document: String,
    /// When it was last changed.
    pub changed: Moment,
}

/// An image of a list.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Member {
    /// The digest of its manifest.
    pub manifest: Digest,
    /// The place where it is, with its transport; `None` for one of our own.
    pub source: Option<String>,
}

/// Makes a list, or gives the one of this name another document.
pub fn put(write: &Write<'_>, name: &str, document: &str) -> Result<()> {
    write
        .prepare_cached(
            "INSERT INTO lists (name, document, changed) VALUES (?1, ?2, ?3) \
             ON CONFLICT (name) DO UPDATE SET document = ?2, changed = ?3",
        )
        .and_then(|mut statement| {
            statement.execute(params![name, document, Moment::now().unix_nanoseconds()])
        })
        .sql(|| format!("write list {name}"))?;
    Ok(())
}

/// Notes where an image of a list is, wherever it was before.
pub fn put_member(write: &Write<'_>, list: &str, member: &Member) -> Result<()> {
    write
        .prepare_cached(
            "INSERT INTO list_members (list, manifest, source) VALUES (?1, ?2, ?3) \
             ON CONFLICT (list, manifest) DO UPDATE SET source = ?3",
        )
        .and_then(|mut statement| {
            statement.execute(params![list, member.manifest.as_str(), member.source])
        })
        .sql(|| format!("write the images of list {list}"))?;
    Ok(())
}

/// Takes an image from a list.
pub fn delete_member(write: &Write<'_>, list: &str, manifest: &Digest) -> Result<()> {
    write
        .prepare_cached("DELETE FROM list_members WHERE list = ?1 AND manifest = ?2")
        .and_then(|mut statement| statement.execute([list, manifest.as_str()]))
        .sql(|| format!("take an image from list {list}"))?;
    Ok(())
}

/// The list of this complete name.
pub fn find(read: &Read, name: &str) -> Result<Option<List>> {
    read.prepare_cached("SELECT name, document, changed FROM lists WHERE name = ?1")
        .and_then(|mut statement| statement.query_row([name], list_of).optional())
        .sql(|| format!("look up list {name}"))
}

fn list_of(row: &rusqlite::Row<'_>) -> rusqlite::Result<List> {
    Ok(List {
        name: row.get(0)?,
        document: row.get(1)?,
        changed: Moment::from_unix_nanoseconds(row.get(2)?),
    })
}

/// All lists, by their names.
pub fn all(read: &Read) -> Result<Vec<List>> {
    let doing = || "read all lists";
    let mut statement = read
        .prepare_cached("SELECT name, document, changed FROM lists ORDER BY name")
        .sql(doing)?;
    let rows = statement.query_map([], list_of).sql(doing)?;
    rows.map(|row| row.sql(doing)).collect()
}

/// The images of a list.
pub fn members(read: &Read, list: &str) -> Result<Vec<Member>> {
    let doing = || format!("read the images of list {list}");
    let mut statement = read
        .prepare_cached(
            "SELECT manifest, source FROM list_members WHERE list = ?1 ORDER BY manifest",
        )
        .sql(doing)?;
    let rows = statement
        .query_map([list], |row| Ok((row.get::<_, String>(0)?, row.get(1)?)))
        .sql(doing)?;
    rows.map(|row| {
        let (manifest, source) = row.sql(doing)?;
        Ok(Member { manifest: manifest.parse()?, source })
    })
    .collect()
}

/// The lists that need one of our own images.
pub fn of_image(read: &Read, manifest: &Digest) -> Result<Vec<String>> {
    let doing = || format!("ask which lists name image {manifest}");
    let mut statement = read
        .prepare_cached(
            "SELECT list FROM list_members WHERE manifest = ?1 AND source IS NULL ORDER BY list",
        )
        .sql(doing)?;
    let rows = statement.query_map([manifest.as_str()], |row| row.get(0)).sql(doing)?;
    rows.map(|row| row.sql(doing)).collect()
}

/// Removes a list; `false` says that there was none.
pub fn delete(write: &Write<'_>, name: &str) -> Result<bool> {
    write
        .prepare_cached("DELETE FROM lists WHERE name = ?1")
        .and_then(|mut statement| statement.execute([name]))
        .sql(|| format!("delete list {name}"))
        .map(|count| count > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::State;

    #[test]
    fn a_list_goes_with_its_images_and_only_ours_are_held() {
        let directory = tempfile::tempdir().unwrap();
        let mut state = State::open(directory.path()).unwrap();
        let (ours, other) = (Digest::of(b"ours"), Digest::of(b"other"));
        let away = Some("docker://quay.io/a:1".to_owned());
        state
            .write(|write| {
                put(write, "localhost/a:1", "{}")?;
                put_member(
                    write,
                    "localhost/a:1",
                    &Member { manifest: ours.clone(), source: None },
                )?;
                let member = Member { manifest: other.clone(), source: away.clone() };
                put_member(write, "localhost/a:1", &member)
            })
            .unwrap();

        assert_eq!(members(state.read(), "localhost/a:1").unwrap().len(), 2);
        assert_eq!(of_image(state.read(), &ours).unwrap(), ["localhost/a:1"]);
        assert_eq!(of_image(state.read(), &other).unwrap(), Vec::<String>::new());
        assert!(state.write(|write| delete(write, "localhost/a:1")).unwrap());

        assert_eq!(find(state.read(), "localhost/a:1").unwrap(), None);
        assert_eq!(of_image(state.read(), &ours).unwrap(), Vec::<String>::new());
        assert!(!state.write(|write| delete(write, "localhost/a:1")).unwrap());
    }
}
