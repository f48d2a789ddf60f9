//! Links in the image where the runtime mounts things and makes devices.

use super::passed;
use crate::{Stage, Verdict, nest::Nest, stage::Done, trial::Trial, verdict::ensure};
use dhow_base::Result;
use std::path::{Path, PathBuf};

/// `/dev` itself.
pub(super) fn dev(stage: &Stage) -> Result<Verdict> {
    each(stage, &["dev"])
}

/// Everything else that is mounted by default.
pub(super) fn system(stage: &Stage) -> Result<Verdict> {
    each(stage, &["proc", "sys", "dev/shm", "dev/pts", "dev/mqueue"])
}

fn each(stage: &Stage, victims: &[&str]) -> Result<Verdict> {
    let nest = Nest::build(&stage.directory().join("nest"), stage.caller.uid())?;
    let mut count = 0;
    for victim in victims {
        for target in targets(nest.path()) {
            // With the mount that belongs there, and without it: then devices are made behind
            // the link.
            for is_mounted in [true, false] {
                let done = start_behind(stage, victim, &target, is_mounted)?;
                count += 1;
                let target = target.display();
                ensure!(done.code <= 1, "/{victim} -> {target}: {done}");
                if let Some(harm) = nest.harm()? {
                    return Ok(Verdict::Failed(format!("/{victim} -> {target}: {harm}")));
                }
            }
        }
    }
    Ok(passed(format!("{count} starts")))
}

/// Ways to the host's directory: from the top, climbing, and by what the kernel links.
fn targets(nest: &Path) -> [PathBuf; 4] {
    let inner = nest.strip_prefix("/").unwrap_or(nest);
    [
        nest.to_owned(),
        Path::new("../../../../../../../..").join(inner),
        Path::new("/proc/self/root").join(inner),
        Path::new("/proc/1/root").join(inner),
    ]
}

fn start_behind(stage: &Stage, victim: &str, target: &Path, is_mounted: bool) -> Result<Done> {
    let mut trial = Trial::new(stage)?;
    if victim.starts_with("dev/") {
        // Below a /dev of the image's own, without a tmpfs over it.
        trial.spec.mounts.retain(|mount| mount.destination != Path::new("/dev"));
    }
    if !is_mounted {
        trial.unmount(&format!("/{victim}"));
    }
    trial.link(victim, target)?;
    trial.run(&["nothing"])
}
