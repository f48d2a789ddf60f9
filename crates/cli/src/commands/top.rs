//! `top`: the processes of a container, seen from the host: the image needs no `ps`.

mod fields;

use super::several;
use crate::{exit::SUCCESS, invocation::Invocation, manners::Manners, runtime, tree::Act};
use dhow_base::Result;
use fields::Field;

/// Show the processes of a container
///
/// With the columns of `ps -ef`, those that options of the host's `ps` ask for, as docker has it, or
/// podman's fields with commas: args, comm, etime, group, hpid, nice, pcpu, pgid, pid, ppid, rgroup,
/// rss, ruser, state, stime, time, tty, uid, user and vsz.
#[derive(clap::Args, Debug)]
pub(crate) struct Top {
    /// The container, by name or id; then options of ps, or fields
    #[arg(value_name = "CONTAINER", num_args = 0.., trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<String>,

    /// The newest container
    #[arg(short, long)]
    latest: bool,
}

impl Act for Top {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let mut words = self.words.into_iter();
        let named = if self.latest { None } else { words.next() };
        if named.is_none() && !self.latest {
            return Err(crate::flags::refuse("CONTAINER", "", "no container is named")
                .hint("`dhow ps` lists those that run"));
        }
        let mut options: Vec<String> = words.collect();
        if options.is_empty() && invocation.manners == Manners::Podman {
            options.push(fields::USUAL.to_owned());
        }
        let mut engine = invocation.engine()?;
        let container = several::one(&mut engine, named)?;
        let pids = engine.processes(&container)?;
        invocation.console.print(table(&pids, &options)?)?;
        Ok(SUCCESS)
    }
}

/// Processes, with the fields or in the way of the host's `ps` that the words ask for.
pub(super) fn table(pids: &[i32], words: &[String]) -> Result<String> {
    match Field::parse_all(words) {
        Some(fields) => Ok(fields::table(pids, &fields)),
        None => runtime::ps::table(pids, words),
    }
}
