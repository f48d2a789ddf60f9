//! Ids of a pod's own: all its containers are in one user namespace, to which belongs what else they share.
//!
//! ```text
//!   pod create ─▶ ids chosen, in the row ─▶ first container starts: the namespace, held by a file like the others
//! ```

use super::Settings;
use crate::{
    options::{CreateOptions, UserNamespace},
    record::Record,
    user_ids,
};
use dhow_base::{Error, Kind, Result};
use dhow_spec::runtime::IdMapping;
use dhow_state::{Read, pods};
use serde::{Deserialize, Serialize};

/// The ids of a pod's containers.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct Ids {
    pub(crate) uids: Vec<IdMapping>,
    pub(crate) gids: Vec<IdMapping>,
    /// As of a container: whether files have on disk the owners that these ids give them.
    pub(crate) is_on_disk: bool,
}

impl Ids {
    /// Whose a file is outside that belongs to root inside; nobody's where root is none of them.
    pub(super) fn of_root(&self) -> Option<(u32, u32)> {
        let outside = |ids: &[IdMapping]| {
            ids.iter().find(|range| range.container_id == 0).map(|range| range.host_id)
        };
        outside(&self.uids).zip(outside(&self.gids))
    }
}

/// A choice of ids on the way into a pod's row.
#[derive(Debug)]
pub(super) struct Choice {
    asked: CreateOptions,
    record: Record,
}

impl Choice {
    /// What is asked for, but for a range that has to be free when the row is written.
    pub(super) fn of(read: &Read, asked: &UserNamespace, is_of_root: bool) -> Result<Self> {
        if matches!(asked, UserNamespace::Container(_) | UserNamespace::Path(_)) {
            let text = format!("give it the ids of --userns {}", asked.word());
            return Err(Error::new(Kind::Unsupported, text)
                .hint("a pod has ids of its own (auto, keep-id, nomap, --uidmap), or the host's"));
        }
        let mut options = CreateOptions::of(String::new());
        options.namespaces.user = asked.clone();
        let mut record = Record::default();
        user_ids::choose(&options, &mut record, is_of_root)?;
        if !is_of_root {
            user_ids::free::propose(read, &options, None, &mut record)?;
        }
        Ok(Self { asked: options, record })
    }

    /// The ids, for the transaction that writes the row; none where they are the host's.
    pub(super) fn take(&mut self, read: &Read) -> Result<Option<Ids>> {
        let record = &mut self.record.namespaces;
        if !user_ids::free::take(read, &self.asked, record)? {
            let text = "find free ids for the pod: somebody has just taken them";
            return Err(Error::new(Kind::Unavailable, text).hint("try again"));
        }
        Ok(record.has_ids().then(|| Ids {
            uids: record.uids.clone(),
            gids: record.gids.clone(),
            is_on_disk: record.is_on_disk,
        }))
    }
}

/// What pods have, and what was asked for.
pub(crate) fn ids(read: &Read) -> Result<Vec<(String, Ids)>> {
    let mut all = Vec::new();
    for row in pods::list(read)? {
        let Settings { ids, asked_ids, .. } = Settings::of(&row)?;
        all.extend(ids.map(|ids| (asked_ids.word(), ids)));
    }
    Ok(all)
}
