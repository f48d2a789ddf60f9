//! `idmap=uids=0-1000-1#1-2000-10;gids=0-1000-1`: ids of files, ids that they are shown as, how many.

use dhow_engine::options::IdMap;

type Triple = (u32, u32, u32);

/// The mappings after `idmap=`. Groups are mapped as users are where they are not named.
pub(super) fn parse(text: &str) -> Result<IdMap, String> {
    let (mut uids, mut gids) = (None, None);
    for part in text.split(';').filter(|part| !part.is_empty()) {
        match part.split_once('=') {
            Some(("uids", triples)) => uids = Some(parse_triples(triples)?),
            Some(("gids", triples)) => gids = Some(parse_triples(triples)?),
            _ => return Err(format!("idmap: neither uids= nor gids=: {part}")),
        }
    }
    match (uids, gids) {
        (Some(uids), gids) => {
            let gids = gids.unwrap_or_else(|| uids.clone());
            Ok(IdMap::Given { uids, gids })
        }
        (None, Some(gids)) => Ok(IdMap::Given { uids: gids.clone(), gids }),
        (None, None) => Err("idmap: no mapping is given".to_owned()),
    }
}

fn parse_triples(text: &str) -> Result<Vec<Triple>, String> {
    text.split('#').map(triple).collect()
}

fn triple(text: &str) -> Result<Triple, String> {
    let bad = || format!("idmap: {text} is not FILE-SHOWN-COUNT");
    let mut numbers = text.split('-').map(|number| number.parse::<u32>().map_err(|_| bad()));
    let mut next = || numbers.next().ok_or_else(bad)?;
    let triple = (next()?, next()?, next()?);
    if numbers.next().is_some() || triple.2 == 0 {
        return Err(bad());
    }
    Ok(triple)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_mapped_as_users_unless_named() {
        assert_eq!(
            parse("uids=0-1000-1#1-2000-10"),
            Ok(IdMap::Given {
                uids: vec![(0, 1000, 1), (1, 2000, 10)],
                gids: vec![(0, 1000, 1), (1, 2000, 10)]
            })
        );
        assert_eq!(
            parse("uids=0-1-2;gids=3-4-5"),
            Ok(IdMap::Given { uids: vec![(0, 1, 2)], gids: vec![(3, 4, 5)] })
        );
        for text in ["", "x", "uids=", "uids=1-2", "uids=1-2-0", "uids=1-2-3-4", "uids=@1-2-3"] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }
}
