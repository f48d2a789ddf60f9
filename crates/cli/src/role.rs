//! What this binary is to be, read from its name and first argument before anything else happens.
//!
//! | started as | role |
//! |---|---|
//! | `dhow-monitor` | the process that keeps a container |
//! | `hello`, `/hello` | the program of the embedded image |
//! | anything else | the command line |

use std::{ffi::OsStr, os::unix::ffi::OsStrExt};

/// A role of the binary.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Role {
    /// Keep a container's process.
    Monitor,
    /// Say what a container is, from inside of one.
    Hello,
    /// Do what the user types.
    CommandLine,
}

impl Role {
    /// The role for what the binary was started as.
    pub(crate) fn of(name: Option<&OsStr>) -> Self {
        let name = name.map_or(&b""[..], OsStr::as_bytes);
        match name.rsplit(|byte| *byte == b'/').next().unwrap_or(name) {
            name if name == dhow_monitor::ROLE.as_bytes() => Self::Monitor,
            b"hello" => Self::Hello,
            _ => Self::CommandLine,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_decides() {
        let cases = [
            (Some("dhow"), Role::CommandLine),
            (Some("/usr/bin/dhow"), Role::CommandLine),
            (Some("dhow-monitor"), Role::Monitor),
            (Some("/hello"), Role::Hello),
            (Some("hello"), Role::Hello),
            (Some("hello/dhow"), Role::CommandLine),
            (Some(""), Role::CommandLine),
            (None, Role::CommandLine),
        ];
        for (name, role) in cases {
            assert_eq!(Role::of(name.map(OsStr::new)), role, "{name:?}");
        }
    }
}
