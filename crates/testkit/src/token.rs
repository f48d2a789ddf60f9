//! A token server, as `WWW-Authenticate: Bearer realm=…` sends clients to one.
//!
//! It knows one user. Whoever gives the right name and password gets every right asked for; whoever
//! gives none gets a token without rights, as public registries do; a wrong password is refused.
//! Who asks for one may also get an identity token, to be posted in place of the password. The
//! tokens are signed with a key whose certificate the registry is told to trust.

use crate::registry::{IDENTITY, PASSWORD, USER};
use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair},
};
use data_encoding::{BASE64, BASE64URL_NOPAD};
use dhow_base::{Doing, Error, Kind, Result, id::random_hex};
use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// Who the tokens are from and for; the registry is configured with the same words.
pub(crate) const ISSUER: &str = "dhow-test-issuer";
pub(crate) const SERVICE: &str = "dhow-test-registry";

/// What the server gives to the right user.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Gives {
    /// Tokens for the registry.
    Tokens,
    /// Also identity tokens.
    Identities,
    /// Also identity tokens, and another one whenever one is used; only the latest is good.
    ChangingIdentities,
}

/// The running server; dropping it ends its thread.
#[derive(Debug)]
pub(crate) struct TokenServer {
    address: SocketAddr,
    certificate_pem: String,
    stop: Arc<AtomicBool>,
    counts: Arc<Counts>,
}

/// How often it was asked, and shown a password.
#[derive(Debug, Default)]
struct Counts {
    asked: AtomicUsize,
    passwords: AtomicUsize,
}

impl TokenServer {
    pub(crate) fn start(gives: Gives) -> Result<Self> {
        let failed = |error: rcgen::Error| {
            Error::new(Kind::Internal, "make the token server's key").because(error)
        };
        let key = KeyPair::generate().map_err(failed)?;
        let params = CertificateParams::new(Vec::<String>::new()).map_err(failed)?;
        let certificate = params.self_signed(&key).map_err(failed)?;
        let signer = Signer::new(&key, certificate.der())?;
        let listener = TcpListener::bind(("127.0.0.1", 0)).doing(|| "bind the token server")?;
        let address = listener.local_addr().doing(|| "ask the token server's address")?;
        let (stop, counts) = (Arc::new(AtomicBool::new(false)), Arc::<Counts>::default());
        let (ended, count) = (Arc::clone(&stop), Arc::clone(&counts));
        let counter = Counter { signer, gives, given: AtomicUsize::new(0) };
        thread::spawn(move || serve(&listener, &counter, &ended, &count));
        Ok(Self { address, certificate_pem: certificate.pem(), stop, counts })
    }

    pub(crate) fn realm(&self) -> String {
        format!("http://{}/token", self.address)
    }

    pub(crate) fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// How many tokens were asked for so far.
    pub(crate) fn asked(&self) -> usize {
        self.counts.asked.load(Ordering::Relaxed)
    }

    /// How many passwords it was shown so far.
    pub(crate) fn passwords(&self) -> usize {
        self.counts.passwords.load(Ordering::Relaxed)
    }
}

impl Drop for TokenServer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // The thread sits in accept(2); this connection wakes it.
        drop(TcpStream::connect(self.address));
    }
}

/// Where tokens are handed out.
struct Counter {
    signer: Signer,
    gives: Gives,
    /// How many identity tokens were given.
    given: AtomicUsize,
}

fn serve(listener: &TcpListener, counter: &Counter, stop: &AtomicBool, counts: &Counts) {
    for stream in listener.incoming() {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let Ok(mut stream) = stream else { continue };
        // A client that goes away in the middle is its own test's business.
        drop(stream.set_read_timeout(Some(Duration::from_secs(10))));
        if let Some((head, body)) = read_request(&mut stream) {
            counts.asked.fetch_add(1, Ordering::Relaxed);
            if user_of(&head) != Login::None {
                counts.passwords.fetch_add(1, Ordering::Relaxed);
            }
            drop(stream.write_all(counter.answer(&head, &body).as_bytes()));
        }
    }
}

fn read_request(stream: &mut TcpStream) -> Option<(String, String)> {
    let mut bytes = Vec::new();
    let mut piece = [0_u8; 1024];
    loop {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
        if let Some(end) = end {
            let head = std::str::from_utf8(&bytes[..end]).ok()?;
            let body = &bytes[end + 4..];
            if body.len() >= content_length(head) {
                return Some((head.to_owned(), String::from_utf8(body.to_vec()).ok()?));
            }
        }
        let count = stream.read(&mut piece).ok()?;
        if count == 0 || bytes.len() > 64 * 1024 {
            return None;
        }
        bytes.extend_from_slice(&piece[..count]);
    }
}

fn content_length(head: &str) -> usize {
    let headers = head.lines().filter_map(|line| line.split_once(':'));
    let mut lengths = headers.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    lengths.next().and_then(|(_, value)| value.trim().parse().ok()).unwrap_or(0)
}

impl Counter {
    fn answer(&self, head: &str, body: &str) -> String {
        let mut words = head.split(' ');
        let is_form = words.next() == Some("POST");
        let target = words.next().unwrap_or_default();
        let wish =
            if is_form { body } else { target.split_once('?').map_or("", |(_, query)| query) };
        let login = if is_form { self.identity_of(wish) } else { user_of(head) };
        let rights = match login {
            Login::Right => Rights::Asked,
            Login::None => Rights::Nothing,
            Login::Wrong => {
                return response("401 Unauthorized", &json!({"details": "wrong password"}));
            }
        };
        let access = match rights {
            Rights::Asked => scopes(wish),
            Rights::Nothing => Vec::new(),
        };
        let token = match self.signer.token(&access) {
            Ok(token) => token,
            Err(error) => {
                let why = json!({"details": error.one_line()});
                return response("500 Internal Server Error", &why);
            }
        };
        let mut answer = json!({"token": token, "expires_in": 300});
        let wants_identity = value_of(wish, "offline_token").as_deref() == Some("true");
        let is_due = match self.gives {
            Gives::Tokens => false,
            Gives::Identities => wants_identity,
            Gives::ChangingIdentities => wants_identity || is_form,
        };
        if is_due && login == Login::Right {
            self.given.fetch_add(1, Ordering::Relaxed);
            answer["refresh_token"] = self.identity().into();
        }
        response("200 OK", &answer)
    }

    fn identity_of(&self, form: &str) -> Login {
        let is_grant = value_of(form, "grant_type").as_deref() == Some("refresh_token");
        let is_right = value_of(form, "refresh_token") == Some(self.identity());
        let is_known = self.gives != Gives::Tokens && is_grant && is_right;
        if is_known { Login::Right } else { Login::Wrong }
    }

    /// The identity token that is good.
    fn identity(&self) -> String {
        match self.gives {
            Gives::Tokens | Gives::Identities => IDENTITY.to_owned(),
            Gives::ChangingIdentities => {
                format!("{IDENTITY} {}", self.given.load(Ordering::Relaxed))
            }
        }
    }
}

enum Rights {
    Asked,
    Nothing,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Login {
    Right,
    None,
    Wrong,
}

fn user_of(head: &str) -> Login {
    let header = head.lines().filter_map(|line| line.split_once(':'));
    let mut given = header.filter(|(name, _)| name.eq_ignore_ascii_case("authorization"));
    let Some((_, value)) = given.next() else { return Login::None };
    let right = format!("Basic {}", BASE64.encode(format!("{USER}:{PASSWORD}").as_bytes()));
    if value.trim() == right { Login::Right } else { Login::Wrong }
}

/// The scopes of `scope=repository:a/b:pull,push&scope=…` as the token's access claims.
fn scopes(wish: &str) -> Vec<Value> {
    let values = values_of(wish, "scope");
    let words: Vec<String> =
        values.flat_map(|v| v.split_whitespace().map(str::to_owned).collect::<Vec<_>>()).collect();
    words.iter().filter_map(|scope| claim(scope)).collect()
}

fn value_of(pairs: &str, name: &str) -> Option<String> {
    values_of(pairs, name).next()
}

fn values_of<'a>(pairs: &'a str, name: &'a str) -> impl Iterator<Item = String> + 'a {
    let pairs = pairs.split('&').filter_map(|pair| pair.split_once('='));
    pairs.filter(move |(key, _)| *key == name).map(|(_, value)| percent_decoded(value))
}

fn claim(scope: &str) -> Option<Value> {
    // A name may hold a port and so a colon: the kind ends at the first one, the actions start
    // after the last.
    let (kind, rest) = scope.split_once(':')?;
    let (name, actions) = rest.rsplit_once(':')?;
    let actions: Vec<&str> = actions.split(',').collect();
    Some(json!({"type": kind, "name": name, "actions": actions}))
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        let hex = tail.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        match (first, hex.and_then(|hex| u8::from_str_radix(hex, 16).ok())) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            (b'+', _) => bytes.push(b' '),
            _ => bytes.push(*first),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn response(status: &str, body: &Value) -> String {
    let body = body.to_string();
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{body}",
        body.len()
    )
}

/// Makes JSON web tokens that carry their certificate (`x5c`), which the registry looks up among
/// those it trusts.
struct Signer {
    key: EcdsaKeyPair,
    certificate: String,
}

impl Signer {
    fn new(key: &KeyPair, certificate_der: &[u8]) -> Result<Self> {
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, key.serialized_der())
            .map_err(|_| Error::new(Kind::Internal, "read the token server's key"))?;
        Ok(Self { key, certificate: BASE64.encode(certificate_der) })
    }

    fn token(&self, access: &[Value]) -> Result<String> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let head = json!({"typ": "JWT", "alg": "ES256", "x5c": [self.certificate]});
        let claims = json!({
            "iss": ISSUER, "aud": SERVICE, "sub": USER, "jti": random_hex(8)?,
            "iat": now, "nbf": now.saturating_sub(10), "exp": now + 300, "access": access,
        });
        let encode = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
        let signed = format!("{}.{}", encode(&head), encode(&claims));
        let signature = self
            .key
            .sign(&SystemRandom::new(), signed.as_bytes())
            .map_err(|_| Error::new(Kind::Internal, "sign a token"))?;
        Ok(format!("{signed}.{}", BASE64URL_NOPAD.encode(signature.as_ref())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_decoded_and_split() {
        let target = "service=s&scope=repository%3Aa%2Fb%3Apull,push&scope=repository:c:pull+x:y:z";

        let access = scopes(target);

        assert_eq!(access.len(), 3);
        assert_eq!(
            access[0],
            json!({"type": "repository", "name": "a/b", "actions": ["pull", "push"]})
        );
        assert_eq!(access[2]["name"], "y");
    }

    #[test]
    fn only_the_one_password_is_right() {
        let head = |value: &str| format!("GET /token HTTP/1.1\r\nauthorization: {value}\r\n\r\n");
        let right = BASE64.encode(format!("{USER}:{PASSWORD}").as_bytes());

        assert_eq!(user_of("GET / HTTP/1.1\r\n\r\n"), Login::None);
        assert_eq!(user_of(&head(&format!("Basic {right}"))), Login::Right);
        assert_eq!(user_of(&head("Basic bm86bm8=")), Login::Wrong);
    }
}
