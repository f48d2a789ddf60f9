//! `netlink(7)`: messages to the kernel and its answers, one after the other or many at once.
//!
//! A [`Netlink`] is a socket of the network namespace that the process was in when it was opened, and
//! stays one of that namespace, wherever the process goes. The formats are the kernel's own, in this
//! machine's byte order. What the messages mean is the caller's: [`crate::route`] knows links.

use rustix::{
    io::Errno,
    net::{
        AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType,
        netlink::{self, SocketAddrNetlink},
    },
};
use std::{
    ffi::CString,
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

/// The length of a message's head (`struct nlmsghdr`).
const HEAD: usize = 16;

/// The kernel sends dumps in pieces of at most this size.
const ANSWER_BYTES: usize = 32 << 10;

/// What an attribute's kind says of it: others are inside (`NLA_F_NESTED`).
const NESTED: u16 = 1 << 15;

/// The flags of an attribute's kind, which are no part of its number (`NLA_TYPE_MASK`).
const KIND: u16 = 0x3fff;

/// With whom a socket speaks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Protocol {
    /// `NETLINK_ROUTE`: links, addresses, routes, queueing.
    Route,
    /// `NETLINK_NETFILTER`: nftables and connection tracking.
    Netfilter,
}

/// A connection to one of the kernel's parts, in a network namespace.
#[derive(Debug)]
pub struct Netlink {
    socket: OwnedFd,
}

impl Netlink {
    /// Opens a connection to the network namespace that the process is in.
    pub fn open(protocol: Protocol) -> io::Result<Self> {
        let protocol = match protocol {
            // The first of netlink's protocols, which has no number to name.
            Protocol::Route => None,
            Protocol::Netfilter => Some(netlink::NETFILTER),
        };
        let socket = rustix::net::socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC,
            protocol,
        )?;
        Ok(Self { socket })
    }

    /// Has the kernel's news of these groups sent to this socket: bit n - 1 stands for group n.
    pub fn listen(&self, groups: u32) -> io::Result<()> {
        Ok(rustix::net::bind(&self.socket, &SocketAddrNetlink::new(0, groups))?)
    }

    /// Sends a request and collects its answer, to the end.
    pub fn ask(&self, request: Request) -> io::Result<Vec<Answer>> {
        self.send(&request.finish())?;
        let mut answers = Vec::new();
        let mut buffer = vec![0; ANSWER_BYTES];
        loop {
            let count = self.receive(&mut buffer)?;
            let mut rest = &buffer[..count];
            while !rest.is_empty() {
                let (answer, after) = Answer::first_of(rest).ok_or_else(broken)?;
                rest = after;
                match i32::from(answer.kind) {
                    libc::NLMSG_DONE => return Ok(answers),
                    libc::NLMSG_ERROR => return answer.verdict().map(|()| answers),
                    _ => answers.push(answer),
                }
            }
        }
    }

    /// Sends many requests at once, which the kernel carries out in their order, and collects what
    /// became of each. It goes on after one that it refuses; those that want an answer beyond that
    /// have no place here.
    pub fn ask_all(&self, requests: Vec<Request>) -> io::Result<Vec<io::Result<()>>> {
        let mut bytes = Vec::new();
        let count = requests.len();
        for (number, request) in requests.into_iter().enumerate() {
            let number = u32::try_from(number).expect("so many requests are never built");
            bytes.extend(request.numbered(number).finish());
        }
        let mut verdicts = Vec::with_capacity(count);
        if count == 0 {
            return Ok(verdicts);
        }
        self.send(&bytes)?;
        let mut buffer = vec![0; ANSWER_BYTES];
        while verdicts.len() < count {
            let length = self.receive(&mut buffer)?;
            let mut rest = &buffer[..length];
            while !rest.is_empty() {
                let (answer, after) = Answer::first_of(rest).ok_or_else(broken)?;
                rest = after;
                if i32::from(answer.kind) == libc::NLMSG_ERROR {
                    verdicts.push(answer.verdict());
                }
            }
        }
        Ok(verdicts)
    }

    /// Sends the bytes of finished messages.
    pub fn send(&self, bytes: &[u8]) -> io::Result<()> {
        loop {
            match rustix::net::send(&self.socket, bytes, SendFlags::empty()) {
                Ok(_) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// Waits for one piece of what the kernel says.
    pub fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match rustix::net::recv(&self.socket, &mut buffer[..], RecvFlags::empty()) {
                Ok((count, _)) => return Ok(count),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }
}

impl From<Netlink> for OwnedFd {
    fn from(netlink: Netlink) -> Self {
        netlink.socket
    }
}

impl AsFd for Netlink {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// A message on its way to the kernel.
#[derive(Clone, Debug)]
pub struct Request {
    bytes: Vec<u8>,
}

impl Request {
    /// A message of this kind. `head` is what the kind puts before its attributes; flags are added to
    /// those of every request that is answered.
    pub fn new(kind: u16, flags: libc::c_int, head: &[u8]) -> Self {
        Self::unanswered(kind, libc::NLM_F_ACK | flags, head)
    }

    /// As [`Request::new`], without an answer where the kernel does not refuse it.
    pub fn unanswered(kind: u16, flags: libc::c_int, head: &[u8]) -> Self {
        let flags = u16::try_from(libc::NLM_F_REQUEST | flags).expect("flags have 16 bits");
        let mut bytes = vec![0; 4];
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(flags.to_ne_bytes());
        // A number, which matters only among many, and the sender's address, which is the kernel's to
        // fill.
        bytes.extend([0; 8]);
        bytes.extend(head);
        Self { bytes }
    }

    /// Gives it a number, which its answer carries.
    #[must_use]
    pub fn numbered(mut self, number: u32) -> Self {
        self.bytes[8..12].copy_from_slice(&number.to_ne_bytes());
        self
    }

    /// Adds flags to those that it has.
    #[must_use]
    pub fn flagged(mut self, flags: libc::c_int) -> Self {
        let flags = u16::try_from(flags).expect("flags have 16 bits").to_ne_bytes();
        self.bytes[6] |= flags[0];
        self.bytes[7] |= flags[1];
        self
    }

    /// Adds an attribute.
    pub fn attribute(&mut self, kind: u16, value: &[u8]) -> &mut Self {
        let length = u16::try_from(value.len() + 4).expect("attributes are short");
        self.bytes.extend(length.to_ne_bytes());
        self.bytes.extend(kind.to_ne_bytes());
        self.bytes.extend(value);
        self.pad()
    }

    /// Adds an attribute that is text, with the zero byte that ends it.
    pub fn text(&mut self, kind: u16, text: &str) -> io::Result<&mut Self> {
        let text = CString::new(text)?;
        Ok(self.attribute(kind, text.as_bytes_with_nul()))
    }

    /// Adds the name of a device; `ERANGE` where the kernel has no room for it.
    pub fn device(&mut self, kind: u16, name: &str) -> io::Result<&mut Self> {
        if name.len() >= libc::IFNAMSIZ {
            return Err(Errno::RANGE.into());
        }
        self.text(kind, name)
    }

    /// Adds an attribute with others inside.
    pub fn nest(&mut self, kind: u16, fill: impl FnOnce(&mut Self)) -> &mut Self {
        let start = self.bytes.len();
        self.attribute(kind | NESTED, &[]);
        fill(self);
        let length = u16::try_from(self.bytes.len() - start).expect("attributes are short");
        self.bytes[start..start + 2].copy_from_slice(&length.to_ne_bytes());
        self
    }

    /// Adds bytes as they are, up to the next boundary: heads inside of attributes.
    pub fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.extend(bytes);
        self.pad()
    }

    /// The bytes to send.
    pub fn finish(mut self) -> Vec<u8> {
        let length = u32::try_from(self.bytes.len()).expect("a request is short");
        self.bytes[..4].copy_from_slice(&length.to_ne_bytes());
        self.bytes
    }

    fn pad(&mut self) -> &mut Self {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        self
    }
}

/// A message from the kernel.
#[derive(Clone, Debug)]
pub struct Answer {
    /// What it is about.
    pub kind: u16,
    /// The number of the request that it answers.
    pub number: u32,
    /// What comes after the head.
    pub body: Vec<u8>,
}

impl Answer {
    /// The first message, and what comes after it; `None` where it is cut short.
    pub fn first_of(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let length = usize::try_from(number_at(bytes, 0)?).ok()?;
        let body = bytes.get(HEAD..length)?.to_vec();
        let kind = u16::from_ne_bytes([bytes[4], bytes[5]]);
        let number = number_at(bytes, 8)?;
        let after = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((Self { kind, number, body }, after))
    }

    /// What became of the request, where this is the message that says so (`NLMSG_ERROR`).
    pub fn verdict(&self) -> io::Result<()> {
        match number_at(&self.body, 0).ok_or_else(broken)?.cast_signed() {
            0 => Ok(()),
            errno => Err(io::Error::from_raw_os_error(-errno)),
        }
    }
}

/// Attributes by their numbers; `None` where one is cut short.
pub fn attributes(mut rest: &[u8]) -> Option<Vec<(u16, &[u8])>> {
    let mut all = Vec::new();
    while let Some(&[a, b, c, d]) = rest.first_chunk::<4>() {
        let length = usize::from(u16::from_ne_bytes([a, b]));
        all.push((u16::from_ne_bytes([c, d]) & KIND, rest.get(4..length)?));
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Some(all)
}

/// Four bytes as a number.
pub fn number_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk::<4>().map(|four| u32::from_ne_bytes(*four))
}

/// What is said of an answer that is no answer.
pub fn broken() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the kernel's answer is cut short")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_come_back_as_they_were_put_in() {
        let mut request = Request::new(16, 0, &[7; 4]);
        request.attribute(1, &[1, 2, 3]).nest(2, |inner| {
            inner.attribute(3, &[9]);
        });
        request.text(4, "eth0").unwrap();
        let bytes = request.numbered(5).finish();

        let (message, after) = Answer::first_of(&bytes).unwrap();
        let all = attributes(&message.body[4..]).unwrap();

        assert!(after.is_empty());
        assert_eq!((message.kind, message.number), (16, 5));
        assert_eq!(all[0], (1, &[1, 2, 3][..]));
        assert_eq!(all[1].0, 2);
        assert_eq!(attributes(all[1].1).unwrap(), [(3, &[9][..])]);
        assert_eq!(all[2], (4, &b"eth0\0"[..]));
    }

    #[test]
    fn answers_that_are_cut_short_are_no_answers() {
        let whole = Request::new(libc::RTM_GETADDR, 0, &[2, 24, 0, 0, 7, 0, 0, 0]).finish();
        assert!(Answer::first_of(&whole).is_some());

        for length in 0..whole.len() {
            assert!(Answer::first_of(&whole[..length]).is_none(), "{length}");
        }
    }

    #[test]
    fn each_of_many_has_a_verdict_of_its_own() {
        let netlink = Netlink::open(Protocol::Route).unwrap();
        let link = |name: &str| {
            let mut request = Request::new(libc::RTM_SETLINK, 0, &[0; 16]);
            request.device(libc::IFLA_IFNAME, name).unwrap();
            request
        };

        let verdicts = netlink.ask_all(vec![link("none-such"), link("none-either")]).unwrap();

        assert_eq!(verdicts.len(), 2);
        for verdict in verdicts {
            assert!(verdict.is_err());
        }
        assert!(netlink.ask_all(Vec::new()).unwrap().is_empty());
        let long = Request::new(0, 0, &[]).device(1, "a-name-of-20-letters").unwrap_err();
        assert_eq!(long.raw_os_error(), Some(libc::ERANGE));
    }
}
