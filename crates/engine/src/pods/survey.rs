//! Whether the files of pods and their rows agree, and putting right what killed commands have left.

use super::Pods;
use crate::{Engine, doctor::entries};
use dhow_base::{Result, id::ContainerId};
use dhow_image::Finding;
use dhow_state::{
    containers::{self, Phase},
    pods,
};

impl Engine {
    /// Takes away what pods share of which nothing runs.
    pub(crate) fn mend_pods(&mut self) -> Result<()> {
        for path in entries(&self.layout.pods())? {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let Ok(id) = name.parse::<ContainerId>() else { continue };
            let _lock = self.pods_mut().lock()?;
            if !self.pods_mut().is_up(&id)? {
                self.lower_pod(&id)?;
            }
        }
        Ok(())
    }

    /// Says of each pod that it is not as its row has it.
    pub(crate) fn check_pods(&mut self, findings: &mut Vec<Finding>) -> Result<()> {
        let pods = self.pods_mut();
        let rows = pods::list(pods.state.read())?;
        for path in entries(&pods.layout.pods())? {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if !rows.iter().any(|row| row.id.as_str() == name) {
                let object = path.display().to_string();
                findings.push(Finding { object, problem: "no pod has this id".to_owned() });
            }
        }
        for row in &rows {
            let is_up = pods.is_up(&row.id)?;
            for path in pods.files(&row.id) {
                if !is_up && path.exists() {
                    let object = path.display().to_string();
                    let problem = format!("nothing of pod {} runs, and this is there", row.name);
                    findings.push(Finding { object, problem });
                }
            }
        }
        Ok(())
    }
}

impl Pods<'_> {
    /// Whether any container of a pod runs or is about to.
    fn is_up(&self, pod: &ContainerId) -> Result<bool> {
        for id in pods::members(self.state.read(), pod)? {
            let row = containers::find(self.state.read(), &id)?;
            let rests = |phase| matches!(phase, Phase::Created | Phase::Exited | Phase::Removing);
            if row.is_some_and(|row| !rests(row.phase)) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
