//! What a glance at a cgroup tells, without finding out where the hierarchies are and whose it is.
//!
//! Every look at a container asks whether it stands still, and `ps` who is in it. So the file is
//! read by the path that it has on every distribution, and whatever is not plain there is left to
//! the plain twins, [`Cgroup::is_frozen`](crate::Cgroup::is_frozen) and
//! [`Cgroup::processes`](crate::Cgroup::processes).

use crate::{
    Location,
    hierarchy::MOUNTPOINT,
    place::{DIRECTORY, collect, keyed, read_once},
};
use rustix::{
    fs::{Mode, OFlags},
    process::Pid,
};

/// Whether it is plain that nothing there is stopped.
pub fn is_plainly_thawed(location: &Location) -> bool {
    let path = location.as_str();
    match read(&format!("{MOUNTPOINT}/freezer/{path}/freezer.state")) {
        Some(state) => state.trim() == "THAWED",
        None => read(&format!("{MOUNTPOINT}/{path}/cgroup.events"))
            .is_some_and(|events| keyed(&events, "frozen") == Some(0)),
    }
}

/// The processes there and below, where that is plain: some are there.
pub fn plain_processes(location: &Location) -> Option<Vec<Pid>> {
    let path = location.as_str();
    [format!("{MOUNTPOINT}/freezer/{path}"), format!("{MOUNTPOINT}/{path}")].iter().find_map(
        |path| {
            let directory =
                rustix::fs::open(path, DIRECTORY | OFlags::NOFOLLOW, Mode::empty()).ok()?;
            let mut found = Vec::new();
            collect(&directory, 0, &mut found).ok()?;
            (!found.is_empty()).then_some(found)
        },
    )
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
        assert_eq!(plain_processes(&location), None);
    }
}
