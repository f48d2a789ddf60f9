//! What a container leaves that was to be removed at its end: its files, which nobody needs to wait for.
//!
//! ```text
//!   command                              monitor
//!   end heard ─▶ one transaction:
//!     container's row gone, its name free
//!     snapshot's row says `removing`, and whose it was
//!            └── erase ─────────────────▶ snapshot, files, run directory; the lock last
//!   exits
//!                next command: nothing there, nobody at work ─▶ the row goes with its own writes
//! ```
//!
//! The row names what may still be there, so a monitor that is killed on the way, or never heard, leaves
//! work and no riddle: who finds the row and no monitor finishes. Only where nothing but files is left:
//! networks, volumes and mounts are given back by whoever removes a container itself.

use crate::{
    Engine,
    events::{Subject, tell},
    record::Record,
};
use dhow_base::{Result, id::ContainerId, tree};
use dhow_monitor::Client;
use dhow_snapshot::Number;
use dhow_state::{
    containers::{self, Container, Phase},
    snapshots,
};
use std::path::PathBuf;

/// How much of it one command looks at.
const ROWS_A_COMMAND: usize = 8;

impl Engine {
    /// The directories that go with a container, in this order; none where more than files is left of it.
    pub(crate) fn leavings(&self, id: &ContainerId, record: &Record) -> Result<Vec<PathBuf>> {
        let plain = |kind: &str| !matches!(kind, "volume" | "image");
        let only_files = record.ends_with_its_first()
            && !record.has_networks()
            && record.pasta().is_none()
            && record.root_project.is_none()
            && record.mounts.iter().all(|mount| plain(&mount.kind));
        if !only_files {
            return Ok(Vec::new());
        }
        Ok(match self.images.container_root_directory(&self.state, id)? {
            Some(snapshot) => vec![snapshot, self.layout.container(id), self.layout.run(id)],
            None => Vec::new(),
        })
    }

    /// Removes the rows of a container that has ended under the eyes of the command that stayed, and has its
    /// monitor take the files away. `false` says that it is left as it was.
    pub(crate) fn leave(
        &mut self,
        row: &Container,
        monitor: i32,
        code: u8,
        client: &mut Client,
    ) -> Result<bool> {
        let is_this_life = row.phase == Phase::Running
            && row.monitor.is_some_and(|running| running.pid == monitor);
        let record = Record::parse(&row.settings)?;
        if !row.auto_remove
            || !is_this_life
            || record.life.remove_image
            || self.leavings(&row.id, &record)?.is_empty()
            || self.images.may_be_mounted(&row.id)
        {
            return Ok(false);
        }
        let left = self.state.write(|write| {
            // Somebody else may be removing it.
            let now = containers::find(write, &row.id)?;
            if now.is_none_or(|now| now.phase != Phase::Running || now.monitor != row.monitor) {
                return Ok(false);
            }
            containers::delete(write, &row.id)?;
            snapshots::leave(write, &row.id)?;
            let subject = Subject::of(row, &record);
            tell(write, &subject, "die", &[("exitCode", &code.to_string())])?;
            tell(write, &subject, "destroy", &[])?;
            Ok(true)
        })?;
        if left {
            client.erase();
        }
        Ok(left)
    }

    /// Finishes what monitors were to take away and did not. Where nothing is left, the rows are remembered,
    /// and go with the next writes.
    pub(crate) fn look_at_leavings(&mut self) -> Result<()> {
        for (id, number) in snapshots::left(self.state.read(), ROWS_A_COMMAND)? {
            // A command that waits comes by again and again.
            if self.gone.contains(&number) {
                continue;
            }
            // One that was killed may have left the cgroup as well.
            let (run, config) = (self.layout.run(&id), self.layout.config(&id));
            if dhow_monitor::bury_unless_kept(&run, &config, &id)? {
                self.erase_leavings(&id, number)?;
                self.gone.push(number);
            }
        }
        Ok(())
    }

    /// As [`Engine::look_at_leavings`] of all there is, and waits for who is at work.
    pub(crate) fn clear_leavings(&mut self) -> Result<()> {
        let left = snapshots::left(self.state.read(), usize::MAX)?;
        for (id, number) in &left {
            dhow_monitor::bury(&self.layout.run(id), &self.layout.config(id), id)?;
            self.erase_leavings(id, *number)?;
        }
        self.gone.clear();
        if left.is_empty() {
            return Ok(());
        }
        self.state.write(|write| {
            left.iter().try_for_each(|(_, number)| snapshots::delete(write, *number))
        })
    }

    fn erase_leavings(&self, id: &ContainerId, number: u64) -> Result<()> {
        self.images.remove_snapshot(Number(number))?;
        tree::remove(&self.layout.container(id))?;
        tree::remove(&self.layout.run(id))
    }
}
