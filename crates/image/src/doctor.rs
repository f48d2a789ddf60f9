//! The proof that rows and disk agree, both ways: whatever a row names is there, and whatever is
//! there is named by a row.

use crate::Images;
use dhow_base::Result;
use dhow_state::{
    Owner, Read, State, artifacts, blobs, images,
    snapshots::{self, Phase},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// Something that is not as it should be.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Finding {
    /// Which object.
    pub object: String,
    /// What is wrong with it.
    pub problem: String,
}

impl Finding {
    pub(crate) fn new(object: impl fmt::Display, problem: impl Into<String>) -> Self {
        Self { object: object.to_string(), problem: problem.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.object, self.problem)
    }
}

/// How closely to look.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Depth {
    /// Names and sizes.
    Names,
    /// The content of every blob too.
    Content,
}

impl Images {
    /// Compares rows and disk. An empty list is the proof that all is well.
    ///
    /// Other commands may be at work. What they are in the middle of looks wrong for a moment only,
    /// so a finding counts when it is there twice.
    pub fn doctor(&self, state: &State, depth: Depth) -> Result<Vec<Finding>> {
        state.check()?;
        let first = self.survey(state.read(), depth)?;
        if first.is_empty() {
            return Ok(Vec::new());
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
        let second = self.survey(state.read(), depth)?;
        Ok(first.intersection(&second).cloned().collect())
    }

    fn survey(&self, read: &Read, depth: Depth) -> Result<BTreeSet<Finding>> {
        let mut findings = BTreeSet::new();
        self.survey_blobs(read, depth, &mut findings)?;
        self.survey_snapshots(read, &mut findings)?;
        survey_images(read, &mut findings)?;
        self.survey_mounts(read, &mut findings)?;
        survey_artifacts(read, &mut findings)?;
        Ok(findings)
    }

    fn survey_blobs(
        &self,
        read: &Read,
        depth: Depth,
        findings: &mut BTreeSet<Finding>,
    ) -> Result<()> {
        use dhow_store::Found;
        let rows: BTreeMap<_, _> =
            blobs::list(read)?.into_iter().map(|row| (row.digest.clone(), row)).collect();
        for found in self.store.list()? {
            match found {
                Found::Blob(digest, _) | Found::Partial(digest, _)
                    if !rows.contains_key(&digest) =>
                {
                    findings.insert(Finding::new(format!("blob {digest}"), "no row names it"));
                }
                Found::Stray(path) => {
                    findings.insert(Finding::new(path.display(), "not made by dhow"));
                }
                Found::Blob(..) | Found::Partial(..) => {}
            }
        }
        for row in rows.values() {
            let object = format!("blob {}", row.digest);
            let problem = match (row.phase, self.store.size(&row.digest)?) {
                (blobs::Phase::Removing, _) => dead(row.owner)?.map(|_| "half removed".to_owned()),
                (blobs::Phase::Ingesting, _) => None,
                (blobs::Phase::Present, None) => Some("its file is missing".to_owned()),
                (blobs::Phase::Present, Some(size)) if size != row.size => {
                    Some(format!("its file has {size} of {} bytes", row.size))
                }
                (blobs::Phase::Present, Some(_)) if depth == Depth::Content => {
                    self.store.verify(&row.digest).err().map(|error| error.one_line())
                }
                (blobs::Phase::Present, Some(_)) => None,
            };
            findings.extend(problem.map(|problem| Finding::new(object, problem)));
        }
        for row in blobs::orphans(read)? {
            findings.insert(Finding::new(format!("blob {}", row.digest), "no image needs it"));
        }
        Ok(())
    }

    fn survey_snapshots(&self, read: &Read, findings: &mut BTreeSet<Finding>) -> Result<()> {
        use dhow_snapshot::Found;
        let rows: BTreeMap<u64, _> =
            snapshots::list(read)?.into_iter().map(|row| (row.number, row)).collect();
        let mut there = BTreeSet::new();
        for found in dhow_snapshot::list(&self.snapshots_root)? {
            match found {
                Found::Snapshot(number) => {
                    there.insert(number.0);
                }
                Found::Stray(path) => {
                    findings.insert(Finding::new(path.display(), "not made by dhow"));
                }
            }
        }
        for number in there.iter().filter(|number| !rows.contains_key(number)) {
            findings.insert(Finding::new(format!("snapshot {number}"), "no row names it"));
        }
        for row in rows.values() {
            let problem = match row.phase {
                Phase::Preparing => dead(row.owner)?.map(|_| "half prepared"),
                Phase::Removing => dead(row.owner)?.map(|_| "half removed"),
                Phase::Committed | Phase::Active => {
                    (!there.contains(&row.number)).then_some("its directory is missing")
                }
            };
            findings.extend(
                problem.map(|problem| Finding::new(format!("snapshot {}", row.number), problem)),
            );
        }
        for row in snapshots::orphans(read)? {
            let object = format!("snapshot {} ({})", row.number, row.key);
            findings.insert(Finding::new(object, "nothing stands on it"));
        }
        Ok(())
    }
}

/// Whole images must hold whole blobs. An interrupted pull is no finding: its row names all of it.
fn survey_images(read: &Read, findings: &mut BTreeSet<Finding>) -> Result<()> {
    for row in images::list(read)? {
        let object = || format!("image {}", row.config.short());
        for blob in images::blobs(read, &row.manifest)? {
            if !blobs::is_present(read, &blob)? {
                findings.insert(Finding::new(object(), format!("blob {blob} is not whole")));
            }
        }
        let layers = dhow_spec::image::ImageConfig::parse(row.config_json.as_bytes())
            .map(|config| config.rootfs.diff_ids.len());
        match (layers, images::chain(read, &row.manifest)?.len()) {
            (Err(error), _) => drop(findings.insert(Finding::new(object(), error.one_line()))),
            (Ok(1..), 0) => {
                findings.insert(Finding::new(object(), "it has layers but no snapshots"));
            }
            (Ok(_), _) => {}
        }
    }
    Ok(())
}

fn survey_artifacts(read: &Read, findings: &mut BTreeSet<Finding>) -> Result<()> {
    for row in artifacts::list(read)? {
        for blob in artifacts::blobs(read, &row.name)? {
            if !blobs::is_present(read, &blob)? {
                let object = format!("artifact {}", row.name);
                findings.insert(Finding::new(object, format!("blob {blob} is not whole")));
            }
        }
    }
    Ok(())
}

/// The owner, where it is dead.
fn dead(owner: Option<Owner>) -> Result<Option<()>> {
    let alive = owner.map_or(Ok(false), |owner| owner.is_alive())?;
    Ok((!alive).then_some(()))
}
