//! Bits of a process that the kernel tells or sets: its start time, its streams, its scheduling.

use rustix::fs::{Mode, OFlags};
use std::io;

/// When a process started, in clock ticks after boot: field 22 of `/proc/<pid>/stat`.
///
/// A number and a start time together name a process for ever; a number alone is used again.
pub fn start_time(pid: i32) -> io::Result<u64> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let fd = rustix::fs::open(format!("/proc/{pid}/stat"), flags, Mode::empty())?;
    let mut buffer = [0_u8; 1024];
    let count = rustix::io::read(&fd, &mut buffer)?;
    parse_start_time(&buffer[..count])
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "no start time in stat"))
}

/// The name in parentheses may hold anything, so fields are counted from the last parenthesis.
fn parse_start_time(stat: &[u8]) -> Option<u64> {
    let end = stat.iter().rposition(|&byte| byte == b')')?;
    let rest = std::str::from_utf8(stat.get(end + 2..)?).ok()?;
    rest.split(' ').nth(19)?.trim_end().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_and_spaces_does_not_move_the_fields() {
        let stat = b"7 (a) b) S 1 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4711 0 0";

        assert_eq!(parse_start_time(stat), Some(4711));
        assert_eq!(parse_start_time(b"7 (a"), None);
    }

    #[test]
    fn our_own_start_time_is_there() {
        let pid = i32::try_from(std::process::id()).unwrap();

        assert!(start_time(pid).unwrap() > 0);
    }
}
