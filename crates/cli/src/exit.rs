//! What the command line makes of error kinds: exit codes, as docker has them; under podman's name as
//! podman has them.
//!
//! | code | when |
//! |---|---|
//! | 0 | all went well |
//! | the program's | `run`, `exec`, `start --attach`, `attach`; 128 and the signal's number after a signal |
//! | 125 | a flag is wrong; or dhow itself failed in `run`, `create`, `start` or `exec` |
//! | 126 | the program is there and cannot be run |
//! | 127 | the program is not in the container |
//! | 1 | everything else |
//!
//! podman has 125 for everything else, except where something is to be removed: 1 says that it is not
//! there, and 2 that it is in use.

use crate::manners::Manners;
use dhow_base::{Error, Kind};

/// Everything went well.
pub(crate) const SUCCESS: u8 = 0;
/// Something failed, and the command has no program whose exit code could be meant.
pub(crate) const FAILURE: u8 = 1;
/// dhow failed, not the program; or a flag made no sense.
pub(crate) const OWN_FAILURE: u8 = 125;

/// podman's exit code for what cannot be removed because it is in use.
const PODMANS_IN_USE: u8 = 2;

/// The exit code of a command that fails and has no program, by whose manners it fails.
pub(crate) fn failure(manners: Manners) -> u8 {
    match manners {
        Manners::Podman => OWN_FAILURE,
        Manners::Dhow | Manners::Docker | Manners::Skopeo => FAILURE,
    }
}

/// The same for an error of what is to be removed.
pub(crate) fn failure_to_remove(error: &Error, manners: Manners) -> u8 {
    match (manners, error.kind()) {
        (Manners::Podman, Kind::NotFound) => FAILURE,
        (Manners::Podman, Kind::Conflict) => PODMANS_IN_USE,
        _ => failure(manners),
    }
}

/// The exit code for an error of a command whose own failures have the code `own`.
pub(crate) fn code_of(error: &Error, own: u8) -> u8 {
    match error.kind() {
        Kind::CommandNotFound => 127,
        Kind::CommandNotRunnable => 126,
        Kind::NotFound
        | Kind::AlreadyExists
        | Kind::Invalid
        | Kind::Conflict
        | Kind::Denied
        | Kind::Corrupt
        | Kind::Exhausted
        | Kind::Unavailable
        | Kind::Unsupported
        | Kind::TimedOut
        | Kind::Internal => own,
    }
}

/// The word for an error's kind, for programs that read errors.
pub(crate) fn word_of(kind: Kind) -> &'static str {
    match kind {
        Kind::NotFound => "not-found",
        Kind::AlreadyExists => "already-exists",
        Kind::Invalid => "invalid",
        Kind::Conflict => "conflict",
        Kind::Denied => "denied",
        Kind::Corrupt => "corrupt",
        Kind::Exhausted => "exhausted",
        Kind::Unavailable => "unavailable",
        Kind::Unsupported => "unsupported",
        Kind::TimedOut => "timed-out",
        Kind::CommandNotFound => "command-not-found",
        Kind::CommandNotRunnable => "command-not-runnable",
        Kind::Internal => "internal",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn podman_tells_what_is_in_use_from_what_is_not_there() {
        let cases = [
            (Manners::Podman, Kind::NotFound, FAILURE),
            (Manners::Podman, Kind::Conflict, PODMANS_IN_USE),
            (Manners::Podman, Kind::Denied, OWN_FAILURE),
            (Manners::Docker, Kind::NotFound, FAILURE),
            (Manners::Dhow, Kind::Conflict, FAILURE),
        ];
        for (manners, kind, code) in cases {
            let error = Error::new(kind, "x");
            assert_eq!(failure_to_remove(&error, manners), code, "{manners:?} {kind:?}");
        }
        assert_eq!(failure(Manners::Podman), OWN_FAILURE);
    }

    #[test]
    fn a_missing_program_has_its_own_code_everywhere() {
        let cases = [
            (Kind::CommandNotFound, OWN_FAILURE, 127),
            (Kind::CommandNotRunnable, FAILURE, 126),
            (Kind::NotFound, OWN_FAILURE, 125),
            (Kind::NotFound, FAILURE, 1),
        ];
        for (kind, own, code) in cases {
            assert_eq!(code_of(&Error::new(kind, "x"), own), code, "{kind:?}");
        }
    }
}
