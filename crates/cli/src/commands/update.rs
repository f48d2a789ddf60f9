//! `update`: change the limits, the health check and the environment of containers.

use super::several;
use crate::{
    flags::{
        block_io::BlockIoFlags, container::LimitFlags, health::HealthFlags, life, refuse, variables,
    },
    invocation::Invocation,
    tree::Act,
};
use dhow_base::{Error, Kind, Result};
use dhow_engine::{Engine, Which, options::Limits};

/// Change the limits, the health check and the environment of containers
///
/// What no flag names stays as it is. A container that runs has the new limits and checks at once, but for
/// those of --ulimit, which its next start has. Variables are there for `exec` and from its next start on.
#[derive(clap::Args, Debug)]
pub(crate) struct Update {
    #[command(flatten)]
    limits: LimitFlags,

    #[command(flatten)]
    block_io: BlockIoFlags,

    #[command(flatten)]
    health: HealthFlags,

    /// Set an environment variable; a name alone takes its value from here
    #[arg(short, long, value_name = "NAME[=VALUE]")]
    env: Vec<String>,

    /// Set this environment variable no longer
    #[arg(long, value_name = "NAME")]
    unsetenv: Vec<String>,

    /// Start it again when it ends: no, on-failure[:NUMBER], always or unless-stopped
    #[arg(long, value_name = "POLICY")]
    restart: Option<String>,

    /// Change the container that was created last
    #[arg(short, long)]
    latest: bool,

    /// The containers
    #[arg(value_name = "CONTAINER")]
    containers: Vec<String>,
}

impl Act for Update {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let Self { limits, block_io, health, env, unsetenv, restart, latest, containers } = self;
        let update = dhow_engine::Update {
            limits: Limits { block_io: block_io.options()?, ..limits.limits()? },
            restart: restart.as_deref().map(life::restart).transpose()?,
            health: health.changes()?,
            env: variables::collect(&[], &env, invocation.surroundings())?,
            unset: unsetenv,
        };
        if update.is_empty() {
            return Err(Error::new(Kind::Invalid, "nothing is to be changed")
                .hint("name a limit, such as --memory 512m, or another flag"));
        }
        let mut engine = invocation.engine()?;
        let containers = named_or_latest(&mut engine, containers, latest)?;
        several::each(invocation, &containers, |container| {
            engine.update(container, &update).map(|()| Some(container.to_owned()))
        })
    }
}

/// The containers that were named, or the one that was created last.
pub(super) fn named_or_latest(
    engine: &mut Engine,
    named: Vec<String>,
    latest: bool,
) -> Result<Vec<String>> {
    match (latest, named.first()) {
        (false, Some(_)) => Ok(named),
        (false, None) => Err(Error::new(Kind::Invalid, "the container is missing")),
        (true, Some(name)) => Err(refuse("--latest", name, "it does not go with a container")),
        (true, None) => {
            let newest = engine.list(Which::All)?.into_iter().next();
            let newest =
                newest.ok_or_else(|| Error::new(Kind::NotFound, "there are no containers"))?;
            Ok(vec![newest.id.to_string()])
        }
    }
}
