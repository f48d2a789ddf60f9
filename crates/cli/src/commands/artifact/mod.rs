//! `artifact …`: files under a name, in registries and here.

pub(crate) mod add;
pub(crate) mod extract;
pub(crate) mod inspect;
pub(crate) mod ls;
pub(crate) mod pull;
pub(crate) mod push;
pub(crate) mod rm;
