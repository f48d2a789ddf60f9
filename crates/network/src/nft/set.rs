//! Sets and maps, and what is in them.
//!
//! A key may be of several fields, each of which fills whole words of four bytes, as registers do. In
//! the kernel it is just bytes; what they mean is told for those who list the ruleset.

use super::{DEVICE_BYTES, number, read};
use dhow_sys::netlink::Request;
use std::net::IpAddr;

// Flags of a set (`nf_tables.h`).
const INTERVAL: u32 = 0x4;
const MAP: u32 = 0x8;
const TIMEOUT: u32 = 0x10;
const EVALUATED: u32 = 0x20;
const CONCATENATION: u32 = 0x80;

/// So many elements may packets add to a set, which is memory that strangers fill.
const MOST: u32 = 1 << 16;

/// One part of a key or of a value.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Field {
    Ipv4,
    Ipv6,
    Protocol,
    Port,
    Device,
}

impl Field {
    /// nft's number for it, and how many bytes it has.
    fn shape(self) -> (u32, u32) {
        match self {
            Self::Ipv4 => (7, 4),
            Self::Ipv6 => (8, 16),
            Self::Protocol => (12, 1),
            Self::Port => (13, 2),
            Self::Device => (41, 16),
        }
    }

    /// The order of its bytes, as nft numbers them: the machine's, or the highest first.
    fn order(self) -> u32 {
        match self {
            Self::Device => 1,
            _ => 2,
        }
    }
}

/// A set, or a map where it has values.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Set {
    pub(crate) name: &'static str,
    pub(crate) key: &'static [Field],
    pub(crate) value: &'static [Field],
    /// Whether its elements are ranges.
    pub(crate) has_ranges: bool,
    /// How long an element stays in it. Such a set is filled by packets.
    pub(crate) lifetime_seconds: Option<u32>,
}

impl Set {
    /// A set.
    pub(crate) const fn of(name: &'static str, key: &'static [Field]) -> Self {
        Self { name, key, value: &[], has_ranges: false, lifetime_seconds: None }
    }

    /// A set of ranges.
    pub(crate) const fn of_ranges(name: &'static str, key: &'static [Field]) -> Self {
        Self { has_ranges: true, ..Self::of(name, key) }
    }

    /// A map.
    pub(crate) const fn map(
        name: &'static str,
        key: &'static [Field],
        value: &'static [Field],
    ) -> Self {
        Self { value, ..Self::of(name, key) }
    }

    /// A set that packets fill, and that forgets.
    pub(crate) const fn remembering(
        name: &'static str,
        key: &'static [Field],
        seconds: u32,
    ) -> Self {
        Self { lifetime_seconds: Some(seconds), ..Self::of(name, key) }
    }

    /// Adds what describes it.
    pub(super) fn put(&self, request: &mut Request) {
        let mut flags = 0;
        flags |= if self.has_ranges { INTERVAL } else { 0 };
        flags |= if self.value.is_empty() { 0 } else { MAP };
        let is_many = self.has_ranges && self.key.len() > 1;
        flags |= if is_many { CONCATENATION } else { 0 };
        flags |= if self.lifetime_seconds.is_some() { TIMEOUT | EVALUATED } else { 0 };
        number(request, 3, flags);
        let (kind, length) = shape_of(self.key);
        number(request, 4, kind);
        number(request, 5, length);
        // nft keeps the order of bytes with the set, by its own numbers.
        let mut note = [[0, 4].as_slice(), &order_of(self.key).to_ne_bytes()].concat();
        if !self.value.is_empty() {
            let (kind, length) = shape_of(self.value);
            number(request, 6, kind);
            number(request, 7, length);
            note.extend([1, 4]);
            note.extend(order_of(self.value).to_ne_bytes());
        }
        if is_many {
            request.nest(9, |request| {
                request.nest(2, |request| {
                    for field in self.key {
                        request.nest(1, |request| number(request, 1, field.shape().1));
                    }
                });
            });
        }
        if let Some(seconds) = self.lifetime_seconds {
            request.nest(9, |request| number(request, 1, MOST));
            request.attribute(11, &(u64::from(seconds) * 1000).to_be_bytes());
        }
        request.attribute(13, &note);
    }
}

/// The kind of a row of fields, six bits for each, and how many bytes they fill.
fn shape_of(fields: &[Field]) -> (u32, u32) {
    if let [field] = fields {
        return field.shape();
    }
    fields.iter().fold((0, 0), |(kind, length), field| {
        let (number, bytes) = field.shape();
        (kind << 6 | number, length + bytes.next_multiple_of(4))
    })
}

fn order_of(fields: &[Field]) -> u32 {
    match fields {
        [field] => field.order(),
        // A row of fields has no order of its own.
        _ => 0,
    }
}

/// The bytes of a row of fields.
#[derive(Clone, Debug, Default)]
pub(crate) struct Key(Vec<u8>);

impl Key {
    pub(crate) fn address(mut self, address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => self.0.extend(address.octets()),
            IpAddr::V6(address) => self.0.extend(address.octets()),
        }
        self
    }

    pub(crate) fn protocol(mut self, number: u8) -> Self {
        self.0.extend([number, 0, 0, 0]);
        self
    }

    pub(crate) fn port(mut self, port: u16) -> Self {
        self.0.extend(port.to_be_bytes());
        self.0.extend([0, 0]);
        self
    }

    /// The name of a device, which the kernel does not take if it is longer than 15 bytes.
    pub(crate) fn device(mut self, name: &str) -> Self {
        let start = self.0.len();
        self.0.extend(name.bytes().take(DEVICE_BYTES - 1));
        self.0.resize(start + DEVICE_BYTES, 0);
        self
    }

    pub(crate) fn bytes(self) -> Vec<u8> {
        self.0
    }
}

/// What is in a set.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Element {
    pub(crate) key: Vec<u8>,
    /// The end of the range, which is in it.
    pub(crate) last: Option<Vec<u8>>,
    /// The value, in a map.
    pub(crate) value: Option<Vec<u8>>,
}

impl Element {
    pub(crate) fn of(key: Key) -> Self {
        Self { key: key.bytes(), last: None, value: None }
    }

    pub(crate) fn range(first: Key, last: Key) -> Self {
        Self { last: Some(last.bytes()), ..Self::of(first) }
    }

    pub(crate) fn leading_to(mut self, value: Key) -> Self {
        self.value = Some(value.bytes());
        self
    }

    pub(super) fn without_value(&self) -> Self {
        Self { value: None, ..self.clone() }
    }
}

/// Adds elements to a message.
pub(super) fn put_elements(request: &mut Request, elements: &[Element]) {
    request.nest(3, |request| {
        for element in elements {
            request.nest(1, |request| {
                put_value(request, 1, Some(&element.key));
                put_value(request, 10, element.last.as_ref());
                put_value(request, 2, element.value.as_ref());
            });
        }
    });
}

fn put_value(request: &mut Request, kind: u16, value: Option<&Vec<u8>>) {
    if let Some(value) = value {
        request.nest(kind, |request| {
            request.attribute(1, value);
        });
    }
}

/// The elements of an answer; one that is cut short has none.
pub(super) fn elements(body: &[u8]) -> Vec<Element> {
    let list = read::attribute(body, 3).map(read::children).unwrap_or_default();
    let of = |(_, element): (u16, &[u8])| {
        let children = read::children(element);
        let part = |kind: u16| {
            let (_, part) = children.iter().find(|child| child.0 == kind)?;
            let (_, bytes) = read::children(part).into_iter().find(|child| child.0 == 1)?;
            Some(bytes.to_vec())
        };
        Some(Element { key: part(1)?, last: part(10), value: part(2) })
    };
    list.into_iter().filter_map(of).collect()
}
