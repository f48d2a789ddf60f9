//! `healthcheck`: work with the health checks of containers.

pub(super) mod run;
