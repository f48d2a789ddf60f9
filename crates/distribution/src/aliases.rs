//! short-name-aliases.conf: which registry somebody meant by a short name, once and for all.
//!
//! ```text
//! [aliases]
//!   "tool" = "quay.io/team/tool"
//! ```
//!
//! podman, buildah and dhow share the file. Who changes it holds the lock of the file beside it,
//! `….conf.lock`, as those tools do: by `fcntl(2)`, which knows nothing of `flock(2)`. The file
//! itself is replaced whole, so that who reads it needs no lock.

use crate::registries::read_if_there;
use dhow_base::{
    Doing, Error, Kind, Result,
    file::{self, Durability},
};
use rustix::fs::{FlockOperation, Mode, OFlags};
use serde::Deserialize;
use std::{collections::BTreeMap, os::fd::OwnedFd, path::Path};

const FILE_MODE: u32 = 0o600;
const DIRECTORY_MODE: u32 = 0o700;

/// What the file says.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Aliases {
    #[serde(default)]
    pub(crate) aliases: BTreeMap<String, String>,
}

impl Aliases {
    /// Reads the file; one that is missing is empty.
    pub(crate) fn load(path: &Path) -> Result<Self> {
        let Some(text) = read_if_there(path)? else { return Ok(Self::default()) };
        toml::from_str(&text).map_err(|error| {
            let what = format!("read {}: {}", path.display(), error.message());
            Error::new(Kind::Invalid, what)
        })
    }

    fn text(&self) -> String {
        let lines = self
            .aliases
            .iter()
            .map(|(name, place)| format!("  {} = {}\n", quoted(name), quoted(place)));
        format!("[aliases]\n{}", lines.collect::<String>())
    }
}

/// Adds one alias, with nobody else in between.
pub(crate) fn remember(path: &Path, name: &str, place: &str) -> Result<()> {
    let doing = || format!("remember in {} that {name} is {place}", path.display());
    let remember = || -> Result<()> {
        if let Some(directory) = path.parent() {
            file::make_directories(directory, DIRECTORY_MODE)?;
        }
        let _lock = lock(path)?;
        let mut known = Aliases::load(path)?;
        known.aliases.insert(name.to_owned(), place.to_owned());
        file::write_atomically(path, known.text().as_bytes(), FILE_MODE, Durability::Cached)
    };
    remember().doing(doing)
}

/// The lock that the other tools hold too. It ends with the fd.
fn lock(path: &Path) -> Result<OwnedFd> {
    let mut place = path.as_os_str().to_owned();
    place.push(".lock");
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let fd = rustix::fs::open(&place, flags, Mode::from_raw_mode(FILE_MODE))
        .doing(|| format!("open lock {}", place.display()))?;
    loop {
        match rustix::fs::fcntl_lock(&fd, FlockOperation::LockExclusive) {
            Ok(()) => return Ok(fd),
            Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno).doing(|| format!("lock {}", place.display())),
        }
    }
}

/// A basic string of TOML. What JSON escapes, and how, TOML understands; JSON leaves DEL alone, and
/// no name holds one.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use dhow_testkit::needs_tool;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn what_is_remembered_is_added_to_what_others_have_written() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("containers/short-name-aliases.conf");
        remember(&path, "team/tool", "quay.io/team/tool").unwrap();
        let first = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("{first}  box = 'a.example/box'\n  \"o\\\"dd\" = \"\"\n"))
            .unwrap();

        remember(&path, "box", "localhost:5000/box").unwrap();

        assert_eq!(first, "[aliases]\n  \"team/tool\" = \"quay.io/team/tool\"\n");
        let known = Aliases::load(&path).unwrap().aliases;
        let known: Vec<(&str, &str)> =
            known.iter().map(|(name, place)| (&**name, &**place)).collect();
        let expected =
            [("box", "localhost:5000/box"), ("o\"dd", ""), ("team/tool", "quay.io/team/tool")];
        assert_eq!(known, expected);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_file_that_makes_no_sense_stays_as_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.conf");
        std::fs::write(&path, "[aliases\n").unwrap();

        let error = remember(&path, "box", "a.example/box").unwrap_err();

        assert_eq!(error.kind(), Kind::Invalid);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "[aliases\n");
    }

    #[test]
    fn a_lock_of_another_process_is_waited_for() {
        needs_tool!("python3");
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.conf");
        // The lock of podman's library: by fcntl, on the whole of the file beside it.
        let script = "import fcntl,sys\nf=open(sys.argv[1],'w')\nfcntl.lockf(f,fcntl.LOCK_EX)\n\
                      print('held',flush=True)\nsys.stdin.read()\n\
                      open(sys.argv[2],'w').write('[aliases]\\nother = \"b.example/other\"\\n')\n";
        let mut holder = std::process::Command::new("python3")
            .args(["-c", script])
            .args([directory.path().join("a.conf.lock"), path.clone()])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut held = [0; 5];
        std::io::Read::read_exact(holder.stdout.as_mut().unwrap(), &mut held).unwrap();
        let waiting = std::thread::spawn({
            let path = path.clone();
            move || remember(&path, "box", "a.example/box")
        });
        std::thread::sleep(std::time::Duration::from_millis(200));
        let was_early = path.exists();

        drop(holder.stdin.take());
        holder.wait().unwrap();
        waiting.join().unwrap().unwrap();

        assert!(!was_early, "the lock was not waited for");
        let known = Aliases::load(&path).unwrap().aliases;
        assert_eq!(known.keys().collect::<Vec<_>>(), ["box", "other"]);
    }
}
