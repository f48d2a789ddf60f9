//! The execution domain of a process, by the names of the specification.

use dhow_base::{Doing, Error, Kind, Result};
use dhow_spec::runtime::Personality;

/// The kernel's numbers (`linux/personality.h`).
const DOMAINS: [(&str, u32); 2] = [("LINUX", 0), ("LINUX32", 8)];

/// A domain.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Domain(u32);

impl Domain {
    /// Reads the words. The specification has no flags yet, so any flag is one that would not be
    /// kept.
    pub(crate) fn parse(personality: &Personality) -> Result<Self> {
        let invalid = |why: String| Error::new(Kind::Invalid, format!("use personality: {why}"));
        if let Some(flag) = personality.flags.first() {
            return Err(invalid(format!("no flag {flag:?}")));
        }
        let found = DOMAINS.iter().find(|(name, _)| *name == personality.domain);
        let (_, number) =
            found.ok_or_else(|| invalid(format!("no domain {:?}", personality.domain)))?;
        Ok(Self(*number))
    }

    /// Sets it for the calling process.
    pub(crate) fn apply(self) -> Result<()> {
        dhow_sys::process::set_personality(self.0).doing(|| "set the execution domain")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_and_unknown_domains_are_refused() {
        let of = |domain: &str, flags: &[&str]| {
            let flags = flags.iter().map(|&flag| flag.to_owned()).collect();
            Domain::parse(&Personality { domain: domain.to_owned(), flags }).ok()
        };

        assert_eq!(of("LINUX32", &[]), Some(Domain(8)));
        assert_eq!(of("linux", &[]), None);
        assert_eq!(of("", &[]), None);
        assert_eq!(of("LINUX", &["ADDR_NO_RANDOMIZE"]), None);
    }
}
