//! Docker's credential helpers: programs that keep credentials in place of a file.
//!
//! ```text
//! docker-credential-NAME get     server on its input        {Username, Secret} on its output
//! docker-credential-NAME store   {ServerURL, Username, Secret} on its input
//! docker-credential-NAME erase   server on its input
//! ```
//!
//! A helper is a program of the user's and may ask a keyring or a cloud; it gets 30 seconds and
//! 64 KiB, then it is killed.

use crate::credentials::{Credentials, Secret};
use dhow_base::{Doing, Error, Kind, Result};
use serde::Deserialize;
use std::{
    io::{Read, Write},
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

const ANSWER_LIMIT_BYTES: u64 = 64 << 10;
const PATIENCE: Duration = Duration::from_secs(30);
/// By this text, and by nothing else, a helper says that it has nothing.
const NOT_FOUND: &str = "credentials not found";
/// Under this user name a helper keeps an identity token.
pub(crate) const TOKEN_USER: &str = "<token>";

/// A helper program, and the registry that it is asked about.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Helper {
    name: String,
    server: String,
}

impl Helper {
    pub(crate) fn new(name: &str, server: &str) -> Self {
        Self { name: name.to_owned(), server: server.to_owned() }
    }

    /// What it knows.
    pub(crate) fn ask(&self) -> Result<Option<Credentials>> {
        self.run("get", &self.server)?
            .map(|answer| read(&answer))
            .transpose()
            .doing(|| format!("ask {} about {}", self.program(), self.server))
    }

    /// Gives it a name and a password to keep.
    pub(crate) fn store(&self, user: &str, password: &Secret) -> Result<()> {
        let text = serde_json::json!({
            "ServerURL": self.server,
            "Username": user,
            "Secret": password.reveal(),
        });
        self.run("store", &text.to_string()).map(drop)
    }

    /// Has it forget; `false` where it knew nothing.
    pub(crate) fn erase(&self) -> Result<bool> {
        Ok(self.run("erase", &self.server)?.is_some())
    }

    fn program(&self) -> String {
        format!("docker-credential-{}", self.name)
    }

    fn run(&self, verb: &str, input: &str) -> Result<Option<Vec<u8>>> {
        let word = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
        if self.name.is_empty() || !self.name.bytes().all(word) {
            let what = format!("use the credential helper {:?}", self.name);
            return Err(Error::new(Kind::Invalid, what)
                .hint("a helper's name is what follows docker-credential- in the program's name"));
        }
        let mut command = Command::new(self.program());
        command.arg(verb);
        converse(command, input, PATIENCE)
            .doing(|| format!("run {} {verb} for {}", self.program(), self.server))
    }
}

/// The program's answer; nothing where it says that it has nothing.
fn converse(mut command: Command, input: &str, patience: Duration) -> Result<Option<Vec<u8>>> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().doing(|| "start it")?;
    let answer = talk(&mut child, input, patience);
    if answer.is_err() {
        // It may have ended meanwhile, which is as good.
        let _killed = child.kill();
    }
    let status = child.wait().doing(|| "wait for it")?;
    let answer = answer?;
    if String::from_utf8_lossy(&answer).contains(NOT_FOUND) {
        return Ok(None);
    }
    if !status.success() {
        // Its output is not shown, since it may hold a secret.
        return Err(Error::new(Kind::Unavailable, format!("it failed with {status}")));
    }
    Ok(Some(answer))
}

/// Writes the question and reads until the helper has closed its output and ended.
fn talk(child: &mut Child, input: &str, patience: Duration) -> Result<Vec<u8>> {
    let deadline = Instant::now() + patience;
    let mut stdin = child.stdin.take().expect("stdin was asked to be piped");
    let stdout = child.stdout.take().expect("stdout was asked to be piped");
    // A helper that does not read its input may still answer.
    let _written = stdin.write_all(input.as_bytes());
    drop(stdin);
    let (sender, receiver) = mpsc::channel();
    // The thread ends when the pipe does, at the latest when whoever holds its other end dies.
    thread::spawn(move || {
        let mut answer = Vec::new();
        let read = stdout.take(ANSWER_LIMIT_BYTES + 1).read_to_end(&mut answer);
        let _sent = sender.send(read.map(|_| answer));
    });
    let late = || Error::new(Kind::TimedOut, format!("it took longer than {patience:?}"));
    let answer =
        receiver.recv_timeout(patience).map_err(|_| late())?.doing(|| "read its answer")?;
    if answer.len() as u64 > ANSWER_LIMIT_BYTES {
        return Err(Error::new(Kind::Exhausted, "its answer is larger than 64 KiB"));
    }
    while child.try_wait().doing(|| "wait for it")?.is_none() {
        if Instant::now() > deadline {
            return Err(late());
        }
        thread::sleep(Duration::from_millis(2));
    }
    Ok(answer)
}

#[derive(Deserialize)]
struct Answer {
    #[serde(rename = "Username", default)]
    user: String,
    #[serde(rename = "Secret", default)]
    secret: String,
}

fn read(answer: &[u8]) -> Result<Credentials> {
    let answer: Answer = serde_json::from_slice(answer)
        .map_err(|_| Error::new(Kind::Invalid, "its answer is not the expected JSON object"))?;
    if answer.user == TOKEN_USER {
        let token = Secret::new(answer.secret);
        return Ok(Credentials::IdentityToken { user: String::new(), token });
    }
    Ok(Credentials::Password { user: answer.user, password: Secret::new(answer.secret) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    fn run(script: &str) -> Result<Option<Credentials>> {
        let answer = converse(shell(script), "quay.io", Duration::from_secs(5))?;
        answer.map(|answer| read(&answer)).transpose()
    }

    #[test]
    fn a_helpers_answer_becomes_credentials() {
        let echo = r#"printf '{"ServerURL":"x","Username":"%s","Secret":"s"}' "$(cat)""#;
        let token = r#"printf '{"Username":"<token>","Secret":"s"}'"#;
        let expected = Credentials::Password { user: "quay.io".into(), password: Secret::new("s") };

        assert_eq!(run(echo).unwrap(), Some(expected));
        let identity = Credentials::IdentityToken { user: String::new(), token: Secret::new("s") };
        assert_eq!(run(token).unwrap(), Some(identity));
        assert_eq!(run("echo credentials not found in native keychain; exit 1").unwrap(), None);
    }

    #[test]
    fn a_helper_that_fails_lies_or_never_ends_is_an_error() {
        let cases = [
            ("exit 3", Kind::Unavailable),
            ("echo nonsense", Kind::Invalid),
            ("yes", Kind::Exhausted),
        ];
        for (script, kind) in cases {
            assert_eq!(run(script).unwrap_err().kind(), kind, "{script}");
        }
        let start = Instant::now();
        let late = converse(shell("exec sleep 60"), "quay.io", Duration::from_millis(100));

        assert_eq!(late.unwrap_err().kind(), Kind::TimedOut);
        assert!(start.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn a_helpers_name_is_not_a_path() {
        for name in ["", "../sh", "a/b", "a b"] {
            assert_eq!(
                Helper::new(name, "quay.io").ask().unwrap_err().kind(),
                Kind::Invalid,
                "{name:?}"
            );
        }
        let missing = Helper::new("is-not-installed", "quay.io");
        assert_eq!(missing.ask().unwrap_err().kind(), Kind::NotFound);
    }
}
