//! `network …`: what containers that are connected to one share.

pub(crate) mod connect;
pub(crate) mod create;
pub(crate) mod disconnect;
pub(crate) mod exists;
pub(crate) mod explain;
pub(crate) mod filter;
pub(crate) mod inspect;
pub(crate) mod ls;
pub(crate) mod prune;
pub(crate) mod reload;
pub(crate) mod rm;
pub(crate) mod update;

use crate::{flags::network_defaults, invocation::Invocation, manners::Manners};
use dhow_base::Result;
use dhow_engine::Engine;

/// The engine, which knows how networks get addresses where nobody chooses.
fn engine(invocation: &Invocation) -> Result<Engine> {
    let mut engine = invocation.engine()?;
    network_defaults::apply(&invocation.containers_conf()?, &mut engine)?;
    Ok(engine)
}

/// The name of a network as the program whose manners these are would show it.
pub(in crate::commands) fn shown_name(name: &str, manners: Manners) -> &str {
    match (name, manners) {
        ("bridge", Manners::Podman) => "podman",
        _ => name,
    }
}
