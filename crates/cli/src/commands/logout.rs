//! `logout`: forget the name and password for a registry.

use crate::{exit::SUCCESS, invocation::Invocation, manners::Manners, tree::Act};
use dhow_base::{Error, Kind, Result};
use dhow_image::login::{self, Account};

/// Log out of a registry
///
/// Without a registry it is docker.io.
#[derive(clap::Args, Debug)]
pub(crate) struct Logout {
    /// The registry, or a part of it: quay.io, quay.io/team
    #[arg(value_name = "REGISTRY", conflicts_with = "all")]
    registry: Option<String>,

    /// Forget all registries that the file knows
    #[arg(short, long)]
    all: bool,

    /// Forget it in this file
    #[arg(long, value_name = "FILE")]
    authfile: Option<String>,

    /// Accepted for skopeo's sake: no registry is asked
    #[arg(long, value_name = "BOOL", hide = true)]
    tls_verify: Option<bool>,

    /// Forget it in this file, which docker has written
    #[arg(long, value_name = "FILE", conflicts_with = "authfile")]
    compat_auth_file: Option<String>,
}

impl Act for Logout {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let files = match self.authfile.as_ref().or(self.compat_auth_file.as_ref()) {
            Some(path) => vec![invocation.surroundings().absolute(path)],
            None => invocation.registries().auth_files,
        };
        // The first is where logins are kept; the others are other tools'.
        let (own, others) = files.split_first().ok_or_else(|| {
            Error::new(Kind::Invalid, "find the file for credentials").hint("use --authfile")
        })?;
        if self.all {
            let count = login::erase_all(own)?;
            invocation.console.note(&format!("{count} logins are forgotten"));
            return Ok(SUCCESS);
        }
        let account = Account::parse(self.registry.as_deref().unwrap_or("docker.io"))?;
        if login::erase(own, &account)? {
            match invocation.manners {
                Manners::Dhow => invocation.console.note(&format!("logged out of {account}")),
                Manners::Docker => {
                    let text = format!("Removing login credentials for {account}");
                    invocation.console.line(&text)?;
                }
                Manners::Podman | Manners::Skopeo => {
                    let text = format!("Removed login credentials for {account}");
                    invocation.console.line(&text)?;
                }
            }
            return Ok(SUCCESS);
        }
        let elsewhere = others.iter().find(|path| {
            let only = dhow_image::Registries {
                auth_files: vec![(*path).clone()],
                ..dhow_image::Registries::default()
            };
            matches!(login::known(&only, &account), Ok(Some(_)))
        });
        let error = Error::new(Kind::NotFound, format!("nobody is logged in to {account}"));
        Err(match elsewhere {
            Some(path) => error.hint(format!(
                "another tool's login is in {}; --authfile {} forgets it",
                path.display(),
                path.display()
            )),
            None => error,
        })
    }
}
