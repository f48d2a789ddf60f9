//! Does a container runtime do what the OCI runtime specification says? Tests by its command line.
//!
//! Every test runs against dhow, crun and runc, so the tests are tested too: a promise that no
//! runtime keeps is a mistake of the test. Where a runtime differs, [`difference`] has a row with
//! the sentence that decides, and the row fails the suite as soon as it is no longer true.
//!
//! ```text
//!   tests/conformance/<feature>.rs    what is promised, with the sentence that promises it
//!   runtime                     which program is tried, and where it runs
//!   bundle                      a configuration, a root with busybox and the probe, one container
//!   probe (another program)     says from inside what the container's process sees, as JSON
//!   verdict                     the test's end against the table of differences
//!   comparison                  dhow beside a peer, value by value
//! ```
//!
//! `RUNTIME=/usr/bin/youki cargo nextest run -p dhow-conformance dhow` tries another runtime in
//! dhow's place.
//!
//! Nothing here knows dhow's own crates but base: a misreading that both sides share would go unseen.
//! So the configuration, the lists of capabilities and the like are written here once more, on
//! purpose: they are no copies to be joined with the product's.

pub mod bundle;
pub mod comparison;
pub mod config;
pub mod difference;
pub mod page;
pub mod runtime;
pub mod verdict;

pub use bundle::Bundle;
pub use runtime::{Name, Runtime};

/// Writes the tests of one feature: each becomes a module with one test for each runtime, whose
/// name ends with the runtime's.
#[macro_export]
macro_rules! conformance {
    ($($(#[$meta:meta])* fn $name:ident($runtime:ident) $body:block)+) => { $(
        $(#[$meta])*
        mod $name {
            #[allow(unused_imports, reason = "not every test needs all that its file imports")]
            use super::*;

            fn body($runtime: &$crate::Runtime) $body

            #[test]
            fn dhow() {
                $crate::verdict::judge($crate::Name::Dhow, module_path!(), body);
            }

            #[test]
            fn crun() {
                $crate::verdict::judge($crate::Name::Crun, module_path!(), body);
            }

            #[test]
            fn runc() {
                $crate::verdict::judge($crate::Name::Runc, module_path!(), body);
            }
        }
    )+ };
}

/// Writes comparisons: each becomes a module with one test for each peer. The body sees what there is
/// to see through the runtime.
#[macro_export]
macro_rules! side_by_side {
    ($($(#[$meta:meta])* fn $name:ident($runtime:ident) $body:block)+) => { $(
        $(#[$meta])*
        mod $name {
            use super::*;

            fn see($runtime: &$crate::Runtime) -> $crate::comparison::Seen $body

            #[test]
            fn crun() {
                $crate::comparison::compare($crate::Name::Crun, stringify!($name), see);
            }

            #[test]
            fn runc() {
                $crate::comparison::compare($crate::Name::Runc, stringify!($name), see);
            }
        }
    )+ };
}
