//! The files that every container gets from the engine: `/etc/hosts`, `/etc/hostname` and
//! `/etc/resolv.conf`, bound over the image's own.
//!
//! They lie in the container's run directory, so they are made anew at each start and vanish with a
//! reboot. A container may write to them; nobody else reads them.

use crate::options::NetworkMode;
use dhow_base::{
    Doing, Kind, Result,
    file::{self, Durability},
};
use std::path::{Path, PathBuf};

const RESOLV_CONF_LIMIT_BYTES: u64 = 64 << 10;

/// Where each file lies and where it is bound.
pub(crate) fn list(run: &Path) -> [(PathBuf, &'static str); 3] {
    [
        (run.join("hosts"), "/etc/hosts"),
        (run.join("hostname"), "/etc/hostname"),
        (run.join("resolv.conf"), "/etc/resolv.conf"),
    ]
}

/// Writes the three files.
pub(crate) fn write(run: &Path, hostname: &str, network: NetworkMode) -> Result<()> {
    let (hosts, resolv_conf) = match network {
        NetworkMode::Host => (of_host("/etc/hosts")?, of_host("/etc/resolv.conf")?),
        NetworkMode::None | NetworkMode::Unsaid => (hosts_alone(hostname), Vec::new()),
    };
    let contents = [hosts, format!("{hostname}\n").into_bytes(), resolv_conf];
    for ((path, _), bytes) in list(run).iter().zip(&contents) {
        file::remove_if_there(path)?;
        file::write_new(path, bytes, 0o644, Durability::Cached)?;
    }
    Ok(())
}

fn hosts_alone(hostname: &str) -> Vec<u8> {
    format!(
        "127.0.0.1\tlocalhost {hostname}\n\
         ::1\tlocalhost ip6-localhost ip6-loopback {hostname}\n"
    )
    .into_bytes()
}

fn of_host(path: &str) -> Result<Vec<u8>> {
    match file::read_limited(Path::new(path), RESOLV_CONF_LIMIT_BYTES) {
        Ok(bytes) => Ok(bytes),
        Err(error) if error.kind() == Kind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error).doing(|| "copy a file of the host's for the container"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_replaced_and_a_planted_link_is_not_followed() {
        let run = tempfile::tempdir().unwrap();
        let victim = run.path().join("victim");
        std::os::unix::fs::symlink(&victim, run.path().join("hosts")).unwrap();

        write(run.path(), "box", NetworkMode::None).unwrap();
        write(run.path(), "box", NetworkMode::None).unwrap();

        assert!(!victim.exists());
        let hosts = std::fs::read_to_string(run.path().join("hosts")).unwrap();
        assert!(hosts.contains("localhost box"), "{hosts}");
        assert_eq!(std::fs::read(run.path().join("resolv.conf")).unwrap(), b"");
    }
}
