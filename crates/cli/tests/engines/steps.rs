//! A test of many steps: each has a name, all are tried, and the failed ones are listed at the end.

use crate::subject::Subject;
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::Instant,
};

/// A step that a peer does not manage, with the reason: runtime, step, reason.
pub(crate) type Difference = (&'static str, &'static str, &'static str);

/// The steps so far.
#[derive(Debug)]
pub(crate) struct Steps {
    differences: Vec<Difference>,
    failed: Vec<String>,
}

impl Steps {
    /// No step yet; those of `differences` that are about this runtime must fail.
    pub(crate) fn new(subject: &Subject, differences: &[Difference]) -> Self {
        Self::of(subject.name(), differences)
    }

    /// The same for whoever has this name.
    pub(crate) fn of(name: &str, differences: &[Difference]) -> Self {
        let mut differences = differences.to_vec();
        differences.retain(|(runtime, ..)| *runtime == name);
        Self { differences, failed: Vec::new() }
    }

    /// Does one step; a panic in it fails the step and not those after it.
    pub(crate) fn step(&mut self, name: &str, act: impl FnOnce()) {
        let begin = Instant::now();
        let failed = catch_unwind(AssertUnwindSafe(act)).is_err();
        println!("{name}: {:?}", begin.elapsed());
        let listed = self.differences.iter().find(|(_, step, _)| *step == name);
        match listed {
            None if failed => self.failed.push(name.to_owned()),
            Some((.., reason)) if !failed => {
                self.failed.push(format!("{name} (did not fail, though listed: {reason})"));
            }
            _ => {}
        }
    }

    /// Ends the test.
    pub(crate) fn end(self) {
        assert!(self.failed.is_empty(), "these steps failed:\n  {}", self.failed.join("\n  "));
    }
}
