//! `stop`: ask containers to end, and make them where they do not.

use super::{
    picked::{Picked, is_ignored},
    several,
};
use crate::{flags::signal, invocation::Invocation, tree::Act};
use dhow_base::Result;
use dhow_engine::{StopOptions, Which};

/// Stop containers
///
/// The program gets the container's stop signal, and is killed when it has not ended in time. A
/// container that was stopped is not started again by its restart policy.
#[derive(clap::Args, Debug)]
pub(crate) struct Stop {
    #[command(flatten)]
    picked: Picked,

    #[command(flatten)]
    manner: Manner,

    /// Let containers that are not there be no error
    #[arg(short, long)]
    ignore: bool,
}

/// How containers are asked to end.
#[derive(clap::Args, Clone, Debug, Default)]
pub(super) struct Manner {
    /// Wait so many seconds before killing, -1 without an end; the container's own time unless said
    #[arg(
        short,
        long,
        visible_alias = "time",
        value_name = "SECONDS",
        allow_negative_numbers = true
    )]
    timeout: Option<i64>,

    /// Ask with this signal; the container's own unless said
    #[arg(short, long, value_name = "SIGNAL")]
    signal: Option<String>,
}

impl Manner {
    /// What the flags ask for.
    pub(super) fn options(&self) -> Result<StopOptions> {
        let signal = self.signal.as_deref().map(|text| signal::parse("--signal", text));
        Ok(StopOptions { timeout_seconds: self.timeout, signal: signal.transpose()? })
    }
}

impl Act for Stop {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let options = self.manner.options()?;
        let mut engine = invocation.engine()?;
        let containers = self.picked.names(&mut engine, Which::Running, invocation)?;
        several::each(invocation, &containers, |container| match engine.stop(container, &options) {
            Ok(()) => Ok(Some(container.to_owned())),
            Err(error) if is_ignored(self.ignore, &error) => Ok(None),
            Err(error) => Err(error),
        })
    }
}
