//! A registry that behaves as a test tells it, and the client that meets it.
//!
//! It is a few threads that write bytes, so that it can answer what no honest server would. It
//! speaks plain HTTP on a loopback address and closes every connection after one answer.

use dhow_base::{Error, Result};
use dhow_distribution::{Client, Config, Credentials, Parts, Patience, Reference, Repository};
use dhow_spec::image::Descriptor;
use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

/// One request, as far as tests look at it.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// How many requests of this method for this path came before.
    pub(crate) earlier: usize,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    fn read(stream: &mut TcpStream) -> Option<Self> {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte).ok()?;
            head.push(byte[0]);
            // The first byte of a TLS handshake: say that this is something else.
            if head == [0x16] {
                stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").ok()?;
                return None;
            }
        }
        let head = String::from_utf8(head).unwrap();
        let mut lines = head.lines();
        let mut words = lines.next()?.split(' ');
        let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect();
        let mut request = Self { method, path, headers, body: Vec::new(), earlier: 0 };
        // Blobs are for the behaviour to read, if it wants to; it may hang up on them.
        if request.method == "POST" || request.path.contains("/manifests/") {
            request.body = request.read_body(stream).ok()?;
        }
        Some(request)
    }

    fn is_like(&self, other: &Self) -> bool {
        (&self.method, &self.path) == (&other.method, &other.path)
    }

    pub(crate) fn length(&self) -> usize {
        self.header("content-length").and_then(|text| text.parse().ok()).unwrap_or(0)
    }

    pub(crate) fn read_body(&self, stream: &mut TcpStream) -> io::Result<Vec<u8>> {
        let mut body = vec![0; self.length()];
        stream.read_exact(&mut body)?;
        Ok(body)
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

type Behaviour = dyn Fn(&Request, &mut TcpStream) -> io::Result<()> + Send + Sync;

/// A registry that behaves as a test tells it.
pub(crate) struct Rogue {
    pub(crate) address: SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
    closed: Arc<AtomicBool>,
}

impl Rogue {
    /// A registry whose door is open: that it is one, it tells everybody.
    pub(crate) fn new(
        behaviour: impl Fn(&Request, &mut TcpStream) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        Self::guarded(move |request, stream| match &*request.path {
            "/v2/" => reply(stream, "200 OK", "", b""),
            _ => behaviour(request, stream),
        })
    }

    /// A registry that behaves as it is told at its door, too.
    pub(crate) fn guarded(
        behaviour: impl Fn(&Request, &mut TcpStream) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (requests, closed) =
            (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (log, stop) = (Arc::clone(&requests), Arc::clone(&closed));
        let behaviour: Arc<Behaviour> = Arc::new(behaviour);
        thread::spawn(move || {
            for stream in listener.incoming() {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                let (log, behaviour) = (Arc::clone(&log), Arc::clone(&behaviour));
                thread::spawn(move || serve(stream.unwrap(), &log, &*behaviour));
            }
        });
        Self { address, requests, closed }
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(&config()).unwrap()
    }

    pub(crate) fn reference(&self) -> Reference {
        Reference::parse(&format!("{}/a/b:tag", self.address)).unwrap()
    }

    pub(crate) fn repository(&self) -> Repository {
        self.client().repository(&self.reference()).unwrap()
    }

    /// All requests but those that find out which protocol is spoken.
    pub(crate) fn requests(&self) -> Vec<Request> {
        let all = self.requests.lock().unwrap();
        all.iter().filter(|request| request.path != "/v2/").cloned().collect()
    }

    pub(crate) fn fetch(&self, content: &[u8]) -> Result<Vec<u8>> {
        read(&self.repository(), content, 0)
    }
}

impl Drop for Rogue {
    fn drop(&mut self) {
        self.closed.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(self.address));
    }
}

fn serve(mut stream: TcpStream, log: &Mutex<Vec<Request>>, behaviour: &Behaviour) {
    let Some(mut request) = Request::read(&mut stream) else { return };
    let mut all = log.lock().unwrap();
    request.earlier = all.iter().filter(|earlier| earlier.is_like(&request)).count();
    all.push(request.clone());
    drop(all);
    // A client that hangs up is what some tests are about.
    drop(behaviour(&request, &mut stream));
}

pub(crate) fn reply(
    stream: &mut TcpStream,
    status: &str,
    headers: &str,
    body: &[u8],
) -> io::Result<()> {
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n"
    )?;
    stream.write_all(body)
}

pub(crate) fn config() -> Config {
    Config {
        registries_conf: "/nonexistent".into(),
        registries_conf_dirs: Vec::new(),
        auth_files: Vec::new(),
        patience: Patience {
            connect: Duration::from_secs(5),
            stall: Duration::from_millis(400),
            retries: 3,
            first_pause: Duration::from_millis(5),
            longest_pause: Duration::from_secs(2),
        },
        parts: Parts::Always,
        ..Config::default()
    }
}

pub(crate) fn password() -> Option<Credentials> {
    Some(Credentials::parse("me:hunter2").unwrap())
}

pub(crate) fn content(length: usize) -> Vec<u8> {
    (0..length).map(|at| u8::try_from(at * 31 % 251).unwrap()).collect()
}

pub(crate) fn read(repository: &Repository, content: &[u8], offset: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let descriptor = Descriptor::of("application/octet-stream", content);
    let mut reader = repository.blob(&descriptor, offset)?;
    match reader.read_to_end(&mut bytes) {
        Ok(_) => Ok(bytes),
        Err(error) => Err(*error.into_inner().unwrap().downcast::<Error>().unwrap()),
    }
}
