//! What the tests need of the machine, and how Debian calls it.
//!
//! A test that needs a tool skips aloud without it, so what is missing here makes a run smaller and
//! not wrong. As root on a machine with apt-get, what is missing is installed.

use crate::{complain, say};
use dhow_base::{Doing, Error, Kind, Result};
use dhow_testkit::need;
use std::{
    path::Path,
    process::{Command, Stdio},
};

/// How to see whether a need is met.
#[derive(Clone, Copy, Debug)]
enum Sign {
    /// A program of this name.
    Program(&'static str),
    /// A file at this place.
    File(&'static str),
}

/// One need: its sign, the package that meets it, and who has it.
#[derive(Clone, Copy, Debug)]
struct Need {
    sign: Sign,
    package: &'static str,
    tests: &'static str,
}

const fn program(name: &'static str, package: &'static str, tests: &'static str) -> Need {
    Need { sign: Sign::Program(name), package, tests }
}

const NEEDS: &[Need] = &[
    program("busybox", "busybox-static", "everything that runs a container"),
    program("mmdebstrap", "mmdebstrap", "everything that runs Debian or the large python image"),
    program("docker-registry", "docker-registry", "pulls and pushes"),
    program("skopeo", "skopeo", "pulls, pushes and images read by others"),
    program("umoci", "umoci", "layers unpacked by others"),
    program("crun", "crun", "comparisons with crun"),
    program("runc", "runc", "comparisons with runc"),
    program("podman", "podman", "dhow under podman"),
    program("conmon", "conmon", "dhow under podman"),
    program("dockerd", "docker.io", "dhow under docker"),
    program("docker", "docker.io", "dhow under docker"),
    program("containerd", "containerd", "dhow under containerd and its CRI"),
    program("curl", "curl", "dhow under CRI"),
    Need {
        sign: Sign::File("/usr/lib/cni/ptp"),
        package: "containernetworking-plugins",
        tests: "CNI plugins of others, and ours beside them",
    },
    program("htpasswd", "apache2-utils", "registries with passwords"),
    program("openssl", "openssl", "certificates read by others"),
    program("sqlite3", "sqlite3", "what a kill leaves of a published port"),
    program("strace", "strace", "budgets of system calls and crashes at each of them"),
    program("python3", "python3", "locks and sockets of others"),
    program("time", "time", "budgets of memory"),
    program("newuidmap", "uidmap", "user namespaces of ordinary users"),
    program("pasta", "passt", "networks of ordinary users"),
    program("setpriv", "util-linux", "terminals and registries"),
    program("setfattr", "attr", "extended attributes"),
    program("setfacl", "acl", "access control lists"),
    program("setcap", "libcap2-bin", "file capabilities"),
    program("ip", "iproute2", "network namespaces"),
    program("nft", "nftables", "the firewall, compared with its text"),
    program("dnsmasq", "dnsmasq-base", "addresses that a server gives"),
    program("iptables-restore", "iptables", "checkpoints with open connections"),
    program("tar", "tar", "archives read by others"),
    program("zsh", "zsh", "completion in zsh"),
    program("fish", "fish", "completion in fish"),
    program("mkfs.btrfs", "btrfs-progs", "snapshots on btrfs"),
    program("mkfs.ext4", "e2fsprogs", "what is stored on ext4"),
    program("mkfs.xfs", "xfsprogs", "snapshots on xfs"),
    program("fsck.erofs", "erofs-utils", "layers as images, read by others"),
    program("cc", "gcc", "small programs in C"),
    program("qemu-system-x86_64", "qemu-system-x86", "the lab: tests on other kernels"),
    program("depmod", "kmod", "the lab"),
    program("apparmor_parser", "apparmor", "the lab with AppArmor"),
    program("secilc", "secilc", "the lab with SELinux"),
    Need {
        sign: Sign::File("/usr/include/seccomp.h"),
        package: "libseccomp-dev",
        tests: "filters compared with libseccomp's",
    },
];

impl Need {
    fn is_met(&self) -> bool {
        match self.sign {
            Sign::Program(name) => need::tool(name).is_some(),
            Sign::File(path) => Path::new(path).exists(),
        }
    }

    fn name(&self) -> &'static str {
        match self.sign {
            Sign::Program(name) | Sign::File(name) => name,
        }
    }
}

/// May missing packages be installed?
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Install {
    /// Where root runs us and there is apt-get.
    Allowed,
    /// Nothing is installed.
    Forbidden,
}

/// Installs what is missing where that is allowed, and says plainly what is missing still.
pub(crate) fn prepare(install: Install) -> Result<()> {
    let missing: Vec<&Need> = NEEDS.iter().filter(|need| !need.is_met()).collect();
    let may = install == Install::Allowed && need::root() && need::tool("apt-get").is_some();
    if !missing.is_empty() && may {
        let packages: Vec<&str> = missing.iter().map(|need| need.package).collect();
        say(&format!("installing {}", packages.join(" ")))?;
        // A machine that cannot install still runs what it can.
        if let Err(error) = install_all(&packages) {
            complain(&format!("warning: {}", error.one_line()));
        }
    }
    for need in NEEDS.iter().filter(|need| !need.is_met()) {
        say(&format!(
            "missing: {} (package {}); skipped without it: {}",
            need.name(),
            need.package,
            need.tests
        ))?;
    }
    if !need::root() {
        say("not root: tests that start real containers or mount anything will be skipped")?;
    }
    Ok(())
}

fn install_all(packages: &[&str]) -> Result<()> {
    apt_get(&["update"])?;
    let mut words = vec!["install", "--yes", "--no-install-recommends"];
    words.extend(packages);
    apt_get(&words)
}

fn apt_get(words: &[&str]) -> Result<()> {
    let doing = || format!("run apt-get {}", words.join(" "));
    let output = Command::new("apt-get")
        .args(["-q", "-q"])
        .args(words)
        .env("DEBIAN_FRONTEND", "noninteractive")
        // In this one, daemons of packages are not started; the tests start their own.
        .env("RUNLEVEL", "1")
        .stdin(Stdio::null())
        .output()
        .doing(doing)?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(Error::new(Kind::Unavailable, format!("{}: {said}", doing())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_need_is_met_by_a_program_or_a_file() {
        assert!(program("sh", "dash", "").is_met());
        assert!(!program("no-such-program-anywhere", "", "").is_met());
        assert!(Need { sign: Sign::File("/proc/self"), package: "", tests: "" }.is_met());
    }
}
