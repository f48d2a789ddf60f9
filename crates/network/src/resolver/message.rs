//! Messages of the domain name system (RFC 1035, RFC 6891): what is asked, and how an answer is
//! written.
//!
//! ```text
//!   id  flags  4 counts │ name  type  class │ records…
//!   └───── head, 12 ────┘└──── question ────┘
//! ```
//!
//! The bytes come from a container, or from whoever answers in a server's place. Nothing is believed
//! that was not looked at, and no pointer of a compressed name is followed: a question has nothing
//! before it that a pointer could lead to, and of records only the length matters here.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The length of a message's head.
pub(super) const HEAD_BYTES: usize = 12;

/// What one packet takes where nobody said more.
const PLAIN_BYTES: usize = 512;

/// The most that a packet of ours has, whatever the other side would take: it is not cut in pieces on
/// its way (DNS flag day 2020), and the loopback would take more.
const LARGEST_BYTES: usize = 1232;

/// What an answer's options take, when the question had some.
const OPTIONS_BYTES: usize = 11;

const ANSWER: u16 = 1 << 15;
const OPERATION: u16 = 0xf << 11;
const CUT_SHORT: u16 = 1 << 9;
const RECURSION_WANTED: u16 = 1 << 8;
const RECURSION_AVAILABLE: u16 = 1 << 7;
const CHECKING_DISABLED: u16 = 1 << 4;
const CODE: u16 = 0xf;

pub(super) const A: u16 = 1;
pub(super) const PTR: u16 = 12;
pub(super) const AAAA: u16 = 28;
const OPT: u16 = 41;
pub(super) const ANY: u16 = 255;
pub(super) const INTERNET: u16 = 1;

/// How an answer went (RFC 1035, 4.1.1).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Code {
    Good = 0,
    Malformed = 1,
    Failed = 2,
    NoSuchName = 3,
    NotImplemented = 4,
    Refused = 5,
}

/// A question, as far as it concerns us.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Question {
    /// The name, in small letters and without the last dot; `None` where a label has other letters
    /// than a host's name, or a dot.
    pub(super) name: Option<String>,
    pub(super) kind: u16,
    pub(super) class: u16,
    /// Where it ends in its message.
    end: usize,
    options: Option<Options>,
}

/// What a question says of its sender (RFC 6891).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Options {
    packet_bytes: u16,
    version: u8,
    wants_signatures: bool,
}

impl Question {
    /// Understands a message that asks; the error is the answer to it, or nothing where it deserves
    /// none.
    pub(super) fn parse(message: &[u8]) -> Result<Self, Option<Vec<u8>>> {
        let head = Head::parse(message).ok_or(None)?;
        if head.flags & ANSWER != 0 {
            return Err(None);
        }
        let refuse = |code| Some(head.answer(code));
        if head.flags & OPERATION != 0 {
            return Err(refuse(Code::NotImplemented));
        }
        if head.questions != 1 {
            return Err(refuse(Code::Malformed));
        }
        let mut question = Self::first(message).ok_or_else(|| refuse(Code::Malformed))?;
        question.options =
            options(message, question.end, &head).ok_or_else(|| refuse(Code::Malformed))?;
        Ok(question)
    }

    /// The first question of a message.
    fn first(message: &[u8]) -> Option<Self> {
        let (name, at) = whole_name(message, HEAD_BYTES)?;
        let (kind, class) = (number(message, at)?, number(message, at + 2)?);
        Some(Self { name, kind, class, end: at + 4, options: None })
    }

    /// How many bytes an answer may have in one packet.
    pub(super) fn packet_bytes(&self) -> usize {
        self.options.map_or(PLAIN_BYTES, |options| {
            usize::from(options.packet_bytes).clamp(PLAIN_BYTES, LARGEST_BYTES)
        })
    }

    /// How many bytes somebody else's answer may have in one packet: as many as were asked for.
    pub(super) fn forwarded_bytes(&self) -> usize {
        self.options
            .map_or(PLAIN_BYTES, |options| usize::from(options.packet_bytes).max(PLAIN_BYTES))
    }

    /// Whether it was asked in a way that is not known yet.
    pub(super) fn is_of_the_future(&self) -> bool {
        self.options.is_some_and(|options| options.version > 0)
    }
}

/// An answer that is being written.
#[derive(Debug)]
pub(super) struct Answer {
    bytes: Vec<u8>,
    limit_bytes: usize,
    count: u16,
    is_cut_short: bool,
    options: Option<Options>,
}

impl Answer {
    /// An answer to the question of this message, in as many bytes.
    pub(super) fn to(message: &[u8], question: &Question, code: Code, limit_bytes: usize) -> Self {
        let flags = number(message, 2).unwrap_or(0);
        let mut bytes = message[..question.end].to_vec();
        bytes[4..HEAD_BYTES].copy_from_slice(&[0, 1, 0, 0, 0, 0, 0, 0]);
        put(&mut bytes, 2, flags_of_answer(flags, code));
        let limit_bytes = match question.options {
            Some(_) => limit_bytes - OPTIONS_BYTES,
            None => limit_bytes,
        };
        Self { bytes, limit_bytes, count: 0, is_cut_short: false, options: question.options }
    }

    /// Adds an address of the name that was asked for.
    pub(super) fn address(&mut self, address: IpAddr) {
        match address {
            IpAddr::V4(address) => self.record(A, &address.octets()),
            IpAddr::V6(address) => self.record(AAAA, &address.octets()),
        }
    }

    /// Adds the name of the address that was asked for. One that is no name is left out.
    pub(super) fn pointer(&mut self, name: &str) {
        if let Some(name) = wire_name(name) {
            self.record(PTR, &name);
        }
    }

    /// Adds a record, unless there is no room: then the answer says that there are more.
    fn record(&mut self, kind: u16, data: &[u8]) {
        // The name is where the question has it, letter by letter as it was asked.
        let name_bytes = [0xc0, 12];
        let record_bytes = 2 + 10 + data.len();
        if self.bytes.len() + record_bytes > self.limit_bytes || self.count == u16::MAX {
            self.is_cut_short = true;
            return;
        }
        self.bytes.extend(name_bytes);
        self.bytes.extend(kind.to_be_bytes());
        self.bytes.extend(INTERNET.to_be_bytes());
        // How long it may be kept: not at all. A container may go at any time and its address be
        // another's, and asking again costs a packet over the loopback.
        self.bytes.extend(0_u32.to_be_bytes());
        self.bytes.extend(u16::try_from(data.len()).expect("a name or an address").to_be_bytes());
        self.bytes.extend(data);
        self.count += 1;
    }

    /// The message.
    pub(super) fn finish(mut self) -> Vec<u8> {
        put(&mut self.bytes, 6, self.count);
        if self.is_cut_short {
            let flags = number(&self.bytes, 2).unwrap_or(0);
            put(&mut self.bytes, 2, flags | CUT_SHORT);
        }
        if let Some(options) = self.options {
            put(&mut self.bytes, 10, 1);
            // BADVERS (RFC 6891, 6.1.3) is 16, of which the lower four bits are the head's.
            let code = u8::from(options.version > 0);
            let largest = u16::try_from(LARGEST_BYTES).expect("a size of a packet").to_be_bytes();
            let signatures = if options.wants_signatures { 0x80 } else { 0 };
            self.bytes.extend([0, 0, 41, largest[0], largest[1], code, 0, signatures, 0, 0, 0]);
        }
        self.bytes
    }
}

/// Whether a message that came back answers the question of another; the codes are those of
/// [`code_of`]. Their ids are of one length and are compared by the caller, who has chosen one.
pub(super) fn is_answer_to(answer: &[u8], asked: &[u8], id: u16) -> bool {
    let Some(head) = Head::parse(answer) else { return false };
    if head.id != id || head.flags & ANSWER == 0 || head.flags & OPERATION != 0 {
        return false;
    }
    // Servers that do not understand a question do not always repeat it.
    if head.questions == 0 {
        return head.flags & CODE == Code::Malformed as u16
            || head.flags & CODE == Code::NotImplemented as u16;
    }
    let (Some(theirs), Some(ours)) = (Question::first(answer), Question::first(asked)) else {
        return false;
    };
    head.questions == 1
        && (theirs.kind, theirs.class, theirs.end) == (ours.kind, ours.class, ours.end)
        && answer[HEAD_BYTES..theirs.end - 4].eq_ignore_ascii_case(&asked[HEAD_BYTES..ours.end - 4])
}

/// Whether a server's answer says that it cannot tell: another one may.
pub(super) fn is_failure(answer: &[u8]) -> bool {
    let code = number(answer, 2).unwrap_or(0) & CODE;
    [Code::Malformed, Code::Failed, Code::NotImplemented, Code::Refused]
        .iter()
        .any(|failure| *failure as u16 == code)
}

/// Whether an answer says that it is not whole.
pub(super) fn is_cut_short(answer: &[u8]) -> bool {
    number(answer, 2).is_some_and(|flags| flags & CUT_SHORT != 0)
}

/// The head and the question of an answer that does not fit, and no record.
pub(super) fn cut_short(answer: &[u8]) -> Vec<u8> {
    let end = Question::first(answer).map_or(HEAD_BYTES, |question| question.end);
    let mut bytes = answer[..end.min(answer.len())].to_vec();
    let flags = number(&bytes, 2).unwrap_or(0);
    put(&mut bytes, 2, flags | CUT_SHORT);
    let questions = u16::from(end > HEAD_BYTES);
    for (at, count) in [(4, questions), (6, 0), (8, 0), (10, 0)] {
        put(&mut bytes, at, count);
    }
    bytes
}

/// A message's id.
pub(super) fn id_of(message: &[u8]) -> u16 {
    number(message, 0).unwrap_or(0)
}

/// Gives a message another id.
pub(super) fn set_id(message: &mut [u8], id: u16) {
    put(message, 0, id);
}

/// The address that a name of `in-addr.arpa` or `ip6.arpa` stands for, where it is a whole one.
pub(super) fn reversed_address(name: &str) -> Option<IpAddr> {
    if let Some(labels) = name.strip_suffix(".in-addr.arpa") {
        let mut bytes = labels.split('.').rev().map(|label| label.parse::<u8>().ok());
        let mut next = || bytes.next().flatten();
        let address = Ipv4Addr::new(next()?, next()?, next()?, next()?);
        return bytes.next().is_none().then_some(address.into());
    }
    let labels = name.strip_suffix(".ip6.arpa")?;
    let (mut value, mut count) = (0_u128, 0);
    for label in labels.split('.').rev() {
        let digit = label.chars().next().filter(|_| label.len() == 1)?.to_digit(16)?;
        count += 1;
        value = value << 4 | u128::from(digit);
    }
    (count == 32).then(|| Ipv6Addr::from(value).into())
}

/// The twelve bytes that every message begins with.
#[derive(Debug)]
struct Head {
    id: u16,
    flags: u16,
    questions: u16,
    records: [u16; 3],
}

impl Head {
    fn parse(message: &[u8]) -> Option<Self> {
        let at = |place| number(message, place);
        let records = [at(6)?, at(8)?, at(10)?];
        Some(Self { id: at(0)?, flags: at(2)?, questions: at(4)?, records })
    }

    /// An answer that says no more than how it went.
    fn answer(&self, code: Code) -> Vec<u8> {
        let mut bytes = vec![0; HEAD_BYTES];
        put(&mut bytes, 0, self.id);
        put(&mut bytes, 2, flags_of_answer(self.flags, code) | self.flags & OPERATION);
        bytes
    }
}

fn flags_of_answer(asked: u16, code: Code) -> u16 {
    ANSWER | RECURSION_AVAILABLE | asked & (RECURSION_WANTED | CHECKING_DISABLED) | code as u16
}

/// What a message says of its sender, in the records behind the question; `None` where those are cut
/// short, or where it says it twice.
#[expect(clippy::option_option, reason = "a message without options is a good one")]
fn options(message: &[u8], end: usize, head: &Head) -> Option<Option<Options>> {
    let mut at = end;
    let mut options = None;
    let count = head.records.iter().map(|count| usize::from(*count)).sum::<usize>();
    for _ in 0..count {
        let fixed = skip_name(message, at)?;
        let kind = number(message, fixed)?;
        let length = usize::from(number(message, fixed + 8)?);
        if kind == OPT {
            let (version, flags) = (message[fixed + 5], number(message, fixed + 6)?);
            let packet_bytes = number(message, fixed + 2)?;
            let found = Options { packet_bytes, version, wants_signatures: flags >> 15 == 1 };
            if options.replace(found).is_some() {
                return None;
            }
        }
        at = fixed + 10 + length;
        message.get(..at)?;
    }
    Some(options)
}

/// A name that is not compressed, as text where it is one, and where it ends.
fn whole_name(message: &[u8], start: usize) -> Option<(Option<String>, usize)> {
    const LONGEST_BYTES: usize = 255;
    let mut text = Some(String::new());
    let mut at = start;
    loop {
        let length = usize::from(*message.get(at)?);
        at += 1;
        if length == 0 {
            return (at - start <= LONGEST_BYTES).then_some((text, at));
        }
        // The two upper bits are those of a pointer, or of nothing known.
        let label = message.get(at..at + length).filter(|_| length < 64)?;
        at += length;
        if label.iter().any(|letter| !letter.is_ascii_graphic() || *letter == b'.') {
            text = None;
        }
        if let Some(text) = &mut text {
            if !text.is_empty() {
                text.push('.');
            }
            text.extend(label.iter().map(|letter| char::from(letter.to_ascii_lowercase())));
        }
    }
}

/// Where a name ends that may be compressed.
fn skip_name(message: &[u8], mut at: usize) -> Option<usize> {
    loop {
        let length = *message.get(at)?;
        match length >> 6 {
            0 if length == 0 => return Some(at + 1),
            0 => at += 1 + usize::from(length),
            3 => return message.get(at + 1).map(|_| at + 2),
            _ => return None,
        }
    }
}

/// A name as it is sent.
fn wire_name(name: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(name.len() + 2);
    for label in name.split('.') {
        let length = u8::try_from(label.len()).ok().filter(|length| (1..64).contains(length))?;
        bytes.push(length);
        bytes.extend(label.as_bytes());
    }
    bytes.push(0);
    (bytes.len() <= 255).then_some(bytes)
}

fn number(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|two| u16::from_be_bytes(*two))
}

fn put(bytes: &mut [u8], at: usize, number: u16) {
    bytes[at..at + 2].copy_from_slice(&number.to_be_bytes());
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use dhow_testkit::mutation::Mutator;

    /// A question for a name, by the book.
    pub(in crate::resolver) fn question(id: u16, name: &str, kind: u16) -> Vec<u8> {
        let mut bytes = vec![0; HEAD_BYTES];
        put(&mut bytes, 0, id);
        put(&mut bytes, 2, RECURSION_WANTED);
        put(&mut bytes, 4, 1);
        bytes.extend(wire_name(name).unwrap());
        bytes.extend(kind.to_be_bytes());
        bytes.extend(INTERNET.to_be_bytes());
        bytes
    }

    /// The question, from one who takes packets of this size.
    pub(in crate::resolver) fn with_options(mut question: Vec<u8>, packet_bytes: u16) -> Vec<u8> {
        put(&mut question, 10, 1);
        question.extend([0, 0, 41]);
        question.extend(packet_bytes.to_be_bytes());
        question.extend([0; 6]);
        question
    }

    /// How many records an answer has, and how it went.
    pub(in crate::resolver) fn count_and_code(answer: &[u8]) -> (u16, u16) {
        (number(answer, 6).unwrap(), number(answer, 2).unwrap() & CODE)
    }

    #[test]
    fn a_question_is_understood_in_small_letters() {
        let parsed = Question::parse(&question(7, "DB.Backend", A)).unwrap();

        assert_eq!(parsed.name.as_deref(), Some("db.backend"));
        assert_eq!((parsed.kind, parsed.class, parsed.packet_bytes()), (A, INTERNET, 512));
        let large = with_options(question(7, "db", AAAA), 4096);
        let large = Question::parse(&large).unwrap();
        assert_eq!((large.packet_bytes(), large.forwarded_bytes()), (1232, 4096));
        let small = Question::parse(&with_options(question(7, "db", AAAA), 5)).unwrap();
        assert_eq!(small.packet_bytes(), 512);
    }

    #[test]
    fn what_is_no_question_gets_the_answer_that_it_deserves() {
        let good = question(0x0102, "db", A);
        let with = |at: usize, byte: u8| {
            let mut bytes = good.clone();
            bytes[at] = byte;
            bytes
        };
        let mut pointer = good.clone();
        pointer.splice(HEAD_BYTES..HEAD_BYTES + 4, [0xc0, 12]);
        let twice = with_options(with_options(good.clone(), 600), 600);
        let mut twice = twice;
        twice[11] = 2;
        let cases: [(&str, Vec<u8>, Option<Code>); 8] = [
            ("nothing", Vec::new(), None),
            ("half a head", good[..11].to_vec(), None),
            ("an answer", with(2, 0x80), None),
            ("a notification", with(2, 0x20), Some(Code::NotImplemented)),
            ("two questions", with(5, 2), Some(Code::Malformed)),
            ("a name that leads to itself", pointer, Some(Code::Malformed)),
            ("no end", good[..good.len() - 1].to_vec(), Some(Code::Malformed)),
            ("options twice", twice, Some(Code::Malformed)),
        ];
        for (what, bytes, code) in cases {
            let answer = Question::parse(&bytes).unwrap_err();

            let found = answer.as_deref().map(|answer| (id_of(answer), count_and_code(answer).1));
            assert_eq!(found, code.map(|code| (0x0102, code as u16)), "{what}");
        }
    }

    #[test]
    fn an_answer_repeats_the_question_as_it_was_asked() {
        let asked = question(9, "dB", A);
        let parsed = Question::parse(&asked).unwrap();
        let mut answer = Answer::to(&asked, &parsed, Code::Good, 512);
        answer.address("10.89.0.2".parse().unwrap());

        let bytes = answer.finish();

        assert_eq!(&bytes[HEAD_BYTES..asked.len()], &asked[HEAD_BYTES..]);
        assert_eq!(&bytes[asked.len()..][..4], [0xc0, 12, 0, 1]);
        assert_eq!(&bytes[bytes.len() - 6..], [0, 4, 10, 89, 0, 2]);
        assert_eq!(count_and_code(&bytes), (1, 0));
        assert!(is_answer_to(&bytes, &question(1, "Db", A), 9));
        for (id, other) in
            [(8, question(1, "Db", A)), (9, question(1, "db", AAAA)), (9, question(1, "dbx", A))]
        {
            assert!(!is_answer_to(&bytes, &other, id), "{other:?}");
        }
        assert!(!is_answer_to(&asked, &asked, 9), "a question is no answer");
    }

    #[test]
    fn an_answer_is_never_larger_than_it_may_be_and_says_so() {
        for (asked, limit) in
            [(question(9, "db", A), 512), (with_options(question(9, "db", A), 4096), 1232)]
        {
            let parsed = Question::parse(&asked).unwrap();
            let mut answer = Answer::to(&asked, &parsed, Code::Good, parsed.packet_bytes());
            for number in 0..100_u8 {
                answer.address(Ipv4Addr::new(10, 89, 0, number).into());
            }

            let bytes = answer.finish();

            assert!(bytes.len() <= limit && bytes.len() > limit - 16, "{} bytes", bytes.len());
            assert!(is_cut_short(&bytes));
            let short = cut_short(&bytes);
            assert_eq!((short.len(), count_and_code(&short)), (HEAD_BYTES + 8, (0, 0)));
            assert!(is_cut_short(&short) && is_answer_to(&short, &asked, 9));
        }
    }

    #[test]
    fn names_of_addresses_are_those_of_whole_ones() {
        let v6 = "2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.9.8.0.0.0.0.d.f.ip6.arpa";
        for (name, expected) in [
            ("2.0.89.10.in-addr.arpa", Some("10.89.0.2")),
            (v6, Some("fd00:89::2")),
            ("0.89.10.in-addr.arpa", None),
            ("1.2.0.89.10.in-addr.arpa", None),
            ("256.0.89.10.in-addr.arpa", None),
            ("x.0.89.10.in-addr.arpa", None),
            (&v6[2..], None),
            ("10.89.0.2", None),
        ] {
            let found = reversed_address(name).map(|address| address.to_string());
            assert_eq!(found.as_deref(), expected, "{name}");
        }
    }

    #[test]
    fn an_option_of_the_future_is_answered_with_the_version_that_is_known() {
        let mut asked = with_options(question(9, "db", A), 1232);
        let at = asked.len() - 5;
        asked[at] = 1;
        let parsed = Question::parse(&asked).unwrap();

        let answer = Answer::to(&asked, &parsed, Code::Good, 512).finish();

        assert!(parsed.is_of_the_future());
        assert_eq!(answer[answer.len() - 6], 1, "the upper bits of BADVERS");
    }

    #[test]
    fn damaged_messages_never_panic_and_never_grow() {
        let mut mutator = Mutator::new(53);
        let asked = with_options(question(9, "db.backend", A), 4096);
        let parsed = Question::parse(&asked).unwrap();
        let mut answer = Answer::to(&asked, &parsed, Code::Good, 512);
        answer.address("10.89.0.2".parse().unwrap());
        answer.pointer("web.backend");
        let answer = answer.finish();

        for _ in 0..50_000 {
            let mut bytes = if mutator.below(2) == 0 { asked.clone() } else { answer.clone() };
            bytes.truncate(mutator.below(bytes.len() + 1));
            for _ in 0..mutator.below(6) {
                if !bytes.is_empty() {
                    let at = mutator.below(bytes.len());
                    bytes[at] = u8::try_from(mutator.below(256)).unwrap();
                }
            }
            let _understood = crate::fuzz::dns_message(&bytes);
        }
        assert!(crate::fuzz::dns_message(&asked) && !crate::fuzz::dns_message(b"x"));
    }
}
