//! Resource limits by name.

use dhow_base::{Error, Kind, Result};
use dhow_spec::runtime::Rlimit;
use rustix::{
    io::Errno,
    process::{Pid, Resource},
};

const NAMES: [(&str, Resource); 16] = [
    ("RLIMIT_AS", Resource::As),
    ("RLIMIT_CORE", Resource::Core),
    ("RLIMIT_CPU", Resource::Cpu),
    ("RLIMIT_DATA", Resource::Data),
    ("RLIMIT_FSIZE", Resource::Fsize),
    ("RLIMIT_LOCKS", Resource::Locks),
    ("RLIMIT_MEMLOCK", Resource::Memlock),
    ("RLIMIT_MSGQUEUE", Resource::Msgqueue),
    ("RLIMIT_NICE", Resource::Nice),
    ("RLIMIT_NOFILE", Resource::Nofile),
    ("RLIMIT_NPROC", Resource::Nproc),
    ("RLIMIT_RSS", Resource::Rss),
    ("RLIMIT_RTPRIO", Resource::Rtprio),
    ("RLIMIT_RTTIME", Resource::Rttime),
    ("RLIMIT_SIGPENDING", Resource::Sigpending),
    ("RLIMIT_STACK", Resource::Stack),
];

/// Limits, parsed.
#[derive(Debug)]
pub(crate) struct Limits(Vec<(&'static str, Resource, rustix::process::Rlimit)>);

impl Limits {
    /// Reads the names; a repeated one is an error, as the specification says.
    pub(crate) fn parse(limits: &[Rlimit]) -> Result<Self> {
        let mut parsed: Vec<(&'static str, _, _)> = Vec::with_capacity(limits.len());
        for limit in limits {
            let invalid = |why: &str| {
                Error::new(Kind::Invalid, format!("use resource limit {:?}: {why}", limit.kind))
            };
            let found = NAMES.iter().find(|(name, _)| *name == limit.kind);
            let (name, resource) = found.ok_or_else(|| invalid("no such limit"))?;
            if parsed.iter().any(|earlier| earlier.0 == *name) {
                return Err(invalid("it is there twice"));
            }
            if limit.soft > limit.hard {
                return Err(invalid("the soft limit is above the hard one"));
            }
            // The largest number is the kernel's way to say "none".
            let bound = |value: u64| (value != u64::MAX).then_some(value);
            let values =
                rustix::process::Rlimit { current: bound(limit.soft), maximum: bound(limit.hard) };
            parsed.push((name, *resource, values));
        }
        Ok(Self(parsed))
    }

    /// Raises the hard limits that are too low, of a process or of the calling one: the process
    /// sets the limits itself, but may have lost the right to raise any by then.
    pub(crate) fn raise(&self, pid: Option<Pid>) -> Result<()> {
        for (name, resource, wanted) in &self.0 {
            let unlimited = |limit: Option<u64>| limit.unwrap_or(u64::MAX);
            let (own, wanted) = (rustix::process::getrlimit(*resource), unlimited(wanted.maximum));
            if unlimited(own.maximum) >= wanted {
                continue;
            }
            let maximum = (wanted != u64::MAX).then_some(wanted);
            let raised = rustix::process::Rlimit { maximum, ..own };
            let result = rustix::process::prlimit(pid, *resource, raised);
            result.map(drop).map_err(|errno| refused(name, errno))?;
        }
        Ok(())
    }

    /// Sets them for the calling process.
    pub(crate) fn apply(&self) -> Result<()> {
        for (name, resource, values) in &self.0 {
            rustix::process::setrlimit(*resource, *values).map_err(|errno| refused(name, errno))?;
        }
        Ok(())
    }
}

fn refused(name: &str, errno: Errno) -> Error {
    let error = Error::new(Kind::Denied, format!("set resource limit {name}"))
        .because(std::io::Error::from(errno));
    match errno {
        Errno::PERM => error.hint("raising a hard limit needs CAP_SYS_RESOURCE"),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(kind: &str, soft: u64, hard: u64) -> Rlimit {
        Rlimit { kind: kind.to_owned(), soft, hard }
    }

    #[test]
    fn limits_are_known_unique_and_ordered() {
        assert!(Limits::parse(&[limit("RLIMIT_NOFILE", 1, 2)]).is_ok());
        assert!(Limits::parse(&[limit("RLIMIT_NOFILE", 3, 2)]).is_err());
        assert!(Limits::parse(&[limit("NOFILE", 1, 2)]).is_err());
        let twice = [limit("RLIMIT_CPU", 1, 2), limit("RLIMIT_CPU", 1, 2)];
        assert!(Limits::parse(&twice).is_err());
    }
}
