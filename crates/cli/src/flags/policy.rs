//! `--pull`: a word out of a closed set.

use super::refuse;
use dhow_base::Result;
use dhow_engine::options::PullPolicy;

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
    fn pull_policies_are_words() {
        assert_eq!(pull("--pull", "missing").unwrap(), PullPolicy::Missing);
        assert_eq!(pull("--pull", "newer").unwrap(), PullPolicy::Newer);
        assert!(pull("--pull", "sometimes").is_err());
    }
}
