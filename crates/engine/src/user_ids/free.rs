//! A range of ids that no other container has: `--userns auto`.
//!
//! Root's containers take theirs out of what `/etc/subuid` and `/etc/subgid` give to `containers`, in the
//! transaction that writes the row: so two at once get two. An ordinary user's take theirs out of what
//! the user has, and stand on a copy of the image that has these owners already ([`propose`]): whether
//! they are free still, the transaction asks again ([`take`]).

use super::{Held, Range, check, note, subordinate};
use crate::{
    foundation::Foundation,
    identity,
    options::{CreateOptions, UserNamespace},
    pods,
    record::{NamespaceRecord, Record},
};
use dhow_base::{Doing, Error, Kind, Result};
use dhow_spec::{
    accounts::{accounts, groups},
    runtime::IdMapping,
};
use dhow_state::{Read, containers};
use std::os::fd::AsFd;

/// The owner of the ranges for containers, as podman has it.
const OWNER: &str = "containers";

/// What a container of root's has where nothing says otherwise: all that a Debian image uses.
const SIZE: u32 = 65_536;

/// What one of a user's has at least: the user has no more than 65,536 as a rule. podman's number.
const LEAST_SIZE: u32 = 1024;

/// The account of nobody's, whose files an image seldom has; podman does not count it either.
const NOBODY: u32 = 65_534;

fn doing() -> &'static str {
    "find free ids"
}

/// Notes ids that an ordinary user's container could have, where it asks for a free range; as many as its
/// image needs, where that is known.
pub(crate) fn propose(
    read: &Read,
    options: &CreateOptions,
    image: Option<&Foundation>,
    record: &mut Record,
) -> Result<()> {
    let UserNamespace::Auto { size, uids, gids } = &options.namespaces.user else { return Ok(()) };
    let (users, groups) = (Held::users()?, Held::groups()?);
    users.check(uids)?;
    groups.check(gids)?;
    let size = match (size, image) {
        (Some(size), _) => *size,
        (None, Some(image)) => needed(image, options).doing(doing)?.max(LEAST_SIZE),
        (None, None) => LEAST_SIZE,
    };
    let taken = taken(read)?;
    let all = |held: Held| held.others().map(|size| [Range { first: 1, size }]);
    let first_user = free(&all(users)?, &taken, size).doing(doing)?;
    let first_group = free(&all(groups)?, &taken, size).doing(doing)?;
    record.namespaces.is_on_disk = true;
    let uids = laid_over(uids, first_user, size);
    note(&mut record.namespaces, uids, laid_over(gids, first_group, size))
}

/// How many ids the accounts of an image take, and who is to run in it.
fn needed(image: &Foundation, options: &CreateOptions) -> Result<u32> {
    let root = image.look()?;
    let passwd = identity::read_accounts(root.as_fd(), "etc/passwd")?;
    let group = identity::read_accounts(root.as_fd(), "etc/group")?;
    let said = options.user.iter().flat_map(|user| user.split(':')).flat_map(str::parse);
    let users = accounts(&passwd).flat_map(|account| [account.uid, account.gid]);
    let groups = groups(&group).map(|group| group.gid);
    let last = users.chain(groups).filter(|id| *id != NOBODY).chain(said).max();
    Ok(last.unwrap_or(0).saturating_add(1))
}

/// Takes the range, for the transaction that writes the row. `false` says that somebody has taken what was
/// proposed.
pub(crate) fn take(
    read: &Read,
    options: &CreateOptions,
    record: &mut NamespaceRecord,
) -> Result<bool> {
    let UserNamespace::Auto { size, uids, gids } = &options.namespaces.user else {
        return Ok(true);
    };
    let taken = taken(read)?;
    if record.is_on_disk {
        let own = |ids: &&IdMapping| !uids.contains(ids) && !gids.contains(ids);
        let ours = record.uids.iter().chain(&record.gids).filter(own).map(range);
        return Ok(ours.into_iter().all(|ours| !taken.iter().any(|other| overlap(other, &ours))));
    }
    let size = size.unwrap_or(SIZE);
    let users = subordinate("/etc/subuid", OWNER).doing(doing)?;
    let groups = subordinate("/etc/subgid", OWNER).doing(doing)?;
    let first_user = free(&users, &taken, size).doing(doing)?;
    let first_group = free(&groups, &taken, size).doing(doing)?;
    record.uids = laid_over(uids, first_user, size);
    record.gids = laid_over(gids, first_group, size);
    check("user", &record.uids)?;
    check("group", &record.gids)?;
    Ok(true)
}

/// What other containers and pods have. A user who keeps their id has given that one all that there is.
fn taken(read: &Read) -> Result<Vec<Range>> {
    let mut taken = Vec::new();
    let has_all = |word: &str| matches!(word, "keep-id" | "nomap");
    for row in containers::list(read)? {
        let other = Record::parse(&row.settings)?.namespaces;
        if !has_all(&other.user) && other.user != "pod" {
            taken.extend(other.uids.iter().chain(&other.gids).map(range));
        }
    }
    for (word, ids) in pods::ids(read)? {
        if !has_all(&word) {
            taken.extend(ids.uids.iter().chain(&ids.gids).map(range));
        }
    }
    Ok(taken)
}

fn range(ids: &IdMapping) -> Range {
    Range { first: ids.host_id, size: ids.size }
}

fn overlap(one: &Range, other: &Range) -> bool {
    u64::from(one.first) < other.end() && u64::from(other.first) < one.end()
}

/// The first id of a range of this size that lies in one of `ranges` and in none of `taken`.
fn free(ranges: &[Range], taken: &[Range], size: u32) -> Result<u32> {
    for range in ranges {
        let mut first = u64::from(range.first);
        while first + u64::from(size) <= range.end() {
            let end = first + u64::from(size);
            let overlaps = |other: &&Range| u64::from(other.first) < end && first < other.end();
            match taken.iter().filter(overlaps).map(|other| other.end()).max() {
                Some(after) => first = after,
                None => return Ok(u32::try_from(first).unwrap_or(u32::MAX)),
            }
        }
    }
    Err(Error::new(Kind::Exhausted, format!("no {size} ids in a row are free"))
        .hint("remove containers, ask for fewer with --userns auto:size=N, or add a range"))
}

/// The ids from `first` on, with the user's own mappings in their places.
fn laid_over(own: &[IdMapping], first: u32, size: u32) -> Vec<IdMapping> {
    let mut ids = own.to_vec();
    let mut inside = 0_u32;
    let mut outside = first;
    while inside < size {
        let covers = |range: &&IdMapping| {
            range.container_id <= inside && inside - range.container_id < range.size
        };
        if let Some(covering) = own.iter().find(covers) {
            inside = covering.container_id.saturating_add(covering.size);
            continue;
        }
        let next = own.iter().map(|range| range.container_id).filter(|&id| id > inside).min();
        let count = next.unwrap_or(size).min(size) - inside;
        ids.push(IdMapping { container_id: inside, host_id: outside, size: count });
        inside += count;
        outside += count;
    }
    ids.sort_by_key(|range| range.container_id);
    ids
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(container_id: u32, host_id: u32, size: u32) -> IdMapping {
        IdMapping { container_id, host_id, size }
    }

    #[test]
    fn a_free_range_touches_none_that_is_taken() {
        let range = |first, size| Range { first, size };
        let all = [range(1000, 100), range(5000, 1000)];
        let cases: [(&[Range], u32, Option<u32>); 5] = [
            (&[], 100, Some(1000)),
            (&[range(1000, 50)], 50, Some(1050)),
            (&[range(1010, 10)], 100, Some(5000)),
            (&[range(0, 5500)], 100, Some(5500)),
            (&[range(0, 10_000)], 1, None),
        ];
        for (taken, size, expected) in cases {
            assert_eq!(free(&all, taken, size).ok(), expected, "{taken:?}");
        }
        assert_eq!(free(&all, &[], 1001).unwrap_err().kind(), Kind::Exhausted);
    }

    #[test]
    fn mappings_of_the_users_lie_over_the_range() {
        assert_eq!(laid_over(&[], 100, 10), [ids(0, 100, 10)]);
        assert_eq!(
            laid_over(&[ids(3, 7, 2)], 100, 10),
            [ids(0, 100, 3), ids(3, 7, 2), ids(5, 103, 5)]
        );
        assert_eq!(laid_over(&[ids(0, 7, 10)], 100, 10), [ids(0, 7, 10)]);
        assert_eq!(laid_over(&[ids(50, 7, 1)], 100, 10), [ids(0, 100, 10), ids(50, 7, 1)]);
    }
}
