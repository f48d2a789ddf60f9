//! What this binary is to be, read from its name and first argument before anything else happens.
//!
//! | started as | role |
//! |---|---|
//! | `dhow-monitor` | the process that keeps a container |
//! | `dhow-pause` | the process that waits before a container is started again |
//! | `dhow-anchor` | the process that keeps a user's namespaces |
//! | `dhow-init` | the first process of a container with `--init` |
//! | `dhow-runtime`, `runc`, or `dhow runtime` | the OCI runtime, with runc's command line |
//! | `skopeo` | the commands that copy and look at images elsewhere, as skopeo has them |
//! | `dhow-probe` | the hostile program in the containers of `dhow selftest` |
//! | `bridge`, `host-local`, `portmap`… | a CNI plugin, where `CNI_COMMAND` is in the environment |
//! | `hello`, `/hello` | the program of the embedded image |
//! | `docker`, `podman` | the command line, with their manners (`crate::manners`) |
//! | anything else | the command line |

use crate::{env, manners::Manners, runtime, skopeo};
use dhow_network::cni::plugin::Plugin;
use std::{ffi::OsString, os::unix::ffi::OsStrExt};

/// A role of the binary.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Role {
    /// Keep a container's process.
    Monitor,
    /// Wait, then be another command.
    Pause,
    /// Keep a user's namespaces.
    Anchor,
    /// Be the first process of a container, and keep the program.
    Init,
    /// Be the OCI runtime, with the arguments from this one on.
    Runtime(usize),
    /// Copy and look at images elsewhere, with skopeo's command line.
    Skopeo,
    /// Try what a container must not do, from inside of one.
    Probe,
    /// Be a plugin that connects somebody's container.
    Plugin(Plugin),
    /// Say what a container is, from inside of one.
    Hello,
    /// Do what the user types.
    CommandLine(Manners),
}

impl Role {
    /// The role for what the binary was started as.
    pub(crate) fn of(arguments: &[OsString]) -> Self {
        let name = arguments.first().map_or(&b""[..], |name| name.as_bytes());
        match name.rsplit(|byte| *byte == b'/').next().unwrap_or(name) {
            name if name == dhow_monitor::ROLE.as_bytes() => Self::Monitor,
            name if name == dhow_monitor::PAUSE_ROLE.as_bytes() => Self::Pause,
            name if name == dhow_monitor::ANCHOR_ROLE.as_bytes() => Self::Anchor,
            name if name == dhow_engine::INIT_ROLE.as_bytes() => Self::Init,
            name if runtime::NAMES.iter().any(|own| own.as_bytes() == name) => Self::Runtime(0),
            name if name == skopeo::NAME.as_bytes() => Self::Skopeo,
            name if name == dhow_selftest::probe::NAME.as_bytes() => Self::Probe,
            b"hello" => Self::Hello,
            _ if arguments.get(1).is_some_and(|word| word == "runtime") => Self::Runtime(1),
            // The names are words that mean other things too.
            name => match Plugin::of_name(name).filter(|_| env::calls_plugin()) {
                Some(plugin) => Self::Plugin(plugin),
                None => Self::CommandLine(Manners::of_name(name).unwrap_or_default()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_decides() {
        let command_line = Role::CommandLine(Manners::Dhow);
        let cases: [(&[&str], Role); 18] = [
            (&["/usr/bin/skopeo", "copy"], Role::Skopeo),
            (&["/usr/bin/podman", "ps"], Role::CommandLine(Manners::Podman)),
            (&["docker"], Role::CommandLine(Manners::Docker)),
            (&["dhow", "run"], command_line),
            (&["/usr/bin/dhow"], command_line),
            (&["dhow-monitor"], Role::Monitor),
            (&["/dev/dhow-init", "--", "sh"], Role::Init),
            (&["dhow-pause", "100", "x"], Role::Pause),
            (&["dhow-anchor", "/run/x", "apart"], Role::Anchor),
            (&["/usr/bin/dhow-runtime", "create"], Role::Runtime(0)),
            (&["/usr/sbin/runc", "create"], Role::Runtime(0)),
            (&["dhow", "runtime", "create"], Role::Runtime(1)),
            (&["dhow", "run", "runtime"], command_line),
            (&["/hello", "runtime"], Role::Hello),
            (&["/dhow-probe", "fds"], Role::Probe),
            (&["hello/dhow"], command_line),
            // There is no call of a plugin in this environment.
            (&["/opt/cni/bin/bridge"], command_line),
            (&[], command_line),
        ];
        for (arguments, role) in cases {
            let arguments: Vec<OsString> = arguments.iter().map(Into::into).collect();
            assert_eq!(Role::of(&arguments), role, "{arguments:?}");
        }
    }
}
