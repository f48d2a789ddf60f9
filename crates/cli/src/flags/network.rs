//! `--network` and `--pull`: words out of a closed set.

use super::{
    namespaces::{self, Named},
    refuse,
};
use dhow_base::Result;
use dhow_engine::options::{NetworkMode, PullPolicy};

/// What `--network` names.
pub(crate) fn mode(text: Option<&str>) -> Result<NetworkMode> {
    match text {
        None => Ok(NetworkMode::Unsaid),
        Some("none") => Ok(NetworkMode::None),
        Some("host") => Ok(NetworkMode::Host),
        Some(other) => match namespaces::named("--network", other)? {
            Some(Named::Container(name)) => Ok(NetworkMode::Container(name)),
            Some(Named::Path(path)) => Ok(NetworkMode::Path(path)),
            None => Err(refuse("--network", other, "this dhow has no such network")
                .hint("there are none, host, container:NAME and ns:PATH; bridges, published ports and named networks come with a later version")),
        },
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
        let web = NetworkMode::Container("web".to_owned());
        assert_eq!(mode(Some("container:web")).unwrap(), web);
        for other in ["bridge", "", "container:", "ns:x", "HOST"] {
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
