//! Whether a cgroup stands still, asked in three calls.
//!
//! Every look at a container asks this, and mostly the answer is no. So the file is read by the
//! path that it has on every distribution, and whatever is not plainly "no" is left to
//! [`Cgroup::is_frozen`](crate::Cgroup::is_frozen), which finds out where the hierarchies are and
//! whose the cgroup is.

use crate::{
    Location,
    hierarchy::MOUNTPOINT,
    place::{keyed, read_once},
};
use rustix::fs::{Mode, OFlags};

/// Whether it is plain that nothing there is stopped.
pub fn is_plainly_thawed(location: &Location) -> bool {
    let path = location.as_str();
    match read(&format!("{MOUNTPOINT}/freezer/{path}/freezer.state")) {
        Some(state) => state.trim() == "THAWED",
        None => read(&format!("{MOUNTPOINT}/{path}/cgroup.events"))
            .is_some_and(|events| keyed(&events, "frozen") == Some(0)),
    }
}

fn read(path: &str) -> Option<String> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    read_once(&rustix::fs::open(path, flags, Mode::empty()).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_is_not_plain() {
        let location = Location::new(Some("/no/such/cgroup"), "", "").unwrap();

        assert!(!is_plainly_thawed(&location));
    }
}
