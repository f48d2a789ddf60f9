//! `tuning`: kernel parameters and settings of a device that is there. What was there before is kept
//! in a file, and put back by DEL.

use super::{
    asked::Asked,
    device::{Inside, ask},
};
use crate::{
    Mac,
    cni::{Outcome, Refusal},
    link::{self, Link},
};
use dhow_base::{
    Error, Kind,
    file::{self, Durability},
};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// Where the reference keeps what was there before.
const DIRECTORY: &str = "/run/cni/tuning";

/// Where an administrator says which parameters are allowed, one regular expression a line. We read
/// none; where there is the file, no parameter is set.
const ALLOWED: &str = "/etc/cni/tuning/allowlist.conf";

const FILE_BYTES: u64 = 4096;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Configuration {
    sysctl: BTreeMap<String, String>,
    mtu: u32,
    promisc: bool,
    allmulti: Option<bool>,
    #[serde(rename = "txQLen")]
    queue: Option<u32>,
    #[serde(rename = "dataDir")]
    directory: Option<PathBuf>,
}

/// What is to be put back, as the reference writes it.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default)]
struct Backup {
    #[serde(skip_serializing_if = "Option::is_none")]
    mac: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    promisc: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mtu: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    allmulti: Option<bool>,
    #[serde(rename = "txQLen", skip_serializing_if = "Option::is_none")]
    queue: Option<u32>,
}

const PROMISCUOUS: u32 = libc::IFF_PROMISC.unsigned_abs();
const ALL_GROUPS: u32 = libc::IFF_ALLMULTI.unsigned_abs();

impl Configuration {
    fn backup_file(&self, asked: &Asked) -> PathBuf {
        let directory = self.directory.as_deref().unwrap_or(Path::new(DIRECTORY));
        directory.join(format!("{}_{}.json", asked.container, asked.interface))
    }

    /// The keys as paths below `/proc/sys/net`; only those of the network are a namespace's own.
    fn parameters(&self) -> Result<Vec<(String, &str)>, Refusal> {
        if !self.sysctl.is_empty() && Path::new(ALLOWED).exists() {
            let text =
                format!("kernel parameters are limited by {ALLOWED}, which is not understood");
            return Err(Refusal::new(Refusal::UNSUPPORTED_FIELD, text));
        }
        self.sysctl.iter().map(|(key, value)| Ok((path_of(key)?, value.as_str()))).collect()
    }
}

fn path_of(key: &str) -> Result<String, Refusal> {
    let path = key.replace('.', "/");
    let rest = path.strip_prefix("net/");
    let rest = rest.filter(|rest| rest.split('/').all(|part| !part.is_empty()));
    rest.map(str::to_owned).ok_or_else(|| {
        Refusal::new(Refusal::BAD_CONFIGURATION, format!("invalid net sysctl key: {key:?}"))
    })
}

pub(super) fn add(asked: &Asked) -> Result<Outcome, Refusal> {
    let configuration: Configuration = asked.configuration()?;
    let mut outcome = asked.needed_before()?;
    let parameters = configuration.parameters()?;
    let mac = asked.mac()?;
    let namespace = asked.namespace()?;
    let inside = Inside::open(&namespace)?;
    for (path, value) in parameters {
        inside.set(&path.replace("IFNAME", &asked.interface), value)?;
    }
    let device = inside.find(&asked.interface)?;
    let backup = backup(&device, &configuration, mac);
    if let Some(backup) = backup {
        let path = configuration.backup_file(asked);
        let text = serde_json::to_string(&backup).expect("numbers and text are JSON");
        if let Some(directory) = path.parent() {
            file::make_directories(directory, 0o755)?;
        }
        // A second ADD must not take what the first one set for what was there before.
        if !path.exists() {
            file::write_atomically(&path, text.as_bytes(), 0o600, Durability::Cached)?;
        }
    }
    apply(&inside, &device, &configuration, mac)?;
    if let Some(mac) = mac {
        let own = outcome.interfaces.iter_mut();
        let own = own.filter(|one| one.name == asked.interface && !one.sandbox.is_empty());
        own.for_each(|one| one.mac = mac.to_string());
    }
    Ok(outcome)
}

/// What is there of that which will be changed; nothing where nothing will.
fn backup(device: &Link, configuration: &Configuration, mac: Option<Mac>) -> Option<Backup> {
    let backup = Backup {
        mac: mac.map(|_| device.mac_text()),
        promisc: configuration.promisc.then_some(device.flags & PROMISCUOUS != 0),
        mtu: (configuration.mtu > 0).then_some(device.mtu),
        allmulti: configuration.allmulti.map(|_| device.flags & ALL_GROUPS != 0),
        queue: configuration.queue.map(|_| device.queue),
    };
    let is_something = mac.is_some()
        || backup.promisc.is_some()
        || backup.mtu.is_some()
        || backup.allmulti.is_some()
        || backup.queue.is_some();
    is_something.then_some(backup)
}

fn apply(
    inside: &Inside<'_>,
    device: &Link,
    configuration: &Configuration,
    mac: Option<Mac>,
) -> Result<(), Refusal> {
    let (netlink, index) = (inside.netlink(), device.index);
    let doing = |what: &str| format!("set the {what} of {:?}", device.name);
    if let Some(mac) = mac {
        ask(netlink, link::mac(index, mac.bytes()), || doing("hardware address"))?;
    }
    if configuration.promisc {
        ask(netlink, link::flag(index, PROMISCUOUS, PROMISCUOUS), || doing("promiscuous mode"))?;
    }
    if let Some(all) = configuration.allmulti {
        let flags = if all { ALL_GROUPS } else { 0 };
        ask(netlink, link::flag(index, flags, ALL_GROUPS), || doing("allmulticast mode"))?;
    }
    let mtu = (configuration.mtu > 0).then_some(configuration.mtu);
    if mtu.is_some() || configuration.queue.is_some() {
        let request = link::sizes(index, mtu, configuration.queue);
        ask(netlink, request, || doing("largest packet and queue"))?;
    }
    Ok(())
}

pub(super) fn del(asked: &Asked) -> Result<(), Refusal> {
    let configuration: Configuration = asked.configuration()?;
    let path = configuration.backup_file(asked);
    let bytes = match file::read_limited(&path, FILE_BYTES) {
        Err(error) if error.kind() == Kind::NotFound => return Ok(()),
        bytes => bytes?,
    };
    if let Some(namespace) = asked.namespace_if_there() {
        let inside = Inside::open(&namespace)?;
        if let Some(device) = inside.find_if_there(&asked.interface)? {
            let backup: Backup = serde_json::from_slice(&bytes).map_err(|error| {
                Error::new(Kind::Corrupt, format!("read {}", path.display())).because(error)
            })?;
            put_back(&inside, &device, &backup)?;
        }
    }
    Ok(file::remove_if_there(&path)?)
}

fn put_back(inside: &Inside<'_>, device: &Link, backup: &Backup) -> Result<(), Refusal> {
    let mac = backup.mac.as_ref().and_then(|text| text.parse().ok());
    let before = Configuration {
        mtu: backup.mtu.unwrap_or_default(),
        allmulti: backup.allmulti,
        queue: backup.queue,
        ..Configuration::default()
    };
    apply(inside, device, &before, mac)?;
    if let Some(is_on) = backup.promisc {
        let flags = if is_on { PROMISCUOUS } else { 0 };
        let doing = || format!("set the promiscuous mode of {:?}", device.name);
        ask(inside.netlink(), link::flag(device.index, flags, PROMISCUOUS), doing)?;
    }
    Ok(())
}

pub(super) fn check(asked: &Asked) -> Result<(), Refusal> {
    let configuration: Configuration = asked.configuration()?;
    asked.needed_before()?;
    let namespace = asked.namespace()?;
    let inside = Inside::open(&namespace)?;
    let device = inside.find(&asked.interface)?;
    let failed = |what: &str, is: &str| {
        let text = format!("Error: Tuning configured {what} of {} is {is}", asked.interface);
        Err(Refusal::new(Refusal::OTHER, text))
    };
    if let Some(mac) = asked.mac()?
        && mac.to_string() != device.mac_text()
    {
        return failed("Ethernet Address", &device.mac_text());
    }
    if configuration.promisc && device.flags & PROMISCUOUS == 0 {
        return failed("Promiscuous mode", "off");
    }
    if configuration.mtu > 0 && device.mtu != configuration.mtu {
        return failed("MTU", &device.mtu.to_string());
    }
    if configuration.allmulti.is_some_and(|all| all != (device.flags & ALL_GROUPS != 0)) {
        return failed("allmulticast mode", "another one");
    }
    if configuration.queue.is_some_and(|queue| queue != device.queue) {
        return failed("queue", &device.queue.to_string());
    }
    Ok(())
}
