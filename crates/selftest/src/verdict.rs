//! What came of an attack.

/// The end of an attack, with words for people.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// It did nothing; how often it was tried.
    Passed(String),
    /// It did something, or could not be played as it should.
    Failed(String),
    /// It cannot be played here; why.
    Skipped(String),
}

impl Verdict {
    /// The word for it.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Passed(_) => "passed",
            Self::Failed(_) => "FAILED",
            Self::Skipped(_) => "skipped",
        }
    }

    /// What is said beside the word.
    pub fn words(&self) -> &str {
        let (Self::Passed(words) | Self::Failed(words) | Self::Skipped(words)) = self;
        words
    }

    /// Something stayed behind: that is a failure, whatever else came of it.
    pub(crate) fn spoilt_by(self, left: &[String]) -> Self {
        let left = format!("left behind: {}", left.join(", "));
        match self {
            Self::Failed(words) => Self::Failed(format!("{words}; {left}")),
            _ => Self::Failed(left),
        }
    }
}

/// Leaves the attack with a failure unless the condition holds.
macro_rules! ensure {
    ($holds:expr, $($words:tt)+) => {
        if !$holds {
            return Ok($crate::Verdict::Failed(format!($($words)+)));
        }
    };
}

pub(crate) use ensure;
