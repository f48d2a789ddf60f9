//! `login`: keep the name and password for a registry.

use crate::{
    exit::SUCCESS,
    flags::{refuse, registry::TrustFlags},
    invocation::Invocation,
    manners::Manners,
    prompt::{self, Echo},
    tree::Act,
};
use dhow_base::{Doing, Error, Kind, Result};
use dhow_image::{
    Client, Credentials, Registries, Secret,
    login::{self, Account, Dialect},
};
use std::{
    io::{self, IsTerminal, Read},
    path::PathBuf,
};

const PASSWORD_LIMIT_BYTES: u64 = 64 << 10;

/// Log in to a registry
///
/// Without a registry it is docker.io. Name and password are tried there before they are kept, in
/// the file or with the helper program that pull and push will ask. Where the registry gives an
/// identity token, that is kept in place of the password.
#[derive(clap::Args, Debug)]
pub(crate) struct Login {
    /// The registry, or a part of it: quay.io, quay.io/team
    #[arg(value_name = "REGISTRY", default_value = "docker.io", hide_default_value = true)]
    registry: String,

    /// The name
    #[arg(short, long, value_name = "NAME")]
    username: Option<String>,

    /// The password; others may see it in the list of processes
    #[arg(short, long, value_name = "PASSWORD", conflicts_with = "password_stdin")]
    password: Option<String>,

    /// Read the password from standard input
    #[arg(long, requires = "username")]
    password_stdin: bool,

    /// Take the password from this secret, whose name is the user's where none is given
    #[arg(long, value_name = "SECRET", conflicts_with_all = ["password", "password_stdin"])]
    secret: Option<String>,

    /// Print the name that is kept for the registry, and do nothing
    #[arg(long, conflicts_with_all = ["username", "password", "password_stdin"])]
    get_login: bool,

    /// Say where it is kept
    #[arg(short, long)]
    verbose: bool,

    /// Keep it in this file as docker does
    #[arg(long, value_name = "FILE", conflicts_with = "authfile")]
    compat_auth_file: Option<String>,

    #[command(flatten)]
    trust: TrustFlags,
}

impl Act for Login {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let account = Account::parse(&self.registry)?;
        let mut registries = self.trust.registries(invocation);
        if let Some(path) = &self.compat_auth_file {
            registries.auth_files = vec![invocation.surroundings().absolute(path)];
        }
        if self.get_login {
            let user = kept_user(&registries, &account)?;
            invocation.console.line(&user)?;
            return Ok(SUCCESS);
        }
        let (file, dialect) = self.place(&registries)?;
        let kept = if [&self.username, &self.password, &self.secret].iter().all(|one| one.is_none())
        {
            login::known(&registries, &account)?
        } else {
            None
        };
        if let Some(known) = kept
            && check(&registries, &account, known).is_ok()
        {
            invocation.console.note(&format!("logged in to {account} by what was kept before"));
            return Ok(SUCCESS);
        }
        let credentials = self.ask(&account, invocation)?;
        let identity = check(&registries, &account, credentials.clone())?;
        let kept = match (credentials, identity) {
            (Credentials::Password { user, .. }, Some(token)) => {
                Credentials::IdentityToken { user, token }
            }
            (credentials, _) => credentials,
        };
        login::store(&file, &account, &kept, dialect)
            .doing(|| format!("keep the login to {account}"))?;
        if self.verbose {
            invocation.console.note(&format!("used {}", file.display()));
        }
        match invocation.manners {
            Manners::Dhow => invocation.console.note(&format!("logged in to {account}")),
            Manners::Docker => invocation.console.line("Login Succeeded")?,
            Manners::Podman | Manners::Skopeo => invocation.console.line("Login Succeeded!")?,
        }
        Ok(SUCCESS)
    }
}

impl Login {
    fn place(&self, registries: &Registries) -> Result<(PathBuf, Dialect)> {
        let first = registries.auth_files.first().cloned().ok_or_else(|| {
            Error::new(Kind::Invalid, "find the file for credentials").hint("use --authfile")
        })?;
        let docker = self.compat_auth_file.is_some();
        Ok((first, if docker { Dialect::Docker } else { Dialect::Containers }))
    }

    fn ask(&self, account: &Account, invocation: &Invocation) -> Result<Credentials> {
        let user = match self.username.as_ref().or(self.secret.as_ref()) {
            Some(user) => user.clone(),
            None => prompt(&format!("Name for {account}: "), Echo::On)?,
        };
        if user.is_empty() || user.contains(':') {
            let what =
                format!("log in to {account} as {user:?}: a name is not empty and has no colon");
            return Err(Error::new(Kind::Invalid, what));
        }
        let password = match &self.password {
            Some(password) => password.clone(),
            None if self.password_stdin => piped()?,
            None if self.secret.is_some() => self.kept_secret(invocation)?,
            None => prompt(&format!("Password of {user}: "), Echo::Off)?,
        };
        let password = login::password(&password)?;
        Ok(Credentials::Password { user, password })
    }
}

impl Login {
    /// What the secret says, to be kept as other passwords are.
    fn kept_secret(&self, invocation: &Invocation) -> Result<String> {
        let name = self.secret.as_deref().unwrap_or_default();
        let content = invocation.engine()?.secret_content(name)?;
        String::from_utf8(content).map_err(|_| refuse("--secret", name, "it is no UTF-8 text"))
    }
}

fn kept_user(registries: &Registries, account: &Account) -> Result<String> {
    match login::known(registries, account)? {
        Some(Credentials::Password { user, .. } | Credentials::IdentityToken { user, .. })
            if !user.is_empty() =>
        {
            Ok(user)
        }
        // A helper keeps a token without saying whose it is.
        Some(Credentials::IdentityToken { .. }) => Ok("<token>".to_owned()),
        _ => Err(Error::new(Kind::NotFound, format!("nobody is logged in to {account}"))),
    }
}

fn check(registries: &Registries, account: &Account, with: Credentials) -> Result<Option<Secret>> {
    let registries = Registries { credentials: Some(with), ..registries.clone() };
    Client::new(&registries)?.check_login(account)
}

fn piped() -> Result<String> {
    let mut text = String::new();
    let mut input = io::stdin().lock().take(PASSWORD_LIMIT_BYTES);
    input.read_to_string(&mut text).doing(|| "read the password from standard input")?;
    Ok(text)
}

/// Asks somebody at a terminal.
fn prompt(question: &str, echo: Echo) -> Result<String> {
    if !io::stdin().is_terminal() {
        let what = "ask for name and password: standard input is not a terminal";
        return Err(Error::new(Kind::Invalid, what)
            .hint("use --username and --password-stdin where nobody can be asked"));
    }
    prompt::ask(question, echo)
}
