//! `--network` and `--pull`: words out of a closed set.

use super::refuse;
use dhow_base::Result;
use dhow_engine::options::{NetworkMode, PullPolicy};

/// What `--network` names.
pub(crate) fn mode(text: Option<&str>) -> Result<NetworkMode> {
    match text {
        None => Ok(NetworkMode::Unsaid),
        Some("none") => Ok(NetworkMode::None),
        Some("host") => Ok(NetworkMode::Host),
        Some(other) => {
            Err(refuse("--network", other, "this dhow has the networks none and host only")
                .hint("bridges, published ports and named networks come with a later version"))
        }
    }
}

/// What `--pull`, or the flag of another name for it, says.
pub(crate) fn pull(flag: &str, text: &str) -> Result<PullPolicy> {
    match text {
        "always" => Ok(PullPolicy::Always),
        "missing" => Ok(PullPolicy::Missing),
        "never" => Ok(PullPolicy::Never),
        "newer" => Ok(PullPolicy::Newer),
        other => {
            Err(refuse(flag, other, "no such policy").hint("write always, missing, never or newer"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_other_than_none_and_host_are_refused_with_the_reason() {
        assert_eq!(mode(None).unwrap(), NetworkMode::Unsaid);
        assert_eq!(mode(Some("none")).unwrap(), NetworkMode::None);
        assert_eq!(mode(Some("host")).unwrap(), NetworkMode::Host);
        for other in ["bridge", "", "container:web", "HOST"] {
            assert!(mode(Some(other)).is_err(), "{other:?}");
        }
    }

    #[test]
    fn pull_policies_are_words() {
        assert_eq!(pull("--pull", "missing").unwrap(), PullPolicy::Missing);
        assert_eq!(pull("--pull", "newer").unwrap(), PullPolicy::Newer);
        assert!(pull("--pull", "sometimes").is_err());
    }
}
