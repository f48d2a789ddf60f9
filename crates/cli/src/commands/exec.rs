//! `exec`: run one more process in a running container.

use super::session::{End, Link, PIPE_CODE};
use crate::{exit::SUCCESS, flags::process::ProcessFlags, invocation::Invocation, tree::Act};
use dhow_base::{Error, Kind, Result};
use dhow_engine::{ExecOptions, Watch};

const SIGPIPE: i32 = 13;

/// Run a program in a running container
///
/// The exit code is the program's; 125 says that dhow failed, 126 that the program cannot be run,
/// 127 that it is not in the container.
#[derive(clap::Args, Debug)]
#[command(override_usage = "dhow exec [OPTIONS] CONTAINER COMMAND [ARG...]")]
pub(crate) struct Exec {
    #[command(flatten)]
    process: ProcessFlags,

    /// Give the process all rights
    #[arg(long)]
    privileged: bool,

    /// The container, and what to run in it; all that follows belongs to the program
    #[arg(
        required = true,
        num_args = 2..,
        trailing_var_arg = true,
        value_names = ["CONTAINER", "COMMAND"]
    )]
    container_and_command: Vec<String>,
}

impl Act for Exec {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let Self { process, privileged, container_and_command } = self;
        let [container, command @ ..] = &container_and_command[..] else {
            return Err(Error::new(Kind::Invalid, "the container is missing"));
        };
        let link = Link::new(process.interactive, process.tty, &process.detach_keys, true)?;
        let options = ExecOptions {
            command: command.to_vec(),
            env: process.variables(invocation.surroundings())?,
            workdir: process.workdir.clone(),
            user: process.user.clone(),
            interactive: process.interactive,
            tty: process.tty,
            privileged,
        };
        let mut engine = invocation.engine()?;
        let watch = if process.detach { Watch::Detached } else { Watch::Attached };
        let session = engine.exec(container, &options, watch)?;
        if process.detach {
            session.client.detach()?;
            return Ok(SUCCESS);
        }
        link.check(invocation.console);
        match link.run(session.client)? {
            End::Exited(code) => {
                session.traces.remove()?;
                Ok(code)
            }
            End::Left(code) => Ok(code),
            End::OutputClosed(mut client) => {
                client.signal(SIGPIPE)?;
                Ok(PIPE_CODE)
            }
        }
    }
}
