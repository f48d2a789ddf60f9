//! Image rows, the names that lead to them, and what they hold on to.
//!
//! ```text
//!  begin           finish
//! ──────▶ pulling ───────▶ present ── delete ──▶ gone
//!            │  ▲
//!            └──┘ begin again, after the process that pulled has died
//! ```
//!
//! References come before content: the row and its references to blobs are written before the first
//! byte is fetched, and a reference to a snapshot before the image is there for anybody to use. So
//! whatever removes images never removes what another process is about to rely on.

use crate::{Owner, Read, Sql, Write, discards, snapshots::OwnerColumns};
use dhow_base::{Digest, Error, Kind, Result, clock::Moment};
use rusqlite::{OptionalExtension, Row, params};
use std::ops::RangeInclusive;

/// Where in its life an image is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Phase {
    /// It is being fetched and unpacked, or was until a process died.
    Pulling,
    /// It is whole.
    Present,
}

/// An image, as its row has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Image {
    /// The digest of its manifest.
    pub manifest: Digest,
    /// The media type of its manifest.
    pub media_type: String,
    /// The digest of its configuration, which is its id.
    pub config: Digest,
    /// Its configuration, as it was published.
    pub config_json: String,
    /// Where in its life it is.
    pub phase: Phase,
    /// What was asked for when it was pulled.
    pub wanted: String,
    /// Who pulls it.
    pub owner: Option<Owner>,
    /// The boot during which it was being pulled.
    pub boot: Option<String>,
    /// The bytes of its layers, uncompressed.
    pub size: u64,
    /// When it was pulled, or when that began.
    pub pulled: Moment,
}

/// What a list shows of a whole image; nothing of its configuration but the time in it is read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Outline {
    /// The digest of its manifest.
    pub manifest: Digest,
    /// The digest of its configuration, which is its id.
    pub config: Digest,
    /// The bytes of its layers, uncompressed.
    pub size: u64,
    /// When it was made, as its configuration says.
    pub created: Option<String>,
    /// The names that lead to it, in order.
    pub names: Vec<String>,
}

const COLUMNS: &str = "images.manifest, media_type, config, config_json, state, wanted, owner_pid, \
     owner_start, boot, size, pulled";

/// Writes the row of an image that is about to be pulled; an earlier attempt's row is taken over.
pub fn begin(write: &Write<'_>, image: &Image) -> Result<()> {
    write
        .prepare_cached(
            "INSERT INTO images (manifest, media_type, config, config_json, state, wanted, owner_pid, \
             owner_start, boot, size, pulled, created) \
             VALUES (?1, ?2, ?3, ?4, 'pulling', ?5, ?6, ?7, ?8, ?9, ?10, \
             iif(json_valid(?4), ?4 ->> '$.created', NULL)) \
             ON CONFLICT (manifest) DO UPDATE SET owner_pid = ?6, owner_start = ?7, boot = ?8, \
             wanted = ?5, pulled = ?10 WHERE state = 'pulling'",
        )
        .and_then(|mut statement| {
            statement.execute(params![
                image.manifest.as_str(),
                image.media_type,
                image.config.as_str(),
                image.config_json,
                image.wanted,
                image.owner.map(|owner| owner.pid),
                image.owner.map(|owner| owner.start_time.cast_signed()),
                image.boot,
                image.size.cast_signed(),
                image.pulled.unix_nanoseconds(),
            ])
        })
        .sql(|| format!("note image {}", image.manifest))?;
    Ok(())
}

/// Holds on to a blob, whose row must exist.
pub fn hold_blob(write: &Write<'_>, manifest: &Digest, blob: &Digest) -> Result<()> {
    write
        .prepare_cached("INSERT OR IGNORE INTO image_blobs (manifest, digest) VALUES (?1, ?2)")
        .and_then(|mut statement| statement.execute([manifest.as_str(), blob.as_str()]))
        .sql(|| format!("hold blob {blob} for image {manifest}"))?;
    discards::take_back(write, manifest, blob)
}

/// Holds on to a snapshot, at a position counted from the lowest.
pub fn hold_snapshot(
    write: &Write<'_>,
    manifest: &Digest,
    position: usize,
    snapshot: u64,
) -> Result<()> {
    write
        .prepare_cached(
            "INSERT INTO image_layers (manifest, position, snapshot) VALUES (?1, ?2, ?3) \
             ON CONFLICT (manifest, position) DO UPDATE SET snapshot = ?3",
        )
        .and_then(|mut statement| {
            statement.execute(params![
                manifest.as_str(),
                i64::try_from(position).unwrap_or(i64::MAX),
                snapshot.cast_signed()
            ])
        })
        .sql(|| format!("hold snapshot {snapshot} for image {manifest}"))?;
    Ok(())
}

/// Says that everything the image needs is there; its size is then that of its snapshots.
pub fn finish(write: &Write<'_>, manifest: &Digest, pulled: Moment) -> Result<()> {
    write
        .prepare_cached(
            "UPDATE images SET state = 'present', owner_pid = NULL, owner_start = NULL, boot = NULL, \
             pulled = ?2, size = (SELECT ifnull(sum(snapshots.size), 0) FROM image_layers \
             JOIN snapshots ON number = snapshot WHERE image_layers.manifest = ?1 \
             AND position >= 0) WHERE manifest = ?1",
        )
        .and_then(|mut statement| {
            statement.execute(params![manifest.as_str(), pulled.unix_nanoseconds()])
        })
        .sql(|| format!("finish image {manifest}"))?;
    Ok(())
}

/// Says that nobody works on an unfinished image any more; what has come stays for the next attempt.
pub fn abandon(write: &Write<'_>, manifest: &Digest) -> Result<()> {
    write
        .prepare_cached(
            "UPDATE images SET owner_pid = NULL, owner_start = NULL \
             WHERE manifest = ?1 AND state = 'pulling'",
        )
        .and_then(|mut statement| statement.execute([manifest.as_str()]))
        .sql(|| format!("leave image {manifest}"))?;
    Ok(())
}

/// What an image held on to when it was deleted.
#[derive(Clone, Debug, Default)]
pub struct Held {
    /// Its blobs.
    pub blobs: Vec<Digest>,
    /// Its snapshots, the lowest first.
    pub snapshots: Vec<u64>,
}

/// Says that a whole image is whole no more: it waits, in the hands of nobody, for a pull that
/// brings what it lacks.
pub fn demote(write: &Write<'_>, manifest: &Digest, boot: &str) -> Result<()> {
    write
        .prepare_cached(
            "UPDATE images SET state = 'pulling', boot = ?2, pulled = ?3 WHERE manifest = ?1",
        )
        .and_then(|mut statement| {
            statement.execute(params![manifest.as_str(), boot, Moment::now().unix_nanoseconds()])
        })
        .sql(|| format!("note that image {manifest} is not whole"))?;
    Ok(())
}

/// Lets an image go of a blob that is lost, or is to be.
pub fn let_go_of_blob(write: &Write<'_>, manifest: &Digest, blob: &Digest) -> Result<()> {
    write
        .prepare_cached("DELETE FROM image_blobs WHERE manifest = ?1 AND digest = ?2")
        .and_then(|mut statement| statement.execute([manifest.as_str(), blob.as_str()]))
        .sql(|| format!("let image {manifest} go of blob {blob}"))?;
    Ok(())
}

/// Lets every image go of a snapshot that is lost.
pub fn let_go_of_snapshot(write: &Write<'_>, snapshot: u64) -> Result<()> {
    write
        .prepare_cached("DELETE FROM image_layers WHERE snapshot = ?1")
        .and_then(|mut statement| statement.execute([snapshot.cast_signed()]))
        .sql(|| format!("let go of snapshot {snapshot}"))?;
    Ok(())
}

/// Forgets an image with its names, and says what it held on to.
pub fn delete(write: &Write<'_>, manifest: &Digest) -> Result<Held> {
    let mut snapshots = chain(write, manifest)?;
    snapshots.extend(copies(write, manifest)?);
    let held = Held { blobs: blobs(write, manifest)?, snapshots };
    write
        .prepare_cached("DELETE FROM images WHERE manifest = ?1")
        .and_then(|mut statement| statement.execute([manifest.as_str()]))
        .sql(|| format!("delete image {manifest}"))?;
    Ok(held)
}

/// The blobs that an image holds on to.
pub fn blobs(read: &Read, manifest: &Digest) -> Result<Vec<Digest>> {
    texts(read, "SELECT digest FROM image_blobs WHERE manifest = ?1", manifest.as_str())?
        .iter()
        .map(|text| text.parse())
        .collect()
}

/// Has an image keep a copy of all its files, with other owners. Copies have positions below those of
/// layers.
pub fn hold_copy(write: &Write<'_>, manifest: &Digest, snapshot: u64) -> Result<()> {
    write
        .prepare_cached(
            "INSERT INTO image_layers (manifest, position, snapshot) \
             SELECT ?1, min(0, ifnull(min(position), 0)) - 1, ?2 FROM image_layers \
             WHERE manifest = ?1",
        )
        .and_then(|mut statement| {
            statement.execute(params![manifest.as_str(), snapshot.cast_signed()])
        })
        .sql(|| format!("hold copy {snapshot} of image {manifest}"))?;
    Ok(())
}

/// The snapshots that an image stands on, the lowest first.
pub fn chain(read: &Read, manifest: &Digest) -> Result<Vec<u64>> {
    held_snapshots(read, manifest, 0..=i64::MAX)
}

/// The copies that an image keeps of its files, with other owners.
pub fn copies(read: &Read, manifest: &Digest) -> Result<Vec<u64>> {
    held_snapshots(read, manifest, i64::MIN..=-1)
}

fn held_snapshots(
    read: &Read,
    manifest: &Digest,
    positions: RangeInclusive<i64>,
) -> Result<Vec<u64>> {
    let what = || format!("list the layers of image {manifest}");
    let mut statement = read
        .prepare_cached(
            "SELECT snapshot FROM image_layers WHERE manifest = ?1 \
             AND position BETWEEN ?2 AND ?3 ORDER BY position",
        )
        .sql(what)?;
    let rows = statement
        .query_map(params![manifest.as_str(), positions.start(), positions.end()], |row| {
            row.get::<_, i64>(0).map(i64::cast_unsigned)
        })
        .sql(what)?;
    rows.collect::<rusqlite::Result<_>>().sql(what)
}

/// The image with this manifest, in whatever phase.
pub fn find(read: &Read, manifest: &Digest) -> Result<Option<Image>> {
    one(read, "FROM images WHERE manifest = ?1", manifest.as_str())
}

/// Whether the image with this manifest is here, and whole.
pub fn is_present(read: &Read, manifest: &Digest) -> Result<bool> {
    read.prepare_cached("SELECT 1 FROM images WHERE manifest = ?1 AND state = 'present'")
        .and_then(|mut statement| statement.exists([manifest.as_str()]))
        .sql(|| format!("look for image {manifest}"))
}

/// The whole image that a complete name leads to. One look after the other, since to plan a look into two
/// tables at once takes longer than both.
pub fn find_by_name(read: &Read, name: &str) -> Result<Option<Image>> {
    let manifest: Option<String> = read
        .prepare_cached("SELECT manifest FROM names WHERE name = ?1")
        .and_then(|mut statement| statement.query_row([name], |row| row.get(0)).optional())
        .sql(|| format!("look up the name {name}"))?;
    let Some(manifest) = manifest else { return Ok(None) };
    let image = one(read, "FROM images WHERE manifest = ?1", &manifest)?;
    Ok(image.filter(|image| image.phase == Phase::Present))
}

/// Whole images whose id (the digest of their configuration) or manifest digest begins with these
/// hex digits, at most `limit` of them.
pub fn find_by_hex(read: &Read, hex: &str, limit: u32) -> Result<Vec<Image>> {
    // 'g' follows 'f', so each range holds exactly the digests that begin so.
    let low = format!("sha256:{hex}");
    let high = format!("{low}g");
    many(
        read,
        "FROM images WHERE state = 'present' AND ((config >= ?1 AND config < ?2) \
         OR (manifest >= ?1 AND manifest < ?2)) LIMIT ?3",
        params![low, high, limit],
    )
}

/// Whole images with exactly this configuration.
pub fn find_by_config(read: &Read, config: &Digest) -> Result<Vec<Image>> {
    many(read, "FROM images WHERE state = 'present' AND config = ?1", [config.as_str()])
}

/// All whole images, the newest first.
pub fn list(read: &Read) -> Result<Vec<Image>> {
    many(read, "FROM images WHERE state = 'present' ORDER BY pulled DESC, manifest DESC", [])
}

/// All images of [`list`], in its order, in outline.
pub fn outlines(read: &Read) -> Result<Vec<Outline>> {
    let what = || "list images";
    let mut statement = read.prepare_cached(OUTLINES).sql(what)?;
    let mut rows = statement.query([]).sql(what)?;
    let mut outlines: Vec<Outline> = Vec::new();
    while let Some(row) = rows.next().sql(what)? {
        let manifest = row.get_ref(0).and_then(|text| Ok(text.as_str()?)).sql(what)?;
        let name: Option<String> = row.get(4).sql(what)?;
        // An image comes once for each of its names, and once where it has none.
        match outlines.last_mut().filter(|last| last.manifest.as_str() == manifest) {
            Some(last) => last.names.extend(name),
            None => outlines.push(Outline {
                manifest: manifest.parse()?,
                config: row.get::<_, String>(1).sql(what)?.parse()?,
                size: row.get::<_, i64>(2).sql(what)?.cast_unsigned(),
                created: row.get(3).sql(what)?,
                names: name.into_iter().collect(),
            }),
        }
    }
    Ok(outlines)
}

const OUTLINES: &str = "SELECT images.manifest, config, size, created, name FROM images \
     LEFT JOIN names USING (manifest) WHERE state = 'present' \
     ORDER BY pulled DESC, images.manifest DESC, name";

/// The images that are being pulled, or were until a process died.
pub fn unfinished(read: &Read) -> Result<Vec<Image>> {
    many(read, "FROM images WHERE state = 'pulling'", [])
}

/// Is anything, image, blob or snapshot, half made or half removed? Cheap; asked by every command.
pub fn anything_unfinished(read: &Read) -> Result<bool> {
    read.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM images WHERE state = 'pulling') \
         OR EXISTS (SELECT 1 FROM snapshots WHERE state IN ('preparing', 'removing') \
             AND substr(key, 1, 19) <> 'removing:container:') \
         OR EXISTS (SELECT 1 FROM blobs WHERE state = 'removing')",
    )
    .and_then(|mut statement| statement.query_row([], |row| row.get(0)))
    .sql(|| "ask for unfinished work")
}

/// Makes a complete name lead to an image, wherever it led before.
pub fn set_name(write: &Write<'_>, name: &str, manifest: &Digest) -> Result<()> {
    write
        .prepare_cached(
            "INSERT INTO names (name, manifest) VALUES (?1, ?2) \
             ON CONFLICT (name) DO UPDATE SET manifest = ?2",
        )
        .and_then(|mut statement| statement.execute([name, manifest.as_str()]))
        .sql(|| format!("name image {name}"))?;
    Ok(())
}

/// Takes a name away; `false` says that there was none.
pub fn delete_name(write: &Write<'_>, name: &str) -> Result<bool> {
    write
        .prepare_cached("DELETE FROM names WHERE name = ?1")
        .and_then(|mut statement| statement.execute([name]))
        .sql(|| format!("delete name {name}"))
        .map(|count| count > 0)
}

/// The names that lead to an image, in order.
pub fn names(read: &Read, manifest: &Digest) -> Result<Vec<String>> {
    texts(read, "SELECT name FROM names WHERE manifest = ?1 ORDER BY name", manifest.as_str())
}

fn texts(read: &Read, query: &str, key: &str) -> Result<Vec<String>> {
    let what = || format!("look up {key}");
    let mut statement = read.prepare_cached(query).sql(what)?;
    let rows = statement.query_map([key], |row| row.get(0)).sql(what)?;
    rows.collect::<rusqlite::Result<_>>().sql(what)
}

fn one(read: &Read, which: &str, key: &str) -> Result<Option<Image>> {
    read.prepare_cached(&format!("SELECT {COLUMNS} {which}"))
        .and_then(|mut statement| statement.query_row([key], |row| Ok(from_row(row))).optional())
        .sql(|| format!("look up image {key}"))?
        .transpose()
}

fn many(read: &Read, which: &str, values: impl rusqlite::Params) -> Result<Vec<Image>> {
    let mut statement =
        read.prepare_cached(&format!("SELECT {COLUMNS} {which}")).sql(|| "list images")?;
    let rows = statement.query_map(values, |row| Ok(from_row(row))).sql(|| "list images")?;
    rows.map(|row| row.sql(|| "list images")?).collect()
}

fn from_row(row: &Row<'_>) -> Result<Image> {
    let what = || "read an image's row";
    let text = |column: usize| row.get::<_, String>(column).sql(what);
    let phase = match text(4)?.as_str() {
        "pulling" => Phase::Pulling,
        "present" => Phase::Present,
        word => return Err(Error::new(Kind::Corrupt, format!("read image state {word:?}"))),
    };
    Ok(Image {
        manifest: text(0)?.parse()?,
        media_type: text(1)?,
        config: text(2)?.parse()?,
        config_json: text(3)?,
        phase,
        wanted: text(5)?,
        owner: OwnerColumns::from_row(row, 6).sql(what)?,
        boot: row.get(8).sql(what)?,
        size: row.get::<_, i64>(9).sql(what)?.cast_unsigned(),
        pulled: Moment::from_unix_nanoseconds(row.get(10).sql(what)?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{State, blobs, snapshots};

    fn image(text: &str) -> Image {
        Image {
            manifest: Digest::of(text.as_bytes()),
            media_type: "application/vnd.oci.image.manifest.v1+json".into(),
            config: Digest::of(format!("{text} config").as_bytes()),
            config_json: "{}".into(),
            phase: Phase::Pulling,
            wanted: "docker.io/library/debian:13".into(),
            owner: Some(Owner::current().unwrap()),
            boot: Some("boot".into()),
            size: 7,
            pulled: Moment::now(),
        }
    }

    #[test]
    fn an_image_is_found_only_when_it_is_whole() {
        let directory = tempfile::tempdir().unwrap();
        let mut state = State::open(directory.path()).unwrap();
        let image = image("a");
        state
            .write(|write| {
                begin(write, &image)?;
                set_name(write, "docker.io/library/a:1", &image.manifest)
            })
            .unwrap();
        let read = state.read();
        assert_eq!(find(read, &image.manifest).unwrap().as_ref(), Some(&image));
        assert!(find_by_name(read, "docker.io/library/a:1").unwrap().is_none());
        assert!(find_by_hex(read, &image.config.hex()[..12], 2).unwrap().is_empty());
        assert!(anything_unfinished(read).unwrap());

        state.write(|write| finish(write, &image.manifest, Moment::now())).unwrap();

        let read = state.read();
        assert!(find_by_name(read, "docker.io/library/a:1").unwrap().is_some());
        assert_eq!(find_by_hex(read, &image.config.hex()[..12], 2).unwrap().len(), 1);
        assert_eq!(find_by_hex(read, &image.manifest.hex()[..12], 2).unwrap().len(), 1);
        assert!(!anything_unfinished(read).unwrap());
    }

    #[test]
    fn copies_are_held_beside_the_layers_and_are_none() {
        let directory = tempfile::tempdir().unwrap();
        let mut state = State::open(directory.path()).unwrap();
        let owner = Owner::current().unwrap();
        let image = image("a");
        let (layer, copies_of_it) = state
            .write(|write| {
                begin(write, &image)?;
                let mut numbers = Vec::new();
                for key in ["diff:x", "mapped:1", "mapped:2"] {
                    let number = snapshots::prepare(write, key, "overlay", owner)?;
                    snapshots::commit(write, number, key, 5)?;
                    numbers.push(number);
                }
                hold_copy(write, &image.manifest, numbers[1])?;
                hold_snapshot(write, &image.manifest, 0, numbers[0])?;
                hold_copy(write, &image.manifest, numbers[2])?;
                finish(write, &image.manifest, Moment::now())?;
                Ok((numbers[0], [numbers[2], numbers[1]]))
            })
            .unwrap();

        assert_eq!(chain(state.read(), &image.manifest).unwrap(), [layer]);
        assert_eq!(copies(state.read(), &image.manifest).unwrap(), copies_of_it);
        assert_eq!(find(state.read(), &image.manifest).unwrap().unwrap().size, 5);
        assert!(snapshots::orphans(state.read()).unwrap().is_empty());
        let held = state.write(|write| delete(write, &image.manifest)).unwrap();
        assert_eq!(held.snapshots, [layer, copies_of_it[0], copies_of_it[1]]);
    }

    #[test]
    fn what_two_images_hold_outlives_one_of_them() {
        let directory = tempfile::tempdir().unwrap();
        let mut state = State::open(directory.path()).unwrap();
        let owner = Owner::current().unwrap();
        let (a, b, blob) = (image("a"), image("b"), Digest::of(b"blob"));
        let layer = state
            .write(|write| {
                blobs::want(write, &blob, 4)?;
                let layer = snapshots::prepare(write, "diff:x", "overlay", owner)?;
                snapshots::commit(write, layer, "diff:x", 1)?;
                for image in [&a, &b] {
                    begin(write, image)?;
                    hold_blob(write, &image.manifest, &blob)?;
                    hold_snapshot(write, &image.manifest, 0, layer)?;
                    finish(write, &image.manifest, Moment::now())?;
                }
                Ok(layer)
            })
            .unwrap();
        let remove = |state: &mut State, image: &Image| {
            state.write(|write| {
                let held = delete(write, &image.manifest)?;
                assert_eq!((held.blobs.len(), &held.snapshots[..]), (1, &[layer][..]));
                blobs::condemn_orphan(write, &blob, owner)?;
                snapshots::condemn_orphan(write, layer, owner)
            })
        };

        remove(&mut state, &a).unwrap();
        let kept = blobs::condemned(state.read()).unwrap().is_empty();
        remove(&mut state, &b).unwrap();

        assert!(kept);
        assert_eq!(blobs::condemned(state.read()).unwrap().len(), 1);
        assert_eq!(snapshots::unfinished(state.read()).unwrap().len(), 1);
    }

    /// Whole images, each with two names and a configuration of some size.
    fn many_images(state: &mut State, count: u64) {
        let config = |number: u64| {
            let padding = "x".repeat(16 << 10);
            format!(r#"{{"created":"2023-11-14T22:13:20Z","n":{number},"p":"{padding}"}}"#)
        };
        state
            .write(|write| {
                for number in 0..count {
                    let image =
                        Image { config_json: config(number), ..image(&format!("image {number}")) };
                    begin(write, &image)?;
                    let at = i64::try_from(number).expect("few") + 1;
                    finish(write, &image.manifest, Moment::from_unix_nanoseconds(at))?;
                    for name in ["b", "a"] {
                        set_name(write, &format!("{name}.example/{number}:1"), &image.manifest)?;
                    }
                }
                Ok(())
            })
            .unwrap();
    }

    #[test]
    fn outlines_are_the_list_without_configurations() {
        let directory = tempfile::tempdir().unwrap();
        let mut state = State::open(directory.path()).unwrap();
        many_images(&mut state, 3);
        let plain = image("no time in it, and no names");
        let odd = Image { config_json: "no JSON".into(), ..image("odd") };
        let pulling = image("not there yet");
        state
            .write(|write| {
                for image in [&plain, &odd] {
                    begin(write, image)?;
                    finish(write, &image.manifest, Moment::from_unix_nanoseconds(9))?;
                }
                begin(write, &pulling)
            })
            .unwrap();

        let outlines = outlines(state.read()).unwrap();

        let whole = list(state.read()).unwrap();
        let manifests = |images: &[Image]| -> Vec<Digest> {
            images.iter().map(|image| image.manifest.clone()).collect()
        };
        let shown: Vec<Digest> = outlines.iter().map(|image| image.manifest.clone()).collect();
        assert_eq!(shown, manifests(&whole));
        for (outline, image) in outlines.iter().zip(&whole) {
            assert_eq!((&outline.config, outline.size), (&image.config, image.size));
            assert_eq!(outline.names, names(state.read(), &image.manifest).unwrap());
        }
        let created: Vec<Option<&str>> =
            outlines.iter().map(|image| image.created.as_deref()).collect();
        let time = Some("2023-11-14T22:13:20Z");
        assert_eq!(created, [None, None, time, time, time]);
        assert_eq!(outlines[2].names, ["a.example/2:1", "b.example/2:1"]);
    }

    /// The bytes that this thread has asked the kernel for.
    fn bytes_read() -> u64 {
        let counters = std::fs::read_to_string("/proc/thread-self/io").unwrap();
        let line = counters.lines().find_map(|line| line.strip_prefix("rchar: "));
        line.unwrap().parse().unwrap()
    }

    #[test]
    fn a_thousand_outlines_cost_one_statement_and_no_configuration() {
        let directory = tempfile::tempdir().unwrap();
        many_images(&mut State::open(directory.path()).unwrap(), 1000);
        // A connection of its own, which has nothing in memory.
        let state = State::open(directory.path()).unwrap();
        let read = state.read();
        let before = bytes_read();

        let outlines = outlines(read).unwrap();

        let bytes = bytes_read() - before;
        assert_eq!(outlines.len(), 1000);
        // Ids, names and the pages that hold them; the configurations are 16 MiB.
        assert!((100_000..2_000_000).contains(&bytes), "{bytes} bytes were read");
        let statement = read.prepare_cached(OUTLINES).unwrap();
        let steps = statement.get_status(rusqlite::StatementStatus::VmStep);
        assert!((1000..60_000).contains(&steps), "{steps} steps of SQLite's machine");
    }
}
