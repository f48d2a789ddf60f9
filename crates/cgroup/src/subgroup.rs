//! A cgroup below another one, for a process that joins a container in a part of it.

use crate::{Cgroup, Layout, cgroup::Origin, delegation::unified_path};
use dhow_base::{Doing, Error, Kind, Result};
use rustix::process::Pid;

/// A place below a cgroup.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Subgroup {
    /// The version 1 controllers whose hierarchies are meant; none for the one tree of version 2.
    pub controllers: Vec<String>,
    /// The path below the cgroup, which must be there.
    pub path: String,
}

impl Cgroup {
    /// The same cgroup, in the hierarchies that `subgroups` name at a place below. No path leads
    /// out of it.
    pub fn descend(mut self, subgroups: &[Subgroup]) -> Result<Self> {
        for Subgroup { controllers, path } in subgroups {
            if controllers.is_empty() {
                if self.layout != Layout::Unified {
                    let text =
                        format!("bad sub cgroup path {path}: it does not name its controllers");
                    return Err(Error::new(Kind::Invalid, text).hint("write CONTROLLER:PATH"));
                }
                self.replace(path, |_| true)?;
            }
            for controller in controllers {
                let text = || format!("enter sub-cgroup {path}: unknown controller {controller}");
                if !self.places.iter().any(|place| place.is_called(controller)) {
                    return Err(Error::new(Kind::Invalid, text()));
                }
                self.replace(path, |place| place.is_called(controller))?;
            }
        }
        Ok(self)
    }

    /// The cgroup at the place below where one of its processes is; nothing where that is no place
    /// below.
    ///
    /// In version 2 a cgroup that gives controllers to others holds no process itself: a container
    /// that has arranged itself so (systemd does, and docker in docker) takes new ones beside its
    /// first one only.
    pub fn beside(&self, process: Pid) -> Result<Option<Self>> {
        let [place] = &self.places[..] else { return Ok(None) };
        if self.layout != Layout::Unified {
            return Ok(None);
        }
        let file = format!("/proc/{}/cgroup", process.as_raw_pid());
        let memberships = std::fs::read_to_string(&file).doing(|| format!("read {file}"))?;
        let way = unified_path(&memberships).and_then(|path| place.way_to(path));
        let place = way.map(|way| place.below(way)).transpose()?;
        Ok(place.map(|place| Self {
            location: self.location.clone(),
            layout: self.layout,
            places: vec![place],
            placeholder: None,
            origin: Origin::Found,
        }))
    }

    fn replace(
        &mut self,
        path: &str,
        is_meant: impl Fn(&crate::place::Place) -> bool,
    ) -> Result<()> {
        for place in self.places.iter_mut().filter(|place| is_meant(place)) {
            *place = place.below(path)?;
        }
        Ok(())
    }
}
