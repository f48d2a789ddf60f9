//! `pod logs`: what the containers of a pod have printed.

use super::super::logs::{Logs, Said};
use crate::{flags::refuse, invocation::Invocation, tree::Act};
use dhow_base::{Error, Kind, Result};

/// Show what the containers of a pod have printed
///
/// Each line begins with the id of its container.
#[derive(clap::Args, Debug)]
pub(crate) struct PodLogs {
    /// The pod, by name or id
    #[arg(value_name = "POD", required_unless_present = "latest")]
    pod: Option<String>,

    /// Of the newest pod
    #[arg(short, long, conflicts_with = "pod")]
    latest: bool,

    /// Only what this container of it has printed
    #[arg(short, long, value_name = "CONTAINER")]
    container: Option<String>,

    #[command(flatten)]
    said: Said,
}

impl Act for PodLogs {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let mut engine = invocation.engine()?;
        let pod = match &self.pod {
            Some(pod) => Some(engine.pod(pod)?),
            None => engine.pods()?.into_iter().next(),
        };
        let pod = pod.ok_or_else(|| Error::new(Kind::NotFound, "there is no pod"))?;
        let members = match &self.container {
            None => pod.members.iter().map(|member| member.id.to_string()).collect(),
            Some(container) => {
                let id = engine.name_of(container)?.0;
                if !pod.members.iter().any(|member| member.id == id) {
                    let why = format!("it is not in pod {}", pod.name);
                    return Err(refuse("--container", container, why));
                }
                vec![id.to_string()]
            }
        };
        drop(engine);
        Logs::of(members, self.said.with_ids()).act(invocation)
    }
}
