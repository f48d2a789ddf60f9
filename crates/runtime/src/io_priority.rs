//! The I/O priority of a process, by the names of the specification.

use dhow_base::{Doing, Error, Kind, Result};
use dhow_spec::runtime::IoPriority;

/// The kernel's numbers (`linux/ioprio.h`).
const CLASSES: [(&str, u32); 3] =
    [("IOPRIO_CLASS_RT", 1), ("IOPRIO_CLASS_BE", 2), ("IOPRIO_CLASS_IDLE", 3)];

/// A class and a level in it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Urgency {
    class: u32,
    level: u32,
}

impl Urgency {
    /// Reads the words.
    pub(crate) fn parse(priority: &IoPriority) -> Result<Self> {
        let invalid = |why: String| Error::new(Kind::Invalid, format!("use ioPriority: {why}"));
        let class = CLASSES.iter().find(|(name, _)| *name == priority.class);
        let class = class.ok_or_else(|| invalid(format!("no class {:?}", priority.class)))?.1;
        match u32::try_from(priority.priority) {
            Ok(level @ 0..=7) => Ok(Self { class, level }),
            _ => Err(invalid(format!("priority {} is not in 0 to 7", priority.priority))),
        }
    }

    /// Sets it for the calling process's group, which a process of a container's leads.
    pub(crate) fn apply(self) -> Result<()> {
        dhow_sys::io_priority::set_for_group(self.class, self.level)
            .doing(|| "set the I/O priority")
            .map_err(|error| match error.kind() {
                Kind::Denied => error.hint("IOPRIO_CLASS_RT needs CAP_SYS_NICE"),
                _ => error,
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_and_levels_are_the_specification_s() {
        let parse = |class: &str, priority| {
            Urgency::parse(&IoPriority { class: class.to_owned(), priority }).ok()
        };

        assert_eq!(parse("IOPRIO_CLASS_BE", 7), Some(Urgency { class: 2, level: 7 }));
        assert_eq!(parse("IOPRIO_CLASS_RT", 0), Some(Urgency { class: 1, level: 0 }));
        for (class, priority) in
            [("", 0), ("IOPRIO_CLASS_NONE", 0), ("IOPRIO_CLASS_BE", 8), ("IOPRIO_CLASS_BE", -1)]
        {
            assert_eq!(parse(class, priority), None, "{class} {priority}");
        }
    }
}
