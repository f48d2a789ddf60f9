//! The running test once more, as root of a user namespace.
//!
//! Everybody is mapped to themselves there, so files are as they were; what the kernel grants to
//! root of the machine alone (devices, `trusted.` attributes, mounts of most file systems) it refuses
//! as it does to every ordinary user.

use crate::need;
use dhow_base::{Doing, Error, Kind, Result};
use std::{
    fs,
    process::{Child, Command, Stdio},
    time::Duration,
};

/// Tells the test that it is inside.
const MARK: &str = "DHOW_TEST_INSIDE";

/// Is this process the one inside?
pub fn is_inside() -> bool {
    need::variable(MARK).is_some()
}

/// Runs the test that is running, and no other, inside; fails with it.
pub fn run_again() -> Result<()> {
    let holder = Holder::start()?;
    let namespace = |kind: &str| format!("/proc/{}/ns/{kind}", holder.0.id());
    let test = std::env::current_exe().doing(|| "ask where the running test is")?;
    let name = running()?;
    let mut inside = Command::new("nsenter");
    inside
        .args([format!("--user={}", namespace("user")), format!("--mount={}", namespace("mnt"))])
        .arg(&test)
        .args(["--exact", &name, "--nocapture"])
        .env(MARK, "yes");
    let status = inside.status().doing(|| format!("run {name} in a user namespace"))?;
    if status.success() {
        return Ok(());
    }
    Err(Error::new(Kind::Internal, format!("{name} failed in a user namespace: {status}")))
}

/// The name of the running test, which is its thread's.
fn running() -> Result<String> {
    let thread = std::thread::current();
    let name = thread.name().filter(|name| name.contains("::")).map(str::to_owned);
    name.or_else(|| std::env::args().skip(1).find(|word| word.contains("::")))
        .ok_or_else(|| Error::new(Kind::NotFound, "find the name of the running test"))
}

/// A process that keeps the namespaces.
struct Holder(Child);

impl Holder {
    fn start() -> Result<Self> {
        let mut command = Command::new("unshare");
        command.args(["--user", "--mount", "cat"]).stdin(Stdio::piped()).stdout(Stdio::null());
        let holder = Self(command.spawn().doing(|| "make a user namespace")?);
        let of = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/mnt"));
        let own = of("self").doing(|| "look at the own namespace")?;
        let pid = holder.0.id().to_string();
        // The user namespace is made first, or with it.
        need::eventually(Duration::from_secs(60), || of(&pid).ok().filter(|there| *there != own))
            .ok_or_else(|| Error::new(Kind::TimedOut, "wait for a user namespace"))?;
        for map in ["uid_map", "gid_map"] {
            let path = format!("/proc/{pid}/{map}");
            fs::write(&path, "0 0 4294967295").doing(|| format!("write {path}"))?;
        }
        Ok(holder)
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        // Its input ends with our side of the pipe.
        drop(self.0.stdin.take());
        let _ended = self.0.wait();
    }
}
