//! `--filter` of networks, as docker and podman write it.

use crate::flags::filter::{Filters, Key, Pair};
use dhow_base::Result;
use dhow_engine::NetworkFilter;

const KEYS: [Key; 8] = ["name", "id", "driver", "label", "dangling", "scope", "type", "until"];

/// All filters of a command.
pub(super) fn all(texts: &[String]) -> Result<Vec<NetworkFilter>> {
    Filters::parse(texts, &KEYS)?.each(one)
}

fn one(pair: &Pair) -> Result<NetworkFilter> {
    let value = pair.value.clone();
    let (name, wanted) = pair.label();
    Ok(match pair.key {
        // Podman's own network is the one that docker calls bridge.
        "name" if value == "podman" => NetworkFilter::Name("bridge".to_owned()),
        "name" => NetworkFilter::Name(value),
        "id" => NetworkFilter::Id(value),
        "driver" => NetworkFilter::Driver(value),
        "label" if pair.negated => NetworkFilter::NotLabel(name, wanted),
        "label" => NetworkFilter::Label(name, wanted),
        "dangling" => NetworkFilter::Dangling(pair.switch()?),
        "scope" => NetworkFilter::Scope(value),
        "type" => NetworkFilter::Builtin(pair.parsed(|value| match value {
            "builtin" => Ok(true),
            "custom" => Ok(false),
            _ => Err("there are builtin and custom".to_owned()),
        })?),
        _ => NetworkFilter::Until(pair.moment()?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_read_as_docker_and_podman_write_them() {
        let label = |key: &str, value: Option<&str>| {
            NetworkFilter::Label(key.to_owned(), value.map(str::to_owned))
        };
        let of_one = |text: &str| all(&[text.to_owned()]).map(|mut all| all.remove(0));

        assert_eq!(of_one("label=a=b=c").unwrap(), label("a", Some("b=c")));
        assert_eq!(of_one("label=a").unwrap(), label("a", None));
        assert_eq!(of_one("dangling=true").unwrap(), NetworkFilter::Dangling(true));
        assert_eq!(of_one("type=custom").unwrap(), NetworkFilter::Builtin(false));
        for bad in ["name", "dangling=maybe", "type=x", "until=tomorrow", "bogus=1"] {
            assert!(of_one(bad).is_err(), "{bad}");
        }
    }
}
