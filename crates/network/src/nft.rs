//! `nftables(8)` as the kernel speaks it: tables, chains, sets and rules over netlink.
//!
//! Changes are gathered in a [`Batch`], which the kernel carries out as a whole or not at all. An
//! [`Nft`] is a connection to the network namespace that the process was in when it was opened, and
//! stays one of that namespace. What the rules are for is the caller's.

mod batch;
mod judge;
mod packet;
mod read;
mod registers;
mod rule;
mod ruleset;
mod set;

pub(crate) use batch::{Batch, Hook, Priority};
pub(crate) use judge::{Judge, Judgement};
pub(crate) use packet::Packet;
pub(crate) use rule::{
    ESTABLISHED, INVALID, PortOf, RELATED, Rule, Side, Verdict, Version, comment,
};
pub(crate) use ruleset::Chain;
pub(crate) use set::{Element, Field, Key, Set};

use dhow_base::{Doing, Error, Kind, Result};
use dhow_sys::{
    closing,
    netlink::{self, Answer, Netlink, Protocol, Request},
};
use rustix::io::Errno;
use std::{collections::HashSet, io};

/// The part of netfilter that nftables is (`NFNL_SUBSYS_NFTABLES`), in the upper byte of a message's
/// kind.
const SUBSYSTEM: u16 = 10 << 8;

/// Packets of both versions of the internet protocol (`NFPROTO_INET`).
const INET: u8 = 1;

// What a message is about (`nf_tables.h`).
const NEW_TABLE: u16 = SUBSYSTEM;
const GET_TABLE: u16 = SUBSYSTEM | 1;
pub(crate) const DELETE_TABLE: u16 = SUBSYSTEM | 2;
const NEW_CHAIN: u16 = SUBSYSTEM | 3;
const GET_CHAIN: u16 = SUBSYSTEM | 4;
pub(crate) const DELETE_CHAIN: u16 = SUBSYSTEM | 5;
const NEW_RULE: u16 = SUBSYSTEM | 6;
const GET_RULE: u16 = SUBSYSTEM | 7;
pub(crate) const DELETE_RULE: u16 = SUBSYSTEM | 8;
const NEW_SET: u16 = SUBSYSTEM | 9;
const GET_SET: u16 = SUBSYSTEM | 10;
pub(crate) const DELETE_SET: u16 = SUBSYSTEM | 11;
const NEW_ELEMENT: u16 = SUBSYSTEM | 12;
const GET_ELEMENT: u16 = SUBSYSTEM | 13;
const DELETE_ELEMENT: u16 = SUBSYSTEM | 14;
pub(crate) const NEW_GENERATION: u16 = SUBSYSTEM | 15;
const GET_GENERATION: u16 = SUBSYSTEM | 16;

/// A batch begins and ends with messages of netfilter itself (`nfnetlink.h`).
const BEGIN: u16 = 0x10;
const END: u16 = 0x11;

// Flags of a message (`netlink.h`).
const ACKNOWLEDGED: i32 = 0x4;
const DUMP: i32 = 0x300;
const CREATE: i32 = 0x400;
const APPEND: i32 = 0x800;

/// The kind of an answer that says what became of a request.
const VERDICT: u16 = 2;

/// How many bytes the kernel has for the name of a device, with the zero at its end.
const DEVICE_BYTES: usize = 16;

/// Of so many elements it is quicker to ask one by one whether they are there, and of more to read
/// the whole set.
const FEW: usize = 32;

/// How often a change is tried again after somebody else's came in between.
const TRIES: usize = 8;

/// The kernel sends answers in pieces of at most this size.
const ANSWER_BYTES: usize = 32 << 10;

/// A connection to the kernel's nftables in one network namespace.
#[derive(Debug)]
pub(crate) struct Nft {
    /// None while it is dropped alone.
    socket: Option<Netlink>,
}

/// Why a batch was not carried out.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// What was refused, such as `add chain forward`.
    pub(crate) what: String,
    /// Why.
    pub(crate) errno: Errno,
}

impl Refusal {
    /// The same as an error, about a table.
    pub(crate) fn into_error(self, doing: impl Into<String>) -> Error {
        let kind = match self.errno {
            Errno::PERM | Errno::ACCESS => Kind::Denied,
            Errno::OPNOTSUPP | Errno::PROTONOSUPPORT | Errno::AFNOSUPPORT => Kind::Unsupported,
            Errno::NOSPC | Errno::NOMEM | Errno::NFILE => Kind::Exhausted,
            _ => Kind::Internal,
        };
        let cause = Error::new(kind, self.what).because(io::Error::from(self.errno));
        let error = Error::new(kind, doing).because(cause);
        match kind {
            Kind::Denied => error.hint("changing the firewall takes CAP_NET_ADMIN"),
            Kind::Unsupported => error.hint("the kernel needs nf_tables with nat, fib and masq"),
            // A missing module is told as a missing object.
            _ if self.errno == Errno::NOENT => {
                error.hint("is nf_tables part of this kernel? See CONFIG_NF_TABLES_INET")
            }
            _ => error,
        }
    }
}

impl Nft {
    /// Opens a connection to the network namespace that the process is in.
    pub(crate) fn open() -> Result<Self> {
        let socket = Netlink::open(Protocol::Netfilter);
        let socket = socket.map_err(|error| {
            let hint = "the kernel needs nf_tables (CONFIG_NF_TABLES)";
            Error::new(Kind::Unsupported, "open a connection to nftables").because(error).hint(hint)
        })?;
        Ok(Self { socket: Some(socket) })
    }

    /// Has a batch carried out. The error is the first thing that the kernel refused.
    pub(crate) fn commit(&self, batch: Batch) -> Result<Result<(), Refusal>> {
        let doing = || "change the firewall";
        let (bytes, names) = batch.finish();
        if names.is_empty() {
            return Ok(Ok(()));
        }
        self.socket().send(&bytes).doing(doing)?;
        let last = names.len();
        let mut refusal = None;
        let mut buffer = vec![0; ANSWER_BYTES];
        loop {
            let length = self.socket().receive(&mut buffer).doing(doing)?;
            let mut rest = &buffer[..length];
            while !rest.is_empty() {
                let (answer, after) = first_of(rest).doing(doing)?;
                rest = after;
                if answer.kind != VERDICT {
                    continue;
                }
                let number = usize::try_from(answer.number).unwrap_or(usize::MAX);
                if let Err(error) = answer.verdict() {
                    let what = number.checked_sub(1).and_then(|place| names.get(place));
                    // The beginning's number stands for the batch as a whole.
                    let what = what.cloned().unwrap_or_else(|| "all of it at once".to_owned());
                    let errno = Errno::from_io_error(&error).unwrap_or(Errno::IO);
                    refusal.get_or_insert(Refusal { what, errno });
                }
                // Only the last one asks for an answer; a refused beginning is the only one.
                if number == last || (number == 0 && refusal.is_some()) {
                    return Ok(refusal.map_or(Ok(()), Err));
                }
            }
        }
    }

    /// Tries a change until it goes through, since others change the same things. Each attempt is made
    /// from what is there then, and is told what became of the one before.
    pub(crate) fn retry(
        &self,
        doing: &str,
        mut attempt: impl FnMut(Option<&Refusal>) -> Result<Result<(), Refusal>>,
    ) -> Result<()> {
        let mut last = None;
        for _ in 0..TRIES {
            match attempt(last.as_ref())? {
                Ok(()) => return Ok(()),
                Err(refused) if refused.errno == Errno::PERM => {
                    return Err(refused.into_error(doing));
                }
                Err(refused) => last = Some(refused),
            }
        }
        last.map_or(Ok(()), |refused| Err(refused.into_error(doing)))
    }

    /// Takes a table away where it is idle and stays so until then.
    pub(crate) fn delete_table_if(
        &self,
        table: &str,
        doing: &str,
        is_idle: impl Fn() -> Result<bool>,
    ) -> Result<()> {
        for _ in 0..TRIES {
            let generation = self.generation()?;
            if self.table_note(table)?.is_none() || !is_idle()? {
                return Ok(());
            }
            let mut batch = Batch::of(table);
            batch.only_at(generation);
            batch.delete_table();
            match self.commit(batch)? {
                Err(refused) if matches!(refused.errno, Errno::RESTART | Errno::NOENT) => {}
                Err(refused) => return Err(refused.into_error(doing)),
                Ok(()) => return Ok(()),
            }
        }
        // Others are at it, and the last of them leaves.
        Ok(())
    }

    /// How many changes of the whole ruleset there were.
    pub(crate) fn generation(&self) -> Result<u32> {
        let doing = "ask for the ruleset's generation";
        let answer = self.ask_one(request(GET_GENERATION, 0)).doing(|| doing)?;
        let number = answer.and_then(|body| read::big_number(read::attribute(&body, 1)?));
        number.ok_or_else(|| Error::new(Kind::Internal, doing))
    }

    /// What is kept with a table, where there is one: `None` for no table, and nothing for a table
    /// with which nothing is kept.
    pub(crate) fn table_note(&self, table: &str) -> Result<Option<Vec<u8>>> {
        let mut request = request(GET_TABLE, 0);
        text(&mut request, 1, table);
        let answer = self.ask_one(request).doing(|| format!("look for the table inet {table}"))?;
        let Some(body) = answer else { return Ok(None) };
        Ok(Some(read::attribute(&body, 6).unwrap_or_default().to_vec()))
    }

    /// Those of the elements that are in the set, with the values that they have there.
    pub(crate) fn present(&self, table: &str, set: &Set, keys: &[Element]) -> Result<Vec<Element>> {
        let doing = || format!("read the firewall's set {}", set.name);
        let mut request = request(GET_ELEMENT, 0);
        text(&mut request, 1, table);
        text(&mut request, 2, set.name);
        if keys.len() > FEW {
            let all = self.elements(table, set)?.into_iter();
            let wanted: HashSet<&[u8]> =
                keys.iter().map(|element| element.key.as_slice()).collect();
            return Ok(all.filter(|found| wanted.contains(found.key.as_slice())).collect());
        }
        let mut found = Vec::new();
        for key in keys {
            let mut request = request.clone();
            set::put_elements(&mut request, &[key.without_value()]);
            if let Some(body) = self.ask_one(request).doing(doing)? {
                found.extend(set::elements(&body));
            }
        }
        Ok(found)
    }

    /// Everything that is in a set.
    pub(crate) fn elements(&self, table: &str, set: &Set) -> Result<Vec<Element>> {
        let mut request = request(GET_ELEMENT, DUMP);
        text(&mut request, 1, table);
        text(&mut request, 2, set.name);
        let all = self.dump(request).doing(|| format!("read the firewall's set {}", set.name))?;
        Ok(all.iter().flat_map(|body| set::elements(body)).collect())
    }

    fn socket(&self) -> &Netlink {
        self.socket.as_ref().expect("it is there until the drop")
    }

    /// All answers to a request that lists; none where what is listed is not there.
    fn dump(&self, request: Request) -> io::Result<Vec<Vec<u8>>> {
        match self.socket().ask(request) {
            Ok(answers) => Ok(answers.into_iter().map(|answer| answer.body).collect()),
            Err(error) if is_missing(&error) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// The one answer to a question; `None` where what was asked for is not there.
    fn ask_one(&self, request: Request) -> io::Result<Option<Vec<u8>>> {
        Ok(self.dump(request)?.into_iter().next())
    }
}

/// The kernel makes whoever closes such a socket wait until it has cleaned up what anybody deleted,
/// and everybody else who would change the ruleset with them. Nobody has to wait for that.
impl Drop for Nft {
    fn drop(&mut self) {
        if let Some(socket) = self.socket.take() {
            closing::leave_to_kernel(socket.into());
        }
    }
}

fn is_missing(error: &io::Error) -> bool {
    Errno::from_io_error(error) == Some(Errno::NOENT)
}

fn first_of(bytes: &[u8]) -> io::Result<(Answer, &[u8])> {
    Answer::first_of(bytes).ok_or_else(netlink::broken)
}

/// A question about what packets of both versions meet, answered with a verdict at its end.
fn request(kind: u16, flags: i32) -> Request {
    Request::new(kind, flags, &[INET, 0, 0, 0])
}

/// Adds an attribute that is a name of ours.
fn text(request: &mut Request, kind: u16, name: &str) {
    request.text(kind, name).expect("names of ours have no zero byte");
}

/// Adds a number, which nftables wants with its highest byte first.
fn number(request: &mut Request, kind: u16, number: u32) {
    request.attribute(kind, &number.to_be_bytes());
}
