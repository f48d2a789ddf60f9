//! How a plugin says that it could not do what it was asked to.

use super::program::refusal_of;
use dhow_base::{Error, Kind};
use serde_json::{Value, json};
use std::fmt;

/// What a plugin prints before it ends with another code than 0.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Refusal {
    /// Below 100: the specification's; others are the plugin's own.
    pub code: u64,
    /// What went wrong, shortly.
    pub message: String,
    /// More of it, or nothing.
    pub details: String,
}

impl Refusal {
    /// The version of the configuration is not the plugin's.
    pub const INCOMPATIBLE_VERSION: u64 = 1;
    /// A field of the configuration is not known.
    pub const UNSUPPORTED_FIELD: u64 = 2;
    /// The container is not known, or gone.
    pub const UNKNOWN_CONTAINER: u64 = 3;
    /// A variable of the environment is missing or wrong.
    pub const BAD_ENVIRONMENT: u64 = 4;
    /// Reading or writing failed.
    pub const IO: u64 = 5;
    /// The configuration is no JSON, or of another shape.
    pub const BAD_SHAPE: u64 = 6;
    /// The configuration makes no sense.
    pub const BAD_CONFIGURATION: u64 = 7;
    /// It may go another time.
    pub const TRY_AGAIN_LATER: u64 = 11;
    /// STATUS: nothing can be added now.
    pub const NOT_AVAILABLE: u64 = 50;
    /// STATUS: as before, and those that are there may have lost their connection.
    pub const NOT_AVAILABLE_NOR_CONNECTED: u64 = 51;
    /// Of the plugin's own: anything else (libcni's number for it).
    pub const OTHER: u64 = 999;

    /// A refusal without details.
    pub fn new(code: u64, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), details: String::new() }
    }

    /// The refusal in what a plugin printed; `None` where it is none.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let document: Value = serde_json::from_slice(bytes).ok()?;
        let text = |key| document.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let refusal = Self {
            code: document.get("code").and_then(Value::as_u64).unwrap_or_default(),
            message: text("msg"),
            details: text("details"),
        };
        let says_something =
            refusal.code != 0 || !refusal.message.is_empty() || !refusal.details.is_empty();
        says_something.then_some(refusal)
    }

    /// As a plugin prints it.
    pub fn to_json(&self, version: &str) -> Value {
        let mut document = json!({"cniVersion": version, "code": self.code, "msg": self.message});
        if !self.details.is_empty() {
            document["details"] = self.details.clone().into();
        }
        document
    }

    /// The kind of error that it is.
    pub fn kind(&self) -> Kind {
        match self.code {
            Self::INCOMPATIBLE_VERSION | Self::UNSUPPORTED_FIELD => Kind::Unsupported,
            Self::UNKNOWN_CONTAINER => Kind::NotFound,
            Self::BAD_ENVIRONMENT | Self::BAD_SHAPE | Self::BAD_CONFIGURATION => Kind::Invalid,
            Self::TRY_AGAIN_LATER | Self::NOT_AVAILABLE | Self::NOT_AVAILABLE_NOR_CONNECTED => {
                Kind::Unavailable
            }
            _ => Kind::Internal,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [self.message.trim(), self.details.trim()];
        let said: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        if said.is_empty() {
            return write!(f, "the plugin gives no reason but the code {}", self.code);
        }
        write!(f, "{} (code {})", said.join("; "), self.code)
    }
}

impl std::error::Error for Refusal {}

/// An error of ours, told to who called us as a plugin. What another plugin said is handed on.
impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        if let Some(refusal) = refusal_of(&error) {
            return refusal.clone();
        }
        let code = match error.kind() {
            Kind::Invalid => Self::BAD_CONFIGURATION,
            Kind::Unavailable => Self::TRY_AGAIN_LATER,
            _ => Self::OTHER,
        };
        let details = error.innermost_hint().unwrap_or_default().to_owned();
        Self { code, message: error.one_line(), details }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_what_the_plugin_said() {
        for (printed, expected) in [
            (
                r#"{"cniVersion":"1.0.0","code":7,"msg":"no mode","details":"mode \"x\""}"#,
                Some("no mode; mode \"x\" (code 7)"),
            ),
            (r#"{"code":100,"msg":"full"}"#, Some("full (code 100)")),
            (r#"{"code":11}"#, Some("the plugin gives no reason but the code 11")),
            (r#"{"code":"7","msg":3}"#, None),
            ("{}", None),
            ("[]", None),
            ("panic: oh", None),
        ] {
            let refusal = Refusal::parse(printed.as_bytes());
            assert_eq!(refusal.map(|found| found.to_string()).as_deref(), expected, "{printed}");
        }
    }

    #[test]
    fn what_is_printed_is_read_again() {
        let refusal = Refusal { code: 4, message: "no CNI_IFNAME".into(), details: String::new() };

        let printed = refusal.to_json("1.1.0").to_string();

        assert_eq!(printed, r#"{"cniVersion":"1.1.0","code":4,"msg":"no CNI_IFNAME"}"#);
        assert_eq!(Refusal::parse(printed.as_bytes()), Some(refusal));
    }
}
