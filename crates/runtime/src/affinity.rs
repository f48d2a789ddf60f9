//! The processors that a process may run on, on its way into a container.
//!
//! ```text
//!   born ── initial ──▶ enters the cgroup ── final ──▶ runs
//! ```
//!
//! The initial ones keep the work of joining off processors that are kept free for others. Without
//! any word of affinity a process gets all the processors that its cgroup has: what its caller was
//! bound to is no business of the container's.

use crate::numbers;
use dhow_base::{Doing, Result};
use dhow_spec::runtime::ExecCpuAffinity;
use rustix::thread::CpuSet;

/// The processors before and after; nothing where the configuration does not say.
#[derive(Debug)]
pub(crate) struct Affinity {
    initial: Option<CpuSet>,
    last: Option<CpuSet>,
}

impl Affinity {
    /// Reads the lists; an empty one is none.
    pub(crate) fn parse(affinity: &ExecCpuAffinity) -> Result<Self> {
        let parse = |list: &Option<String>, which: &str| match list.as_deref().unwrap_or_default() {
            "" => Ok(None),
            text => {
                let what = format!("use execCPUAffinity: {which}");
                let mut set = CpuSet::new();
                numbers::parse(text, CpuSet::MAX_CPU, &what)?
                    .into_iter()
                    .for_each(|cpu| set.set(cpu));
                Ok(Some(set))
            }
        };
        Ok(Self {
            initial: parse(&affinity.initial, "initial")?,
            last: parse(&affinity.last, "final")?,
        })
    }

    /// Binds the calling process, so that the child it makes is born bound, and in its cgroup at
    /// once. The caller comes back to its own processors when the answer drops.
    pub(crate) fn begin(&self) -> Result<Elsewhere> {
        let before = rustix::thread::sched_getaffinity(None)
            .doing(|| "read the processors of this process")?;
        bind(self.initial.as_ref(), "initial")?;
        Ok(Elsewhere { before, is_moved: self.initial.is_some() })
    }

    /// Binds it after it has entered. Where nothing is said, the kernel's choice stays.
    pub(crate) fn settle(&self) -> Result<()> {
        bind(self.last.as_ref(), "final")
    }
}

/// A parent that is bound for its child's sake.
#[derive(Debug)]
pub(crate) struct Elsewhere {
    before: CpuSet,
    is_moved: bool,
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        if self.is_moved {
            // Where they were taken away meanwhile, the kernel's choice stays.
            let _stays = rustix::thread::sched_setaffinity(None, &self.before);
        }
    }
}

/// Gives the calling process all the processors of its cgroup. A kernel that refuses leaves it
/// where its caller was, which stops nothing.
pub(crate) fn reset() {
    let mut all = CpuSet::new();
    (0..CpuSet::MAX_CPU).for_each(|cpu| all.set(cpu));
    let _stays = rustix::thread::sched_setaffinity(None, &all);
}

fn bind(set: Option<&CpuSet>, which: &str) -> Result<()> {
    let Some(set) = set else { return Ok(()) };
    rustix::thread::sched_setaffinity(None, set)
        .doing(|| format!("bind the process to the {which} processors"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_list_is_none() {
        let affinity = |initial: &str, last: Option<&str>| {
            Affinity::parse(&ExecCpuAffinity {
                initial: Some(initial.to_owned()),
                last: last.map(str::to_owned),
            })
        };

        let parsed = affinity("", Some("0-1,3")).unwrap();

        assert!(parsed.initial.is_none());
        assert_eq!(parsed.last.unwrap().count(), 3);
        assert!(affinity("1,x", None).unwrap_err().one_line().contains("initial"));
        assert!(affinity("0", Some("1024")).unwrap_err().one_line().contains("1023"));
    }
}
