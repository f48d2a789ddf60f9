//! MappedOwners of files as a user namespace has them: the archive has the ids of inside, the files those
//! of outside.

use dhow_base::{Error, Kind, Result};
use dhow_spec::runtime::IdMapping;

/// Who inside sees an id that has no meaning there, as the kernel shows it.
const NOBODY: u32 = 65534;

/// Which ids outside are which inside.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MappedOwners {
    uids: Vec<IdMapping>,
    gids: Vec<IdMapping>,
}

impl MappedOwners {
    /// Those of a namespace with these mappings.
    pub fn new(uids: &[IdMapping], gids: &[IdMapping]) -> Self {
        Self { uids: uids.to_vec(), gids: gids.to_vec() }
    }

    /// The ids by which a file with these ids is known inside.
    pub fn inside(&self, uid: u32, gid: u32) -> (u32, u32) {
        (inside(&self.uids, uid), inside(&self.gids, gid))
    }

    /// The ids that a file has which belongs to these ids inside.
    pub fn outside(&self, uid: u32, gid: u32) -> Result<(u32, u32)> {
        Ok((outside(&self.uids, "user", uid)?, outside(&self.gids, "group", gid)?))
    }
}

fn inside(mappings: &[IdMapping], id: u32) -> u32 {
    let found = mappings.iter().find_map(|mapping| {
        let offset = id.checked_sub(mapping.host_id).filter(|offset| *offset < mapping.size)?;
        mapping.container_id.checked_add(offset)
    });
    found.unwrap_or(NOBODY)
}

fn outside(mappings: &[IdMapping], kind: &str, id: u32) -> Result<u32> {
    let found = mappings.iter().find_map(|mapping| {
        let offset =
            id.checked_sub(mapping.container_id).filter(|offset| *offset < mapping.size)?;
        mapping.host_id.checked_add(offset)
    });
    found.ok_or_else(|| {
        Error::new(Kind::Invalid, format!("there is no {kind} {id} in the user namespace"))
            .hint("leave the owners to the destination, or map more ids")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_go_in_and_out_and_what_has_no_meaning_is_nobodys_or_refused() {
        let map = |container_id, host_id, size| IdMapping { container_id, host_id, size };
        let owners =
            MappedOwners::new(&[map(0, 1000, 1), map(1, 100_000, 65_535)], &[map(0, 5000, 10)]);

        assert_eq!(owners.outside(0, 9).unwrap(), (1000, 5009));
        assert_eq!(owners.outside(65_535, 0).unwrap(), (165_534, 5000));
        assert_eq!(owners.inside(100_122, 5003), (123, 3));
        assert_eq!(owners.inside(0, 5010), (65534, 65534));
        assert!(owners.outside(65_536, 0).is_err() && owners.outside(0, 10).is_err());
        assert!(owners.outside(u32::MAX, 0).is_err());
    }
}
