//! The name of a device that a document describes: `vendor.com/class=name`.

use crate::cdi::{is_device, is_kind};
use dhow_base::{Error, Kind};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// A device by its full name.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct CdiName {
    /// `vendor.com/class`.
    pub kind: String,
    /// Which of them.
    pub device: String,
}

impl FromStr for CdiName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text.split_once('=') {
            Some((kind, device)) if is_kind(kind) && is_device(device) => {
                Ok(Self { kind: kind.to_owned(), device: device.to_owned() })
            }
            _ => Err(Error::new(Kind::Invalid, format!("{text:?} is not vendor/class=name"))),
        }
    }
}

impl fmt::Display for CdiName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.kind, self.device)
    }
}
