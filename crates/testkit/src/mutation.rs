//! Documents damaged at random: what a parser of strangers' text is tried with.
//!
//! The same seed damages the same way in every run, so a failure can be looked at again. Half of
//! the changes keep the JSON whole and change what it says; the others are to bytes.

use serde_json::Value;

/// Where damage comes from.
#[derive(Debug)]
pub struct Mutator(u64);

/// Numbers on the edges of what documents count with.
const NUMBERS: [i64; 12] = [
    0,
    1,
    -1,
    64,
    4095,
    4096,
    65_535,
    65_536,
    i32::MAX as i64,
    u32::MAX as i64,
    i64::MIN,
    i64::MAX,
];

/// Words that parsers treat in a way of their own.
const WORDS: [&str; 12] =
    ["", ".", "..", "/", "/..", "a,b", "\0", "=", ":", "-1", "rro", "18446744073709551616"];

impl Mutator {
    /// A source of damage.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `end`, which is not zero.
    pub fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let next = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16;
        usize::try_from(next % end as u64).expect("less than a usize")
    }

    /// The document with a few changes.
    pub fn damage(&mut self, document: &Value) -> Vec<u8> {
        let mut changed = document.clone();
        for _ in 0..=self.below(3) {
            self.change(&mut changed);
        }
        let mut bytes = changed.to_string().into_bytes();
        if self.below(2) == 0 {
            for _ in 0..=self.below(3) {
                self.change_bytes(&mut bytes);
            }
        }
        bytes
    }

    /// Changes one value somewhere below this one.
    fn change(&mut self, value: &mut Value) {
        let goes_on = self.below(8) != 0;
        match value {
            Value::Array(list) if goes_on && !list.is_empty() => {
                let at = self.below(list.len());
                match self.below(6) {
                    0 => drop(list.remove(at)),
                    1 => list.push(list[at].clone()),
                    _ => self.change(&mut list[at]),
                }
            }
            Value::Object(map) if goes_on && !map.is_empty() => {
                let at = self.below(map.len());
                let name = map.keys().nth(at).cloned().unwrap_or_default();
                match self.below(10) {
                    0 => drop(map.remove(&name)),
                    _ => self.change(&mut map[&name]),
                }
            }
            other => *other = self.value(other),
        }
    }

    fn value(&mut self, old: &Value) -> Value {
        match (self.below(8), old) {
            (0, _) => Value::Null,
            (1, _) => Value::Bool(self.below(2) == 0),
            (2, _) => Value::Array(vec![old.clone(); self.below(3)]),
            (3, Value::String(text)) => Value::String(format!("{text}{text}")),
            (4, Value::String(text)) => {
                let end = self.below(text.chars().count() + 1);
                Value::String(text.chars().take(end).collect())
            }
            (3..=5, Value::Number(_)) | (5, _) => NUMBERS[self.below(NUMBERS.len())].into(),
            _ => WORDS[self.below(WORDS.len())].into(),
        }
    }

    /// Changes a few bytes, whatever they mean.
    fn change_bytes(&mut self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        let at = self.below(bytes.len());
        let end = (at + self.below(60)).min(bytes.len());
        match self.below(4) {
            0 => bytes[at] ^= 1 << self.below(8),
            1 => bytes[at] = b"0123456789[]{},\":-\\u"[self.below(20)],
            2 => drop(bytes.drain(at..end)),
            _ => {
                let piece = bytes[at..end].to_vec();
                let place = self.below(bytes.len());
                drop(bytes.splice(place..place, piece));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_is_the_same_in_every_run_and_different_each_time() {
        let document = serde_json::json!({"a": [1, "two", {"three": 3}], "b": null});
        let damaged = |seed| {
            let mut mutator = Mutator::new(seed);
            (0..50).map(|_| mutator.damage(&document)).collect::<Vec<_>>()
        };

        let first = damaged(1);

        assert_eq!(first, damaged(1));
        assert_ne!(first, damaged(2));
        let different: std::collections::HashSet<_> = first.iter().collect();
        assert!(different.len() > 25, "{} of 50", different.len());
    }
}
