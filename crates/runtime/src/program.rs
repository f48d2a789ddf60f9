//! The program of a container: found by its name, run, and why it cannot be.

use dhow_base::{Error, Kind, Result};
use dhow_spec::runtime::Process;
use dhow_sys::exec::{Strings, execve};
use rustix::{
    fs::{AtFlags, CWD, FileType},
    io::Errno,
};
use std::{
    cell::Cell,
    collections::BTreeSet,
    ffi::{CStr, CString},
    io,
};

/// Where programs are looked for when the process's environment does not say.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A program, its arguments and its environment, as exec takes them. Everything is allocated
/// before the container's limits and filter hold.
#[derive(Debug)]
pub(crate) struct Program {
    name: String,
    candidates: Vec<CString>,
    arguments: Strings,
    environment: Strings,
    has_home: bool,
    /// Where the user is at home, where the environment did not say it.
    found_home: Option<String>,
    /// Which of the candidates it is, where that was found out.
    found: Cell<Option<usize>>,
}

impl Program {
    /// Builds it from a process's words.
    pub(crate) fn prepare(process: &Process) -> Result<Self> {
        let invalid = |what: &str| Error::new(Kind::Invalid, format!("run a program: {what}"));
        let name = process.args.first().ok_or_else(|| invalid("process.args is empty"))?.clone();
        let variables = variables(&process.env)?;
        let environment =
            Strings::new(&variables).map_err(|_| invalid("the environment has a zero byte"))?;
        let arguments =
            Strings::new(&process.args).map_err(|_| invalid("an argument has a zero byte"))?;
        let candidates = candidates(&name, &variables)
            .into_iter()
            .map(|path| CString::new(path).map_err(|_| invalid("PATH has a zero byte")))
            .collect::<Result<_>>()?;
        let has_home = variables.iter().any(|variable| variable.starts_with("HOME="));
        let (found_home, found) = (None, Cell::new(None));
        Ok(Self { name, candidates, arguments, environment, has_home, found_home, found })
    }

    /// Whether the environment does not say where the user is at home.
    pub(crate) fn lacks_home(&self) -> bool {
        !self.has_home
    }

    /// Says where the user is at home.
    pub(crate) fn set_home(&mut self, home: &str) -> Result<()> {
        self.has_home = true;
        self.found_home = Some(home.to_owned());
        self.environment
            .push(&format!("HOME={home}"))
            .map_err(|_| Error::new(Kind::Invalid, "set HOME: it has a zero byte"))
    }

    /// What [`set_home`](Self::set_home) said.
    pub(crate) fn found_home(&self) -> Option<&str> {
        self.found_home.as_deref()
    }

    /// Finds the program without running it, for a container that is created now and started
    /// later. Done as the container's user, in its working directory.
    pub(crate) fn find(&self) -> Result<()> {
        let mut worst = Errno::NOENT;
        for (number, path) in self.candidates.iter().enumerate() {
            match may_run(path) {
                Ok(()) => {
                    self.found.set(Some(number));
                    return Ok(());
                }
                Err(errno) => worst = worse(worst, errno),
            }
        }
        Err(self.explain(worst.into()))
    }

    /// Runs it; comes back with the reason why that is not possible.
    pub(crate) fn run(&self) -> Error {
        let mut worst = None;
        // What was found when the container was created comes first; it may be gone by now.
        let found = self.found.get().and_then(|number| self.candidates.get(number));
        for path in found.into_iter().chain(&self.candidates) {
            let error = execve(path, &self.arguments, &self.environment);
            match Errno::from_io_error(&error) {
                Some(Errno::NOENT | Errno::NOTDIR) => {}
                Some(Errno::ACCESS) => worst = Some(error),
                _ => return self.explain(error),
            }
        }
        let missing = io::Error::from(Errno::NOENT);
        match worst {
            Some(error) => self.explain(error),
            // Only now, since most names are in the last directory that is tried.
            None if let Some(path) = self.candidates.iter().find(|path| exists(path)) => {
                without_interpreter(path, missing)
            }
            None => self.explain(missing),
        }
    }

    /// The errors in the words that engines and their users know from runc.
    fn explain(&self, error: io::Error) -> Error {
        let name = &self.name;
        match Errno::from_io_error(&error) {
            Some(Errno::NOENT | Errno::NOTDIR) if name.contains('/') => {
                let text = format!("exec: {name:?}: stat {name}: no such file or directory");
                Error::new(Kind::CommandNotFound, text)
            }
            Some(Errno::NOENT | Errno::NOTDIR) => {
                let text = format!("exec: {name:?}: executable file not found in $PATH");
                Error::new(Kind::CommandNotFound, text)
            }
            Some(Errno::ACCESS | Errno::PERM) => {
                Error::new(Kind::CommandNotRunnable, format!("exec: {name:?}: permission denied"))
            }
            Some(Errno::ISDIR) => {
                Error::new(Kind::CommandNotRunnable, format!("exec: {name:?}: is a directory"))
            }
            Some(Errno::NOEXEC) => {
                Error::new(Kind::CommandNotRunnable, format!("exec: {name:?}: exec format error"))
                    .hint("the file is for another architecture, or a script without #! line")
            }
            _ => Error::new(Kind::CommandNotRunnable, format!("exec: {name:?}")).because(error),
        }
    }
}

fn without_interpreter(path: &CStr, error: io::Error) -> Error {
    Error::new(Kind::CommandNotFound, format!("exec {}", path.to_string_lossy()))
        .because(error)
        .hint("the file exists, but the interpreter or loader that it names does not")
}

/// The environment as a program reads it: of several values for a name the last counts. An empty
/// HOME is none, as in runc.
fn variables(environment: &[String]) -> Result<Vec<&str>> {
    let mut seen = BTreeSet::new();
    let mut kept = Vec::with_capacity(environment.len() + 1);
    for entry in environment.iter().rev() {
        let name = entry.split_once('=').map(|(name, _)| name).filter(|name| !name.is_empty());
        let name = name.ok_or_else(|| {
            let text = format!("use environment variable {entry:?}: it is no NAME=value");
            Error::new(Kind::Invalid, text)
        })?;
        if seen.insert(name) && entry != "HOME=" {
            kept.push(entry.as_str());
        }
    }
    kept.reverse();
    Ok(kept)
}

/// The paths that the name can mean.
fn candidates(name: &str, environment: &[&str]) -> Vec<String> {
    if name.contains('/') {
        return vec![name.to_owned()];
    }
    if name.is_empty() {
        return Vec::new();
    }
    let path = environment.iter().rev().find_map(|entry| entry.strip_prefix("PATH="));
    path.unwrap_or(DEFAULT_PATH)
        .split(':')
        .map(|directory| match directory {
            "" => format!("./{name}"),
            directory => format!("{directory}/{name}"),
        })
        .collect()
}

fn may_run(path: &CString) -> Result<(), Errno> {
    let status = rustix::fs::stat(path)?;
    if FileType::from_raw_mode(status.st_mode) == FileType::Directory {
        return Err(Errno::ISDIR);
    }
    match rustix::fs::accessat(CWD, path, rustix::fs::Access::EXEC_OK, AtFlags::EACCESS) {
        // A filter that is older than the call: the exec tells.
        Err(Errno::NOSYS) => Ok(()),
        result => result,
    }
}

/// Of two reasons, the one that tells more.
fn worse(a: Errno, b: Errno) -> Errno {
    if matches!(b, Errno::NOENT | Errno::NOTDIR) { a } else { b }
}

fn exists(path: &CString) -> bool {
    rustix::fs::stat(path).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_looked_for_in_the_process_s_own_path() {
        let environment = ["PATH=/a::/b"];

        assert_eq!(candidates("sh", &environment), ["/a/sh", "./sh", "/b/sh"]);
        assert_eq!(candidates("./sh", &environment), ["./sh"]);
        assert_eq!(candidates("sh", &[])[0], "/usr/local/sbin/sh");
        assert!(candidates("", &environment).is_empty());
    }

    #[test]
    fn the_last_value_of_a_variable_counts() {
        let of = |entries: &[&str]| {
            let entries: Vec<String> = entries.iter().map(|&entry| entry.to_owned()).collect();
            variables(&entries).map(|kept| kept.join(" ")).ok()
        };

        assert_eq!(of(&["A=1", "B=", "A=2", "C==x"]).as_deref(), Some("B= A=2 C==x"));
        assert_eq!(of(&["HOME=/a", "HOME=", "X=1"]).as_deref(), Some("X=1"));
        assert_eq!(of(&["A"]), None);
        assert_eq!(of(&["=1"]), None);
    }
}
