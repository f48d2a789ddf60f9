//! `exec`: run one more process in a running container.

use super::{
    session::{End, Link, PIPE_CODE, detach_keys},
    update,
};
use crate::{
    exit::{SUCCESS, failure},
    flags::{descriptors::DescriptorFlags, process::ProcessFlags, refuse},
    invocation::Invocation,
    tree::Act,
};
use dhow_base::{Error, Kind, Result, file};
use dhow_engine::{ExecOptions, Purpose, Session, Watch};

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

    #[command(flatten)]
    descriptors: DescriptorFlags,

    /// Give the process all rights
    #[arg(long)]
    privileged: bool,

    /// Use the container that was created last
    #[arg(short, long)]
    latest: bool,

    /// Use the container whose id is in this file
    #[arg(long, value_name = "FILE")]
    cidfile: Option<String>,

    /// The container, and what to run in it; all that follows belongs to the program
    #[arg(
        required = true,
        num_args = 1..,
        trailing_var_arg = true,
        value_names = ["CONTAINER", "COMMAND"]
    )]
    container_and_command: Vec<String>,
}

impl Act for Exec {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let preserve_fds = self.descriptors.count()?;
        let Self { process, privileged, latest, cidfile, container_and_command, .. } = self;
        let (named, command) = match (&cidfile, latest) {
            (Some(path), true) => {
                return Err(refuse("--cidfile", path, "it does not go with --latest"));
            }
            (Some(path), false) => (vec![id_in(path, invocation)?], &container_and_command[..]),
            (None, true) => (Vec::new(), &container_and_command[..]),
            (None, false) => {
                let (container, command) = container_and_command.split_at(1);
                (container.to_vec(), command)
            }
        };
        if command.is_empty() {
            let text = "exec: an argument is missing: COMMAND, what to run in the container";
            let error = Error::new(Kind::Invalid, text).hint("`dhow exec --help` lists the flags");
            // Docker's code for what clap would have found out.
            invocation.console.error(&error);
            return Ok(failure(invocation.manners));
        }
        let keys = detach_keys(process.detach_keys.as_deref(), process.tty, invocation)?;
        let link = Link::new(process.interactive, process.tty, keys.as_deref(), true)?;
        let options = ExecOptions {
            command: command.to_vec(),
            env: process.variables(invocation.surroundings())?,
            workdir: process.workdir.clone(),
            user: process.user.clone(),
            interactive: process.interactive,
            tty: process.tty,
            privileged,
            preserve_fds,
        };
        let mut engine = invocation.last_engine(invocation.registries(), Purpose::Start)?;
        let containers = update::named_or_latest(&mut engine, named, latest)?;
        let container = containers.first().map(String::as_str).unwrap_or_default();
        let watch = if process.detach { Watch::Detached } else { Watch::Attached };
        let Session { client, container, id } = engine.exec(container, &options, watch)?;
        if process.detach {
            client.detach()?;
            return Ok(SUCCESS);
        }
        link.check(invocation.console);
        match link.run(client)? {
            End::Exited(exit, _) => {
                // What the program says with its code is not to get lost for an event.
                if let Err(error) = engine.tell_session_end(&container, &id, exit.code) {
                    invocation.console.warning(&error.one_line());
                }
                Ok(exit.code)
            }
            End::Left(code) => Ok(code),
            End::OutputClosed(mut client) => {
                match client.signal(SIGPIPE) {
                    // It has ended by itself meanwhile.
                    Err(error) if error.kind() == Kind::Unavailable => {}
                    signalled => signalled?,
                }
                Ok(PIPE_CODE)
            }
        }
    }
}

/// The id that `run --cidfile` has written.
fn id_in(path: &str, invocation: &Invocation) -> Result<String> {
    let place = invocation.surroundings().absolute(path);
    let bytes = file::read_limited(&place, 4096)
        .map_err(|error| refuse("--cidfile", path, error.one_line()).kinded(error.kind()))?;
    let text = String::from_utf8_lossy(&bytes);
    match text.trim() {
        "" => Err(refuse("--cidfile", path, "the file is empty")),
        id => Ok(id.to_owned()),
    }
}
