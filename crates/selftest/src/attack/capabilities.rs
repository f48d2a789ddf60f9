//! The rights of processes: what was declared, nothing that outlives a change of user, nothing more
//! by exec.

use super::passed;
use crate::{Caller, Mapping, Stage, Verdict, trial::Trial, verdict::ensure};
use dhow_base::Result;
use dhow_spec::runtime::{Capabilities, DEFAULT_CAPABILITIES};

/// The fourteen of [`DEFAULT_CAPABILITIES`], as the kernel writes them.
const DECLARED: &str = "00000000a80425fb";
const NOTHING: &str = "0000000000000000";
const STATUS: [&str; 2] = ["cat", "/proc/self/status"];

pub(super) fn exceeded(stage: &Stage) -> Result<Verdict> {
    let mut trial = Trial::new(stage)?;
    let root = trial.run(&STATUS)?;
    let of_root =
        [("CapInh", NOTHING), ("CapPrm", DECLARED), ("CapEff", DECLARED), ("CapBnd", DECLARED)];
    for (name, expected) in of_root.into_iter().chain([("CapAmb", NOTHING), ("NoNewPrivs", "0")]) {
        ensure!(field(&root.stdout, name) == expected, "root's {name}: {}", root.stdout);
    }
    trial.process().capabilities = Some(Capabilities::of_user(&DEFAULT_CAPABILITIES));
    trial.process().no_new_privileges = true;
    let has_more_users =
        stage.caller == Caller::Root || matches!(stage.caller, Caller::User(_, Mapping::Range(..)));
    if has_more_users {
        trial.process().user.uid = 1000;
        trial.process().user.gid = 1000;
    }
    let user = trial.start(&["cat", "/proc/self/status", ",", "wait"])?;
    let of_user = [("CapInh", NOTHING), ("CapPrm", NOTHING), ("CapEff", NOTHING)];
    for (name, expected) in of_user.into_iter().chain([("CapBnd", DECLARED), ("NoNewPrivs", "1")]) {
        let printed = user.printed();
        ensure!(field(&printed, name) == expected, "a user's {name}: {printed}");
    }
    // By exec: as the same user, and as the container's root.
    for flags in [&[][..], &["--user", "0:0"]] {
        let done = trial.exec(flags, &STATUS)?;
        ensure!(done.code == 0, "exec {flags:?}: {done}");
        for name in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
            let set = field(&done.stdout, name);
            ensure!(set == NOTHING, "exec {flags:?} has {name} {set}");
        }
        ensure!(field(&done.stdout, "CapBnd") == DECLARED, "exec {flags:?}: {}", done.stdout);
        ensure!(field(&done.stdout, "NoNewPrivs") == "1", "exec {flags:?} may gain rights");
        ensure!(field(&done.stdout, "Seccomp") == "2", "exec {flags:?} has no filter");
    }
    Ok(passed("4 processes looked at"))
}

/// A field of a process's status.
pub(super) fn field<'a>(status: &'a str, name: &str) -> &'a str {
    let named = |line: &&str| line.split(':').next() == Some(name);
    status.lines().find(named).and_then(|line| line.split_whitespace().nth(1)).unwrap_or("missing")
}
