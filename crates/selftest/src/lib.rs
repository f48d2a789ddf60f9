//! Attacks on the runtime, for users to run on their own host and for our tests to run on ours.
//!
//! ```text
//!   Attack ──act──▶ Stage ──▶ Trial: a bundle, a container of it ──▶ `dhow runtime …`
//!     │               │                                  │
//!     │               └── Nest: the host's files         └── the probe: our own binary again,
//!     ▼                   that must not change               as the hostile program inside
//!   Verdict: passed, failed or skipped, with words
//! ```
//!
//! Each attack plays a breach that happened to another runtime. It reaches the runtime by its
//! command line alone, as an engine does, so that what is tried is what runs. All that it makes
//! lies below one temporary directory and goes with it; containers, cgroups and mounts that stay
//! are a failure.
//!
//! # What this crate does not know
//!
//! Images, the engine, and the runtime as a library.

mod attack;
mod nest;
pub mod probe;
mod stage;
mod trial;
mod verdict;

pub use attack::{ATTACKS, Attack};
pub use stage::{Caller, Effort, Mapping, Stage};
pub use verdict::Verdict;

/// Plays an attack to its end; what went wrong beside it is a failure too.
pub fn play(attack: &Attack, program: &std::path::Path, caller: Caller, effort: Effort) -> Verdict {
    if let Some(reason) = attack.missing(caller) {
        return Verdict::Skipped(reason.to_owned());
    }
    let played = Stage::set(program, caller, effort).and_then(|stage| {
        // An attack that nothing starts under shows nothing.
        let plain = trial::Trial::new(&stage)?.run(&["nothing"])?;
        if plain.code != 0 {
            return Ok(Verdict::Failed(format!("a plain container does not start: {plain}")));
        }
        let verdict = (attack.act)(&stage)?;
        let left = stage.clear()?;
        Ok(if left.is_empty() { verdict } else { verdict.spoilt_by(&left) })
    });
    played.unwrap_or_else(|error| Verdict::Failed(error.one_line()))
}
