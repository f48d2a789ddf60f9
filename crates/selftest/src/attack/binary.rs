//! Our own binary, while it is about to become a container's program: `/proc/<pid>/exe` opened for
//! writing, its memory read, and the binary run again through its own name.

use super::passed;
use crate::{Stage, Verdict, stage::Untouched, trial::Trial, verdict::ensure};
use dhow_base::{Doing, Result};
use std::{fs, os::unix::fs::PermissionsExt, path::Path};

pub(super) fn overwritten(stage: &Stage) -> Result<Verdict> {
    let program = Untouched::watch(&stage.program)?;
    let mut trial = Trial::new(stage)?;
    let script = trial.write("again", "#!/proc/self/exe\n")?;
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755))
        .doing(|| "make the script a program")?;
    trial.link("self", Path::new("/proc/self/exe"))?;
    let hunter = trial.start(&["hunt"])?;
    let times = stage.times(20, 2000);
    for number in 0..times {
        let again = ["/again", "/self", crate::probe::PLACE];
        let name = again[usize::try_from(number).unwrap_or(0) % again.len()];
        // The first two run our own binary under its own name, if they run anything.
        let done = trial.tell(&["exec", &trial.id, name, "nothing"])?;
        ensure!(
            name == crate::probe::PLACE || done.code != 0 || done.stdout.is_empty(),
            "{name}: {done}"
        );
    }
    let printed = hunter.printed();
    drop(trial.delete()?);
    ensure!(!printed.contains("BREACH"), "{printed}");
    ensure!(program.holds()?, "{} has changed", stage.program.display());
    // As the first process, too.
    for name in ["/again", "/self"] {
        trial.process().args = vec![name.to_owned()];
        trial.write_configuration()?;
        let done = trial.tell(&["run", &trial.id])?;
        ensure!(program.holds()?, "as {name}: {done}");
    }
    Ok(passed(format!("{times} processes hunted")))
}
