//! The keys with which a user leaves a terminal session and the process stays.

use dhow_base::{Error, Kind, Result};
use std::str::FromStr;

/// A sequence of keys, or none.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DetachKeys(Vec<u8>);

impl DetachKeys {
    /// Leaving is not possible.
    pub fn none() -> Self {
        Self(Vec::new())
    }
}

/// Ctrl-P, Ctrl-Q, as docker and podman have it.
impl Default for DetachKeys {
    fn default() -> Self {
        Self(vec![b'p' & 0x1f, b'q' & 0x1f])
    }
}

/// Docker's notation: keys with commas between them, each a character or `ctrl-` and one of
/// `a-z @ [ \ ] ^ _`. The empty string means none.
impl FromStr for DetachKeys {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if text.is_empty() {
            return Ok(Self::none());
        }
        let keys = text.split(',').map(parse_key).collect::<Option<Vec<u8>>>();
        keys.map(Self).ok_or_else(|| {
            Error::new(Kind::Invalid, format!("parse detach keys {text:?}"))
                .hint("keys are characters or ctrl-a to ctrl-z, with commas: ctrl-p,ctrl-q")
        })
    }
}

fn parse_key(text: &str) -> Option<u8> {
    if let Some(letter) = text.strip_prefix("ctrl-") {
        let [byte] = letter.as_bytes() else { return None };
        let letter = byte.to_ascii_uppercase();
        return (b'@'..=b'_').contains(&letter).then_some(letter & 0x1f);
    }
    match text.as_bytes() {
        [byte] if byte.is_ascii() => Some(*byte),
        _ => None,
    }
}

/// Looks for the keys in what is typed. What may be their beginning is held back until the next
/// key shows that it is not.
#[derive(Debug)]
pub(crate) struct Scanner {
    keys: Vec<u8>,
    matched: usize,
}

impl Scanner {
    pub(crate) fn new(keys: &DetachKeys) -> Self {
        Self { keys: keys.0.clone(), matched: 0 }
    }

    /// Appends to `through` what is not held back. Returns whether the keys were pressed; what
    /// follows them is nobody's.
    pub(crate) fn scan(&mut self, typed: &[u8], through: &mut Vec<u8>) -> bool {
        if self.keys.is_empty() {
            through.extend_from_slice(typed);
            return false;
        }
        for byte in typed {
            let mut held = self.keys[..self.matched].to_vec();
            held.push(*byte);
            // The longest end of what was typed that may begin the sequence.
            let passed = (0..=held.len())
                .find(|start| self.keys.starts_with(&held[*start..]))
                .expect("nothing at all is the beginning of every sequence");
            through.extend_from_slice(&held[..passed]);
            self.matched = held.len() - passed;
            if self.matched == self.keys.len() {
                return true;
            }
        }
        false
    }

    /// What is held back when nothing more is typed.
    pub(crate) fn rest(&self) -> &[u8] {
        &self.keys[..self.matched]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_parse_as_in_docker() {
        let cases = [
            ("", Some(vec![])),
            ("ctrl-p,ctrl-q", Some(vec![16, 17])),
            ("ctrl-@,a,Z", Some(vec![0, b'a', b'Z'])),
            ("ctrl-[", Some(vec![27])),
            ("ctrl-1", None),
            ("ctrl-", None),
            ("ctrl-pq", None),
            ("ab", None),
            ("a,,b", None),
            ("ä", None),
        ];
        for (text, expected) in cases {
            assert_eq!(text.parse::<DetachKeys>().ok(), expected.map(DetachKeys), "{text:?}");
        }
        assert_eq!("ctrl-p,ctrl-q".parse::<DetachKeys>().unwrap(), DetachKeys::default());
    }

    #[test]
    fn a_sequence_is_found_wherever_it_begins_and_however_it_arrives() {
        let cases = [
            ("a,a,b", "xaaab", "xa", true),
            ("a,a,b", "aaxaa", "aax", false),
            ("p,q", "ppq", "p", true),
            ("p,q", "pxq", "pxq", false),
            ("p,q", "p", "", false),
            ("a,b,a,c", "ababac", "ab", true),
            ("", "anything", "anything", false),
        ];
        for (keys, typed, expected, found) in cases {
            for size in [1, 2, 100] {
                let mut scanner = Scanner::new(&keys.parse().unwrap());
                let mut through = Vec::new();
                let pressed =
                    typed.as_bytes().chunks(size).any(|piece| scanner.scan(piece, &mut through));

                assert_eq!((through, pressed), (expected.into(), found), "{keys} in {typed}");
            }
        }
    }
}
