//! An init before the program: it forwards signals and reaps processes, which a first process of a
//! namespace has to do and most programs do not.
//!
//! It is our own binary under another name, bound read-only into the container, or a program of the
//! host's that the user names.

use crate::options::LifeOptions;
use dhow_base::{Doing, Error, Kind, Result};
use dhow_spec::runtime::{MountPoint, Spec};
use std::path::{Path, PathBuf};

/// The name under which the binary is an init.
pub const INIT_ROLE: &str = "dhow-init";

/// What stands for the program where there is none: the init waits until it is asked to end.
pub const INIT_WAITS: &str = "--wait";

/// Puts the init before the program, where one is wanted.
pub(crate) fn put_first(mut spec: Spec, life: &LifeOptions) -> Result<Spec> {
    if !life.init && life.init_path.is_none() {
        return Ok(spec);
    }
    let source = source(life)?;
    let target = target(&spec);
    if let Some(process) = &mut spec.process {
        let program = target.to_string_lossy().into_owned();
        process.args.splice(..0, [program, "--".to_owned()]);
    }
    spec.mounts.push(MountPoint {
        destination: target,
        kind: Some("bind".to_owned()),
        source: Some(source),
        options: ["bind", "ro", "nosuid", "nodev", "rprivate"].map(str::to_owned).to_vec(),
        ..MountPoint::default()
    });
    Ok(spec)
}

fn source(life: &LifeOptions) -> Result<PathBuf> {
    let Some(path) = &life.init_path else {
        return std::fs::read_link("/proc/self/exe").doing(|| "find our own binary");
    };
    let doing = || format!("use {} as the init", path.display());
    let found = rustix::fs::stat(path).doing(doing)?;
    if rustix::fs::FileType::from_raw_mode(found.st_mode) != rustix::fs::FileType::RegularFile {
        return Err(Error::new(Kind::Invalid, "it is no file")).doing(doing);
    }
    Ok(path.clone())
}

/// In `/dev`, which is memory and leaves no trace in the container's files; elsewhere where `/dev`
/// is the host's.
fn target(spec: &Spec) -> PathBuf {
    let dev = spec.mounts.iter().rev().find(|mount| mount.destination == Path::new("/dev"));
    let is_memory = dev.is_some_and(|mount| mount.kind.as_deref() == Some("tmpfs"));
    Path::new(if is_memory { "/dev" } else { "/run" }).join(INIT_ROLE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use dhow_spec::runtime::{Process, default_spec};

    fn spec() -> Spec {
        let process = Process { args: vec!["sleep".into(), "1".into()], ..Process::default() };
        Spec { process: Some(process), ..default_spec() }
    }

    #[test]
    fn the_init_goes_before_the_program() {
        let life = LifeOptions { init: true, ..LifeOptions::default() };

        let spec = put_first(spec(), &life).unwrap();

        assert_eq!(spec.process.unwrap().args, ["/dev/dhow-init", "--", "sleep", "1"]);
        let mount = spec.mounts.last().unwrap();
        assert!(mount.options.contains(&"ro".to_owned()));
        assert!(mount.source.as_ref().unwrap().is_absolute());
    }

    #[test]
    fn the_hosts_dev_is_not_written_to() {
        let life = LifeOptions { init: true, ..LifeOptions::default() };
        let mut with_dev = spec();
        for mount in
            with_dev.mounts.iter_mut().filter(|mount| mount.destination == Path::new("/dev"))
        {
            mount.kind = Some("bind".to_owned());
        }

        let spec = put_first(with_dev, &life).unwrap();

        assert_eq!(spec.process.unwrap().args[0], "/run/dhow-init");
        assert_eq!(
            put_first(self::spec(), &LifeOptions::default()).unwrap().process.unwrap().args.len(),
            2
        );
    }

    #[test]
    fn an_init_that_is_not_there_is_told() {
        let life =
            LifeOptions { init_path: Some("/nowhere/init".into()), ..LifeOptions::default() };
        assert_eq!(put_first(spec(), &life).unwrap_err().kind(), Kind::NotFound);
        let life = LifeOptions { init_path: Some("/".into()), ..LifeOptions::default() };
        assert_eq!(put_first(spec(), &life).unwrap_err().kind(), Kind::Invalid);
    }
}
