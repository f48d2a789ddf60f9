//! A container replaced by one of a newer image, with a way back.
//!
//! ```text
//!   create the new one ─▶ stop the old one ─▶ names and addresses swapped, in one transaction
//!        ─▶ start ─▶ watch
//!        it lives, and is not unhealthy ─▶ the old one is removed
//!        it does not ─▶ swapped back, in one transaction, the new one is removed, the old one started
//! ```
//!
//! An address that the old one has asked for stays its own until it has stopped. So the new one is made
//! without it, and gets it with the name.
//!
//! Until the new one has proved itself the old one is whole: its files, its name in the row beside
//! the word of what happened to it. The row of the new one says so long whose place it takes, so that
//! the next update can end what a killed one has begun.

use crate::{
    CreateOptions, Engine, RemoveOptions, Watch,
    end::StopOptions,
    events::{Subject, tell},
    life::{LifeOptions, Succession},
    options::NetworkMode,
    record::Record,
};
use dhow_base::{
    Digest, Doing, Error, Kind, Result,
    id::{ContainerId, Name, random_hex},
};
use dhow_image::{Policy, Progress, PullOptions};
use dhow_state::{
    Owner,
    containers::{self, Container, Phase},
    endpoints,
};
use std::time::{Duration, Instant};

/// How often the new container is looked at.
const PAUSE: Duration = Duration::from_millis(50);

/// What became of a replacement.
#[derive(Debug)]
pub enum Replaced {
    /// The new container runs.
    By(ContainerId),
    /// The new one did not come up, and the old one runs again. The error says why.
    RolledBack(Error),
    /// The new one did not come up, and is left as it is for somebody to look at.
    Failed(Error),
}

/// How a container is replaced.
#[derive(Clone, Copy, Debug)]
pub struct ReplaceOptions {
    /// How long the new container must live, and may take to become healthy.
    pub patience: Duration,
    /// Whether the old one comes back where the new one does not come up.
    pub rollback: bool,
}

/// Where a newer image is looked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum UpdateSource {
    /// The registry that the image's name says.
    Registry,
    /// Here.
    Local,
}

/// A container, and how another one can be made like it.
#[derive(Clone, Debug)]
pub struct Made {
    /// Its id.
    pub id: ContainerId,
    /// Its name.
    pub name: String,
    /// The image's name.
    pub image_name: String,
    /// The image that it stands on.
    pub image: Option<Digest>,
    /// The command line that made it.
    pub words: Vec<String>,
    /// The directory where that was.
    pub directory: String,
}

/// A container whose image may have a successor.
#[derive(Clone, Debug)]
pub struct Updatable {
    /// The container.
    pub made: Made,
    /// The label's word: `registry`, `image`, `local`, `disabled`…
    pub policy: String,
}

fn made(row: Container, record: Record) -> Made {
    Made {
        id: row.id,
        name: row.name,
        image_name: row.image_name,
        image: row.image,
        words: record.life.command_line,
        directory: record.life.directory,
    }
}

impl Engine {
    /// The containers that run and whose label asks for updates. What a killed update has begun is
    /// ended first.
    pub fn updatable(&mut self) -> Result<Vec<Updatable>> {
        self.end_lost_successions()?;
        let mut found = Vec::new();
        for row in containers::list_alive(self.state.read())? {
            let record = Record::parse(&row.settings)?;
            let label = ["io.containers.autoupdate", "io.containers.auto-update"]
                .into_iter()
                .find_map(|label| record.labels.get_key_value(label));
            let label = label.filter(|(_, policy)| !matches!(policy.as_str(), "" | "disabled"));
            if let Some((label, policy)) = label
                && self.is_the_users(label, policy, &row, &record)
            {
                let policy = policy.clone();
                found.push(Updatable { policy, made: made(row, record) });
            }
        }
        Ok(found)
    }

    /// Whether the user has asked for a label: one that the image brings along decides nothing.
    fn is_the_users(&self, label: &str, value: &str, row: &Container, record: &Record) -> bool {
        let is_written = record.life.command_line.iter().any(|word| word.contains(label));
        let image = row.image.as_ref().map_or(row.image_name.as_str(), |digest| digest.as_str());
        let image = self.images.find(&self.state, image).ok().flatten();
        let of_image = image.and_then(|image| image.config.config.labels.get(label).cloned());
        is_written || of_image.as_deref() != Some(value)
    }

    /// A container, and the command line that made it.
    pub fn made(&mut self, container: &str) -> Result<Made> {
        let row = self.look_up(container)?;
        let record = Record::parse(&row.settings)?;
        Ok(made(row, record))
    }

    /// The image that a name means here now.
    pub fn image_named(&self, name: &str) -> Result<Option<Digest>> {
        Ok(self.images.find(&self.state, name)?.map(|image| image.manifest))
    }

    /// The image that a name means now; one at a registry is fetched.
    pub fn successor(
        &mut self,
        image_name: &str,
        source: UpdateSource,
        progress: &dyn Progress,
    ) -> Result<Digest> {
        let image = match source {
            UpdateSource::Registry => {
                let pull = PullOptions { platform: None, policy: Policy::Always };
                self.images.pull(&mut self.state, image_name, &pull, progress)?
            }
            UpdateSource::Local => self.images.look_up(&self.state, image_name)?,
        };
        Ok(image.manifest)
    }

    /// Replaces a container that runs by one that `options` describe, under its name.
    pub fn replace(
        &mut self,
        container: &str,
        options: &CreateOptions,
        how: ReplaceOptions,
        progress: &dyn Progress,
    ) -> Result<Replaced> {
        let old = self.steady(container)?;
        let beside = |word: &str| -> Result<String> {
            Ok(format!("{}-{word}-{}", old.name, random_hex(3)?))
        };
        let next: Name = beside("next")?.parse()?;
        let me = Owner::current()?;
        let succession = Succession {
            old: old.id.to_string(),
            name: old.name.clone(),
            by: (me.pid, me.start_time),
        };
        let life = LifeOptions { succession: Some(succession), ..options.life.clone() };
        let network = self.without_addresses_of(&old.id, &options.network)?;
        let options = CreateOptions {
            name: Some(next),
            auto_remove: false,
            life,
            network,
            ..options.clone()
        };
        let new = self.create(&options, progress)?.id;
        let swapped = self
            .stop(old.id.as_str(), &StopOptions::default())
            .and_then(|()| self.swap_names(&old, &new, &beside("before")?));
        if let Err(error) = swapped {
            self.discard(&new);
            self.start_detached(&old.id)?;
            return Err(error);
        }
        match self.start_detached(&new).and_then(|()| self.prove(&new, how.patience)) {
            Ok(()) => {
                self.remove(old.id.as_str(), RemoveOptions { force: true, volumes: false })?;
                self.forget_succession(&new)?;
                Ok(Replaced::By(new))
            }
            Err(error) if how.rollback => {
                self.give_back(&old, &new, &old.name)?;
                self.start_detached(&old.id).doing(|| {
                    format!("start container {} again after a failed update", old.name)
                })?;
                Ok(Replaced::RolledBack(error))
            }
            Err(error) => {
                self.forget_succession(&new)?;
                Ok(Replaced::Failed(error))
            }
        }
    }

    /// Goes on where a killed update has stopped: forward where the new container runs under its name,
    /// back where it does not.
    fn end_lost_successions(&mut self) -> Result<()> {
        for row in containers::list(self.state.read())? {
            let Some(succession) = Record::parse(&row.settings)?.life.succession else { continue };
            let (pid, start_time) = succession.by;
            let by = Owner { pid, start_time };
            if by.is_alive()? {
                continue;
            }
            self.end_succession(row, &succession)?;
        }
        Ok(())
    }

    fn end_succession(&mut self, row: Container, succession: &Succession) -> Result<()> {
        let Some(row) = self.refreshed(row)? else { return Ok(()) };
        let Some(old) = containers::find(self.state.read(), &succession.old.parse()?)? else {
            return self.forget_succession(&row.id);
        };
        if row.phase == Phase::Running && row.name == succession.name {
            self.remove(old.id.as_str(), RemoveOptions { force: true, volumes: false })?;
            return self.forget_succession(&row.id);
        }
        if old.name == succession.name {
            self.discard(&row.id);
        } else {
            self.give_back(&old, &row.id, &succession.name)?;
        }
        self.start_detached(&old.id)
            .doing(|| format!("start container {} again after a lost update", succession.name))
    }

    fn forget_succession(&mut self, id: &ContainerId) -> Result<()> {
        let Some(row) = containers::find(self.state.read(), id)? else { return Ok(()) };
        let mut record = Record::parse(&row.settings)?;
        record.life.succession = None;
        let text = record.to_text()?;
        self.state.write(|write| containers::set_settings(write, id, &text))
    }

    fn swap_names(&mut self, old: &Container, new: &ContainerId, before: &str) -> Result<()> {
        let record = Record::parse(&old.settings)?;
        self.state.write(|write| {
            containers::rename(write, &old.id, before)?;
            containers::rename(write, new, &old.name)?;
            endpoints::hand_over(write, &old.id, new)?;
            tell(write, &Subject::of(old, &record), "rename", &[("oldName", &old.name)])
        })
    }

    /// The old one gets back what the new one has had of it, and the new one goes. Who is killed in
    /// between leaves the new one with the word of whom it was to replace.
    fn give_back(&mut self, old: &Container, new: &ContainerId, name: &str) -> Result<()> {
        // It may be that it has not been started, or has ended.
        if let Err(error) = self.stop(new.as_str(), &StopOptions::default()) {
            (self.warn)(&format!("stop container {}: {}", new.short(), error.one_line()));
        }
        let failed = format!("{name}-failed-{}", random_hex(3)?);
        self.state.write(|write| {
            containers::rename(write, new, &failed)?;
            containers::rename(write, &old.id, name)?;
            endpoints::hand_over(write, new, &old.id)
        })?;
        self.discard(new);
        Ok(())
    }

    /// What is asked of networks, without the addresses that a container has asked for already.
    fn without_addresses_of(&self, old: &ContainerId, asked: &NetworkMode) -> Result<NetworkMode> {
        let NetworkMode::Networks(connections) = asked else { return Ok(asked.clone()) };
        let held = endpoints::of_owner(self.state.read(), old)?;
        let mut connections = connections.clone();
        for one in &mut connections {
            one.ip = one.ip.filter(|ip| held.iter().all(|other| other.ip4 != Some(*ip)));
            one.ip6 = one.ip6.filter(|ip| held.iter().all(|other| other.ip6 != Some(*ip)));
        }
        Ok(NetworkMode::Networks(connections))
    }

    fn start_detached(&mut self, id: &ContainerId) -> Result<()> {
        self.start(id.as_str(), Watch::Detached)?.client.detach()
    }

    /// Takes a container away that is not to be; that this fails too is a warning.
    fn discard(&mut self, id: &ContainerId) {
        let removed = self.remove(id.as_str(), RemoveOptions { force: true, volumes: true });
        if let Err(error) = removed {
            (self.warn)(&format!("remove container {}: {}", id.short(), error.one_line()));
        }
    }

    /// Waits until a container has lived long enough, and where its health is checked, is healthy.
    fn prove(&mut self, id: &ContainerId, patience: Duration) -> Result<()> {
        let deadline = Instant::now() + patience;
        loop {
            let row = self.look_up(id.as_str())?;
            let failed = |why: String| Err(Error::new(Kind::Unavailable, why));
            if row.phase != Phase::Running || row.course.restarts > 0 {
                let code = row.exit_code.unwrap_or_default();
                return failed(format!("the new container ended with {code}"));
            }
            let is_late = Instant::now() >= deadline;
            match row.course.health.as_deref() {
                Some("healthy") => return Ok(()),
                Some("unhealthy") => return failed("the new container is unhealthy".to_owned()),
                Some(_) if is_late => {
                    return failed(format!("the new container is not healthy after {patience:?}"));
                }
                None if is_late => return Ok(()),
                _ => std::thread::sleep(PAUSE),
            }
        }
    }
}
