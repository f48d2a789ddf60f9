//! A small synchronous D-Bus client: as much as talking to systemd takes.
//!
//! ```text
//!   Connection::open(address) ──▶ SASL EXTERNAL ──▶ Hello ──▶ call ⇄ reply
//!                                                         └──▶ wait_for(signal)
//! ```
//!
//! One thread asks and waits. Signals that arrive meanwhile are kept until somebody waits for them.
//! What comes from the other side is limited in size, depth and number, and checked before it is
//! believed. No fds are passed, and nothing is served.
//!
//! The protocol is that of the D-Bus specification 0.43: "Message Protocol" and "Authentication".

mod message;
mod text;
mod value;

pub(crate) use message::{Call, Message};
pub(crate) use text::parse_variant;
use value::Malformed;
pub(crate) use value::Value;

use dhow_base::{Doing, Error, Kind, Result};
use std::{
    collections::VecDeque,
    io::{self, Read, Write},
    os::{
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr, UnixStream},
    },
    time::{Duration, Instant},
};

/// How long an answer is waited for. A busy systemd at boot takes seconds.
const PATIENCE: Duration = Duration::from_secs(30);
/// What the other side may send before it is authenticated.
const LINE_LIMIT_BYTES: usize = 4096;
/// Signals that nobody has waited for yet.
const SIGNAL_LIMIT: usize = 10_000;

/// A connection that may be used.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: UnixStream,
    serial: u32,
    signals: VecDeque<Message>,
}

/// Whether a daemon stands between the two sides.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Peer {
    /// A bus: it has to be greeted, and knows the others by name.
    Bus,
    /// The other program itself.
    Direct,
}

impl Connection {
    /// Connects to one of the places in `address` (`unix:path=/run/dbus/system_bus_socket`).
    pub(crate) fn open(address: &str, peer: Peer) -> Result<Self> {
        let doing = || format!("connect to D-Bus at {address}");
        let stream = connect(address).doing(doing)?;
        let mut connection = Self { stream, serial: 0, signals: VecDeque::new() };
        connection.authenticate().doing(doing)?;
        if peer == Peer::Bus {
            connection.call(&Call::to_bus("Hello")).doing(doing)?;
        }
        Ok(connection)
    }

    /// Says who we are. The kernel tells the other side our user id, so none is sent: in a user
    /// namespace the two would not agree.
    fn authenticate(&mut self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        self.send(b"\0AUTH EXTERNAL\r\n", deadline)?;
        let mut line = self.line(deadline)?;
        if line == "DATA" {
            self.send(b"DATA\r\n", deadline)?;
            line = self.line(deadline)?;
        }
        if line != "OK" && !line.starts_with("OK ") {
            return Err(Error::new(Kind::Denied, format!("authenticate: the answer is {line:?}")));
        }
        self.send(b"BEGIN\r\n", deadline)
    }

    /// Reads byte by byte, since what follows the last line is a message already.
    fn line(&mut self, deadline: Instant) -> Result<String> {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            if line.len() >= LINE_LIMIT_BYTES {
                return Err(Error::new(Kind::Corrupt, "authenticate: the answer does not end"));
            }
            let mut byte = [0];
            self.receive(&mut byte, deadline)?;
            line.extend_from_slice(&byte);
        }
        line.truncate(line.len() - 2);
        String::from_utf8(line)
            .map_err(|_| Error::new(Kind::Corrupt, "authenticate: the answer is not UTF-8"))
    }

    /// Asks and waits for the answer. An error of the other side is an error here, of a kind that
    /// its name stands for.
    pub(crate) fn call(&mut self, call: &Call<'_>) -> Result<Vec<Value>> {
        let deadline = Instant::now() + PATIENCE;
        self.serial += 1;
        let serial = self.serial;
        let bytes = call
            .encode(serial)
            .map_err(Malformed::into_error)
            .doing(|| format!("call {}", call.member))?;
        let doing = || format!("call {} over D-Bus", call.member);
        self.send(&bytes, deadline).doing(doing)?;
        loop {
            let message = self.message(deadline).doing(doing)?;
            if message.reply_serial != Some(serial) {
                self.keep(message)?;
                continue;
            }
            return match message.error {
                None => Ok(message.body),
                Some(name) => Err(Error::new(kind_of(&name), doing())
                    .because(Refusal { text: first_text(&message.body), name })),
            };
        }
    }

    /// Waits for the first signal that `choose` has an answer for, also one that came already.
    pub(crate) fn wait_for<T>(
        &mut self,
        what: &str,
        choose: impl Fn(&Message) -> Option<T>,
    ) -> Result<T> {
        let deadline = Instant::now() + PATIENCE;
        let doing = || format!("wait for {what} over D-Bus");
        loop {
            while let Some(message) = self.signals.pop_front() {
                if let Some(chosen) = choose(&message) {
                    return Ok(chosen);
                }
            }
            let message = self.message(deadline).doing(doing)?;
            self.keep(message)?;
        }
    }

    fn keep(&mut self, message: Message) -> Result<()> {
        if message.is_signal && self.signals.len() >= SIGNAL_LIMIT {
            return Err(Error::new(Kind::Exhausted, "listen to D-Bus: too many signals"));
        }
        if message.is_signal {
            self.signals.push_back(message);
        }
        Ok(())
    }

    fn message(&mut self, deadline: Instant) -> Result<Message> {
        let mut bytes = vec![0; message::FIXED_BYTES];
        self.receive(&mut bytes, deadline)?;
        let length =
            message::length(&bytes).map_err(Malformed::into_error).doing(|| "read a message")?;
        bytes.resize(length, 0);
        self.receive(&mut bytes[message::FIXED_BYTES..], deadline)?;
        Message::decode(&bytes).map_err(Malformed::into_error).doing(|| "read a message")
    }

    fn send(&mut self, bytes: &[u8], deadline: Instant) -> Result<()> {
        self.stream.set_write_timeout(Some(left(deadline)?)).doing(|| "set a time limit")?;
        self.stream.write_all(bytes).map_err(timed_out).doing(|| "send")
    }

    fn receive(&mut self, bytes: &mut [u8], deadline: Instant) -> Result<()> {
        let mut filled = 0;
        while filled < bytes.len() {
            self.stream.set_read_timeout(Some(left(deadline)?)).doing(|| "set a time limit")?;
            match self.stream.read(&mut bytes[filled..]) {
                Ok(0) => return Err(Error::new(Kind::Unavailable, "the other side hung up")),
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(timed_out(error)).doing(|| "receive"),
            }
        }
        Ok(())
    }
}

/// A socket says "would block" when its time limit has passed.
fn timed_out(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::WouldBlock { io::ErrorKind::TimedOut.into() } else { error }
}

fn left(deadline: Instant) -> Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(Error::new(Kind::TimedOut, "no answer came")) } else { Ok(left) }
}

/// An error that the other side sent.
#[derive(Debug)]
struct Refusal {
    name: String,
    text: String,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.text.is_empty() { f.write_str(&self.name) } else { f.write_str(&self.text) }
    }
}

impl std::error::Error for Refusal {}

fn first_text(body: &[Value]) -> String {
    match body.first() {
        Some(Value::Text(text)) => text.clone(),
        _ => String::new(),
    }
}

fn kind_of(name: &str) -> Kind {
    match name.rsplit('.').next().unwrap_or_default() {
        "NoSuchUnit" | "UnknownObject" | "ServiceUnknown" | "NameHasNoOwner" => Kind::NotFound,
        "UnitExists" => Kind::AlreadyExists,
        "AccessDenied" | "InteractiveAuthorizationRequired" => Kind::Denied,
        "InvalidArgs" | "PropertyReadOnly" | "UnknownProperty" => Kind::Invalid,
        "UnknownMethod" => Kind::Unsupported,
        "NoReply" | "Timeout" | "TimedOut" => Kind::TimedOut,
        _ => Kind::Internal,
    }
}

/// Tries the places one after the other; the last failure is the one that is told.
fn connect(address: &str) -> io::Result<UnixStream> {
    let mut last = io::Error::new(io::ErrorKind::InvalidInput, "no unix socket is named");
    for place in address.split(';') {
        let Some(keys) = place.strip_prefix("unix:") else { continue };
        for (key, value) in keys.split(',').filter_map(|pair| pair.split_once('=')) {
            let Some(value) = unescape(value) else { continue };
            let socket = match key {
                "path" => SocketAddr::from_pathname(value),
                "abstract" => SocketAddr::from_abstract_name(value.as_bytes()),
                _ => continue,
            };
            match socket.and_then(|socket| UnixStream::connect_addr(&socket)) {
                Ok(stream) => return Ok(stream),
                Err(error) => last = error,
            }
        }
    }
    Err(last)
}

/// `%2f` is a slash.
fn unescape(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        if first != b'%' {
            bytes.push(first);
            rest = after;
            continue;
        }
        let digits = std::str::from_utf8(after.get(..2)?).ok()?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = &after[2..];
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    #[test]
    fn addresses_are_unescaped() {
        assert_eq!(unescape("/run/a%20b%2Fc").as_deref(), Some("/run/a b/c"));
        assert_eq!(unescape("%2"), None);
        assert_eq!(unescape("%zz"), None);
    }

    /// The other side of a connection, which does what the test says.
    fn peer(serve: impl FnOnce(UnixStream) + Send + 'static) -> Result<Connection> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("bus");
        let listener = UnixListener::bind(&path).unwrap();
        let server = std::thread::spawn(move || serve(listener.accept().unwrap().0));
        let address = format!("unix:path=/nowhere;unix:path={}", path.display());

        let opened = Connection::open(&address, Peer::Direct);

        if opened.is_err() {
            server.join().unwrap();
        }
        opened
    }

    fn read_until(stream: &mut UnixStream, end: &[u8]) {
        let mut seen = Vec::new();
        while !seen.ends_with(end) {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            seen.push(byte[0]);
        }
    }

    #[test]
    fn who_is_not_let_in_is_told_so() {
        let error = peer(|mut stream| {
            read_until(&mut stream, b"\r\n");
            stream.write_all(b"REJECTED EXTERNAL\r\n").unwrap();
        })
        .unwrap_err();

        assert_eq!(error.kind(), Kind::Denied);
        assert!(error.one_line().contains("REJECTED"), "{}", error.one_line());
    }

    #[test]
    fn a_peer_that_hangs_up_or_sends_nonsense_is_an_error() {
        let welcome = |stream: &mut UnixStream| {
            read_until(stream, b"EXTERNAL\r\n");
            stream.write_all(b"DATA\r\n").unwrap();
            read_until(stream, b"DATA\r\n");
            stream.write_all(b"OK 0123\r\n").unwrap();
            read_until(stream, b"BEGIN\r\n");
        };
        // Both hear the question to its end, so that it is the answer that fails.
        let hear = |stream: &mut UnixStream| read_until(stream, b"Hello\0\0\0");
        let mut silent = peer(move |mut stream| {
            welcome(&mut stream);
            hear(&mut stream);
        })
        .unwrap();
        let mut noisy = peer(move |mut stream| {
            welcome(&mut stream);
            hear(&mut stream);
            stream.write_all(&[0xff; 64]).unwrap();
        })
        .unwrap();
        let call = Call::to_bus("Hello");

        let hung_up = silent.call(&call).unwrap_err();
        let nonsense = noisy.call(&call).unwrap_err();

        assert!(!hung_up.one_line().is_empty(), "{hung_up:?}");
        assert_eq!(nonsense.kind(), Kind::Corrupt, "{nonsense:?}");
    }
}
