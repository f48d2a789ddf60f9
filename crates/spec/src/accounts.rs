//! `/etc/passwd` and `/etc/group` as data. The files come from strangers: lines that are not
//! well-formed are passed over, as every reader of these files does.
//!
//! A word of digits is a number and never looked up as a name; anything else is a name and never
//! read as a number (CVE-2026-46680).

use crate::runtime::IdMapping;
use dhow_base::{Error, Kind, Result};

/// The largest account file that is read. Real ones have a few KiB.
pub const LIMIT_BYTES: u64 = 4 << 20;

/// A line of `/etc/passwd`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Account<'a> {
    /// The user's name.
    pub name: &'a [u8],
    /// The user's number.
    pub uid: u32,
    /// The number of the first group.
    pub gid: u32,
    /// The home directory.
    pub home: &'a [u8],
}

/// A line of `/etc/group`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Group<'a> {
    /// The group's name.
    pub name: &'a [u8],
    /// The group's number.
    pub gid: u32,
    members: &'a [u8],
}

impl<'a> Group<'a> {
    /// The names of the users in it.
    pub fn members(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.members.split(|&byte| byte == b',')
    }
}

/// The accounts of a passwd file.
pub fn accounts(passwd: &[u8]) -> impl Iterator<Item = Account<'_>> {
    lines(passwd).filter_map(|line| {
        let mut fields = line.split(|&byte| byte == b':');
        let name = fields.next()?;
        let uid = number(fields.nth(1)?)?;
        let gid = number(fields.next()?)?;
        let home = fields.nth(1).unwrap_or(b"/");
        Some(Account { name, uid, gid, home })
    })
}

/// The groups of a group file.
pub fn groups(group: &[u8]) -> impl Iterator<Item = Group<'_>> {
    lines(group).filter_map(|line| {
        let mut fields = line.split(|&byte| byte == b':');
        let name = fields.next()?;
        let gid = number(fields.nth(1)?)?;
        let members = fields.next().unwrap_or(b"");
        Some(Group { name, gid, members })
    })
}

/// The home directory of a user, where the accounts say a usable one; else `/`.
pub fn home(passwd: &[u8], uid: u32) -> String {
    let account = accounts(passwd).find(|account| account.uid == uid);
    let home = account.map(|account| String::from_utf8_lossy(account.home).into_owned());
    home.filter(|home| home.starts_with('/') && !home.contains('\0')).unwrap_or("/".to_owned())
}

/// A word of ASCII digits is an id, at most 2^31-1 as in docker and the kernel's own tools.
pub fn parse_id(text: &str) -> Result<Option<u32>> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(None);
    }
    match text.parse::<u32>() {
        Ok(id) if i32::try_from(id).is_ok() => Ok(Some(id)),
        _ => Err(Error::new(Kind::Invalid, format!("the id {text} is not in 0 to 2147483647"))),
    }
}

/// A range of ids that a user may give to processes of theirs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct IdRange {
    /// The first id.
    pub first: u32,
    /// How many there are.
    pub size: u32,
}

impl IdRange {
    /// The first id behind it.
    pub fn end(self) -> u64 {
        u64::from(self.first) + u64::from(self.size)
    }
}

/// The ranges one behind the other, from the container's root on.
pub fn in_a_row(ranges: &[IdRange]) -> Vec<IdMapping> {
    let mut inside = 0_u32;
    let mut ids = Vec::new();
    for range in ranges {
        let size = range.size.min(u32::MAX - inside);
        if size > 0 {
            ids.push(IdMapping { container_id: inside, host_id: range.first, size });
            inside += size;
        }
    }
    ids
}

/// The ranges of a user in a file such as `/etc/subuid`: `name:first:count` or `uid:first:count`, as
/// subuid(5) has it. Other lines are passed over.
pub fn subordinate_ids(text: &str, owner: &str, uid: Option<u32>) -> Vec<IdRange> {
    let uid = uid.map(|uid| uid.to_string());
    let range = |line: &str| {
        let mut fields = line.trim().split(':');
        let (name, first, size) = (fields.next()?, fields.next()?, fields.next()?);
        if name != owner && Some(name) != uid.as_deref() {
            return None;
        }
        let (first, size) = (first.parse::<u32>().ok()?, size.parse::<u32>().ok()?);
        // The last id is none.
        let size = size.min(u32::MAX - first);
        (size > 0 && first > 0).then_some(IdRange { first, size })
    };
    text.lines().filter_map(range).collect()
}

fn lines(file: &[u8]) -> impl Iterator<Item = &[u8]> {
    file.split(|&byte| byte == b'\n').filter(|line| !line.is_empty() && line[0] != b'#')
}

fn number(field: &[u8]) -> Option<u32> {
    std::str::from_utf8(field).ok().and_then(|text| parse_id(text).ok().flatten())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_home_is_the_first_account_s_or_the_root() {
        let passwd = b"root:x:0:0::/root:/bin/sh\nme:x:7:7::/home/me:\nother:x:7:7::/tmp:\n\
            relative:x:8:8::home:\nshort:x:9\n";

        assert_eq!(home(passwd, 0), "/root");
        assert_eq!(home(passwd, 7), "/home/me");
        assert_eq!(home(passwd, 8), "/");
        assert_eq!(home(passwd, 9), "/");
        assert_eq!(home(b"", 0), "/");
    }
}
