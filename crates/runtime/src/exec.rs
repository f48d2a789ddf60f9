//! One more process in a running container.

use crate::{Stdio, request::Init};
use dhow_base::{Error, Kind, Result};
use dhow_spec::runtime::{Process, Spec};
use std::os::fd::OwnedFd;

/// A process to run in a container.
#[derive(Clone, Copy, Debug)]
pub struct ExecRequest<'a> {
    /// The container's id.
    pub id: &'a str,
    /// Its first process.
    pub init: Init,
    /// Its `config.json`: names the cgroup, the seccomp filter, the namespaces.
    pub spec: &'a Spec,
    /// The process to run.
    pub process: &'a Process,
    /// The standard streams, where the process has no terminal of its own.
    pub stdio: Stdio<'a>,
    /// How many fds, from 3 on, the process keeps.
    pub preserve_fds: u32,
}

/// A process that runs. The caller is its parent and reaps it.
#[derive(Debug)]
pub struct Executed {
    /// The process id, in the caller's PID namespace.
    pub pid: i32,
    /// A handle on it: readable when it has ended.
    pub pidfd: OwnedFd,
    /// The master of its terminal, where it has one.
    pub terminal: Option<OwnedFd>,
}

/// Runs a process in a container and returns when its program runs, or when it cannot.
pub fn exec(request: &ExecRequest<'_>) -> Result<Executed> {
    Err(Error::new(Kind::Unsupported, format!("execute in container {}", request.id)))
}
