//! A docker daemon of the bench's own: its storage, sockets and processes are below the bench's
//! directory, and it changes no network of the machine: it has none, or is in a network of its own.
//!
//! ```text
//!   start ─▶ docker.sock, docker.pid ── fresh ─▶ the same with another storage ── stop ─▶ gone
//! ```
//!
//! It runs in an outpost, since the daemon refuses hybrid cgroups as the runtimes do.

use super::{
    field::{Engine, Place, shown},
    stopwatch::Outpost,
};
use dhow_base::{Error, Kind, Result};
use dhow_testkit::need;
use std::path::Path;

/// Ends the daemon `$0` that its file names, and waits for it: `$1` is the bench's directory. The
/// cgroups that docker's containers were in stay behind it: those that hold nothing go.
pub(super) const STOP: &str = r#"
if [ -f "$1/$0.pid" ]; then
    pid=$(cat "$1/$0.pid"); rm "$1/$0.pid"; kill "$pid"
    for i in $(seq 300); do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
    for group in /sys/fs/cgroup/docker /sys/fs/cgroup/*/docker; do
        [ ! -e "$group/cgroup.procs" ] || rmdir "$group" 2>/dev/null
    done
fi"#;

/// Starts a daemon and waits until it answers: `$2` is its storage, `$3` what it does about networks.
const START: &str = r#"
mkdir -p "$2"
dockerd --data-root "$2" --exec-root "$1/docker-exec" --pidfile "$1/docker.pid" \
    -H "unix://$1/docker.sock" $3 \
    </dev/null >"$1/docker.log" 2>&1 &
for i in $(seq 300); do
    docker -H "unix://$1/docker.sock" ps >/dev/null 2>&1 && exit 0
    sleep 0.1
done
grep -v level=info "$1/docker.log" | tail -n 1 >&2
exit 1"#;

/// Keeps the daemon from the machine's network.
const WITHOUT_NETWORK: &str = "--bridge=none --iptables=false --ip6tables=false";

/// Starts the daemon, if there is one. Its sockets, logs and storage are in `home`; only where the outpost
/// has a network of its own does it get its usual bridge there.
pub(super) fn start(home: &Path, outpost: &mut Outpost) -> Result<Engine> {
    let client = need::tool("docker")
        .filter(|_| need::tool("dockerd").is_some() && need::tool("containerd").is_some())
        .ok_or_else(|| Error::new(Kind::NotFound, "not installed"))?;
    let networks = if outpost.has_own_network() { "" } else { WITHOUT_NETWORK };
    let started = outpost.time(&script(home, &home.join("docker"), networks))?;
    if started.code != 0 {
        return Err(Error::new(Kind::Unavailable, format!("start dockerd: {}", started.said)));
    }
    Ok(Engine {
        name: "docker",
        place: Place::Host,
        prefix: vec![
            shown(&client),
            "-H".to_owned(),
            format!("unix://{}/docker.sock", shown(home)),
        ],
        pull: &["--quiet"],
        run: &[],
    })
}

/// The command that starts the daemon again, with its storage there.
pub(super) fn fresh(home: &Path, storage: &Path) -> Vec<String> {
    script(home, storage, WITHOUT_NETWORK)
}

fn script(home: &Path, storage: &Path, networks: &str) -> Vec<String> {
    let mut words = shell("docker", &format!("{STOP}{START}"), &[home, storage]);
    words.push(networks.to_owned());
    words
}

/// The command that ends it.
pub(super) fn stop(home: &Path) -> Vec<String> {
    shell("docker", STOP, &[home])
}

/// The command that runs a script about a daemon, whose name is the script's `$0`.
pub(super) fn shell(daemon: &str, script: &str, arguments: &[&Path]) -> Vec<String> {
    let words = ["sh", "-c", script, daemon].map(str::to_owned);
    words.into_iter().chain(arguments.iter().map(|path| shown(path))).collect()
}
