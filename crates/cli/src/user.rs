//! Who types: root, or an ordinary user, whose commands are root of that user's namespace.
//!
//! ```text
//!   root                  nothing to do
//!   ordinary user         enters the namespace before the command begins, while there is one thread
//!   in `dhow unshare`     is there already; the environment says whose it is
//!   a cleanup, a restart  is there already; who starts it says so (`--of-user`)
//! ```

use crate::env::Environment;
use std::path::Path;

/// An ordinary user, whatever number they have in the namespace that this process is in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Ordinary {
    /// The number on the whole machine.
    pub(crate) uid: u32,
    /// Whether the command was given in a shell of `dhow unshare`.
    pub(crate) is_inside: bool,
}

impl Ordinary {
    /// Who types, where it is not root.
    pub(crate) fn of(environment: &Environment, of_user: bool) -> Option<Self> {
        let effective = rustix::process::geteuid();
        if !effective.is_root() {
            return Some(Self { uid: effective.as_raw(), is_inside: false });
        }
        if environment.user_namespace.is_none() && !of_user {
            return None;
        }
        // The variable may have come to root by an odd way: what the kernel says counts.
        let map = std::fs::read_to_string(Path::new("/proc/self/uid_map")).ok()?;
        let uid = root_of(&map).filter(|uid| *uid != 0)?;
        let is_own = environment.user_namespace.is_none_or(|own| own == uid);
        (of_user || is_own).then_some(Self { uid, is_inside: true })
    }
}

/// Who root of the namespace with these mappings is outside of it.
fn root_of(map: &str) -> Option<u32> {
    let mut words = map.split_ascii_whitespace();
    (words.next()? == "0").then_some(())?;
    words.next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_of_a_namespace_is_somebody_outside() {
        assert_eq!(root_of("         0       1000          1\n 1 100000 65536\n"), Some(1000));
        assert_eq!(root_of("0 0 4294967295\n"), Some(0));
        assert_eq!(root_of("5 1000 1\n"), None);
        assert_eq!(root_of(""), None);
    }
}
