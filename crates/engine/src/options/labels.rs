//! `--security-opt label=…`: one word of it, which means something where SELinux is on.

use dhow_base::{Error, Kind, Result};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// One `label=`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "String", into = "String")]
pub enum LabelOption {
    /// `disable`: the process has whatever label its starter has.
    Disable,
    /// `nested`: the container may change labels itself.
    Nested,
    /// A field of the labels.
    Field(LabelField, String),
}

/// A field of a label.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LabelField {
    /// `user:`, of processes and files.
    User,
    /// `role:`, of processes.
    Role,
    /// `type:`, of processes.
    Type,
    /// `filetype:`, the type of files.
    FileType,
    /// `level:`, of processes and files.
    Level,
}

const FIELDS: [(LabelField, &str); 5] = [
    (LabelField::User, "user"),
    (LabelField::Role, "role"),
    (LabelField::Type, "type"),
    (LabelField::FileType, "filetype"),
    (LabelField::Level, "level"),
];

impl FromStr for LabelOption {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "disable" => return Ok(Self::Disable),
            "nested" => return Ok(Self::Nested),
            _ => {}
        }
        let (name, value) = text.split_once(':').unwrap_or((text, ""));
        let field = FIELDS.iter().find(|(_, word)| *word == name).map(|(field, _)| *field);
        // A level has colons and commas; what a kernel takes for a word has no blanks.
        let is_word = |letter: char| {
            letter.is_ascii_alphanumeric()
                || matches!(letter, '_' | '-' | '.')
                || field == Some(LabelField::Level) && matches!(letter, ':' | ',')
        };
        match field {
            Some(field) if !value.is_empty() && value.chars().all(is_word) => {
                Ok(Self::Field(field, value.to_owned()))
            }
            _ => Err(Error::new(Kind::Invalid, format!("read the label option {text:?}")).hint(
                "there are disable, nested, user:WORD, role:WORD, type:WORD, filetype:WORD and \
                 level:s0:c1,c2",
            )),
        }
    }
}

impl fmt::Display for LabelOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disable => f.write_str("disable"),
            Self::Nested => f.write_str("nested"),
            Self::Field(field, value) => {
                let word = FIELDS.iter().find(|(one, _)| one == field).map_or("", |(_, word)| word);
                write!(f, "{word}:{value}")
            }
        }
    }
}

impl TryFrom<String> for LabelOption {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<LabelOption> for String {
    fn from(option: LabelOption) -> Self {
        option.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_and_written_alike() {
        for text in [
            "disable",
            "nested",
            "user:system_u",
            "role:system_r",
            "type:spc_t",
            "filetype:usr_t",
            "level:s0:c1,c2",
            "level:s0-s0:c0.c1023",
        ] {
            assert_eq!(text.parse::<LabelOption>().unwrap().to_string(), text);
        }
        for text in ["", "user", "user:", "type:a b", "type:a:b", "level:s0\"", "colour:red"] {
            assert_eq!(text.parse::<LabelOption>().unwrap_err().kind(), Kind::Invalid, "{text:?}");
        }
    }
}
