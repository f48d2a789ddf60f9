//! `run`: create a container, start it, and stay with it until it ends.

use super::{
    create::{self, CidFile},
    readiness, rehearse,
    session::{End, Link, PIPE_CODE},
};
use crate::{
    exit::SUCCESS,
    flags::{container::ContainerFlags, descriptors::DescriptorFlags, network_defaults},
    invocation::Invocation,
    tree::Act,
};
use dhow_base::{Error, Kind, Result};
use dhow_engine::{Engine, Running, StopOptions, Watch};

/// A program whose output nobody reads gets so long to end before it is killed.
const UNREAD_GRACE_SECONDS: i64 = 1;

/// Run a program in a new container
///
/// The image is fetched where it is not here. The exit code is the program's; 125 says that dhow
/// failed, 126 that the program cannot be run, 127 that it is not in the container.
#[derive(clap::Args, Debug)]
#[command(override_usage = "dhow run [OPTIONS] IMAGE [COMMAND] [ARG...]")]
pub(crate) struct Run {
    /// Pass signals on to the program
    #[arg(long, value_name = "BOOL", default_value_t = true)]
    sig_proxy: bool,

    /// Show only this stream of the program: stdout or stderr (can be repeated, also with stdin; with
    /// stdin alone its id is shown)
    #[arg(short, long, value_name = "STREAM", conflicts_with = "detach")]
    attach: Vec<String>,

    /// Print the configuration that a run would make, with the origin of each field; make nothing
    #[arg(long)]
    dry_run: bool,

    /// Print what --dry-run prints as json
    #[arg(long, value_name = "FORMAT", requires = "dry_run")]
    format: Option<String>,

    /// Remove the container and its image when the program ends; an image that others use stays
    #[arg(long)]
    rmi: bool,

    #[command(flatten)]
    descriptors: DescriptorFlags,

    #[command(flatten)]
    container: ContainerFlags,
}

impl Act for Run {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let preserve_fds = self.descriptors.count()?;
        if self.dry_run {
            rehearse::print(&self.container, self.format.as_deref(), invocation)?;
            return Ok(SUCCESS);
        }
        let conf = invocation.containers_conf()?;
        let flags = &self.container.with_defaults(&conf, invocation.surroundings())?;
        let mut options = flags.options(invocation.surroundings())?;
        (options.life.command_line, options.life.directory) = invocation.command_line();
        options.life.preserve_fds = preserve_fds;
        if self.rmi && options.directory.is_some() {
            let text = "--rmi with --rootfs: the directory is no image, and stays";
            return Err(Error::new(Kind::Invalid, text).hint("--rm removes the container alone"));
        }
        options.life.remove_image = self.rmi;
        options.auto_remove |= self.rmi;
        let process = &flags.process;
        let asked = options.life.readiness;
        readiness::check(asked, !process.detach)?;
        let link = Link::new(
            process.interactive,
            process.tty,
            process.detach_keys.as_deref(),
            self.sig_proxy && !process.detach,
        )?
        .attached(&self.attach)?;
        let cid_file = CidFile::check(flags.cidfile.as_deref(), invocation)?;
        let mut engine =
            invocation.last_engine(flags.pulling.registries(invocation)?, options.purpose())?;
        network_defaults::apply(&conf, &mut engine)?;
        let choice = create::choose_image(&engine, &mut options)?;
        let watch = if process.detach { Watch::Detached } else { Watch::Attached };
        create::make_room(&mut engine, flags)?;
        let mut running = engine.run(&options, watch, &invocation.progress(flags.quiet))?;
        choice.keep(engine.images().0, invocation.console);
        cid_file.write(&running.id)?;
        readiness::tell(&mut engine, &mut running, asked, !process.detach, invocation)?;
        if process.detach {
            running.client.detach()?;
            invocation.console.line(running.id.as_str())?;
            return Ok(SUCCESS);
        }
        link.check(invocation.console);
        // Who gives it its input only is told where its output is.
        if link.is_blind() {
            invocation.console.line(running.id.as_str())?;
        }
        stay(&mut engine, running, link)
    }
}

/// Stays with a container until it ends or the user leaves, and writes down how it ended.
pub(super) fn stay(engine: &mut Engine, running: Running, link: Link) -> Result<u8> {
    let Running { id, client, monitor, begun_here, held_signals, .. } = running;
    let end = link.run(client)?;
    drop(held_signals);
    match end {
        End::Exited(exit, client) => {
            match begun_here {
                true => engine.finish_watched(&id, monitor, exit, client)?,
                false => engine.finish(&id, monitor)?,
            }
            Ok(exit.code)
        }
        End::Left(code) => Ok(code),
        End::OutputClosed(client) => {
            // A plain program would die of SIGPIPE now. The first process of a container ignores
            // that signal unless it has a handler, so it is asked to end, and then made to.
            drop(client);
            let grace = StopOptions { timeout_seconds: Some(UNREAD_GRACE_SECONDS), signal: None };
            engine.stop(id.as_str(), &grace)?;
            Ok(PIPE_CODE)
        }
    }
}
