//! `image prune`: the images that nobody needs go.

use super::asked::asked;
use crate::{
    exit::SUCCESS,
    flags::{moment, refuse},
    invocation::Invocation,
    tree::Act,
};
use dhow_base::{Result, size};
use dhow_image::PruneOptions;

/// Remove images that nobody needs
///
/// Those without a name, or with `--all` also those that no container is made of. What interrupted
/// pulls have fetched goes too.
#[derive(clap::Args, Debug)]
pub(crate) struct Prune {
    /// Remove all images that no container is made of
    #[arg(short, long)]
    all: bool,

    /// Do not ask
    #[arg(short, long)]
    force: bool,

    /// Remove only images for which this holds: until=, label= or label!=
    #[arg(long, value_name = "KEY=VALUE")]
    filter: Vec<String>,
}

impl Act for Prune {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let options = options(&self.filter, self.all)?;
        let what = if self.all {
            "This removes all images without at least one container."
        } else {
            "This removes all images without a name."
        };
        if !self.force && !asked(invocation, what)? {
            return Ok(SUCCESS);
        }
        let mut engine = invocation.engine()?;
        let before = engine.disk_usage()?.total();
        let (images, state) = engine.images();
        for removed in images.prune(state, &options)? {
            super::rmi::say(&removed, invocation.console)?;
        }
        images.forget_interrupted(state)?;
        let after = engine.disk_usage()?.total();
        say_reclaimed(invocation, before.saturating_sub(after))?;
        Ok(SUCCESS)
    }
}

pub(super) fn say_reclaimed(invocation: &Invocation, bytes: u64) -> Result<()> {
    invocation.console.line(&format!("Total reclaimed space: {}", size::humanly(bytes)))
}

/// The filters as docker and podman write them.
pub(super) fn options(filters: &[String], all: bool) -> Result<PruneOptions> {
    let mut options = PruneOptions { all, ..PruneOptions::default() };
    for text in filters {
        let refused =
            |why: &str| refuse("--filter", text, why).hint("there are until=, label= and label!=");
        let (key, value) = text.split_once('=').ok_or_else(|| refused("the value is missing"))?;
        let label = || match value.split_once('=') {
            Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
            None => (value.to_owned(), None),
        };
        match key {
            "until" => options.until = Some(moment::parse("--filter", value)?),
            "label" => options.labels.push(label()),
            "label!" => options.without_labels.push(label()),
            _ => return Err(refused("no such filter")),
        }
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_read_as_docker_writes_them() {
        let texts = ["label=a=1", "label=b", "label!=c=d=e"].map(str::to_owned);

        let options = options(&texts, true).unwrap();

        assert!(options.all);
        assert_eq!(options.labels, [("a".into(), Some("1".into())), ("b".into(), None)]);
        assert_eq!(options.without_labels, [("c".into(), Some("d=e".into()))]);
        for bad in ["label", "until=", "until=yesterday", "name=x"] {
            assert!(super::options(&[bad.to_owned()], false).is_err(), "{bad}");
        }
    }
}
