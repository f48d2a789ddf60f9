//! `pod rm`: remove pods.

use super::{super::several::each_removed, ChosenPods};
use crate::{invocation::Invocation, tree::Act};
use dhow_base::{Kind, Result};
use dhow_engine::{StopOptions, pods::Force};

/// Remove pods, with their containers
#[derive(clap::Args, Debug)]
pub(crate) struct Rm {
    #[command(flatten)]
    chosen: ChosenPods,

    /// Kill what runs in them
    #[arg(short, long)]
    force: bool,

    /// One that is not there is no error
    #[arg(short, long)]
    ignore: bool,

    /// With --force, give each container so many seconds before it is killed
    #[arg(short, long, value_name = "SECONDS", requires = "force")]
    time: Option<u32>,
}

impl Act for Rm {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let force = if self.force { Force::Yes } else { Force::No };
        let mut engine = invocation.engine()?;
        let names = self.chosen.names(&mut engine, invocation)?;
        each_removed(invocation, &names, |pod| {
            let removed = (|| {
                if let Some(seconds) = self.time {
                    engine.each_of_pod(
                        pod,
                        "stop",
                        |_| true,
                        |engine, id| engine.stop(id.as_str(), &StopOptions::within(Some(seconds))),
                    )?;
                }
                engine.remove_pod(pod, force)
            })();
            match removed {
                Err(error) if error.kind() == Kind::NotFound && (self.ignore || self.force) => {
                    Ok(None)
                }
                result => result.map(|id| Some(id.to_string())),
            }
        })
    }
}
