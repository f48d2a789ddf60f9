//! What a glance at a cgroup tells, without finding out where the hierarchies are and whose it is.
//!
//! Every look at a container asks whether it stands still, `ps` who is in it, and every end whether
//! memory ran out. So the file is read by the path that it has on every distribution, and whatever
//! is not plain there is left to the plain twins, [`Cgroup::is_frozen`](crate::Cgroup::is_frozen),
//! [`Cgroup::processes`](crate::Cgroup::processes) and
//! [`Cgroup::oom_kills`](crate::Cgroup::oom_kills).

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

/// How many processes there the kernel has killed for want of memory, where that is plain.
pub fn plain_oom_kills(location: &Location) -> Option<u64> {
    let path = location.as_str();
    [format!("memory/{path}/memory.oom_control"), format!("{path}/memory.events")]
        .iter()
        .find_map(|file| keyed(&read(&format!("{MOUNTPOINT}/{file}"))?, "oom_kill"))
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
        assert_eq!(plain_oom_kills(&location), None);
    }
}
