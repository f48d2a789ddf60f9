//! Kernel parameters that are not the container's, and mount options that must hold below a mount
//! too.

use super::passed;
use crate::{Stage, Verdict, stage::read, trial::Trial, verdict::ensure};
use dhow_base::Result;
use dhow_spec::runtime::NamespaceKind;
use std::path::Path;

const OF_THE_HOST: [&str; 12] = [
    "kernel.core_pattern",
    "kernel.modprobe",
    "kernel.panic",
    "kernel.sysrq",
    "vm.overcommit_memory",
    "fs.protected_symlinks",
    "fs.suid_dumpable",
    "kernel/core_pattern",
    "net/../kernel/core_pattern",
    "net.ipv4.../../../kernel/core_pattern",
    "net.ipv4.ip_forward/../../../kernel/core_pattern",
    "../sysrq-trigger",
];

pub(super) fn injected(stage: &Stage) -> Result<Verdict> {
    let before = read(Path::new("/proc/sys/kernel/core_pattern"))?;
    let mut count = 0;
    for name in OF_THE_HOST {
        let mut trial = Trial::new(stage)?;
        trial.linux().sysctl.insert(name.to_owned(), "|/tmp/evil".to_owned());
        let done = trial.run(&["nothing"])?;
        count += 1;
        ensure!(done.code == 1, "{name}: {done}");
    }
    let mut trial = Trial::new(stage)?;
    trial.linux().namespaces.retain(|namespace| namespace.kind != NamespaceKind::Network);
    trial.linux().sysctl.insert("net.ipv4.ip_default_ttl".to_owned(), "77".to_owned());
    // Without a network of its own it gets no sysfs of its own either.
    trial.unmount("/sys");
    let done = trial.run(&["nothing"])?;
    ensure!(done.code == 1, "net.ipv4.ip_default_ttl of the host's: {done}");
    let after = read(Path::new("/proc/sys/kernel/core_pattern"))?;
    ensure!(before == after, "core_pattern is {after:?} now");
    let mounts = match recursive(stage)? {
        Ok(mounts) => mounts,
        Err(failure) => return Ok(Verdict::Failed(failure)),
    };
    Ok(passed(format!("{} parameters refused, {mounts} mounts looked at", count + 1)))
}

/// The host's `/dev` has mounts below it: `rro` and the others must reach those too.
fn recursive(stage: &Stage) -> Result<std::result::Result<usize, String>> {
    let mut count = 0;
    for (option, flag) in [("rro", "ro"), ("rnoexec", "noexec"), ("rnosuid", "nosuid")] {
        let mut trial = Trial::new(stage)?;
        trial.bind(Path::new("/dev"), "/srv", &["rbind", option]);
        let done = trial.run(&["cat", "/proc/self/mountinfo"])?;
        if done.code != 0 {
            return Ok(Err(format!("{option}: {done}")));
        }
        for line in done.stdout.lines() {
            let mut fields = line.split(' ').skip(4);
            let (place, flags) = (fields.next().unwrap_or(""), fields.next().unwrap_or(""));
            if place.starts_with("/srv") {
                count += 1;
                if !flags.split(',').any(|word| word == flag) {
                    return Ok(Err(format!("{option}: {place} is {flags}")));
                }
            }
        }
    }
    Ok(if count < 3 { Err("no mount was made".to_owned()) } else { Ok(count) })
}
