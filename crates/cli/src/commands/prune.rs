//! What `image prune` and `system prune` have in common: their flags, the question before, and what
//! is printed after.

use crate::{
    exit::SUCCESS, flags::filter::Filters, invocation::Invocation, prompt::ANSWER_LIMIT_BYTES,
};
use dhow_base::{Doing, Error, Kind, Result, size};
use dhow_engine::Scope;
use dhow_image::PruneOptions;
use std::io::{self, BufRead, Read, Write};

/// What is removed, and whether somebody is asked.
#[derive(clap::Args, Debug)]
pub(crate) struct PruneFlags {
    /// Remove all images that no container is made of
    #[arg(short, long)]
    all: bool,

    /// Do not ask
    #[arg(short, long)]
    force: bool,

    /// Remove only what this holds for: until=, label= or label!=
    #[arg(long, value_name = "KEY=VALUE")]
    filter: Vec<String>,
}

impl PruneFlags {
    /// The flags of a command that has not all of them.
    pub(super) fn of_containers(force: bool, filter: Vec<String>) -> Self {
        Self { all: false, force, filter }
    }

    pub(super) fn prune(&self, scope: Scope, invocation: &Invocation) -> Result<u8> {
        let options = options(&self.filter, self.all)?;
        let images = if self.all { "without a container" } else { "without a name" };
        let what = match scope {
            Scope::Images => format!("all images {images}"),
            Scope::Containers => "all stopped containers".to_owned(),
            Scope::Everything => format!(
                "all stopped containers, all networks without a container and all images {images}"
            ),
            Scope::EverythingAndVolumes => format!(
                "all stopped containers, all networks without a container, all volumes without a name \
                 that no container uses, and all images {images}"
            ),
        };
        if !self.force && !asked(&format!("This removes {what}."))? {
            return Ok(SUCCESS);
        }
        let pruned = invocation.engine()?.prune(scope, &options)?;
        let console = invocation.console;
        for id in &pruned.containers {
            console.line(&format!("Deleted: {id}"))?;
        }
        for name in &pruned.networks {
            console.line(&format!("Deleted: {name}"))?;
        }
        for name in &pruned.volumes {
            console.line(&format!("Deleted: {name}"))?;
        }
        for removed in &pruned.images {
            super::rmi::say(removed, invocation)?;
        }
        console.line(&format!("Total reclaimed space: {}", size::humanly(pruned.bytes)))?;
        Ok(SUCCESS)
    }
}

/// Asks on standard error and reads the answer, which may come from a pipe; only `y` and `yes` mean
/// yes. Where nobody answers, the flag that answers in advance is asked for.
pub(super) fn asked(what: &str) -> Result<bool> {
    let mut err = io::stderr().lock();
    write!(err, "{what}\nAre you sure you want to continue? [y/N] ")
        .and_then(|()| err.flush())
        .doing(|| "ask before removing")?;
    let mut answer = String::new();
    let input = io::stdin().lock();
    if input.take(ANSWER_LIMIT_BYTES).read_line(&mut answer).doing(|| "read the answer")? == 0 {
        return Err(Error::new(Kind::Invalid, "ask before removing: standard input has no answer")
            .hint("--force does not ask"));
    }
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

/// The filters as docker and podman write them.
fn options(filters: &[String], all: bool) -> Result<PruneOptions> {
    let filters = Filters::parse(filters, &["until", "label"])?;
    let (labels, without_labels) = filters.labels();
    Ok(PruneOptions { all, until: filters.moment("until")?, labels, without_labels })
}

#[cfg(test)]
mod tests {
    #[test]
    fn filters_are_read_as_docker_writes_them() {
        let texts = ["label=a=1", "label=b", "label!=c=d=e"].map(str::to_owned);

        let options = super::options(&texts, true).unwrap();

        assert!(options.all);
        assert_eq!(options.labels, [("a".into(), Some("1".into())), ("b".into(), None)]);
        assert_eq!(options.without_labels, [("c".into(), Some("d=e".into()))]);
        for bad in ["label", "until=", "until=yesterday", "name=x"] {
            assert!(super::options(&[bad.to_owned()], false).is_err(), "{bad}");
        }
    }
}
