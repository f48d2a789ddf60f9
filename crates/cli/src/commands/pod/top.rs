//! `pod top`: the processes of all containers of a pod.

use super::super::top::table;
use crate::{exit::SUCCESS, flags::refuse, invocation::Invocation, tree::Act};
use dhow_base::{Error, Kind, Result};
use dhow_state::containers::Phase;

/// Show the processes of all containers of a pod
///
/// With the columns that `dhow top` has, and takes.
#[derive(clap::Args, Debug)]
pub(crate) struct Top {
    /// The pod, by name or id; then options of ps, or fields
    #[arg(value_name = "POD", num_args = 0.., trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<String>,

    /// The newest pod
    #[arg(short, long)]
    latest: bool,
}

impl Act for Top {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let mut words = self.words.into_iter();
        let mut engine = invocation.engine()?;
        let pod = match self.latest {
            true => engine.pods()?.into_iter().next(),
            false => words.next().map(|pod| engine.pod(&pod)).transpose()?,
        };
        let pod = pod.ok_or_else(|| {
            refuse("POD", "", "no pod is named").hint("`dhow pod ps` lists all pods")
        })?;
        let mut pids = Vec::new();
        for member in pod.members.iter().filter(|member| member.phase == Phase::Running) {
            match engine.processes(member.id.as_str()) {
                Ok(of_member) => pids.extend(of_member),
                // It has just ended.
                Err(error) if error.kind() == Kind::Conflict => {}
                Err(error) => return Err(error),
            }
        }
        if pids.is_empty() {
            let text = format!("nothing of pod {} runs", pod.name);
            return Err(Error::new(Kind::Conflict, text).hint("`dhow pod start` starts it"));
        }
        pids.sort_unstable();
        invocation.console.print(table(&pids, &words.collect::<Vec<_>>())?)?;
        Ok(SUCCESS)
    }
}
