//! What skopeo says while it copies, line by line on standard output.

use crate::console::Console;
use dhow_base::{Digest, Result};
use dhow_image::{Copied, Event, Phase, Progress};
use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

/// Listens to a copy.
#[derive(Debug)]
pub(crate) struct Told {
    console: Console,
    quiet: bool,
    said: Mutex<BTreeSet<Digest>>,
}

impl Told {
    /// A copy begins.
    pub(crate) fn begin(console: Console, quiet: bool) -> Result<Self> {
        let told = Self { console, quiet, said: Mutex::default() };
        told.line("Getting image source signatures")?;
        Ok(told)
    }

    /// It has ended well.
    pub(crate) fn end(&self, copied: &Copied) -> Result<()> {
        if let Some(config) = &copied.id {
            self.line(&format!("Copying config {config}"))?;
        }
        self.line("Writing manifest to image destination")
    }

    fn line(&self, text: &str) -> Result<()> {
        if self.quiet { Ok(()) } else { self.console.line(text) }
    }
}

impl Progress for Told {
    fn layer(&self, event: &Event<'_>) {
        let rest = match event.phase {
            Phase::Sending | Phase::Fetching => "",
            Phase::There | Phase::Exists | Phase::Mounted => " skipped: already exists",
            Phase::Waiting | Phase::Unpacking | Phase::Done => return,
        };
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.insert(event.layer.clone()) {
            // A closed standard output is no reason to break the copy off.
            let _written = self.line(&format!("Copying blob {}{rest}", event.layer));
        }
    }
}
