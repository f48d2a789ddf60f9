//! Things that look like procfs and are not.

use super::passed;
use crate::{Stage, Verdict, stage::read, trial::Trial, verdict::ensure};
use dhow_base::Result;
use std::path::Path;

const COVERS: [&str; 8] = [
    "/proc",
    "/proc/self/attr",
    "/proc/self/attr/exec",
    "/proc/self/oom_score_adj",
    "/proc/self",
    "/proc/sys/net",
    "/proc/sys/kernel",
    "/proc/1/uid_map",
];

pub(super) fn fake(stage: &Stage) -> Result<Verdict> {
    let mut count = 0;
    for place in COVERS {
        for is_tmpfs in [false, true] {
            let mut trial = Trial::new(stage)?;
            if is_tmpfs {
                trial.spec.mounts.push(dhow_spec::runtime::MountPoint {
                    destination: place.into(),
                    kind: Some("tmpfs".to_owned()),
                    source: Some("tmpfs".into()),
                    ..Default::default()
                });
            } else {
                let source = trial.make_directory("srv/fake")?;
                trial.bind(&source, place, &["bind"]);
            }
            // The whole of /proc may be a tmpfs: then it is simply no procfs.
            if is_tmpfs && place == "/proc" {
                continue;
            }
            let done = trial.run(&["nothing"])?;
            count += 1;
            ensure!(done.code == 1, "{place} was covered: {done}");
        }
    }
    if let Some(failure) = written_though_covered(stage)? {
        return Ok(Verdict::Failed(failure));
    }
    if let Some(failure) = parameters_are_the_containers(stage)? {
        return Ok(Verdict::Failed(failure));
    }
    Ok(passed(format!("{count} covers refused; writes reached the kernel")))
}

/// `/proc` of the container is a tmpfs with files where the runtime writes.
fn written_though_covered(stage: &Stage) -> Result<Option<String>> {
    let mut trial = Trial::new(stage)?;
    for mount in trial.spec.mounts.iter_mut().filter(|at| at.destination == Path::new("/proc")) {
        mount.kind = Some("tmpfs".to_owned());
        mount.options = vec!["mode=755".to_owned()];
    }
    trial.linux().masked_paths = Vec::new();
    trial.linux().readonly_paths = Vec::new();
    trial.process().oom_score_adj = Some(555);
    trial.linux().sysctl.insert("net.ipv4.ip_forward".to_owned(), "1".to_owned());
    let _running = trial.start(&["list", "/proc", ",", "wait"])?;
    let Some(pid) = trial.pid()? else { return Ok(Some("it has no process".to_owned())) };
    let score = read(Path::new(&format!("/proc/{pid}/oom_score_adj")))?;
    let is_written = score.trim() == "555";
    Ok((!is_written).then(|| format!("oom_score_adj is {score:?} and not 555")))
}

/// A parameter changes in the container, and not on the host.
fn parameters_are_the_containers(stage: &Stage) -> Result<Option<String>> {
    const PARAMETER: &str = "/proc/sys/net/ipv4/ip_default_ttl";
    let before = read(Path::new(PARAMETER))?;
    let mut trial = Trial::new(stage)?;
    trial.linux().sysctl.insert("net.ipv4.ip_default_ttl".to_owned(), "77".to_owned());
    let done = trial.run(&["cat", PARAMETER])?;
    if done.stdout.trim() != "77" {
        return Ok(Some(format!("a parameter was not set: {done}")));
    }
    let after = read(Path::new(PARAMETER))?;
    Ok((before != after).then(|| "a parameter of the host's was set".to_owned()))
}
