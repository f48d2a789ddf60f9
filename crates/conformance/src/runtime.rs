//! The runtime that is tried: which program, which version, and where it runs.
//!
//! Every command runs in a mount namespace of its own, whose mounts are private, so that whatever a
//! test mounts for it is gone with it; and in a UTS namespace of its own, so that a runtime that
//! takes a configuration it should refuse does not rename the machine. crun and runc refuse a
//! hybrid layout of cgroups in which the controllers are on the first version; for them
//! `/sys/fs/cgroup/unified` is unmounted there.

use dhow_testkit::{dhow, need};
use std::{
    ffi::OsStr,
    fmt,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};
use tempfile::TempDir;

/// The runtimes that the suite knows.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Name {
    /// Ours, or the one that `RUNTIME` names.
    Dhow,
    /// <https://github.com/containers/crun>
    Crun,
    /// <https://github.com/opencontainers/runc>
    Runc,
}

impl Name {
    /// All of them, ours first.
    pub const ALL: [Self; 3] = [Self::Dhow, Self::Crun, Self::Runc];

    /// As people write it.
    pub fn text(self) -> &'static str {
        match self {
            Self::Dhow => "dhow",
            Self::Crun => "crun",
            Self::Runc => "runc",
        }
    }

    /// The version whose differences are listed; nothing for ours, which is as it was just built.
    pub fn tested_version(self) -> Option<&'static str> {
        match self {
            Self::Dhow => None,
            Self::Crun => Some("1.8.1"),
            Self::Runc => Some("1.1.5"),
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

/// Which version of cgroups has the controllers on this machine.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Cgroups {
    /// A tree for each controller, or for some together.
    First,
    /// One tree for all.
    Second,
}

impl Cgroups {
    /// What this machine has.
    pub fn here() -> Self {
        match Path::new("/sys/fs/cgroup/cgroup.controllers").exists() {
            true => Self::Second,
            false => Self::First,
        }
    }
}

/// What a command sees of the machine's cgroups.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Layout {
    /// All hierarchies that there are.
    AsItIs,
    /// Without the second version's hierarchy beside the first's.
    FirstOnly,
}

/// Where and as whom a command runs.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// A shell script that mounts what the test wants mounted. The command ends with 99 where that
    /// fails.
    pub before: &'a str,
    /// More new namespaces, as options of unshare(1).
    pub apart: &'a [&'static str],
    /// An ordinary user, and a copy of the runtime within their reach.
    pub as_user: Option<(u32, &'a Path)>,
}

/// A runtime, found.
#[derive(Debug)]
pub struct Runtime {
    name: Name,
    program: PathBuf,
    layout: Layout,
    _link: Option<TempDir>,
}

impl Runtime {
    /// Looks for it. Ours is always there, or the suite fails.
    pub fn find(name: Name) -> Option<Self> {
        match name {
            Name::Dhow => Some(match need::variable("RUNTIME") {
                Some(path) => {
                    Self { name, program: path.into(), layout: Layout::FirstOnly, _link: None }
                }
                None => Self::ours(),
            }),
            peer => Some(Self {
                name,
                program: need::tool(peer.text())?,
                layout: Layout::FirstOnly,
                _link: None,
            }),
        }
    }

    /// Engines find it by the name of a link, so it is tried by that.
    fn ours() -> Self {
        let directory = tempfile::tempdir().expect("a directory for a link");
        let program = directory.path().join("dhow-runtime");
        symlink(dhow::program(), &program).expect("an empty directory takes a link");
        Self { name: Name::Dhow, program, layout: Layout::AsItIs, _link: Some(directory) }
    }

    /// Which one it is.
    pub fn name(&self) -> Name {
        self.name
    }

    /// Changes what its commands see of the cgroups.
    #[must_use]
    pub fn with_layout(mut self, layout: Layout) -> Self {
        self.layout = layout;
        self
    }

    /// What it says of its version: the last word of its first line.
    pub fn version(&self) -> String {
        let output = Command::new(&self.program).arg("--version").output();
        let text = output.map(|output| output.stdout).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let first = text.lines().next().unwrap_or_default();
        first.rsplit(' ').next().unwrap_or_default().trim_end_matches("+ds1").to_owned()
    }

    /// The program itself.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// What a copy of it is to be called: some go by their name.
    pub fn file_name(&self) -> &OsStr {
        self.program.file_name().unwrap_or(OsStr::new("runtime"))
    }

    /// A command of it with these words.
    pub fn command(&self, records: &Path, place: Place<'_>, words: &[&str]) -> Command {
        let hide = match self.layout {
            Layout::AsItIs => "",
            Layout::FirstOnly => {
                "! mountpoint -q /sys/fs/cgroup/unified || umount /sys/fs/cgroup/unified || exit 99\n"
            }
        };
        let before = place.before;
        let script = format!("set -e\n{hide}(:\n{before}\n) || exit 99\nexec \"$@\"");
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "--propagation", "private", "--uts"])
            .args(place.apart)
            .args(["sh", "-c", &script, "sh"]);
        match place.as_user {
            Some((uid, copy)) => command
                // By its path: busybox, where it is the shell, would run its own.
                .arg(need::tool("setpriv").unwrap_or("setpriv".into()))
                .args([format!("--reuid={uid}"), format!("--regid={uid}")])
                .arg("--clear-groups")
                .arg(copy),
            None => command.arg(&self.program),
        };
        command.arg("--root").arg(records).args(words);
        command
    }
}
