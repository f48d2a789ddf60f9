//! Debian's `docker-registry` on a free loopback port, with its storage in a temporary directory.
//!
//! # Life
//!
//! `start` writes a configuration, starts the server with port 0 and reads the real port from its
//! log; so parallel tests never fight for one. Dropping it kills that one process. The server also
//! dies with the thread that started it (`setpriv --pdeathsig`), so start it in the test that uses
//! it and do not keep it in a static.

use crate::{
    certificate::Certificates,
    need, outcome, token,
    token::{Gives, TokenServer},
};
use dhow_base::{Digest, Doing, Error, Kind, Result};
use std::{
    fs::{self, OpenOptions},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};
use tempfile::TempDir;

/// The one user that registries with [`Access::Basic`] and [`Access::Token`] know.
pub const USER: &str = "someone";
/// What may be shown in place of the password at a registry with [`Access::Identity`].
pub const IDENTITY: &str = "an identity: of someone";
/// The user's password.
pub const PASSWORD: &str = "a secret: with, signs";

/// Who may use the registry.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Access {
    /// Everybody.
    Open,
    /// The one user, by HTTP basic authentication.
    Basic,
    /// The one user, by a token from a token server.
    Token,
    /// As `Token`, and who logs in gets [`IDENTITY`], which will do in place of the password.
    Identity,
    /// As `Identity`, and each use of such a token gives another one, by which alone one is known then:
    /// [`IDENTITY`] and a number.
    ChangingIdentity,
}

/// How the registry speaks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Transport {
    /// HTTP.
    Plain,
    /// HTTPS with a certificate that [`Registry::authority`] signed.
    Tls,
}

/// A running registry.
#[derive(Debug)]
pub struct Registry {
    child: Child,
    directory: TempDir,
    address: String,
    access: Access,
    transport: Transport,
    tokens: Option<TokenServer>,
}

impl Registry {
    /// Starts a registry and waits until it listens. Needs the tool `docker-registry`, and
    /// `htpasswd` for [`Access::Basic`].
    pub fn start(access: Access, transport: Transport) -> Result<Self> {
        let directory = tempfile::tempdir().doing(|| "make the registry's directory")?;
        let tokens = match access {
            Access::Token => Some(TokenServer::start(Gives::Tokens)?),
            Access::Identity => Some(TokenServer::start(Gives::Identities)?),
            Access::ChangingIdentity => Some(TokenServer::start(Gives::ChangingIdentities)?),
            Access::Open | Access::Basic => None,
        };
        let config = configuration(directory.path(), access, transport, tokens.as_ref())?;
        let path = directory.path().join("config.yml");
        fs::write(&path, config).doing(|| format!("write {}", path.display()))?;
        let child = spawn(&path, &directory.path().join("log"))?;
        let mut registry =
            Self { child, directory, address: String::new(), access, transport, tokens };
        registry.address = registry.wait_until_it_listens()?;
        Ok(registry)
    }

    /// `127.0.0.1:<port>`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// `127.0.0.1:<port>/<name>`, as users write references.
    pub fn reference(&self, name: &str) -> String {
        format!("{}/{name}", self.address)
    }

    /// The certificate of the authority that signed the server's, as a PEM file.
    pub fn authority(&self) -> PathBuf {
        self.directory.path().join("authority.pem")
    }

    /// A `config.json` or `auth.json` text with the right credentials for this registry.
    pub fn credentials(&self) -> String {
        let pair = data_encoding::BASE64.encode(format!("{USER}:{PASSWORD}").as_bytes());
        serde_json::json!({"auths": {self.address(): {"auth": pair}}}).to_string()
    }

    /// The file in which the registry keeps a blob, for tests that spoil it.
    pub fn blob(&self, digest: &Digest) -> PathBuf {
        let (algorithm, hex) = (digest.algorithm().name(), digest.hex());
        let blobs = self.directory.path().join("storage/docker/registry/v2/blobs");
        blobs.join(algorithm).join(&hex[..2]).join(hex).join("data")
    }

    /// The directory in which the registry keeps book of a repository, for tests that lose it.
    pub fn repository(&self, name: &str) -> PathBuf {
        self.directory.path().join("storage/docker/registry/v2/repositories").join(name)
    }

    /// The requests so far, such as `GET /v2/box/manifests/latest 200`.
    pub fn requests(&self) -> Vec<String> {
        self.log().lines().filter_map(request_of).collect()
    }

    /// How many passwords its token server was shown.
    pub fn passwords_shown(&self) -> usize {
        self.tokens.as_ref().map_or(0, TokenServer::passwords)
    }

    /// How many tokens its token server was asked for.
    pub fn tokens_asked(&self) -> usize {
        self.tokens.as_ref().map_or(0, TokenServer::asked)
    }

    /// What the server said so far.
    pub fn log(&self) -> String {
        let bytes = fs::read(self.directory.path().join("log")).unwrap_or_default();
        outcome::lossy(&bytes)
    }

    /// A `skopeo copy` from `source` into this registry under `name` (`box:latest`).
    ///
    /// `--all` copies every platform of an index, and digests are preserved, else it fails.
    pub fn push(&self, source: &str, name: &str) -> Result<()> {
        let mut command = Command::new("skopeo");
        command
            .args(["--insecure-policy", "copy", "--quiet", "--all", "--preserve-digests"])
            .args(["--dest-tls-verify=false", source])
            .arg(format!("docker://{}", self.reference(name)));
        if self.access != Access::Open {
            command.arg("--dest-creds").arg(format!("{USER}:{PASSWORD}"));
        }
        let limit = Duration::from_secs(300);
        outcome::run_ok(&mut command, limit).doing(|| format!("push {source} as {name}"))?;
        Ok(())
    }

    /// `http` or `https`, for those who speak to it themselves.
    pub fn scheme(&self) -> &'static str {
        match self.transport {
            Transport::Plain => "http",
            Transport::Tls => "https",
        }
    }

    fn wait_until_it_listens(&mut self) -> Result<String> {
        let address = need::eventually(Duration::from_secs(30), || {
            let ended = self.child.try_wait().ok().flatten().is_some();
            listening(&self.log()).map(Ok).or_else(|| ended.then_some(Err(())))
        });
        match address {
            Some(Ok(address)) => Ok(address),
            Some(Err(())) => Err(Error::new(
                Kind::Unavailable,
                format!("docker-registry ended at once; it said:\n{}", self.log()),
            )),
            None => Err(Error::new(
                Kind::TimedOut,
                format!("docker-registry does not listen; it said:\n{}", self.log()),
            )),
        }
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        // Only the process that we started, by its own handle, and it is reaped.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn spawn(config: &Path, log: &Path) -> Result<Child> {
    let log = OpenOptions::new()
        .append(true)
        .create_new(true)
        .open(log)
        .doing(|| format!("create {}", log.display()))?;
    let copy = log.try_clone().doing(|| "copy the log's fd")?;
    Command::new("setpriv")
        .args(["--pdeathsig", "KILL", "--", "docker-registry", "serve"])
        .arg(config)
        .stdin(Stdio::null())
        .stdout(copy)
        .stderr(log)
        .spawn()
        .doing(|| "start docker-registry")
}

fn configuration(
    directory: &Path,
    access: Access,
    transport: Transport,
    tokens: Option<&TokenServer>,
) -> Result<String> {
    let place = directory.display();
    let mut text = format!(
        "version: 0.1\nlog:\n  level: info\n  accesslog:\n    disabled: false\n\
         storage:\n  filesystem:\n    rootdirectory: {place}/storage\n  delete:\n    enabled: true\n\
         http:\n  addr: 127.0.0.1:0\n  secret: not-secret\n"
    );
    if transport == Transport::Tls {
        let made = Certificates::make(directory)?;
        let (certificate, key) = (made.certificate.display(), made.key.display());
        text.push_str(&format!("  tls:\n    certificate: {certificate}\n    key: {key}\n"));
    }
    match access {
        Access::Open => {}
        Access::Basic => {
            write_passwords(&directory.join("htpasswd"))?;
            text.push_str(&format!(
                "auth:\n  htpasswd:\n    realm: dhow-test\n    path: {place}/htpasswd\n"
            ));
        }
        Access::Token | Access::Identity | Access::ChangingIdentity => {
            let tokens = tokens.expect("token access starts its server");
            let path = directory.join("token.pem");
            fs::write(&path, tokens.certificate_pem())
                .doing(|| format!("write {}", path.display()))?;
            text.push_str(&format!(
                "auth:\n  token:\n    realm: {}\n    service: {}\n    issuer: {}\n    \
                 rootcertbundle: {place}/token.pem\n",
                tokens.realm(),
                token::SERVICE,
                token::ISSUER
            ));
        }
    }
    Ok(text)
}

fn write_passwords(path: &Path) -> Result<()> {
    let mut command = Command::new("htpasswd");
    // Cost 4 is the least; a real cost would make each request take 50 ms.
    command.args(["-B", "-b", "-n", "-C", "4", USER, PASSWORD]);
    let line = outcome::run_ok(&mut command, Duration::from_secs(10))?;
    fs::write(path, line.stdout).doing(|| format!("write {}", path.display()))
}

/// Finds `listening on 127.0.0.1:4711` in the log.
fn listening(log: &str) -> Option<String> {
    let (_, rest) = log.split_once("listening on ")?;
    let end = rest.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == ':'))?;
    Some(rest[..end].to_owned())
}

/// Reads the common log format: `… "GET /v2/ HTTP/1.1" 200 2 …`.
fn request_of(line: &str) -> Option<String> {
    let mut quoted = line.split('"');
    let before = quoted.next()?;
    let request = quoted.next()?;
    let status = quoted.next()?.split_whitespace().next()?;
    let (method_and_path, _) = request.rsplit_once(" HTTP/")?;
    // Structured log lines hold quotes too, but not a client's address in front.
    before.contains(" - ").then(|| format!("{method_and_path} {status}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        image::{Compression, Image, Layout},
        needs_tool, rootfs,
    };

    fn pushed_and_inspected(access: Access, transport: Transport) {
        let registry = Registry::start(access, transport).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let layout = Layout::new(&directory.path().join("layout")).unwrap();
        let root = rootfs::busybox().unwrap();
        let layer = layout.layer_of(root.path(), Compression::Gzip).unwrap();
        let digest = layout.tag_image(&Image::new([layer]), "box").unwrap();

        registry.push(&layout.reference("box"), "some/box:latest").unwrap();

        let mut inspect = Command::new("skopeo");
        inspect
            .args(["--insecure-policy", "inspect", "--tls-verify=false", "--format", "{{.Digest}}"])
            .arg("--creds")
            .arg(format!("{USER}:{PASSWORD}"))
            .arg(format!("docker://{}", registry.reference("some/box:latest")));
        let told = outcome::run_ok(&mut inspect, outcome::LIMIT).unwrap();
        assert_eq!(told.line(), digest.as_str());
        assert!(registry.blob(&digest).is_file());
        let requests = registry.requests();
        assert!(
            requests.contains(&"PUT /v2/some/box/manifests/latest 201".to_owned()),
            "{requests:#?}"
        );
        let tokens = registry.tokens_asked();
        assert_eq!(tokens > 0, access == Access::Token, "{tokens} tokens");
    }

    #[test]
    fn an_open_registry_takes_an_image_by_http() {
        needs_tool!("docker-registry", "skopeo", "busybox");
        pushed_and_inspected(Access::Open, Transport::Plain);
    }

    #[test]
    fn a_registry_with_a_password_takes_an_image_by_https() {
        needs_tool!("docker-registry", "skopeo", "busybox", "htpasswd");
        pushed_and_inspected(Access::Basic, Transport::Tls);
    }

    #[test]
    fn a_registry_with_tokens_takes_an_image() {
        needs_tool!("docker-registry", "skopeo", "busybox");
        pushed_and_inspected(Access::Token, Transport::Plain);
    }

    #[test]
    fn the_port_is_read_from_the_log() {
        let log = "time=x level=info msg=\"listening on 127.0.0.1:41521, tls\" go.version=y";

        assert_eq!(listening(log).as_deref(), Some("127.0.0.1:41521"));
        assert_eq!(listening("time=x"), None);
    }

    #[test]
    fn requests_are_read_from_the_access_log() {
        let line =
            "127.0.0.1 - - [22/Nov/2026:04:00:00 +0000] \"GET /v2/ HTTP/1.1\" 200 2 \"\" \"curl\"";

        assert_eq!(request_of(line).as_deref(), Some("GET /v2/ 200"));
        assert_eq!(request_of("time=x msg=\"GET /v2/ HTTP/1.1\" 200"), None);
    }
}
