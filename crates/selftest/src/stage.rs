//! Where an attack is played: the program under test, who calls it, and a directory for the rest.
//!
//! ```text
//!   <tmp>/dhow-selftest-<random>/
//!       dhow-probe  a copy of our binary, linked into the roots of containers
//!       dhow        another copy, where the caller cannot reach the program itself
//!       records/    what the runtime keeps
//!       <trial>/    a bundle each
//! ```

use dhow_base::{Doing, Error, Kind, Result, id::random_hex};
use std::{
    fs,
    os::unix::{
        fs::{MetadataExt, PermissionsExt},
        process::{CommandExt, ExitStatusExt},
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// Who calls the runtime.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Caller {
    /// The host's root.
    Root,
    /// An ordinary user, in a user namespace of its own.
    User(u32, Mapping),
}

/// Which ids a user's container has.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mapping {
    /// The user's own alone, as the container's root.
    Single,
    /// The user's own, and a range that `/etc/subuid` and `/etc/subgid` give, from 1 on.
    Range(u32, u32),
}

impl Caller {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Root => "rootful",
            Self::User(_, Mapping::Single) => "rootless",
            Self::User(_, Mapping::Range(..)) => "rootless, ranges",
        }
    }

    /// The user's id, where it is an ordinary one.
    pub(crate) fn uid(self) -> Option<u32> {
        match self {
            Self::Root => None,
            Self::User(uid, _) => Some(uid),
        }
    }
}

/// How often an attack that needs luck is tried.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Effort {
    /// A second or two each.
    Quick,
    /// Until luck is no excuse.
    Full,
}

/// A variable of the host's, which no container may see.
pub(crate) const SECRET: (&str, &str) = ("DHOW_SELFTEST", "a-secret-of-the-host");

const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Root acts as an ordinary user who has ranges of ids: the files that say so are covered in a mount
/// namespace that goes with the command.
const WITH_RANGES: &str = "exec unshare --mount --propagation private /bin/sh -c '
    mount --bind \"$0\" /etc/subuid && mount --bind \"$0\" /etc/subgid &&
    user=$1 && shift &&
    exec setpriv --reuid=\"$user\" --regid=\"$user\" --clear-groups \"$@\"' \"$0\" \"$@\"";

/// The longest that one command of the runtime may take.
const LIMIT: Duration = Duration::from_secs(60);

/// A stage.
#[derive(Debug)]
pub struct Stage {
    /// The binary whose runtime is attacked.
    pub(crate) program: PathBuf,
    /// A copy that containers may have.
    pub(crate) probe: PathBuf,
    pub(crate) caller: Caller,
    pub(crate) effort: Effort,
    directory: Directory,
}

/// What a command came to.
#[derive(Clone, Debug)]
pub(crate) struct Done {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl std::fmt::Display for Done {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let last = self.stderr.lines().last().unwrap_or_default();
        write!(f, "code {}, printed {:?}, said {last:?}", self.code, self.stdout.trim_end())
    }
}

impl Stage {
    /// Makes the directory and copies the program into it.
    pub(crate) fn set(program: &Path, caller: Caller, effort: Effort) -> Result<Self> {
        let directory = Directory::make()?;
        let copy = |name: &str| {
            let place = directory.path().join(name);
            fs::copy(program, &place)
                .and_then(|_| fs::set_permissions(&place, fs::Permissions::from_mode(0o755)))
                .doing(|| format!("copy {} to {}", program.display(), place.display()))?;
            Ok::<_, Error>(place)
        };
        let probe = copy(crate::probe::NAME)?;
        let is_ours = rustix::process::geteuid().is_root() && caller.uid().is_some();
        let program = if is_ours { copy("dhow")? } else { program.to_owned() };
        let stage = Self { program, probe, caller, effort, directory };
        stage.give(&stage.probe)?;
        fs::create_dir(stage.records()).doing(|| "make a directory for records")?;
        stage.give(&stage.records())?;
        if let Caller::User(uid, Mapping::Range(first, size)) = caller {
            fs::write(stage.ranges(), format!("{uid}:{first}:{size}\n"))
                .doing(|| "write ranges")?;
        }
        Ok(stage)
    }

    /// Where files of the attack's own may be.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    fn records(&self) -> PathBuf {
        self.directory().join("records")
    }

    /// How many times, by effort.
    pub(crate) fn times(&self, quick: u32, full: u32) -> u32 {
        if self.effort == Effort::Full { full } else { quick }
    }

    /// Makes a file the caller's.
    pub(crate) fn give(&self, path: &Path) -> Result<()> {
        let Some(uid) = self.caller.uid() else { return Ok(()) };
        if !rustix::process::geteuid().is_root() {
            return Ok(());
        }
        std::os::unix::fs::lchown(path, Some(uid), Some(uid))
            .doing(|| format!("give {} to user {uid}", path.display()))
    }

    /// A command that the caller will give.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.directory());
        command
    }

    /// The command as the caller gives it: with the caller's ids, and without our environment.
    fn given(&self, plain: &Command) -> Command {
        let is_root = rustix::process::geteuid().is_root();
        let mut command = match self.caller {
            Caller::User(uid, Mapping::Range(..)) if is_root => {
                let mut command = Command::new("/bin/sh");
                command.args(["-c", WITH_RANGES]).arg(self.ranges()).arg(uid.to_string());
                command.arg(plain.get_program());
                command
            }
            Caller::User(uid, _) if is_root => {
                let mut command = Command::new(plain.get_program());
                command.uid(uid).gid(uid);
                command
            }
            _ => Command::new(plain.get_program()),
        };
        command.args(plain.get_args()).env_clear().env("PATH", PATH).env(SECRET.0, SECRET.1);
        command.stdin(Stdio::null());
        command.current_dir(plain.get_current_dir().unwrap_or(self.directory()));
        command
    }

    /// What lies over `/etc/subuid` and `/etc/subgid` in the caller's eyes.
    fn ranges(&self) -> PathBuf {
        self.directory().join("ranges")
    }

    /// A command of the runtime's.
    pub(crate) fn runtime(&self, words: &[&str]) -> Command {
        let mut command = self.command(&self.program);
        command.arg("runtime").arg("--root").arg(self.records()).args(words);
        command
    }

    /// Runs a command to its end. Its output goes through files, since a container that is created
    /// keeps it open.
    pub(crate) fn finish(&self, command: &Command) -> Result<Done> {
        let spawned = self.spawn(command)?;
        spawned.end(LIMIT)
    }

    /// Starts a command whose output goes to files.
    pub(crate) fn spawn(&self, command: &Command) -> Result<Spawned> {
        let place = self.directory().join(format!("output-{}", random_hex(6)?));
        let file = |name: &str| {
            let path = place.with_extension(name);
            dhow_base::file::create_new(&path, 0o600).map(|file| (path, file))
        };
        let ((stdout, out), (stderr, err)) = (file("out")?, file("err")?);
        let child = self
            .given(command)
            .stdout(Stdio::from(out))
            .stderr(Stdio::from(err))
            .spawn()
            .doing(|| format!("run {}", show(command)))?;
        Ok(Spawned { child, line: show(command), stdout, stderr })
    }

    /// What is left that should be gone; the directory itself goes now.
    pub(crate) fn clear(&self) -> Result<Vec<String>> {
        let mut left = Vec::new();
        let text = self.directory().display().to_string();
        let name = self.directory.name().to_owned();
        let end = Instant::now() + Duration::from_secs(5);
        loop {
            left.clear();
            left.extend(mounts_of(&text)?);
            left.extend(processes_of(&text));
            left.extend(cgroups_of(&name));
            if left.is_empty() || Instant::now() > end {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        for record in fs::read_dir(self.records()).doing(|| "list the records")?.flatten() {
            left.push(format!("record {}", record.file_name().display()));
        }
        Ok(left)
    }

    /// The ids of this stage's containers begin with it.
    pub(crate) fn name(&self) -> &str {
        self.directory.name()
    }
}

fn show(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

fn mounts_of(directory: &str) -> Result<Vec<String>> {
    let table = fs::read_to_string("/proc/self/mountinfo").doing(|| "read the mount table")?;
    Ok(table
        .lines()
        .filter(|line| line.contains(directory))
        .map(|line| format!("mount {line}"))
        .collect())
}

fn processes_of(directory: &str) -> Vec<String> {
    let own = std::process::id().to_string();
    let Ok(list) = fs::read_dir("/proc") else { return Vec::new() };
    let processes = list.flatten().filter(|entry| entry.file_name().to_str() != Some(&own));
    let named = processes.filter_map(|entry| {
        let line = fs::read(entry.path().join("cmdline")).ok()?;
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        // The command that runs the attacks may name the directory of a test.
        line.contains(directory).then(|| format!("process {}: {line}", entry.file_name().display()))
    });
    named.collect()
}

fn cgroups_of(name: &str) -> Vec<String> {
    let tops = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];
    let mut found = Vec::new();
    for hierarchy in tops.iter().flat_map(fs::read_dir).flatten().flatten() {
        for parent in [hierarchy.path(), hierarchy.path().join("dhow")] {
            let children = fs::read_dir(parent).into_iter().flatten().flatten();
            let ours = children.filter(|child| child.file_name().to_string_lossy().contains(name));
            found.extend(ours.map(|child| format!("cgroup {}", child.path().display())));
        }
    }
    found
}

/// A command that runs.
#[derive(Debug)]
pub(crate) struct Spawned {
    child: Child,
    line: String,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl Spawned {
    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it came to, where it has ended already.
    pub(crate) fn ended(&mut self) -> Option<Done> {
        let status = self.child.try_wait().ok().flatten()?;
        Some(self.done(status))
    }

    fn done(&self, status: std::process::ExitStatus) -> Done {
        let code = status.code().or(status.signal().map(|signal| 128 + signal)).unwrap_or(-1);
        Done { code, stdout: text(&self.stdout), stderr: text(&self.stderr) }
    }

    /// What it has printed by now.
    pub(crate) fn printed(&self) -> String {
        text(&self.stdout)
    }

    /// Waits for its end, or ends it and fails.
    pub(crate) fn end(mut self, limit: Duration) -> Result<Done> {
        let end = Instant::now() + limit;
        let mut pause = Duration::from_micros(500);
        let status = loop {
            if let Some(status) =
                self.child.try_wait().doing(|| format!("wait for {}", self.line))?
            {
                break status;
            }
            if Instant::now() > end {
                self.kill();
                let text = format!("wait for {}: it does not end", self.line);
                return Err(Error::new(Kind::TimedOut, text));
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(10));
        };
        Ok(self.done(status))
    }

    /// Ends it at once.
    pub(crate) fn kill(&mut self) {
        // It may have ended by itself.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Drop for Spawned {
    fn drop(&mut self) {
        self.kill();
        for file in [&self.stdout, &self.stderr] {
            drop(fs::remove_file(file));
        }
    }
}

fn text(path: &Path) -> String {
    let bytes = fs::read(path).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A temporary directory that anybody may enter, gone with its owner.
#[derive(Debug)]
pub(crate) struct Directory {
    path: PathBuf,
    name: String,
}

impl Directory {
    pub(crate) fn make() -> Result<Self> {
        let name = format!("dhow-selftest-{}", random_hex(6)?);
        let path = std::env::temp_dir().join(&name);
        fs::create_dir(&path)
            .and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(0o755)))
            .doing(|| format!("make the directory {}", path.display()))?;
        Ok(Self { path, name })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // Nothing is followed: a link is removed as a link.
        drop(fs::remove_dir_all(&self.path));
    }
}

/// Watches a file for what must never happen to it.
#[derive(Debug)]
pub(crate) struct Untouched {
    path: PathBuf,
    inode: u64,
    size: u64,
    changed: (i64, i64),
}

impl Untouched {
    pub(crate) fn watch(path: &Path) -> Result<Self> {
        let meta = fs::metadata(path).doing(|| format!("look at {}", path.display()))?;
        let changed = (meta.ctime(), meta.ctime_nsec());
        Ok(Self { path: path.to_owned(), inode: meta.ino(), size: meta.len(), changed })
    }

    /// Whether it is what it was.
    pub(crate) fn holds(&self) -> Result<bool> {
        let now = Self::watch(&self.path)?;
        Ok((now.inode, now.size, now.changed) == (self.inode, self.size, self.changed))
    }
}

/// Reads a file that the attack itself has made.
pub(crate) fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).doing(|| format!("read {}", path.display()))
}
