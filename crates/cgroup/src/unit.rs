//! A systemd unit that is a container's cgroup: its name, its life, its properties.
//!
//! ```text
//!   start: StartTransientUnit(scope, [a process that waits], properties) ─▶ the cgroup is there
//!   the container's process enters it ─▶ the waiting process ends
//!   update: SetUnitProperties            stop: StopUnit, ResetFailedUnit ─▶ the cgroup is gone
//! ```
//!
//! A scope must have a process from its begin, and ends with its last one. The container's own is
//! born in its cgroup, so it cannot be there before; a child of ours waits in its place.

use crate::{
    Layout, dbus,
    dbus::Value,
    driver::not_a_triple,
    properties::{self, Property},
    systemd::{Bus, Manager},
};
use dhow_base::{Doing, Error, Kind, Result};
use dhow_spec::runtime::Resources;
use dhow_sys::clone::{Side, clone3};
use rustix::{
    io::Errno,
    process::{Pid, Signal, WaitId, WaitIdOptions},
    thread::ThreadNameSpaceType,
};
use std::{
    collections::BTreeMap,
    os::fd::{AsFd, OwnedFd},
};

/// Annotations of this form are properties of the unit.
const ANNOTATION: &str = "org.systemd.property.";

/// A scope in a slice.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) struct UnitName {
    slice: String,
    scope: String,
    id: String,
}

impl UnitName {
    pub(crate) fn new(slice: &str, prefix: &str, id: &str) -> Result<Self> {
        let invalid = |why: &str| {
            let text = format!("name the unit {prefix}-{id}.scope in {slice}: {why}");
            Err(Error::new(Kind::Invalid, text))
        };
        if id.ends_with(".slice") {
            return invalid("a container is a scope, and a slice holds no processes");
        }
        let scope = format!("{prefix}-{id}.scope");
        let is_plain = |letter: char| letter.is_ascii_alphanumeric() || ":-_.\\@".contains(letter);
        if id.is_empty() || scope.len() > 255 || !scope.chars().all(is_plain) {
            return invalid("a unit's name has up to 255 letters, digits and : - _ . \\ @");
        }
        expand(slice)?;
        Ok(Self { slice: slice.to_owned(), scope, id: id.to_owned() })
    }

    /// `slice:prefix:name`; the slice may be left out.
    pub(crate) fn parse(text: &str, slice: &str) -> Result<Self> {
        let parts: Vec<&str> = text.split(':').collect();
        match parts[..] {
            ["", prefix, id] => Self::new(slice, prefix, id),
            [slice, prefix, id] => Self::new(slice, prefix, id),
            _ => Err(not_a_triple(text)),
        }
    }

    /// Where systemd puts it, below its own cgroup.
    pub(crate) fn path(&self) -> Result<String> {
        Ok(format!("{}{}", expand(&self.slice)?, self.scope))
    }
}

/// Slices are nested by the dashes of their names: `a-b.slice` is `a.slice/a-b.slice/`.
fn expand(slice: &str) -> Result<String> {
    let invalid = || Error::new(Kind::Invalid, format!("use {slice:?} as a slice of systemd's"));
    let name = slice.strip_suffix(".slice").ok_or_else(invalid)?;
    if name == "-" {
        return Ok(String::new());
    }
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || ":-_.\\@".contains(letter);
    if !name.chars().all(is_plain) || slice.len() > 255 {
        return Err(invalid());
    }
    let mut path = String::new();
    let mut begin = String::new();
    for part in name.split('-') {
        if part.is_empty() {
            return Err(invalid());
        }
        begin.push_str(part);
        path.push_str(&format!("{begin}.slice/"));
        begin.push('-');
    }
    Ok(path)
}

/// A unit, and the systemd that it is of.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Unit {
    bus: Bus,
    name: UnitName,
    /// From annotations.
    asked: Vec<Property>,
}

impl Unit {
    pub(crate) fn new(bus: Bus, name: UnitName) -> Self {
        Self { bus, name, asked: Vec::new() }
    }

    /// Adds the properties that annotations ask for.
    pub(crate) fn add_annotations(&mut self, annotations: &BTreeMap<String, String>) -> Result<()> {
        for (key, text) in annotations {
            if let Some(name) = key.strip_prefix(ANNOTATION) {
                let property =
                    annotated(name, text).doing(|| format!("read the annotation {key}: {text}"))?;
                self.asked.push(property);
            }
        }
        Ok(())
    }

    /// Starts the scope. The process that is returned keeps it until the container's is there.
    pub(crate) fn start(&self, resources: &Resources, layout: Layout) -> Result<Placeholder> {
        let scope = &self.name.scope;
        let doing = || format!("start the unit {scope}");
        let mut manager = Manager::open(&self.bus).doing(doing)?;
        let placeholder = Placeholder::new().doing(doing)?;
        let mut given = self.own_properties(placeholder.pid, layout);
        given.extend(properties::of(resources, layout, &mut manager).doing(doing)?);
        // The last of one name counts, and those of annotations are wanted most.
        given.extend(self.asked.clone());
        match manager.start(scope, &given) {
            Err(error) if error.kind() == Kind::AlreadyExists => {
                // One that failed stays until somebody has taken notice.
                manager.reset_failed(scope).doing(doing)?;
                manager.start(scope, &given).doing(doing)?;
            }
            result => result.doing(doing)?,
        }
        Ok(placeholder)
    }

    fn own_properties(&self, pid: i32, layout: Layout) -> Vec<Property> {
        let property = |name: &str, value| (name.to_owned(), value);
        let io = if layout == Layout::Unified { "IOAccounting" } else { "BlockIOAccounting" };
        let pids = vec![Value::U32(pid.unsigned_abs())];
        let text = format!("dhow container {}", self.name.id);
        vec![
            property("Description", Value::text(text)),
            property("Slice", Value::text(self.name.slice.as_str())),
            property("Delegate", Value::Bool(true)),
            property("PIDs", Value::Array("u".to_owned(), pids)),
            // Turned on from the begin, since a group may not join all controllers later.
            property("MemoryAccounting", Value::Bool(true)),
            property("CPUAccounting", Value::Bool(true)),
            property(io, Value::Bool(true)),
            property("TasksAccounting", Value::Bool(true)),
            // Or it would be stopped first when the machine goes down, before its engine.
            property("DefaultDependencies", Value::Bool(false)),
        ]
    }

    /// Tells systemd of changed limits, so that it does not set the old ones again.
    pub(crate) fn update(&self, resources: &Resources, layout: Layout) -> Result<()> {
        let doing = || format!("update the unit {}", self.name.scope);
        let mut manager = Manager::open(&self.bus).doing(doing)?;
        let changed = properties::of(resources, layout, &mut manager).doing(doing)?;
        if changed.is_empty() {
            return Ok(());
        }
        manager.set_properties(&self.name.scope, &changed).doing(doing)
    }

    pub(crate) fn is_of_user(&self) -> bool {
        self.bus.is_of_user()
    }

    /// Has systemd move a process into the scope.
    pub(crate) fn attach(&self, pid: Pid) -> Result<()> {
        let scope = &self.name.scope;
        let doing = || format!("move process {} into the unit {scope}", pid.as_raw_pid());
        let mut manager = Manager::open(&self.bus).doing(doing)?;
        manager.attach(scope, pid.as_raw_pid().unsigned_abs()).doing(doing)
    }

    /// Ends the scope and everybody in it, and waits. That it is gone already is fine.
    pub(crate) fn stop(&self) -> Result<()> {
        let scope = &self.name.scope;
        let doing = || format!("stop the unit {scope}");
        let mut manager = Manager::open(&self.bus).doing(doing)?;
        match manager.stop(scope) {
            Err(error) if error.kind() == Kind::NotFound => {}
            result => result.doing(doing)?,
        }
        match manager.reset_failed(scope) {
            Err(error) if error.kind() == Kind::NotFound => Ok(()),
            result => result.doing(doing),
        }
    }
}

/// A property as an annotation gives it. systemd knows times in microseconds; people write
/// `TimeoutStopSec` with seconds for `TimeoutStopUSec`.
fn annotated(name: &str, text: &str) -> Result<Property> {
    let is_name = name.len() >= 3
        && name.starts_with(|letter: char| letter.is_ascii_uppercase())
        && name.chars().all(|letter| letter.is_ascii_alphabetic());
    if !is_name {
        return Err(Error::new(Kind::Invalid, format!("{name:?} is not a property's name")));
    }
    let value = dbus::parse_variant(text).map_err(|malformed| {
        Error::new(Kind::Invalid, "its value is not in systemd's text form")
            .because(malformed)
            .hint("texts stand in quotes ('x'), numbers may have a type (uint64 5)")
    })?;
    let in_seconds = |stem: &&str| stem.ends_with(|letter: char| letter.is_ascii_lowercase());
    match name.strip_suffix("Sec").filter(in_seconds) {
        Some(stem) => Ok((format!("{stem}USec"), microseconds(&value)?)),
        None => Ok((name.to_owned(), value)),
    }
}

fn microseconds(value: &Value) -> Result<Value> {
    const FACTOR: u64 = 1_000_000;
    let whole = match value {
        Value::Byte(seconds) => Some(u64::from(*seconds)),
        Value::I16(seconds) => u64::try_from(*seconds).ok(),
        Value::U16(seconds) => Some(u64::from(*seconds)),
        Value::I32(seconds) => u64::try_from(*seconds).ok(),
        Value::U32(seconds) => Some(u64::from(*seconds)),
        Value::I64(seconds) => u64::try_from(*seconds).ok(),
        Value::U64(seconds) => Some(*seconds),
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it is between 0 and 10^9"
        )]
        Value::Double(seconds) if (0.0..1e9).contains(seconds) => {
            return Ok(Value::U64((seconds * 1e6) as u64));
        }
        _ => None,
    };
    let product = whole.and_then(|seconds| seconds.checked_mul(FACTOR));
    product.map(Value::U64).ok_or_else(|| Error::new(Kind::Invalid, "it is no number of seconds"))
}

/// A child that waits, and ends when this goes or its parent does.
#[derive(Debug)]
pub(crate) struct Placeholder {
    pub(crate) pid: i32,
    pidfd: OwnedFd,
}

impl Placeholder {
    fn new() -> Result<Self> {
        let parent = rustix::process::getpid();
        let side = clone3(ThreadNameSpaceType::empty(), None);
        match side.doing(|| "start a process to wait in it")? {
            Side::Child => wait_for_the_end(parent),
            Side::Parent { pid, pidfd } => Ok(Self { pid, pidfd }),
        }
    }
}

/// The waiting process's life. It holds nothing of its parent's open.
fn wait_for_the_end(parent: Pid) -> ! {
    let _closed = dhow_sys::fds::close_from_but(0, &[]);
    let bound = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
    // The parent may have ended before its death was asked for.
    while bound.is_ok() && rustix::process::getppid() == Some(parent) {
        std::thread::sleep(std::time::Duration::from_secs(3600));
    }
    dhow_sys::process::leave(0)
}

impl Drop for Placeholder {
    fn drop(&mut self) {
        let _dead = rustix::process::pidfd_send_signal(&self.pidfd, Signal::KILL);
        let target = WaitId::PidFd(self.pidfd.as_fd());
        loop {
            let ended = rustix::process::waitid(target.clone(), WaitIdOptions::EXITED);
            if !matches!(ended, Err(Errno::INTR)) {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_are_nested_by_their_dashes() {
        let cases = [
            ("system.slice", Some("system.slice/")),
            ("a-b-c.slice", Some("a.slice/a-b.slice/a-b-c.slice/")),
            ("-.slice", Some("")),
            ("a--b.slice", None),
            ("-a.slice", None),
            ("a-.slice", None),
            (".slice", None),
            ("a/b.slice", None),
            ("a.scope", None),
            ("..slice", Some("..slice/")),
        ];
        for (slice, expected) in cases {
            assert_eq!(expand(slice).ok().as_deref(), expected, "{slice}");
        }
    }

    #[test]
    fn a_triple_names_a_scope_in_a_slice() {
        let cases = [
            ("a-b.slice:dhow:c1", Some("a.slice/a-b.slice/dhow-c1.scope")),
            (":libpod:c1", Some("system.slice/libpod-c1.scope")),
            ("system.slice::c1", Some("system.slice/-c1.scope")),
            ("/dhow/c1", None),
            ("a.slice:b", None),
            ("a.slice:b:", None),
            ("a.slice:b:c:d", None),
            ("a.slice:b:c/d", None),
            ("a.slice:b:c.slice", None),
        ];
        for (text, expected) in cases {
            let path = UnitName::parse(text, "system.slice").and_then(|name| name.path());
            assert_eq!(path.ok().as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn annotations_become_properties_in_systemds_units() {
        let cases = [
            (
                "CollectMode",
                "'inactive-or-failed'",
                "CollectMode",
                Value::text("inactive-or-failed"),
            ),
            ("TimeoutStopSec", "5", "TimeoutStopUSec", Value::U64(5_000_000)),
            ("TimeoutStopSec", "1.5", "TimeoutStopUSec", Value::U64(1_500_000)),
            ("TimeoutStopUSec", "uint64 7", "TimeoutStopUSec", Value::U64(7)),
        ];
        for (name, text, expected, value) in cases {
            assert_eq!(annotated(name, text).unwrap(), (expected.to_owned(), value), "{name}");
        }
        for (name, text) in
            [("collect", "1"), ("A", "1"), ("A/b", "1"), ("Abc", "bare"), ("TimeoutStopSec", "-1")]
        {
            assert_eq!(annotated(name, text).unwrap_err().kind(), Kind::Invalid, "{name} {text}");
        }
    }
}
