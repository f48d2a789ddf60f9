//! A real systemd, with D-Bus: as process 1 of namespaces and on cgroups of its own, or the machine's
//! where that was booted for the tests (`DHOW_SYSTEMD=machine`, as in the lab).
//!
//! ```text
//!   boot ──▶ cgroups dhow-systemd-<random> in every hierarchy ──▶ unshare ──▶ mounts, pivot_root
//!        ──▶ systemd ──▶ run(…) enters its namespaces ──▶ drop: killed, cgroups removed
//! ```
//!
//! Its root is Debian's, made once, under a tmpfs that takes what it writes; `/proc/sys` and `/sys`
//! are read-only, so that it cannot set up the machine it runs on. Nothing but the directories that
//! the test names is shared with the host.

use crate::{Outcome, need, outcome, rootfs};
use dhow_base::{Doing, Error, Kind, Result, id::random_hex};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// How long a boot may take on a machine that is busy with other tests.
const BOOT: Duration = Duration::from_secs(120);
const HIERARCHIES: &str = "/sys/fs/cgroup";

/// Which cgroups systemd gets to see.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Cgroups {
    /// The version 2 tree alone, with whatever controllers the machine has left for it.
    Unified,
    /// All that the machine has.
    AsMachine,
}

/// A systemd that runs.
#[derive(Debug)]
pub struct Systemd {
    /// Nothing where it is the machine's.
    own: Option<Own>,
}

/// One in namespaces of its own; dropped, it ends.
#[derive(Debug)]
struct Own {
    name: String,
    unshare: Child,
    /// Process 1, as we number it.
    pid: u32,
}

/// Enters the cgroups `$1` and goes on in new namespaces. `$2` is the kind of cgroups, `$3` the
/// root, `$4` a directory to share; then mounts are made, from the new root outwards.
const OUTSIDE: &str = r#"
set -e
for hierarchy in /sys/fs/cgroup /sys/fs/cgroup/*; do
  [ -e "$hierarchy/cgroup.procs" ] || continue
  mkdir -p "$hierarchy/$1"
  for file in cpuset.cpus cpuset.mems; do
    if [ -e "$hierarchy/$1/$file" ]; then cat "$hierarchy/$file" > "$hierarchy/$1/$file" || :; fi
  done
  echo $$ > "$hierarchy/$1/cgroup.procs"
done
exec unshare --mount --pid --cgroup --ipc --uts --net --fork --kill-child \
  --propagation private sh -c "$INSIDE" sh "$2" "$3" "$4"
"#;

const INSIDE: &str = r#"
set -e
hierarchies=$(awk '$3 == "cgroup" {print $2 " " $4}' /proc/self/mounts)
mount -t tmpfs tmpfs /mnt
mkdir /mnt/upper /mnt/work /mnt/root
mount -t overlay overlay -o "lowerdir=$2,upperdir=/mnt/upper,workdir=/mnt/work" /mnt/root
root=/mnt/root
mount -t proc proc $root/proc
mount --bind $root/proc/sys $root/proc/sys
mount -o remount,bind,ro $root/proc/sys
mount -t sysfs -o ro sysfs $root/sys
mount -t tmpfs -o mode=755 tmpfs $root/run
mount -t tmpfs -o mode=1777 tmpfs $root/tmp
mount -t tmpfs -o mode=755 tmpfs $root/dev
for name in null zero full random urandom tty; do
  touch $root/dev/$name
  mount --bind /dev/$name $root/dev/$name
done
mkdir $root/dev/pts $root/dev/shm
mount -t devpts -o newinstance,ptmxmode=0666 devpts $root/dev/pts
ln -s pts/ptmx $root/dev/ptmx
: > $root/etc/machine-id
mkdir -p "$root$3"
mount --bind "$3" "$root$3"
if [ "$1" = unified ]; then
  mount -t cgroup2 cgroup2 $root/sys/fs/cgroup
else
  mount -t tmpfs -o mode=755 tmpfs $root/sys/fs/cgroup
  echo "$hierarchies" | while read -r path options; do
    [ -n "$path" ] || continue
    mkdir "$root$path"
    wanted=$(echo "$options" | tr , '\n' | grep -Exv 'rw|ro|relatime|nosuid|nodev|noexec|xattr' |
      paste -sd,)
    case "$wanted" in name=*) wanted="none,$wanted" ;; esac
    mount -t cgroup -o "$wanted" cgroup "$root$path"
  done
  if [ -e /sys/fs/cgroup/unified/cgroup.procs ]; then
    mkdir $root/sys/fs/cgroup/unified
    mount -t cgroup2 cgroup2 $root/sys/fs/cgroup/unified
  fi
fi
cd $root
mkdir -p .old
pivot_root . .old
cd /
umount -l /.old
exec env -i container=dhow-test PATH=/usr/sbin:/usr/bin:/sbin:/bin \
  /lib/systemd/systemd --unit=basic.target --show-status=false --log-target=null
"#;

impl Systemd {
    /// Why none can be had here; nothing where one can.
    pub fn obstacle() -> Option<&'static str> {
        if is_machines() {
            // Where sd_booted(3) looks.
            let is_booted = Path::new("/run/systemd/system").is_dir();
            return (!is_booted).then_some("systemd as the machine's process 1");
        }
        let tools = ["mmdebstrap", "unshare", "nsenter", "awk"];
        if let Some(missing) = tools.into_iter().find(|tool| need::tool(tool).is_none()) {
            return Some(missing);
        }
        let is_v2 = Path::new(HIERARCHIES).join("cgroup.procs").exists();
        let has_v2 = is_v2 || Path::new(HIERARCHIES).join("unified/cgroup.procs").exists();
        (!has_v2).then_some("a cgroup version 2 tree")
    }

    /// Boots one, or takes the machine's; waits until systemd and D-Bus answer. `shared` is seen
    /// inside under its own path.
    ///
    /// Needs root, and that there is no [`obstacle`](Self::obstacle).
    pub fn boot(cgroups: Cgroups, shared: &Path) -> Result<Self> {
        let own = if is_machines() { None } else { Some(Own::start(cgroups, shared)?) };
        let mut booted = Self { own };
        booted.wait()?;
        Ok(booted)
    }

    fn wait(&mut self) -> Result<()> {
        let deadline = Instant::now() + BOOT;
        loop {
            if self.own.as_mut().map_or(Ok(true), Own::has_systemd)? {
                let asked = self.run(&["systemctl", "is-active", "basic.target", "dbus.socket"]);
                if asked.is_ok_and(|outcome| outcome.stdout == "active\nactive\n") {
                    return Ok(());
                }
            }
            if Instant::now() > deadline {
                return Err(Error::new(Kind::TimedOut, "boot systemd: it does not answer"));
            }
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// A command in systemd's namespaces.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = match &self.own {
            Some(own) => {
                let mut command = Command::new("nsenter");
                command.args(["--all", "--target", &own.pid.to_string(), "--"]).args(arguments);
                command
            }
            None => {
                let mut command = Command::new(arguments[0]);
                command.args(&arguments[1..]);
                command
            }
        };
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command
    }

    /// Runs a command in systemd's namespaces to its end.
    pub fn run(&self, arguments: &[&str]) -> Result<Outcome> {
        outcome::run(&mut self.command(arguments), b"", outcome::LIMIT)
    }
}

impl Own {
    fn start(cgroups: Cgroups, shared: &Path) -> Result<Self> {
        let root = rootfs::systemd()?;
        let name = format!("dhow-systemd-{}", random_hex(6)?);
        let kind = if cgroups == Cgroups::Unified || is_unified() { "unified" } else { "machine" };
        let mut command = Command::new("sh");
        command.args(["-c", OUTSIDE, "sh", &name, kind]).arg(root.path()).arg(shared);
        command.env("INSIDE", INSIDE).stdin(Stdio::null()).stdout(Stdio::null());
        let unshare = command.spawn().doing(|| "start a shell for systemd")?;
        Ok(Self { name, unshare, pid: 0 })
    }

    /// Whether process 1 of the namespaces is systemd by now.
    fn has_systemd(&mut self) -> Result<bool> {
        if let Ok(Some(status)) = self.unshare.try_wait() {
            return Err(Error::new(Kind::Internal, format!("boot systemd: {status}")));
        }
        self.pid = self.first_process().unwrap_or(0);
        Ok(self.pid != 0)
    }

    /// The one child of `unshare`, once it is systemd.
    fn first_process(&self) -> Option<u32> {
        let own = self.unshare.id();
        let children = fs::read_to_string(format!("/proc/{own}/task/{own}/children")).ok()?;
        let pid = children.split_whitespace().next()?.parse().ok()?;
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
        (name.trim() == "systemd").then_some(pid)
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        // Its death is that of all processes of its PID namespace.
        drop(self.unshare.kill());
        drop(self.unshare.wait());
        let gone = need::eventually(Duration::from_secs(20), || {
            hierarchies().iter().for_each(|hierarchy| remove(&hierarchy.join(&self.name)));
            let is_left = |hierarchy: &PathBuf| hierarchy.join(&self.name).exists();
            (!hierarchies().iter().any(is_left)).then_some(())
        });
        assert!(gone.is_some() || thread::panicking(), "cgroups of {} are left", self.name);
    }
}

/// Whether the machine's own is meant. Tests make users and units, so nobody's machine is taken
/// without being asked for.
fn is_machines() -> bool {
    need::variable("DHOW_SYSTEMD").is_some_and(|whose| whose == "machine")
}

fn is_unified() -> bool {
    Path::new(HIERARCHIES).join("cgroup.procs").exists()
}

fn hierarchies() -> Vec<PathBuf> {
    let root = PathBuf::from(HIERARCHIES);
    if is_unified() {
        return vec![root];
    }
    let listed = fs::read_dir(&root).into_iter().flatten().flatten().map(|entry| entry.path());
    listed.filter(|path| path.join("cgroup.procs").exists()).collect()
}

/// A tree of cgroups, from its leaves; what still holds a process stays for the next try.
fn remove(cgroup: &Path) {
    for entry in fs::read_dir(cgroup).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove(&entry.path());
        }
    }
    let _busy = fs::remove_dir(cgroup);
}
