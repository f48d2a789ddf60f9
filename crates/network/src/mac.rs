//! A hardware address of Ethernet.

use dhow_base::{Error, Kind, Result};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// Six bytes, written as `02:42:0a:58:00:05`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Mac([u8; 6]);

impl Mac {
    /// One from chance: of a single device, and of nobody's factory (IEEE 802, the two lowest bits
    /// of the first byte).
    pub fn from_random(mut bytes: [u8; 6]) -> Self {
        bytes[0] = bytes[0] & 0xfc | 0x02;
        Self(bytes)
    }

    /// The bytes in the order in which they are sent.
    pub fn bytes(self) -> [u8; 6] {
        self.0
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl FromStr for Mac {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let refused = |why: &str| {
            Error::new(Kind::Invalid, format!("use {text:?} as a MAC address: {why}"))
                .hint("write six bytes, such as 02:42:0a:58:00:05")
        };
        let separator = if text.contains('-') { '-' } else { ':' };
        let byte = |word: &str| match word.len() {
            1 | 2 if word.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
                u8::from_str_radix(word, 16).ok()
            }
            _ => None,
        };
        let bytes: Option<Vec<u8>> = text.split(separator).map(byte).collect();
        let bytes = bytes.and_then(|bytes| <[u8; 6]>::try_from(bytes).ok());
        let bytes = bytes.ok_or_else(|| refused("it is not six bytes"))?;
        if bytes[0] & 1 == 1 {
            return Err(refused("it is a group's and not a device's"));
        }
        if bytes == [0; 6] {
            return Err(refused("it is nobody's"));
        }
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for Mac {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Mac> for String {
    fn from(mac: Mac) -> Self {
        mac.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn six_bytes_of_one_device_are_an_address() {
        for (text, expected) in [
            ("02:42:0a:58:00:05", Some("02:42:0a:58:00:05")),
            ("02-42-0A-58-0-5", Some("02:42:0a:58:00:05")),
            ("02:42:0a:58:00", None),
            ("02:42:0a:58:00:05:06", None),
            ("02:42:0a:58:00:+5", None),
            ("01:42:0a:58:00:05", None),
            ("00:00:00:00:00:00", None),
            ("", None),
        ] {
            let parsed = text.parse::<Mac>().ok().map(|mac| mac.to_string());
            assert_eq!(parsed.as_deref(), expected, "parsing {text:?}");
        }
    }

    #[test]
    fn one_from_chance_is_of_one_device_and_of_no_factory() {
        for first in [0x00, 0xff, 0x01] {
            let mac = Mac::from_random([first, 1, 2, 3, 4, 5]);

            assert_eq!(mac.bytes()[0] & 0x03, 0x02);
            assert_eq!(mac.to_string().parse::<Mac>().unwrap(), mac);
        }
    }
}
