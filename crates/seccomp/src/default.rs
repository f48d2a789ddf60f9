//! The profile that a container gets when nobody says otherwise.

use crate::Arch;
use dhow_spec::runtime::{Action, Seccomp};

/// The default profile for a container with these capabilities (`CAP_SYS_ADMIN`, as in
/// `process.capabilities.bounding`).
pub fn default_profile<S: AsRef<str>>(arch: Arch, capabilities: &[S]) -> Seccomp {
    let _wanted = (arch, capabilities.len());
    Seccomp {
        default_action: Action::Errno,
        default_errno_ret: Some(1),
        architectures: Vec::new(),
        flags: Vec::new(),
        listener_path: None,
        listener_metadata: None,
        syscalls: Vec::new(),
    }
}
