//! The command line of dhow: the one binary, its roles, a file a command, and what is printed.
//!
//! # Roles
//!
//! The binary is four programs. Which one, its name decides before anything else happens (see
//! `role`): the monitor must be the only thread of a small process, and the program in the `hello`
//! image must not look for a home directory.
//!
//! # A command's way
//!
//! ```text
//! arguments ─clap─▶ flags ─parse─▶ options ─▶ one call of the engine or the images ─▶ print
//! ```
//!
//! # What this crate does not know
//!
//! Rules. What a flag means for a container is the engine's business, so that the other doors have
//! the same rules; here flags are read, and answers are shown. This is the only crate that reads
//! the environment, and the only one that writes to standard output.

mod choice;
mod commands;
mod completion;
mod console;
mod containers_conf;
mod elsewhere;
mod env;
mod exit;
mod flags;
#[cfg(any(test, feature = "fuzz"))]
pub mod fuzz;
mod hello;
mod init;
mod invocation;
mod manners;
mod outfile;
mod plugin;
mod prompt;
mod quadlet;
mod render;
mod role;
mod runtime;
mod skopeo;
mod tree;
mod usage;
mod user;

use clap::error::{ContextKind, ContextValue, ErrorKind};
pub use completion::completion;
use console::{Colour, Console, ErrorFormat, Level};
use dhow_base::{Error, Kind};
use env::Environment;
use invocation::{Globals, Invocation};
use manners::Manners;
use role::Role;
use std::{ffi::OsString, mem::ManuallyDrop, process::ExitCode};
use tree::Switches;

/// The whole tree of commands, for manual pages and the reference.
pub fn command() -> clap::Command {
    let mut command = tree::command(Switches::Plain);
    command.build();
    command
}

/// Is what the binary was started as; returns when that is done.
pub fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    match Role::of(&arguments) {
        Role::Monitor => dhow_monitor::main(),
        Role::Init => init::main(&arguments),
        Role::Pause => dhow_monitor::pause_main(&arguments),
        Role::Anchor => dhow_monitor::anchor_main(&arguments),
        Role::Runtime(first) => runtime::main(arguments.get(first..).unwrap_or_default()),
        Role::Skopeo => ExitCode::from(skopeo::main(&arguments)),
        Role::Probe => ExitCode::from(probe(&arguments)),
        Role::Plugin(plugin) => plugin::main(plugin),
        Role::Hello => hello::main(),
        Role::CommandLine(manners) => ExitCode::from(run(&arguments, manners)),
    }
}

fn probe(arguments: &[OsString]) -> u8 {
    let words = arguments.iter().skip(1).map(|word| word.to_string_lossy().into_owned());
    dhow_selftest::probe::main(&words.collect::<Vec<_>>())
}

/// What a command takes of heap and stack, about: all need a tree of flags and an open database. The
/// kernel clears each page, which takes longer than a fault besides: so it is rather what a small one
/// needs than a large one.
const HEAP_BYTES: usize = 320 << 10;
const STACK_BYTES: usize = 64 << 10;

// A frame of its own: those of the monitor lie below that of `main` as long as a container lives.
#[inline(never)]
fn run(arguments: &[OsString], manners: Manners) -> u8 {
    dhow_sys::memory::take_at_once(HEAP_BYTES, STACK_BYTES);
    let environment = Environment::read();
    let plain = |colour| {
        Console::new(colour, Level::Info, environment.no_color, environment.term.as_deref())
            .of(manners)
    };
    let mut matches = match parse(arguments, manners) {
        Ok(matches) => matches,
        Err(error) => {
            let console = plain(Colour::Auto).saying_in(error_format(arguments));
            return report_usage(&error, arguments, console, manners);
        }
    };
    // Taken out, not copied with all that the command is given.
    let chosen = tree::taken(&mut matches);
    let globals = Globals::of(&matches);
    let console = Console::new(
        globals.color,
        globals.log_level,
        environment.no_color,
        environment.term.as_deref(),
    )
    .saying_in(globals.error_format)
    .of(manners);
    if let Err(error) = manners.check(&matches, console) {
        console.error(&error);
        return exit::OWN_FAILURE;
    }
    let Some((entry, mut inner)) = chosen else {
        console.error(&Error::new(Kind::Invalid, "the command is missing"));
        return exit::failure(manners);
    };
    let mut invocation = Invocation::new(globals, environment, console);
    invocation.arguments = arguments.to_vec();
    invocation.manners = manners;
    match entry.enter(&invocation).and_then(|()| entry.act(&mut inner, &invocation)) {
        Ok(code) => code,
        // Who closed our standard output has read all that they wanted: `dhow ps | head`.
        Err(error) if error.errno() == Some(EPIPE) => exit::FAILURE,
        Err(error) => {
            console.error(&error);
            exit::code_of(&error, entry.own_failure.max(exit::failure(manners)))
        }
    }
}

const EPIPE: i32 = rustix::io::Errno::PIPE.raw_os_error();

/// First by a tree of nothing but the commands that are named, without and then with the flags that
/// are seldom given, which grows in a fraction of the time; whatever that does not understand is for
/// the whole one to judge, or to help with. No tree is taken down again, which would take a fifth of
/// the time that it took to grow.
fn parse(arguments: &[OsString], manners: Manners) -> Result<clap::ArgMatches, clap::Error> {
    for switches in [Switches::Brief, Switches::Plain] {
        let Some(named) = tree::command_named_in(arguments, switches) else { break };
        let mut named = ManuallyDrop::new(manners.declare(named));
        if let Ok(matches) = named.try_get_matches_from_mut(arguments) {
            return Ok(matches);
        }
    }
    parse_by_all(arguments, manners)
}

/// The plain tree first: it is the quicker one, and its help is the readable one.
fn parse_by_all(arguments: &[OsString], manners: Manners) -> Result<clap::ArgMatches, clap::Error> {
    let tree = |switches| manners.declare(tree::command(switches));
    let mut plain = ManuallyDrop::new(tree(Switches::Plain));
    plain.try_get_matches_from_mut(arguments).or_else(|error| {
        if let Some(asked) = as_flag(&error, arguments) {
            plain.try_get_matches_from_mut(asked)
        } else if error.use_stderr() {
            tree(Switches::WithValues).try_get_matches_from(arguments).map_err(|_| error)
        } else {
            Err(error)
        }
    })
}

/// `dhow help container ls` is `dhow container ls --help`; nothing where no help is asked for so.
fn as_flag(error: &clap::Error, arguments: &[OsString]) -> Option<Vec<OsString>> {
    let is_help =
        |value: &ContextValue| matches!(value, ContextValue::String(name) if name == "help");
    error.get(ContextKind::InvalidSubcommand).filter(|value| is_help(value))?;
    let place = arguments.iter().position(|word| word == "help")?;
    let (before, after) = arguments.split_at(place);
    let rest = after.iter().skip(1).cloned();
    Some(before.iter().cloned().chain(rest).chain([OsString::from("--help")]).collect())
}

/// How errors are to be said, where the command line as a whole makes no sense.
fn error_format(arguments: &[OsString]) -> ErrorFormat {
    let is_json = arguments.windows(2).any(|pair| pair[0] == "--error-format" && pair[1] == "json")
        || arguments.iter().any(|word| word == "--error-format=json");
    if is_json { ErrorFormat::Json } else { ErrorFormat::Text }
}

fn report_usage(
    error: &clap::Error,
    arguments: &[OsString],
    console: Console,
    manners: Manners,
) -> u8 {
    match error.kind() {
        // Clap's own writer knows whether standard output can show colours.
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => printed(error.print()),
        // Clap takes it for an error; who types `dhow` alone wants to know what there is.
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            printed(console.print(error.to_string()))
        }
        ErrorKind::MissingSubcommand => {
            printed(console.print(tree::command(Switches::Plain).render_help().to_string()))
        }
        _ => {
            let misuse = usage::explain(error, &tree::words(arguments));
            console.error(&misuse.error);
            misuse.code.max(exit::failure(manners))
        }
    }
}

fn printed<E>(result: Result<(), E>) -> u8 {
    result.map_or(exit::FAILURE, |()| exit::SUCCESS)
}
