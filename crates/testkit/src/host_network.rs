//! A machine's network of a test's own: a network namespace in which commands take themselves to be on
//! the host.
//!
//! A process that does nothing keeps it, and goes with the value: so a test that dies leaves nothing
//! that the kernel would not clean up. The loopback is up.

use crate::need;
use std::{
    ffi::OsStr,
    io::Read,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

/// A network namespace, and the process that keeps it.
#[derive(Debug)]
pub struct HostNetwork {
    keeper: Child,
}

impl HostNetwork {
    /// A new one. It takes root, `unshare`, `nsenter` and `ip`, which a test asks for before.
    #[expect(clippy::new_without_default, reason = "it starts a process")]
    pub fn new() -> Self {
        // It says when it is ready, and ends when nobody holds the other end of its input.
        let mut keeper = Command::new("unshare")
            .args(["--net", "--", "sh", "-c", "ip link set lo up && echo up && exec cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare starts");
        let mut said = [0; 3];
        let output = keeper.stdout.as_mut().expect("its output is a pipe");
        output.read_exact(&mut said).expect("the network namespace is made");
        Self { keeper }
    }

    /// Whether the machine has what it takes; says so where not.
    pub fn is_possible() -> bool {
        let missing =
            ["unshare", "nsenter", "ip", "nft"].into_iter().find(|name| need::tool(name).is_none());
        match missing {
            _ if !need::root() => need::skip("root"),
            Some(name) => need::skip(name),
            None => return true,
        }
        false
    }

    /// Another machine's, on one wire with this one: the wire is `wire0` on both. 192.0.2.1 and 2001:db8::1
    /// are addresses of this one, 192.0.2.2 and 2001:db8::2 of the other.
    pub fn with_peer(&self) -> Self {
        let peer = Self::new();
        let path = peer.path().display().to_string();
        let wire = ["ip", "link", "add", "wire0", "type", "veth", "peer", "name", "wire0", "netns"];
        self.output(&[&wire[..], &[&path]].concat());
        for (place, number) in [(self, 1), (&peer, 2)] {
            let (four, six) = (format!("192.0.2.{number}/24"), format!("2001:db8::{number}/64"));
            place.output(&["ip", "addr", "add", &four, "dev", "wire0"]);
            place.output(&["ip", "addr", "add", &six, "dev", "wire0", "nodad"]);
            place.output(&["ip", "link", "set", "wire0", "up"]);
        }
        peer
    }

    /// The file that stands for the namespace.
    pub fn path(&self) -> PathBuf {
        format!("/proc/{}/ns/net", self.keeper.id()).into()
    }

    /// A program that is to run in it.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.path().display())).arg("--").arg(program);
        command
    }

    /// What a program prints that runs in it to a good end.
    pub fn output(&self, words: &[&str]) -> String {
        let (program, arguments) = words.split_first().expect("a program");
        let output = self.command(program).args(arguments).output().expect("nsenter starts");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{words:?} says: {said}{errors}");
        said
    }
}

impl Drop for HostNetwork {
    fn drop(&mut self) {
        let _dead = self.keeper.kill();
        let _reaped = self.keeper.wait();
    }
}
