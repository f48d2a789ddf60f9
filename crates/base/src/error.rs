//! The platform's one error type.
//!
//! An error answers four questions, in the order a user asks them: what were we doing (`doing`),
//! why did it fail (`source`), what sort of failure is it (`kind`), and what can I do (`hint`).
//!
//! `kind` is a closed set because several doors translate it: exit codes of the command line, the
//! Docker API, CRI, the registry API and the OCI runtime command line. Add a kind only when some
//! caller must act differently on it.

use std::{error::Error as StdError, fmt, io};

/// What every fallible function of the platform returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What sort of failure it is; the doors map this to their codes.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Kind {
    /// The named object does not exist.
    NotFound,
    /// The name or id is taken.
    AlreadyExists,
    /// What the user or a document says makes no sense; trying again will not help.
    Invalid,
    /// The object's state does not allow the operation (running, in use, paused).
    Conflict,
    /// The kernel, a registry or the user's rights refuse.
    Denied,
    /// Bytes are not what their digest, size or format promises.
    Corrupt,
    /// A limit or the disk is full.
    Exhausted,
    /// The other side does not answer, or answers that it cannot now.
    Unavailable,
    /// This kernel, machine or build cannot do it.
    Unsupported,
    /// It took too long.
    TimedOut,
    /// The program to run in a container is not there (exit code 127).
    CommandNotFound,
    /// The program to run in a container cannot be executed (exit code 126).
    CommandNotRunnable,
    /// Anything else: an I/O error or a broken promise of our own.
    Internal,
}

/// A link of the chain: what we were doing when what is below it failed.
#[derive(Debug)]
pub struct Error {
    kind: Kind,
    doing: String,
    hint: Option<String>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error without a cause below it. `doing` is lower case, without a full stop.
    pub fn new(kind: Kind, doing: impl Into<String>) -> Self {
        Self { kind, doing: doing.into(), hint: None, source: None }
    }

    /// Adds one sentence that tells the user what to try next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Puts the cause below this link.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Replaces the kind, where the caller knows better than the errno.
    #[must_use]
    pub fn kinded(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }

    /// What sort of failure it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The innermost hint of the chain, which is the most specific one.
    pub fn innermost_hint(&self) -> Option<&str> {
        let mut hint = self.hint.as_deref();
        let mut next = self.source();
        while let Some(cause) = next {
            // What an error of `io` carries is not its source: its source is that one's.
            let carried = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
            let of_carried = || carried.and_then(|inner| inner.downcast_ref::<Self>());
            if let Some(inner) = cause.downcast_ref::<Self>().or_else(of_carried) {
                hint = inner.hint.as_deref().or(hint);
            }
            next = cause.source();
        }
        hint
    }

    /// The chain as one line, outermost first: `start c1: mount overlay on /x: no space left`.
    pub fn one_line(&self) -> String {
        let mut text = self.doing.clone();
        let mut next = self.source();
        while let Some(cause) = next {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            next = cause.source();
        }
        text
    }

    /// The errno at the bottom of the chain, where there is one.
    pub fn errno(&self) -> Option<i32> {
        let mut next = self.source();
        while let Some(cause) = next {
            if let Some(error) = cause.downcast_ref::<io::Error>() {
                return error.raw_os_error();
            }
            if let Some(errno) = cause.downcast_ref::<rustix::io::Errno>() {
                return Some(errno.raw_os_error());
            }
            next = cause.source();
        }
        None
    }
}

// `Display` prints this link only; `one_line` and the doors walk the rest. Doing both in one place
// is what prints "x: y: y".
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.doing)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

/// Says what we were doing when `self` failed.
pub trait Doing<T> {
    /// Wraps an error in a link that says what was being done, keeping its kind.
    fn doing<S: Into<String>>(self, what: impl FnOnce() -> S) -> Result<T>;
}

impl<T> Doing<T> for Result<T> {
    fn doing<S: Into<String>>(self, what: impl FnOnce() -> S) -> Result<T> {
        self.map_err(|error| Error::new(error.kind, what()).because(error))
    }
}

impl<T> Doing<T> for io::Result<T> {
    fn doing<S: Into<String>>(self, what: impl FnOnce() -> S) -> Result<T> {
        self.map_err(|error| Error::new(kind_of_io(&error), what()).because(error))
    }
}

impl<T> Doing<T> for std::result::Result<T, rustix::io::Errno> {
    fn doing<S: Into<String>>(self, what: impl FnOnce() -> S) -> Result<T> {
        self.map_err(io::Error::from).doing(what)
    }
}

/// The kind an I/O error has when nobody on the way knows better.
fn kind_of_io(error: &io::Error) -> Kind {
    // An error of ours may have travelled through an `io::Read` in between.
    if let Some(inner) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        return inner.kind;
    }
    match error.kind() {
        io::ErrorKind::NotFound => Kind::NotFound,
        io::ErrorKind::AlreadyExists => Kind::AlreadyExists,
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Kind::Denied,
        io::ErrorKind::StorageFull
        | io::ErrorKind::QuotaExceeded
        | io::ErrorKind::OutOfMemory
        | io::ErrorKind::FileTooLarge => Kind::Exhausted,
        io::ErrorKind::TimedOut => Kind::TimedOut,
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => Kind::Corrupt,
        io::ErrorKind::Unsupported => Kind::Unsupported,
        io::ErrorKind::ResourceBusy => Kind::Conflict,
        io::ErrorKind::ConnectionRefused
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::HostUnreachable
        | io::ErrorKind::NetworkUnreachable => Kind::Unavailable,
        _ => Kind::Internal,
    }
}

/// Lets an error of ours travel through an `io::Read` or `io::Write` and come out whole.
impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        Self::other(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_prints_each_link_once_and_keeps_the_innermost_hint() {
        let inner = Error::new(Kind::Exhausted, "write blob sha256:ab").hint("free some space");
        let outer = Err::<(), _>(inner).doing(|| "pull debian:13").unwrap_err();

        assert_eq!(outer.one_line(), "pull debian:13: write blob sha256:ab");
        assert_eq!(outer.kind(), Kind::Exhausted);
        assert_eq!(outer.innermost_hint(), Some("free some space"));
    }

    #[test]
    fn an_error_keeps_its_kind_and_its_hint_through_an_io_error() {
        let inner = Error::new(Kind::Corrupt, "check digest").hint("pull it again");
        let carried = io::Error::from(inner);

        let error = Err::<(), _>(carried).doing(|| "read layer").unwrap_err();

        assert_eq!(error.kind(), Kind::Corrupt);
        assert_eq!(error.one_line(), "read layer: check digest");
        assert_eq!(error.innermost_hint(), Some("pull it again"));
    }

    #[test]
    fn errnos_have_kinds_and_can_be_asked_for() {
        let error = Err::<(), _>(rustix::io::Errno::NOSPC).doing(|| "write").unwrap_err();

        assert_eq!(error.kind(), Kind::Exhausted);
        assert_eq!(error.errno(), Some(28));
    }
}
