//! Versions of the interface.

use serde_json::Value;
use std::fmt;

/// A version of the interface that we speak. Plugins and configurations name one as text.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Version {
    /// 0.1.0: one address of each version of IP.
    V0_1_0,
    /// 0.2.0: the same.
    V0_2_0,
    /// 0.3.0: any number of interfaces and addresses, plugins in a chain.
    V0_3_0,
    /// 0.3.1: 0.3.0 with its mistakes in writing taken back.
    V0_3_1,
    /// 0.4.0: CHECK, and DEL that is told the result.
    V0_4_0,
    /// 1.0.0: lists only.
    V1_0_0,
    /// 1.1.0: GC and STATUS.
    V1_1_0,
}

impl Version {
    /// All of them, the oldest first.
    pub const ALL: [Self; 7] = [
        Self::V0_1_0,
        Self::V0_2_0,
        Self::V0_3_0,
        Self::V0_3_1,
        Self::V0_4_0,
        Self::V1_0_0,
        Self::V1_1_0,
    ];

    /// What is meant where none is named.
    pub const UNNAMED: Self = Self::V0_1_0;

    /// The newest one.
    pub const NEWEST: Self = Self::V1_1_0;

    /// The version of this name; `None` where we do not speak it.
    pub fn of(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|version| version.name() == text)
    }

    /// The version that a document names; the text of one that we do not speak is the error.
    pub(crate) fn named_in(document: &Value, otherwise: Self) -> Result<Self, String> {
        match document.get("cniVersion") {
            None | Some(Value::Null) => Ok(otherwise),
            Some(Value::String(text)) if text.is_empty() => Ok(otherwise),
            Some(Value::String(text)) => Self::of(text).ok_or_else(|| text.clone()),
            Some(other) => Err(other.to_string()),
        }
    }

    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::V0_1_0 => "0.1.0",
            Self::V0_2_0 => "0.2.0",
            Self::V0_3_0 => "0.3.0",
            Self::V0_3_1 => "0.3.1",
            Self::V0_4_0 => "0.4.0",
            Self::V1_0_0 => "1.0.0",
            Self::V1_1_0 => "1.1.0",
        }
    }

    /// Whether there is CHECK, and whether DEL is told the result of ADD.
    pub fn has_check(self) -> bool {
        self >= Self::V0_4_0
    }

    /// Whether there are GC and STATUS.
    pub fn has_collection(self) -> bool {
        self >= Self::V1_1_0
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_in_order_and_keep_their_names() {
        assert!(Version::ALL.is_sorted());
        for version in Version::ALL {
            assert_eq!(Version::of(version.name()), Some(version));
        }
        assert_eq!(Version::of("1.2.0"), None);
        assert!(!Version::V0_3_1.has_check() && Version::V0_4_0.has_check());
        assert!(!Version::V1_0_0.has_collection() && Version::NEWEST.has_collection());
    }
}
