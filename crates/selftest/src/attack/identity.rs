//! Words for users that one reader takes for a number and another for a name.

use super::passed;
use crate::{Caller, Mapping, Stage, Verdict, trial::Trial, verdict::ensure};
use dhow_base::Result;

/// Accounts whose names look like numbers, and lead elsewhere.
const PASSWD: &str = "0:x:5:5::/:/bin/sh\n1000:x:6:6::/:/bin/sh\n00:x:7:7::/:/bin/sh\n\
                      +0:x:8:8::/:/bin/sh\nroot:x:0:0::/root:/bin/sh\n4294967295:x:9:9::/:/bin/sh\n";

/// Words, and the number that each of them means; the rest means nothing.
const WORDS: [(&str, Option<(u32, u32)>); 27] = [
    ("0", Some((0, 0))),
    ("00", Some((0, 0))),
    ("0:0", Some((0, 0))),
    ("1000", Some((1000, 0))),
    ("1000:1001", Some((1000, 1001))),
    ("1000:00", Some((1000, 0))),
    ("1000:root", None),
    ("root", None),
    ("+0", None),
    ("-0", None),
    ("-1", None),
    (" 0", None),
    ("0 ", None),
    ("0x0", None),
    ("0b0", None),
    ("1e3", None),
    ("1_000", None),
    ("0:", None),
    (":0", None),
    (":", None),
    ("0:0:0", None),
    ("4294967295", None),
    ("0:4294967295", None),
    ("4294967296", None),
    ("18446744073709551616", None),
    ("\u{660}", None),
    ("\u{ff10}", None),
];

pub(super) fn confused(stage: &Stage) -> Result<Verdict> {
    let mut trial = Trial::new(stage)?;
    trial.write("etc/passwd", PASSWD)?;
    trial.write("etc/group", "0:x:5:\nroot:x:0:\n00:x:7:\n1001:x:8:\n")?;
    let _running = trial.start(&["wait"])?;
    // Ids that the container's user namespace does not have cannot be had.
    let has = |id: u32| match stage.caller {
        Caller::Root => true,
        Caller::User(_, Mapping::Single) => id == 0,
        Caller::User(_, Mapping::Range(_, size)) => id <= size,
    };
    for (word, meant) in WORDS {
        let flag = format!("--user={word}");
        let done = trial.exec(&[&flag], &["who"])?;
        let printed = done.stdout.trim_end();
        match meant.filter(|(uid, gid)| has(*uid) && has(*gid)) {
            Some((uid, gid)) => {
                let expected = format!("uid {uid} gid {gid} ");
                ensure!(printed.starts_with(&expected), "user {word:?}: {done}");
            }
            None => ensure!(done.code != 0 && printed.is_empty(), "user {word:?}: {done}"),
        }
    }
    drop(trial.delete()?);
    // The kernel takes -1 for "as before", which would be root.
    for (uid, gid) in [(u32::MAX, 0), (0, u32::MAX), (u32::MAX, u32::MAX)] {
        trial.process().user.uid = uid;
        trial.process().user.gid = gid;
        let done = trial.run(&["who"])?;
        ensure!(done.code != 0 && done.stdout.is_empty(), "user {uid}:{gid}: {done}");
    }
    trial.process().user = dhow_spec::runtime::User {
        additional_gids: vec![u32::MAX],
        ..dhow_spec::runtime::User::default()
    };
    let done = trial.run(&["who"])?;
    ensure!(!done.stdout.contains("4294967295"), "group 4294967295: {done}");
    Ok(passed(format!("{} words and 4 configurations", WORDS.len())))
}
