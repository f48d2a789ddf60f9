//! `--filter` of volumes, as docker and podman write it.

use crate::flags::filter::{Filters, Key, Pair};
use dhow_base::Result;
use dhow_engine::VolumeFilter;

const KEYS: [Key; 11] = [
    "name",
    "volume",
    "label",
    "dangling",
    "anonymous",
    "driver",
    "opt",
    "scope",
    "until",
    "since",
    "after",
];

/// All filters of a command.
pub(super) fn all(texts: &[String]) -> Result<Vec<VolumeFilter>> {
    Filters::parse(texts, &KEYS)?.each(one)
}

fn one(pair: &Pair) -> Result<VolumeFilter> {
    let value = pair.value.clone();
    let (name, wanted) = pair.label();
    Ok(match pair.key {
        "name" | "volume" => VolumeFilter::Name(value),
        "label" if pair.negated => VolumeFilter::NotLabel(name, wanted),
        "label" => VolumeFilter::Label(name, wanted),
        "dangling" => VolumeFilter::Dangling(pair.switch()?),
        "anonymous" => VolumeFilter::Anonymous(pair.switch()?),
        "driver" => VolumeFilter::Driver(value),
        "opt" => VolumeFilter::Opt(name, wanted),
        "scope" => VolumeFilter::Scope(value),
        "until" => VolumeFilter::Until(pair.moment()?),
        _ => VolumeFilter::Since(value),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_read_as_docker_and_podman_write_them() {
        let label = |key: &str, value: Option<&str>| {
            VolumeFilter::Label(key.to_owned(), value.map(str::to_owned))
        };
        let of_one = |text: &str| all(&[text.to_owned()]).map(|mut all| all.remove(0));

        assert_eq!(of_one("label=a=b=c").unwrap(), label("a", Some("b=c")));
        assert_eq!(of_one("label=a").unwrap(), label("a", None));
        assert_eq!(of_one("dangling=true").unwrap(), VolumeFilter::Dangling(true));
        assert_eq!(of_one("dangling=0").unwrap(), VolumeFilter::Dangling(false));
        for bad in ["name", "dangling=maybe", "until=tomorrow", "bogus=1"] {
            assert!(of_one(bad).is_err(), "{bad}");
        }
    }
}
