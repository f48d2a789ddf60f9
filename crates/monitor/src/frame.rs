//! What a monitor and its clients say to each other: frames on a stream socket.
//!
//! ```text
//!  ┌──────┬─────────────────┬──────────────┐
//!  │ kind │ length, u32 LE  │ payload      │
//!  └──────┴─────────────────┴──────────────┘
//!    client                                monitor
//!      │  Expected ──────────────────────────▶│  the first client only: what can be made ahead
//!      │  Job ───────────────────────────────▶│  the first client only, first of all
//!      │◀──────────────────── Started, Failed │
//!      │  Attach ────────────────────────────▶│  every other client that wants output
//!      │◀──────────────────── Stdout, Stderr  │
//!      │  Stdin, StdinClosed ────────────────▶│  at most `STDIN_WINDOW` bytes ahead
//!      │◀──────────────────── StdinTaken      │  so many bytes may follow
//!      │  Resize, Signal ────────────────────▶│
//!      │  CheckHealth ───────────────────────▶│
//!      │◀──────────────────── Checked, Failed │  when the check has ended
//!      │  Networks ──────────────────────────▶│
//!      │◀────────── NetworksChanged, Failed   │
//!      │  Health ────────────────────────────▶│
//!      │◀──────────── HealthChanged, Failed   │
//!      │  Detach ────────────────────────────▶│  the client goes and the process stays
//!      │◀──────────────────── Exited          │  last, after all output
//!      │  Erase ─────────────────────────────▶│  what goes with the container may go
//! ```
//!
//! Input has a window because all frames of a client share one stream: without it, a signal would
//! wait behind bytes that the process does not read, and Ctrl-C would not reach a stuck program.
//!
//! Both ends are of the same build (the monitor is the binary that was run), yet a container may
//! outlive an upgrade: kinds and payloads are only ever added. The decoder trusts nothing; a bad
//! frame costs the sender its connection and the container nothing.

use crate::{
    Expected,
    exit::Exit,
    health::{Checked, HealthPlan},
};
use dhow_base::{Error, Kind, Result, clock::Moment};
use dhow_network::{Leased, Plan, Publication};
use serde::{Deserialize, Serialize};

/// The largest payload of every frame but a job.
pub(crate) const LIMIT_BYTES: usize = 64 << 10;

/// The largest job: a process with all the arguments and environment that exec allows, as JSON.
pub(crate) const JOB_LIMIT_BYTES: usize = 32 << 20;

/// How many bytes of input a client may send before the process has taken them.
pub const STDIN_WINDOW: usize = 64 << 10;

const HEADER_BYTES: usize = 5;

// Such a chain fits into a frame, also where every character is an escape of six bytes.
const LINKS_LIMIT: usize = 9;
const LINK_LIMIT_CHARS: usize = 1000;

/// Something that is said.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Frame {
    /// What to do, as JSON.
    Job(Vec<u8>),
    /// The client wants output.
    Attach,
    /// Input for the process.
    Stdin(Vec<u8>),
    /// The end of the input.
    StdinClosed,
    /// The terminal's new size.
    Resize(Size),
    /// A signal for the process.
    Signal(i32),
    /// The client goes and the process stays.
    Detach,
    /// The client wants a health check now.
    CheckHealth,
    /// The container's networks are to be these.
    Networks(Box<Plan>),
    /// The container is to be checked so from now on, or not at all.
    Health(Option<Box<HealthPlan>>),
    /// What goes with a container that is removed may go.
    Erase,
    /// What is known of a container whose job follows.
    Expected(Box<Expected>),
    /// The process runs.
    Started(Started),
    /// The process could not be started.
    Failed(Failure),
    /// Output.
    Stdout(Vec<u8>),
    /// Output.
    Stderr(Vec<u8>),
    /// So many bytes of input have gone to the process.
    StdinTaken(u32),
    /// The process ended; nothing follows.
    Exited(Exit),
    /// What the health check found.
    Checked(Checked),
    /// The container's networks are what they were to be.
    NetworksChanged,
    /// The container is checked as it was to be.
    HealthChanged,
}

/// A terminal's size in characters.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Size {
    /// Rows.
    pub rows: u16,
    /// Columns.
    pub columns: u16,
}

/// What there is to know of a process that was started.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Started {
    /// The process, as the host numbers it.
    pub pid: i32,
    /// When it started, in clock ticks since boot; with the pid it names the process for good.
    pub start_time: u64,
    /// The monitor.
    pub monitor_pid: i32,
    /// When it started, by the clock on the wall, in nanoseconds since 1970.
    pub started_at: i64,
    /// The ports through which it is reached: what was asked for, with those that were found free.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<Publication>,
    /// The addresses that servers have leased its devices.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub leases: Vec<Leased>,
}

impl Started {
    /// When it started, by the clock on the wall.
    pub fn moment(&self) -> Moment {
        Moment::from_unix_nanoseconds(self.started_at)
    }
}

/// An error as it travels: every link of its chain, so that the command prints it as its own.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Failure {
    kind: String,
    chain: Vec<String>,
    hint: Option<String>,
    errno: Option<i32>,
}

impl From<&Error> for Failure {
    fn from(error: &Error) -> Self {
        let short = |text: String| text.chars().take(LINK_LIMIT_CHARS).collect();
        let mut chain = vec![short(error.to_string())];
        let mut next = std::error::Error::source(error);
        while let Some(cause) = next.filter(|_| chain.len() < LINKS_LIMIT) {
            chain.push(short(cause.to_string()));
            next = cause.source();
        }
        Self {
            kind: format!("{:?}", error.kind()),
            chain,
            hint: error.innermost_hint().map(|hint| short(hint.to_owned())),
            errno: error.errno(),
        }
    }
}

impl Failure {
    /// The error again, with the same kind, chain, hint and errno.
    pub(crate) fn into_error(self) -> Error {
        let kind = KINDS.into_iter().find(|kind| format!("{kind:?}") == self.kind);
        let kind = kind.unwrap_or(Kind::Internal);
        let mut links = self.chain.into_iter().rev();
        let mut error = match self.errno {
            // The innermost link is the errno's own words, which it will say again by itself.
            Some(errno) => {
                links.next();
                let cause = std::io::Error::from_raw_os_error(errno);
                links.next().map(|link| Error::new(kind, link).because(cause))
            }
            None => links.next().map(|link| Error::new(kind, link)),
        }
        .unwrap_or_else(|| Error::new(kind, "start the process"));
        if let Some(hint) = self.hint {
            error = error.hint(hint);
        }
        links.fold(error, |cause, link| Error::new(kind, link).because(cause))
    }
}

/// All kinds, by whose names failures travel.
const KINDS: [Kind; 13] = [
    Kind::NotFound,
    Kind::AlreadyExists,
    Kind::Invalid,
    Kind::Conflict,
    Kind::Denied,
    Kind::Corrupt,
    Kind::Exhausted,
    Kind::Unavailable,
    Kind::Unsupported,
    Kind::TimedOut,
    Kind::CommandNotFound,
    Kind::CommandNotRunnable,
    Kind::Internal,
];

/// The byte that begins a frame.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
enum Tag {
    Job = 1,
    Attach = 2,
    Stdin = 3,
    StdinClosed = 4,
    Resize = 5,
    Signal = 6,
    Detach = 7,
    CheckHealth = 8,
    Networks = 9,
    Erase = 10,
    Expected = 11,
    Health = 12,
    Started = 64,
    Failed = 65,
    Stdout = 66,
    Stderr = 67,
    StdinTaken = 68,
    Exited = 69,
    Checked = 70,
    NetworksChanged = 71,
    HealthChanged = 72,
}

impl Tag {
    fn parse(byte: u8) -> Option<Self> {
        const ALL: [Tag; 21] = [
            Tag::Job,
            Tag::Attach,
            Tag::Stdin,
            Tag::StdinClosed,
            Tag::Resize,
            Tag::Signal,
            Tag::Detach,
            Tag::CheckHealth,
            Tag::Networks,
            Tag::Erase,
            Tag::Expected,
            Tag::Health,
            Tag::Started,
            Tag::Failed,
            Tag::Stdout,
            Tag::Stderr,
            Tag::StdinTaken,
            Tag::Exited,
            Tag::Checked,
            Tag::NetworksChanged,
            Tag::HealthChanged,
        ];
        ALL.into_iter().find(|tag| *tag as u8 == byte)
    }
}

impl Frame {
    /// Appends the frame's bytes. Data frames hold at most [`LIMIT_BYTES`]; see [`append_data`].
    pub(crate) fn append_to(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Job(job) => append(bytes, Tag::Job, job),
            Self::Attach => append(bytes, Tag::Attach, b""),
            Self::Stdin(data) => append_data(bytes, Channel::Stdin, data),
            Self::StdinClosed => append(bytes, Tag::StdinClosed, b""),
            Self::Resize(size) => {
                let [a, b] = size.rows.to_le_bytes();
                let [c, d] = size.columns.to_le_bytes();
                append(bytes, Tag::Resize, &[a, b, c, d]);
            }
            Self::Signal(number) => append(bytes, Tag::Signal, &number.to_le_bytes()),
            Self::Detach => append(bytes, Tag::Detach, b""),
            Self::CheckHealth => append(bytes, Tag::CheckHealth, b""),
            Self::Networks(plan) => append(bytes, Tag::Networks, &json(plan)),
            Self::Health(plan) => append(bytes, Tag::Health, &json(plan)),
            Self::Erase => append(bytes, Tag::Erase, b""),
            Self::Expected(expected) => append(bytes, Tag::Expected, &json(expected)),
            Self::Started(started) => append(bytes, Tag::Started, &json(started)),
            Self::Failed(failure) => append(bytes, Tag::Failed, &json(failure)),
            Self::Stdout(data) => append_data(bytes, Channel::Stdout, data),
            Self::Stderr(data) => append_data(bytes, Channel::Stderr, data),
            Self::StdinTaken(count) => append(bytes, Tag::StdinTaken, &count.to_le_bytes()),
            Self::Exited(exit) => append(bytes, Tag::Exited, &json(exit)),
            Self::Checked(checked) => append(bytes, Tag::Checked, &json(checked)),
            Self::NetworksChanged => append(bytes, Tag::NetworksChanged, b""),
            Self::HealthChanged => append(bytes, Tag::HealthChanged, b""),
        }
    }

    /// Takes one frame off the front of `bytes`: the frame and how many bytes it was, or `None`
    /// while it is not whole. An error means that the rest of the stream makes no sense.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>> {
        Self::parse_limited(bytes, LIMIT_BYTES)
    }

    /// As [`Frame::parse`], of the first frame, which may be a long job.
    pub(crate) fn parse_job(bytes: &[u8]) -> Result<Option<(Self, usize)>> {
        Self::parse_limited(bytes, JOB_LIMIT_BYTES)
    }

    fn parse_limited(bytes: &[u8], limit_bytes: usize) -> Result<Option<(Self, usize)>> {
        let Some((header, rest)) = bytes.split_at_checked(HEADER_BYTES) else {
            return Ok(None);
        };
        let tag = Tag::parse(header[0])
            .ok_or_else(|| bad(&format!("there is no frame of kind {}", header[0])))?;
        let length = u32::from_le_bytes([header[1], header[2], header[3], header[4]]);
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if length > limit_bytes {
            return Err(bad(&format!("a {tag:?} frame of {length} bytes is too long")));
        }
        let Some(payload) = rest.get(..length) else {
            return Ok(None);
        };
        Ok(Some((Self::parse_payload(tag, payload)?, HEADER_BYTES + length)))
    }

    fn parse_payload(tag: Tag, payload: &[u8]) -> Result<Self> {
        Ok(match tag {
            Tag::Job => Self::Job(payload.to_vec()),
            Tag::Attach => Self::Attach,
            Tag::Stdin => Self::Stdin(payload.to_vec()),
            Tag::StdinClosed => Self::StdinClosed,
            Tag::Resize => {
                let [a, b, c, d] = exactly(tag, payload)?;
                Self::Resize(Size {
                    rows: u16::from_le_bytes([a, b]),
                    columns: u16::from_le_bytes([c, d]),
                })
            }
            Tag::Signal => Self::Signal(i32::from_le_bytes(exactly(tag, payload)?)),
            Tag::Detach => Self::Detach,
            Tag::CheckHealth => Self::CheckHealth,
            Tag::Networks => Self::Networks(Box::new(from_json(tag, payload)?)),
            Tag::Health => Self::Health(from_json(tag, payload)?),
            Tag::Erase => Self::Erase,
            Tag::Expected => Self::Expected(Box::new(from_json(tag, payload)?)),
            Tag::Started => Self::Started(from_json(tag, payload)?),
            Tag::Failed => Self::Failed(from_json(tag, payload)?),
            Tag::Stdout => Self::Stdout(payload.to_vec()),
            Tag::Stderr => Self::Stderr(payload.to_vec()),
            Tag::StdinTaken => Self::StdinTaken(u32::from_le_bytes(exactly(tag, payload)?)),
            Tag::Exited => Self::Exited(from_json(tag, payload)?),
            Tag::Checked => Self::Checked(from_json(tag, payload)?),
            Tag::NetworksChanged => Self::NetworksChanged,
            Tag::HealthChanged => Self::HealthChanged,
        })
    }
}

/// The three streams of bytes that frames carry.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Channel {
    /// To the process.
    Stdin,
    /// From the process.
    Stdout,
    /// From the process.
    Stderr,
}

/// Appends `data` as as many frames as it needs, without a copy in between.
pub(crate) fn append_data(bytes: &mut Vec<u8>, channel: Channel, data: &[u8]) {
    let tag = match channel {
        Channel::Stdin => Tag::Stdin,
        Channel::Stdout => Tag::Stdout,
        Channel::Stderr => Tag::Stderr,
    };
    for piece in data.chunks(LIMIT_BYTES) {
        append(bytes, tag, piece);
    }
}

fn append(bytes: &mut Vec<u8>, tag: Tag, payload: &[u8]) {
    let length = u32::try_from(payload.len()).expect("every payload is far below 4 GiB");
    bytes.reserve(HEADER_BYTES + payload.len());
    bytes.push(tag as u8);
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(payload);
}

fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("numbers, texts and options always serialise")
}

fn from_json<T: for<'de> Deserialize<'de>>(tag: Tag, payload: &[u8]) -> Result<T> {
    serde_json::from_slice(payload)
        .map_err(|error| bad(&format!("a {tag:?} frame is not what it should be")).because(error))
}

fn exactly<const N: usize>(tag: Tag, payload: &[u8]) -> Result<[u8; N]> {
    payload
        .try_into()
        .map_err(|_| bad(&format!("a {tag:?} frame has {} bytes, not {N}", payload.len())))
}

fn bad(what: &str) -> Error {
    Error::new(Kind::Corrupt, format!("read from the other side of the monitor's socket: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use dhow_base::Doing;

    fn every_frame() -> Vec<Frame> {
        let failure = Error::new(Kind::CommandNotFound, "find /bin/x").hint("look again");
        vec![
            Frame::Job(vec![b'j'; 100_000]),
            Frame::Attach,
            Frame::Stdin(b"in".to_vec()),
            Frame::StdinClosed,
            Frame::Resize(Size { rows: 24, columns: 65_535 }),
            Frame::Signal(-1),
            Frame::Detach,
            Frame::Started(Started {
                pid: 7,
                start_time: u64::MAX,
                monitor_pid: 6,
                started_at: -1,
                ports: Vec::new(),
                leases: Vec::new(),
            }),
            Frame::Failed(Failure::from(&failure)),
            Frame::Stdout(vec![0; LIMIT_BYTES]),
            Frame::Stderr(Vec::from(b"\xff\n")),
            Frame::StdinTaken(u32::MAX),
            Frame::Exited(Exit { code: 255, signal: None, oom_killed: false }),
            Frame::CheckHealth,
            Frame::Networks(Box::new(Plan { owner: "c1".into(), ..Plan::default() })),
            Frame::NetworksChanged,
            Frame::Health(None),
            Frame::HealthChanged,
            Frame::Checked(Checked { exit_code: -1, status: "unhealthy".into() }),
        ]
    }

    #[test]
    fn every_frame_survives_the_wire_however_it_is_cut() {
        let mut wire = Vec::new();
        for frame in every_frame() {
            frame.append_to(&mut wire);
        }

        let mut frames = Vec::new();
        let mut rest = &wire[..];
        while let Some((frame, used)) = Frame::parse_job(rest).unwrap() {
            for cut in [0, 1, 4, 5, used - 1] {
                assert_eq!(Frame::parse_job(&rest[..cut.min(used - 1)]).unwrap(), None);
            }
            frames.push(frame);
            rest = &rest[used..];
        }

        assert!(rest.is_empty());
        assert_eq!(frames, every_frame());
    }

    #[test]
    fn what_is_too_long_unknown_or_malformed_is_refused_at_once() {
        let cases: [(&str, &[u8]); 7] = [
            ("an unknown kind", &[0, 0, 0, 0, 0]),
            ("another unknown kind", &[255, 1, 0, 0, 0]),
            ("four gigabytes of output", &[Tag::Stdout as u8, 255, 255, 255, 255]),
            ("a byte too much", &[Tag::Stdin as u8, 1, 0, 1, 0]),
            ("a job that comes later", &[Tag::Job as u8, 1, 0, 1, 0]),
            ("half a size", &[Tag::Resize as u8, 2, 0, 0, 0, 1, 2]),
            ("an exit that is no JSON", &[Tag::Exited as u8, 1, 0, 0, 0, b'{']),
        ];
        for (what, bytes) in cases {
            assert_eq!(Frame::parse(bytes).unwrap_err().kind(), Kind::Corrupt, "{what}");
        }
        let endless = [Tag::Job as u8, 1, 0, 0, 2];
        assert_eq!(Frame::parse_job(&endless).unwrap_err().kind(), Kind::Corrupt);
    }

    #[test]
    fn mutated_frames_never_panic_and_never_grow() {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut random = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state >> 33).unwrap()
        };
        let mut wire = Vec::new();
        for frame in every_frame().into_iter().filter(|frame| !matches!(frame, Frame::Job(_))) {
            frame.append_to(&mut wire);
        }

        for _ in 0..20_000 {
            let mut mutated = wire[random() % wire.len()..].to_vec();
            mutated.truncate(random() % 400);
            for _ in 0..random() % 8 {
                if !mutated.is_empty() {
                    let at = random() % mutated.len();
                    mutated[at] = u8::try_from(random() & 255).unwrap();
                }
            }
            let mut rest = &mutated[..];
            while let Ok(Some((_, used))) = Frame::parse(rest) {
                assert!(used >= HEADER_BYTES && used <= rest.len());
                rest = &rest[used..];
            }
        }
    }

    #[test]
    fn an_error_arrives_with_its_kind_chain_hint_and_errno() {
        let plain = Error::new(Kind::CommandNotFound, "find /bin/x in the image").hint("look");
        let with_errno = Err::<(), _>(rustix::io::Errno::NOSPC).doing(|| "write").unwrap_err();
        for error in [plain, with_errno] {
            let error = Err::<(), _>(error).doing(|| "start c1").unwrap_err();

            let arrived = Failure::from(&error).into_error();

            assert_eq!(arrived.kind(), error.kind());
            assert_eq!(arrived.one_line(), error.one_line());
            assert_eq!(arrived.innermost_hint(), error.innermost_hint());
            assert_eq!(arrived.errno(), error.errno());
        }
    }
}
