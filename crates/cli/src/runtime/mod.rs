//! The OCI runtime under its own command line, which is runc's: `dhow runtime …`, or a link to the
//! binary that is called `dhow-runtime` (or `runc`). Podman, docker, containerd and others drive it
//! by that.
//!
//! ```text
//!   dhow runtime create --bundle B ID ─▶ start ID ─▶ kill ID ─▶ delete ID
//! ```
//!
//! Failures end with 1, as runc's do, so that 125 to 127 stay the engine's; those of `exec` with
//! 255. A file a command: its table of flags, and one call of the runtime.

mod checkpoint;
mod create;
mod delete;
mod driver;
mod events;
mod exec;
mod features;
mod foreground;
mod grammar;
mod help;
mod kill;
mod list;
mod log;
pub(crate) mod notify;
mod pause;
pub(crate) mod ps;
pub(crate) mod ps_table;
mod restore;
mod run;
mod spec;
mod start;
mod state;
mod update;

use crate::{
    console::{Colour, Console, Level},
    env::Environment,
    exit::{FAILURE, SUCCESS},
};
use dhow_base::{Doing, Result};
use dhow_runtime::shelf::Shelf;
use dhow_sys::seal;
use grammar::{Flag, Read, Stop, Words, misused, switch, value};
use log::Log;
use std::{
    ffi::OsString,
    ops::RangeInclusive,
    os::{fd::AsRawFd, unix::process::CommandExt},
    path::{Path, PathBuf},
    process::{Command as Program, ExitCode},
};

/// The name under which the binary is the runtime.
const NAME: &str = "dhow-runtime";

/// The names under which it is, that of the runtime whose command line this is among them.
pub(crate) const NAMES: [&str; 2] = [NAME, "runc"];

/// Flags before the command.
const GLOBALS: [Flag; 9] = [
    switch("debug", "", "Accepted for runc's sake: there is nothing more to say"),
    value("log", "", "FILE", "Write messages to this file"),
    value("log-format", "", "FORMAT", "Write them as text (the default) or json"),
    value("root", "", "DIR", "Keep records in this directory, which a reboot should empty"),
    value("criu", "", "PATH", "The criu that writes containers down and makes them again"),
    switch("systemd-cgroup", "", "Let systemd make cgroups; cgroupsPath is slice:prefix:name"),
    value("cgroup-manager", "", "NAME", "Say who makes cgroups: cgroupfs, systemd or disabled"),
    value("rootless", "", "WHEN", "Go without cgroups where there is no right: true, false, auto"),
    switch("version", "v", "Print the version"),
];

/// A command of the table.
#[derive(Debug)]
struct Command {
    name: &'static str,
    about: &'static str,
    /// What the help calls the arguments.
    arguments: &'static str,
    count: RangeInclusive<usize>,
    flags: &'static [&'static [Flag]],
    stop: Stop,
    /// What a failure ends with.
    failure: u8,
    touches: Touches,
    act: fn(&Call<'_>) -> Result<u8>,
}

/// Whether a command's process gets into a container's sight.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Touches {
    Container,
    Nothing,
}

/// All of them, in the order of the help.
const COMMANDS: [&Command; 17] = [
    &create::COMMAND,
    &start::COMMAND,
    &run::COMMAND,
    &exec::COMMAND,
    &kill::COMMAND,
    &delete::COMMAND,
    &state::COMMAND,
    &list::COMMAND,
    &ps::COMMAND,
    &events::COMMAND,
    &pause::PAUSE,
    &pause::RESUME,
    &update::COMMAND,
    &checkpoint::COMMAND,
    &restore::COMMAND,
    &spec::COMMAND,
    &features::COMMAND,
];

/// What a command is given.
#[derive(Debug)]
struct Call<'a> {
    /// The command's name.
    command: &'static str,
    words: Words,
    globals: &'a Words,
    environment: &'a Environment,
    shelf: Shelf,
    console: Console,
    log: &'a Log,
}

/// Does what the arguments say; the first is the name.
pub(crate) fn main(arguments: &[OsString]) -> ExitCode {
    let environment = Environment::read();
    let console =
        Console::new(Colour::Auto, Level::Info, environment.no_color, environment.term.as_deref());
    let read = texts(arguments).and_then(|words| {
        let read =
            grammar::read(&[&GLOBALS], words.get(1..).unwrap_or_default(), Stop::AfterFirst)?;
        Ok((words, read))
    });
    let (name, globals) = match read {
        Ok((words, Read::Words(globals))) => (own_name(&words), globals),
        Ok((words, Read::Help)) => return printed(console, &help::of_all(own_name(&words))),
        Err(error) => {
            Log::plain(console).error(&error);
            return ExitCode::from(FAILURE);
        }
    };
    if globals.is_on("version") {
        return printed(console, &help::version(name));
    }
    let Some((word, rest)) = globals.arguments.split_first() else {
        return printed(console, &help::of_all(name));
    };
    let command = COMMANDS.into_iter().find(|command| command.name == word);
    let log = match Log::of(&globals, console) {
        Ok(log) => log,
        Err(error) => {
            Log::plain(console).error(&error);
            return ExitCode::from(FAILURE);
        }
    };
    let done = match command {
        Some(command) => obey(command, (name, rest), arguments, &globals, &environment, &log),
        None if word == "help" => console.print(help::of_all(name)).map(|()| SUCCESS),
        None => Err(misused(format!("{name}: there is no command {word:?}"))),
    };
    match done {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            log.error(&error);
            ExitCode::from(command.map_or(FAILURE, |command| command.failure))
        }
    }
}

fn printed(console: Console, text: &str) -> ExitCode {
    ExitCode::from(console.print(text).map_or(FAILURE, |()| SUCCESS))
}

/// Records and programs are JSON, so what is no text cannot be meant.
fn texts(arguments: &[OsString]) -> Result<Vec<String>> {
    let text = |word: &OsString| {
        word.to_str().map(str::to_owned).ok_or_else(|| misused(format!("{word:?} is not UTF-8")))
    };
    arguments.iter().map(text).collect()
}

/// What the runtime calls itself: what it was called, where that was one of its names.
fn own_name(words: &[String]) -> &'static str {
    let called = words.first().map(Path::new).and_then(Path::file_name);
    NAMES.into_iter().find(|own| called.is_some_and(|called| called == *own)).unwrap_or(NAME)
}

fn obey(
    command: &Command,
    (name, words): (&'static str, &[String]),
    arguments: &[OsString],
    globals: &Words,
    environment: &Environment,
    log: &Log,
) -> Result<u8> {
    let console = log.console();
    let words = match grammar::read(command.flags, words, command.stop)? {
        Read::Words(words) => words,
        Read::Help => return console.print(help::of(name, command)).map(|()| SUCCESS),
    };
    check_count(name, command, words.arguments.len())?;
    if command.touches == Touches::Container {
        seal(name, arguments)?;
    }
    check_globals(globals)?;
    let shelf = Shelf::new(&root(globals, environment)?);
    (command.act)(&Call { command: command.name, words, globals, environment, shelf, console, log })
}

fn check_count(name: &str, command: &Command, count: usize) -> Result<()> {
    if command.count.contains(&count) {
        return Ok(());
    }
    let (least, most) = (command.count.start(), command.count.end());
    let wanted = match () {
        () if least == most => format!("exactly {least}"),
        () if count < *least => format!("a minimum of {least}"),
        () => format!("a maximum of {most}"),
    };
    Err(misused(format!("{name}: {:?} requires {wanted} argument(s)", command.name)))
}

fn check_globals(globals: &Words) -> Result<()> {
    if let Some(text) = globals.filled("rootless")
        && !matches!(text, "auto" | "true" | "false" | "1" | "0")
    {
        return Err(grammar::bad("rootless", text, "not true, false or auto"));
    }
    if let Some(text) = globals.filled("cgroup-manager")
        && !driver::MANAGERS.contains(&text)
    {
        return Err(grammar::bad("cgroup-manager", text, "not cgroupfs, systemd or disabled"));
    }
    Ok(())
}

/// Where records are: as the user says, or where the machine's running things are.
fn root(globals: &Words, environment: &Environment) -> Result<PathBuf> {
    let usual = || match &environment.runtime_dir {
        // Podman without root calls us as the root of its user namespace.
        Some(directory) if dhow_runtime::is_ordinary_user() => directory.join(NAME),
        _ => Path::new("/run").join(NAME),
    };
    absolute(&globals.filled("root").map_or_else(usual, PathBuf::from))
}

/// Other processes read the path later, from elsewhere.
fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).doing(|| format!("find the directory {}", path.display()))
}

/// Goes on as a copy of this binary that no container can write to, unless this is one.
///
/// A process in a container sees the program of the runtime that is about to become it
/// (CVE-2019-5736).
fn seal(name: &str, arguments: &[OsString]) -> Result<()> {
    let doing = || "seal our own binary";
    if seal::is_sealed().doing(doing)? {
        return Ok(());
    }
    let sealed = seal::read_only_mount().or_else(|_| seal::sealed_copy()).doing(doing)?;
    let path = format!("/proc/self/fd/{}", sealed.as_raw_fd());
    let error = Program::new(path).arg0(name).args(arguments.iter().skip(1)).exec();
    Err(error).doing(|| "run our own sealed binary")
}
