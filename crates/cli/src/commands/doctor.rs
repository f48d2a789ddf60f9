//! `doctor`: prove that what exists and what is known are the same.

use crate::{
    exit::{FAILURE, SUCCESS},
    invocation::Invocation,
    tree::Act,
};
use dhow_base::Result;

/// Prove that nothing is broken or left behind
///
/// Mends what killed commands have left, then compares the database with the disk, both ways.
/// Prints what does not fit, one line each, and ends with 1 where there is anything.
#[derive(clap::Args, Debug)]
pub(crate) struct Doctor {}

impl Act for Doctor {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let findings = invocation.engine()?.doctor()?;
        for finding in &findings {
            invocation.console.line(&format!("{}: {}", finding.object, finding.problem))?;
        }
        if findings.is_empty() {
            invocation.console.line("all is well")?;
            return Ok(SUCCESS);
        }
        Ok(FAILURE)
    }
}
