//! From which memory nodes a container's pages come, by the names of the specification.

use crate::numbers;
use dhow_base::{Doing, Error, Kind, Result};
use dhow_spec::runtime::MemoryPolicy;
use dhow_sys::memory_policy::{self, NODES, Nodes};
use rustix::io::Errno;

/// The kernel's numbers (`linux/mempolicy.h`), and what a mode takes.
const MODES: [(&str, i32, Takes); 7] = [
    ("MPOL_DEFAULT", 0, Takes::None),
    ("MPOL_PREFERRED", 1, Takes::Any),
    ("MPOL_BIND", 2, Takes::Some),
    ("MPOL_INTERLEAVE", 3, Takes::Some),
    ("MPOL_LOCAL", 4, Takes::None),
    ("MPOL_PREFERRED_MANY", 5, Takes::Some),
    ("MPOL_WEIGHTED_INTERLEAVE", 6, Takes::Some),
];

const FLAGS: [(&str, i32); 3] = [
    ("MPOL_F_NUMA_BALANCING", 1 << 13),
    ("MPOL_F_RELATIVE_NODES", 1 << 14),
    ("MPOL_F_STATIC_NODES", 1 << 15),
];

/// The modes and the flags that are known, as the specification writes them.
pub fn names() -> (Vec<&'static str>, Vec<&'static str>) {
    (MODES.map(|mode| mode.0).to_vec(), FLAGS.map(|flag| flag.0).to_vec())
}

/// How many nodes a mode takes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Takes {
    None,
    Any,
    Some,
}

/// A mode with its flags and nodes.
#[derive(Debug)]
pub(crate) struct Placement<'a> {
    name: &'a str,
    mode: i32,
    nodes: Nodes,
}

impl<'a> Placement<'a> {
    /// Reads the words. Which nodes exist, the kernel knows.
    pub(crate) fn parse(policy: &'a MemoryPolicy) -> Result<Self> {
        let name = policy.mode.as_str();
        let invalid = |why: String| Error::new(Kind::Invalid, format!("use memoryPolicy: {why}"));
        let found = MODES.iter().find(|(known, ..)| *known == name);
        let (_, number, takes) = found.ok_or_else(|| invalid(format!("no mode {name:?}")))?;
        let mut nodes = Nodes::default();
        for node in numbers::parse(&policy.nodes, NODES, "use memoryPolicy: nodes")? {
            nodes.add(node);
        }
        match takes {
            Takes::None if !nodes.is_empty() => {
                return Err(invalid(format!("mode {name} takes no nodes")));
            }
            Takes::Some if nodes.is_empty() => {
                return Err(invalid(format!("mode {name} needs nodes")));
            }
            _ => {}
        }
        let mut mode = *number;
        for flag in &policy.flags {
            let found = FLAGS.iter().find(|(known, _)| known == flag);
            mode |= found.ok_or_else(|| invalid(format!("no flag {flag:?}")))?.1;
        }
        Ok(Self { name, mode, nodes })
    }

    /// Sets it for the calling process, whose program and children inherit it.
    pub(crate) fn apply(&self) -> Result<()> {
        memory_policy::set(self.mode, &self.nodes)
            .doing(|| format!("set memory policy {}", self.name))
            .map_err(|error| match error.errno() {
                Some(errno) if errno == Errno::INVAL.raw_os_error() => {
                    error.hint("do the nodes exist, and does the kernel know mode and flags?")
                }
                _ => error,
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_nodes_and_flags_are_checked_by_name() {
        let policy = |mode: &str, nodes: &str, flags: &[&str]| MemoryPolicy {
            mode: mode.to_owned(),
            nodes: nodes.to_owned(),
            flags: flags.iter().map(|&flag| flag.to_owned()).collect(),
        };
        let cases = [
            (policy("MPOL_BIND", "0", &[]), Ok(2)),
            (policy("MPOL_INTERLEAVE", "0-3,7", &["MPOL_F_STATIC_NODES"]), Ok(0x8003)),
            (policy("MPOL_PREFERRED", "", &[]), Ok(1)),
            (policy("MPOL_DEFAULT", "", &[]), Ok(0)),
            (policy("MPOL_DEFAULT", "0", &[]), Err("takes no nodes")),
            (policy("MPOL_LOCAL", "1", &[]), Err("takes no nodes")),
            (policy("MPOL_BIND", "", &[]), Err("needs nodes")),
            (policy("MPOL_BIND", "1024", &[]), Err("1023")),
            (policy("", "0", &[]), Err("no mode")),
            (policy("MPOL_BIND", "0", &["MPOL_F_FAST"]), Err("MPOL_F_FAST")),
        ];
        for (policy, expected) in cases {
            match (Placement::parse(&policy), expected) {
                (Ok(placement), Ok(mode)) => assert_eq!(placement.mode, mode, "{policy:?}"),
                (Err(error), Err(part)) => {
                    assert!(error.one_line().contains(part), "{}", error.one_line());
                }
                (got, _) => panic!("{policy:?} gives {got:?}"),
            }
        }
    }
}
