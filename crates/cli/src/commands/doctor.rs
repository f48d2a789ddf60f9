//! `doctor`: prove that what exists and what is known are the same.

use crate::{
    exit::{FAILURE, SUCCESS},
    invocation::Invocation,
    tree::Act,
};
use dhow_base::Result;
use dhow_engine::{Depth, Finding};

/// Prove that nothing is broken or left behind
///
/// Mends what killed commands have left, then compares the database with the disk, both ways.
/// Prints what does not fit, one line each, and ends with 1 where there is anything.
#[derive(clap::Args, Debug)]
pub(crate) struct Doctor {
    /// Hash every blob again
    #[arg(long)]
    content: bool,

    /// First remove what no row names, and let go of images that are not whole
    #[arg(long)]
    repair: bool,

    /// Print as text, or as json (one object a line)
    #[arg(long, value_name = "FORMAT", value_parser = ["text", "json"], default_value = "text")]
    format: String,
}

impl Act for Doctor {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let depth = if self.content { Depth::Content } else { Depth::Names };
        Examination { depth, repair: self.repair, json: self.format == "json" }.run(invocation)
    }
}

/// What `doctor` and `system check` do.
pub(super) struct Examination {
    pub(super) depth: Depth,
    pub(super) repair: bool,
    pub(super) json: bool,
}

impl Examination {
    pub(super) fn run(&self, invocation: &Invocation) -> Result<u8> {
        let mut engine = invocation.engine()?;
        if self.repair {
            for done in engine.repair(self.depth)? {
                self.say(invocation, "repaired", &done)?;
            }
        }
        let findings = engine.doctor(self.depth)?;
        for finding in &findings {
            self.say(invocation, "broken", finding)?;
        }
        if !findings.is_empty() {
            return Ok(FAILURE);
        }
        if !self.json {
            invocation.console.line("all is well")?;
        }
        Ok(SUCCESS)
    }

    fn say(&self, invocation: &Invocation, status: &str, finding: &Finding) -> Result<()> {
        let Finding { object, problem } = finding;
        if self.json {
            let line =
                serde_json::json!({ "object": object, "problem": problem, "status": status });
            return invocation.console.print(format!("{line}\n"));
        }
        invocation.console.line(&format!("{object}: {problem}"))
    }
}
