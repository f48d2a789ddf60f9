//! Cgroups on the running kernel, on whatever versions this machine has mounted: version 1, version
//! 2, or both.
//!
//! Everything happens below `/dhow-test-<random>` and is removed. Layouts that the machine does not
//! have are made in a mount namespace, where this program runs the same tests again.

#![expect(clippy::unwrap_used, reason = "a test's helpers panic as tests do")]

mod ahead;
mod devices;
mod ground;
mod layouts;
mod life;
mod limits;
