//! A test of many steps: each has a name, all are tried, and the failed ones are listed at the end.

use crate::subject::Subject;
use dhow_testkit::need;
use std::{
    fs::OpenOptions,
    io::Write,
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
    passed: usize,
    differ: usize,
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
        Self { differences, failed: Vec::new(), passed: 0, differ: 0 }
    }

    /// Whether it is known that a step of this name fails.
    pub(crate) fn is_listed(&self, name: &str) -> bool {
        self.differences.iter().any(|(_, step, _)| *step == name)
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
            None => self.passed += 1,
            Some(_) => self.differ += 1,
        }
    }

    /// Ends the test of an engine's daily work, and tells the closing report of each step.
    pub(crate) fn end_daily(self, engine: &str) {
        println!("{engine}: {} passed, {} differ as listed", self.passed, self.differ);
        if let Some(path) = need::variable("DHOW_CONFORMANCE").filter(|_| self.failed.is_empty()) {
            let lines = |end: &str, count| format!("engine {engine} {end}\n").repeat(count);
            let text = lines("passed", self.passed) + &lines("differs", self.differ);
            let opened = OpenOptions::new().append(true).create(true).open(path);
            let _noted = opened.and_then(|mut file| file.write_all(text.as_bytes()));
        }
        self.end();
    }

    /// Ends the test.
    pub(crate) fn end(self) {
        assert!(self.failed.is_empty(), "these steps failed:\n  {}", self.failed.join("\n  "));
    }
}
