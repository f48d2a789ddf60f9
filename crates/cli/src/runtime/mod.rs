//! The OCI runtime under its own command line, which is runc's: `dhow runtime …`, or a link to the
//! binary that is called `dhow-runtime`. Podman, docker, containerd and others drive it by that.
//!
//! ```text
//!   dhow runtime create --bundle B ID ─▶ start ID ─▶ kill ID ─▶ delete ID
//! ```
//!
//! Errors go to standard error and, where `--log` names a file, there too: engines show their users
//! the last line of it. Failures end with 1, as runc's do, so that 125 to 127 stay the engine's.

mod driver;
mod exec;
mod life;
mod run;

use crate::{
    console::{Colour, Console, Level},
    env::Environment,
    exit::{FAILURE, SUCCESS},
    usage,
};
use clap::{Parser, Subcommand, error::ErrorKind};
use dhow_base::{Doing, Error, Result, clock::Moment};
use dhow_runtime::shelf::Shelf;
use dhow_sys::seal;
use serde_json::json;
use std::{
    ffi::OsString,
    fs::OpenOptions,
    io::Write,
    os::{fd::AsRawFd, unix::process::CommandExt},
    path::{Path, PathBuf},
    process::{Command as Program, ExitCode},
};

/// The name under which the binary is the runtime.
pub(crate) const NAME: &str = "dhow-runtime";

/// Run containers from OCI bundles
#[derive(Parser, Debug)]
#[command(
    name = NAME,
    bin_name = NAME,
    version,
    disable_version_flag = true,
    disable_help_subcommand = true
)]
struct Line {
    /// Keep records in this directory
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,

    /// Write errors to this file too
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,

    /// Write the file's lines as text or json
    #[arg(long, value_name = "FORMAT", default_value = "text", value_parser = ["text", "json"])]
    log_format: String,

    /// Let systemd make cgroups; cgroupsPath is slice:prefix:name then
    #[arg(long)]
    systemd_cgroup: bool,

    /// Accepted for runc's sake: there is nothing more to say
    #[arg(long)]
    debug: bool,

    /// Print the version
    #[arg(short, long, action = clap::ArgAction::Version)]
    version: (),

    #[command(subcommand)]
    command: Command,
}

/// What the runtime does.
#[derive(Subcommand, Debug)]
enum Command {
    Create(life::Create),
    Start(life::Start),
    State(life::State),
    Kill(life::Kill),
    Delete(life::Delete),
    List(life::List),
    Pause(life::Pause),
    Resume(life::Resume),
    Exec(exec::Exec),
    Run(run::Run),
    Spec(life::Template),
}

/// Does what the arguments say; the first is the name.
pub(crate) fn main(arguments: &[OsString]) -> ExitCode {
    let environment = Environment::read();
    let console =
        Console::new(Colour::Auto, Level::Info, environment.no_color, environment.term.as_deref());
    let line = match Line::try_parse_from(arguments) {
        Ok(line) => line,
        Err(error) => return misused(&error, console),
    };
    match line.act(arguments, &environment, console) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            console.error(&error);
            line.write_log(&error);
            ExitCode::from(FAILURE)
        }
    }
}

fn misused(error: &clap::Error, console: Console) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayHelp
        | ErrorKind::DisplayVersion
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let printed = error.print();
            ExitCode::from(if printed.is_ok() { SUCCESS } else { FAILURE })
        }
        _ => {
            console.error(&usage::explain(error, "runtime").error);
            ExitCode::from(FAILURE)
        }
    }
}

impl Line {
    fn act(
        &self,
        arguments: &[OsString],
        environment: &Environment,
        console: Console,
    ) -> Result<u8> {
        if matches!(self.command, Command::Create(_) | Command::Exec(_) | Command::Run(_)) {
            seal(arguments)?;
        }
        let shelf = Shelf::new(&self.root(environment));
        let driver = driver::chosen(self.systemd_cgroup, environment);
        match &self.command {
            Command::Create(create) => create.act(&shelf, &driver),
            Command::Start(start) => start.act(&shelf),
            Command::State(state) => state.act(&shelf, console),
            Command::Kill(kill) => kill.act(&shelf),
            Command::Delete(delete) => delete.act(&shelf),
            Command::List(list) => list.act(&shelf, console),
            Command::Pause(pause) => pause.act(&shelf),
            Command::Resume(resume) => resume.act(&shelf),
            Command::Exec(exec) => exec.act(&shelf),
            Command::Run(run) => run.act(&shelf, &driver),
            Command::Spec(template) => template.act(console),
        }
    }

    fn root(&self, environment: &Environment) -> PathBuf {
        let usual = || {
            let below = match &environment.runtime_dir {
                // Podman without root calls us as the root of its user namespace.
                Some(directory) if dhow_runtime::is_ordinary_user() => directory.as_path(),
                _ => Path::new("/run"),
            };
            below.join(NAME)
        };
        self.root.clone().unwrap_or_else(usual)
    }

    /// The log is for the engine above; where it cannot be written, standard error has said it all.
    fn write_log(&self, error: &Error) {
        let Some(path) = &self.log else { return };
        let text = error.one_line();
        let line = if self.log_format == "json" {
            json!({"level": "error", "msg": text, "time": Moment::now().rfc3339()}).to_string()
        } else {
            format!("time={:?} level=error msg={text:?}", Moment::now().rfc3339())
        };
        let opened = OpenOptions::new().append(true).create(true).open(path);
        let _written = opened.and_then(|mut log| log.write_all(format!("{line}\n").as_bytes()));
    }
}

/// Goes on as a copy of this binary that no container can write to, unless this is one.
///
/// A process in a container sees the program of the runtime that is about to become it
/// (CVE-2019-5736).
fn seal(arguments: &[OsString]) -> Result<()> {
    let doing = || "seal our own binary";
    if seal::is_sealed().doing(doing)? {
        return Ok(());
    }
    let sealed = seal::read_only_mount().or_else(|_| seal::sealed_copy()).doing(doing)?;
    let path = format!("/proc/self/fd/{}", sealed.as_raw_fd());
    let error = Program::new(path).arg0(NAME).args(arguments.iter().skip(1)).exec();
    Err(error).doing(|| "run our own sealed binary")
}
