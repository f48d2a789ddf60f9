//! Which ids a container's are outside: from the user's words, from `/etc/subuid` and `/etc/subgid`,
//! and from what other containers have.

pub(crate) mod free;

use crate::{
    options::{CreateOptions, UserNamespace},
    record::{NamespaceRecord, Record},
};
use dhow_base::{Doing, Error, Kind, Result, file};
use dhow_spec::{
    accounts::{IdRange as Range, LIMIT_BYTES, accounts, in_a_row, subordinate_ids as ranges_of},
    runtime::IdMapping,
};
use std::path::Path;

/// Writes the ids that are asked for into the record, but for those of a free range, which are found
/// by [`free`].
pub(crate) fn choose(options: &CreateOptions, record: &mut Record, is_of_root: bool) -> Result<()> {
    if let UserNamespace::Pod(ids) = &options.namespaces.user {
        record.namespaces.is_on_disk = ids.is_on_disk;
        return note(&mut record.namespaces, ids.uids.clone(), ids.gids.clone());
    }
    if !is_of_root {
        return choose_of_user(options, record);
    }
    let doing = || "choose the ids of the container";
    let (uids, gids) = match &options.namespaces.user {
        UserNamespace::Unsaid
        | UserNamespace::Host
        | UserNamespace::Container(_)
        | UserNamespace::Path(_)
        | UserNamespace::Pod(_)
        | UserNamespace::Auto { .. } => return Ok(()),
        UserNamespace::Mapped { uids, gids } => (uids.clone(), gids.clone()),
        UserNamespace::Ranges { user, group } => {
            let uids = in_a_row(&subordinate("/etc/subuid", user).doing(doing)?);
            let gids = in_a_row(&subordinate("/etc/subgid", group).doing(doing)?);
            (uids, gids)
        }
        UserNamespace::KeepId { .. } | UserNamespace::NoMap => {
            return Err(of_root(&options.namespaces.user));
        }
    };
    note(&mut record.namespaces, uids, gids)
}

fn note(record: &mut NamespaceRecord, uids: Vec<IdMapping>, gids: Vec<IdMapping>) -> Result<()> {
    check("user", &uids)?;
    check("group", &gids)?;
    (record.uids, record.gids) = (uids, gids);
    Ok(())
}

/// The same for an ordinary user, in whose namespace we are: 0 is the user, and from 1 on are the ids
/// that `/etc/subuid` gives them.
fn choose_of_user(options: &CreateOptions, record: &mut Record) -> Result<()> {
    let asked = &options.namespaces.user;
    let (uids, gids) = match asked {
        UserNamespace::Unsaid
        | UserNamespace::Host
        | UserNamespace::Container(_)
        | UserNamespace::Path(_)
        | UserNamespace::Pod(_)
        | UserNamespace::Auto { .. } => return Ok(()),
        UserNamespace::Ranges { user, group } => {
            let doing = || "choose the ids of the container";
            let inside = |held: Held, file: &str, owner: &str| {
                subordinate(file, owner).and_then(|ranges| held.within(&ranges)).doing(doing)
            };
            let uids = inside(Held::users()?, "/etc/subuid", user)?;
            (in_a_row(&uids), in_a_row(&inside(Held::groups()?, "/etc/subgid", group)?))
        }
        UserNamespace::KeepId { uid, gid } => {
            let (users, groups) = (Held::users()?, Held::groups()?);
            let (uid, gid) = (uid.unwrap_or(users.own), gid.unwrap_or(groups.own));
            if options.user.is_none() {
                // podman's rule, whatever the image says.
                record.user = format!("{uid}:{gid}");
            }
            (users.keeping(uid)?, groups.keeping(gid)?)
        }
        UserNamespace::NoMap => (Held::users()?.all_but_own()?, Held::groups()?.all_but_own()?),
        UserNamespace::Mapped { uids, gids } => {
            Held::users()?.check(uids)?;
            Held::groups()?.check(gids)?;
            (uids.clone(), gids.clone())
        }
    };
    record.namespaces.is_on_disk = true;
    note(&mut record.namespaces, uids, gids)
}

/// Who the ordinary user is to the host, in whose namespace we are.
pub(crate) fn caller() -> Result<u32> {
    Ok(Held::users()?.own)
}

/// The ids of the user namespace that we are in.
#[derive(Clone, Debug)]
struct Held {
    kind: &'static str,
    /// What our root is outside.
    own: u32,
    /// How many there are, from 0 on.
    count: u32,
    /// The first id inside, the first outside, how many.
    ranges: Vec<[u32; 3]>,
}

impl Held {
    fn users() -> Result<Self> {
        Self::read("user", "/proc/self/uid_map")
    }

    fn groups() -> Result<Self> {
        Self::read("group", "/proc/self/gid_map")
    }

    fn read(kind: &'static str, path: &str) -> Result<Self> {
        let text = file::read_limited(Path::new(path), LIMIT_BYTES)?;
        Self::parse(kind, &String::from_utf8_lossy(&text))
            .ok_or_else(|| Error::new(Kind::Internal, format!("read {path}: it maps no root")))
    }

    /// Lines of user_namespaces(7): the first id inside, the first outside, how many.
    fn parse(kind: &'static str, map: &str) -> Option<Self> {
        let numbers = map.split_ascii_whitespace().map(|word| word.parse::<u32>().ok());
        let numbers: Vec<u32> = numbers.collect::<Option<_>>()?;
        let ranges = || numbers.chunks_exact(3);
        let own = ranges().find(|range| range[0] == 0)?[1];
        let count = ranges().fold(0_u32, |sum, range| sum.saturating_add(range[2]));
        let ranges = ranges().map(|range| [range[0], range[1], range[2]]).collect();
        Some(Self { kind, own, count, ranges })
    }

    /// Ranges of the host's as we see them; those that we do not have are an error.
    fn within(&self, outside: &[Range]) -> Result<Vec<Range>> {
        let mut inside = Vec::new();
        for range in outside {
            let mut next = u64::from(range.first);
            while next < range.end() {
                let held = self.ranges.iter().map(|one| one.map(u64::from));
                let at = |&[_, first, size]: &[u64; 3]| (first..first + size).contains(&next);
                let Some([ours, first, size]) = held.clone().find(at) else {
                    let text =
                        format!("use {} id {next}: the user has not been given it", self.kind);
                    return Err(Error::new(Kind::Denied, text)
                        .hint("name the user who calls: their ranges are theirs to give"));
                };
                let end = range.end().min(first + size);
                let number = |id: u64| u32::try_from(id).unwrap_or(u32::MAX);
                let begin = number(ours + (next - first));
                inside.push(Range { first: begin, size: number(end - next) });
                next = end;
            }
        }
        Ok(inside)
    }

    /// The user is `inside`, and the others are around them.
    fn keeping(&self, inside: u32) -> Result<Vec<IdMapping>> {
        let others = self.others()?;
        let below = inside.min(others);
        let range = |container_id, host_id, size| IdMapping { container_id, host_id, size };
        let mut ids = vec![range(inside, 0, 1)];
        if below > 0 {
            ids.insert(0, range(0, 1, below));
        }
        if others > below {
            ids.push(range(inside + 1, below + 1, others - below));
        }
        Ok(ids)
    }

    fn all_but_own(&self) -> Result<Vec<IdMapping>> {
        Ok(vec![IdMapping { container_id: 0, host_id: 1, size: self.others()? }])
    }

    fn others(&self) -> Result<u32> {
        match self.count - 1 {
            0 => {
                let text = format!("the user has no {} ids besides their own", self.kind);
                Err(Error::new(Kind::NotFound, text)
                    .hint("root gives some in /etc/subuid and /etc/subgid"))
            }
            others => Ok(others),
        }
    }

    /// Only what we have can be given.
    fn check(&self, ids: &[IdMapping]) -> Result<()> {
        let end = |range: &IdMapping| u64::from(range.host_id) + u64::from(range.size);
        match ids.iter().find(|range| end(range) > u64::from(self.count)) {
            None => Ok(()),
            Some(range) => {
                let (kind, last) = (self.kind, self.count - 1);
                let text =
                    format!("map {kind} id {}: the user has not all of these", range.host_id);
                let hint =
                    format!("0 is the user, 1 to {last} are what /etc/sub{}id gives", &kind[..1]);
                Err(Error::new(Kind::Invalid, text).hint(hint))
            }
        }
    }
}

/// podman's rule: these modes are about a user who is not root.
fn of_root(asked: &UserNamespace) -> Error {
    let word = if *asked == UserNamespace::NoMap { "nomap" } else { "keep-id" };
    Error::new(Kind::Invalid, format!("use --userns {word}: it is for users other than root"))
        .hint("--userns auto gives the container ids of its own")
}

/// The ranges that a file such as `/etc/subuid` gives to a user.
fn subordinate(path: &str, owner: &str) -> Result<Vec<Range>> {
    let text = match file::read_limited(Path::new(path), LIMIT_BYTES) {
        Err(error) if error.kind() == Kind::NotFound => Vec::new(),
        result => result?,
    };
    let passwd = file::read_limited(Path::new("/etc/passwd"), LIMIT_BYTES).unwrap_or_default();
    let uid = accounts(&passwd).find(|account| account.name == owner.as_bytes());
    let ranges = ranges_of(&String::from_utf8_lossy(&text), owner, uid.map(|account| account.uid));
    if ranges.is_empty() {
        return Err(Error::new(Kind::NotFound, format!("no range for {owner} in {path}"))
            .hint(format!("add a line such as {owner}:2147483648:1073741824 to {path}")));
    }
    Ok(ranges)
}

/// The kernel takes 340 ranges that do not overlap on either side, and refuses others without a
/// word.
fn check(kind: &str, ids: &[IdMapping]) -> Result<()> {
    let invalid = |why: &str| Err(Error::new(Kind::Invalid, format!("map {kind} ids: {why}")));
    if ids.len() > 340 {
        return invalid("there are more than 340 ranges");
    }
    let overlap = |first: fn(&IdMapping) -> u32| {
        let mut sorted: Vec<(u64, u64)> = ids
            .iter()
            .map(|range| (first(range).into(), u64::from(first(range)) + u64::from(range.size)))
            .collect();
        sorted.sort_unstable();
        sorted.windows(2).any(|pair| pair[0].1 > pair[1].0)
    };
    if overlap(|range| range.container_id) {
        return invalid("two ranges have the same ids in the container");
    }
    if overlap(|range| range.host_id) {
        return invalid("two ranges have the same ids on the host");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn ids(container_id: u32, host_id: u32, size: u32) -> IdMapping {
        IdMapping { container_id, host_id, size }
    }

    #[test]
    fn ranges_are_by_name_or_number() {
        let text = "me:100:10\n# no\nother:200:10\n7:300:5\nme:x:1\nme:4294967290:100\n";

        let found = ranges_of(text, "me", Some(7));

        let range = |first, size| Range { first, size };
        assert_eq!(found, [range(100, 10), range(300, 5), range(4_294_967_290, 5)]);
        assert_eq!(in_a_row(&found[..2]), [ids(0, 100, 10), ids(10, 300, 5)]);
    }

    #[test]
    fn a_user_keeps_their_id_and_the_others_lie_around_it() {
        let held =
            Held::parse("user", "         0       1000          1\n 1 100000 65536\n").unwrap();
        assert_eq!((held.own, held.count), (1000, 65_537));

        let cases: [(u32, &[IdMapping]); 4] = [
            (0, &[ids(0, 0, 1), ids(1, 1, 65_536)]),
            (1000, &[ids(0, 1, 1000), ids(1000, 0, 1), ids(1001, 1001, 64_536)]),
            (65_536, &[ids(0, 1, 65_536), ids(65_536, 0, 1)]),
            (70_000, &[ids(0, 1, 65_536), ids(70_000, 0, 1)]),
        ];
        for (inside, expected) in cases {
            assert_eq!(held.keeping(inside).unwrap(), expected, "{inside}");
        }
        assert_eq!(held.all_but_own().unwrap(), [ids(0, 1, 65_536)]);
    }

    #[test]
    fn a_user_gives_no_ids_that_they_have_not() {
        let held = Held::parse("group", "0 1000 1\n1 100000 10\n").unwrap();
        assert!(held.check(&[ids(5, 0, 11)]).is_ok());
        assert!(held.check(&[ids(0, 1, 11)]).is_err());
        assert!(held.check(&[ids(0, u32::MAX, u32::MAX)]).is_err());
        let alone = Held::parse("user", "0 1000 1\n").unwrap();
        assert_eq!(alone.keeping(1000).unwrap_err().kind(), Kind::NotFound);
        assert!(Held::parse("user", "1 1000 1\n").is_none());
        assert!(Held::parse("user", "0 x 1\n").is_none());
    }

    #[test]
    fn ranges_of_the_hosts_are_seen_as_they_are_inside() {
        let held = Held::parse("user", "0 1000 1\n1 100000 10\n11 200000 5\n").unwrap();
        let inside = |first, size| {
            let seen = held.within(&[Range { first, size }]).ok()?;
            Some(seen.iter().map(|range| (range.first, range.size)).collect::<Vec<_>>())
        };

        assert_eq!(inside(100_000, 10), Some(vec![(1, 10)]));
        assert_eq!(inside(100_005, 2), Some(vec![(6, 2)]));
        assert_eq!(inside(1000, 1), Some(vec![(0, 1)]));
        assert_eq!(inside(100_005, 6), None);
        assert_eq!(inside(300_000, 1), None);
    }

    #[test]
    fn ranges_that_overlap_are_refused() {
        assert!(check("user", &[ids(0, 100, 10), ids(10, 200, 10)]).is_ok());
        assert!(check("user", &[ids(0, 100, 10), ids(5, 200, 10)]).is_err());
        assert!(check("user", &[ids(0, 100, 10), ids(10, 105, 10)]).is_err());
    }
}
