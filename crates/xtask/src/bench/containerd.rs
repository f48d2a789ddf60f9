//! A containerd of the bench's own, with nothing of it outside the bench's directory.
//!
//! ```text
//!   fresh ─▶ containerd.sock, containerd.pid ── fresh ─▶ the same with another storage ── stop ─▶ gone
//! ```
//!
//! It only pulls and removes, so it needs no cgroups; it runs in the outpost so that its mounts stay there.

use super::{
    docker::{STOP, shell},
    field::shown,
};
use dhow_testkit::need;
use std::path::Path;

/// Starts a daemon and waits until it answers: `$2` is its storage.
const START: &str = r#"
mkdir -p "$2"
cat >"$1/containerd.toml" <<END
version = 2
root = "$2"
state = "$1/containerd-state"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
address = "$1/containerd.sock"
END
containerd --config "$1/containerd.toml" </dev/null >"$1/containerd.log" 2>&1 &
echo $! >"$1/containerd.pid"
for i in $(seq 300); do
    ctr -a "$1/containerd.sock" version >/dev/null 2>&1 && exit 0
    sleep 0.1
done
tail -n 1 "$1/containerd.log" >&2
exit 1"#;

/// Whether daemon and client are installed.
pub(super) fn is_installed() -> bool {
    need::tool("containerd").is_some() && need::tool("ctr").is_some()
}

/// The command that starts the daemon, again where it runs, with its storage there.
pub(super) fn fresh(home: &Path, storage: &Path) -> Vec<String> {
    shell("containerd", &format!("{STOP}{START}"), &[home, storage])
}

/// The command that ends it.
pub(super) fn stop(home: &Path) -> Vec<String> {
    shell("containerd", STOP, &[home])
}

/// A command of its client, `ctr images …`.
pub(super) fn images(home: &Path, words: &[&str]) -> Vec<String> {
    let socket = shown(&home.join("containerd.sock"));
    let program = ["ctr", "-a", &socket, "images"];
    program.iter().chain(words).map(|word| (*word).to_owned()).collect()
}
