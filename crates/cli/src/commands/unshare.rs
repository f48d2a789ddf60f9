//! `unshare`: a program in the user namespace in which an ordinary user's containers live.

use crate::{env, invocation::Invocation, tree::Act};
use dhow_base::{Error, Kind, Result};
use std::{os::unix::process::CommandExt, process::Command};

/// Run a program as root of your containers' user namespace
///
/// Without a program, $SHELL. There you own what containers have written under other ids, and see what
/// `mount` and `image mount` have mounted.
#[derive(clap::Args, Debug)]
pub(crate) struct Unshare {
    /// The program and its arguments
    #[arg(value_name = "PROGRAM", trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<String>,
}

impl Act for Unshare {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let Some(user) = invocation.user else {
            return Err(Error::new(Kind::Invalid, "use unshare as root")
                .hint("it is for users without rights of root"));
        };
        let shell = env::variable("SHELL").unwrap_or_else(|| "/bin/sh".to_owned());
        let mut words = self.words.into_iter();
        let program = words.next().unwrap_or(shell);
        let error = Command::new(&program)
            .args(words)
            .env(env::USER_NAMESPACE, user.uid.to_string())
            .exec();
        let kind = match error.kind() {
            std::io::ErrorKind::NotFound => Kind::CommandNotFound,
            _ => Kind::CommandNotRunnable,
        };
        Err(Error::new(kind, format!("run {program}")).because(error))
    }
}
