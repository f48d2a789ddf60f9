//! Processes that stand still while something is done to their files.
//!
//! Whoever stopped them may be killed before they go on again. So a second process, this binary
//! again, waits for the end of a pipe and lets them go on then: the kernel closes the pipe, however
//! the first one ends.

use crate::Engine;
use dhow_base::{Doing, Error, Kind, Result};
use dhow_cgroup::Cgroup;
use dhow_state::containers::{Container, Phase};
use std::{
    io::PipeWriter,
    process::{Child, Command, Stdio},
};

/// As long as it lives, the processes of a container stand still.
pub(crate) struct Standstill {
    // An ordinary user's container may have none; then its processes go on.
    cgroup: Option<Cgroup>,
    guard: Option<(Child, PipeWriter)>,
}

impl Engine {
    /// Stops the processes of a running container for a while. Those that somebody has stopped
    /// already stay as they are, now and afterwards.
    pub(crate) fn pause_for_a_while(&self, row: &Container) -> Result<Standstill> {
        let gone = || Error::new(Kind::Conflict, format!("container {} is not running", row.name));
        let config = self.layout.config(&row.id);
        let cgroup = match dhow_monitor::cgroup(&config, &row.id)? {
            Some(cgroup) => cgroup,
            None if !self.is_of_root && row.phase == Phase::Running => {
                return Ok(Standstill { cgroup: None, guard: None });
            }
            None => return Err(gone()),
        };
        if cgroup.is_frozen()? {
            return Ok(Standstill { cgroup: Some(cgroup), guard: None });
        }
        let (reader, writer) = std::io::pipe().doing(|| "make a pipe")?;
        let guard = Command::new("/proc/self/exe")
            .arg("--root")
            .arg(self.layout.root())
            .arg("--runroot")
            .arg(self.layout.runroot())
            .args(["thaw", row.id.as_str()])
            .stdin(Stdio::from(reader))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .doing(|| "start the process that lets the container go on")?;
        let guard = Some((guard, writer));
        let frozen = cgroup.freeze();
        let standstill = Standstill { cgroup: Some(cgroup), guard };
        frozen.doing(|| format!("pause container {}", row.name))?;
        Ok(standstill)
    }

    /// Lets the processes of a container go on that were stopped for a while.
    pub fn thaw(&mut self, container: &str) -> Result<()> {
        let row = crate::create::look_up(&self.state, container)?;
        dhow_monitor::thaw(&self.layout.config(&row.id), &row.id)
    }
}

impl Drop for Standstill {
    fn drop(&mut self) {
        let Some((mut guard, writer)) = self.guard.take() else { return };
        // The guard tries the same once more, and nobody waits for what it says.
        let _thawed = self.cgroup.as_ref().map(Cgroup::thaw);
        drop(writer);
        let _ended = guard.wait();
    }
}
