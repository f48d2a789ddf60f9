//! A cgroup's directories, made before anybody knows what is to be limited.
//!
//! ```text
//!   Ahead::make(location) ─▶ … ─▶ Cgroup::create_ahead    limits, rules for devices
//!                             └─▶ dropped: the directories go again, as far as nobody uses them
//! ```
//!
//! To make one in ten hierarchies takes a third of a millisecond, which whoever waits for a
//! configuration has. It is for cgroups that this program makes itself, not for units of systemd's.

use crate::{Hierarchies, Location, place::Place};
use dhow_base::{Doing, Result};
use std::cell::RefCell;

/// The empty directories of a cgroup, one a hierarchy.
#[derive(Debug)]
pub struct Ahead {
    hierarchies: Hierarchies,
    location: Location,
    places: RefCell<Vec<Place>>,
}

impl Ahead {
    /// Makes those that are missing. What was made is removed again where a later one fails.
    pub fn make(location: Location) -> Result<Self> {
        let ahead =
            Self { hierarchies: Hierarchies::detect()?, location, places: RefCell::default() };
        let mut places = Vec::with_capacity(ahead.hierarchies.all.len());
        let made: Result<()> = ahead.hierarchies.all.iter().try_for_each(|hierarchy| {
            places.push(Place::make(&ahead.hierarchies.base, hierarchy, &ahead.location)?);
            Ok(())
        });
        ahead.places.replace(places);
        made.doing(|| format!("create cgroup {}", ahead.location))?;
        Ok(ahead)
    }

    /// The hierarchies that they are in.
    pub fn hierarchies(&self) -> &Hierarchies {
        &self.hierarchies
    }

    /// Where they are.
    pub fn location(&self) -> &Location {
        &self.location
    }

    /// The directories, which are the caller's from now on. There are none for a second one.
    pub(crate) fn take(&self) -> Vec<Place> {
        self.places.take()
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        self.take().iter().for_each(Place::take_back);
    }
}
