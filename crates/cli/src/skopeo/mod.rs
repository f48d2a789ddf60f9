//! The command line of skopeo: the commands that copy and look at images elsewhere, under the names
//! and with the manners of skopeo.
//!
//! ```text
//! skopeo [flags] copy|delete|inspect|list-tags|manifest-digest|sync …
//! ```
//!
//! The commands themselves are those of `dhow image`; here are the flags before them, what is said
//! while they work, the form of errors, and exit codes: 2 where an image is not there, 1 for
//! everything else.

mod told;

use crate::{
    commands::skopeo as commands,
    console::{Colour, Console, Level},
    env::Environment,
    exit::{FAILURE, SUCCESS},
    flags::foreign::refuse_any,
    invocation::{Globals, Invocation},
    manners::Manners,
    tree::{self, Switches},
};
use clap::{
    ArgAction, ArgMatches, Args, Command, FromArgMatches,
    error::{ContextKind, ContextValue, ErrorKind},
};
use dhow_base::{Error, Kind, Result, clock::Moment};
use dhow_image::PolicyFile;
use dhow_spec::image::Platform;
use std::{
    ffi::OsString,
    io::Write,
    path::{Path, PathBuf},
};
pub(crate) use told::Told;

/// The name under which this is the command line.
pub(crate) const NAME: &str = "skopeo";
/// skopeo's exit code for an image that is not there.
const NOT_FOUND: u8 = 2;

/// Commands of skopeo's that are not here.
const OF_SIGNATURES: [&str; 3] = ["generate-sigstore-key", "standalone-sign", "standalone-verify"];

/// Flags before the command.
#[derive(clap::Args, Debug)]
struct Before {
    /// Not kept: requests have limits of their own
    #[arg(long, value_name = "DURATION", hide = true)]
    command_timeout: Option<String>,

    /// Say more
    #[arg(long)]
    debug: bool,

    /// Ask no policy whom to trust
    #[arg(long)]
    insecure_policy: bool,

    /// Choose images for this processor
    #[arg(long, value_name = "ARCH")]
    override_arch: Option<String>,

    /// Choose images for this system
    #[arg(long, value_name = "OS")]
    override_os: Option<String>,

    /// Choose images for this variant of the processor
    #[arg(long, value_name = "VARIANT")]
    override_variant: Option<String>,

    /// Read this file in place of policy.json
    #[arg(long, value_name = "FILE")]
    policy: Option<String>,

    /// Read this file in place of registries.conf
    #[arg(long, value_name = "FILE", hide = true)]
    registries_conf: Option<PathBuf>,

    /// Refused: signatures are not checked yet
    #[arg(long, hide = true)]
    require_signed: bool,

    /// Refused: what TLS may do is built in
    #[arg(long, value_name = "FILE", hide = true)]
    tls_details: Option<String>,

    /// As the flag of that name after a command, for all places
    #[arg(long, value_name = "BOOL", hide = true)]
    tls_verify: Option<bool>,

    /// Not kept: registries hear of dhow alone
    #[arg(long, value_name = "PREFIX", hide = true)]
    user_agent_prefix: Option<String>,

    /// Refused: there are no stores of signatures yet
    #[arg(long = "registries.d", value_name = "DIR", hide = true)]
    registries_d: Option<String>,

    /// Keep temporary files in this directory
    #[arg(long, value_name = "DIR")]
    tmpdir: Option<PathBuf>,
}

fn command() -> Command {
    let version = clap::Arg::new("version")
        .short('v')
        .long("version")
        .action(ArgAction::Version)
        .help("Version for Skopeo");
    let commands =
        commands::ALL.iter().map(|entry| entry.command(entry.name, Switches::WithValues));
    tree::truths(Before::augment_args(Command::new(NAME)))
        .about("Various operations with container images and container image registries")
        // Scripts look for the second word.
        .version(concat!("version ", env!("CARGO_PKG_VERSION")))
        .disable_version_flag(true)
        .arg(version)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommands(commands)
}

/// Is skopeo; returns the exit code.
pub(crate) fn main(arguments: &[OsString]) -> u8 {
    let environment = Environment::read();
    let matches = match command().try_get_matches_from(arguments) {
        Ok(matches) => matches,
        Err(error) => return misused(&error),
    };
    match run(&matches, environment) {
        Ok(code) => code,
        Err(error) => {
            fatal(&error.one_line());
            // A file that is not there is a failure like others, and so is a login; an image is not.
            let is_image = error.kind() == Kind::NotFound
                && error.errno().is_none()
                && !matches!(matches.subcommand_name(), Some("login" | "logout"));
            if is_image { NOT_FOUND } else { FAILURE }
        }
    }
}

fn run(matches: &ArgMatches, environment: Environment) -> Result<u8> {
    let before = Before::from_arg_matches(matches).map_err(|error| {
        Error::new(Kind::Internal, "read the parsed command line").because(error)
    })?;
    let level = if before.debug { Level::Info } else { Level::Warn };
    let term = environment.term.clone();
    let console = Console::new(Colour::Auto, level, environment.no_color, term.as_deref());
    before.check(console)?;
    let mut environment = environment;
    if let Some(path) = &before.registries_conf {
        environment.registries_conf =
            Some(std::path::absolute(path).unwrap_or_else(|_| path.clone()));
    }
    let mut invocation = Invocation::new(Globals::default(), environment, console);
    invocation.platform = before.platform();
    invocation.tls_verify = before.tls_verify;
    invocation.policy = before.policy(&invocation.directory);
    invocation.tmpdir = before.tmpdir.map(|path| invocation.directory.join(path));
    invocation.manners = Manners::Skopeo;
    let Some((name, inner)) = matches.subcommand() else {
        return Err(Error::new(Kind::Invalid, "the command is missing"));
    };
    let entry = commands::ALL
        .iter()
        .find(|entry| entry.name == name)
        .ok_or_else(|| Error::new(Kind::Internal, format!("find the command {name}")))?;
    entry.act(&mut inner.clone(), &invocation)
}

impl Before {
    /// Refuses or names what somebody would rely on and what is not done.
    fn check(&self, console: Console) -> Result<()> {
        let said = [
            ("--registries.d", self.registries_d.is_some()),
            ("--require-signed", self.require_signed),
        ];
        refuse_any(said, "signatures are not checked yet")?;
        let details = [("--tls-details", self.tls_details.is_some())];
        refuse_any(details, "versions and ciphers of TLS are built in")?;
        if self.user_agent_prefix.is_some() {
            console.warning("--user-agent-prefix: registries hear of dhow alone; it is not sent");
        }
        if self.command_timeout.is_some() {
            console.warning(
                "--command-timeout: requests have limits of their own; this one is not kept",
            );
        }
        Ok(())
    }

    fn policy(&self, directory: &Path) -> Option<PolicyFile> {
        match &self.policy {
            _ if self.insecure_policy => Some(PolicyFile::Nobodys),
            Some(file) => Some(PolicyFile::Named(directory.join(file))),
            None => None,
        }
    }

    fn platform(&self) -> Option<Platform> {
        let Self { override_os: os, override_arch: arch, override_variant: variant, .. } = self;
        if os.is_none() && arch.is_none() && variant.is_none() {
            return None;
        }
        let host = Platform::host();
        Some(Platform {
            os: os.clone().unwrap_or(host.os),
            architecture: arch.clone().unwrap_or(host.architecture),
            variant: variant.clone(),
            os_version: None,
            os_features: Vec::new(),
            features: Vec::new(),
        })
    }
}

fn misused(error: &clap::Error) -> u8 {
    match error.kind() {
        ErrorKind::DisplayHelp
        | ErrorKind::DisplayVersion
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
        | ErrorKind::MissingSubcommand => {
            // Where nobody reads there is nobody to tell.
            let _printed = error.print();
            SUCCESS
        }
        _ => {
            let text = error.to_string();
            let first = text.lines().next().unwrap_or_default();
            match error.get(ContextKind::InvalidSubcommand) {
                Some(ContextValue::String(name)) if OF_SIGNATURES.contains(&name.as_str()) => {
                    fatal(&format!(
                        "{name}: signatures are neither made nor checked yet; the skopeo of containers does both"
                    ));
                }
                _ => fatal(first.strip_prefix("error: ").unwrap_or(first)),
            }
            FAILURE
        }
    }
}

/// One line, in the form of Go's logrus, which scripts look for.
fn fatal(text: &str) {
    logged("fatal", text, &[]);
}

/// The same of what is good to know, with fields.
pub(crate) fn inform(text: &str, fields: &[(&str, &str)]) {
    logged("info", text, fields);
}

fn logged(level: &str, text: &str, fields: &[(&str, &str)]) {
    let time = Moment::now().rfc3339();
    let seconds = time.split('.').next().unwrap_or_default().trim_end_matches('Z');
    let fields: String = fields.iter().map(|(name, value)| format!(" {name}={value:?}")).collect();
    let line = format!("time=\"{seconds}Z\" level={level} msg={text:?}{fields}\n");
    // Where nobody listens on standard error there is nobody to tell of it.
    let _written = std::io::stderr().lock().write_all(line.as_bytes());
}
