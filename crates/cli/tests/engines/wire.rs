//! As much of protocol buffers and gRPC as a client of CRI needs: curl speaks HTTP/2, and this
//! writes and reads the messages.

use crate::{containerd::SOCKET, world::World};
use std::fs;

/// A message that is being written.
#[derive(Clone, Debug, Default)]
pub(crate) struct Message(Vec<u8>);

impl Message {
    /// Adds a string.
    #[must_use]
    pub(crate) fn text(self, field: u64, text: &str) -> Self {
        self.bytes(field, text.as_bytes())
    }

    /// Adds a list of strings.
    #[must_use]
    pub(crate) fn texts(self, field: u64, texts: &[&str]) -> Self {
        texts.iter().fold(self, |message, text| message.text(field, text))
    }

    /// Adds a number that is not negative.
    #[must_use]
    pub(crate) fn number(mut self, field: u64, number: u64) -> Self {
        self.variable(field << 3);
        self.variable(number);
        self
    }

    /// Adds a message.
    #[must_use]
    pub(crate) fn message(self, field: u64, message: &Self) -> Self {
        self.bytes(field, &message.0)
    }

    fn bytes(mut self, field: u64, bytes: &[u8]) -> Self {
        self.variable(field << 3 | 2);
        self.variable(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
        self
    }

    fn variable(&mut self, mut number: u64) {
        loop {
            let low = u8::try_from(number & 0x7f).expect("seven bits");
            number >>= 7;
            if number == 0 {
                return self.0.push(low);
            }
            self.0.push(low | 0x80);
        }
    }
}

/// A message that was received.
#[derive(Clone, Debug)]
pub(crate) struct Answer(Vec<u8>);

impl Answer {
    /// The message in a field; an empty one where it is not there.
    pub(crate) fn message(&self, field: u64) -> Self {
        self.find(field).map_or(Self(Vec::new()), |(_, bytes)| Self(bytes))
    }

    /// The string in a field.
    pub(crate) fn text(&self, field: u64) -> String {
        String::from_utf8_lossy(&self.message(field).0).into_owned()
    }

    /// The number in a field, which is 0 where it is not there.
    pub(crate) fn number(&self, field: u64) -> u64 {
        self.find(field).map_or(0, |(number, _)| number)
    }

    fn find(&self, wanted: u64) -> Option<(u64, Vec<u8>)> {
        let mut rest = &self.0[..];
        while !rest.is_empty() {
            let key = variable(&mut rest);
            let value = match key & 7 {
                0 => (variable(&mut rest), Vec::new()),
                1 => (0, take(&mut rest, 8)),
                2 => {
                    let length = variable(&mut rest);
                    (0, take(&mut rest, usize::try_from(length).unwrap()))
                }
                5 => (0, take(&mut rest, 4)),
                kind => panic!("a field of kind {kind} in {:?}", self.0),
            };
            if key >> 3 == wanted {
                return Some(value);
            }
        }
        None
    }
}

fn variable(rest: &mut &[u8]) -> u64 {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (byte, after) = rest.split_first().expect("the number goes on");
        *rest = after;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            break;
        }
    }
    number
}

fn take(rest: &mut &[u8], length: usize) -> Vec<u8> {
    let (bytes, after) = rest.split_at(length);
    *rest = after;
    bytes.to_vec()
}

/// Calls a method and returns its answer, or what the server says against it.
pub(crate) fn call(world: &World, method: &str, request: &Message) -> Result<Answer, String> {
    let (body, headers) = (world.shared().join("request"), world.shared().join("headers"));
    let length = u32::try_from(request.0.len()).unwrap().to_be_bytes();
    fs::write(&body, [&[0], &length[..], &request.0].concat()).unwrap();
    let answer = world.run(&[
        "curl",
        "--silent",
        "--show-error",
        "--http2-prior-knowledge",
        "--unix-socket",
        SOCKET,
        "--header",
        "content-type: application/grpc",
        "--header",
        "te: trailers",
        "--data-binary",
        &format!("@{}", body.display()),
        "--dump-header",
        &headers.display().to_string(),
        &format!("http://localhost/{method}"),
    ]);
    let answer = answer.ok();
    let headers = fs::read_to_string(&headers).unwrap();
    let header = |name: &str| headers.lines().find_map(|line| line.strip_prefix(name));
    match header("grpc-status: ").map(str::trim) {
        Some("0") => Ok(Answer(answer.bytes.get(5..).unwrap_or_default().to_vec())),
        _ => Err(header("grpc-message: ").unwrap_or(&headers).to_owned()),
    }
}

#[test]
fn what_is_written_can_be_read() {
    let inner = Message::default().text(1, "in").number(300, 1 << 40);
    let outer = Message::default().number(1, 5).message(2, &inner).texts(3, &["a", "b"]);
    let answer = Answer(outer.0);

    assert_eq!(answer.number(1), 5);
    assert_eq!(answer.message(2).text(1), "in");
    assert_eq!(answer.message(2).number(300), 1 << 40);
    assert_eq!(answer.text(3), "a");
    assert_eq!(answer.text(4), "");
}
