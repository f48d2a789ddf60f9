//! `secret …`: small contents that containers get and nobody else sees.

pub(crate) mod create;
pub(crate) mod exists;
pub(crate) mod inspect;
pub(crate) mod ls;
pub(crate) mod rm;
