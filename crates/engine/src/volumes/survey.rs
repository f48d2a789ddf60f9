//! Whether rows of volumes and what is on disk agree, both ways; and mending what killed commands
//! have left.

use super::{Volumes, fill, local::is_mounted, lock};
use crate::Engine;
use dhow_base::{Doing, Result, id::Name};
use dhow_image::Finding;
use dhow_state::volumes::{self, Filling, Phase};
use std::{collections::BTreeSet, path::Path};

impl Engine {
    /// Finishes or undoes what killed commands have left of volumes; how many that were.
    pub(crate) fn mend_volumes(&mut self) -> Result<usize> {
        let mut mended = 0;
        let mut unfinished = volumes::list_unfinished(self.state.read())?;
        unfinished.extend(
            volumes::list(self.state.read())?
                .into_iter()
                .filter(|row| row.phase == Phase::Present && row.filling != Filling::No),
        );
        for row in unfinished {
            let mut volumes = self.volumes_mut();
            // Who is at work has the lock, and is done when it is ours.
            let _lock = lock(volumes.layout, &row.name)?;
            volumes.settled(&row.name)?;
            mended += 1;
        }
        for row in volumes::list(self.state.read())? {
            let volumes = self.volumes_mut();
            if is_mounted(&volumes.layout.volume_data(&row.name))? {
                let _lock = lock(volumes.layout, &row.name)?;
                volumes.detach_unused(&row.name, None)?;
            }
        }
        Ok(mended)
    }

    /// Says of each volume that it is not as its row has it.
    pub(crate) fn check_volumes(&self, findings: &mut Vec<Finding>) -> Result<()> {
        let rows = volumes::list(self.state.read())?;
        let known: BTreeSet<&str> = rows.iter().map(|row| row.name.as_str()).collect();
        for path in crate::doctor::entries(&self.layout.volumes())? {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if !known.contains(&*name) {
                findings.push(finding(path.display().to_string(), "no volume has this name"));
            }
        }
        for row in &rows {
            let object = format!("volume {}", row.name);
            if row.phase == Phase::Present && !self.layout.volume_data(&row.name).is_dir() {
                findings.push(finding(object.clone(), "its files are missing"));
            }
            if row.phase == Phase::Present
                && row.filling == Filling::No
                && self.layout.volume_filling(&row.name).exists()
            {
                findings.push(finding(object, "a copy that nobody makes lies beside its files"));
            }
        }
        Ok(())
    }

    /// Removes what no volume's row names. The files of a volume without a row stay: they may be
    /// the only copy of something.
    pub(crate) fn repair_volumes(&mut self, done: &mut Vec<Finding>) -> Result<()> {
        for row in volumes::list(self.state.read())? {
            let filling = self.layout.volume_filling(&row.name);
            let _lock = lock(&self.layout, &row.name)?;
            let now = volumes::find(self.state.read(), &row.name)?;
            if now.is_some_and(|now| now.filling == Filling::No) && filling.exists() {
                dhow_base::tree::remove(&filling)?;
                done.push(finding(
                    format!("volume {}", row.name),
                    "removed: a copy that nobody made any more",
                ));
            }
        }
        for path in crate::doctor::entries(&self.layout.volumes())? {
            let text = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let Ok(name) = text.parse::<Name>() else { continue };
            let mut volumes = self.volumes_mut();
            let _lock = lock(volumes.layout, &name)?;
            if volumes::find(volumes.state.read(), &name)?.is_none() {
                volumes.adopt(&name, &path)?;
                done.push(finding(
                    path.display().to_string(),
                    "it has a row again, and is a volume like others",
                ));
            }
        }
        Ok(())
    }
}

impl Volumes<'_> {
    /// Gives a directory that has no row the row of a volume, or removes it where nothing is in it.
    fn adopt(&mut self, name: &Name, path: &Path) -> Result<()> {
        let data = self.layout.volume_data(name);
        if !data.is_dir() || fill::is_empty(&data)? {
            return dhow_base::tree::remove(path).doing(|| format!("remove {}", path.display()));
        }
        self.state.write(|write| {
            volumes::insert(
                write,
                &volumes::Volume {
                    name: name.clone(),
                    phase: Phase::Present,
                    created: dhow_base::clock::Moment::now(),
                    anonymous: false,
                    filling: Filling::No,
                    users: 0,
                    boot: None,
                    settings: "{}".to_owned(),
                },
            )
        })
    }
}

fn finding(object: String, problem: &str) -> Finding {
    Finding { object, problem: problem.to_owned() }
}
