//! `network …`: what containers that are connected to one share.

pub(crate) mod connect;
pub(crate) mod create;
pub(crate) mod disconnect;
pub(crate) mod exists;
pub(crate) mod filter;
pub(crate) mod inspect;
pub(crate) mod ls;
pub(crate) mod prune;
pub(crate) mod reload;
pub(crate) mod rm;
pub(crate) mod update;

use crate::manners::Manners;

/// The name of a network as the program whose manners these are would show it.
pub(in crate::commands) fn shown_name(name: &str, manners: Manners) -> &str {
    match (name, manners) {
        ("bridge", Manners::Podman) => "podman",
        _ => name,
    }
}
