//! A container's birth and end, as its parent sees them.

use crate::{Request, request::Init};
use dhow_base::{Error, Kind, Result};
use dhow_spec::runtime::Spec;
use std::{os::fd::OwnedFd, path::Path};

/// A container whose first process exists. The caller is that process's parent and reaps it.
#[derive(Debug)]
pub struct Container {
    /// The first process.
    pub init: Init,
    /// A handle on it: readable when it has ended.
    pub pidfd: OwnedFd,
    /// The master of its terminal, where it has one.
    pub terminal: Option<OwnedFd>,
}

/// Creates a container. On failure nothing of it is left.
pub fn create(request: &Request<'_>) -> Result<Container> {
    Err(Error::new(Kind::Unsupported, format!("create container {}", request.id)))
}

impl Container {
    /// Runs the program and returns when it runs, or when it cannot.
    pub fn start(&mut self) -> Result<()> {
        Err(Error::new(Kind::Unsupported, "start the container"))
    }
}

/// What is needed to clean up after a container, also by another process than its creator.
#[derive(Clone, Copy, Debug)]
pub struct Leftovers<'a> {
    /// The container's id.
    pub id: &'a str,
    /// Its `config.json`: names the cgroup and the poststop hooks.
    pub spec: &'a Spec,
    /// The bundle, which the hooks are told of.
    pub bundle: &'a Path,
}

/// Kills what is left in the cgroup, removes it, runs the poststop hooks. Done twice it does no
/// harm. Everything is tried; the first failure is returned.
pub fn delete(leftovers: &Leftovers<'_>) -> Result<()> {
    Err(Error::new(Kind::Unsupported, format!("delete container {}", leftovers.id)))
}
