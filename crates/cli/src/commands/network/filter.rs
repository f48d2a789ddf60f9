//! `--filter` of networks, as docker and podman write it.

use crate::flags::{moment, refuse};
use dhow_base::Result;
use dhow_engine::NetworkFilter;

/// All filters of a command.
pub(super) fn all(texts: &[String]) -> Result<Vec<NetworkFilter>> {
    texts.iter().map(|text| one(text)).collect()
}

fn one(text: &str) -> Result<NetworkFilter> {
    let refused = |why: &str| {
        refuse("--filter", text, why).hint(
            "there are name=, id=, driver=, label=, label!=, dangling=, scope=, type= and until=",
        )
    };
    let (key, value) = text.split_once('=').ok_or_else(|| refused("the value is missing"))?;
    let pair = || match value.split_once('=') {
        Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
        None => (value.to_owned(), None),
    };
    Ok(match key {
        // Podman's own network is the one that docker calls bridge.
        "name" if value == "podman" => NetworkFilter::Name("bridge".to_owned()),
        "name" => NetworkFilter::Name(value.to_owned()),
        "id" => NetworkFilter::Id(value.to_owned()),
        "driver" => NetworkFilter::Driver(value.to_owned()),
        "label" => {
            let (key, value) = pair();
            NetworkFilter::Label(key, value)
        }
        "label!" => {
            let (key, value) = pair();
            NetworkFilter::NotLabel(key, value)
        }
        "dangling" => {
            NetworkFilter::Dangling(crate::tree::switch(value).map_err(|why| refused(&why))?)
        }
        "scope" => NetworkFilter::Scope(value.to_owned()),
        "type" => match value {
            "builtin" => NetworkFilter::Builtin(true),
            "custom" => NetworkFilter::Builtin(false),
            _ => return Err(refused("there are builtin and custom")),
        },
        "until" => NetworkFilter::Until(moment::parse("--filter", value)?),
        _ => return Err(refused("no such filter")),
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

        assert_eq!(one("label=a=b=c").unwrap(), label("a", Some("b=c")));
        assert_eq!(one("label=a").unwrap(), label("a", None));
        assert_eq!(one("dangling=true").unwrap(), NetworkFilter::Dangling(true));
        assert_eq!(one("type=custom").unwrap(), NetworkFilter::Builtin(false));
        for bad in ["name", "dangling=maybe", "type=x", "until=tomorrow", "bogus=1"] {
            assert!(one(bad).is_err(), "{bad}");
        }
    }
}
