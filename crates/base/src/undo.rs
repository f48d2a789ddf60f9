//! Undo for work with several steps: create a container, set up a network.
//!
//! Each finished step pushes its reversal. If a later step fails, dropping the stack runs the
//! reversals newest first; on success `keep` forgets them. So the cleanup of a step is written
//! beside the step, and no error path needs its own.

use crate::{Error, Result};
use std::fmt;

type Reversal<'a> = Box<dyn FnOnce() -> Result<()> + 'a>;

/// Reversals of the steps done so far.
pub struct Undo<'a> {
    steps: Vec<(&'static str, Reversal<'a>)>,
    report: &'a dyn Fn(&str, &Error),
}

impl<'a> Undo<'a> {
    /// `report` hears of reversals that fail. A failed reversal must not stop the older ones, nor
    /// replace the error that brought us here.
    pub fn new(report: &'a dyn Fn(&str, &Error)) -> Self {
        Self { steps: Vec::new(), report }
    }

    /// Remembers how to take back the step just done.
    pub fn push(&mut self, name: &'static str, reversal: impl FnOnce() -> Result<()> + 'a) {
        self.steps.push((name, Box::new(reversal)));
    }

    /// The work succeeded; nothing is to be undone.
    pub fn keep(mut self) {
        self.steps.clear();
    }
}

impl Drop for Undo<'_> {
    fn drop(&mut self) {
        while let Some((name, reversal)) = self.steps.pop() {
            if let Err(error) = reversal() {
                (self.report)(name, &error);
            }
        }
    }
}

impl fmt::Debug for Undo<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.steps.iter().map(|(name, _)| name)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Kind;
    use std::cell::RefCell;

    #[test]
    fn reversals_run_newest_first_and_a_failed_one_does_not_stop_the_rest() {
        let log = RefCell::new(Vec::new());
        let report = |name: &str, _: &Error| log.borrow_mut().push(format!("failed {name}"));
        let mut undo = Undo::new(&report);
        undo.push("first", || {
            log.borrow_mut().push("first".into());
            Ok(())
        });
        undo.push("second", || Err(Error::new(Kind::Internal, "no")));

        drop(undo);

        assert_eq!(*log.borrow(), ["failed second", "first"]);
    }

    #[test]
    fn kept_work_is_not_undone() {
        let undone = RefCell::new(false);
        let report = |_: &str, _: &Error| {};
        let mut undo = Undo::new(&report);
        undo.push("step", || {
            *undone.borrow_mut() = true;
            Ok(())
        });

        undo.keep();

        assert!(!*undone.borrow());
    }
}
