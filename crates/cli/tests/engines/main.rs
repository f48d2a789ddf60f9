//! dhow as the OCI runtime of other engines: podman, docker, containerd and its CRI.
//!
//! Each engine is one test of named steps, in a private [`world`] that takes everything with it
//! when it ends: namespaces, mounts, cgroups, daemons and their containers. All steps are tried,
//! and what failed is listed at the end. In such worlds the [`daily`] commands are tried on dhow
//! beside these engines as well.
//!
//! `DHOW_ENGINES_RUNTIME=/usr/sbin/runc` (or crun) runs the same steps with a peer, by which the
//! steps themselves are tried.

#[cfg(test)]
mod containerd;
#[cfg(test)]
mod cri;
#[cfg(test)]
mod daily;
#[cfg(test)]
mod docker;
#[cfg(test)]
mod engine;
#[cfg(test)]
mod podman;
#[cfg(test)]
mod steps;
#[cfg(test)]
mod subject;
#[cfg(test)]
mod wire;
#[cfg(test)]
mod world;
