//! `keyctl(2)`: a session keyring of one's own.

use std::{ffi::CStr, io};

/// Gives the calling process a new, empty session keyring of this name. `ENOSYS` where the kernel
/// has no keyrings, `EDQUOT` where the user has too many.
pub fn join_new_session(name: &CStr) -> io::Result<()> {
    const KEYCTL_JOIN_SESSION_KEYRING: libc::c_int = 1;
    // SAFETY: the call reads a terminated string and writes nothing.
    let result =
        unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, name.as_ptr()) };
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
