//! systemd's manager, as far as units for containers need it (org.freedesktop.systemd1(5)).

use crate::{
    dbus::{Call, Connection, Peer, Value},
    properties::Property,
};
use dhow_base::{Error, Kind, Result};
use serde::{Deserialize, Serialize};
use std::path::Path;

const NAME: &str = "org.freedesktop.systemd1";
const PATH: &str = "/org/freedesktop/systemd1";
const MANAGER: &str = "org.freedesktop.systemd1.Manager";

/// Where a systemd is reached.
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Bus {
    /// The D-Bus daemon's address.
    address: String,
    /// systemd's own, where no daemon runs.
    direct: String,
    is_of_user: bool,
}

impl Bus {
    /// The machine's systemd.
    pub fn of_system() -> Self {
        Self {
            address: "unix:path=/run/dbus/system_bus_socket".to_owned(),
            direct: "unix:path=/run/systemd/private".to_owned(),
            is_of_user: false,
        }
    }

    /// The systemd of the user whose run-time directory this is; `address` is what the session
    /// says (`DBUS_SESSION_BUS_ADDRESS`), where it says it.
    pub fn of_user(address: Option<&str>, runtime_dir: &Path) -> Self {
        let below = |name: &str| format!("unix:path={}", runtime_dir.join(name).display());
        Self {
            address: address.map_or_else(|| below("bus"), str::to_owned),
            direct: below("systemd/private"),
            is_of_user: true,
        }
    }

    pub(crate) fn is_of_user(&self) -> bool {
        self.is_of_user
    }
}

/// A conversation with systemd.
#[derive(Debug)]
pub(crate) struct Manager {
    connection: Connection,
}

impl Manager {
    pub(crate) fn open(bus: &Bus) -> Result<Self> {
        let on_bus = Connection::open(&bus.address, Peer::Bus).and_then(|mut connection| {
            // A bus hands signals only to those who asked for them.
            let rule = format!(
                "type='signal',sender='{NAME}',interface='{MANAGER}',member='JobRemoved',\
                 path='{PATH}'"
            );
            connection.call(&Call { body: vec![Value::Text(rule)], ..Call::to_bus("AddMatch") })?;
            Ok(connection)
        });
        let connection = match on_bus {
            Ok(connection) => connection,
            // What the bus said is what the user can do something about.
            Err(error) => match Connection::open(&bus.direct, Peer::Direct) {
                Ok(connection) => connection,
                Err(_) => return Err(error.hint("is systemd running, and D-Bus?")),
            },
        };
        Ok(Self { connection })
    }

    fn call(&mut self, member: &str, body: Vec<Value>) -> Result<Vec<Value>> {
        self.connection.call(&Call {
            destination: NAME,
            path: PATH,
            interface: MANAGER,
            member,
            body,
        })
    }

    fn property(&mut self, name: &str) -> Result<String> {
        let answer = self.connection.call(&Call {
            destination: NAME,
            path: PATH,
            interface: "org.freedesktop.DBus.Properties",
            member: "Get",
            body: vec![Value::text(MANAGER), Value::text(name)],
        })?;
        match answer.into_iter().next() {
            Some(Value::Variant(value)) => match *value {
                Value::Text(text) => Ok(text),
                _ => Err(unexpected(name)),
            },
            _ => Err(unexpected(name)),
        }
    }

    /// Its version; 0 where it calls itself otherwise than `252.39-1` or `v252`.
    pub(crate) fn version(&mut self) -> Result<u32> {
        let text = self.property("Version")?;
        let digits = text.trim_start_matches(|letter: char| !letter.is_ascii_digit());
        let end = digits.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(digits.len());
        Ok(digits[..end].parse().unwrap_or(0))
    }

    /// The cgroup that its slices are in.
    pub(crate) fn own_cgroup(&mut self) -> Result<String> {
        self.property("ControlGroup")
    }

    /// Starts a unit that exists as long as it runs, and waits until it does.
    pub(crate) fn start(&mut self, unit: &str, properties: &[Property]) -> Result<()> {
        let none = Value::Array("(sa(sv))".to_owned(), Vec::new());
        let body = vec![Value::text(unit), Value::text("replace"), structures(properties), none];
        let answer = self.call("StartTransientUnit", body)?;
        self.finish(unit, answer).inspect_err(|_| {
            // The error is what counts; a unit that failed would stand in the way of the next.
            let _gone = self.reset_failed(unit);
        })
    }

    pub(crate) fn stop(&mut self, unit: &str) -> Result<()> {
        let answer = self.call("StopUnit", vec![Value::text(unit), Value::text("replace")])?;
        self.finish(unit, answer)
    }

    pub(crate) fn reset_failed(&mut self, unit: &str) -> Result<()> {
        self.call("ResetFailedUnit", vec![Value::text(unit)]).map(drop)
    }

    /// Moves a process (systemd 238).
    pub(crate) fn attach(&mut self, unit: &str, pid: u32) -> Result<()> {
        let pids = Value::Array("u".to_owned(), vec![Value::U32(pid)]);
        let body = vec![Value::text(unit), Value::text(""), pids];
        self.call("AttachProcessesToUnit", body).map(drop)
    }

    /// Changes properties until the next boot.
    pub(crate) fn set_properties(&mut self, unit: &str, properties: &[Property]) -> Result<()> {
        let body = vec![Value::text(unit), Value::Bool(true), structures(properties)];
        self.call("SetUnitProperties", body).map(drop)
    }

    /// Waits until the job that an answer names is done.
    fn finish(&mut self, unit: &str, answer: Vec<Value>) -> Result<()> {
        let Some(Value::Path(job)) = answer.into_iter().next() else {
            return Err(unexpected("a job"));
        };
        let result = self.connection.wait_for(&format!("the job of {unit}"), |message| {
            let is_ours = message.interface == MANAGER && message.member == "JobRemoved";
            match &message.body[..] {
                [_, Value::Path(path), _, Value::Text(result)] if is_ours && *path == job => {
                    Some(result.clone())
                }
                _ => None,
            }
        })?;
        if result == "done" {
            return Ok(());
        }
        Err(Error::new(Kind::Internal, format!("systemd's job of {unit} ended as {result:?}")))
    }
}

fn unexpected(what: &str) -> Error {
    Error::new(Kind::Corrupt, format!("ask systemd for {what}: the answer is of another type"))
}

/// As `a(sv)`.
fn structures(properties: &[Property]) -> Value {
    let structure = |(name, value): &Property| {
        Value::Struct(vec![Value::text(name.as_str()), Value::variant(value.clone())])
    };
    Value::Array("(sv)".to_owned(), properties.iter().map(structure).collect())
}
