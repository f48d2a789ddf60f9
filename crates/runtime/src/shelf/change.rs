//! A change of a container's limits, and what puts them back where it fails.

use super::{Record, Shelf, not_running};
use crate::resctrl::GroupChange;
use dhow_base::{Doing, Result};
use dhow_cgroup::Cgroup;
use dhow_spec::runtime::{Linux, Resources, Status};

/// What changes of a container's limits; the rest stays.
#[derive(Clone, Copy, Debug)]
pub struct Change<'a> {
    /// What the cgroup limits.
    pub resources: &'a Resources,
    /// `linux.intelRdt.l3CacheSchema`.
    pub l3_cache_schema: Option<&'a str>,
    /// `linux.intelRdt.memBwSchema`.
    pub mem_bw_schema: Option<&'a str>,
}

impl Change<'_> {
    /// Changes the limits, and says how the configuration is by now.
    fn apply(&self, cgroup: &Cgroup, record: &Record) -> Result<Linux> {
        let mut linux = record.spec.linux.clone().unwrap_or_default();
        let group = self.group(&record.id, &mut linux)?;
        let before = linux.resources.take().unwrap_or_default();
        let after = before.overlaid(self.resources);
        let set = cgroup.update(&self.resources.with_quota_of(&after));
        let set = set.and_then(|()| group.map_or(Ok(()), |change| change.write()));
        if let Err(error) = set {
            // Rules for devices were not in question, unless they were among what failed.
            let devices =
                if self.resources.devices.is_empty() { Vec::new() } else { before.devices };
            // The failure that brought us here is the one to tell of.
            let _kept = cgroup.update(&Resources { devices, ..before });
            return Err(error);
        }
        linux.resources = Some(after);
        Ok(linux)
    }

    /// The change of the share of caches and memory bandwidth, checked; what of it is not named
    /// stays.
    fn group(&self, id: &str, linux: &mut Linux) -> Result<Option<GroupChange>> {
        let (l3, bandwidth) = (self.l3_cache_schema, self.mem_bw_schema);
        if l3.is_none() && bandwidth.is_none() {
            return Ok(None);
        }
        GroupChange::prepare(id, linux.intel_rdt.as_mut(), l3, bandwidth).map(Some)
    }
}

impl Shelf {
    /// Changes a container's limits, and the record of them. On failure they are as they were, as
    /// far as the record says how that was.
    pub fn update(&self, id: &str, change: &Change<'_>) -> Result<()> {
        let doing = || format!("update container {id}");
        let mut record = self.record(id).doing(doing)?;
        let outline = record.outline();
        if matches!(self.status(&outline), Status::Creating | Status::Stopped) {
            return Err(not_running()).doing(doing);
        }
        let changed = change.apply(&outline.cgroup().doing(doing)?, &record).doing(doing)?;
        record.spec.linux = Some(changed);
        self.write(&record).doing(doing)
    }
}
