//! Docker's credential helpers: `docker-credential-NAME get`, the server on its standard input, a
//! JSON object on its standard output.
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
const TOKEN_USER: &str = "<token>";

/// Asks the helper `name` about `server`.
pub(crate) fn ask(name: &str, server: &str) -> Result<Option<Credentials>> {
    let program = format!("docker-credential-{name}");
    let word = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    if name.is_empty() || !name.bytes().all(word) {
        return Err(Error::new(Kind::Invalid, format!("use the credential helper {name:?}"))
            .hint("a helper's name is what follows docker-credential- in the program's name"));
    }
    let mut command = Command::new(&program);
    command.arg("get");
    converse(command, server, PATIENCE).doing(|| format!("ask {program} about {server}"))
}

fn converse(mut command: Command, server: &str, patience: Duration) -> Result<Option<Credentials>> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().doing(|| "start it")?;
    let answer = talk(&mut child, server, patience);
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
    read(&answer).map(Some)
}

/// Writes the question and reads until the helper has closed its output and ended.
fn talk(child: &mut Child, server: &str, patience: Duration) -> Result<Vec<u8>> {
    let deadline = Instant::now() + patience;
    let mut stdin = child.stdin.take().expect("stdin was asked to be piped");
    let stdout = child.stdout.take().expect("stdout was asked to be piped");
    // A helper that does not read its input may still answer.
    let _written = stdin.write_all(server.as_bytes());
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
        return Ok(Credentials::IdentityToken(Secret::new(answer.secret)));
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
        converse(shell(script), "quay.io", Duration::from_secs(5))
    }

    #[test]
    fn a_helpers_answer_becomes_credentials() {
        let echo = r#"printf '{"ServerURL":"x","Username":"%s","Secret":"s"}' "$(cat)""#;
        let token = r#"printf '{"Username":"<token>","Secret":"s"}'"#;
        let expected = Credentials::Password { user: "quay.io".into(), password: Secret::new("s") };

        assert_eq!(run(echo).unwrap(), Some(expected));
        assert_eq!(run(token).unwrap(), Some(Credentials::IdentityToken(Secret::new("s"))));
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
            assert_eq!(ask(name, "quay.io").unwrap_err().kind(), Kind::Invalid, "{name:?}");
        }
        assert_eq!(ask("is-not-installed", "quay.io").unwrap_err().kind(), Kind::NotFound);
    }
}
