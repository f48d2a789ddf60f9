//! `volume …`: directories that outlive containers.

pub(crate) mod create;
pub(crate) mod exists;
pub(crate) mod export;
pub(crate) mod filter;
pub(crate) mod import;
pub(crate) mod inspect;
pub(crate) mod ls;
pub(crate) mod mount;
pub(crate) mod prune;
pub(crate) mod reload;
pub(crate) mod rm;
