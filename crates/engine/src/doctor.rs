//! The proof that nothing exists which no row names, and the other way round.

use crate::Engine;
use dhow_base::{Doing, Result, id::ContainerId};
use dhow_image::{Depth, Finding};
use dhow_state::containers;
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

impl Engine {
    /// Puts right what can be, and says what was done.
    pub fn repair(&mut self, depth: Depth) -> Result<Vec<Finding>> {
        while self.mend()? > 0 {}
        self.clear_leavings()?;
        self.mend_volumes()?;
        let mut done = self.images.repair(&mut self.state, depth)?;
        self.repair_volumes(&mut done)?;
        self.collect_plugged()?;
        Ok(done)
    }

    /// Compares rows with what is on disk, both ways, and lets SQLite prove its file.
    pub fn doctor(&mut self, depth: Depth) -> Result<Vec<Finding>> {
        while self.mend()? > 0 {}
        self.clear_leavings()?;
        self.mend_volumes()?;
        self.mend_secrets()?;
        self.mend_pods()?;
        self.images.mend(&mut self.state)?;
        let mut findings = self.images.doctor(&self.state, depth)?;
        self.check_containers(&mut findings)?;
        self.check_volumes(&mut findings)?;
        self.check_secrets(&mut findings)?;
        self.check_pods(&mut findings)?;
        self.check_networks(&mut findings)?;
        Ok(findings)
    }

    fn check_containers(&mut self, findings: &mut Vec<Finding>) -> Result<()> {
        let rows = containers::list(self.state.read())?;
        let known: BTreeSet<&str> = rows.iter().map(|row| row.id.as_str()).collect();
        for directory in [self.layout.containers(), self.layout.runs()] {
            for path in entries(&directory)? {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                if !known.contains(&*name) {
                    findings.push(Finding {
                        object: path.display().to_string(),
                        problem: "no container has this id".to_owned(),
                    });
                }
            }
        }
        for row in &rows {
            if row.owner.is_none() && !self.layout.config(&row.id).exists() {
                findings.push(missing_config(&row.id));
            }
        }
        Ok(())
    }
}

fn missing_config(id: &ContainerId) -> Finding {
    Finding { object: id.to_string(), problem: "the container's config.json is missing".to_owned() }
}

pub(crate) fn entries(directory: &Path) -> Result<Vec<PathBuf>> {
    let read = match std::fs::read_dir(directory) {
        Ok(read) => read,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).doing(|| format!("read {}", directory.display())),
    };
    read.map(|entry| {
        entry.map(|entry| entry.path()).doing(|| format!("read {}", directory.display()))
    })
    .collect()
}
