//! `--filter` of volumes, as docker and podman write it.

use crate::flags::{moment, refuse};
use dhow_base::Result;
use dhow_engine::VolumeFilter;

/// All filters of a command.
pub(super) fn all(texts: &[String]) -> Result<Vec<VolumeFilter>> {
    texts.iter().map(|text| one(text)).collect()
}

fn one(text: &str) -> Result<VolumeFilter> {
    let refused = |why: &str| {
        refuse("--filter", text, why).hint(
            "there are name=, label=, label!=, dangling=, anonymous=, driver=, opt=, scope=, until= and since=",
        )
    };
    let (key, value) = text.split_once('=').ok_or_else(|| refused("the value is missing"))?;
    let pair = || match value.split_once('=') {
        Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
        None => (value.to_owned(), None),
    };
    let truth = || crate::tree::switch(value).map_err(|why| refused(&why));
    Ok(match key {
        "name" | "volume" => VolumeFilter::Name(value.to_owned()),
        "label" => {
            let (key, value) = pair();
            VolumeFilter::Label(key, value)
        }
        "label!" => {
            let (key, value) = pair();
            VolumeFilter::NotLabel(key, value)
        }
        "dangling" => VolumeFilter::Dangling(truth()?),
        "anonymous" => VolumeFilter::Anonymous(truth()?),
        "driver" => VolumeFilter::Driver(value.to_owned()),
        "opt" => {
            let (key, value) = pair();
            VolumeFilter::Opt(key, value)
        }
        "scope" => VolumeFilter::Scope(value.to_owned()),
        "until" => VolumeFilter::Until(moment::parse("--filter", value)?),
        "since" | "after" => VolumeFilter::Since(value.to_owned()),
        _ => return Err(refused("no such filter")),
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

        assert_eq!(one("label=a=b=c").unwrap(), label("a", Some("b=c")));
        assert_eq!(one("label=a").unwrap(), label("a", None));
        assert_eq!(one("dangling=true").unwrap(), VolumeFilter::Dangling(true));
        assert_eq!(one("dangling=0").unwrap(), VolumeFilter::Dangling(false));
        for bad in ["name", "dangling=maybe", "until=tomorrow", "bogus=1"] {
            assert!(one(bad).is_err(), "{bad}");
        }
    }
}
