//! The container that keeps what a pod shares and no file can hold: a PID namespace, which ends with its
//! first process. There is one where somebody asks for it.
//!
//! It is a container like others, the first to start and the last to end. Unless an image is named, it
//! is made of our own binary, which waits and reaps.

use super::{ExitPolicy, Settings};
use crate::{
    Engine, RemoveOptions, StopOptions, Watch, hello,
    init::INIT_WAITS,
    options::{CreateOptions, PodChoice},
    record::Record,
};
use dhow_base::{
    Doing, Error, Kind, Result,
    id::{ContainerId, Name},
};
use dhow_image::Progress;
use dhow_state::{
    containers::{self, Phase},
    pods,
};

/// How the container is made.
#[derive(Clone, Debug, Default)]
pub struct InfraOptions {
    /// Its name; the pod's id and `-infra` without.
    pub name: Option<Name>,
    /// Its image; our own binary without.
    pub image: Option<String>,
    /// What it runs instead of what the image says.
    pub command: Vec<String>,
}

impl Engine {
    /// Makes the container of a pod that has its row, and notes it there.
    pub(super) fn create_infra(
        &mut self,
        pod: &ContainerId,
        asked: &InfraOptions,
        progress: &dyn Progress,
    ) -> Result<()> {
        let name = match &asked.name {
            Some(name) => name.clone(),
            None => format!("{}-infra", pod.short()).parse()?,
        };
        let mut options = CreateOptions::of(asked.image.as_deref().unwrap_or(hello::WORD));
        options.name = Some(name);
        options.objects.pod = Some(PodChoice::Existing(pod.to_string()));
        options.objects.infra = true;
        match (&asked.command[..], &asked.image) {
            ([], None) => {
                options.life.init = true;
                options.entrypoint = Some(Vec::new());
                options.command = vec![INIT_WAITS.to_owned()];
            }
            ([], Some(_)) => {}
            (words, _) => {
                options.entrypoint = Some(Vec::new());
                options.command = words.to_vec();
            }
        }
        let id = self.create(&options, progress)?.id;
        let Some(row) = pods::find(self.state.read(), pod)? else {
            return Err(Error::new(Kind::Conflict, "the pod has just been removed"));
        };
        let settings = Settings { infra: Some(id.to_string()), ..Settings::of(&row)? };
        let text = settings.to_text()?;
        self.state.write(|write| pods::set_settings(write, pod, &text))
    }

    /// Starts the container that keeps what a pod shares, where there is one, for another one of its
    /// containers that starts.
    pub(crate) fn raise_infra(&mut self, pod: &str, starting: &ContainerId) -> Result<()> {
        let Some(infra) = self.infra_of(&pod.parse()?)? else { return Ok(()) };
        if infra == *starting {
            return Ok(());
        }
        // Another container of the pod that starts too may be faster, which is as good.
        self.start(infra.as_str(), Watch::Detached)
            .and_then(|running| running.client.detach())
            .doing(|| "start the pod's own container")
    }

    /// What follows in a pod from the end of one of its containers.
    pub(crate) fn leave_pod(&mut self, pod: &ContainerId, ended: &ContainerId) -> Result<()> {
        self.lower_pod_after(pod, ended)?;
        self.stop_with_last(pod, ended)
    }

    /// Ends it when the last of the others has ended, where the pod is to stop then.
    fn stop_with_last(&mut self, pod: &ContainerId, ended: &ContainerId) -> Result<()> {
        let Some(row) = pods::find(self.state.read(), pod)? else { return Ok(()) };
        let settings = Settings::of(&row)?;
        let Some(infra) = settings.infra()? else { return Ok(()) };
        if settings.exit_policy != ExitPolicy::Stop || infra == *ended {
            return Ok(());
        }
        for id in pods::members(self.state.read(), pod)? {
            let row = containers::find(self.state.read(), &id)?;
            let rests = |phase| matches!(phase, Phase::Created | Phase::Exited | Phase::Removing);
            if id != *ended && id != infra && row.is_some_and(|row| !rests(row.phase)) {
                return Ok(());
            }
        }
        self.stop(infra.as_str(), &StopOptions::default())?;
        self.state.write(|write| super::tell(write, &row, "stop"))
    }

    /// Refuses to remove it without its pod.
    pub(crate) fn check_not_infra(&self, pod: Option<&str>, id: &ContainerId) -> Result<()> {
        let Some(pod) = pod else { return Ok(()) };
        if self.infra_of(&pod.parse()?)?.as_ref() != Some(id) {
            return Ok(());
        }
        let text = format!("remove container {}: its pod needs it", id.short());
        Err(Error::new(Kind::Conflict, text).hint("`dhow pod rm` removes the pod with it"))
    }

    /// Removes a container of a pod that goes itself, whatever it is to the pod.
    pub(super) fn remove_member(&mut self, id: &ContainerId) -> Result<()> {
        let row = self.steady(id.as_str())?;
        let _turn = self.turn(id)?;
        self.remove_row(&row, RemoveOptions { force: true, volumes: true })
    }

    /// How it was made, to make another like it; a name of its own it gets anew.
    pub(super) fn infra_options(&self, infra: &ContainerId) -> Result<InfraOptions> {
        let Some(row) = containers::find(self.state.read(), infra)? else {
            return Ok(InfraOptions::default());
        };
        let is_own = self.is_own_image(&CreateOptions::of(row.image_name.clone()))?;
        let command = Record::parse(&row.settings)?.command;
        Ok(InfraOptions {
            name: None,
            image: (!is_own).then_some(row.image_name),
            command: if command == [INIT_WAITS] { Vec::new() } else { command },
        })
    }

    fn infra_of(&self, pod: &ContainerId) -> Result<Option<ContainerId>> {
        match pods::find(self.state.read(), pod)? {
            Some(row) => Settings::of(&row)?.infra(),
            None => Ok(None),
        }
    }
}

impl Settings {
    /// The container that keeps what no file can.
    pub(super) fn infra(&self) -> Result<Option<ContainerId>> {
        self.infra.as_deref().map(str::parse).transpose()
    }
}
