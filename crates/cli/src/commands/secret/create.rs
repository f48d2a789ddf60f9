//! `secret create`: make a secret.

use crate::{
    env,
    exit::SUCCESS,
    flags::{pairs, refuse},
    invocation::Invocation,
    tree::Act,
};
use dhow_base::{Doing, Error, Kind, Result, file};
use dhow_engine::SecretOptions;
use std::io::{self, Read};

/// More than any secret has, so that one that is too large is told to be.
const LIMIT_BYTES: u64 = 1 << 20;

/// Make a secret of a file, of standard input or of a variable
///
/// Prints its id. Containers that were created with an earlier content keep it.
#[derive(clap::Args, Debug)]
pub(crate) struct Create {
    /// The name
    #[arg(value_name = "NAME")]
    name: String,

    /// The file; - for standard input; with --env the variable
    #[arg(value_name = "FILE")]
    source: String,

    /// Keep it by this driver; there is file
    #[arg(short, long, value_name = "DRIVER", default_value = "file")]
    driver: String,

    /// Refused: the file driver has no options
    #[arg(long, value_name = "NAME=VALUE", hide = true)]
    driver_opts: Vec<String>,

    /// Take the value of a variable of ours
    #[arg(long)]
    env: bool,

    /// Add a label
    #[arg(short, long, value_name = "KEY[=VALUE]")]
    label: Vec<String>,

    /// Take the place of a secret of this name
    #[arg(long)]
    replace: bool,

    /// Leave a secret of this name as it is, and print its id
    #[arg(long, conflicts_with = "replace")]
    ignore: bool,
}

impl Act for Create {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        if self.driver != "file" {
            return Err(refuse("--driver", &self.driver, "there is no such driver")
                .hint("there is file, which keeps a secret in a file that root alone reads"));
        }
        if let Some(option) = self.driver_opts.first() {
            return Err(refuse("--driver-opts", option, "the file driver has no options"));
        }
        let name = self.name.parse().map_err(|error: Error| {
            refuse("NAME", &self.name, "that cannot be the name of a secret")
                .hint(error.innermost_hint().unwrap_or("choose another name").to_owned())
        })?;
        let labels =
            self.label.iter().map(|text| pairs::parse("--label", text)).collect::<Result<_>>()?;
        let content = self.content(invocation)?;
        let options = SecretOptions { name, content, labels, replace: self.replace };
        let mut engine = invocation.engine()?;
        let id = match engine.create_secret(&options) {
            Err(error) if self.ignore && error.kind() == Kind::AlreadyExists => {
                engine.secret(&self.name)?.id
            }
            created => created?,
        };
        invocation.console.line(&id)?;
        Ok(SUCCESS)
    }
}

impl Create {
    fn content(&self, invocation: &Invocation) -> Result<Vec<u8>> {
        if self.env {
            return env::variable(&self.source).map(String::into_bytes).ok_or_else(|| {
                let text = format!("read the variable {}: it is not set", self.source);
                Error::new(Kind::NotFound, text)
            });
        }
        if self.source == "-" {
            let mut content = Vec::new();
            let input = io::stdin().lock();
            input.take(LIMIT_BYTES).read_to_end(&mut content).doing(|| "read standard input")?;
            return Ok(content);
        }
        file::read_limited(&invocation.surroundings().absolute(&self.source), LIMIT_BYTES)
    }
}
