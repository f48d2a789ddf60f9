//! The registers of a rule of which not every byte is known, and what comparisons say of them.
//!
//! Each comparison comes out as yes, no or maybe. A maybe never becomes a yes or a no later on.

use super::ruleset::{Decision, KnownElement, KnownSet};

/// Registers, in bytes: the verdict's, and four of 16 bytes.
const BYTES: usize = 80;

/// What a comparison says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Answer {
    Yes,
    No,
    Maybe,
}

impl Answer {
    pub(super) fn inverted(self) -> Self {
        match self {
            Self::Yes => Self::No,
            Self::No => Self::Yes,
            Self::Maybe => Self::Maybe,
        }
    }

    pub(super) fn inverted_if(self, is_inverted: bool) -> Self {
        if is_inverted { self.inverted() } else { self }
    }

    pub(super) fn when(holds: bool) -> Self {
        if holds { Self::Yes } else { Self::No }
    }

    /// Whether both hold.
    pub(super) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::No, _) | (_, Self::No) => Self::No,
            (Self::Yes, Self::Yes) => Self::Yes,
            _ => Self::Maybe,
        }
    }
}

/// Bytes that are known.
pub(super) fn known(bytes: &[u8]) -> Vec<Option<u8>> {
    bytes.iter().copied().map(Some).collect()
}

/// The bytes in registers, as far as they are known.
#[derive(Debug)]
pub(super) struct Registers([Option<u8>; BYTES]);

impl Registers {
    /// Nothing is known.
    pub(super) fn new() -> Self {
        Self([None; BYTES])
    }

    /// Puts bytes into registers, whose rest of the last word becomes zero.
    pub(super) fn put(&mut self, at: usize, bytes: &[Option<u8>]) {
        let zeros = bytes.len()..bytes.len().next_multiple_of(4);
        let all = bytes.iter().copied().chain(zeros.map(|_| Some(0)));
        for (register, byte) in self.0.iter_mut().skip(at).zip(all) {
            *register = byte;
        }
    }

    pub(super) fn get(&self, at: usize, length: usize) -> Vec<Option<u8>> {
        (at..at.saturating_add(length)).map(|place| self.0.get(place).copied().flatten()).collect()
    }

    /// Something was loaded somewhere.
    pub(super) fn forget(&mut self) {
        *self = Self::new();
    }

    /// Whether anything is known of these.
    pub(super) fn knows(&self, at: usize, length: usize) -> bool {
        self.get(at, length).iter().any(Option::is_some)
    }

    /// The bytes behind a mask.
    pub(super) fn masked(&self, from: usize, mask: &[u8], flip: &[u8]) -> Vec<Option<u8>> {
        let bytes = self.get(from, mask.len());
        let masked = |((mask, flip), byte): ((&u8, &u8), Option<u8>)| match mask {
            0 => Some(*flip),
            mask => byte.map(|byte| byte & mask ^ flip),
        };
        mask.iter().zip(flip).zip(bytes).map(masked).collect()
    }

    /// `nft_cmp_ops`: equal, not equal, less, at most, greater, at least.
    pub(super) fn compare(&self, from: usize, operator: u32, right: &[u8]) -> Answer {
        let left = self.get(from, right.len());
        if operator <= 1 {
            return is_equal(&left, right).inverted_if(operator == 1);
        }
        let Some(left) = left.into_iter().collect::<Option<Vec<u8>>>() else {
            return Answer::Maybe;
        };
        let order = left.as_slice().cmp(right);
        Answer::when(match operator {
            2 => order.is_lt(),
            3 => order.is_le(),
            4 => order.is_gt(),
            _ => order.is_ge(),
        })
    }

    pub(super) fn is_between(&self, from: usize, first: &[u8], last: &[u8]) -> Answer {
        is_between(&self.get(from, first.len()), first, last)
    }

    /// Whether what is in the registers is in a set whose elements were read, and what may be decided
    /// there.
    pub(super) fn look_up(&self, set: &KnownSet, from: usize) -> (Answer, Vec<Decision>) {
        let Some(elements) = &set.elements else { return (Answer::Maybe, vec![Decision::Unknown]) };
        let value = self.get(from, set.key_bytes);
        let are_edges = set.has_ranges && elements.iter().all(|element| element.last.is_none());
        let (answer, mut found) = if are_edges {
            in_ranges(elements, value)
        } else {
            in_elements(elements, &set.fields, &value)
        };
        let otherwise = elements.iter().find(|element| element.key.is_none());
        match (answer, otherwise) {
            (Answer::Yes, _) | (_, None) => (answer, decisions(found)),
            (_, Some(element)) => {
                found.push(element);
                (Answer::Yes, decisions(found))
            }
        }
    }
}

fn decisions(of: Vec<&KnownElement>) -> Vec<Decision> {
    of.into_iter().map(|one| one.decision.clone().unwrap_or(Decision::Unknown)).collect()
}

fn is_equal(left: &[Option<u8>], right: &[u8]) -> Answer {
    let differs =
        left.iter().zip(right).any(|(left, right)| left.is_some_and(|left| left != *right));
    match (differs, left.iter().any(Option::is_none)) {
        (true, _) => Answer::No,
        (false, true) => Answer::Maybe,
        (false, false) => Answer::Yes,
    }
}

fn is_between(value: &[Option<u8>], first: &[u8], last: &[u8]) -> Answer {
    match value.iter().copied().collect::<Option<Vec<u8>>>() {
        Some(value) => Answer::when(first <= value.as_slice() && value.as_slice() <= last),
        None => Answer::Maybe,
    }
}

/// The element that it is, or all that it may be.
fn in_elements<'a>(
    elements: &'a [KnownElement],
    fields: &[usize],
    value: &[Option<u8>],
) -> (Answer, Vec<&'a KnownElement>) {
    let mut possible = Vec::new();
    for element in elements {
        let Some(key) = &element.key else { continue };
        let answer = match &element.last {
            // A range of several fields is one of each.
            Some(last) => fields_between(value, key, last, fields),
            None => is_equal(value, key),
        };
        match answer {
            Answer::Yes => return (Answer::Yes, vec![element]),
            Answer::Maybe => possible.push(element),
            Answer::No => {}
        }
    }
    (if possible.is_empty() { Answer::No } else { Answer::Maybe }, possible)
}

/// Whether each field is in its range; fields begin at words of four bytes.
fn fields_between(value: &[Option<u8>], first: &[u8], last: &[u8], fields: &[usize]) -> Answer {
    let mut sum = if fields.is_empty() { Answer::Maybe } else { Answer::Yes };
    let mut start = 0;
    for length in fields {
        let of = start..start + length;
        let answer = match (value.get(of.clone()), first.get(of.clone()), last.get(of)) {
            (Some(value), Some(first), Some(last)) => is_between(value, first, last),
            _ => Answer::Maybe,
        };
        sum = sum.and(answer);
        start += length.next_multiple_of(4);
    }
    sum
}

/// Ranges as a row of starts and ends, which are no longer in them.
fn in_ranges(elements: &[KnownElement], value: Vec<Option<u8>>) -> (Answer, Vec<&KnownElement>) {
    let mut edges: Vec<(&Vec<u8>, &KnownElement)> =
        elements.iter().filter_map(|element| Some((element.key.as_ref()?, element))).collect();
    // Where one ends and another begins at once, the beginning counts.
    edges.sort_by(|a, b| a.0.cmp(b.0).then(b.1.is_end.cmp(&a.1.is_end)));
    let starts = || edges.iter().map(|edge| edge.1).filter(|element| !element.is_end);
    if starts().next().is_none() {
        return (Answer::No, Vec::new());
    }
    let Some(value) = value.into_iter().collect::<Option<Vec<u8>>>() else {
        return (Answer::Maybe, starts().collect());
    };
    match edges.iter().rev().find(|edge| edge.0 <= &value) {
        Some((_, element)) if !element.is_end => (Answer::Yes, vec![element]),
        _ => (Answer::No, Vec::new()),
    }
}
